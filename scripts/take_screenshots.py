"""Take the pictures of a report for the documentation, with Chromium without a window.

    python scripts/take_screenshots.py runs/tutorial/report.html docs/report --two two.html

writes docs/report.webp, report-dark.webp, report-phone.webp, and of a page of two models
report-two.webp; needs selenium, Chromium and its driver.
"""

import argparse
import base64
import shutil
import time
from pathlib import Path
from typing import Any

QUALITY = 82
READY = "return document.documentElement.dataset.ready"
SECONDS = 30.0


def start(chromium: str, driver: str) -> Any:
    """Return a browser."""
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for argument in ("--headless=new", "--no-sandbox", "--hide-scrollbars"):
        options.add_argument(argument)
    return webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))


def take(browser: Any, address: str, size: tuple[int, int], dark: bool) -> bytes:
    """Return a picture of a page in a window of this size, as WebP."""
    width, height = size
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1.5, "mobile": width < 500}
    theme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": theme})
    browser.get("about:blank")  # a change of the fragment alone would not load the page
    browser.get(address)
    deadline = time.monotonic() + SECONDS
    while not browser.execute_script(READY):
        if time.monotonic() > deadline:
            raise SystemExit(f"{address}: not ready after {SECONDS:g} s.")
        time.sleep(0.1)
    time.sleep(1)  # for movements to end
    settings = {"format": "webp", "quality": QUALITY}
    return base64.b64decode(browser.execute_cdp_cmd("Page.captureScreenshot", settings)["data"])


def main() -> None:
    """Read the arguments and take the pictures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("page", type=Path, help="a page that `embedder report` wrote")
    parser.add_argument(
        "out", type=Path, help="the pictures' names, without what distinguishes them"
    )
    parser.add_argument("--two", type=Path, help="a page of two models")
    parser.add_argument("--word", default="sea", help="the word that some of them show")
    arguments = parser.parse_args()
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    if not chromium or not driver:
        raise SystemExit("Chromium and chromedriver are not installed.")
    word = f"#word={arguments.word}"
    pictures = [
        ("", arguments.page, "", (1280, 800), False),
        ("-dark", arguments.page, word, (1280, 800), True),
        ("-phone", arguments.page, word, (390, 1180), False),
    ]
    if arguments.two:
        pictures.append(("-two", arguments.two, word, (1280, 800), False))
    browser = start(chromium, driver)
    try:
        for name, page, fragment, size, dark in pictures:
            path = arguments.out.with_name(f"{arguments.out.name}{name}.webp")
            path.write_bytes(take(browser, page.resolve().as_uri() + fragment, size, dark))
            print(f"{path}: {path.stat().st_size / 1000:.0f} kB")
    finally:
        browser.quit()


if __name__ == "__main__":
    main()
