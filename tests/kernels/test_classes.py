import naive
import numpy as np
import pytest

from embedder.kernels.classes import (
    ClassSteps,
    SecondLevel,
    score_within_classes,
    step_within_classes,
)
from embedder.kernels.gather import group_places, new_groups
from embedder.kernels.optimizer import ADAM, GRADIENT, SGD, Rule
from embedder.kernels.softmax import OutputMoments
from embedder.kernels.threads import kernel_threads

DECAYS = (0.9, 0.999)
STEPS = np.arange(1, 9)
CORRECTIONS = np.sqrt(1 - DECAYS[1] ** STEPS) / (1 - DECAYS[0] ** STEPS)
SIZES = [  # of the classes; B, H
    ([1], 1, 1),
    ([1, 1, 1], 4, 2),
    ([30], 9, 16),
    ([1, 2, 7, 15, 16, 17], 33, 5),
    ([5, 3, 40], 0, 3),
]


def example(rng, sizes, B, H):
    """A second level of so many words a class, with B examples."""
    starts = np.r_[0, np.cumsum(sizes)]
    V = starts[-1]
    return SecondLevel(
        rng.normal(size=(B, H)),
        rng.normal(size=(V, H)),
        rng.normal(size=V),
        rng.integers(0, V, B).astype(np.int32),
        rng.uniform(0.5, 2.0, B),
        starts,
        np.full(B, np.nan),
    )


def group(level):
    """The examples by class, how many classes these are, and which."""
    class_of = np.repeat(np.arange(len(level.starts) - 1), np.diff(level.starts))
    groups = new_groups(len(level.starts) - 1, len(level.words))
    found = group_places(class_of[level.words], groups)
    return groups, found, np.unique(class_of[level.words])


def score(level, threads):
    level.log_likelihoods[:] = np.nan
    groups, found, _ = group(level)
    with kernel_threads(threads):
        score_within_classes(level, groups, found)
    return level.log_likelihoods.copy()


def gradients(level, threads):
    """What `step_within_classes` finds, the parameters staying as they are."""
    level.log_likelihoods[:] = np.nan
    groups, found, _ = group(level)
    moments = OutputMoments(
        np.zeros_like(level.W), level.W[:0], np.zeros_like(level.b), level.b[:0]
    )
    d_features = np.zeros_like(level.features)
    visits = np.ones(len(level.starts) - 1, np.int32)
    rule = Rule(GRADIENT, 0.0, 0.0, 0.0, 0.0)
    steps = ClassSteps(rule, CORRECTIONS, visits, moments)
    with kernel_threads(threads):
        step_within_classes(level, groups, found, steps, d_features)
    return level.log_likelihoods.copy(), d_features, moments.weights_first, moments.bias_first


@pytest.mark.parametrize("threads", [1, 2, 7])
@pytest.mark.parametrize(("sizes", "B", "H"), SIZES)
def test_words_are_scored_within_their_class(rng, sizes, B, H, threads):
    level = example(rng, sizes, B, H)
    expected, *_ = naive.within_classes(*level[:6])
    np.testing.assert_allclose(score(level, threads), expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("threads", [1, 2, 7])
@pytest.mark.parametrize(("sizes", "B", "H"), SIZES)
def test_gradients_agree_with_numpy(rng, sizes, B, H, threads):
    level = example(rng, sizes, B, H)
    before = level.W.copy(), level.b.copy()
    for mine, true in zip(gradients(level, threads), naive.within_classes(*level[:6]), strict=True):
        np.testing.assert_allclose(mine, true, rtol=1e-10, atol=1e-12)
    np.testing.assert_array_equal(level.W, before[0])
    np.testing.assert_array_equal(level.b, before[1])


def test_gradients_agree_with_finite_differences(rng):
    level = example(rng, [1, 4, 3], 6, 3)
    _, *found = gradients(level, 2)
    for array, gradient in zip((level.features, level.W, level.b), found, strict=True):
        for place in np.ndindex(array.shape):
            value = array[place]
            losses = []
            for step in (1e-5, -1e-5):
                array[place] = value + step
                losses.append(-score(level, 2).sum())
            array[place] = value
            difference = (losses[0] - losses[1]) / 2e-5
            assert difference == pytest.approx(gradient[place], abs=1e-7)


def test_probabilities_of_a_class_add_up_to_one(rng):
    level = example(rng, [3, 17], 20, 4)
    level.features[:] = level.features[0]
    level.words[:] = np.arange(20)
    level.weights[:] = 1
    probabilities = np.exp(score(level, 2))
    np.testing.assert_allclose([probabilities[:3].sum(), probabilities[3:].sum()], 1, rtol=1e-12)


def test_the_gradient_is_added_to_that_of_the_first_level(rng):
    level = example(rng, [2, 5, 3], 11, 4)
    groups, found, _ = group(level)
    before = rng.normal(size=level.features.shape)
    d_features = before.copy()
    moments = OutputMoments(
        np.zeros_like(level.W), level.W[:0], np.zeros_like(level.b), level.b[:0]
    )
    visits = np.ones(3, np.int32)
    rule = Rule(GRADIENT, 0.0, 0.0, 0.0, 0.0)
    steps = ClassSteps(rule, CORRECTIONS, visits, moments)
    step_within_classes(level, groups, found, steps, d_features)
    _, expected, *_ = naive.within_classes(*level[:6])
    np.testing.assert_allclose(d_features, before + expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(("name", "kind"), [("sgd", SGD), ("adam", ADAM)])
def test_a_class_that_is_drawn_takes_its_own_next_step_and_others_stay(rng, name, kind):
    sizes = [1, 2, 7, 4, 5]
    start = example(rng, sizes, 1, 3)
    W, b = start.W.copy(), start.b.copy()
    m_W, s_W, m_b, s_b = (np.zeros_like(a) for a in (W, W, b, b))
    empty = OutputMoments(W[:0], W[:0], b[:0], b[:0])
    moments = empty if kind == SGD else OutputMoments(*(a.copy() for a in (m_W, s_W, m_b, s_b)))
    visits = np.zeros(len(sizes), np.int32)
    for _ in range(5):
        drawn = example(rng, sizes, 3, 3)
        level = drawn._replace(W=start.W, b=start.b)
        groups, found, classes = group(level)
        visits[classes] += 1
        _, _, d_W, d_b = naive.within_classes(level.features, W, b, *level[3:6])
        for c in classes:
            own = slice(level.starts[c], level.starts[c + 1])
            how = int(visits[c]), 0.1, DECAYS, 1e-8
            for p, g, m, s in ((W, d_W, m_W, s_W), (b, d_b, m_b, s_b)):
                p[own], m[own], s[own] = naive.optimizer_step(
                    name, p[own], g[own], m[own], s[own], *how
                )
        rule = Rule(kind, 0.1, *DECAYS, 1e-8)
        d_features = np.zeros_like(level.features)
        steps = ClassSteps(rule, CORRECTIONS, visits, moments)
        step_within_classes(level, groups, found, steps, d_features)
    assert len(set(visits)) > 1
    np.testing.assert_allclose(start.W, W, rtol=1e-9, atol=1e-10)
    np.testing.assert_allclose(start.b, b, rtol=1e-9, atol=1e-10)


def test_large_logits_neither_overflow_nor_lose_the_loss(rng):
    level = example(rng, [4, 9], 7, 5)
    level.features[:] *= 1000
    for mine, true in zip(gradients(level, 2), naive.within_classes(*level[:6]), strict=True):
        assert np.isfinite(mine).all()
        np.testing.assert_allclose(mine, true, rtol=1e-10, atol=1e-10)


def test_steps_have_the_same_bits_for_any_number_of_threads(rng):
    level = example(rng, [1, 2, 7, 15, 16, 17, 40], 300, 20)
    runs = [gradients(level, threads) for threads in (1, 2, 7)]
    for one, two, seven in zip(*runs, strict=True):
        np.testing.assert_array_equal(one, two)
        np.testing.assert_array_equal(one, seven)
