"""Fitting the row of E of each word by itself, with all other layers frozen.

When W1, b1, W2 and b2 are frozen, the loss is a sum over words, and the row x of word w minimises

    J_w(x) = n_w CE_w(x) + λ/2 |x|²        CE_w(x) = CE(y_w, softmax(θ(x)))

Most words predict nearly the same distribution u = softmax(θ(0)), so all rows share a curvature,

    P = A F Aᵀ      F = W2ᵀ (diag u − u uᵀ) W2      A = ∂f/∂x at x = 0

(f the features, see `embedder.kernels.frozen`), and a few steps of `embedder.training.descent`
suffice; compare the bound on the multinomial Hessian of Böhning (1992). The fit needs no state for
the optimizer, and words are independent of each other: it runs in any order.

The rows trained jointly with the other layers are near their minimum, and get a fixed number of
steps. The other rows start at 0, where all words share their predictions, so that the first step
needs no evaluation of J_w; they are fitted until they converge: until the next step promises to
lower J_w by less than `TOLERANCE` nats per neighbour of the word, n_w in all.
"""

import itertools
from typing import NamedTuple

import numpy as np

from embedder.arrays import Array
from embedder.config import Config
from embedder.config_automatic import closing_steps, joint_rows
from embedder.examples.batches import CountedRows
from embedder.network.activation import kernel_constant
from embedder.network.parameters import Parameters
from embedder.training.descent import Descent

TOLERANCE = 3e-3
"""Nats per neighbour."""
_MAX_STEPS = 20
_EXPECTED_EVALUATIONS = 2.6
"""For forecasts: how many evaluations a row takes to converge."""
_ROWS_AT_ONCE = 1 << 12


def cost_in_passes(config: Config, vocabulary: int) -> float:
    """Return the time of the fit in passes of the training.

    An evaluation costs 4 C F floating-point operations per word, forward and back to x; a pass
    costs 6 C F for each of the rows trained jointly.
    """
    steps, joint = closing_steps(config), joint_rows(config, vocabulary)
    evaluations: float = (steps + 1 if steps else 0) * joint
    evaluations += _EXPECTED_EVALUATIONS * (vocabulary - joint)
    return evaluations / joint * 2 / 3


class _Targets(NamedTuple):
    """What some words should predict: ``means`` W2ᵀ y (n, F), and ``biases`` b2 · y (n,)."""

    means: Array
    biases: Array

    def of(self, rows: Array) -> "_Targets":
        return _Targets(self.means[rows], self.biases[rows])


class _Origin(NamedTuple):
    """The network at x = 0.

    ``features (F,)``
        f.
    ``jacobian (D, F)``
        A = ∂f/∂x.
    ``log_sum``
        log Σ exp θ.
    ``expected (F,)``
        Σ_c u_c W2_c.
    ``curvature``
        The eigenvalues (D,) and eigenvectors (D, D) of P.
    """

    features: Array
    jacobian: Array
    log_sum: float
    expected: Array
    curvature: tuple[Array, Array]

    def evaluate(self, targets: _Targets) -> tuple[Array, Array]:
        """Return the cross-entropy (n,) and its gradient (n, D) of words at x = 0."""
        means, biases = (part.astype(np.float64) for part in targets)
        losses = self.log_sum - means @ self.features - biases
        return losses, (self.expected - means) @ self.jacobian.T


class RowFit:
    """Fits rows of E to the counts.

    Parameters
    ----------
    config
        The run: the activation, how many rows were trained jointly, the number of steps for these,
        and λ.
    parameters
        E is changed in place by `fit`; the other layers are frozen.
    rows
        The rows of the counts, one per word, and their totals n_w.
    """

    def __init__(self, config: Config, parameters: Parameters, rows: CountedRows) -> None:
        self._parameters = parameters
        self._activation = kernel_constant(config.network.activation)
        self._counts, self._totals = rows.counts, rows.totals
        self._joint = joint_rows(config, len(parameters.E))
        self._steps = closing_steps(config)
        self._prior = config.training.prior_strength
        self._origin = self._at_origin()

    def ranges(self, first: int) -> list[tuple[int, int]]:
        """Return the ranges of words to fit one after the other, from a word on."""
        V, joint = len(self._parameters.E), self._joint
        starts = [*range(0, joint, _ROWS_AT_ONCE), *range(joint, V, _ROWS_AT_ONCE), V]
        if self._steps == 0:
            starts = [start for start in starts if start >= joint]
        return [(a, b) for a, b in itertools.pairwise(starts) if a >= first]

    def _at_origin(self) -> _Origin:
        from embedder.kernels.hidden import activate, multiply_by_derivative

        _, W1, b1, W2, b2 = self._parameters
        D, H = W1.shape
        features = np.zeros(W2.shape[1], W2.dtype)
        features[:H] = b1
        activate(features[:H], self._activation)
        slopes = np.ones(H, W2.dtype)
        multiply_by_derivative(slopes, features[:H], self._activation)
        logits = (W2 @ features + b2).astype(np.float64)
        highest = float(logits.max())
        u = np.exp(logits - highest)
        log_sum = highest + float(np.log(u.sum()))
        u /= u.sum()
        expected = u @ W2
        F = np.asarray((W2 * u[:, None].astype(W2.dtype)).T @ W2, np.float64)
        F -= np.outer(expected, expected)
        A = (W1 * slopes).astype(np.float64)
        if len(features) > H:
            A = np.hstack([A, np.eye(D)])
        values, vectors = np.linalg.eigh(A @ F @ A.T)
        curvature = values.clip(min=0), vectors
        return _Origin(features.astype(np.float64), A, log_sum, expected, curvature)

    def _targets(self, first: int, last: int) -> _Targets:
        """Return the targets of words first … last − 1."""
        from embedder.kernels.sparse import sparse_times_dense

        _, _, _, W2, b2 = self._parameters
        offsets, columns, weights = self._counts
        scales = 1 / np.maximum(self._totals[first:last, None], np.finfo(np.float64).tiny)
        found = []
        for dense in (W2, b2[:, None]):
            sums = np.empty((last - first, dense.shape[1]), dense.dtype)
            rows = offsets[first : last + 1]
            sparse_times_dense(rows, columns, weights, dense, sums)
            found.append((sums * scales).astype(dense.dtype))
        return _Targets(found[0], found[1][:, 0])

    def _evaluate(self, x: Array, targets: _Targets) -> tuple[Array, Array]:
        """Return the cross-entropy of each row of x (n, D), and its gradient."""
        from embedder.kernels.frozen import loss_of_inputs

        _, *frozen = self._parameters
        losses, d_x = np.empty(len(x)), np.empty_like(x)
        loss_of_inputs(
            x, tuple(frozen), self._activation, (targets.means, targets.biases), losses, d_x
        )
        return losses, d_x

    def fit(self, first: int, last: int) -> int:
        """Fit the rows of words first … last − 1; words without a neighbour keep theirs.

        Returns
        -------
        int
            The number of evaluations of a row's loss.
        """
        counted = np.flatnonzero(self._totals[first:last] > 0)
        totals = self._totals[first:last][counted]
        targets = self._targets(first, last).of(counted)
        x = self._parameters.E[first:last][counted]
        joint = first < self._joint
        if not joint:
            x[:] = 0
        descent = Descent(x, totals, self._prior, self._origin.curvature)
        active = np.arange(len(counted))
        steps, tolerance, evaluations = self._steps, -np.inf, 0
        if not joint:
            steps, tolerance = _MAX_STEPS, TOLERANCE
            descent.accept(active, *self._origin.evaluate(targets))
            descent.propose(active)
        for number in range(steps + 1):
            losses, d_x = self._evaluate(descent.next[active], targets.of(active))
            descent.accept(active, losses, d_x)
            evaluations += len(active)
            if number == steps:
                break
            promised = descent.propose(active)
            active = active[promised > tolerance * totals[active]]
            if len(active) == 0:
                break
        self._parameters.E[first + counted] = descent.best
        return evaluations
