import naive
import numpy as np
import pytest

from embedder.kernels.layout import lay_out


def laid_out(places, edges, periods, *settings):
    found = np.array(places, np.float64)
    lay_out(found, np.array(edges, np.int32).reshape(-1, 2), np.array(periods, float), *settings)
    return found


@pytest.mark.parametrize("negatives", [0, 1, 3])
@pytest.mark.parametrize("epochs", [1, 2, 9])
def test_the_layout_agrees_with_plain_loops(rng, epochs, negatives):
    places = rng.normal(size=(12, 2))
    edges = [(i, j) for i in range(12) for j in range(12) if i != j and rng.random() < 0.3]
    periods = rng.uniform(1, 5, len(edges))
    settings = epochs, negatives, 7.0, 5
    np.testing.assert_allclose(
        laid_out(places, edges, periods, *settings),
        naive.lay_out(places, edges, periods, *settings),
        rtol=1e-9,
    )


def test_an_edge_pulls_along_the_gradient_of_the_logarithm_of_the_similarity(rng):
    one, other = rng.normal(size=(2, 2))
    moved = laid_out([one, other], [(0, 1)], [1.0], 1, 0, 1.0, 0)

    def log_similarity(place):
        return -np.log(1 + ((place - other) ** 2).sum())

    step = 1e-6
    gradient = [
        (log_similarity(one + direction) - log_similarity(one - direction)) / (2 * step)
        for direction in np.eye(2) * step
    ]
    np.testing.assert_allclose(moved[0] - one, gradient, rtol=1e-6)
    np.testing.assert_allclose(moved[0] - one, other - moved[1])  # both ends move alike


def test_points_that_coincide_stay_finite():
    found = laid_out(np.zeros((3, 2)), [(0, 1), (1, 2)], [1.0, 1.0], 50, 5, 7.0, 0)
    assert np.isfinite(found).all()


def test_without_edges_nothing_moves(rng):
    places = rng.normal(size=(4, 2))
    np.testing.assert_array_equal(laid_out(places, [], [], 5, 5, 7.0, 0), places)


def test_points_that_are_joined_come_together_and_others_part(rng):
    places = rng.normal(size=(40, 2))
    groups = np.arange(40) % 2
    edges = [(i, j) for i in range(40) for j in range(40) if i != j and groups[i] == groups[j]]
    found = laid_out(places, edges, np.ones(len(edges)), 100, 5, 7.0, 0)
    middles = np.array([found[groups == g].mean(axis=0) for g in (0, 1)])
    spread = np.linalg.norm(found - middles[groups], axis=1).max()
    assert np.linalg.norm(middles[0] - middles[1]) > 2 * spread
