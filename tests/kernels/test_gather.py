import naive
import numpy as np
import pytest

from embedder.kernels.gather import (
    RowSteps,
    count_visits,
    divide_by_window_sizes,
    gather_concat,
    gather_mean,
    group_places,
    new_groups,
    step_rows,
    sum_groups,
)
from embedder.kernels.optimizer import ADAFACTOR, ADAGRAD, ADAM, GRADIENT, SGD, Moments, Rule
from embedder.kernels.threads import kernel_threads

KINDS = {"sgd": SGD, "adagrad": ADAGRAD, "adam": ADAM}
DECAYS = (0.5, 0.9)
V, D = 9, 5


def windows(rng, B, K):
    """Ids with repetitions, gaps, and one window without a word."""
    ids = rng.integers(-1, V, (B, K)).astype(np.int32)
    ids[0] = -1
    return ids


def group(ids, rows):
    groups = new_groups(rows, len(ids))
    return groups, group_places(ids, groups)


@pytest.mark.parametrize("n", [0, 1, 2, 40])
@pytest.mark.parametrize("rows", [1, V])
def test_places_are_grouped_by_the_row_that_they_name(rng, n, rows):
    ids = rng.integers(-1, rows, n).astype(np.int32)
    groups = new_groups(rows, n)
    for _ in range(2):  # what a batch leaves behind does not matter to the next one
        found = group_places(ids, groups)
        expected = naive.group_places(ids.tolist())
        assert groups.rows[:found].tolist() == list(expected)
        parts = np.split(groups.order, groups.starts[1 : found + 1])[:found]
        assert [part.tolist() for part in parts] == list(expected.values())


def test_a_visit_is_counted_for_each_row_in_the_groups(rng):
    ids = np.array([3, -1, 3, 0, 8, 3], np.int32)
    visits = np.full(V, 5, np.int32)
    groups, found = group(ids, V)
    count_visits(0, found, groups, visits)
    assert np.flatnonzero(visits == 6).tolist() == [0, 3, 8]
    assert (np.delete(visits, [0, 3, 8]) == 5).all()


@pytest.mark.parametrize(("B", "K"), [(0, 3), (1, 1), (13, 4)])
def test_gradients_are_divided_by_the_words_of_their_windows(rng, B, K):
    ids = rng.integers(-1, V, (B, K)).astype(np.int32)
    d_x = rng.normal(size=(B, D))
    expected = d_x / np.maximum((ids >= 0).sum(1), 1)[:, None]
    divide_by_window_sizes(ids, d_x)
    np.testing.assert_allclose(d_x, expected, rtol=1e-14)


@pytest.mark.parametrize("threads", [1, 2, 7])
@pytest.mark.parametrize("places_per_row", [1, 4])
@pytest.mark.parametrize(("n", "rows"), [(0, V), (1, V), (400, V), (90, 64), (400, 65), (900, 300)])
def test_gradients_are_added_up_by_group(rng, n, rows, places_per_row, threads):
    ids = rng.integers(-1, rows, n).astype(np.int32)
    gradient = rng.normal(size=(-(-n // places_per_row), D))
    groups, found = group(ids, rows)
    out = np.full((found, D), np.nan)
    with kernel_threads(threads):
        sum_groups(groups, found, gradient, places_per_row, out)
    expected = naive.sum_groups(naive.group_places(ids.tolist()), gradient, places_per_row)
    np.testing.assert_allclose(out, np.reshape(expected, out.shape), rtol=1e-12, atol=1e-13)


def move_rows(
    table, ids, gradient, places_per_row, moments, visits, rule, threads, rates=None, columns=None
):
    groups = new_groups(len(table), ids.size)
    found = group_places(ids.reshape(-1), groups)
    count_visits(0, found, groups, visits)
    t = np.arange(1, 100)
    momentum = 0.0 if rule.kind == ADAFACTOR else rule.decay1
    corrections = np.sqrt(1 - rule.decay2**t) / (1 - momentum**t)
    rates = np.empty(0, np.float32) if rates is None else rates
    columns = np.empty(0, table.dtype) if columns is None else columns
    steps = RowSteps(moments, columns, visits, rates, rule, corrections)
    with kernel_threads(threads):
        step_rows(table, groups, found, gradient, places_per_row, steps)


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize(("B", "K"), [(1, 1), (11, 4), (256, 2), (600, 3)])
def test_inputs_are_gathered_from_the_table(rng, threads, B, K):
    table, ids = rng.normal(size=(V, D)), windows(rng, B, K)
    mean, concat = np.empty((B, D)), np.empty((B, K * D))
    with kernel_threads(threads):
        gather_mean(table, ids, mean)
        gather_concat(table, ids, concat)
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
        divide_by_window_sizes(ids, d_x)
    moments = Moments(gradient, gradient[:0])
    rule = Rule(GRADIENT, 0.0, 0.0, 0.0, 0.0)
    places = K if combine == "mean" else 1
    move_rows(
        np.zeros((V, D)), ids, d_x.reshape(-1, D), places, moments, np.zeros(V, np.int32), rule,
        threads,
    )  # fmt: skip
    np.testing.assert_allclose(gradient, expected, rtol=1e-12, atol=1e-14)


def test_the_sum_of_a_row_has_the_same_bits_for_any_number_of_threads(rng):
    ids = (rng.random((400, 3)) ** 3 * 200).astype(np.int32)
    d_x = rng.normal(size=(400, D)).astype(np.float32)
    tables = []
    for threads in (1, 2, 7):
        table = np.zeros((200, D), np.float32)
        moments = Moments(table[:0], table[:0])
        visits = np.zeros(200, np.int32)
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


@pytest.mark.parametrize("threads", [1, 2, 7])
@pytest.mark.parametrize("shrink", [0.0, 0.1])
def test_adafactor_factors_the_second_moments(rng, threads, shrink):
    rows_of_table = 300
    table, second = rng.normal(size=(rows_of_table, D)), np.zeros((rows_of_table, 1))
    visits, columns = np.zeros(rows_of_table, np.int32), np.ones(D)
    p, s, c = table.copy(), second.copy(), columns.copy()
    times = np.zeros(rows_of_table, int)
    rule = Rule(ADAFACTOR, 0.1, 0.7, 0.9, 1e-8, shrink, clip=2.0)
    for n in (250, 65, 1, 2, 130):
        rows = rng.choice(rows_of_table, n, replace=False)
        g = rng.normal(size=(n, D)) * np.arange(D)  # the first column has no gradient
        moments = Moments(second[:0], second)
        move_rows(table, rows, g.copy(), 1, moments, visits, rule, threads, columns=columns)
        times[rows] += 1
        p[rows] *= 1 - shrink
        clipped = np.clip(g, -2, 2)
        c = naive.adafactor_rows(p, rows, clipped, s, c, times[rows], 0.1, (0.7, 0.9), 1e-8)
    np.testing.assert_allclose(table, p, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(second, s, rtol=1e-12)
    np.testing.assert_allclose(columns, c, rtol=1e-11)


def test_adafactor_survives_gradients_too_small_to_be_squared():
    table, second = np.zeros((V, D), np.float32), np.zeros((V, 1), np.float32)
    columns = np.ones(D, np.float32)
    g = np.full((V, D), 1e-25, np.float32)
    g[1] = 0
    moments, visits = Moments(table[:0], second), np.zeros(V, np.int32)
    rule = Rule(ADAFACTOR, 0.1, 0.9, 0.999, 1e-8)
    move_rows(table, np.arange(V), g, 1, moments, visits, rule, 1, columns=columns)
    assert np.isfinite(table).all()
    assert columns.tolist() == [1] * D


def test_factors_have_the_same_bits_for_any_number_of_threads(rng):
    ids = (rng.random((400, 3)) ** 3 * 200).astype(np.int32)
    d_x = rng.normal(size=(400, D)).astype(np.float32)
    found = []
    for threads in (1, 2, 7):
        table, second = np.zeros((200, D), np.float32), np.zeros((200, 1), np.float32)
        columns, visits = np.ones(D, np.float32), np.zeros(200, np.int32)
        rule = Rule(ADAFACTOR, 0.1, 0.9, 0.999, 1e-8)
        for _ in range(3):
            moments = Moments(table[:0], second)
            move_rows(table, ids, d_x, 3, moments, visits, rule, threads, columns=columns)
        found.append(np.concatenate([table.ravel(), second.ravel(), columns]))
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])
