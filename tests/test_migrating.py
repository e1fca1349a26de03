import re
from pathlib import Path

import numpy as np
import pytest

import embedder
from embedder.text.vocabulary import Vocabulary
from embedder.vectors.word_vectors import WordVectors

PAGE = Path(__file__).parents[1] / "docs" / "migrating.md"
WORDS = [f"w{i}" for i in range(40)]


def rows_of_table():
    text = PAGE.read_text(encoding="utf-8")
    section = text.partition("## gensim's KeyedVectors")[2].partition("\n## ")[0]
    return re.findall(r"^\| `(.+)` \| `(.+)` \|$", section, re.MULTILINE)


@pytest.fixture
def names(rng, tmp_path):
    """What the code in the table refers to; both sides have the same vectors."""
    models = pytest.importorskip("gensim.models")
    matrix = rng.normal(size=(40, 6)).astype(np.float32)
    vectors = WordVectors(Vocabulary(WORDS, np.arange(80, 40, -1)), matrix)
    file = tmp_path / "v.bin"
    vectors.save(file)
    pairs, questions = tmp_path / "pairs.txt", tmp_path / "questions.txt"
    lines = [f"w{rng.integers(40)}\tw{rng.integers(40)}\t{i}" for i in range(30)]
    pairs.write_text("\n".join(lines) + "\n")
    analogies = [" ".join(f"w{i}" for i in rng.permutation(40)[:4]) for _ in range(200)]
    questions.write_text(": some\n" + "\n".join(analogies) + "\n")
    wv = models.KeyedVectors.load_word2vec_format(str(file), binary=True)
    for word, count in zip(WORDS, range(80, 40, -1), strict=True):
        wv.set_vecattr(word, "count", count)
    return {
        "wv": wv, "vectors": vectors, "embedder": embedder, "KeyedVectors": models.KeyedVectors,
        "file": str(file), "pairs": str(pairs), "questions": str(questions),
        "copy": str(tmp_path / "copy.bin"),
    }  # fmt: skip


def assert_same(found, expected):
    if isinstance(expected, list) and expected and isinstance(expected[0], tuple):
        assert [word for word, _ in found] == [word for word, _ in expected]
        found, expected = ([value for _, value in each] for each in (found, expected))
    if isinstance(expected, float | np.floating | np.ndarray) or (
        isinstance(expected, list) and isinstance(expected[0], float)
    ):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)
    else:
        assert found == expected


def test_the_table_is_there():
    assert len(rows_of_table()) > 25


@pytest.mark.parametrize(("theirs", "ours"), rows_of_table())
def test_both_columns_of_the_table_for_gensim_give_the_same(names, theirs, ours):
    expected = eval(theirs, dict(names))
    copy = Path(names["copy"])
    written = embedder.load(copy).matrix if copy.exists() else None
    assert_same(eval(ours, dict(names)), expected)
    if written is not None:
        np.testing.assert_array_equal(embedder.load(copy).matrix, written)
