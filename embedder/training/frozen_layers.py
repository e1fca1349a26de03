"""The layers above E while they are frozen: the losses of input vectors, and their curvature.

When W1, b1, W2 and b2 are frozen, the loss is a sum over words. Most words predict nearly the same
distribution u = softmax(θ(0)), so all rows of E share a curvature,

    P = A F Aᵀ      F = W2ᵀ (diag u − u uᵀ) W2      A = ∂f/∂x at x = 0

(f the features, see `embedder.kernels.frozen`); compare the bound on the multinomial Hessian of
Böhning (1992).
"""

import hashlib
from copy import copy
from typing import NamedTuple

import numpy as np

from embedder.arrays import Array
from embedder.examples.cells import Cooccurrences
from embedder.network.activation import kernel_constant
from embedder.network.parameters import Parameters
from embedder.training.descent import Descent


class Targets(NamedTuple):
    """What some words should predict: ``means`` W2ᵀ y (n, F), and ``biases`` b2 · y (n,)."""

    means: Array
    biases: Array

    def of(self, rows: Array) -> "Targets":
        """Return the targets of some of the words."""
        return Targets(self.means[rows], self.biases[rows])


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

    def evaluate(self, targets: Targets) -> tuple[Array, Array]:
        """Return the cross-entropy (n,) and its gradient (n, D) of words at x = 0."""
        means, biases = (part.astype(np.float64) for part in targets)
        losses = self.log_sum - means @ self.features - biases
        return losses, (self.expected - means) @ self.jacobian.T


class FrozenLayers:
    """The losses of input vectors under frozen layers.

    Parameters
    ----------
    activation
        Its name.
    parameters
        W1, b1, W2 and b2 are used.
    """

    def __init__(self, activation: str, parameters: Parameters) -> None:
        self._parameters = parameters
        self._activation = kernel_constant(activation)
        self._origin = self._at_origin()

    def without_rows(self) -> "FrozenLayers":
        """Return a copy without E, to send to other processes."""
        own = copy(self)
        own._parameters = self._parameters._replace(E=self._parameters.E[:0])
        return own

    def writable(self) -> "FrozenLayers":
        """Return a copy whose arrays are writable: kernels are compiled for such ones."""
        own = copy(self)
        own._parameters = Parameters(*map(np.array, self._parameters))
        return own

    def digest(self) -> str:
        """Return the SHA-256 of W1, b1, W2 and b2."""
        found = hashlib.sha256()
        for array in self._parameters[1:]:
            found.update(np.ascontiguousarray(array).data)
        return found.hexdigest()

    @property
    def curvature(self) -> tuple[Array, Array]:
        """The eigenvalues (D,) and eigenvectors (D, D) of P."""
        return self._origin.curvature

    @property
    def jacobian(self) -> Array:
        """A = ∂f/∂x at x = 0, (D, F) float64."""
        return self._origin.jacobian

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

    def targets(self, counts: Cooccurrences, totals: Array) -> Targets:
        """Return what words should predict, given their rows of the counts and the totals n_w."""
        from embedder.kernels.sparse import sparse_times_dense

        _, _, _, W2, b2 = self._parameters
        scales = 1 / np.maximum(totals[:, None], np.finfo(np.float64).tiny)
        found = []
        for dense in (W2, b2[:, None]):
            sums = np.empty((len(totals), dense.shape[1]), dense.dtype)
            sparse_times_dense(*counts, dense, sums)
            found.append((sums * scales).astype(dense.dtype))
        return Targets(found[0], found[1][:, 0])

    def evaluate_at_origin(self, targets: Targets) -> tuple[Array, Array]:
        """Return the cross-entropy (n,) and its gradient (n, D) at x = 0."""
        return self._origin.evaluate(targets)

    def evaluate(self, x: Array, targets: Targets) -> tuple[Array, Array]:
        """Return the cross-entropy (n,) of each row of x (n, D), and its gradient (n, D)."""
        from embedder.kernels.frozen import loss_of_inputs

        _, *frozen = self._parameters
        losses, d_x = np.empty(len(x)), np.empty_like(x)
        loss_of_inputs(
            x, tuple(frozen), self._activation, (targets.means, targets.biases), losses, d_x
        )
        return losses, d_x

    def minimise(self, descent: Descent, targets: Targets, steps: int, tolerances: Array) -> int:
        """Take up to so many steps of a descent; each row ends when a step promises too little.

        Parameters
        ----------
        descent
            At its start.
        targets
            Of its n rows.
        steps
            The maximum number of steps.
        tolerances : (n,)
            In nats; −∞ takes all steps.

        Returns
        -------
        int
            The number of evaluations of a row's loss.
        """
        active = np.arange(len(tolerances))
        evaluations = 0
        for number in range(steps + 1):
            losses, d_x = self.evaluate(descent.next[active], targets.of(active))
            descent.accept(active, losses, d_x)
            evaluations += len(active)
            if number == steps:
                break
            promised = descent.propose(active)
            active = active[promised > tolerances[active]]
            if len(active) == 0:
                break
        return evaluations
