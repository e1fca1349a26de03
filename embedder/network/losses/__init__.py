"""Output losses behind one interface: what a batch costs, exactly, and a training step's share.

`softmax` and `class-softmax` cost what they train on. The sampled ones train on a few candidates;
their exact cost, for validation, is the cross-entropy of the whole softmax over the same logits.
"""

from typing import TYPE_CHECKING, Protocol

from embedder.arrays import Array
from embedder.config import LossConfig
from embedder.network.losses.classes import ClassSoftmax
from embedder.network.losses.sampled import Sampled
from embedder.network.losses.softmax import Softmax
from embedder.network.optimizer import Optimizer
from embedder.network.parameters import Parameters

if TYPE_CHECKING:
    from embedder.kernels.optimizer import Rule
    from embedder.kernels.softmax import Targets


class Loss(Protocol):
    """The output layer's part of a step."""

    def log_likelihoods(self, features: Array, parameters: Parameters, targets: "Targets") -> Array:
        """Return Σ_c y_bc log ŷ_bc for each example, (B,) float64, by the whole softmax."""

    def training_loss(
        self, features: Array, parameters: Parameters, targets: "Targets", number: int
    ) -> float:
        """Return what step `number` minimises, summed over the batch, without taking the step."""

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
        """Move W2 and b2, set ∂J/∂h (B, H) and return the batch's loss in nats.

        Parameters
        ----------
        features : (B, H)
            The output layer's input h.
        parameters
            W2 and b2 are changed; ∂J/∂h is taken before that.
        targets
            B sparse rows; the sampled losses want one target each.
        optimizer
            Holds the moments.
        rules
            The optimizer's for this step.
        number
            The step's number, from 0.
        d_features : (B, H)
            Receives ∂J/∂h.
        """


def make_loss(
    config: LossConfig,
    counts: Array,
    parameters: Parameters,
    batch_size: int,
    parts: int,
    seed: int,
) -> Loss:
    """Return the loss that a configuration names; see `Sampled` for the parameters."""
    if config.name == "softmax":
        return Softmax(parameters, batch_size, parts)
    if config.name == "class-softmax":
        return ClassSoftmax(counts, parameters, batch_size, parts)
    return Sampled(config, counts, parameters, batch_size, parts, seed)
