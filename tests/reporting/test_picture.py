import re
from importlib.resources import files
from xml.etree import ElementTree

import numpy as np
import pytest

from embedder.reporting import picture
from embedder.reporting.explorer import make_map
from embedder.reporting.landmarks import COLOURS
from embedder.reporting.picture import map_svg
from embedder.text.vocabulary import Vocabulary
from embedder.vectors.word_vectors import WordVectors

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def drawn(rng):
    words = ["<tag>", "日本", *(f"word{i}x" for i in range(298))]
    vectors = WordVectors(Vocabulary(words, np.ones(300)), rng.normal(size=(300, 5)).astype("f4"))
    return make_map(vectors, 300, "pca")


def test_every_word_is_a_dot_within_the_picture(drawn):
    root = ElementTree.fromstring(map_svg(drawn, "A & B"))
    dots = [
        (float(x), float(y))
        for path in root.iter(f"{SVG}path")
        for x, y in re.findall(r"M([\d.]+) ([\d.]+)h0", path.get("d"))
    ]
    assert len(dots) == 300
    width, height = float(root.get("width")), float(root.get("height"))
    assert all(0 < x < width and 0 < y < height for x, y in dots)
    assert next(root.iter(f"{SVG}text")).text == "A & B"


def test_labels_are_words_and_do_not_collide(drawn):
    root = ElementTree.fromstring(map_svg(drawn, "title"))
    labels = [text for text in root.iter(f"{SVG}text") if text.get("fill") == "#1b2430"][1:]
    assert len(labels) > 50
    assert {label.text for label in labels} <= set(drawn.words)
    boxes = [
        (float(t.get("x")), float(t.get("y")), len(t.text) * float(t.get("font-size")) * 0.6)
        for t in labels
    ]
    for i, (x, y, width) in enumerate(boxes):
        for other_x, other_y, other_width in boxes[:i]:
            apart = x + width < other_x or other_x + other_width < x or abs(y - other_y) > 12
            assert apart


def test_pictures_and_the_page_have_the_same_colours():
    style = files("embedder.reporting").joinpath("page/style.css").read_text(encoding="utf-8")
    light = style[: style.index("}")]
    for name, colours in (("colour", picture._POINTS), ("name", picture._NAMES)):
        assert len(colours) == COLOURS
        assert tuple(re.findall(rf"--{name}-\d: (#\w+)", light)) == colours
