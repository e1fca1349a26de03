"""The loss of input vectors while all layers above them are frozen, and its gradient.

For a word's input vector x and its targets y with Σ_c y_c = 1, and the features f of x, which are
h, or [h, x] with direct connections:

    CE = log Σ_c exp θ_c − f · t − s       t = W2ᵀ y     s = b2 · y
    ∂CE/∂f = Σ_c ŷ_c W2_c − t

t and s depend on frozen parameters only, so they are computed once, and an evaluation costs
4 C F floating-point operations per word. Blocks of words and of contexts stay in cache; sums over
contexts are kept relative to a running maximum (Milakov and Gimelshein 2018).
"""

import numpy as np
from numba import njit

from embedder.arrays import Array
from embedder.kernels.exp import exp
from embedder.kernels.hidden import activate, multiply_by_derivative
from embedder.kernels.parts import take
from embedder.kernels.threads import share

WORDS_PER_BLOCK = 128
_CONTEXTS_PER_BLOCK = 512


@njit(fastmath={"contract", "nsz"}, error_model="numpy", cache=True)
def _expect(features, W2, b2, log_sums, expected):
    """Set log_sums to log Σ_c exp θ_c, and expected (F, B) to Σ_c ŷ_c W2_c."""
    batch = len(features)
    contexts, width = W2.shape
    zero = features.dtype.type(0.0)
    transposed = features.T.copy()
    logits = np.empty((min(contexts, _CONTEXTS_PER_BLOCK), batch), features.dtype)
    part = np.empty((width, batch), features.dtype)
    highest = np.full(batch, -np.inf, features.dtype)
    before = np.empty(batch, features.dtype)
    sums = np.zeros(batch, features.dtype)
    expected[:] = 0
    for low in range(0, contexts, _CONTEXTS_PER_BLOCK):
        high = min(contexts, low + _CONTEXTS_PER_BLOCK)
        block = logits[: high - low]
        np.dot(W2[low:high], transposed, block)
        before[:] = highest
        for c in range(high - low):
            row = block[c]
            bias = b2[low + c]
            for i in range(batch):
                row[i] += bias
                highest[i] = max(highest[i], row[i])
        for i in range(batch):
            factor = exp(before[i] - highest[i]) if low > 0 else zero
            before[i] = factor
            sums[i] *= factor
        for c in range(high - low):
            row = block[c]
            for i in range(batch):
                row[i] = exp(row[i] - highest[i])
                sums[i] += row[i]
        np.dot(W2[low:high].T, block, part)
        for j in range(width):
            for i in range(batch):
                expected[j, i] = expected[j, i] * before[i] + part[j, i]
    for i in range(batch):
        log_sums[i] = highest[i] + np.log(sums[i])
        before[i] = 1 / sums[i]
    for j in range(width):
        for i in range(batch):
            expected[j, i] *= before[i]


@njit(nogil=True, error_model="numpy", cache=True)
def _loss_parts(parts, x, parameters, activation, targets, losses, d_x):
    W1, b1, W2, b2 = parameters
    means, biases = targets
    hidden = len(b1)
    width = W2.shape[1]
    transposed = W1.T.copy()
    while True:
        block = take(parts)
        if block < 0:
            break
        low = block * WORDS_PER_BLOCK
        high = min(len(x), low + WORDS_PER_BLOCK)
        features = np.empty((high - low, width), x.dtype)
        r = np.dot(x[low:high], W1)
        for i in range(high - low):
            r[i] += b1
            activate(r[i], activation)
            features[i, :hidden] = r[i]
            if width > hidden:
                features[i, hidden:] = x[low + i]
        log_sums = np.empty(high - low, x.dtype)
        expected = np.empty((width, high - low), x.dtype)
        _expect(features, W2, b2, log_sums, expected)
        d_features = expected.T.copy()
        for i in range(high - low):
            for j in range(width):
                d_features[i, j] -= means[low + i, j]
            logit = np.float64(biases[low + i])
            for j in range(width):
                logit += np.float64(features[i, j]) * means[low + i, j]
            losses[low + i] = log_sums[i] - logit
            r[i] = d_features[i, :hidden]
            multiply_by_derivative(r[i], features[i, :hidden], activation)
        d_rows = d_x[low:high]
        np.dot(r, transposed, d_rows)
        for i in range(high - low):
            for j in range(hidden, width):
                d_rows[i, j - hidden] += d_features[i, j]


def loss_of_inputs(
    x: Array,
    parameters: tuple[Array, ...],
    activation: int,
    targets: tuple[Array, Array],
    losses: Array,
    d_x: Array,
) -> None:
    """Compute the cross-entropy of each word, and its gradient with respect to x.

    Parameters
    ----------
    x : (n, D)
        Input vectors.
    parameters
        W1 (D, H), b1 (H,), W2 (C, F) and b2 (C,).
    activation : int
        See `embedder.kernels.hidden`.
    targets
        t (n, F) and s (n,).
    losses : (n,) float64
        Receives the cross-entropies, in nats.
    d_x : (n, D)
        Receives the gradients.
    """
    parts = -(-len(x) // WORDS_PER_BLOCK)
    share(_loss_parts, parts, x, parameters, activation, targets, losses, d_x)
