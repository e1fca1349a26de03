r"""A softmax in two levels: first a class of words, then a word of that class (Goodman 2001).

    p(w | h) = p(c_w | h) p(w | c_w, h)

The probabilities are exact, over the whole vocabulary, at the cost of the classes and of one class.
The first level is the softmax of `embedder.kernels.softmax` over the classes; this is the second:
with θ the logits of the words of an example's class and y the example's word,

    J = w (log Σ_class exp θ − θ_y)        ∂J/∂θ = w (softmax(θ) − y)

Classes are runs of words with consecutive ids. Examples are grouped by class, so that a group's
logits are one matrix product; a thread owns whole classes, and with them their rows of W: no races.
"""

import numpy as np
from numba import njit, prange

from embedder.kernels.exp import exp
from embedder.kernels.optimizer import ADAM, Rule, flat_rows, step


@njit(fastmath={"contract", "nsz"}, error_model="numpy", cache=True)
def _softmax_of_class(logits, bias, words, low, weights, places, log_likelihoods):
    """Turn logits (words of the class × examples) into ∂J/∂θ; set each example's log p."""
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


@njit(parallel=True, error_model="numpy", cache=True)
def step_within_classes(
    features,
    W,
    b,
    words,
    weights,
    starts,
    groups,
    found,
    rule,
    corrections,
    visits,
    moments,
    parts,
    log_likelihoods,
    d_features,
    learn,
):
    """Find each example's w log p(word | class) and, if told to learn, take the optimizer's step.

    Parameters
    ----------
    features : (B, H)
    W : (V, H)
    b : (V,)
        Their rows of the classes at hand are changed.
    words : (B,) int32
        The targets.
    weights : (B,)
    starts : (classes + 1,) int64
        Class c has the words ``starts[c]`` … ``starts[c + 1] − 1``.
    groups : Groups
        The examples by class.
    found : int
        How many classes these are.
    rule : Rule
        Its rate without bias correction.
    corrections : (n,) float64
        As for `embedder.kernels.gather.step_rows`.
    visits : (V,) int32
        Steps that each row has had, this one included.
    moments : OutputMoments
        Of W and b.
    parts : int
    log_likelihoods : (B,) float64
        Receives w log p(word | class).
    d_features : (B, H)
        ∂J/∂h is added to it.
    learn : bool
        Without it W, b, moments and `d_features` stay.
    """
    # Classes differ in words and in examples: parts of about equal work.
    work = np.zeros(found + 1)
    for g in range(found):
        c = groups.rows[g]
        examples = groups.starts[g + 1] - groups.starts[g]
        work[g + 1] = work[g] + examples * (starts[c + 1] - starts[c])
    for part in prange(parts):
        first = np.searchsorted(work[:found], work[found] * part / parts)
        last = np.searchsorted(work[:found], work[found] * (part + 1) / parts)
        for g in range(first, last):
            c = groups.rows[g]
            low, high = starts[c], starts[c + 1]
            places = groups.order[groups.starts[g] : groups.starts[g + 1]]
            own = np.empty((len(places), features.shape[1]), features.dtype)
            for i in range(len(places)):
                own[i] = features[places[i]]
            logits = np.dot(W[low:high], own.T)
            _softmax_of_class(logits, b[low:high], words, low, weights, places, log_likelihoods)
            if learn:
                d_own = np.dot(logits.T, W[low:high])
                for i in range(len(places)):
                    d_features[places[i]] += d_own[i]
                d_W = np.dot(logits, own)
                d_b = np.empty(high - low, features.dtype)
                for k in range(high - low):
                    d_b[k] = logits[k].sum()
                rate = rule.rate
                if rule.kind == ADAM:
                    rate *= corrections[min(visits[low], len(corrections)) - 1]
                of_W = Rule(rule.kind, rate, rule.decay1, rule.decay2, rule.epsilon, rule.shrink)
                of_b = Rule(rule.kind, rate, rule.decay1, rule.decay2, rule.epsilon, 0.0)
                step(
                    flat_rows(W, low, high),
                    d_W.reshape(-1),
                    flat_rows(moments.weights_first, low, high),
                    flat_rows(moments.weights_second, low, high),
                    of_W,
                )
                step(
                    b[low:high],
                    d_b,
                    flat_rows(moments.bias_first, low, high),
                    flat_rows(moments.bias_second, low, high),
                    of_b,
                )
