import json
import re

import numpy as np
import pytest

from embedder.errors import EmbedderError
from embedder.evaluation.suite import read_tasks
from embedder.text.vocabulary import Vocabulary
from embedder.vectors.word_vectors import WordVectors

pytest.importorskip("altair", reason="altair is not installed")
pytest.importorskip("vl_convert", reason="vl-convert-python is not installed")

from embedder.reporting.report import ReportOptions, write_report


@pytest.fixture(scope="module")
def tasks(toy_run, toy_files, tmp_path_factory):
    words = Vocabulary.load(toy_run / "vocabulary.tsv").words
    path = tmp_path_factory.mktemp("s") / "pairs.txt"
    path.write_text("".join(f"{words[i]} {words[i + 1]} {i % 7}\n" for i in range(0, 60, 2)))
    return read_tasks([toy_files[1]], [path])


@pytest.fixture(scope="module")
def page(toy_run, tasks, tmp_path_factory):
    out = tmp_path_factory.mktemp("report") / "toy.html"
    return write_report(toy_run, out, ReportOptions(tasks=tasks, map_words=300))


@pytest.fixture(scope="module")
def comparison(toy_run, tasks, tmp_path_factory):
    """The page of the toy run and of a file in which one word has another vector."""
    from embedder.vectors.formats import load

    folder = tmp_path_factory.mktemp("comparison")
    vectors = load(toy_run)
    matrix = vectors.matrix.copy()
    matrix[20] = -matrix[20]
    WordVectors(vectors.vocabulary, matrix).save(folder / "other.safetensors")
    options = ReportOptions(tasks=tasks, map_words=100)
    models = toy_run, folder / "other.safetensors"
    return write_report(models, folder / "two.html", options), vectors.words[20]


def data_of(page):
    text = page.read_text(encoding="utf-8")
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    return json.loads(found[1])


CHARTS = ["analogies", "similarity-1", "loss", "throughput", "frequency-and-length"]


def test_a_run_has_all_its_charts_in_the_page_and_as_pictures(page):
    assert list(data_of(page)["charts"]) == CHARTS
    pictures = page.with_suffix("")
    assert {path.stem for path in pictures.iterdir()} == {"map", *CHARTS}
    for name in ("map", *CHARTS):
        assert (pictures / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert (pictures / f"{name}.svg").read_text().startswith("<svg")


def test_the_page_has_the_words_of_the_run_and_a_map_of_the_most_frequent(page, toy_run):
    (model,) = data_of(page)["models"]
    assert model["words"] == Vocabulary.load(toy_run / "vocabulary.tsv").words
    assert model["map"]["count"] == 300


def test_the_page_tells_what_the_run_is_and_what_it_took(page):
    text = page.read_text(encoding="utf-8")
    for heading in ("Evaluation", "Training", "Vocabulary", "Neighbours", "Model and training"):
        assert f"<h2>{heading}</h2>" in text
    assert "passes from cooccurrence, seed 1" in text
    assert "batch_size: 64" in text


def test_the_page_of_a_file_of_vectors_has_no_training_charts(rng, tmp_path):
    words = [f"w{i}" for i in range(20)]
    vectors = WordVectors(Vocabulary(words, np.zeros(20, int)), rng.normal(size=(20, 4)))
    vectors.save(tmp_path / "v.safetensors")
    page = write_report(tmp_path / "v.safetensors", tmp_path / "v.html")
    assert data_of(page)["charts"] == {}
    assert "<h2>Training</h2>" not in page.read_text(encoding="utf-8")
    assert [path.name for path in sorted((tmp_path / "v").iterdir())] == ["map.png", "map.svg"]


def test_a_page_can_be_limited_to_the_most_frequent_words(toy_run, tmp_path):
    options = ReportOptions(map_words=50, page_words=70, pictures=False)
    page = write_report(toy_run, tmp_path / "r.html", options)
    assert len(data_of(page)["models"][0]["words"]) == 70
    assert "know the 70 most frequent of" in page.read_text(encoding="utf-8")
    assert not (tmp_path / "r").exists()


def test_two_models_are_side_by_side(comparison, toy_run):
    page, changed = comparison
    data = data_of(page)
    assert [model["name"] for model in data["models"]] == [toy_run.name, "other.safetensors"]
    assert list(data["charts"]) == ["differences", *CHARTS]
    assert data["differences"][0]["word"] == changed
    assert data["differences"][0]["overlap"] < data["differences"][1]["overlap"]
    assert "paired bootstrap" in page.read_text(encoding="utf-8")
    assert {"map.svg", "map-2.svg"} <= {path.name for path in page.with_suffix("").iterdir()}


def test_models_of_the_same_name_are_told_apart(rng, tmp_path):
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        vectors = WordVectors(Vocabulary(["a", "b", "c"], np.ones(3)), rng.normal(size=(3, 4)))
        vectors.save(tmp_path / folder / "v.safetensors")
    paths = [tmp_path / folder / "v.safetensors" for folder in ("one", "two")]
    page = write_report(paths, tmp_path / "r.html", ReportOptions(pictures=False))
    names = [model["name"] for model in data_of(page)["models"]]
    assert names == ["one/v.safetensors", "two/v.safetensors"]


def test_more_than_two_models_are_an_error(toy_run, tmp_path):
    with pytest.raises(EmbedderError, match="one model or two side by side, got 3"):
        write_report([toy_run] * 3, tmp_path / "r.html")


def test_unknown_words_are_an_error(toy_run, tmp_path):
    with pytest.raises(EmbedderError, match="'nil' is not in the vocabulary"):
        write_report(toy_run, tmp_path / "r.html", ReportOptions(words=["nil"], pictures=False))
