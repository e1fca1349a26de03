"""Trainings with `subwords.mode` after: the words as without n-grams, which are fitted to them."""

import os
import signal
from pathlib import Path

import numpy as np
import pytest

from embedder.errors import RunError, VocabularyError
from embedder.runs.checkpoint import load_model
from embedder.runs.run_folder import RunFolder
from embedder.text.corpus import read_text
from embedder.training import row_fit
from embedder.training.train import train
from embedder.training.trainer import Interrupted
from embedder.training.update import UpdateOptions, update
from embedder.vectors.formats import load, save
from embedder.vectors.from_run import load_vectors

SUBWORDS = {"min_n": 2, "max_n": 4, "buckets": 5000}
WINDOWS = {"source": "windows", "window": 2}
NETWORKS = [
    {},
    {"network": {"vectors": "hidden"}},
    {"network": {"vectors": "output"}},
    {"examples": WINDOWS, "network": {"input": "mean", "vectors": "input"}},
    {
        "examples": WINDOWS,
        "network": {"input": "concat", "vectors": "output", "initialisation": "random"},
    },
]
NAMES = ["sum", "hidden", "output", "windows", "concat"]


@pytest.fixture
def make(make_toy_config, toy_files, write):
    lines = toy_files[0].read_text().splitlines(keepends=True)
    short = write("short.txt", "".join(lines[:500]))

    def make_config(output="run", **sections):
        network = {"dimension": 16, "hidden": 16} | sections.pop("network", {})
        training = {"passes": 2, "joint_rows": "auto"} | sections.pop("training", {})
        if "examples" in sections:
            training["batch_size"] = 512
        sections = {"subwords": SUBWORDS, "corpus": {"files": [str(short)]}} | sections
        return make_toy_config(output, network=network, training=training, **sections)

    return make_config


@pytest.mark.parametrize("sections", NETWORKS, ids=NAMES)
def test_known_words_have_the_vectors_that_they_have_without_subwords(make, sections):
    one, other = make("with", **sections), make("without", **sections | {"subwords": {}})
    train(one, quiet=True)
    train(other, quiet=True)
    found, expected = (load_vectors(Path(config.output)) for config in (one, other))
    np.testing.assert_array_equal(found.matrix, expected.matrix)
    assert expected.subwords is None
    for word in [word for word in found.words if len(word) > 5][:5]:
        assert found.is_composed(word + "s")
        assert np.isfinite(found.vector(word + "s")).all()


@pytest.fixture(scope="module")
def run(toy_tree, tmp_path_factory):
    """Train with n-grams, parts and an unknown symbol; tests must not change the run."""
    from embedder.config_files import make_config

    folder = tmp_path_factory.mktemp("fitted")
    (folder / "classes.tsv").write_text("king\troyal\nqueen\troyal\n☃☃☃\troyal\n")
    sections = {
        "vocabulary": {"subsample": 0.0, "unknown": "<unk>"},
        "subwords": SUBWORDS | {"buckets": 200_000, "parts": str(folder / "classes.tsv")},
        "output": str(folder / "run"),
    }
    train(make_config(toy_tree | sections, "test"), quiet=True)
    (folder / "classes.tsv").unlink()  # the run has a copy
    return folder / "run"


def test_a_misspelt_word_is_near_the_correct_one(run):
    vectors = load_vectors(run)
    words = [word for word in vectors.words if len(word) > 5][:40]
    near = [[each.word for each in vectors.neighbors(word + word[-1], 5)] for word in words]
    assert sum(word in own for word, own in zip(words, near, strict=True)) > 0.6 * len(words)


def test_the_saved_rows_are_those_fitted_to_the_vectors_named_by_the_run(run):
    vectors, model = load_vectors(run), load_model(run)
    np.testing.assert_array_equal(vectors.subwords.rows, model.kept.subwords)
    assert model.config.network.vectors == "sum"
    hidden = load_vectors(run, "hidden")
    again = load_vectors(run, "hidden")
    np.testing.assert_array_equal(hidden.subwords.rows, again.subwords.rows)
    assert not np.array_equal(hidden.subwords.rows, vectors.subwords.rows)


def test_an_unknown_word_has_the_parts_that_the_file_lists(run):
    vectors = load_vectors(run)
    assert vectors.is_composed("☃☃☃")
    total = len(vectors.subwords.ngrams("☃☃☃")) + 1
    np.testing.assert_allclose(vectors.vector("☃☃☃"), vectors.subwords.rows[-1] / total, rtol=1e-6)


def test_a_fasttext_file_composes_the_same(run, tmp_path):
    vectors = load_vectors(run)
    save(vectors, tmp_path / "m.ftbin")
    again = load(tmp_path / "m.ftbin")
    np.testing.assert_allclose(again.matrix, vectors.matrix, atol=1e-5)
    for word in ("kingking", "thequeens"):
        np.testing.assert_allclose(again.vector(word), vectors.vector(word), atol=1e-6)


def test_parts_changed_since_training_are_an_error(run, tmp_path):
    import shutil

    shutil.copytree(run, tmp_path / "run")
    RunFolder(tmp_path / "run").parts.write_text("king\tother\n")
    with pytest.raises(RunError, match=r"parts.tsv: changed or damaged"):
        load_vectors(tmp_path / "run")


def test_a_file_of_parts_without_a_known_word_is_an_error_before_the_training(make, write):
    parts = write("parts.tsv", "Zebra\tanimal\n")
    config = make(subwords=SUBWORDS | {"parts": str(parts)})
    with pytest.raises(VocabularyError, match="contains no word of the vocabulary"):
        train(config, quiet=True)
    assert not RunFolder(Path(config.output)).config.exists()


def test_a_training_interrupted_in_the_fit_of_rows_resumes_to_the_same_bits(make, monkeypatch):
    training = {"joint_rows": 60}
    whole, halved = make("whole", training=training), make("halved", training=training)
    train(whole, quiet=True)
    fit_rows = row_fit.fit_rows

    def stopping(*arguments):
        os.kill(os.getpid(), signal.SIGINT)
        return fit_rows(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(row_fit, "fit_rows", stopping)
        with pytest.raises(Interrupted):
            train(halved, quiet=True)
    unfinished = load_vectors(Path(halved.output))
    assert unfinished.is_composed("kingking")  # fitted to the words of a checkpoint
    train(halved, resume=True, quiet=True)
    one, other = (load_model(Path(config.output)) for config in (whole, halved))
    np.testing.assert_array_equal(one.kept.subwords, other.kept.subwords)


def test_an_update_fits_ngrams_to_the_words_of_both_texts(make, write, tmp_path):
    config = make()
    train(config, quiet=True)
    run = Path(config.output)
    known = load_vectors(run)
    text = write("more.txt", f"{known.words[0]} zygotic {known.words[1]}\n" * 20)
    read = lambda report: read_text(  # noqa: E731
        config.corpus.model_copy(update={"files": [str(text)]}), report
    )
    update(run, read, UpdateOptions(tmp_path / "updated", [str(text)], quiet=True))
    updated = load_vectors(tmp_path / "updated")
    assert "zygotic" in updated
    found = updated.subwords.compose_unknown("zygotics")
    expected = updated.with_subwords(2, 4, 5000).vector("zygotics")
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert np.linalg.norm(found) > np.linalg.norm(known.vector("zygotics"))


def test_a_run_can_mix_what_ngrams_predict_into_known_words(make):
    one, other = make("mixed", subwords=SUBWORDS | {"mix": 0.5}), make("plain")
    train(one, quiet=True)
    train(other, quiet=True)
    for kind in ("sum", "hidden"):
        found, plain = (load_vectors(Path(config.output), kind) for config in (one, other))
        np.testing.assert_array_equal(found.subwords.rows, plain.subwords.rows)
        expected = plain.with_subwords(2, 4, 5000, mix=0.5).matrix
        np.testing.assert_allclose(found.matrix, expected, rtol=1e-5, atol=1e-6)
        assert not np.array_equal(found.matrix, plain.matrix)


@pytest.mark.parametrize("subwords", [{"mix": 0.5}, {"mix": 0.5, "max_n": 4, "mode": "joint"}])
def test_a_mix_without_fitted_ngrams_is_refused(make, subwords):
    from embedder.errors import ConfigError

    with pytest.raises(ConfigError, match=r"subwords\.mix: expected subwords\.max_n"):
        make(subwords=subwords)
