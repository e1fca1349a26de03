import naive
import numpy as np
import pytest

from embedder.kernels.optimizer import (
    ADAFACTOR,
    ADAGRAD,
    ADAM,
    GRADIENT,
    SGD,
    Rule,
    average_columns,
    flat_rows,
    rule_of_row,
    step,
)

ROW_KINDS = {"sgd": SGD, "adagrad": ADAGRAD, "adam": ADAM, "adafactor": ADAFACTOR}
KINDS = {"sgd": SGD, "adagrad": ADAGRAD, "adam": ADAM}
DECAYS = (0.5, 0.9)


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("n", [1, 15, 16, 17, 1000])
def test_flat_steps_agree_with_numpy(rng, name, n):
    p, m, s = rng.normal(size=n), np.zeros(n), np.zeros(n)
    found, first, second = p.copy(), m.copy(), s.copy()
    for t in range(1, 4):
        g = rng.normal(size=n)
        p, m, s = naive.optimizer_step(name, p, g, m, s, t, 0.1, DECAYS, 1e-8)
        correction = np.sqrt(1 - DECAYS[1] ** t) / (1 - DECAYS[0] ** t) if name == "adam" else 1
        step(found, g, first, second, Rule(KINDS[name], 0.1 * correction, *DECAYS, 1e-8))
    np.testing.assert_allclose(found, p, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("name", KINDS)
def test_clipping_is_a_step_of_the_clipped_gradient(rng, name):
    g = rng.normal(size=33)
    start = rng.normal(size=33)
    found, expected = start.copy(), start.copy()
    rule = Rule(KINDS[name], 0.3, *DECAYS, 1e-8)
    step(found, g, np.zeros(33), np.zeros(33), rule._replace(clip=0.5))
    step(expected, np.clip(g, -0.5, 0.5), np.zeros(33), np.zeros(33), rule)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("name", KINDS)
def test_weight_decay_shrinks_before_the_step(rng, name):
    p, g = rng.normal(size=(2, 7))
    found, plain = p.copy(), 0.9 * p
    for array, shrink in ((found, 0.1), (plain, 0.0)):
        rule = Rule(KINDS[name], 0.3, *DECAYS, 1e-8, shrink)
        step(array, g, np.zeros(7), np.zeros(7), rule)
    np.testing.assert_allclose(found, plain, rtol=1e-12)


def test_the_gradient_can_be_recorded_instead(rng):
    p, g = rng.normal(size=(2, 17))
    before, first = p.copy(), np.zeros(17)
    step(p, g, first, first[:0], Rule(GRADIENT, 0.3, *DECAYS, 1e-8, 0.1, 0.5))
    np.testing.assert_array_equal(first, g)
    np.testing.assert_array_equal(p, before)


@pytest.mark.parametrize("name", ROW_KINDS)
@pytest.mark.parametrize("visits", [1, 2, 3, 100])
def test_a_row_has_the_rule_of_its_own_number_of_steps(name, visits):
    rule = Rule(ROW_KINDS[name], 0.3, *DECAYS, 1e-8, 0.1, 0.5)
    found = rule_of_row(rule, visits, np.array([0.5, 0.7, 0.9]), 2.0)
    corrected = name in ("adam", "adafactor")
    correction = {1: 0.5, 2: 0.7}.get(visits, 0.9) if corrected else 1.0
    assert found.rate == pytest.approx(2 * 0.3 * correction, rel=1e-15)
    assert tuple(found._replace(rate=0.3)) == tuple(rule)


def test_rows_are_flat_views_and_what_is_empty_stays_empty():
    array = np.arange(12.0).reshape(4, 3)
    assert flat_rows(array, 1, 3).tolist() == [3, 4, 5, 6, 7, 8]
    assert flat_rows(array[:0], 1, 3).shape == flat_rows(array, 2, 2).shape == (0,)
    flat_rows(array, 1, 3)[0] = 99
    assert array[1, 0] == 99


def test_columns_average_what_the_parts_of_a_step_contribute(rng):
    columns = np.array([0.5, 1.0, 1.5])
    squares = rng.uniform(1, 2, (4, 4))
    squares[:, 3] = [2, 0, 1, 3]  # the numbers of rows
    expected = 0.75 * columns + 0.25 * squares[:, :3].sum(0) / 6
    average_columns(columns, squares.copy(), 0.75)
    np.testing.assert_allclose(columns, expected / expected.mean(), rtol=1e-14)


def test_columns_stay_as_they_are_without_rows_and_never_vanish():
    columns = np.array([0.5, 1.5])
    average_columns(columns, np.zeros((3, 3)), 0.9)
    assert columns.tolist() == [0.5, 1.5]
    for _ in range(1000):
        average_columns(columns, np.array([[0.0, 2.0, 1.0]]), 0.5)
    assert 0 < columns[0] < 1e-7
    assert columns[1] == pytest.approx(2)
