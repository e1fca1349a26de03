r"""The exact softmax over the whole vocabulary, fused with its gradients and the optimizer.

With h (B × H) the output layer's input, W (V × H) with one row per word, and b (V):

    θ = h Wᵀ + b        ŷ = softmax(θ)        J = −Σ_b Σ_c y_bc log ŷ_bc

for targets y with row totals n_b = Σ_c y_bc (1 for one-hot targets):

    ∂J/∂θ = n ŷ − y        ∂J/∂h = (∂J/∂θ) W        ∂J/∂W = (∂J/∂θ)ᵀ h        ∂J/∂b = Σ_b ∂J/∂θ_b

The vocabulary is cut into blocks whose logits fit in the cache; each thread owns consecutive
blocks. Blocks store logits with one row per *word* (block × B), so that maxima and sums over the
vocabulary run along rows, which vectorises, and ∂J/∂W needs no transposed operand.

1. For every block: logits, the targets' logits (for the loss), and exponentials of θ minus a shift
   for each example, with their sums. The shift is the largest θ of the thread's first block, so
   that other blocks need no search for a maximum. A block whose sums are out of range is computed
   again with its own largest θ. The exponentials stay in memory (V × B): one write and one read
   instead of a third product to recompute them.
2. The blocks' sums are merged into log Σ exp θ for each example, and n ŷ = f exp(θ − shift)
   defines f.
3. For every block: exponentials − y/f = (∂J/∂θ)/f. The factors f are multiplied not into the block
   but into the smaller sides of the two products, h and ∂J/∂h. The optimizer's step on this block
   of W and b follows while it is in the cache. Each thread sums ∂J/∂h in its own memory, and these
   sums are added in the order of the threads, which gives bit-identical results for the same number
   of threads.
"""

from typing import NamedTuple

import numpy as np
from numba import njit, prange

from embedder.arrays import Array
from embedder.kernels.exp import exp
from embedder.kernels.optimizer import Rule, flat_rows, step
from embedder.kernels.prefetch import prefetch

BLOCK_ROWS = 512
"""Measured: 256 to 1,024 differ by a few per cent; 512 × 1,024 logits are 2 MB."""
MAX_SUM = 1e15
"""A larger sum of exponentials means that the shift was too small."""
_MIN_FACTOR = 1e-30
_ALIASING_BYTES = 4096
_PADDING = 16
"""If rows of logits were multiples of 4,096 bytes apart, a column, which contains an example's
targets, would compete for a few cache lines; padding with empty examples avoids that."""
_EXAMPLES_AHEAD = 8
"""How far ahead to prefetch targets, which are scattered over the corpus's counts."""


class Targets(NamedTuple):
    """Sparse target rows: entries ``starts[i]`` … ``ends[i]`` − 1 of both lists are example i's.

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
    """The optimizer's moments of W and b, with their shapes or empty; Numba needs a flat tuple."""

    weights_first: Array
    weights_second: Array
    bias_first: Array
    bias_second: Array


class Workspace(NamedTuple):
    """Buffers that all steps reuse; see `new_workspace`."""

    hidden: Array
    logits: Array
    shifts: Array
    sums: Array
    target_logits: Array
    cursors: Array
    d_hidden_by_thread: Array
    product: Array
    scaled_hidden: Array
    d_weights: Array
    d_bias: Array
    log_sums: Array


def new_workspace(
    vocabulary: int, features: int, batch: int, threads: int, dtype: type = np.float32
) -> Workspace:
    """Allocate the buffers for V words, H features, B examples and a number of threads."""
    blocks = -(-vocabulary // BLOCK_ROWS)
    if batch * np.dtype(dtype).itemsize % _ALIASING_BYTES == 0:
        batch += _PADDING
    return Workspace(
        hidden=np.zeros((batch, features), dtype),
        logits=np.empty((vocabulary, batch), dtype),
        shifts=np.empty((blocks, batch), dtype),
        sums=np.empty((blocks, batch), dtype),
        target_logits=np.empty((threads, batch), np.float64),
        cursors=np.empty((threads, batch), np.int64),
        d_hidden_by_thread=np.empty((threads, features, batch), dtype),
        product=np.empty((threads, features, batch), dtype),
        scaled_hidden=np.empty((threads, batch, features), dtype),
        d_weights=np.empty((threads, min(BLOCK_ROWS, vocabulary), features), dtype),
        d_bias=np.empty((threads, min(BLOCK_ROWS, vocabulary)), dtype),
        log_sums=np.empty(batch, np.float64),
    )


@njit(inline="always")
def _find_first_targets(targets, low, cursors):
    """Set each example's cursor to its first target that is word `low` or later."""
    for i in range(len(targets.starts)):
        row = targets.columns[targets.starts[i] : targets.ends[i]]
        cursors[i] = targets.starts[i] + np.searchsorted(row, np.int32(low))


@njit(fastmath={"contract", "nsz"}, error_model="numpy", cache=True)
def _largest(logits, bias, shift):
    """Set an example's shift to its largest θ in the block (block × B)."""
    shift[:] = -np.inf
    for c in range(len(logits)):
        row = logits[c]
        for i in range(len(shift)):
            shift[i] = max(shift[i], row[i] + bias[c])


@njit(fastmath={"contract", "nsz"}, error_model="numpy", cache=True)
def _exponentiate(logits, bias, shift, sums):
    """Replace h Wᵀ (block × B) by exp(θ − shift), set sums; return whether these are in range."""
    sums[:] = 0
    for c in range(len(logits)):
        row = logits[c]
        for i in range(len(shift)):
            e = exp(row[i] + (bias[c] - shift[i]))
            row[i] = e
            sums[i] += e
    return sums.max() < MAX_SUM


@njit(error_model="numpy", cache=True)
def _add_target_logits(logits, bias, low, targets, cursors, out):
    """Add the block's share of Σ_c y_bc θ_bc to each example's sum."""
    _, ends, columns, weights, scales, _ = targets
    high = low + logits.shape[0]
    batch = len(ends)
    for i in range(batch):
        ahead = cursors[min(i + _EXAMPLES_AHEAD, batch - 1)]
        prefetch(columns, ahead)
        prefetch(weights, ahead)
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
def _subtract_targets(d_logits, low, targets, cursors, factors, d_bias):
    """Subtract y / f from a block, and y from the gradient of b; cursors move backwards."""
    starts, _, columns, weights, scales, _ = targets
    batch = len(starts)
    for i in range(batch):
        ahead = cursors[min(i + _EXAMPLES_AHEAD, batch - 1)] - 1
        prefetch(columns, ahead)
        prefetch(weights, ahead)
        prefetch(columns, ahead - 16)
        prefetch(weights, ahead - 16)
        k = cursors[i]
        start = starts[i]
        scale = scales[i]
        scale_here = scale / factors[i]
        while k > start and columns[k - 1] >= low:
            k -= 1
            c = columns[k] - low
            d_logits[c, i] -= weights[k] * scale_here
            d_bias[c] -= weights[k] * scale
        cursors[i] = k


@njit(error_model="numpy", cache=True)
def _merge_sums(thread, workspace):
    """Compute log Σ exp θ of one thread's examples from the blocks' sums of exp(θ − shift)."""
    sums, shifts, log_sums = workspace.sums, workspace.shifts, workspace.log_sums
    blocks, batch = sums.shape
    threads = len(workspace.cursors)
    for i in range(thread * batch // threads, (thread + 1) * batch // threads):
        largest = shifts[:, i].max()
        total = 0.0
        shift, factor = largest, 1.0  # reuse the factor, since most blocks share a shift
        for k in range(blocks):
            if shifts[k, i] != shift:
                shift = shifts[k, i]
                factor = np.exp(np.float64(shift - largest))
            total += sums[k, i] * factor
        log_sums[i] = largest + np.log(total)


@njit(parallel=True, error_model="numpy", cache=True)
def softmax_loss(hidden, weights, bias, targets, workspace):
    """Return J and leave what `softmax_step` needs in the workspace.

    Parameters
    ----------
    hidden : (B, H)
        B is at most the workspace's batch size.
    weights : (V, H)
    bias : (V,)
    targets : Targets
    workspace : Workspace
        Afterwards, `logits` contains exp(θ − shift), `log_sums` log Σ exp θ, and `cursors` points
        after each thread's last targets.

    Returns
    -------
    float
        J in nats, summed over the batch.
    """
    vocabulary = weights.shape[0]
    blocks = len(workspace.shifts)
    batch = len(hidden)
    threads = len(workspace.cursors)
    workspace.hidden[:batch] = hidden
    hidden_transposed = workspace.hidden.T
    for thread in prange(threads):
        first = thread * blocks // threads
        last = (thread + 1) * blocks // threads
        cursors = workspace.cursors[thread]
        target_logits = workspace.target_logits[thread]
        target_logits[:] = 0.0
        _find_first_targets(targets, first * BLOCK_ROWS, cursors)
        for k in range(first, last):
            low = k * BLOCK_ROWS
            high = min(vocabulary, low + BLOCK_ROWS)
            logits = workspace.logits[low:high]
            np.dot(weights[low:high], hidden_transposed, logits)
            _add_target_logits(logits, bias[low:high], low, targets, cursors, target_logits)
            shift = workspace.shifts[k]
            if k == first:
                _largest(logits, bias[low:high], shift)
            else:
                shift[:] = workspace.shifts[k - 1]
            if not _exponentiate(logits, bias[low:high], shift, workspace.sums[k]):
                np.dot(weights[low:high], hidden_transposed, logits)
                _largest(logits, bias[low:high], shift)
                _exponentiate(logits, bias[low:high], shift, workspace.sums[k])
    for thread in prange(threads):
        _merge_sums(thread, workspace)
    loss = 0.0
    for i in range(batch):
        loss += targets.totals[i] * workspace.log_sums[i]
        for thread in range(threads):
            loss -= workspace.target_logits[thread, i]
    return loss


@njit(error_model="numpy", cache=True)
def _probability_factors(shift, targets, log_sums, factors):
    """Compute f from n ŷ = f exp(θ − shift), (B,), with a lower bound so that y / f is finite."""
    factors[:] = 0
    for i in range(len(targets.totals)):
        f = targets.totals[i] * np.exp(np.float64(shift[i]) - log_sums[i])
        factors[i] = max(f, _MIN_FACTOR)


@njit(error_model="numpy", cache=True)
def _scale_rows(rows, factors, out):
    for i in range(len(rows)):
        for j in range(rows.shape[1]):
            out[i, j] = factors[i] * rows[i, j]


@njit(fastmath={"contract"}, error_model="numpy", cache=True)
def _add_scaled_columns(array, factors, total):
    for j in range(len(array)):
        for i in range(array.shape[1]):
            total[j, i] += factors[i] * array[j, i]


@njit(error_model="numpy", cache=True)
def step_output_rows(weights, bias, low, high, d_weights, d_bias, rule, moments):
    """Update rows low … high − 1 of W (V, H) and b (V,) by their gradients; b without decay."""
    step(
        flat_rows(weights, low, high),
        d_weights.reshape(-1),
        flat_rows(moments.weights_first, low, high),
        flat_rows(moments.weights_second, low, high),
        rule,
    )
    step(
        bias[low:high],
        d_bias,
        flat_rows(moments.bias_first, low, high),
        flat_rows(moments.bias_second, low, high),
        Rule(rule.kind, rule.rate, rule.decay1, rule.decay2, rule.epsilon, 0.0, rule.clip),
    )


@njit(error_model="numpy", cache=True)
def _differentiate_blocks(thread, weights, bias, targets, workspace, rule, moments):
    """Perform step 3 of the module's description for one thread's blocks."""
    vocabulary = weights.shape[0]
    blocks = len(workspace.shifts)
    threads = len(workspace.cursors)
    first = thread * blocks // threads
    last = (thread + 1) * blocks // threads
    cursors = workspace.cursors[thread]
    product = workspace.product[thread]
    total = workspace.d_hidden_by_thread[thread]
    total[:] = 0
    scaled = workspace.scaled_hidden[thread]
    factors = np.empty_like(workspace.shifts[0])
    # Backwards, because the last blocks are still in the cache and the cursors point there.
    for k in range(last - 1, first - 1, -1):
        low = k * BLOCK_ROWS
        high = min(vocabulary, low + BLOCK_ROWS)
        d_logits = workspace.logits[low:high]
        if k == last - 1 or (workspace.shifts[k] != workspace.shifts[k + 1]).any():
            _probability_factors(workspace.shifts[k], targets, workspace.log_sums, factors)
            _scale_rows(workspace.hidden, factors, scaled)
        # This sequential read first: it loads the block into the cache for the scattered accesses.
        d_bias = workspace.d_bias[thread, : high - low]
        np.dot(d_logits, factors, d_bias)
        _subtract_targets(d_logits, low, targets, cursors, factors, d_bias)
        np.dot(weights[low:high].T, d_logits, product)
        _add_scaled_columns(product, factors, total)
        d_weights = workspace.d_weights[thread, : high - low]
        np.dot(d_logits, scaled, d_weights)
        step_output_rows(weights, bias, low, high, d_weights, d_bias, rule, moments)


@njit(parallel=True, error_model="numpy", cache=True)
def softmax_step(weights, bias, targets, workspace, rule, moments, d_hidden):
    """Compute ∂J/∂h and, block by block, ∂J/∂W and ∂J/∂b with the optimizer's step.

    Call it after `softmax_loss` with the same arguments, which stores h in the workspace.

    Parameters
    ----------
    weights, bias, targets, workspace
        As in `softmax_loss`; `weights` and `bias` are updated.
    rule : Rule
        The rule for W; b uses the same without weight decay. With kind `GRADIENT`, both are
        unchanged and the moments receive their gradients.
    moments : OutputMoments
    d_hidden : (B, H)
        Receives ∂J/∂h, computed with the weights before the step.
    """
    threads = len(workspace.cursors)
    for thread in prange(threads):
        _differentiate_blocks(thread, weights, bias, targets, workspace, rule, moments)
    total = workspace.d_hidden_by_thread[0]
    for thread in range(1, threads):
        total += workspace.d_hidden_by_thread[thread]
    d_hidden[:] = total.T[: len(d_hidden)]
