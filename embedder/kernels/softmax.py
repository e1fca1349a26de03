r"""The exact softmax over the whole vocabulary, fused with its gradients and the optimizer.

With h (B × H) the output layer's input, W (V × H) with one row per word, and b (V):

    θ = h Wᵀ + b        ŷ = softmax(θ)        J = −Σ_b Σ_c y_bc log ŷ_bc

for targets y with row totals n_b = Σ_c y_bc (1 for one-hot targets):

    ∂J/∂θ = n ŷ − y        ∂J/∂h = (∂J/∂θ) W        ∂J/∂W = (∂J/∂θ)ᵀ h        ∂J/∂b = Σ_b ∂J/∂θ_b

The vocabulary is cut into blocks whose logits fit in the cache, and consecutive blocks form the
parts that threads take (see `embedder.kernels.parts`). Blocks store logits with one row per *word*
(block × B), so that maxima and sums over the vocabulary run along rows, which vectorises, and ∂J/∂W
needs no transposed operand.

1. For every block: logits, the targets' logits (for the loss), and exponentials of θ minus a shift
   for each example, with their sums. The shift is the largest θ of some words at the beginning of
   the part, so that there is no search for a maximum. A block whose sums are out of range is
   computed again with its own largest θ. The exponentials stay in memory (V × B): one write and one
   read instead of a third product to recompute them.
2. The blocks' sums are merged into log Σ exp θ for each example, and n ŷ = f exp(θ − shift)
   defines f.
3. For every block: exponentials − y/f = (∂J/∂θ)/f. The factors f are multiplied not into the block
   but into the smaller sides of the two products, h and ∂J/∂h. The optimizer's step on this block
   of W and b follows while it is in the cache. ∂J/∂h is summed for each part, and these sums are
   added in the order of the parts.
"""

from typing import NamedTuple

import numpy as np
from numba import njit

from embedder.arrays import Array, read_only
from embedder.kernels.exp import exp
from embedder.kernels.optimizer import Rule, flat_rows, step
from embedder.kernels.parts import take
from embedder.kernels.prefetch import prefetch
from embedder.kernels.threads import share

BLOCK_ROWS = 512
"""Measured: 256 to 1,024 differ by a few per cent; 512 × 1,024 logits are 2 MB."""
_PARTS = 32
"""Parts come in multiples of this number, where there are as many blocks: few enough that adding up
their gradients costs little, and enough that threads finish at about the same time."""
_BLOCKS_PER_PART = 4
_FEATURES_PER_PART = 8
_WORDS_FOR_SHIFT = 32
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

    def read_only(self) -> "Targets":
        """Return the same with lists that cannot be written, as memory-mapped ones cannot be."""
        columns, weights = read_only(self.columns, self.weights)
        return self._replace(columns=columns, weights=weights)


class OutputMoments(NamedTuple):
    """The optimizer's moments of W and b, with their shapes or empty; Numba needs a flat tuple."""

    weights_first: Array
    weights_second: Array
    bias_first: Array
    bias_second: Array


class Workspace(NamedTuple):
    """Buffers that all steps reuse; see `new_workspace`.

    ``hidden (B, H)``
    ``logits (V, B)``
    ``shifts, sums (blocks, B)``
    ``target_logits (parts, B) float64``
        Σ_c y_bc θ_bc over a part's words.
    ``ends (parts, B) int64``
        Where each example's targets among the words of a part and of those before it end.
    ``d_hidden (parts, H, B)``
    ``log_sums (B,) float64``
    """

    hidden: Array
    logits: Array
    shifts: Array
    sums: Array
    target_logits: Array
    ends: Array
    d_hidden: Array
    log_sums: Array


def count_parts(vocabulary: int) -> int:
    """Return the number of parts of V words."""
    blocks = -(-vocabulary // BLOCK_ROWS)
    return min(blocks, _PARTS * max(1, blocks // (_PARTS * _BLOCKS_PER_PART)))


def new_workspace(
    vocabulary: int, features: int, batch: int, dtype: type = np.float32
) -> Workspace:
    """Allocate the buffers for V words, H features and B examples."""
    blocks = -(-vocabulary // BLOCK_ROWS)
    parts = count_parts(vocabulary)
    if batch * np.dtype(dtype).itemsize % _ALIASING_BYTES == 0:
        batch += _PADDING
    return Workspace(
        hidden=np.zeros((batch, features), dtype),
        logits=np.empty((vocabulary, batch), dtype),
        shifts=np.empty((blocks, batch), dtype),
        sums=np.empty((blocks, batch), dtype),
        target_logits=np.empty((parts, batch), np.float64),
        ends=np.empty((parts, batch), np.int64),
        d_hidden=np.empty((parts, features, batch), dtype),
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


@njit(fastmath={"contract", "nsz"}, error_model="numpy", cache=True)
def _merge_sums(workspace):
    """Compute log Σ exp θ of each example from the blocks' sums of exp(θ − shift)."""
    sums, shifts, log_sums = workspace.sums, workspace.shifts, workspace.log_sums
    batch = len(log_sums)
    largest = shifts[0].copy()
    for k in range(1, len(shifts)):
        for i in range(batch):
            largest[i] = max(largest[i], shifts[k, i])
    log_sums[:] = 0.0
    for k in range(len(shifts)):
        for i in range(batch):
            log_sums[i] += sums[k, i] * exp(shifts[k, i] - largest[i])
    for i in range(batch):
        log_sums[i] = largest[i] + np.log(log_sums[i])


@njit(nogil=True, error_model="numpy", cache=True)
def _exponentiate_parts(parts, weights, bias, targets, workspace):
    """Perform step 1 of the module's description."""
    vocabulary = weights.shape[0]
    blocks = len(workspace.shifts)
    count = len(workspace.ends)
    hidden_transposed = workspace.hidden.T
    cursors = np.empty(len(workspace.hidden), np.int64)
    before = -1
    while True:
        part = take(parts)
        if part < 0:
            break
        first = part * blocks // count
        if part != before + 1 or part == 0:
            _find_first_targets(targets, first * BLOCK_ROWS, cursors)
        before = part
        target_logits = workspace.target_logits[part]
        target_logits[:] = 0.0
        for k in range(first, (part + 1) * blocks // count):
            low = k * BLOCK_ROWS
            high = min(vocabulary, low + BLOCK_ROWS)
            logits = workspace.logits[low:high]
            np.dot(weights[low:high], hidden_transposed, logits)
            _add_target_logits(logits, bias[low:high], low, targets, cursors, target_logits)
            shift = workspace.shifts[k]
            if k == first:
                _largest(logits[:_WORDS_FOR_SHIFT], bias[low:high], shift)
            else:
                shift[:] = workspace.shifts[k - 1]
            if not _exponentiate(logits, bias[low:high], shift, workspace.sums[k]):
                np.dot(weights[low:high], hidden_transposed, logits)
                _largest(logits, bias[low:high], shift)
                _exponentiate(logits, bias[low:high], shift, workspace.sums[k])
        workspace.ends[part] = cursors


@njit(nogil=True, error_model="numpy", cache=True)
def _merge_loss(targets, workspace):
    """Perform step 2 of the module's description, and return J."""
    _merge_sums(workspace)
    loss = 0.0
    for i in range(len(targets.totals)):
        loss += targets.totals[i] * workspace.log_sums[i]
        for part in range(len(workspace.target_logits)):
            loss -= workspace.target_logits[part, i]
    return loss


def softmax_loss(
    hidden: Array, weights: Array, bias: Array, targets: Targets, workspace: Workspace
) -> float:
    """Return J and leave what `softmax_step` needs in the workspace.

    Parameters
    ----------
    hidden : (B, H)
        B is at most the workspace's batch size.
    weights : (V, H)
    bias : (V,)
    targets : Targets
    workspace : Workspace
        Afterwards, `logits` contains exp(θ − shift), and `log_sums` log Σ exp θ.

    Returns
    -------
    float
        J in nats, summed over the batch.
    """
    workspace.hidden[: len(hidden)] = hidden
    targets = targets.read_only()
    parts = len(workspace.ends)
    share(_exponentiate_parts, parts, weights, bias, targets, workspace)
    return float(_merge_loss(targets, workspace))


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


@njit(nogil=True, error_model="numpy", cache=True)
def _differentiate_parts(parts, weights, bias, targets, workspace, rule, moments):
    """Perform step 3 of the module's description."""
    vocabulary = weights.shape[0]
    blocks = len(workspace.shifts)
    count = len(workspace.ends)
    rows = min(BLOCK_ROWS, vocabulary)
    batch, features = workspace.hidden.shape
    product = np.empty((features, batch), weights.dtype)
    scaled = np.empty((batch, features), weights.dtype)
    factors = np.empty(batch, weights.dtype)
    cursors = np.empty(batch, np.int64)
    all_d_weights = np.empty((rows, features), weights.dtype)
    all_d_bias = np.empty(rows, weights.dtype)
    while True:
        taken = take(parts)
        if taken < 0:
            break
        # Backwards, because the last blocks are still in the cache and the cursors point there.
        part = count - 1 - taken
        first = part * blocks // count
        last = (part + 1) * blocks // count
        cursors[:] = workspace.ends[part]
        total = workspace.d_hidden[part]
        for k in range(last - 1, first - 1, -1):
            low = k * BLOCK_ROWS
            high = min(vocabulary, low + BLOCK_ROWS)
            d_logits = workspace.logits[low:high]
            if k == last - 1 or (workspace.shifts[k] != workspace.shifts[k + 1]).any():
                _probability_factors(workspace.shifts[k], targets, workspace.log_sums, factors)
                _scale_rows(workspace.hidden, factors, scaled)
            # This sequential read first: it loads the block into the cache for the scattered ones.
            d_bias = all_d_bias[: high - low]
            np.dot(d_logits, factors, d_bias)
            _subtract_targets(d_logits, low, targets, cursors, factors, d_bias)
            np.dot(weights[low:high].T, d_logits, product)
            if k == last - 1:
                total[:] = 0
            _add_scaled_columns(product, factors, total)
            d_weights = all_d_weights[: high - low]
            np.dot(d_logits, scaled, d_weights)
            step_output_rows(weights, bias, low, high, d_weights, d_bias, rule, moments)


@njit(nogil=True, error_model="numpy", cache=True)
def _add_parts(parts, d_hidden_by_part, d_hidden):
    """Sum ∂J/∂h (parts, H, B) over the parts of step 3, in their order; features form parts."""
    batch = len(d_hidden)
    while True:
        part = take(parts)
        if part < 0:
            break
        low = part * _FEATURES_PER_PART
        high = min(d_hidden.shape[1], low + _FEATURES_PER_PART)
        total = d_hidden_by_part[0, low:high]
        for k in range(1, len(d_hidden_by_part)):
            for j in range(high - low):
                row = d_hidden_by_part[k, low + j]
                for i in range(batch):
                    total[j, i] += row[i]
        for i in range(batch):
            for j in range(high - low):
                d_hidden[i, low + j] = total[j, i]


def softmax_step(
    weights: Array,
    bias: Array,
    targets: Targets,
    workspace: Workspace,
    rule: Rule,
    moments: OutputMoments,
    d_hidden: Array,
) -> None:
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
    targets = targets.read_only()
    parts = len(workspace.ends)
    share(_differentiate_parts, parts, weights, bias, targets, workspace, rule, moments)
    parts = -(-d_hidden.shape[1] // _FEATURES_PER_PART)
    share(_add_parts, parts, workspace.d_hidden, d_hidden)
