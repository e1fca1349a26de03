import itertools
import os
import signal
from pathlib import Path

import naive
import numpy as np
import pytest
from scipy.optimize import minimize

from embedder.config_automatic import closing_steps, joint_rows
from embedder.config_files import make_config
from embedder.errors import ConfigError
from embedder.examples.batches import CountedRows
from embedder.examples.cells import Cooccurrences
from embedder.kernels.threads import kernel_threads
from embedder.network.parameters import Parameters
from embedder.runs.checkpoint import load_checkpoint, load_model
from embedder.runs.run_folder import RunFolder
from embedder.training import row_fit
from embedder.training.descent import Prior
from embedder.training.frozen_layers import FrozenLayers
from embedder.training.row_fit import (
    TOLERANCE,
    cost_in_passes,
    fit_here,
    fit_of_range,
    fit_rows,
    fits_with_prior,
    ranges_to_fit,
)
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


def config_of(network=None, **training):
    tree = {"corpus": {"files": ["a"]}, "network": network or {}, "training": training}
    return make_config(tree, "test")


def fit(parameters, counts, steps, prior=20.0, threads=1, joint=V, **network):
    found = parameters._replace(E=parameters.E.copy())
    config = config_of(network, closing_steps=steps, prior_strength=prior, joint_rows=joint)
    layers = FrozenLayers(config.network.activation, found)
    with kernel_threads(threads):
        for first, last in ranges_to_fit(config, len(found.E)):
            own = fit_of_range(config, found.E, first, last)
            found.E[first:last] = fit_rows(layers, own, counts.rows(first, last))[0]
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


def test_rows_that_were_not_trained_jointly_converge(rng, counts):
    parameters = parameters_of(rng)
    parameters.W2[:] *= 0.3
    cells, dense = counts
    E = fit(parameters, cells, 0, joint=10)
    np.testing.assert_array_equal(E[:10], parameters.E[:10])
    many = fit(parameters, cells, 100)
    start, end, best = (
        objective(rows, parameters, dense, 20.0)[0][10:-1] for rows in (parameters.E, E, many)
    )
    totals = dense.sum(1)[10:-1]
    assert ((start - best) / totals).max() > 0.1
    # One step more would lower the loss by less than the tolerance; convergence is linear.
    assert ((end - best) / totals).max() < 5 * TOLERANCE


def test_a_converged_row_is_evaluated_no_more(rng, counts):
    parameters = parameters_of(rng)
    config = config_of(closing_steps=0, joint_rows=1)
    evaluations = []
    for tolerance in (np.inf, 3e-3, 1e-4):
        with kernel_threads(1):
            layers = FrozenLayers("sigmoid", parameters)
            own = fit_of_range(config, parameters.E, 1, V)._replace(tolerance=tolerance)
            evaluations.append(fit_rows(layers, own, counts[0].rows(1, V))[1])
    assert evaluations[0] == V - 2  # the start needs none, and the last word has no neighbour
    assert evaluations[0] < evaluations[1] < evaluations[2] < 20 * V


@pytest.mark.parametrize("activation", ["sigmoid", "identity"])
def test_with_a_prior_many_steps_find_the_minimum_that_scipy_finds(
    rng, counts, activation, monkeypatch
):
    monkeypatch.setattr(row_fit, "_FINE_TOLERANCE", 1e-9)
    parameters = parameters_of(rng, dtype=np.float64)
    parameters.W2[:] *= 0.3
    cells, dense = counts
    means, weights = rng.normal(size=(V, D)), rng.uniform(0, 3, V) * dense.sum(1)
    weights[5] = 0
    layers = FrozenLayers(activation, parameters)
    values, vectors = layers.curvature
    P = vectors @ np.diag(values) @ vectors.T
    E = np.zeros((V, D))
    work = fits_with_prior(E, CountedRows(cells), Prior(2.0, means, weights))
    for first, rows in fit_here(layers, ((own._replace(steps=300), part) for own, part in work)):
        E[first : first + len(rows)] = rows

    def total(flat):
        x = flat.reshape(V, D)
        value, gradient = objective(x, parameters, dense, 0.0, activation)
        moved = x - means
        pulled = weights[:, None] * (moved @ P) + 2.0 * moved
        return (value + (moved * pulled).sum(1) / 2).sum(), (gradient + pulled).reshape(-1)

    found = E.copy()
    found[-1] = means[-1]  # without a neighbour, it keeps what it was given
    best = minimize(total, found.reshape(-1), jac=True, method="L-BFGS-B")
    start, end = total(means.reshape(-1))[0], total(found.reshape(-1))[0]
    assert end - best.fun < 1e-3 * (start - best.fun)
    assert not E[-1].any()


def test_a_row_does_not_depend_on_the_others(rng, counts):
    parameters = parameters_of(rng, dtype=np.float64)
    cells, _ = counts
    whole = fit(parameters, cells, 3)
    few = Cooccurrences(cells.offsets[:6], cells.columns, cells.weights)
    part = fit(parameters._replace(E=parameters.E[:5]), few, 3, joint=5)
    np.testing.assert_allclose(part, whole[:5], rtol=1e-9)


CLOSING = {"passes": 2, "closing_steps": 3}
TAIL = {"passes": 2, "joint_rows": 30, "closing_steps": 1}


def loaded(config):
    return load_model(Path(config.output))


def test_a_run_fits_rows_of_e_and_nothing_else(make_toy_config):
    plain = make_toy_config(
        "plain", training={"passes": 2, "closing_steps": 0}, validation={"fraction": 0.1}
    )
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


def test_rows_of_rare_words_are_fitted_after_the_passes(make_toy_config, monkeypatch):
    options = {"training": {"joint_rows": 150}, "validation": {"fraction": 0.1}}
    fitted = make_toy_config("fitted", **options)
    train(fitted, quiet=True)
    unfitted = make_toy_config("unfitted", **options)
    with monkeypatch.context() as patch:
        patch.setattr(row_fit, "fit_rows", lambda layers, own, counts: (own.x, 0))
        train(unfitted, quiet=True)
    part, start = loaded(fitted), loaded(unfitted)
    assert (part.parameters.E[150:] != start.parameters.E[150:]).any(axis=1).all()
    assert part.metadata["validation_loss"] < start.metadata["validation_loss"] - 0.1


@pytest.mark.parametrize("training", [CLOSING, TAIL])
def test_an_interrupted_fit_resumes_bit_identically(make_toy_config, monkeypatch, training):
    monkeypatch.setattr(row_fit, "ROWS_AT_ONCE", 16)
    whole = make_toy_config("whole", training=training)
    train(whole, quiet=True)
    config = make_toy_config("stopped", training=training)
    original, calls = row_fit.fit_rows, []

    def interrupt(layers, own, counts):
        calls.append(own.first)
        if len(calls) == 3:
            os.kill(os.getpid(), signal.SIGINT)
        return original(layers, own, counts)

    with monkeypatch.context() as patch:
        patch.setattr(row_fit, "fit_rows", interrupt)
        with pytest.raises(Interrupted, match="fit of rows, word"):
            train(config, quiet=True)
        assert len(calls) == 3
        state, _ = load_checkpoint(RunFolder(Path(config.output)))
        joint = training.get("joint_rows", len(state.parameters.E))
        assert len(state.optimizer["first.E"]) == joint
        train(config, resume=True, quiet=True)
    assert calls == sorted(set(calls))
    for one, other in zip(loaded(whole).parameters, loaded(config).parameters, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("key", ["closing_steps", "joint_rows"])
@pytest.mark.parametrize(
    "sections",
    [
        {"examples": {"source": "windows"}},
        {"subwords": {"max_n": 5, "mode": "joint"}},
    ],
)
def test_a_fit_that_is_impossible_is_refused_and_automatically_left_out(
    make_toy_config, sections, key
):
    with pytest.raises(ConfigError, match=rf"training\.{key}: expected"):
        make_toy_config(training={key: 1}, **sections)
    config = make_toy_config(**sections)
    assert closing_steps(config) == 0
    assert joint_rows(config, 100_000) == 100_000
    assert cost_in_passes(config, 100_000) == 0


def test_the_cost_is_that_of_the_evaluations():
    assert cost_in_passes(config_of(closing_steps=0), 100) == 0
    assert cost_in_passes(config_of(closing_steps=2), 100) == 2
    few = cost_in_passes(config_of(closing_steps=2, joint_rows=100), 300)
    assert few == pytest.approx(2 + 2 * row_fit._EXPECTED_EVALUATIONS * 2 / 3)


def test_rows_fitted_afterwards_are_drawn_to_the_means_of_their_prior(rng, counts):
    parameters = parameters_of(rng, dtype=np.float64)
    means = rng.normal(size=(V, D))
    layers = FrozenLayers("sigmoid", parameters)
    own = counts[0].rows(10, V)
    for strength, nearest in ((1e9, 1e-3), (1e-3, np.inf)):
        config = config_of(closing_steps=0, joint_rows=10, prior_strength=strength)
        fit = fit_of_range(
            config, parameters.E, 10, V, spelled=lambda first, last: means[first:last]
        )
        with kernel_threads(1):
            found, _ = fit_rows(layers, fit, own)
        moved = np.abs(found - means[10:])[:-1].max(axis=1)
        assert moved.max() < nearest
        np.testing.assert_array_equal(found[-1], parameters.E[-1])  # without a neighbour
    assert moved.min() > 0.1


def test_spelling_moves_no_row_but_those_fitted_afterwards(make_toy_config):
    runs = {
        prior: make_toy_config(prior, training={"passes": 2, "joint_rows": 60, "prior": prior})
        for prior in ("spelling", "zero")
    }
    for config in runs.values():
        train(config, quiet=True)
    spelt, plain = (loaded(config).parameters for config in runs.values())
    np.testing.assert_array_equal(spelt.E[:60], plain.E[:60])
    assert (spelt.E[60:] != plain.E[60:]).any(axis=1).mean() > 0.9
    for name in ("W1", "b1", "W2", "b2"):
        np.testing.assert_array_equal(getattr(spelt, name), getattr(plain, name))
