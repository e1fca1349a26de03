import inspect
import re
import warnings
from pathlib import Path

import numpy as np
import pytest

import embedder
from embedder.cli import main
from embedder.config import Config
from embedder.config_files import all_keys, apply_overrides, make_config
from embedder.settings import apply_settings
from embedder.text.vocabulary import Vocabulary
from embedder.vectors.word_vectors import ComposedWarning, WordVectors

PAGE = (Path(__file__).parents[1] / "docs" / "migrating.md").read_text(encoding="utf-8")
WORDS = [f"w{i}" for i in range(40)]
KEYS = {".".join(key) for key in all_keys()}
FROM_WINDOWS = ("loss.", "examples.dynamic", "examples.sides", "network.input")
OPTIONS = {
    name: {option for parameter in main.commands[name].params for option in parameter.opts}
    for name in ("train", "export", "eval", "neighbors")
}


def section(title):
    return PAGE.partition(f"## {title}\n")[2].partition("\n## ")[0]


def rows_of(title):
    return re.findall(r"^\| `(.+)` \| `(.+)` \|$", section(title), re.MULTILINE)


def code_of_ours():
    """Return all code in the second columns of tables of options."""
    found = []
    for title in ("gensim's Word2Vec", "word2vec.c", "fastText", "GloVe"):
        for row in re.findall(r"^\| (?!---|gensim \|).+ \|$", section(title), re.MULTILINE):
            found += [(title, code) for code in re.findall(r"`([^`]+)`", row.split(" | ")[1])]
    return found


@pytest.fixture
def names(rng, tmp_path):
    """What the code in the tables refers to; both sides have the same vectors."""
    models = pytest.importorskip("gensim.models")
    from gensim.models.fasttext import load_facebook_vectors

    matrix = rng.normal(size=(40, 6)).astype(np.float32)
    vectors = WordVectors(Vocabulary(WORDS, np.arange(80, 40, -1)), matrix)
    vectors = vectors.with_subwords(2, 3, buckets=50)
    file, model = tmp_path / "v.bin", tmp_path / "v.ftbin"
    vectors.save(file)
    vectors.save(model)
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
        "copy": str(tmp_path / "copy.bin"), "model": str(model),
        "ft": load_facebook_vectors(str(model)), "load_facebook_vectors": load_facebook_vectors,
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


def test_the_tables_are_there():
    assert len(rows_of("gensim's KeyedVectors")) > 25
    assert len(rows_of("gensim's FastText")) > 7
    assert len(code_of_ours()) > 50


@pytest.mark.parametrize(
    ("theirs", "ours"), rows_of("gensim's KeyedVectors") + rows_of("gensim's FastText")
)
def test_both_columns_of_the_tables_for_gensim_give_the_same(names, theirs, ours):
    expected = eval(theirs, dict(names))
    copy = Path(names["copy"])
    written = embedder.load(copy).matrix if copy.exists() else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ComposedWarning)
        assert_same(eval(ours, dict(names)), expected)
    if written is not None:
        np.testing.assert_array_equal(embedder.load(copy).matrix, written)


@pytest.mark.parametrize(("title", "code"), code_of_ours())
def test_settings_in_the_tables_of_options_exist(title, code):
    tree = {"corpus": {"files": ["my.txt"]}}
    for part in code.split():
        name, _, value = part.partition("=")
        if part.startswith("--"):
            assert any(name in options for options in OPTIONS.values())
        elif name in KEYS and re.fullmatch("[a-z0-9.-]+", value):
            if name.startswith(FROM_WINDOWS):
                tree |= {"examples": {"source": "windows"}}
            apply_overrides(tree, [part])
        elif name.partition(".")[0] in Config.model_fields and "." in name.removesuffix(".tsv"):
            assert any(f"{key}.".startswith(f"{name}.") for key in KEYS)
        elif re.fullmatch("[a-z_]+", code) and title == "gensim's Word2Vec":
            apply_settings({}, {name: 1})
    make_config(tree, "the table")


def test_options_of_gensim_in_the_table_exist():
    word2vec = pytest.importorskip("gensim.models").Word2Vec
    known = set(inspect.signature(word2vec).parameters)
    cells = re.findall(r"^\| (.+?) \| ", section("gensim's Word2Vec"), re.MULTILINE)
    found = {name for cell in cells for name in re.findall(r"`([a-z_]+)(?:=\d[^`]*)?`", cell)}
    assert len(found & known) > 12
    assert found - known == {"save_facebook_model", "load_facebook_vectors"}
