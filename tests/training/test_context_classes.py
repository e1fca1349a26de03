import os
import signal
from pathlib import Path

import numpy as np
import pytest

from embedder.config_files import make_config
from embedder.errors import ConfigError, RunError
from embedder.evaluation.perplexity import evaluate_perplexity
from embedder.examples.cache import Cache
from embedder.network.parameters import Parameters
from embedder.runs.checkpoint import load_model
from embedder.runs.run_folder import RunFolder
from embedder.training.forecast import count_contexts
from embedder.training.train import train
from embedder.training.trainer import Interrupted, Trainer
from embedder.vectors.from_run import load_vectors, sum_matrices, word_vectors

GROUPED = {"contexts": 60, "context_classes": 20, "near_contexts": 30}
SHORT = {"passes": 4}


def loaded(config):
    return load_model(Path(config.output))


def assert_same(one, other):
    for a, b in zip(loaded(one).parameters, loaded(other).parameters, strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(loaded(one).kept.columns, loaded(other).kept.columns)


@pytest.fixture
def grouped(make_toy_config):
    def make(name="grouped", **sections):
        training = SHORT | sections.pop("training", {})
        return make_toy_config(name, examples=GROUPED, training=training, **sections)

    return make


def test_the_output_layer_has_rows_for_words_classes_and_positions(grouped):
    config = grouped()
    train(config, quiet=True)
    model = loaded(config)
    V, C = len(model.vocabulary), 60 + 20 + 2 * 30
    assert len(model.parameters.E) == V > 200
    assert len(model.parameters.W2) == len(model.parameters.b2) == C
    assert count_contexts(config, V) == C
    assert model.kept.columns.shape == (V,)
    assert model.kept.columns[:60].tolist() == list(range(60))
    assert sorted(set(model.kept.columns[60:])) == list(range(60, 80))


def test_its_loss_is_near_that_of_a_full_output_layer(grouped, make_toy_config):
    held_out = {"fraction": 0.1}
    full = make_toy_config("full", training={"passes": 20}, validation=held_out)
    train(full, quiet=True)
    config = grouped(training={"passes": 20}, validation=held_out)
    train(config, quiet=True)
    losses = [loaded(run).metadata["validation_loss"] for run in (full, config)]
    # The full layer overfits more than classes do; without the shares of words in their classes,
    # the loss would be lower by more than a nat.
    assert losses[1] == pytest.approx(losses[0], abs=0.1)


def test_held_out_text_is_scored_alike_while_training_and_afterwards(grouped, toy_files, tmp_path):
    sentences = toy_files[0].read_text().splitlines(keepends=True)
    held_out, rest = tmp_path / "held-out.txt", tmp_path / "rest.txt"
    held_out.write_text("".join(sentences[:300]))
    rest.write_text("".join(sentences[300:]))
    config = grouped(corpus={"files": [str(rest)], "tokenizer": "whitespace"})
    train(config, quiet=True)
    model = loaded(config)
    found = evaluate_perplexity(model, str(held_out))
    assert 1 < found.perplexity < len(model.vocabulary)
    without = evaluate_perplexity(model, str(rest))
    assert without.nats < found.nats + 0.5


@pytest.mark.parametrize("kind", ["input", "hidden", "output", "sum"])
def test_every_word_has_a_vector_of_every_kind(grouped, kind):
    config = grouped()
    train(config, quiet=True)
    vectors = load_vectors(Path(config.output), kind)
    assert vectors.matrix.shape == (len(vectors.vocabulary), 32)
    assert (np.linalg.norm(vectors.matrix, axis=1) > 0).all()


def test_words_of_a_class_share_output_vectors_and_their_sum_does_without(rng, grouped):
    config = grouped()
    train(config, quiet=True)
    model = loaded(config)
    kinds = {
        kind: word_vectors(model.parameters, "sigmoid", kind, model.kept.columns)
        for kind in ("output", "hidden", "sum")
    }
    one, two = np.flatnonzero(model.kept.columns == model.kept.columns[-1])[:2]
    np.testing.assert_array_equal(kinds["output"][one], kinds["output"][two])
    assert (kinds["sum"][one] != kinds["sum"][two]).any()
    hidden = kinds["hidden"] / np.linalg.norm(kinds["hidden"], axis=1, keepdims=True)
    *_, tempering = sum_matrices(model.parameters, "sigmoid", model.columns.of_words)
    total = kinds["sum"] @ np.linalg.inv(tempering)
    np.testing.assert_allclose(total[[one, two]], hidden[[one, two]], rtol=1e-4, atol=1e-5)


def test_words_alone_in_their_class_have_its_output_in_their_sum(rng):
    # Words 2 and 3 are alone in classes that have each other's number; 4 and 5 share one.
    columns = np.array([0, 1, 3, 2, 4, 4])
    shapes = (6, 3), (3, 3), (3,), (5, 3), (5,)
    parameters = Parameters(*(rng.normal(size=shape).astype(np.float32) for shape in shapes))
    in_order = parameters._replace(W2=parameters.W2[[0, 1, 3, 2, 4]])
    found = word_vectors(parameters, "sigmoid", "sum", columns)
    expected = word_vectors(in_order, "sigmoid", "sum", np.array([0, 1, 2, 3, 4, 4]))
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_the_number_of_threads_that_count_and_group_changes_no_class(grouped):
    one, two = grouped("one", training={"threads": 1}), grouped("two")
    for config in (one, two):
        train(config, quiet=True)
    np.testing.assert_array_equal(loaded(one).kept.columns, loaded(two).kept.columns)


def test_an_interrupted_run_resumes_with_its_classes(grouped, monkeypatch):
    whole = grouped("whole", validation={"fraction": 0.1})
    train(whole, quiet=True)
    config = grouped("stopped", validation={"fraction": 0.1})
    original = Trainer.steps

    def interrupt(self, batches):
        if self.number == 9:
            os.kill(os.getpid(), signal.SIGINT)
        return original(self, batches)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "steps", interrupt)
        with pytest.raises(Interrupted):
            train(config, quiet=True)
        assert RunFolder(Path(config.output)).checkpoints()
    with monkeypatch.context() as patch:  # the counts are not factorised again
        patch.setattr("embedder.examples.spectral.factorise", None)
        train(config, resume=True, quiet=True)
    assert_same(whole, config)
    for key in ("validation_loss",):
        assert loaded(whole).metadata[key] == loaded(config).metadata[key]


def test_counts_in_the_cache_serve_any_classes(grouped, make_toy_config, tmp_path):
    cache = Cache(tmp_path / "cache")
    plain, config = make_toy_config("plain", training=SHORT), grouped("cached")
    for run in (plain, config):
        run_config = run.model_copy(
            update={"examples": run.examples.model_copy(update={"near_contexts": 30})}
        )
        train(run_config, quiet=True, cache=cache)
    assert sum(entry.name.startswith("counts") for entry, _ in cache.entries()) == 1
    direct = grouped("direct")
    train(direct, quiet=True)
    assert_same(config, direct)


def test_columns_of_another_run_are_noticed(grouped, make_toy_config, tmp_path):
    config = grouped()
    train(config, quiet=True)
    folder = RunFolder(Path(config.output))
    other = make_toy_config("other", training=SHORT, vocabulary={"max_size": 100})
    train(other, quiet=True)
    folder.model.rename(RunFolder(Path(other.output)).model)
    with pytest.raises(RunError, match=r"vocabulary\.tsv: changed or damaged"):
        load_model(Path(other.output))


def test_classes_start_at_random_too(grouped):
    config = grouped(network={"initialisation": "random"})
    train(config, quiet=True)
    assert loaded(config).kept.columns is not None


@pytest.mark.parametrize("key", ["contexts", "context_classes"])
def test_classes_where_they_have_no_effect_are_refused(key):
    def make(**sections):
        return make_config({"corpus": {"files": ["a"]}} | sections, "test")

    with pytest.raises(ConfigError, match=rf"examples\.{key}: has no effect"):
        make(examples={"source": "windows", key: 5})
    assert count_contexts(make(examples={"source": "windows"}), 50_000) == 50_000


def test_large_vocabularies_are_grouped_automatically():
    config = make_config({"corpus": {"files": ["a"]}}, "test")
    assert count_contexts(config, 1000) == 3000
    assert count_contexts(config, 20_000) == 40_000
    assert count_contexts(config, 20_001) == count_contexts(config, 2_000_000) == 36_000
