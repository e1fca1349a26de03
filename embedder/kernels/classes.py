r"""A two-level softmax: first a class of words, then a word of that class (Goodman 2001).

    p(w | h) = p(c_w | h) p(w | c_w, h)

The probabilities are exact, over the whole vocabulary, at the cost of a softmax over the classes
and one over the words of a class. The first level is the softmax of `embedder.kernels.softmax` over
the classes. This module is the second level: with θ the logits of the words of an example's class
and y the example's word,

    J = w (log Σ_class exp θ − θ_y)        ∂J/∂θ = w (softmax(θ) − y)

Classes are ranges of consecutive word ids. Examples are grouped by class, so that a group's logits
are one matrix product. A part of the work (see `embedder.kernels.parts`) is a class of the batch
with its rows of W, which avoids races.
"""

from typing import NamedTuple

import numpy as np
from numba import njit

from embedder.arrays import Array
from embedder.kernels.exp import exp
from embedder.kernels.gather import Groups
from embedder.kernels.optimizer import Rule, rule_of_row
from embedder.kernels.parts import take
from embedder.kernels.softmax import OutputMoments, step_output_rows
from embedder.kernels.threads import share


class SecondLevel(NamedTuple):
    """A batch's input and output for the softmax within classes.

    ``features (B, H)``
        The output layer's input h.
    ``W (V, H)``, ``b (V,)``
        Rows of the words; `step_within_classes` updates those of the classes in the batch.
    ``words (B,) int32``
        The targets.
    ``weights (B,)``
        The weight w of each example.
    ``starts (classes + 1,) int64``
        Class c has the words ``starts[c]`` … ``starts[c + 1] − 1``.
    ``log_likelihoods (B,) float64``
        Receives w log p(word | class).
    """

    features: Array
    W: Array
    b: Array
    words: Array
    weights: Array
    starts: Array
    log_likelihoods: Array


@njit(fastmath={"contract", "nsz"}, error_model="numpy", cache=True)
def _softmax_of_class(logits, bias, words, low, weights, places, log_likelihoods):
    """Replace logits (words of the class × examples) by ∂J/∂θ; set each example's w log p."""
    batch = logits.shape[1]
    shifts = np.full(batch, -np.inf, logits.dtype)
    for c in range(len(logits)):
        row = logits[c]
        for i in range(batch):
            row[i] += bias[c]
            shifts[i] = max(shifts[i], row[i])
    for i in range(batch):
        place = places[i]
        log_likelihoods[place] = np.float64(logits[words[place] - low, i]) - np.float64(shifts[i])
    sums = np.zeros(batch, logits.dtype)
    for c in range(len(logits)):
        row = logits[c]
        for i in range(batch):
            e = exp(row[i] - shifts[i])
            row[i] = e
            sums[i] += e
    factors = np.empty(batch, logits.dtype)
    for i in range(batch):
        place = places[i]
        weight = weights[place]
        factors[i] = weight / sums[i]
        log_likelihoods[place] = weight * (log_likelihoods[place] - np.log(np.float64(sums[i])))
    for c in range(len(logits)):
        row = logits[c]
        for i in range(batch):
            row[i] *= factors[i]
    for i in range(batch):
        logits[words[places[i]] - low, i] -= weights[places[i]]


@njit(inline="always")
def _features_of(features, places):
    own = np.empty((len(places), features.shape[1]), features.dtype)
    for i in range(len(places)):
        own[i] = features[places[i]]
    return own


@njit(nogil=True, error_model="numpy", cache=True)
def _score_parts(parts, level, groups):
    features, W, b, words, weights, starts, log_likelihoods = level
    while True:
        g = take(parts)
        if g < 0:
            break
        low, high = starts[groups.rows[g]], starts[groups.rows[g] + 1]
        places = groups.order[groups.starts[g] : groups.starts[g + 1]]
        logits = np.dot(W[low:high], _features_of(features, places).T)
        _softmax_of_class(logits, b[low:high], words, low, weights, places, log_likelihoods)


def score_within_classes(level: SecondLevel, groups: Groups, found: int) -> None:
    """Set each example's w log p(word | class); parameters as for `step_within_classes`."""
    share(_score_parts, found, level, groups)


class ClassSteps(NamedTuple):
    """How the rows of a batch's classes are updated.

    ``rule``, ``corrections``
        As for `embedder.kernels.optimizer.rule_of_row`.
    ``visits (classes,) int32``
        The number of updates of each class, this one included.
    ``moments``
        The moments of W and b.
    """

    rule: Rule
    corrections: Array
    visits: Array
    moments: OutputMoments


@njit(nogil=True, error_model="numpy", cache=True)
def _step_parts(parts, level, groups, steps, d_features):
    features, W, b, words, weights, starts, log_likelihoods = level
    while True:
        g = take(parts)
        if g < 0:
            break
        c = groups.rows[g]
        low, high = starts[c], starts[c + 1]
        places = groups.order[groups.starts[g] : groups.starts[g + 1]]
        own = _features_of(features, places)
        logits = np.dot(W[low:high], own.T)
        _softmax_of_class(logits, b[low:high], words, low, weights, places, log_likelihoods)
        d_own = np.dot(logits.T, W[low:high])
        for i in range(len(places)):
            d_features[places[i]] += d_own[i]
        d_W = np.dot(logits, own)
        d_b = np.empty(high - low, features.dtype)
        for k in range(high - low):
            d_b[k] = logits[k].sum()
        own_rule = rule_of_row(steps.rule, steps.visits[c], steps.corrections)
        step_output_rows(W, b, low, high, d_W, d_b, own_rule, steps.moments)


def step_within_classes(
    level: SecondLevel, groups: Groups, found: int, steps: ClassSteps, d_features: Array
) -> None:
    """Set each example's w log p(word | class) and take the optimizer's step.

    Parameters
    ----------
    level : SecondLevel
    groups : Groups
        The examples by class.
    found : int
        The number of groups.
    steps : ClassSteps
    d_features : (B, H)
        Incremented by ∂J/∂h.
    """
    share(_step_parts, found, level, groups, steps, d_features)
