import naive
import numpy as np
import pytest

from embedder.kernels.gather import (
    count_visits,
    divide_by_window_sizes,
    gather_concat,
    gather_mean,
    group_places,
    new_groups,
    step_rows,
)
from embedder.kernels.optimizer import ADAGRAD, ADAM, GRADIENT, SGD, Moments, Rule

KINDS = {"sgd": SGD, "adagrad": ADAGRAD, "adam": ADAM}
DECAYS = (0.5, 0.9)
V, D = 9, 5


def windows(rng, B, K):
    """Ids with repetitions, gaps, and one window without a word."""
    ids = rng.integers(-1, V, (B, K)).astype(np.int32)
    ids[0] = -1
    return ids


def move_rows(table, ids, gradient, places_per_row, moments, visits, rule, threads, rates=None):
    groups = new_groups(len(table), ids.size)
    found = group_places(ids.reshape(-1), groups)
    count_visits(groups, found, visits)
    t = np.arange(1, 100)
    corrections = np.sqrt(1 - rule.decay2**t) / (1 - rule.decay1**t)
    rates = np.empty(0, np.float32) if rates is None else rates
    step_rows(
        table, groups, found, gradient, places_per_row, moments, visits, rates, rule, corrections,
        threads,
    )  # fmt: skip


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("K", [1, 4])
def test_inputs_are_gathered_from_the_table(rng, threads, K):
    table, ids = rng.normal(size=(V, D)), windows(rng, 11, K)
    mean, concat = np.empty((11, D)), np.empty((11, K * D))
    gather_mean(table, ids, threads, mean)
    gather_concat(table, ids, threads, concat)
    np.testing.assert_allclose(mean, naive.gather(table, ids, "mean"), rtol=1e-14)
    np.testing.assert_array_equal(concat, naive.gather(table, ids, "concat"))


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("combine", ["mean", "concat"])
def test_gradients_are_scattered_back_to_every_row(rng, combine, threads):
    B, K = 13, 4
    ids = windows(rng, B, K)
    d_x = rng.normal(size=(B, D if combine == "mean" else K * D))
    expected = naive.scatter(np.zeros((V, D)), ids, d_x, combine)
    gradient = np.zeros((V, D))
    if combine == "mean":
        divide_by_window_sizes(ids, threads, d_x)
    moments = Moments(gradient, gradient[:0])
    rule = Rule(GRADIENT, 0.0, 0.0, 0.0, 0.0)
    places = K if combine == "mean" else 1
    move_rows(
        np.zeros((V, D)), ids, d_x.reshape(-1, D), places, moments, np.zeros(V, np.int32), rule,
        threads,
    )  # fmt: skip
    np.testing.assert_allclose(gradient, expected, rtol=1e-12, atol=1e-14)


def test_the_sum_of_a_row_has_the_same_bits_for_any_number_of_threads(rng):
    ids = rng.integers(0, 3, (400, 3)).astype(np.int32)
    d_x = rng.normal(size=(400, D)).astype(np.float32)
    tables = []
    for threads in (1, 2, 7):
        table = np.zeros((V, D), np.float32)
        moments = Moments(table[:0], table[:0])
        visits = np.zeros(V, np.int32)
        move_rows(table, ids, d_x, 3, moments, visits, Rule(SGD, 0.1, 0.0, 0.0, 0.0), threads)
        tables.append(table)
    np.testing.assert_array_equal(tables[0], tables[1])
    np.testing.assert_array_equal(tables[0], tables[2])


@pytest.mark.parametrize("name", KINDS)
def test_every_row_corrects_by_its_own_number_of_steps(rng, name):
    table, first, second = rng.normal(size=(V, D)), np.zeros((V, D)), np.zeros((V, D))
    visits = np.zeros(V, np.int32)
    p, m, s = table.copy(), first.copy(), second.copy()
    times = np.zeros(V, int)
    for _ in range(6):
        rows = rng.choice(V, 4, replace=False)
        g = rng.normal(size=(4, D))
        rule = Rule(KINDS[name], 0.1, *DECAYS, 1e-8)
        move_rows(table, rows, g, 1, Moments(first, second), visits, rule, 2)
        for i, row in enumerate(rows):
            times[row] += 1
            p[row], m[row], s[row] = naive.optimizer_step(
                name, p[row], g[i], m[row], s[row], times[row], 0.1, DECAYS, 1e-8
            )
    assert visits.tolist() == times.tolist()
    np.testing.assert_allclose(table, p, rtol=1e-12, atol=1e-14)
