"""Whether a word's neighbours differ between slices of a text: a permutation test.

With frozen layers above E, and P = U diag(κ) Uᵀ (see `embedder.training.frozen_layers`), an
occurrence of word w with neighbours c of weights ω_c contributes to its gradient at any common x

    v = Σ_c ω_c Uᵀ A W2_c − ω Uᵀ A (mean over all occurrences of w)        ω = Σ_c ω_c

and with r_s, n_s the sums of v and ω over slice s, one step of the fit from a common row promises
the slices, in nats,

    T = ½ Σ_s Σ_d r_sd² / (n_s κ_d + λ)

This is Rao's score statistic for rows of their own, damped as the fit is. Its distribution without
change is not that of theory, since the words of a text are not independent; it is found by
permutation. Blocks of text exchange their slices (Anderson 2001), only those in which w occurs, so
that neither w's frequency nor how it varies between slices plays a part.

Permutations are drawn until enough reach the observed T (Besag and Clifford 1991): a p-value near
1 needs few of them. Where hardly any reach it, their moments tell the p-value, since T is nearly a
sum of χ²: their distribution is taken to be Pearson's type III (Knijnenburg et al. 2009 fit the
tails of permutations, too).
"""

from typing import NamedTuple

import numpy as np
from numba import njit

from embedder.arrays import Array
from embedder.kernels.counts import PositionIndex, uniform
from embedder.kernels.parts import take
from embedder.kernels.threads import share

MOST_UNITS = 256
"""Blocks of a word beyond this number are joined, so that frequent words cost no more."""
ENOUGH = 20
"""Permutations that reach the observed T, after which no more are drawn."""
TOO_FEW = 10
"""With fewer permutations that reach T, the p-value is that of the tail."""
_ROUNDING = 1e-9
_WORDS_PER_PART = 8


class Slices(NamedTuple):
    """Which slice a position is in.

    ``blocks (n,) int32``
        The block of every position, ascending.
    ``slices (B,) int32``
        The slice of every block, ascending.
    ``number``
        S.
    """

    blocks: Array
    slices: Array
    number: int


class Outputs(NamedTuple):
    """The frozen layers, as the test sees them.

    ``columns (V + 2 N,) int32``
        The column of every context, −1 for none.
    ``near``
        The maximum distance of position-specific contexts.
    ``distance_weights (window,) float64``
    ``projected (C, D) float32``
        W2 Aᵀ U.
    ``curvature (D,) float64``, ``strength``
        κ and λ.
    """

    columns: Array
    near: int
    distance_weights: Array
    projected: Array
    curvature: Array
    strength: float


class ChangeTests(NamedTuple):
    """What the tests of V words found, (V,) float64 each.

    ``observed``
        T; NaN for a word that does not occur.
    ``noise``, ``deviation``, ``skewness``
        The moments of T over permutations; their mean is what T would be without change.
    ``p``
        The share of permutations that reach the observed T.
    ``reached``
        How many do.
    ``totals``
        Σ_s n_s, the weight of the word's neighbours.
    """

    observed: Array
    noise: Array
    deviation: Array
    skewness: Array
    p: Array
    reached: Array
    totals: Array


@njit(inline="always")
def _add_occurrence(ids, position, vocabulary, outputs, total):
    """Add the projected outputs of a position's neighbours to total (D,); return their weight."""
    columns, near, distance_weights, projected, _, _ = outputs
    frequent = (len(columns) - vocabulary) // 2
    weight = 0.0
    for side in range(2):
        for d in range(1, len(distance_weights) + 1):
            place = position - d if side == 0 else position + d
            if place < 0 or place >= len(ids) or ids[place] < 0:
                break
            context = np.int64(ids[place])
            if d <= near and context < frequent:
                context += vocabulary + side * frequent
            column = columns[context]
            if column < 0:
                continue
            own = distance_weights[d - 1]
            weight += own
            for j in range(len(total)):
                total[j] += own * projected[column, j]
    return weight


@njit(inline="always")
def _count_units(positions, slices, level):
    """Return how many units the positions of a word are in: 2^level blocks of one slice each."""
    units = 0
    unit, own = -1, -1
    for k in range(len(positions)):
        block = slices.blocks[positions[k]]
        if (block >> level) != unit or slices.slices[block] != own:
            unit, own = block >> level, slices.slices[block]
            units += 1
    return units


@njit(nogil=True, error_model="numpy", cache=True)
def _statistic(values, weights, labels, outputs, sums, totals):
    """Return T, given the sum of v (m, D), ω (m,) and slice (m,) of every unit."""
    sums[:] = 0.0
    totals[:] = 0.0
    width = values.shape[1]
    for i in range(len(labels)):
        label = labels[i]
        totals[label] += weights[i]
        for j in range(width):
            sums[label, j] += values[i, j]
    found = 0.0
    for s in range(len(totals)):
        for j in range(width):
            found += sums[s, j] ** 2 / (totals[s] * outputs.curvature[j] + outputs.strength)
    return found / 2


@njit(nogil=True, error_model="numpy", cache=True)
def _test_parts(parts, index, slices, outputs, most, seed, tests):
    ids, starts, all_positions = index
    words = len(starts) - 1
    width = len(outputs.curvature)
    all_values = np.empty((MOST_UNITS, width), np.float64)
    all_weights = np.empty(MOST_UNITS, np.float64)
    all_labels = np.empty(MOST_UNITS, np.int64)
    sums = np.empty((slices.number, width), np.float64)
    totals = np.empty(slices.number, np.float64)
    dealt = (words + _WORDS_PER_PART - 1) // _WORDS_PER_PART
    while True:
        part = take(parts)
        if part < 0:
            break
        for word in range(part, words, dealt):
            positions = all_positions[starts[word] : starts[word + 1]]
            tests.observed[word] = tests.noise[word] = tests.p[word] = np.nan
            tests.deviation[word] = tests.skewness[word] = 0.0
            tests.reached[word] = tests.totals[word] = 0.0
            if len(positions) == 0:
                continue
            level = 0
            while _count_units(positions, slices, level) > MOST_UNITS:
                level += 1
            units = -1
            unit, own = -1, -1
            for k in range(len(positions)):
                position = np.int64(positions[k])
                block = slices.blocks[position]
                if (block >> level) != unit or slices.slices[block] != own:
                    unit, own = block >> level, slices.slices[block]
                    units += 1
                    all_values[units] = 0.0
                    all_weights[units] = 0.0
                    all_labels[units] = own
                weight = _add_occurrence(ids, position, words, outputs, all_values[units])
                all_weights[units] += weight
            units += 1
            values, weights = all_values[:units], all_weights[:units]
            labels = all_labels[:units]
            total = weights.sum()
            if total == 0.0:
                continue
            for j in range(width):
                mean = values[:, j].sum() / total
                for i in range(units):
                    values[i, j] -= weights[i] * mean
            observed = _statistic(values, weights, labels, outputs, sums, totals)
            stream = np.int64(uniform(seed, word) * 2.0**53)
            drawn, reached = 0, 0
            first, second, third = 0.0, 0.0, 0.0  # moments about the observed T
            while drawn < most and reached < ENOUGH:
                for i in range(units - 1, 0, -1):
                    number = uniform(stream, drawn * MOST_UNITS + i)
                    other = np.int64(number * (i + 1))
                    labels[i], labels[other] = labels[other], labels[i]
                found = _statistic(values, weights, labels, outputs, sums, totals)
                drawn += 1
                beyond = found - observed
                first += beyond
                second += beyond**2
                third += beyond**3
                if found >= observed * (1 - _ROUNDING):
                    reached += 1
            first, second, third = first / drawn, second / drawn, third / drawn
            variance = max(second - first**2, 0.0)
            tests.observed[word], tests.noise[word] = observed, observed + first
            tests.deviation[word] = np.sqrt(variance)
            if variance > 0.0:
                central = third - 3 * first * second + 2 * first**3
                tests.skewness[word] = central / variance**1.5
            tests.totals[word], tests.reached[word] = total, reached
            tests.p[word] = reached / drawn if reached == ENOUGH else (reached + 1) / (drawn + 1)


def permute_slices(
    index: PositionIndex, slices: Slices, outputs: Outputs, most: int, seed: int, tests: ChangeTests
) -> None:
    """Test for every word of the vocabulary whether its neighbours differ between slices.

    Parameters
    ----------
    index : PositionIndex
        The text of all slices, a sentence end between two of them, and where all words occur.
    slices : Slices
    outputs : Outputs
    most : int
        The maximum number of permutations of a word.
    seed : int
        Determines the permutations, together with the word's number.
    tests : ChangeTests
        Receives the results.
    """
    words = len(index.starts) - 1
    parts = (words + _WORDS_PER_PART - 1) // _WORDS_PER_PART
    share(_test_parts, parts, index, slices, outputs, most, seed, tests)
