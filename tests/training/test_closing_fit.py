import itertools
import os
import signal
from pathlib import Path

import naive
import numpy as np
import pytest
from scipy.optimize import minimize

from embedder.config_sections import NetworkConfig, TrainingConfig
from embedder.errors import ConfigError
from embedder.examples.batches import CountedRows
from embedder.examples.cooccurrence import Cooccurrences
from embedder.kernels import frozen
from embedder.kernels.threads import kernel_threads
from embedder.network.parameters import Parameters
from embedder.runs.checkpoint import load_model
from embedder.runs.run_folder import RunFolder
from embedder.training import closing_fit
from embedder.training.closing_fit import ClosingFit, cost_in_passes
from embedder.training.train import train
from embedder.training.trainer import Interrupted

V, C, D, H = 40, 60, 5, 6


@pytest.fixture
def counts(rng):
    """Counts whose last word has no neighbour."""
    dense = rng.integers(1, 50, (V, C)) * (rng.random((V, C)) < 0.4)
    dense[:, 0] += 1
    dense[:3] *= 1000
    dense[-1] = 0
    rows, columns = np.nonzero(dense)
    weights = dense[rows, columns].astype(np.float32)
    offsets = np.searchsorted(rows, np.arange(V + 1))
    return Cooccurrences(offsets, columns.astype(np.int32), weights), dense


def parameters_of(rng, width=H, dtype=np.float32):
    shapes = (V, D), (D, H), (H,), (C, width), (C,)
    return Parameters(*(rng.normal(size=shape).astype(dtype) for shape in shapes))


def fit(parameters, counts, steps, prior=20.0, threads=1, **network):
    found = parameters._replace(E=parameters.E.copy())
    training = TrainingConfig(closing_steps=steps, prior_strength=prior)
    rows = CountedRows(counts)
    with kernel_threads(threads):
        ClosingFit(NetworkConfig(**network), found, rows, training, threads).fit(0, V)
    return found.E


def objective(E, parameters, dense, prior, activation="sigmoid", direct=False):
    totals = dense.sum(axis=1)
    targets = dense / np.maximum(totals, 1)[:, None]
    E, *layers = (array.astype(np.float64) for array in parameters._replace(E=E))
    losses, d_x = naive.loss_of_inputs(E, layers, activation, targets, direct)
    value = totals * losses + prior / 2 * (E**2).sum(axis=1)
    return value, totals[:, None] * d_x + prior * E


@pytest.mark.parametrize("direct", [False, True])
@pytest.mark.parametrize("activation", ["sigmoid", "tanh", "identity"])
def test_no_words_loss_rises_and_most_fall(rng, counts, activation, direct):
    parameters = parameters_of(rng, H + D if direct else H)
    cells, dense = counts
    values = [
        objective(E, parameters, dense, 20.0, activation, direct)[0]
        for E in (
            parameters.E,
            *(fit(parameters, cells, n, activation=activation, direct=direct) for n in (1, 2, 8)),
        )
    ]
    for before, after in itertools.pairwise(values):
        assert (after <= before * (1 + 1e-5)).all()
    assert np.mean(values[-1] < 0.99 * values[0]) > 0.8


def test_many_steps_find_the_minimum_that_scipy_finds(rng, counts):
    parameters = parameters_of(rng, dtype=np.float64)
    parameters.W2[:] *= 0.3  # predictions as close to u as those of most words are
    cells, dense = counts
    E = fit(parameters, cells, 300)

    def total(flat):
        value, gradient = objective(flat.reshape(V, D), parameters, dense, 20.0)
        return value.sum(), gradient.reshape(-1)

    best = minimize(total, E.reshape(-1), jac=True, method="L-BFGS-B", options={"maxiter": 500})
    start, end = (objective(rows, parameters, dense, 20.0)[0][:-1] for rows in (parameters.E, E))
    assert end.sum() - best.fun < 1e-3 * (start.sum() - best.fun)


def test_a_word_without_a_neighbour_keeps_its_row(rng, counts):
    parameters = parameters_of(rng)
    E = fit(parameters, counts[0], 3)
    np.testing.assert_array_equal(E[-1], parameters.E[-1])
    assert (E[:-1] != parameters.E[:-1]).any(axis=1).all()


def test_a_strong_prior_shrinks_rows(rng, counts):
    parameters = parameters_of(rng)
    lengths = [np.linalg.norm(fit(parameters, counts[0], 8, prior)[3:-1]) for prior in (1, 1e6)]
    assert lengths[1] < 0.1 * lengths[0]


def test_the_number_of_threads_changes_no_bit(rng, counts):
    parameters = parameters_of(rng)
    one, two = (fit(parameters, counts[0], 4, threads=threads) for threads in (1, 2))
    np.testing.assert_array_equal(one, two)


CLOSING = {"passes": 2, "closing_steps": 3}


def loaded(config):
    return load_model(Path(config.output))


def test_a_run_fits_rows_of_e_and_nothing_else(make_toy_config):
    plain = make_toy_config("plain", training={"passes": 2}, validation={"fraction": 0.1})
    fitted = make_toy_config("fitted", training=CLOSING, validation={"fraction": 0.1})
    train(plain, quiet=True)
    train(fitted, quiet=True)
    before, after = loaded(plain), loaded(fitted)
    for name in ("W1", "b1", "W2", "b2"):
        np.testing.assert_array_equal(
            getattr(before.parameters, name), getattr(after.parameters, name)
        )
    assert (before.parameters.E != after.parameters.E).any()
    assert after.metadata["validation_loss"] < before.metadata["validation_loss"]


def test_an_interrupted_fit_resumes_bit_identically(make_toy_config, monkeypatch):
    monkeypatch.setattr(frozen, "WORDS_PER_BLOCK", 16)
    monkeypatch.setattr(closing_fit, "_BLOCKS_PER_THREAD", 1)
    whole = make_toy_config("whole", training=CLOSING)
    train(whole, quiet=True)
    config = make_toy_config("stopped", training=CLOSING)
    original, calls = ClosingFit.fit, []

    def interrupt(self, first, last):
        calls.append(first)
        if len(calls) == 2:
            os.kill(os.getpid(), signal.SIGINT)
        original(self, first, last)

    with monkeypatch.context() as patch:
        patch.setattr(ClosingFit, "fit", interrupt)
        with pytest.raises(Interrupted, match="closing fit, word"):
            train(config, quiet=True)
        assert len(calls) == 2
        assert RunFolder(Path(config.output)).checkpoints()
        train(config, resume=True, quiet=True)
    assert calls == sorted(set(calls))
    for one, other in zip(loaded(whole).parameters, loaded(config).parameters, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    "sections",
    [
        {"examples": {"source": "windows"}},
        {"subwords": {"max_n": 5}},
        {"training": {"engine": "ray"}},
    ],
)
def test_a_fit_that_is_impossible_is_refused(make_toy_config, sections):
    training = sections.pop("training", {}) | {"closing_steps": 1}
    with pytest.raises(ConfigError, match=r"training\.closing_steps: expected"):
        make_toy_config(training=training, **sections)


def test_the_cost_is_that_of_the_evaluations():
    assert cost_in_passes(TrainingConfig(closing_steps=0)) == 0
    assert cost_in_passes(TrainingConfig(closing_steps=2)) == 2
