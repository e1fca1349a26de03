from pathlib import Path

import numpy as np
import pytest
from scipy.stats import ortho_group

import embedder
from embedder.arrays import unit_rows
from embedder.config_files import make_config
from embedder.errors import ConfigError
from embedder.network.composition import OwnRows, compose_words
from embedder.network.parameters import Parameters
from embedder.runs.checkpoint import load_model
from embedder.text.vocabulary import Vocabulary
from embedder.training.start import start_from_vectors
from embedder.training.train import rehearse, train
from embedder.training.trainer import Interrupted, Trainer
from embedder.vectors.from_run import load_vectors
from embedder.vectors.word_vectors import WordVectors

V, D = 30, 6
WORDS = [f"w{i}" for i in range(V)]
VOCABULARY = Vocabulary(WORDS, np.arange(V, 0, -1) * 100)


def config_of(start, hidden=D, **sections):
    network = {"dimension": D, "hidden": hidden}
    tree = {"corpus": {"files": ["a"]}, "network": network, "training": {"start": str(start)}}
    return make_config(tree | sections, "test")


def parameters_of(rng, height=V, hidden=D):
    W1 = np.eye(D, hidden, dtype=np.float32)
    return Parameters(
        rng.normal(size=(height, D)).astype(np.float32),
        W1,
        np.zeros(hidden, np.float32),
        rng.normal(size=(V, hidden)).astype(np.float32),
        np.zeros(V, np.float32),
    )


@pytest.fixture
def turned(rng):
    return ortho_group.rvs(D, random_state=3).astype(np.float32)


def save(path, words, matrix):
    counts = np.arange(len(words), 0, -1)
    embedder.save(WordVectors(Vocabulary(words, counts), matrix.astype(np.float32)), path)
    return path


@pytest.mark.parametrize("hidden", [D, D + 2, D - 2])
def test_shared_words_start_there_and_all_others_in_the_same_space(rng, turned, tmp_path, hidden):
    before = parameters_of(rng, hidden=hidden)
    given = save(tmp_path / "given.txt", [*WORDS[::2], "other"], np.vstack([
        7 * before.E[::2] @ turned, np.ones((1, D))
    ]))  # fmt: skip
    config = config_of(given, hidden)
    after = start_from_vectors(config, before, VOCABULARY, OwnRows(V))
    np.testing.assert_allclose(after.E, before.E @ turned, rtol=1e-3, atol=1e-4)

    def logits(p):
        return p.E @ p.W1 @ p.W2.T

    np.testing.assert_allclose(logits(after), logits(before), rtol=1e-3, atol=1e-4)


def test_shared_words_start_at_their_vectors_whatever_the_network_says(rng, tmp_path):
    before = parameters_of(rng)
    given = rng.normal(size=(10, D))
    path = save(tmp_path / "given.txt", WORDS[5:15], given)
    after = start_from_vectors(config_of(path), before, VOCABULARY, OwnRows(V))
    scale = np.linalg.norm(before.E[5:15]) / np.linalg.norm(given)
    np.testing.assert_allclose(after.E[5:15], scale * given, rtol=1e-4)
    np.testing.assert_allclose(
        np.linalg.norm(after.E, axis=1)[15:], np.linalg.norm(before.E, axis=1)[15:], rtol=1e-4
    )


def test_words_that_share_rows_start_near_their_vectors(rng, tmp_path):
    vectors = 0.15 * rng.normal(size=(V, D))
    config = config_of("x", subwords={"max_n": 3, "buckets": 50, "mode": "joint"})
    composition = compose_words(config, VOCABULARY, {})
    before = parameters_of(rng, composition.height)
    before = before._replace(E=composition.fit(vectors.astype(np.float32)))
    path = save(tmp_path / "given.txt", WORDS, rng.normal(size=(V, D)))
    config = config_of(path, subwords={"max_n": 3, "buckets": 50, "mode": "joint"})
    after = start_from_vectors(config, before, VOCABULARY, composition)
    found, wanted = composition.vectors(after.E), embedder.load(path).matrix
    cosines = (unit_rows(found) * unit_rows(wanted)).sum(axis=1)
    assert cosines.mean() > 0.7


@pytest.fixture
def given(toy_run, tmp_path):
    return save(tmp_path / "given.bin", (own := load_vectors(toy_run, "hidden")).words, own.matrix)


@pytest.mark.parametrize("joint", [10, 1000])
def test_a_training_stays_in_the_space_where_it_started(
    make_toy_config, toy_run, given, tmp_path, joint
):
    vectors = load_vectors(toy_run, "hidden")
    cosines = {}
    for name, start in (("alone", None), ("file", str(given)), ("run", str(toy_run))):
        training = {"passes": 2, "seed": 5, "start": start, "joint_rows": joint}
        train(make_toy_config(name, training=training), quiet=True)
        own = load_vectors(tmp_path / name, "hidden")
        found = unit_rows(own[vectors.words]) * unit_rows(vectors.matrix)
        cosines[name] = found.sum(axis=1).mean()
    assert min(cosines["file"], cosines["run"]) > 0.4
    assert cosines["alone"] < 0.3


def test_windows_start_there_too(make_toy_config, given):
    config = make_toy_config(
        examples={"source": "windows", "window": 2},
        network={"input": "concat", "initialisation": "random", "vectors": "input"},
        training={"passes": 1, "batch_size": 4096, "start": str(given), "learning_rate": 1e-9},
    )
    train(config, quiet=True)
    found, wanted = load_vectors(Path(config.output), "input"), embedder.load(given)
    cosines = (unit_rows(found[wanted.words]) * unit_rows(wanted.matrix)).sum(axis=1)
    assert cosines.min() > 0.999


def test_a_resumed_training_needs_the_vectors_no_more(make_toy_config, given, monkeypatch):
    config = make_toy_config(training={"passes": 3, "start": str(given), "checkpoint_every": 1})
    original = Trainer._checkpoint

    def stop(self, folder, end_of_pass=False):
        original(self, folder, end_of_pass)
        if end_of_pass:
            raise Interrupted("here")

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_checkpoint", stop)
        with pytest.raises(Interrupted):
            train(config, quiet=True)
    given.unlink()
    train(config, resume=True, quiet=True)
    assert load_model(Path(config.output)).metadata["passes"] == 3


def test_mistakes_are_one_sentence(make_toy_config, given, tmp_path):
    missing = make_toy_config(training={"start": "none.bin"})
    for act in (train, rehearse):
        with pytest.raises(ConfigError, match=r"training\.start: none\.bin: no such run or file"):
            act(missing, quiet=True)
    short = make_toy_config(network={"dimension": 16}, training={"start": str(given)})
    with pytest.raises(ConfigError, match=r"have 32 dimensions; expected network\.dimension, 16"):
        train(short, quiet=True)
    other = save(tmp_path / "other.txt", ["ÄÖ", "ÜÜ"], np.ones((2, 32)))
    with pytest.raises(ConfigError, match=r"none of the text's .* words"):
        train(make_toy_config(training={"start": str(other)}), quiet=True)
