"""Training steps on windows with a sampled loss, in one kernel instead of one per layer."""

from typing import TYPE_CHECKING

from embedder.arrays import Array
from embedder.config_sections import NetworkConfig
from embedder.network.activation import kernel_constant
from embedder.network.composition import Composition, OwnRows
from embedder.network.losses.sampled import SampledLoss
from embedder.network.optimizer import StepContext
from embedder.network.parameters import Parameters

if TYPE_CHECKING:
    from embedder.kernels.softmax import Targets
    from embedder.kernels.window_step import WindowBuffers, WindowSteps


def is_one_kernel(config: NetworkConfig, composition: Composition) -> bool:
    """Return whether a network with a sampled loss can take its steps by `WindowStep`."""
    own_rows = isinstance(composition, OwnRows)
    return own_rows and config.input != "concat" and config.dropout == 0


class WindowStep:
    """Takes the steps of a network for which `is_one_kernel`.

    Parameters
    ----------
    activation
        The hidden layer's.
    parameters
        Changed in place by `step`.
    loss
        Draws the candidates.
    batch_size
        The largest B.
    """

    def __init__(
        self, activation: str, parameters: Parameters, loss: SampledLoss, batch_size: int
    ) -> None:
        self._activation = kernel_constant(activation)
        self._parameters = parameters
        self._loss = loss
        self._batch_size = batch_size
        self._width = 0
        self._buffers: WindowBuffers | None = None

    def step(self, ids: Array, targets: "Targets", context: StepContext) -> float:
        """Take a step, and return the batch's loss before it, in nats.

        Parameters
        ----------
        ids : (B, K) int
            The ids of the words of which x is the mean; −1 for none.
        targets
            One target each.
        context
            The optimizer and its rules for this step.
        """
        from embedder.kernels.window_step import Weights, new_buffers, window_step

        sample = self._loss.sample(targets, context.number)
        weights = Weights(*self._parameters)
        if self._buffers is None or ids.shape[1] > self._width:
            self._width = ids.shape[1]
            samples = len(sample.candidates)
            self._buffers = new_buffers(weights, self._batch_size, samples, self._width)
        return window_step(
            self._loss.kind,
            self._activation,
            weights,
            ids,
            sample,
            _steps(context),
            self._buffers,
        )


def _steps(context: StepContext) -> "WindowSteps":
    from embedder.kernels.optimizer import Moments
    from embedder.kernels.window_step import WindowSteps

    optimizer, rules, _ = context

    def moments(name: str) -> Moments:
        return Moments(optimizer.first[name], optimizer.second[name])

    return WindowSteps(
        context.row_steps("E"),
        context.row_steps("W2"),
        context.row_steps("b2"),
        moments("W1"),
        moments("b1"),
        rules["W1"],
        rules["b1"],
    )
