import naive
import numpy as np
import pytest

from embedder.examples.ngram import KneserNey, mixture_weight

V = 7


def text(rng, n, order):
    """Return contexts and words that depend on the one before, with random sentence starts."""
    words = np.empty(n, np.int32)
    for i in range(n):
        words[i] = (words[i - 1] * 2 + rng.integers(0, 3)) % V if i else 0
    contexts = np.full((n, order - 1), -1, np.int32)
    for k in range(1, order):
        contexts[k:, -k] = words[:-k]
    starts = np.flatnonzero(rng.random(n) < 0.1)
    for k in range(1, order):
        contexts[starts, -k] = -1
    return contexts, words


@pytest.mark.parametrize("order", [1, 2, 3, 5])
@pytest.mark.parametrize("n", [12, 400])
def test_probabilities_agree_with_the_naive_model(rng, order, n):
    contexts, words = text(rng, n, order)
    model = KneserNey(contexts, words, V)
    expected = naive.kneser_ney([tuple(c) for c in contexts.tolist()], words.tolist(), V)
    others, other_words = text(np.random.default_rng(1), 60, order)
    found = model.probabilities(others, other_words)
    for p, context, word in zip(found, others.tolist(), other_words.tolist(), strict=True):
        assert p == pytest.approx(expected(tuple(context), word), rel=1e-12)


@pytest.mark.parametrize("order", [1, 2, 4])
def test_probabilities_sum_to_one(rng, order):
    contexts, words = text(rng, 300, order)
    model = KneserNey(contexts, words, V)
    for context in [*contexts[:20], np.full(order - 1, 3, np.int32)]:
        everything = np.repeat(context[None], V, axis=0)
        found = model.probabilities(everything, np.arange(V, dtype=np.int32))
        assert found.sum() == pytest.approx(1, rel=1e-12)
        assert (found > 0).all()


def test_irregular_counts_give_no_word_a_probability_of_zero():
    """Few pairs occur twice and many three times: the formula would give a negative discount."""
    times = [2, 1, 1, 1, 1, 3, 3, 3, 3, 3, 4]
    words = np.repeat(np.arange(len(times), dtype=np.int32), times)
    contexts = np.where(words == 0, 0, 1).astype(np.int32)[:, None]  # 0 follows 0, twice
    model = KneserNey(contexts, words, 20)
    for context in (0, 1):
        everything = np.full((20, 1), context, np.int32)
        found = model.probabilities(everything, np.arange(20, dtype=np.int32))
        assert (found > 0).all()
        assert found.sum() == pytest.approx(1, rel=1e-12)


def test_the_mixture_weight_maximises_the_likelihood(rng):
    one, other = rng.uniform(0.01, 1, (2, 500))
    found = mixture_weight(one, other)

    def fit(weight):
        return np.log(weight * one + (1 - weight) * other).sum()

    grid = np.linspace(0.001, 0.999, 999)
    assert found == pytest.approx(grid[np.argmax([fit(w) for w in grid])], abs=2e-3)
