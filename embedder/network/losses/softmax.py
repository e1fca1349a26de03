"""The exact softmax over all contexts."""

from typing import TYPE_CHECKING

import numpy as np

from embedder.arrays import Array
from embedder.network.optimizer import Optimizer
from embedder.network.parameters import Parameters

if TYPE_CHECKING:
    from embedder.kernels.optimizer import Rule
    from embedder.kernels.softmax import OutputMoments, Targets


class Softmax:
    """The exact softmax, fused with the optimizer.

    Parameters
    ----------
    parameters
        Their sizes.
    batch_size
        The largest B.
    parts
        How many threads share the work.
    """

    def __init__(self, parameters: Parameters, batch_size: int, parts: int) -> None:
        from embedder.kernels.softmax import new_workspace

        C, features = parameters.W2.shape
        dtype = parameters.W2.dtype.type
        self.workspace = new_workspace(C, features, batch_size, parts, dtype)

    def training_loss(
        self, features: Array, parameters: Parameters, targets: "Targets", number: int = 0
    ) -> float:
        """See `Loss`; the batch's cross-entropy."""
        from embedder.kernels.softmax import softmax_loss

        return float(softmax_loss(features, parameters.W2, parameters.b2, targets, self.workspace))

    def log_likelihoods(self, features: Array, parameters: Parameters, targets: "Targets") -> Array:
        """See `Loss`."""
        self.training_loss(features, parameters, targets)
        B = len(features)
        logits = self.workspace.target_logits[:, :B].sum(axis=0)
        return np.asarray(logits - targets.totals * self.workspace.log_sums[:B])

    def step(
        self,
        features: Array,
        parameters: Parameters,
        targets: "Targets",
        optimizer: Optimizer,
        rules: dict[str, "Rule"],
        number: int,
        d_features: Array,
    ) -> float:
        """See `Loss`."""
        from embedder.kernels.softmax import OutputMoments

        moments = OutputMoments(*output_moments(optimizer))
        return self.move(features, parameters, targets, rules["W2"], moments, d_features)

    def move(
        self,
        features: Array,
        parameters: Parameters,
        targets: "Targets",
        rule: "Rule",
        moments: "OutputMoments",
        d_features: Array,
    ) -> float:
        """Take the step with these moments of W2 and b2; the rest as for `step`."""
        loss = self.training_loss(features, parameters, targets)
        self.finish(parameters, targets, rule, moments, d_features)
        return loss

    def finish(
        self,
        parameters: Parameters,
        targets: "Targets",
        rule: "Rule",
        moments: "OutputMoments",
        d_features: Array,
    ) -> None:
        """Take the step of a batch whose `training_loss` has just been taken."""
        from embedder.kernels.softmax import softmax_step

        W2, b2 = parameters.W2, parameters.b2
        softmax_step(W2, b2, targets, self.workspace, rule, moments, d_features)


def output_moments(optimizer: Optimizer) -> list[Array]:
    """Return the first and second moments of W2, and then those of b2."""
    return [m[name] for name in ("W2", "b2") for m in (optimizer.first, optimizer.second)]
