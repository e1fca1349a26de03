"""The exact softmax over all contexts."""

from typing import TYPE_CHECKING

import numpy as np

from embedder.arrays import Array
from embedder.network.optimizer import Optimizer, StepContext

if TYPE_CHECKING:
    from embedder.kernels.optimizer import Rule
    from embedder.kernels.softmax import OutputMoments, Targets


class Softmax:
    """The exact softmax, fused with the optimizer; a `Loss`.

    Parameters
    ----------
    W2 : (C, H), b2 : (C,)
        The output layer; changed in place by a step.
    batch_size
        The largest B.
    """

    def __init__(self, W2: Array, b2: Array, batch_size: int) -> None:
        from embedder.kernels.softmax import new_workspace

        C, features = W2.shape
        self._W2, self._b2 = W2, b2
        self.workspace = new_workspace(C, features, batch_size, W2.dtype.type)
        self._d_features = np.empty((batch_size, features), W2.dtype)

    def training_loss(self, features: Array, targets: "Targets", number: int = 0) -> float:
        """See `Loss`; the batch's cross-entropy."""
        from embedder.kernels.softmax import softmax_loss

        return float(softmax_loss(features, self._W2, self._b2, targets, self.workspace))

    def log_likelihoods(self, features: Array, targets: "Targets") -> Array:
        """See `Loss`."""
        self.training_loss(features, targets)
        B = len(features)
        logits = self.workspace.target_logits[:, :B].sum(axis=0)
        return np.asarray(logits - targets.totals * self.workspace.log_sums[:B])

    def step(
        self, features: Array, targets: "Targets", context: StepContext
    ) -> tuple[float, Array]:
        """See `Loss`."""
        moments = output_moments(context.optimizer)
        return self.step_with_moments(features, targets, context.rules["W2"], moments)

    def step_with_moments(
        self, features: Array, targets: "Targets", rule: "Rule", moments: "OutputMoments"
    ) -> tuple[float, Array]:
        """Take a step with the given rule and moments of W2 and b2; otherwise as `step`."""
        loss = self.training_loss(features, targets)
        return loss, self.backward_and_update(targets, rule, moments)

    def backward_and_update(
        self, targets: "Targets", rule: "Rule", moments: "OutputMoments"
    ) -> Array:
        """Take the step for the batch last passed to `training_loss`; return ∂J/∂h (B, H)."""
        from embedder.kernels.softmax import softmax_step

        d_features = self._d_features[: len(targets.totals)]
        softmax_step(self._W2, self._b2, targets, self.workspace, rule, moments, d_features)
        return d_features


def output_moments(optimizer: Optimizer) -> "OutputMoments":
    """Return the optimizer's moments of W2 and b2."""
    from embedder.kernels.softmax import OutputMoments

    halves = optimizer.first, optimizer.second
    return OutputMoments(*(moments[name] for name in ("W2", "b2") for moments in halves))
