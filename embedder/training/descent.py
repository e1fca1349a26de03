"""The descent of many functions at once, each of one row, that share a curvature.

The function of row x of word w is

    J_w(x) = n_w L_w(x) + ½ (x − x0_w)ᵀ (m_w P + λ I) (x − x0_w)

with a prior: x0_w is what is known of the row already, from m_w earlier neighbours (see `Prior`).
The caller evaluates L_w and its gradient; the descent keeps the best x of each row and proposes the
next,

    x ← x − η ((n_w + m_w) P + λ I)⁻¹ ∂J_w/∂x

by one eigendecomposition of P. Each row has an η of its own: after a step that lowered J_w, the one
for which the step would have explained how the gradient turned (Barzilai and Borwein 1988, in the
metric of (n_w + m_w) P + λ I). A step that does not lower J_w is undone and shortened, so no J_w
rises.
"""

from typing import NamedTuple

import numpy as np

from embedder.arrays import Array

_FIRST_RATE = 0.7
_SHORTEST, _LONGEST = 0.05, 2.0
_SHRINK = 0.4
"""Factor on η after a step that was undone."""


class Prior(NamedTuple):
    """What is known of n rows before their counts are seen.

    ``strength``
        λ.
    ``means (n, D)``
        x0; by default 0.
    ``weights (n,) float64``
        m, in neighbours: where a loss over m_w neighbours has its minimum at x0_w, its Taylor
        expansion there is m_w/2 (x − x0_w)ᵀ P (x − x0_w). By default 0.
    """

    strength: float
    means: Array | None = None
    weights: Array | None = None

    def of(self, rows: Array) -> "Prior":
        """Return the prior of some of the rows."""
        means, weights = (None if part is None else part[rows] for part in self[1:])
        return Prior(self.strength, means, weights)


class Descent:
    """The best of each row, and the next to try.

    Parameters
    ----------
    x : (n, D)
        Where the rows start.
    totals : (n,) float64
        n_w.
    prior
        Of these rows.
    curvature
        Eigenvalues (D,) and eigenvectors (D, D) of P.
    """

    def __init__(
        self, x: Array, totals: Array, prior: Prior, curvature: tuple[Array, Array]
    ) -> None:
        self.best, self.next = x.copy(), x.copy()
        self._gradients = np.zeros(x.shape)
        self._totals, self._prior = totals, prior
        self._eigenvalues, self._eigenvectors = curvature
        self._values = np.full(len(x), np.inf)
        self._rates = np.full(len(x), _FIRST_RATE)

    def accept(self, rows: Array, losses: Array, d_x: Array) -> None:
        """Keep what lowers J_w.

        Parameters
        ----------
        rows : (m,) int64
            The rows that were evaluated.
        losses : (m,) float64, d_x : (m, D)
            L_w and its gradient at `next`.
        """
        x, totals = self.next[rows].astype(np.float64), self._totals[rows]
        priors, d_prior = self._evaluate_prior(rows, x)
        values = totals * losses + priors
        lower = values < self._values[rows]
        gradients = totals[:, None] * d_x + d_prior
        stepped = lower & np.isfinite(self._values[rows])
        own = rows[stepped]
        moved = x[stepped] - self.best[own]
        self._rates[own] = self._new_rates(own, moved, gradients[stepped] - self._gradients[own])
        self._rates[rows[~lower]] *= _SHRINK
        better = rows[lower]
        self.best[better] = self.next[better]
        self._values[better] = values[lower]
        self._gradients[better] = gradients[lower]

    def _evaluate_prior(self, rows: Array, x: Array) -> tuple[Array, Array]:
        """Return the prior's part of J_w (m,) and of its gradient (m, D), at x (m, D) float64."""
        strength, means, weights = self._prior
        moved = x if means is None else x - means[rows]
        gradients = strength * moved
        if weights is not None:
            turned = moved @ self._eigenvectors
            turned *= weights[rows, None] * self._eigenvalues
            gradients = gradients + turned @ self._eigenvectors.T
        return (moved * gradients).sum(axis=1) / 2, gradients

    def _new_rates(self, rows: Array, moved: Array, turned: Array) -> Array:
        """Return η after steps by which x moved and the gradient of J_w turned, (m, D) each."""
        by_metric = self._damped(rows) * (moved @ self._eigenvectors) ** 2
        explained = np.maximum((moved * turned).sum(axis=1), 1e-300)
        return np.asarray((by_metric.sum(axis=1) / explained).clip(_SHORTEST, _LONGEST))

    def _damped(self, rows: Array) -> Array:
        """Return the eigenvalues of (n_w + m_w) P + λ I, (m, D)."""
        totals = self._totals[rows]
        if self._prior.weights is not None:
            totals = totals + self._prior.weights[rows]
        return np.asarray(totals[:, None] * self._eigenvalues + self._prior.strength)

    def propose(self, rows: Array) -> Array:
        """Set the next of these rows; return by how much it should lower J_w, (m,) float64.

        With the curvature C for which η is right, ((n_w + m_w) P + λ I) / η, the quadratic model
        of J_w promises ½ gᵀ C⁻¹ g.
        """
        turned = self._gradients[rows] @ self._eigenvectors
        steps = turned / self._damped(rows)
        steps *= self._rates[rows, None]
        self.next[rows] = self.best[rows] - steps @ self._eigenvectors.T
        return np.asarray((turned * steps).sum(axis=1) / 2)
