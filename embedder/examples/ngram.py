"""An interpolated modified Kneser–Ney n-gram model, the baseline for a network's perplexity.

With h the words before w, h' all of them but the first, and c a count (Chen and Goodman 1999):

    p(w | h) = max(c(h w) − D(c(h w)), 0) / c(h) + γ(h) p(w | h')
    γ(h) = (D₁ N₁(h) + D₂ N₂(h) + D₃₊ N₃₊(h)) / c(h)

where N_k(h) is the number of words that follow h exactly k times, and D₁, D₂, D₃₊ follow from the
numbers n_k of n-grams that occur k times: Y = n₁/(n₁ + 2 n₂), D_k = k − (k + 1) Y n_{k+1}/n_k.
Below the highest order, c is the number of distinct words before an n-gram instead of its count.
The unigram distribution is interpolated with the uniform one.

n-grams are stored as sorted arrays of keys; a history is represented by its index among those of
its length.
"""

from typing import NamedTuple

import numpy as np

from embedder.arrays import Array


class _Order(NamedTuple):
    """The n-grams of one order.

    ``keys``
        Sorted: history · symbols + word.
    ``shares``
        max(c − D, 0) / c(h) of each n-gram.
    ``backoffs``
        γ(h) of each history; 1 if nothing is known about it.
    """

    keys: Array
    shares: Array
    backoffs: Array


class KneserNey:
    """An n-gram model of word ids.

    Parameters
    ----------
    contexts : (N, n − 1) int32
        The words before each of N words, the nearest last; −1 where a sentence begins.
    words : (N,) int32
        The words that follow.
    vocabulary
        V.
    """

    def __init__(self, contexts: Array, words: Array, vocabulary: int) -> None:
        self._vocabulary = vocabulary
        self._symbols = vocabulary + 1  # the words, and one for the beginning of a sentence
        order = contexts.shape[1] + 1
        self._histories: list[Array] = []
        histories = [np.zeros(len(words), np.int64)]
        for k in range(1, order):
            keys = self._longer(histories[-1], contexts[:, -k])
            unique, numbers = np.unique(keys, return_inverse=True)
            self._histories.append(unique)
            histories.append(numbers)
        self._orders: list[_Order] = []
        keys = histories[-1] * self._symbols + words
        unique, positions, counts = np.unique(keys, return_index=True, return_counts=True)
        for k in range(order - 1, -1, -1):
            number = len(self._histories[k - 1]) if k else 1
            self._orders.insert(0, _order(unique, counts, number, self._symbols))
            if k:
                # Lower orders count each distinct n-gram once.
                keys = histories[k - 1][positions] * self._symbols + words[positions]
                unique, first, counts = np.unique(keys, return_index=True, return_counts=True)
                positions = positions[first]

    def _longer(self, histories: Array, words: Array) -> Array:
        """Return keys of histories extended by one word in front; −1 for a sentence's beginning."""
        return histories * self._symbols + np.where(words < 0, self._vocabulary, words)

    def probabilities(self, contexts: Array, words: Array) -> Array:
        """Return p(word | context) for each, (N,) float64; parameters as for the constructor."""
        history = np.zeros(len(words), np.int64)
        found = np.full(len(words), 1.0 / self._vocabulary)
        for k, order in enumerate(self._orders):
            if k:
                keys = self._longer(history, contexts[:, -k])
                index = _find(self._histories[k - 1], keys)
                history = np.where(history >= 0, index, -1)
            known = history >= 0
            index = _find(order.keys, history * self._symbols + words)
            shares = np.where(known & (index >= 0), order.shares[index], 0.0)
            found = np.where(known, shares + order.backoffs[history] * found, found)
        return found


def _find(keys: Array, wanted: Array) -> Array:
    """Return the index of each wanted key in sorted keys; −1 for those not present."""
    indexes = np.searchsorted(keys, wanted).clip(max=len(keys) - 1)
    return np.where(keys[indexes] == wanted, indexes, -1)


def _order(keys: Array, counts: Array, histories: int, symbols: int) -> _Order:
    discounts = _discounts(counts)
    own = discounts[np.minimum(counts, 3)]
    history = keys // symbols
    totals = np.bincount(history, counts, histories)
    discounted = np.bincount(history, own, histories)
    backoffs = np.divide(discounted, totals, out=np.ones(histories), where=totals > 0)
    return _Order(keys, (counts - own) / totals[history], backoffs)


def _discounts(counts: Array) -> Array:
    """Return D₀ = 0, D₁, D₂ and D₃₊; ½ where the text is too small or regular to estimate them.

    A discount of 0 would give unseen words a probability of zero.
    """
    n = np.bincount(np.minimum(counts, 5), minlength=6).astype(float)
    if (n[1:5] == 0).any():
        return np.array([0.0, 0.5, 0.5, 0.5])
    y = n[1] / (n[1] + 2 * n[2])
    found = [k - (k + 1) * y * n[k + 1] / n[k] for k in (1, 2, 3)]
    return np.array([0.0, *(d if d > 0 else 0.5 for d in found)])  # each is below its k


def mixture_weight(one: Array, other: Array) -> float:
    """Return the λ that maximises the probability of a text under λ·one + (1 − λ)·other.

    Uses expectation maximisation; the log-likelihood is concave in λ, so the maximum is global.

    Parameters
    ----------
    one, other : (N,)
        Two models' probabilities of each word.
    """
    weight = 0.5
    for _ in range(200):
        mixed = weight * one
        new = float((mixed / (mixed + (1 - weight) * other)).mean())
        if abs(new - weight) < 1e-6:
            break
        weight = new
    return weight
