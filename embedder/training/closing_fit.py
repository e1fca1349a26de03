"""The closing fit: the row of E of each word by itself, with all other layers frozen.

When W1, b1, W2 and b2 are frozen, the loss is a sum over words, and the row x of word w minimises

    J_w(x) = n_w CE(y_w, softmax(θ(x))) + λ/2 |x|²

Most words predict nearly the same distribution u = softmax(θ(0)), so all rows share a curvature,

    P = A F Aᵀ      F = W2ᵀ (diag u − u uᵀ) W2      A = ∂f/∂x at x = 0

(f the features, see `embedder.kernels.frozen`), and a step is

    x ← x − η (n_w P + λ I)⁻¹ ∂J_w/∂x

by one eigendecomposition of P; compare the bound on the multinomial Hessian of Böhning (1992). A
step that does not lower a word's J_w is undone and its next step is shorter, because the
predictions of the most frequent words are far from u. So the loss of no word rises. The fit needs
no state for the optimizer, and words are independent of each other: it runs in any order.
"""

import numpy as np

from embedder.arrays import Array
from embedder.config_sections import NetworkConfig, TrainingConfig
from embedder.examples.batches import CountedRows
from embedder.network.activation import kernel_constant
from embedder.network.parameters import Parameters

_STEP = 0.7
"""η of a word's first step."""
_SHRINK = 0.4
"""Factor on η after a step that was undone."""
_BLOCKS_PER_THREAD = 8


def cost_in_passes(training: TrainingConfig) -> float:
    """Return the time of the closing fit in passes of the same number of words.

    A step costs 4 C F floating-point operations per word, forward and back to x; a pass 6 C F. One
    more evaluation decides whether the last step is kept.
    """
    return (training.closing_steps + 1) * 2 / 3 if training.closing_steps else 0.0


class ClosingFit:
    """Fits rows of E to the counts.

    Parameters
    ----------
    network
        The activation.
    parameters
        E is changed in place by `fit`; the other layers are frozen.
    rows
        The rows of the counts, one per word, and their totals n_w.
    training
        The number of steps, and λ.
    threads
        How many threads share the work; the result does not depend on it.
    """

    def __init__(
        self,
        network: NetworkConfig,
        parameters: Parameters,
        rows: CountedRows,
        training: TrainingConfig,
        threads: int,
    ) -> None:
        from embedder.kernels.frozen import WORDS_PER_BLOCK

        self._parameters = parameters
        self._activation = kernel_constant(network.activation)
        self._counts, self._totals = rows.counts, rows.totals
        self._steps = training.closing_steps
        self._prior = training.prior_strength
        self._threads = threads
        self._eigenvalues, self._eigenvectors = self._curvature()
        self.rows_at_once = WORDS_PER_BLOCK * _BLOCKS_PER_THREAD * threads

    def _curvature(self) -> tuple[Array, Array]:
        """Return the eigenvalues (D,) and eigenvectors (D, D) of P."""
        from embedder.kernels.hidden import activate, multiply_by_derivative

        _, W1, b1, W2, b2 = self._parameters
        D, H = W1.shape
        features = np.zeros(W2.shape[1], W2.dtype)
        features[:H] = b1
        activate(features[:H], self._activation)
        slopes = np.ones(H, W2.dtype)
        multiply_by_derivative(slopes, features[:H], self._activation)
        logits = (W2 @ features + b2).astype(np.float64)
        u = np.exp(logits - logits.max())
        u /= u.sum()
        mean = u @ W2
        F = np.asarray((W2 * u[:, None].astype(W2.dtype)).T @ W2, np.float64)
        F -= np.outer(mean, mean)
        A = (W1 * slopes).astype(np.float64)
        if len(features) > H:
            A = np.hstack([A, np.eye(D)])
        values, vectors = np.linalg.eigh(A @ F @ A.T)
        return values.clip(min=0), vectors

    def _targets(self, first: int, last: int) -> tuple[Array, Array]:
        """Return W2ᵀ y (n, F) and b2 · y (n,) for words first … last − 1."""
        from embedder.kernels.sparse import sparse_times_dense

        _, _, _, W2, b2 = self._parameters
        offsets, columns, weights = self._counts
        scales = 1 / np.maximum(self._totals[first:last, None], np.finfo(np.float64).tiny)
        found = []
        for dense in (W2, b2[:, None]):
            sums = np.empty((last - first, dense.shape[1]), dense.dtype)
            rows = offsets[first : last + 1]
            sparse_times_dense(rows, columns, weights, dense, self._threads, sums)
            found.append((sums * scales).astype(dense.dtype))
        return found[0], found[1][:, 0]

    def fit(self, first: int, last: int) -> None:
        """Fit the rows of words first … last − 1; words without a neighbour keep theirs.

        Parameters
        ----------
        first
            A multiple of `rows_at_once`.
        last
            At most V.
        """
        from embedder.kernels.frozen import loss_of_inputs

        E, *frozen = self._parameters
        targets = self._targets(first, last)
        totals, prior = self._totals[first:last], self._prior
        x = E[first:last].copy()
        losses, d_x = np.empty(len(x)), np.empty_like(x)
        best = np.full(len(x), np.inf)
        best_x, gradients = x.copy(), np.zeros(x.shape)
        step = np.full(len(x), _STEP)
        for number in range(self._steps + 1):
            loss_of_inputs(x, tuple(frozen), self._activation, targets, losses, d_x)
            loss = totals * losses + prior / 2 * (x.astype(np.float64) ** 2).sum(axis=1)
            lower = loss < best
            best[lower], best_x[lower] = loss[lower], x[lower]
            gradients[lower] = totals[lower, None] * d_x[lower] + prior * x[lower]
            if number < self._steps:
                step[~lower] *= _SHRINK
                damped = totals[:, None] * self._eigenvalues + prior
                direction = (gradients @ self._eigenvectors / damped) @ self._eigenvectors.T
                x[:] = best_x - step[:, None] * direction
        counted = totals > 0
        E[first:last][counted] = best_x[counted]
