import base64
import hashlib
import json
import re

import numpy as np
import pytest

pytest.importorskip("jinja2", reason="jinja2 is not installed")

from embedder.reporting.explorer import explorer_data, make_map
from embedder.reporting.page import Page, PageSection, render
from embedder.text.vocabulary import Vocabulary
from embedder.vectors.word_vectors import WordVectors

HOSTILE = ["</script><script>alert(1)</script>", "<!--", "<b>&amp;", '"', "\\", "'", "日本", "ok"]


@pytest.fixture
def model(rng):
    vectors = WordVectors(Vocabulary(HOSTILE, np.ones(8)), rng.normal(size=(8, 4)).astype("f4"))
    return explorer_data("<i>name", vectors, make_map(vectors, 8, "pca"), 8)


def test_the_policy_allows_the_scripts_and_styles_of_the_page_and_nothing_else(model):
    text = render(Page("t", "l", [model], []), vega="var vega = '</script>';")
    policy = re.search(r'Content-Security-Policy" content="(.*?)"', text)[1]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    for kind in ("script", "style"):
        blocks = re.findall(rf"<{kind}>(.*?)</{kind}>", text, re.DOTALL)
        expected = [
            "'sha256-" + base64.b64encode(hashlib.sha256(block.encode()).digest()).decode() + "'"
            for block in blocks
        ]
        assert re.search(rf"{kind}-src ([^;]*)", policy)[1].split() == expected
    without_scripts = re.sub(r"<script>.*?</script>", "", text, flags=re.DOTALL)
    assert not re.search(r"(src|href)=(?![\"']?(data:|#))", without_scripts)


def test_no_word_becomes_markup(model):
    section = PageSection("Neighbours", header=("word",), rows=[[word] for word in HOSTILE])
    text = render(Page("<b>title", "lead", [model], HOSTILE, [section]))
    data = json.loads(re.search(r'id="data">(.*?)</script>', text, re.DOTALL)[1])
    assert data["models"][0]["words"] == data["examples"] == HOSTILE
    assert "<script>alert" not in text
    assert "<b>" not in text
    assert "&lt;/script&gt;&lt;script&gt;alert(1)&lt;/script&gt;" in text


def test_the_page_says_which_words_it_knows(model):
    def about(count, included, total):
        changed = model | {"words": ["w"] * included, "total": total}
        changed["map"] = model["map"] | {"count": count}
        return re.search(
            r'<span id="about"></span> (.*?)</p>', render(Page("t", "", [changed], []))
        )[1]

    assert about(8, 8, 8).startswith("The map shows all 8 words. Sim")
    assert "8 most frequent words; search and neighbours know all 20." in about(8, 20, 20)
    assert "know the 20 most frequent of 1,000." in about(8, 20, 1000)
