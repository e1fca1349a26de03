"""Training steps on windows with a sampled loss, several in one kernel."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from embedder.arrays import Array
from embedder.config_sections.network import NetworkConfig
from embedder.network.activation import kernel_constant
from embedder.network.composition import Composition, OwnRows
from embedder.network.losses.sampled import SampledLoss
from embedder.network.optimizer import StepContext
from embedder.network.parameters import Parameters

if TYPE_CHECKING:
    from embedder.kernels.softmax import Targets
    from embedder.kernels.window_step import Bundle, WindowBuffers, WindowSteps

LabelledBatch = tuple[Array, "Targets"]
"""The ids of a batch's inputs, (B, K) int, and its targets."""
_RULES = "E", "W1", "b1", "W2 rows", "b2 rows"
STEPS_AT_ONCE = 16
"""More would not be faster, but delay what happens between steps, such as the end of a run."""


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

    def steps(self, batches: Sequence[LabelledBatch], contexts: Sequence[StepContext]) -> Array:
        """Take some steps; return each batch's loss before its step, in nats, (n,) float64.

        Parameters
        ----------
        batches
            For each step the ids of the words of which x is the mean, (B, K), −1 for none, and
            their targets, one each.
        contexts
            For each step, the optimizer and its rules.
        """
        from embedder.kernels.window_step import (
            PASS_THROUGH,
            Weights,
            new_buffers,
            window_steps,
        )

        bundle = self._bundle(batches, contexts)
        weights = Weights(*self._parameters)
        width, samples = bundle.ids.shape[1], bundle.sample.candidates.shape[1]
        if self._buffers is None or width > self._width:
            self._width = width
            self._buffers = new_buffers(weights, self._batch_size, samples, width)
        steps = _steps(contexts[0])
        activation = PASS_THROUGH if self._passes_through(contexts) else self._activation
        found = window_steps(self._loss.kind, activation, weights, bundle, steps, self._buffers)
        return np.asarray(found)

    def _passes_through(self, contexts: Sequence[StepContext]) -> bool:
        """Return whether h = x before, during and after some steps."""
        from embedder.kernels.hidden import IDENTITY
        from embedder.kernels.optimizer import GRADIENT

        _, W1, b1, W2, _ = self._parameters
        rules = (context.rules["W1"] for context in contexts)
        is_fixed = all(rule.rate == 0 and rule.kind != GRADIENT for rule in rules)
        is_alone = W1.shape[0] == W1.shape[1] == W2.shape[1]
        if not (is_fixed and is_alone and self._activation == IDENTITY):
            return False
        return np.array_equal(W1, np.eye(len(W1))) and not b1.any()

    def _bundle(
        self, batches: Sequence[LabelledBatch], contexts: Sequence[StepContext]
    ) -> "Bundle":
        from embedder.kernels.window_step import Bundle

        sample = self._loss.samples([targets for _, targets in batches], contexts[0].number)
        ids = [ids for ids, _ in batches]
        rules = [[context.rules[name] for name in _RULES] for context in contexts]
        return Bundle(
            np.cumsum([0, *map(len, ids)]),
            np.concatenate(ids),
            sample,
            np.array([[rule.rate for rule in own] for own in rules]),
            np.array([[rule.shrink for rule in own] for own in rules]),
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
