"""The page in a browser: what it shows, and that it does what a visitor asks."""

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("jinja2", reason="jinja2 is not installed")
pytest.importorskip("altair", reason="altair is not installed")
pytest.importorskip("vl_convert", reason="vl-convert-python is not installed")
pytest.importorskip("selenium", reason="selenium is not installed")

import vl_convert
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.wait import WebDriverWait

from embedder.reporting.charts import losses, page_specification
from embedder.reporting.explorer import explorer_data, make_map
from embedder.reporting.page import Page, PageChart, PageSection, render
from embedder.text.vocabulary import Vocabulary
from embedder.vectors.word_vectors import WordVectors

HOSTILE = "<img src=x onerror=document.title='broken'>"
WORDS = ["the", "sea", "seas", "Séance", "oversea", HOSTILE, "ים", "日本", "x" * 60]
WORDS += [f"word{i}" for i in range(391)]
MAPPED, INCLUDED = 200, 400


def model(seed):
    matrix = np.random.default_rng(seed).normal(size=(INCLUDED, 24))
    matrix[:50] += matrix[0] * 2
    counts = np.arange(INCLUDED, 0, -1) * 5
    return WordVectors(Vocabulary(WORDS, counts), matrix.astype(np.float32))


@pytest.fixture(scope="module")
def models():
    return model(1), model(2)


def write(path, models, names):
    data = [
        explorer_data(name, each, make_map(each, MAPPED, "pca"), INCLUDED)
        for name, each in zip(names, models, strict=True)
    ]
    lines = [{"pass": i, "loss": 5 - i / 9, "validation_loss": 5.2 - i / 10} for i in range(9)]
    chart = page_specification(losses({"run": lines}))
    sections = [
        PageSection("Training", charts=[PageChart("loss", "Loss")]),
        PageSection("Model", header=("what", "value"), rows=[("words", "400")]),
    ]
    differences = [("sea", 0.1), ("seas", 0.4)] if len(data) > 1 else []
    page = Page(
        "Title", "Lead.", data, ["sea", "not in the page"], sections, {"loss": chart}, differences
    )
    path.write_text(render(page, vl_convert.javascript_bundle()), encoding="utf-8")
    return path.as_uri()


@pytest.fixture(scope="module")
def address(models, tmp_path_factory):
    return write(tmp_path_factory.mktemp("one") / "page.html", models[:1], ["first"])


@pytest.fixture(scope="module")
def two(models, tmp_path_factory):
    return write(tmp_path_factory.mktemp("two") / "page.html", models, ["first", "second"])


@pytest.fixture
def opened(browser, address):
    """The page of one model; afterwards, no message may be in the console."""
    yield show(browser, address)
    assert [entry for entry in browser.get_log("browser") if entry["level"] != "INFO"] == []


def show(browser, address):
    browser.get("about:blank")  # a change of the fragment alone would not load the page
    browser.get(address)
    wait(browser, lambda: script(browser, "document.documentElement.dataset.ready"))
    return browser


def script(browser, expression):
    return browser.execute_script(f"return {expression}")


def wait(browser, found):
    return WebDriverWait(browser, 60).until(lambda _: found())


def texts(browser, selector):
    return [each.text for each in browser.find_elements(By.CSS_SELECTOR, selector)]


def type_into(browser, text):
    field = browser.find_element(By.ID, "search")
    field.clear()
    field.send_keys(text)
    return field


def test_the_search_finds_any_part_of_a_word_whatever_its_case_and_accents(opened):
    type_into(opened, "SEA")
    wait(opened, lambda: texts(opened, "#found") == ["4 words found."])
    assert texts(opened, "#results .word") == ["sea", "seas", "Séance", "oversea"]
    assert script(opened, "wordMap.lit.matches") == [1, 2, 3, 4]


def test_the_page_begins_with_examples_that_it_knows(opened):
    assert texts(opened, "#card .word") == ["sea"]


def test_the_search_knows_words_that_are_not_on_the_map(opened):
    type_into(opened, "word390").send_keys(Keys.ENTER)
    wait(opened, lambda: texts(opened, "h2.title") == ["word390"])
    assert "not on the map" in texts(opened, "#card .quiet")[0]


def test_the_search_says_when_it_finds_nothing(opened):
    type_into(opened, "neverseen")
    wait(opened, lambda: texts(opened, "#found") == ["No word contains “neverseen”."])
    assert not opened.find_element(By.ID, "results").is_displayed()


def test_a_result_is_chosen_by_keyboard(opened):
    field = type_into(opened, "sea")
    field.send_keys(Keys.ARROW_DOWN, Keys.ARROW_DOWN)
    assert field.get_attribute("aria-activedescendant") == "result-1"
    field.send_keys(Keys.ENTER)
    wait(opened, lambda: texts(opened, "h2.title") == ["seas"])
    assert "Nearest words of seas" in opened.find_element(By.ID, "status").get_attribute(
        "textContent"
    )


@pytest.mark.parametrize("word", ["sea", "ים", "日本", "x" * 60, HOSTILE])
def test_the_panel_lists_the_neighbours_that_the_model_has(opened, models, word):
    opened.execute_script("choose(arguments[0])", word)
    expected = models[0].neighbors(word, 20)
    listed = texts(opened, "#card .neighbors .word")
    shown = [float(text.replace("−", "-")) for text in texts(opened, "#card .similarity")]
    # Rounding to 8 bits may exchange words that are equally near.
    assert len(set(listed) & {near.word for near in expected}) >= 18
    np.testing.assert_allclose(shown, [near.similarity for near in expected], atol=0.016)
    assert opened.title == "Title – embedder"


def test_neighbours_are_lit_and_those_chosen_are_remembered(opened):
    for word in ("sea", "seas", "the"):
        opened.execute_script("choose(arguments[0])", word)
    assert script(opened, "wordMap.lit.selected") == 0
    assert script(opened, "wordMap.lit.near.length") == 20
    assert texts(opened, "#history .word") == ["seas", "sea"]
    opened.find_element(By.CSS_SELECTOR, "#history button").click()
    assert texts(opened, "h2.title") == ["seas"]


def test_analogies_are_answered_in_the_page(opened, models):
    opened.find_element(By.ID, "tab-analogies").click()
    fields = opened.find_elements(By.CSS_SELECTOR, "#analogies input")
    for field, text in zip(fields, ("sea", "SEAS", "word7"), strict=True):
        field.send_keys(text)
    expected = [near.word for near in models[0].analogy("sea", "seas", "word7", 10)]
    assert len(set(texts(opened, "#answers .word")) & set(expected)) >= 9
    wait(opened, lambda: "a=sea&b=SEAS&c=word7" in opened.current_url)
    fields[2].send_keys("77")
    assert texts(opened, "#answers .quiet") == ["“word777” is not in the vocabulary."]


def test_the_address_brings_the_view_back(browser, opened):
    opened.execute_script(
        "wordMap.camera.view = {x: 0.4, y: 0.6, zoom: 3}; choose('sea', {reveal: false})"
    )
    address = opened.current_url
    assert "word=sea" in address
    show(browser, address)
    assert texts(browser, "h2.title") == ["sea"]
    view = script(browser, "wordMap.camera.view")
    assert (view["x"], view["y"], view["zoom"]) == pytest.approx((0.4, 0.6, 3))
    browser.execute_script("choose('seas')")
    browser.back()
    wait(browser, lambda: texts(browser, "h2.title") == ["sea"])


def test_the_address_of_another_page_is_ignored(browser, address):
    show(browser, f"{address}#word=nowhere&map=7&view=a,b&tab=words2&colour=pink")
    assert script(browser, "[state.word, state.map, state.tab, state.colour]") == [
        "",
        0,
        "words",
        "cluster",
    ]


def test_a_click_on_the_map_selects_and_hovering_shows_the_word(opened):
    canvas = opened.find_element(By.CSS_SELECTOR, "#map .labels")
    x, y = script(opened, "wordMap.screen(150)")
    dx, dy = x - canvas.size["width"] / 2, y - canvas.size["height"] / 2
    pointed = ActionChains(opened).move_to_element_with_offset(canvas, round(dx), round(dy))
    pointed.perform()
    word = script(opened, "models[0].words[wordMap.hovered]")
    wait(opened, lambda: texts(opened, ".tooltip bdi") == [word])
    ActionChains(opened).click().perform()
    assert texts(opened, "h2.title") == [word]


def test_the_wheel_scrolls_the_page_unless_a_key_is_held(opened):
    canvas = opened.find_element(By.CSS_SELECTOR, "#map .labels")
    event = (
        "new WheelEvent('wheel', {{deltaY: -300, ctrlKey: {}, cancelable: true, bubbles: true}})"
    )
    dispatch = (
        "const event = {}; arguments[0].dispatchEvent(event);"
        "return [event.defaultPrevented, wordMap.camera.zoom]"
    )
    assert opened.execute_script(dispatch.format(event.format("false")), canvas) == [False, 1]
    prevented, zoom = opened.execute_script(dispatch.format(event.format("true")), canvas)
    assert prevented
    assert zoom > 2


def test_the_map_is_moved_by_keyboard_and_buttons(opened):
    canvas = opened.find_element(By.CSS_SELECTOR, "#map .labels")
    canvas.send_keys("+")
    assert script(opened, "wordMap.camera.zoom") == pytest.approx(1.4)
    before = script(opened, "wordMap.camera.x")
    canvas.send_keys(Keys.ARROW_RIGHT)
    assert script(opened, "wordMap.camera.x") > before
    canvas.send_keys(Keys.ENTER)
    assert texts(opened, "h2.title")
    opened.find_element(By.ID, "reset").click()
    wait(opened, lambda: not script(opened, "wordMap.camera.hasMoved"))
    opened.find_element(By.ID, "zoom-in").click()
    wait(opened, lambda: script(opened, "wordMap.camera.zoom") == pytest.approx(1.8))


def test_labels_do_not_collide(opened):
    labels = script(opened, "wordMap.labels.map(l => [l.left, l.y - l.size / 2, l.width, l.size])")
    assert len(labels) > 20
    for i, (x, y, width, height) in enumerate(labels):
        for other_x, other_y, other_width, other_height in labels[:i]:
            apart = x + width <= other_x or other_x + other_width <= x
            assert apart or y + height <= other_y or other_y + other_height <= y


def test_the_label_of_a_long_word_is_shortened_and_still_stands_for_it(opened):
    long = WORDS.index("x" * 60)
    opened.execute_script("choose(arguments[0])", WORDS[long])
    wait(opened, lambda: long in script(opened, "wordMap.labels.map(label => label.id)"))
    texts_of = "wordMap.labels.filter(label => label.id === arguments[0]).map(label => label.text)"
    assert opened.execute_script(f"return {texts_of}", long) == ["x" * 23 + "…"]


def test_charts_and_the_map_can_be_saved(opened):
    chart = opened.find_element(By.ID, "loss")
    opened.execute_script("arguments[0].scrollIntoView()", chart)
    wait(opened, lambda: chart.find_elements(By.CSS_SELECTOR, "svg path"))
    opened.execute_script(
        "window.saved = []; window.download = (name, blob) => blob.slice(0, 4).text()"
        ".then(text => saved.push(`${name} ${text}`))"
    )
    for selector in ("#map-png", "#map-svg", '[data-kind="png"]', '[data-kind="svg"]'):
        button = opened.find_element(By.CSS_SELECTOR, selector)
        opened.execute_script("arguments[0].click()", button)
    wait(opened, lambda: len(script(opened, "saved")) == 4)
    names = {text[:8] for text in script(opened, "saved")}
    assert names == {"map.png ", "map.svg ", "loss.png", "loss.svg"}
    assert sum("PNG" in text for text in script(opened, "saved")) == 2
    assert sum("<svg" in text for text in script(opened, "saved")) == 2


def test_dark_colours_are_those_of_the_system_until_one_chooses(opened, browser, address):
    media = [{"name": "prefers-color-scheme", "value": "dark"}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": media})
    try:
        show(browser, address)
        ground = "getComputedStyle(document.body).backgroundColor"
        assert script(browser, ground) == "rgb(18, 22, 28)"
        assert script(browser, "wordMap.on.theme().ground") == "#12161c"
        button = browser.find_element(By.ID, "theme")
        assert button.get_attribute("aria-pressed") == "true"
        button.click()
        assert script(browser, ground) == "rgb(255, 255, 255)"
    finally:
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


@pytest.mark.parametrize("width", [390, 800, 2560])
def test_the_page_fits_every_width(opened, width):
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    opened.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    try:
        opened.execute_script("choose(arguments[0])", "x" * 60)
        wait(opened, lambda: script(opened, "wordMap.camera.width === wordMap.root.clientWidth"))
        assert script(opened, "document.documentElement.scrollWidth") <= width
        assert script(opened, "wordMap.root.clientWidth") > width / 2
    finally:
        opened.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


DRAW_A_POINT = """
const canvas = document.createElement("canvas"), camera = new Camera(Float32Array.of(0, 0, 1, 1));
Object.assign(canvas, {width: 200, height: 100});
camera.resize(200, 100);
const kinds = {webgl2: GlPoints, "2d": PixelPoints}, [kind] = arguments;
const drawer = new kinds[kind](canvas.getContext(kind, {preserveDrawingBuffer: true}));
drawer.load(Float32Array.of(0.5, 0.25), Uint8Array.of(255, 0, 0, 255), Float32Array.of(6));
drawer.draw(camera, 1, 1, 1, [255, 255, 255]);
const copy = document.createElement("canvas").getContext("2d");
copy.fillStyle = "white";
copy.fillRect(0, 0, 200, 100);
copy.drawImage(canvas, 0, 0);
const {data, width} = copy.getImageData(0, 0, 200, 100), found = [];
for (let i = 0; i < data.length; i += 4) {
  if (data[i + 1] < 128) found.push([(i / 4) % width, Math.floor(i / 4 / width)]);
}
return found;
"""


@pytest.mark.parametrize("kind", ["webgl2", "2d"])
def test_points_are_discs_where_the_camera_sees_them(browser, address, kind):
    show(browser, address)
    columns, rows = zip(*browser.execute_script(DRAW_A_POINT, kind), strict=True)
    assert 20 <= len(columns) <= 36  # a disc of 6 pixels has 28
    # The map takes 92 % of the height: its y of 0.25 is a quarter of 92 pixels above the middle.
    assert (np.mean(columns), np.mean(rows)) == pytest.approx((99.5, 49.5 - 23), abs=0.6)
    browser.get_log("browser")  # WebGL without a graphics card complains of being slow


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("tab", ["words", "analogies", "clusters", "changes"])
def test_axe_finds_no_barrier_for_people_with_disabilities(browser, two, theme, tab):
    package = pytest.importorskip("axe_core_python", reason="axe-core-python is not installed")
    axe = (Path(package.__file__).parent / "axe.min.js").read_text(encoding="utf-8")
    show(browser, f"{two}#word={'' if tab == 'clusters' else 'sea'}&tab={tab}&a=sea&b=seas&c=the")
    browser.execute_script("applyTheme(arguments[0]); charts.drawAll()", theme)
    browser.execute_script(axe)
    violations = browser.execute_async_script(
        "axe.run().then(found => arguments[0](found.violations.map("
        "each => `${each.impact} ${each.id}: ${each.nodes.map(node => node.html)}`)))"
    )
    assert violations == []


def test_two_models_show_a_word_side_by_side(browser, two, models):
    show(browser, two)
    assert texts(browser, "#changed") == [""]  # in a tab that is not shown
    browser.find_element(By.ID, "tab-changes").click()
    assert texts(browser, "#changed .word") == ["sea", "seas"]
    assert texts(browser, "#changed .similarity") == ["10 %", "40 %"]
    browser.find_element(By.CSS_SELECTOR, "#changed button").click()
    assert texts(browser, "#card h3") == ["first", "second"]
    columns = browser.find_elements(By.CSS_SELECTOR, "#card .columns > div")
    for column, each in zip(columns, models, strict=True):
        shown = [word.text for word in column.find_elements(By.CSS_SELECTOR, ".word")]
        assert len(set(shown) & {near.word for near in each.neighbors("sea", 20)}) >= 18
    common = {near.word for near in models[0].neighbors("sea", 20)}
    common &= {near.word for near in models[1].neighbors("sea", 20)}
    marks = len(browser.find_elements(By.CSS_SELECTOR, "#card .shared"))
    assert abs(marks - 2 * len(common)) <= 4
    radio = browser.find_element(By.CSS_SELECTOR, "[name=map][value='1']")
    radio.click()
    assert script(browser, "wordMap.model.name") == "second"
    assert script(browser, "wordMap.lit.selected") == WORDS.index("sea")
