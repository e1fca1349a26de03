"""Output losses behind one interface: the exact cost of a batch, and a training step.

`softmax` and `class-softmax` train on their exact cost. The sampled losses train on a few
candidates; their exact cost, for validation, is the cross-entropy of the full softmax over the same
logits.
"""

from typing import TYPE_CHECKING, Protocol

from embedder.arrays import Array
from embedder.config_sections.network import LossConfig
from embedder.network.losses.classes import ClassSoftmax
from embedder.network.losses.sampled import SampledLoss
from embedder.network.losses.softmax import Softmax
from embedder.network.optimizer import StepContext
from embedder.network.parameters import Parameters

if TYPE_CHECKING:
    from embedder.kernels.softmax import Targets


class Loss(Protocol):
    """The output layer: it owns W2 and b2, and updates them in a step."""

    def log_likelihoods(self, features: Array, targets: "Targets") -> Array:
        """Return Σ_c y_bc log ŷ_bc for each example, (B,) float64, by the full softmax."""

    def training_loss(self, features: Array, targets: "Targets", number: int) -> float:
        """Return the loss that step `number` minimises, summed over the batch, without a step."""

    def step(
        self, features: Array, targets: "Targets", context: StepContext
    ) -> tuple[float, Array]:
        """Update W2 and b2; return the batch's loss in nats and ∂J/∂h, both before the update.

        Parameters
        ----------
        features : (B, H)
            The output layer's input h.
        targets
            B sparse rows; the sampled losses and `class-softmax` require one target each.
        context
            The optimizer, its rules for this step, and the step's number.

        Returns
        -------
        float, (B, H)
            ∂J/∂h is a buffer of the loss, valid until its next call.
        """


def make_loss(
    config: LossConfig,
    counts: Array,
    parameters: Parameters,
    batch_size: int,
    seed: int,
) -> Loss:
    """Return the loss that a configuration names; see `SampledLoss` for the parameters."""
    output = parameters.W2, parameters.b2
    if config.name == "softmax":
        return Softmax(*output, batch_size)
    if config.name == "class-softmax":
        return ClassSoftmax(counts, *output, batch_size)
    return SampledLoss(config, counts, *output, batch_size, seed)
