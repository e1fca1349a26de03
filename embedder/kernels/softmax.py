r"""The exact softmax over the whole vocabulary, fused with its gradients and the optimizer.

With h (B × H) the output layer's input, W (V × H) a row a word and b (V):

    θ = h Wᵀ + b        ŷ = softmax(θ)        J = −Σ_b Σ_c y_bc log ŷ_bc

for targets y with row totals n_b = Σ_c y_bc (1 for one-hot targets):

    ∂J/∂θ = n ŷ − y        ∂J/∂h = (∂J/∂θ) W        ∂J/∂W = (∂J/∂θ)ᵀ h        ∂J/∂b = Σ_b ∂J/∂θ_b

The vocabulary is cut into blocks whose logits fit the second-level cache; each of `parts` threads
owns a run of blocks. Blocks hold logits a row a *word* (block × B): a maximum or sum over the
vocabulary then runs along rows, which vectorises, and ∂J/∂W needs no transposed operand.

1. Every block: logits, the targets' logits (for the loss), the block's maximum and sum of
   exponentials for each example; the exponentials stay in memory (V × B), which costs one write
   and one read where computing them again would cost a third product.
2. The blocks' maxima and sums merge into log Σ exp θ for each example.
3. Every block: exponentials × (n/Σ) − targets = ∂J/∂θ; then the two products and the optimizer's
   step on this block of W and b, in cache. Threads add ∂J/∂h up in memory of their own, and these
   are summed in the order of the threads: the same bits for the same number of parts.
"""

from typing import NamedTuple

import numpy as np
from numba import njit, prange

from embedder.arrays import Array
from embedder.kernels.exp import exp
from embedder.kernels.optimizer import flat_rows, step

BLOCK_ROWS = 512
"""Measured: 256 to 1,024 differ by a few per cent; 512 × 1,024 logits are 2 MB."""


class Targets(NamedTuple):
    """Sparse target rows: example i's are entries ``starts[i]`` … ``ends[i]`` of the two lists.

    ``starts, ends (B,) int64``
    ``columns (cells,) int32``
        Word ids, ascending within a row.
    ``weights (cells,) float32``
    ``scales (B,)``
        A factor on the weights of each row.
    ``totals (B,)``
        n_b, the sum of a row's weights times its scale.
    """

    starts: Array
    ends: Array
    columns: Array
    weights: Array
    scales: Array
    totals: Array


class OutputMoments(NamedTuple):
    """The optimizer's moments of W and b, of their shapes or empty; Numba nests no tuples here."""

    weights_first: Array
    weights_second: Array
    bias_first: Array
    bias_second: Array


class Workspace(NamedTuple):
    """Memory that every step uses again; see `new_workspace`."""

    logits: Array
    maxima: Array
    sums: Array
    target_logits: Array
    cursors: Array
    d_hidden_parts: Array
    product: Array
    d_weights: Array
    log_sums: Array


def new_workspace(
    vocabulary: int, features: int, batch: int, parts: int, dtype: type = np.float32
) -> Workspace:
    """Allocate for V words, H features, B examples and so many threads."""
    blocks = -(-vocabulary // BLOCK_ROWS)
    return Workspace(
        logits=np.empty((vocabulary, batch), dtype),
        maxima=np.empty((blocks, batch), dtype),
        sums=np.empty((blocks, batch), dtype),
        target_logits=np.empty((parts, batch), np.float64),
        cursors=np.empty((parts, batch), np.int64),
        d_hidden_parts=np.empty((parts, batch, features), dtype),
        product=np.empty((parts, batch, features), dtype),
        d_weights=np.empty((parts, min(BLOCK_ROWS, vocabulary), features), dtype),
        log_sums=np.empty(batch, np.float64),
    )


@njit(inline="always")
def _find_first_targets(targets, low, cursors):
    """Point each example's cursor at its first target from word `low` on."""
    for i in range(len(cursors)):
        row = targets.columns[targets.starts[i] : targets.ends[i]]
        cursors[i] = targets.starts[i] + np.searchsorted(row, np.int32(low))


@njit(fastmath={"contract", "nsz"}, error_model="numpy", cache=True)
def _exponentiate(logits, bias, maxima, sums):
    """Turn h Wᵀ (block × B) into exp(θ − maximum over the block), with the sums."""
    words, batch = logits.shape
    maxima[:] = -np.inf
    sums[:] = 0
    for c in range(words):
        b = bias[c]
        row = logits[c]
        for i in range(batch):
            row[i] += b
            maxima[i] = max(maxima[i], row[i])
    for c in range(words):
        row = logits[c]
        for i in range(batch):
            e = exp(row[i] - maxima[i])
            row[i] = e
            sums[i] += e


@njit(error_model="numpy", cache=True)
def _add_target_logits(logits, bias, low, targets, cursors, out):
    """Add the block's part of Σ_c y_bc θ_bc to each example's."""
    _, ends, columns, weights, scales, _ = targets
    high = low + logits.shape[0]
    for i in range(logits.shape[1]):
        k = cursors[i]
        end = ends[i]
        total = 0.0
        while k < end and columns[k] < high:
            c = columns[k] - low
            total += weights[k] * np.float64(logits[c, i] + bias[c])
            k += 1
        cursors[i] = k
        out[i] += total * scales[i]


@njit(error_model="numpy", cache=True)
def _subtract_targets(d_logits, low, targets, cursors, d_bias):
    _, ends, columns, weights, scales, _ = targets
    high = low + d_logits.shape[0]
    for i in range(d_logits.shape[1]):
        k = cursors[i]
        end = ends[i]
        scale = scales[i]
        while k < end and columns[k] < high:
            c = columns[k] - low
            y = weights[k] * scale
            d_logits[c, i] -= y
            d_bias[c] -= y
            k += 1
        cursors[i] = k


@njit(parallel=True, error_model="numpy", cache=True)
def softmax_loss(hidden, weights, bias, targets, workspace):
    """Return J and leave what `softmax_step` needs in the workspace.

    Parameters
    ----------
    hidden : (B, H)
    weights : (V, H)
    bias : (V,)
    targets : Targets
    workspace : Workspace
        Its `logits` hold exp(θ − block maximum) afterwards, `log_sums` log Σ exp θ.

    Returns
    -------
    float
        J in nats, summed over the batch.
    """
    vocabulary = weights.shape[0]
    blocks, batch = workspace.maxima.shape
    parts = len(workspace.cursors)
    hidden_transposed = hidden.T
    for part in prange(parts):
        first = part * blocks // parts
        last = (part + 1) * blocks // parts
        cursors = workspace.cursors[part]
        target_logits = workspace.target_logits[part]
        target_logits[:] = 0.0
        _find_first_targets(targets, first * BLOCK_ROWS, cursors)
        for k in range(first, last):
            low = k * BLOCK_ROWS
            high = min(vocabulary, low + BLOCK_ROWS)
            logits = workspace.logits[low:high]
            np.dot(weights[low:high], hidden_transposed, logits)
            _add_target_logits(logits, bias[low:high], low, targets, cursors, target_logits)
            _exponentiate(logits, bias[low:high], workspace.maxima[k], workspace.sums[k])
    loss = 0.0
    for i in range(batch):
        largest = workspace.maxima[:, i].max()
        total = 0.0
        for k in range(blocks):
            total += workspace.sums[k, i] * np.exp(np.float64(workspace.maxima[k, i] - largest))
        workspace.log_sums[i] = largest + np.log(total)
        loss += targets.totals[i] * workspace.log_sums[i]
        for part in range(parts):
            loss -= workspace.target_logits[part, i]
    return loss


@njit(fastmath={"contract", "nsz", "reassoc"}, error_model="numpy", cache=True)
def _differentiate(exponentials, low, maxima, targets, log_sums, cursors, d_bias):
    """Turn exponentials (block × B) into ∂J/∂θ = n ŷ − y, and sum it to ∂J/∂b."""
    words, batch = exponentials.shape
    factors = np.empty_like(maxima)
    for i in range(batch):
        factors[i] = targets.totals[i] * np.exp(np.float64(maxima[i]) - log_sums[i])
    for c in range(words):
        row = exponentials[c]
        total = exponentials.dtype.type(0.0)
        for i in range(batch):
            row[i] *= factors[i]
            total += row[i]
        d_bias[c] = total
    _subtract_targets(exponentials, low, targets, cursors, d_bias)


@njit(error_model="numpy", cache=True)
def _differentiate_part(part, hidden, weights, bias, targets, workspace, rule, moments):
    """Do step 3 of the module's text for one thread's blocks."""
    vocabulary = weights.shape[0]
    blocks = len(workspace.maxima)
    parts = len(workspace.cursors)
    first = part * blocks // parts
    last = (part + 1) * blocks // parts
    cursors = workspace.cursors[part]
    product = workspace.product[part]
    total = workspace.d_hidden_parts[part]
    total[:] = 0
    d_bias = np.empty(BLOCK_ROWS, bias.dtype)
    _find_first_targets(targets, first * BLOCK_ROWS, cursors)
    for k in range(first, last):
        low = k * BLOCK_ROWS
        high = min(vocabulary, low + BLOCK_ROWS)
        d_logits = workspace.logits[low:high]
        _differentiate(
            d_logits, low, workspace.maxima[k], targets, workspace.log_sums, cursors, d_bias
        )
        np.dot(d_logits.T, weights[low:high], product)
        total += product
        d_weights = workspace.d_weights[part, : high - low]
        np.dot(d_logits, hidden, d_weights)
        step(
            flat_rows(weights, low, high),
            d_weights.reshape(-1),
            flat_rows(moments.weights_first, low, high),
            flat_rows(moments.weights_second, low, high),
            rule,
        )
        step(
            bias[low:high],
            d_bias[: high - low],
            flat_rows(moments.bias_first, low, high),
            flat_rows(moments.bias_second, low, high),
            rule,
        )


@njit(parallel=True, error_model="numpy", cache=True)
def softmax_step(hidden, weights, bias, targets, workspace, rule, moments, d_hidden):
    """Compute ∂J/∂h and, block by block, ∂J/∂W and ∂J/∂b and the optimizer's step with them.

    To be called after `softmax_loss` on the same arguments.

    Parameters
    ----------
    hidden, weights, bias, targets, workspace
        As in `softmax_loss`; `weights` and `bias` are changed.
    rule : Rule
        With kind `GRADIENT`, `weights` and `bias` stay and their gradients are left in the moments.
    moments : OutputMoments
    d_hidden : (B, H)
        Receives ∂J/∂h, taken at the weights before the step.
    """
    parts = len(workspace.cursors)
    for part in prange(parts):
        _differentiate_part(part, hidden, weights, bias, targets, workspace, rule, moments)
    d_hidden[:] = workspace.d_hidden_parts[0]
    for part in range(1, parts):
        d_hidden += workspace.d_hidden_parts[part]
