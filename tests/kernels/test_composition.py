import naive
import numpy as np
import pytest

from embedder.config_sections.training import TrainingConfig
from embedder.kernels.composition import (
    compose,
    count_rows,
    divide_by_row_counts,
    group_rows,
    number_places,
)
from embedder.kernels.gather import group_places, new_groups
from embedder.kernels.threads import kernel_threads
from embedder.network.composition import SharedRows
from embedder.network.inputs import Inputs
from embedder.network.optimizer import Optimizer
from embedder.network.parameters import Parameters

V, R, D = 7, 12, 5


@pytest.fixture
def composition(rng):
    """Words of one to five rows; some rows are in several words, or twice in one."""
    sizes = np.array([1, 5, 3, 2, 4, 1, 3])
    starts = np.concatenate([[0], np.cumsum(sizes)])
    rows = rng.integers(V, R, starts[-1]).astype(np.int32)
    rows[starts[:-1]] = np.arange(V)
    rows[starts[1] + 1 : starts[1] + 3] = V  # the same twice
    return SharedRows(starts, rows, np.arange(R - V), [], np.full(R, 10**9))


def some_words(rng, m):
    return rng.integers(0, V, m)


@pytest.mark.parametrize("n", [0, 1, 2, 40])
def test_places_have_the_number_of_their_group(rng, n):
    ids = rng.integers(-1, V, n).astype(np.int32)
    groups, local = new_groups(V, n), np.full(n, -9)
    number_places(groups, group_places(ids, groups), local)
    assert local.tolist() == naive.number_places(naive.group_places(ids.tolist()), n)


@pytest.mark.parametrize("threads", [1, 2, 7])
@pytest.mark.parametrize(("m", "width"), [(0, 3), (1, 1), (63, 15), (64, 16), (200, 17)])
def test_vectors_are_the_means_of_the_words_rows(rng, composition, m, width, threads):
    E, words = rng.normal(size=(R, width)), some_words(rng, m)
    out = np.full((m, width), np.nan)
    with kernel_threads(threads):
        compose(E, composition.starts, composition.rows, words, out)
    expected = naive.compose(E, composition.starts, composition.rows)[words]
    np.testing.assert_allclose(out, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("m", [0, 1, 6, 7, 8])
def test_gradients_are_divided_by_the_words_number_of_rows(rng, composition, m):
    words, gradient = some_words(rng, m), rng.normal(size=(m, D))
    expected = gradient / np.diff(composition.starts)[words, None]
    divide_by_row_counts(composition.starts, words, gradient)
    np.testing.assert_allclose(gradient, expected, rtol=1e-14)


@pytest.mark.parametrize("m", [0, 1, 6, 30])
def test_rows_of_words_are_counted(rng, composition, m):
    words = some_words(rng, m)
    expected = sum(len(rows_of(composition, word)) for word in words)
    assert count_rows(composition.starts, words) == expected


@pytest.mark.parametrize("m", [0, 1, 6, 30])
def test_words_are_grouped_by_their_rows(rng, composition, m):
    groups = new_groups(R, 5 * 30)
    for words in (some_words(rng, m), some_words(rng, m)):
        found = group_rows(composition.starts, composition.rows, words, groups)
        expected = naive.group_rows(composition.starts, composition.rows.tolist(), words)
        assert groups.rows[:found].tolist() == list(expected)
        parts = np.split(groups.order, groups.starts[1 : found + 1])[:found]
        assert [part.tolist() for part in parts] == list(expected.values())
        assert not groups.tally.any()


def test_composing_has_the_same_bits_for_any_number_of_threads(rng, composition):
    E = rng.normal(size=(R, 17)).astype(np.float32)
    words = some_words(rng, 300)
    runs = []
    for threads in (1, 2, 7):
        out = np.empty((300, 17), np.float32)
        with kernel_threads(threads):
            compose(E, composition.starts, composition.rows, words, out)
        runs.append(out)
    np.testing.assert_array_equal(runs[0], runs[1])
    np.testing.assert_array_equal(runs[0], runs[2])


def windows(rng, B, K):
    ids = rng.integers(-1, V, (B, K)).astype(np.int32)
    ids[0] = -1
    return ids


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize(("combine", "K"), [("mean", 1), ("mean", 4), ("concat", 4)])
def test_words_are_gathered_as_means_of_their_rows(rng, composition, combine, K, threads):
    E, ids = rng.normal(size=(R, D)), windows(rng, 11, K)
    x = np.empty((11, D if combine == "mean" else K * D))
    with kernel_threads(threads):
        Inputs(E, combine == "concat", 11, composition).gather(ids, x)
        found = composition.vectors(E)
    words = naive.compose(E, composition.starts, composition.rows)
    np.testing.assert_allclose(x, naive.gather(words, ids, combine), rtol=1e-13, atol=1e-15)
    np.testing.assert_allclose(found, words, rtol=1e-13)


def recorded_gradient(rng, E, ids, d_x, combine, composition, threads):
    nothing = np.zeros(0)
    parameters = Parameters(E, nothing, nothing, np.zeros((V, 1)), nothing)
    recorder = Optimizer(parameters, TrainingConfig(), gradients_only=True)
    inputs = Inputs(E, combine == "concat", len(ids), composition)
    with kernel_threads(threads):
        inputs.step(ids, d_x.copy(), recorder.context(0, 0.1))
    return recorder


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize(("combine", "K"), [("mean", 1), ("mean", 4), ("concat", 4)])
def test_gradients_go_to_every_row_of_every_word(rng, composition, combine, K, threads):
    B = 13
    E, ids = rng.normal(size=(R, D)), windows(rng, B, K)
    d_x = rng.normal(size=(B, D if combine == "mean" else K * D))
    recorder = recorded_gradient(rng, E, ids, d_x, combine, composition, threads)
    d_words = naive.scatter(np.zeros((V, D)), ids, d_x, combine)
    expected = naive.hand_on(d_words, composition.starts, composition.rows, R)
    np.testing.assert_allclose(recorder.first["E"], expected, rtol=1e-12, atol=1e-14)
    used = {row for word in ids[ids >= 0] for row in rows_of(composition, word)}
    assert set(np.flatnonzero(recorder.visits["E"])) == used


def rows_of(composition, word):
    return composition.rows[composition.starts[word] : composition.starts[word + 1]].tolist()


def test_steps_have_the_same_bits_for_any_number_of_threads(rng, composition):
    ids = windows(rng, 400, 3)
    d_x = rng.normal(size=(400, D)).astype(np.float32)
    start = rng.normal(size=(R, D)).astype(np.float32)
    tables = []
    for threads in (1, 2, 7):
        E = start.copy()
        nothing = np.zeros(0, np.float32)
        parameters = Parameters(E, nothing, nothing, np.zeros((V, 1), np.float32), nothing)
        optimizer = Optimizer(parameters, TrainingConfig())
        inputs = Inputs(E, False, 400, composition)
        with kernel_threads(threads):
            for number in range(3):
                inputs.step(ids, d_x.copy(), optimizer.context(number, 0.1))
        tables.append(E)
    np.testing.assert_array_equal(tables[0], tables[1])
    np.testing.assert_array_equal(tables[0], tables[2])
    assert (tables[0] != start).any()


def test_a_row_that_is_seldom_in_the_text_moves_less(rng, composition):
    seldom = np.full(R, 10**9)
    seldom[V] = 1
    ids = np.arange(V, dtype=np.int32)[:, None]
    d_x = rng.normal(size=(V, D))
    moved = []
    for occurrences in (np.full(R, 10**9), seldom):
        E = np.zeros((R, D))
        nothing = np.zeros(0)
        parameters = Parameters(E, nothing, nothing, np.zeros((V, 1)), nothing)
        optimizer = Optimizer(parameters, TrainingConfig(optimizer="sgd"))
        inputs = Inputs(E, False, V, composition._replace(occurrences=occurrences))
        inputs.step(ids, d_x.copy(), optimizer.context(0, 0.1))
        moved.append(E)
    others = np.arange(R) != V
    np.testing.assert_array_equal(moved[0][others], moved[1][others])
    rates = composition._replace(occurrences=seldom).rates()
    np.testing.assert_allclose(moved[1][V], moved[0][V] * rates[V] / rates[0], rtol=1e-5)
    assert 0 < rates[V] < 0.001
    assert rates[0] > 1.99
