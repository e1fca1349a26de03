import html
import re

import numpy as np
import pytest

pytest.importorskip("jinja2", reason="jinja2 is not installed")

from embedder.errors import RunError
from embedder.text.vocabulary import Vocabulary
from embedder.vectors.word_vectors import WordVectors


@pytest.fixture
def vectors(rng):
    words = ['"><script>document.title="broken"</script>', *(f"w{i}" for i in range(50))]
    return WordVectors(Vocabulary(words, np.arange(51, 0, -1)), rng.normal(size=(51, 6)))


def test_a_notebook_shows_the_page_in_a_frame(vectors):
    view = vectors.map(words=20, height=500)
    shown = view._repr_html_()
    frame = re.fullmatch(r'<iframe srcdoc="([^"]*)" sandbox="([^"]*)"[^>]*></iframe>', shown)
    assert frame[2] == "allow-scripts allow-downloads"
    assert html.unescape(frame[1]).startswith("<!doctype html>")
    assert 'height="500"' in shown
    assert repr(view) == "<MapView of 20 words; save('map.html') writes the page>"


def test_the_page_can_be_saved(vectors, tmp_path):
    view = vectors.map(words=20, projection="pca")
    path = view.save(tmp_path / "map.html")
    assert path.read_text(encoding="utf-8").startswith("<!doctype html>")
    with pytest.raises(RunError, match="cannot be written"):
        view.save(tmp_path / "missing" / "map.html")


def test_the_frame_works_in_a_browser(browser, vectors, tmp_path):
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.wait import WebDriverWait

    cell = f"<!doctype html><title>notebook</title>{vectors.map(words=20)._repr_html_()}"
    (tmp_path / "notebook.html").write_text(cell, encoding="utf-8")
    browser.get((tmp_path / "notebook.html").as_uri())
    browser.switch_to.frame(browser.find_element(By.TAG_NAME, "iframe"))
    WebDriverWait(browser, 60).until(
        lambda b: b.execute_script("return document.documentElement.dataset.ready")
    )
    browser.execute_script("choose('w3')")
    listed = browser.find_elements(By.CSS_SELECTOR, "#card .neighbors .word")
    assert [word.text for word in listed[:5]] == [near.word for near in near_words(vectors)]
    browser.switch_to.default_content()
    assert browser.title == "notebook"
    assert [entry for entry in browser.get_log("browser") if entry["level"] != "INFO"] == []


def near_words(vectors):
    # The page has the twenty words of the map.
    first = WordVectors(
        Vocabulary(vectors.words[:20], vectors.vocabulary.counts[:20]), vectors.matrix[:20]
    )
    return first.neighbors("w3", 5)
