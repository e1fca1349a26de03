import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from embedder.errors import EmbedderError
from embedder.evaluation.suite import read_tasks
from embedder.text.vocabulary import Vocabulary
from embedder.vectors.word_vectors import WordVectors

pytest.importorskip("altair", reason="altair is not installed")
pytest.importorskip("vl_convert", reason="vl-convert-python is not installed")

from embedder.reporting.report import ReportOptions, write_report

HOSTILE = ["</script><script>alert(1)</script>", "<!--", "<b>&amp;", '"', "\\", "'", "日本", "ok"]


@pytest.fixture(scope="module")
def similarity(toy_run, tmp_path_factory):
    words = Vocabulary.load(toy_run / "vocabulary.tsv").words
    path = tmp_path_factory.mktemp("s") / "pairs.txt"
    path.write_text("".join(f"{words[i]} {words[i + 1]} {i % 7}\n" for i in range(0, 60, 2)))
    return path


@pytest.fixture(scope="module")
def page(toy_run, toy_files, similarity, tmp_path_factory):
    tasks = read_tasks([toy_files[1]], [similarity])
    out = tmp_path_factory.mktemp("report") / "toy.html"
    return write_report(toy_run, out, ReportOptions(tasks=tasks, map_words=300))


def specifications(page):
    text = page.read_text(encoding="utf-8")
    found = re.search(r'<script type="application/json" id="specifications">(.*?)</script>', text)
    return json.loads(found[1])


def test_a_run_has_all_its_charts_in_the_page_and_as_pictures(page):
    names = ["map", "loss", "throughput", "analogies", "similarity-1", "frequency-and-length"]
    assert list(specifications(page)) == names
    pictures = page.with_suffix("")
    for name in names:
        assert (pictures / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert (pictures / f"{name}.svg").read_text().startswith("<svg")


def test_the_page_makes_no_network_requests(page):
    text = page.read_text(encoding="utf-8")
    assert "default-src 'none'" in text
    text = re.sub(r"<script>.*?</script>", "", text, flags=re.DOTALL)  # the libraries' own code
    assert not re.search(r"<(script|link|img|iframe)[^>]+(src|href)=(?![\"']?data:)", text)


def test_the_page_of_a_file_of_vectors_has_no_training_charts(rng, tmp_path):
    words = [*HOSTILE, *(f"w{i}" for i in range(20))]
    vectors = WordVectors(Vocabulary(words, np.ones(28)), rng.normal(size=(28, 4)).astype("f4"))
    vectors.save(tmp_path / "v.safetensors")
    page = write_report(
        tmp_path / "v.safetensors", tmp_path / "v.html", ReportOptions(words=HOSTILE)
    )
    found = specifications(page)
    assert list(found) == ["map"]
    assert found["map"]["words"][: len(HOSTILE)] == HOSTILE
    # No word becomes markup, neither in the data nor in the table of neighbours.
    text = page.read_text(encoding="utf-8")
    assert "<script>alert" not in text
    assert "<b>" not in text.replace("<body>", "")
    assert "&lt;/script&gt;&lt;script&gt;alert(1)&lt;/script&gt;" in text


def test_unknown_words_are_an_error(toy_run, tmp_path):
    with pytest.raises(EmbedderError, match="'nil' is not in the vocabulary"):
        write_report(toy_run, tmp_path / "r.html", ReportOptions(words=["nil"], pictures=False))


@pytest.fixture(scope="module")
def browser():
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    if not chromium or not driver:
        pytest.skip("Chromium or its driver is not installed")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=1100,1400"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    started = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    yield started
    started.quit()


def opened(browser, page: Path):
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.wait import WebDriverWait

    browser.get(page.as_uri())
    WebDriverWait(browser, 30).until(
        lambda b: len(b.find_elements(By.CSS_SELECTOR, ".chart svg")) == len(specifications(page))
    )
    return browser


def points(browser):
    from selenium.webdriver.common.by import By

    return browser.find_elements(By.CSS_SELECTOR, "#map path[aria-label]")


def test_chromium_shows_the_page_without_errors(browser, page):
    opened(browser, page)
    assert len(points(browser)) == 300
    assert [entry for entry in browser.get_log("browser") if entry["level"] != "INFO"] == []


def test_the_search_finds_words_and_reports_when_there_are_none(browser, page):
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.wait import WebDriverWait

    opened(browser, page)
    words = specifications(page)["map"]["words"]
    wanted = words[150]
    box = browser.find_element(By.CSS_SELECTOR, "#map .vega-bind input")
    status = browser.find_element(By.ID, "found")
    box.send_keys(wanted.upper())
    WebDriverWait(browser, 10).until(lambda _: wanted in status.text)
    found = [word for word in words if word.startswith(wanted)]
    assert status.text.startswith(f"{len(found)} found: ")
    labels = browser.find_elements(By.CSS_SELECTOR, "#map .mark-text text")
    assert sorted(label.text for label in labels if label.text in words) == sorted(found)
    box.clear()
    box.send_keys("neverseen")
    WebDriverWait(browser, 10).until(lambda _: "No word on this map" in status.text)


def test_hovering_over_the_map_shows_the_word(browser, page):
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.wait import WebDriverWait

    opened(browser, page)
    point = points(browser)[-1]  # the topmost
    ActionChains(browser).move_to_element(point).perform()
    tooltip = browser.find_element(By.ID, "vg-tooltip-element")
    WebDriverWait(browser, 10).until(lambda _: "visible" in tooltip.get_attribute("class"))
    assert specifications(page)["map"]["words"][-1] in tooltip.text
    assert "rank by frequency" in tooltip.text


def test_hostile_words_execute_nothing_in_chromium(browser, rng, tmp_path):
    words = [*HOSTILE, "<img src=x onerror=document.title='broken'>"]
    vectors = WordVectors(Vocabulary(words, np.ones(9)), rng.normal(size=(9, 4)).astype("f4"))
    vectors.save(tmp_path / "v.safetensors")
    page = write_report(
        tmp_path / "v.safetensors", tmp_path / "v.html", ReportOptions(words=words, pictures=False)
    )
    from selenium.webdriver.common.action_chains import ActionChains

    opened(browser, page)
    for point in points(browser):
        ActionChains(browser).move_to_element(point).perform()
    assert browser.title.startswith("v.safetensors")
    assert [entry for entry in browser.get_log("browser") if entry["level"] != "INFO"] == []
