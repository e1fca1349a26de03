r"""Losses over a few sampled words instead of the whole vocabulary, and their gradients.

A batch shares S candidates, drawn with replacement from a proposal q, so that their logits are a
matrix product. With θ_t an example's logit for its target t, θ_s its logits for the candidates, and
w the example's weight:

    sampled softmax     θ'_s = θ_s − log(S q_s)    J = w (log(exp θ_t + Σ_s exp θ'_s) − θ_t)
    negative sampling   θ' = θ                     J = −w (log σ(θ'_t) + (k/S) Σ_s log σ(−θ'_s))
    NCE                 θ' = θ − log(k q)          the same

(Jean et al. 2015, section 3, and Bengio and Senécal 2008; Mikolov et al. 2013, equation 4, with the
k noise words of an example replaced by S shared ones of weight k/S; Gutmann and Hyvärinen 2012 with
Mnih and Teh 2012, equation 5.) In sampled softmax and negative sampling, a candidate equal to an
example's target is ignored for that example; in NCE it is noise like any other. Sampled softmax
does not correct the target's own logit: the sum is then an unbiased estimate of Σ exp θ, and the
gradient converges to the exact one as S grows, which it would not if log(S q) were subtracted there
too.

    ∂J/∂θ_t = −w (1 − p_t)       ∂J/∂θ'_s = w p_s               p the softmax of θ_t and the θ'_s
    ∂J/∂θ'_t = −w σ(−θ'_t)       ∂J/∂θ'_s = w (k/S) σ(θ'_s)

Logits are stored with one row per candidate (S × examples of a part), so that sums over
candidates vectorise. What the parts (see `embedder.kernels.parts`) contribute to the gradients of
the candidates is added in the order of the parts.
"""

from typing import NamedTuple

import numpy as np
from numba import njit

from embedder.arrays import Array
from embedder.kernels.counts import uniform
from embedder.kernels.exp import exp
from embedder.kernels.hidden import EXAMPLES_PER_PART
from embedder.kernels.parts import take
from embedder.kernels.prefetch import prefetch_row
from embedder.kernels.threads import share

SAMPLED_SOFTMAX, NEGATIVE_SAMPLING, NCE = range(3)
_REMOVED = -1e30
"""The logit of a candidate to ignore."""
_TARGETS_AHEAD = 4
"""How far ahead to prefetch rows of W, which are scattered."""


class Sample(NamedTuple):
    """A batch's targets and the candidates that it shares.

    ``targets (B,) int32``, ``weights (B,)``
    ``candidates (S,) int32``
    ``target_corrections (B,)``, ``corrections (S,)``
        Subtracted from the logits of targets and candidates.
    """

    targets: Array
    weights: Array
    candidates: Array
    target_corrections: Array
    corrections: Array


class SampledGradients(NamedTuple):
    """Receives the gradients.

    ``features (B, H)``
        ∂J/∂h.
    ``rows (B + S, H)``
        The contribution of each target, then of each candidate, to the gradient of its row of W.
    ``bias (B + S, 1)``
        The same for b.
    """

    features: Array
    rows: Array
    bias: Array


@njit(cache=True)
def draw_candidates(ends, seed, first, out):
    """Draw candidates, out (S,) int32, from a proposal.

    Parameters
    ----------
    ends : (V,) float64
        Sums of the proposal's probabilities, or of numbers proportional to them, up to each word.
    seed, first : int
        Determine the draws; `first` is the number of draws before.
    """
    for s in range(len(out)):
        drawn = np.searchsorted(ends, uniform(seed, first + s) * ends[-1], "right")
        out[s] = min(drawn, len(ends) - 1)


@njit(fastmath={"contract", "nsz"}, error_model="numpy", cache=True)
def _prepare(logits, shifts, candidates, targets, remove):
    """Add b − correction to the logits (S × examples), and remove accidental hits."""
    removed = logits.dtype.type(_REMOVED)
    for s in range(len(logits)):
        row = logits[s]
        for i in range(len(row)):
            row[i] += shifts[s]
        if remove:
            for i in range(len(row)):
                row[i] = removed if targets[i] == candidates[s] else row[i]


@njit(fastmath={"contract", "nsz"}, error_model="numpy", cache=True)
def _softmax_of_candidates(logits, target_logits, weights, d_targets):
    """Replace logits by ∂J/∂θ', set the gradients of the targets' logits, and return J."""
    largest = target_logits.copy()
    for s in range(len(logits)):
        row = logits[s]
        for i in range(len(row)):
            largest[i] = max(largest[i], row[i])
    sums = np.empty_like(largest)
    for i in range(len(sums)):
        sums[i] = exp(target_logits[i] - largest[i])
    own = sums.copy()
    for s in range(len(logits)):
        row = logits[s]
        for i in range(len(row)):
            e = exp(row[i] - largest[i])
            row[i] = e
            sums[i] += e
    factors = np.empty_like(sums)
    loss = 0.0
    for i in range(len(sums)):
        factors[i] = weights[i] / sums[i]
        d_targets[i] = own[i] * factors[i] - weights[i]
        loss += weights[i] * (
            np.log(np.float64(sums[i])) + np.float64(largest[i]) - np.float64(target_logits[i])
        )
    for s in range(len(logits)):
        row = logits[s]
        for i in range(len(row)):
            row[i] *= factors[i]
    return loss


@njit(fastmath={"contract", "nsz"}, error_model="numpy", cache=True)
def _logistic_of_candidates(logits, target_logits, weights, share, d_targets):
    """Replace logits by ∂J/∂θ', with weight `share` per noise word, as `_softmax_of_candidates`."""
    number = logits.dtype.type
    one = number(1.0)
    highest = number(40.0)  # σ rounds to 1 there, and products of 1 + e^θ stay finite
    batch = logits.shape[1]
    noise = np.zeros(batch)
    product = np.ones(batch)
    for s in range(len(logits)):
        row = logits[s]
        for i in range(batch):
            e = exp(min(row[i], highest))
            product[i] *= np.float64(one + e)
            row[i] = share * weights[i] * (e / (one + e))
        if s % 8 == 7 or s + 1 == len(logits):  # (1 + e⁴⁰)⁸ is far below the largest double
            for i in range(batch):
                noise[i] += np.log(product[i])
                product[i] = 1.0
    loss = 0.0
    for i in range(batch):
        e = exp(min(-target_logits[i], highest))
        d_targets[i] = -weights[i] * (e / (one + e))
        loss += weights[i] * (np.log1p(np.float64(e)) + share * noise[i])
    return loss


@njit(fastmath={"contract", "nsz", "reassoc"}, error_model="numpy", cache=True)
def _dot_of_rows(a, i, b, k):
    """Return the product of two rows; a call of BLAS would take longer."""
    total = a.dtype.type(0.0)
    for j in range(a.shape[1]):
        total += a[i, j] * b[k, j]
    return total


@njit(cache=True)
def candidate_rows(W, b, sample):
    """Return the candidates' rows of W (S, H), and b minus the corrections (S,)."""
    rows = np.empty((len(sample.candidates), W.shape[1]), W.dtype)
    shifts = np.empty(len(sample.candidates), W.dtype)
    for s in range(len(sample.candidates)):
        word = sample.candidates[s]
        for j in range(W.shape[1]):
            rows[s, j] = W[word, j]
        shifts[s] = b[word] - sample.corrections[s]
    return rows, shifts


@njit(error_model="numpy", cache=True)
def score_examples(low, high, kind, share_of_noise, layer, candidates, sample, gradients, sums):
    """Compute the loss and the gradients of examples low … high − 1; see `sampled_gradients`.

    `candidates` are their rows of W and shifts, from `candidate_rows`; ∂J/∂W and ∂J/∂b of these
    candidates go to `sums`, (S, H) and (S,).
    """
    features, W, b = layer
    rows, shifts = candidates
    d_candidates, d_shifts = sums
    targets, weights, words, target_corrections, _ = sample
    d_features, d_rows, d_bias = gradients
    size = features.shape[1]
    own, own_targets, own_weights = features[low:high], targets[low:high], weights[low:high]
    target_logits = np.empty(high - low, features.dtype)
    for i in range(high - low):
        target = own_targets[i]
        prefetch_row(W, own_targets[min(i + _TARGETS_AHEAD, high - low - 1)])
        product = _dot_of_rows(own, i, W, target)
        target_logits[i] = product + b[target] - target_corrections[low + i]
    logits = np.dot(rows, own.T)
    _prepare(logits, shifts, words, own_targets, kind != NCE)
    d_targets = np.empty(high - low, features.dtype)
    if kind == SAMPLED_SOFTMAX:
        loss = _softmax_of_candidates(logits, target_logits, own_weights, d_targets)
    else:
        noise = features.dtype.type(share_of_noise)
        loss = _logistic_of_candidates(logits, target_logits, own_weights, noise, d_targets)
    np.dot(logits, own, d_candidates)
    for s in range(len(words)):
        d_shifts[s] = logits[s].sum()
    d_own = d_features[low:high]
    np.dot(logits.T, rows, d_own)
    for i in range(high - low):
        target = own_targets[i]
        d = d_targets[i]
        for j in range(size):
            d_own[i, j] += d * W[target, j]
            d_rows[low + i, j] = d * own[i, j]
        d_bias[low + i, 0] = d
    return loss


@njit(nogil=True, error_model="numpy", cache=True)
def _score_parts(parts, kind, share_of_noise, layer, candidates, sample, gradients, sums):
    d_candidates, d_shifts, losses = sums
    batch = len(sample.targets)
    while True:
        part = take(parts)
        if part < 0:
            break
        low = part * EXAMPLES_PER_PART
        high = min(batch, low + EXAMPLES_PER_PART)
        own = d_candidates[part], d_shifts[part]
        losses[part] = score_examples(
            low, high, kind, share_of_noise, layer, candidates, sample, gradients, own
        )


@njit(cache=True)
def _add_parts(sums, d_rows, d_bias):
    """Add the parts' contributions to the candidates' gradients; return J."""
    d_candidates, d_shifts, losses = sums
    d_bias[:] = d_shifts[0]
    for part in range(1, len(losses)):
        d_bias += d_shifts[part]
    for s in range(len(d_rows)):
        row = d_rows[s]
        row[:] = d_candidates[0, s]
        for part in range(1, len(losses)):
            row += d_candidates[part, s]
    return losses.sum()


def sampled_gradients(
    kind: int,
    share_of_noise: float,
    layer: tuple[Array, Array, Array],
    sample: Sample,
    gradients: SampledGradients,
) -> float:
    """Return the sampled loss of a batch, summed, and set its gradients.

    Parameters
    ----------
    kind : int
        `SAMPLED_SOFTMAX`, `NEGATIVE_SAMPLING` or `NCE`.
    share_of_noise : float
        The weight k/S of a noise word; sampled softmax ignores it.
    layer
        Features (B, H), W (V, H) and b (V,).
    sample : Sample
    gradients : SampledGradients
    """
    features, W, b = layer
    batch, size = features.shape
    samples, dtype = len(sample.candidates), features.dtype
    parts = -(-batch // EXAMPLES_PER_PART)
    candidates = candidate_rows(W, b, sample)
    sums = (
        np.empty((parts, samples, size), dtype),
        np.empty((parts, samples), dtype),
        np.empty(parts),
    )
    share(_score_parts, parts, kind, share_of_noise, layer, candidates, sample, gradients, sums)
    return float(_add_parts(sums, gradients.rows[batch:], gradients.bias[batch:, 0]))
