import json
import warnings
from pathlib import Path

import numpy as np
import pytest

from embedder.errors import RunError
from embedder.evaluation import suite
from embedder.evaluation.questions import Question, Section
from embedder.runs.checkpoint import load_model
from embedder.runs.run_folder import RunFolder
from embedder.training.train import rehearse, train
from embedder.training.trainer import Interrupted, Trainer
from embedder.vectors.formats import load, save
from embedder.vectors.from_run import load_vectors
from embedder.vectors.word_vectors import ComposedWarning

WINDOWS = {"source": "windows", "window": 2}
SOURCES = [
    {},
    {"examples": WINDOWS, "network": {"input": "word"}},
    {"examples": WINDOWS, "network": {"input": "mean", "activation": "identity"}},
    {"examples": WINDOWS, "network": {"input": "concat", "vectors": "input"}},
]
NAMES = ["counts", "word", "mean", "concat"]
SUBWORDS = {"mode": "joint", "min_n": 2, "max_n": 4, "buckets": 5000}


@pytest.fixture
def make(make_toy_config, toy_files, write):
    lines = toy_files[0].read_text().splitlines(keepends=True)
    short = write("short.txt", "".join(lines[:500]))

    def make_config(output="run", passes=2, **sections):
        defaults = {"dimension": 16, "hidden": 16}
        if sections.get("network", {}).get("input") == "concat":
            defaults["initialisation"] = "random"
        sections["network"] = defaults | sections.get("network", {})
        training = {"passes": passes} | sections.pop("training", {})
        if "examples" in sections:
            training["batch_size"] = 512
            sections["corpus"] = {"files": [str(short)]}
        sections = {"subwords": SUBWORDS} | sections
        return make_toy_config(output, training=training, **sections)

    return make_config


def parameters(config):
    return load_model(Path(config.output)).parameters


def assert_bit_identical(one, other):
    for a, b in zip(parameters(one), parameters(other), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("sections", SOURCES, ids=NAMES)
def test_every_source_and_input_trains_and_resumes_bit_identically(make, monkeypatch, sections):
    whole, halved = make("whole", **sections), make("halved", **sections)
    train(whole, quiet=True)
    losses = [line["loss"] for line in lines_of(whole) if line.get("end_of_pass")]
    assert losses[-1] < losses[0]
    with monkeypatch.context() as patch:
        interrupt_at(patch, 4)
        with pytest.raises(Interrupted):
            train(halved, quiet=True)
    train(halved, resume=True, quiet=True)
    assert_bit_identical(whole, halved)
    found = load_model(Path(whole.output))
    assert len(found.parameters.E) == found.composition.height > len(found.vocabulary)


def lines_of(config):
    path = Path(config.output) / "metrics.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()]


def interrupt_at(patch, step):
    import os
    import signal

    original = Trainer.steps

    def stopping(self, batches):
        if self.number == step:
            os.kill(os.getpid(), signal.SIGINT)
        return original(self, batches)

    patch.setattr(Trainer, "steps", stopping)


@pytest.fixture(scope="module")
def run(toy_tree, tmp_path_factory):
    """Train with subwords and classes; tests must not change the run."""
    from embedder.config_files import make_config

    folder = tmp_path_factory.mktemp("subwords")
    lines = ["king\troyal", "queen\troyal\twoman", "her\twoman", "☃☃☃\troyal\tnever"]
    (folder / "classes.tsv").write_text("\n".join(lines) + "\n")
    sections = {
        "subwords": SUBWORDS | {"buckets": 2_000_000, "parts": str(folder / "classes.tsv")},
        "output": str(folder / "run"),
        "validation": {"fraction": 0.05},
    }
    train(make_config(toy_tree | sections, "test"), quiet=True)
    return folder / "run"


def test_a_loaded_network_has_the_validation_loss_of_its_training(run):
    from embedder.evaluation.perplexity import evaluate_perplexity

    model = load_model(run)
    text = model.config.corpus.files[0]
    found = evaluate_perplexity(model, text)
    assert found.nats < np.log(len(model.vocabulary)) - 1
    assert abs(found.nats - model.metadata["validation_loss"]) < 0.1


@pytest.mark.parametrize("kind", ["input", "hidden", "sum"])
def test_a_misspelt_word_is_near_the_correct_one(run, kind):
    vectors = load_vectors(run, kind)
    hits = 0
    words = [word for word in vectors.vocabulary.words if len(word) > 5][:40]
    for word in words:
        wrong = word + word[-1]
        assert vectors.is_composed(wrong)
        hits += word in [near.word for near in vectors.neighbors(wrong, 5)]
    assert hits > 0.6 * len(words)


def test_a_composed_vector_warns_and_a_known_one_does_not(run):
    vectors = load_vectors(run)
    with pytest.warns(ComposedWarning, match="'kingqueen' is unknown; its vector is composed"):
        composed = vectors["kingqueen"]
    assert composed.shape == (vectors.matrix.shape[1],)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        known = vectors["king"]
    np.testing.assert_array_equal(known, vectors.matrix[vectors.vocabulary.ids["king"]])
    assert not vectors.is_composed("king")
    assert not vectors.is_composed("日")  # none of its n-grams occurs in any word
    assert not load_vectors(run, "output").is_composed("kingqueen")


def test_an_unknown_word_is_composed_of_its_parts_in_the_file(run):
    vectors = load_vectors(run, "input")
    model = load_model(run)
    row = model.composition.height - len(model.composition.parts)
    row += model.composition.parts.index("royal")
    assert vectors.is_composed("☃☃☃")
    with pytest.warns(ComposedWarning):
        found = vectors["☃☃☃"]
    total = len(vectors.subwords.ngrams("☃☃☃")) + 1
    np.testing.assert_allclose(found, model.parameters.E[row] / total, rtol=1e-6)


def test_input_vectors_are_the_means_of_rows(run):
    model, vectors = load_model(run), load_vectors(run, "input")
    E, (starts, rows, *_) = model.parameters.E, model.composition
    for i in (0, 5, 100):
        mean = E[rows[starts[i] : starts[i + 1]]].mean(axis=0)
        np.testing.assert_allclose(vectors.matrix[i], mean, rtol=1e-4, atol=1e-6)


def test_unknown_words_are_evaluated_in_questions_but_not_as_answers(run):
    vectors = load_vectors(run)
    words = vectors.vocabulary.words
    known = Question(words[0], words[1], words[2], (words[3],))
    asked = Question("zebraking", words[1], words[2], (words[3],))
    answer = Question(words[0], words[1], words[2], ("zebraking",))
    tasks = suite.Tasks([Section("s", [known, asked, answer])], {}, {}, {})
    results = suite.evaluate(vectors, tasks)
    assert results.composed == 1
    assert results.analogies.total().questions == 2
    restricted = suite.evaluate(vectors, tasks, restrict_vocab=len(words))
    assert restricted.composed == 0
    assert restricted.analogies.total().questions == 1
    assert results.figures()["composed"] == 1


@pytest.mark.parametrize("kind", ["input", "hidden", "sum"])
def test_a_run_saved_as_a_fasttext_file_reads_back(run, tmp_path, kind):
    vectors = load_vectors(run, kind)
    path = tmp_path / "m.ftbin"
    save(vectors, path)
    again = load(path)
    np.testing.assert_allclose(again.matrix, vectors.matrix, atol=2e-5)
    assert again.vocabulary.words == vectors.vocabulary.words
    for word in ("kingking", "thequeens"):
        one, other = again.subwords.compose_unknown(word), vectors.subwords.compose_unknown(word)
        cosine = one @ other / np.linalg.norm(one) / np.linalg.norm(other)
        assert cosine > (0.999999 if kind == "input" else 0.97)  # the layer, linearised


@pytest.mark.filterwarnings("ignore")
def test_gensim_and_fasttext_load_a_run_and_compose_the_same(run, tmp_path):
    models = pytest.importorskip("gensim.models.fasttext", reason="gensim is not installed")
    vectors = load_vectors(run, "input")
    save(vectors, tmp_path / "m.bin", "fasttext")
    theirs = models.load_facebook_vectors(str(tmp_path / "m.bin"))
    for word in ("king", "kingking", "thequeens"):
        np.testing.assert_allclose(theirs[word], vectors[word], atol=2e-6)
    try:
        import fasttext
    except ImportError:
        return
    model = fasttext.load_model(str(tmp_path / "m.bin"))
    for word in ("king", "kingking", "thequeens"):
        np.testing.assert_allclose(model.get_word_vector(word), vectors[word], atol=2e-6)


def test_parts_changed_since_training_are_an_error(make, write, tmp_path):
    lemmas = write("l.tsv", "king\troyal\nqueen\troyal\n")
    config = make(passes=1, subwords={"mode": "joint", "parts": str(lemmas)})
    train(config, quiet=True)
    lemmas.unlink()  # the run has a copy
    assert load_model(Path(config.output)).composition.parts == ["royal"]
    RunFolder(Path(config.output)).parts.write_text("king\troyal\n")
    with pytest.raises(RunError, match=r"parts.tsv: changed or damaged"):
        load_model(Path(config.output))


def test_a_dry_run_reports_the_memory_of_all_rows(make, capsys):
    with_subwords, without = make(), make(subwords={})
    reported = []
    for config in (with_subwords, without):
        assert "per pass" in rehearse(config)
        reported.append(capsys.readouterr().err.split("memory: parameters and optimizer ")[1][:5])
    assert reported[0] != reported[1]
