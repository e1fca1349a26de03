"""The network: forward, backward, and a training step.

    r = x W1 + b1      h = a(r) − c      θ = [h, x?] W2ᵀ + b2      ŷ = softmax(θ)

x is a word's vector, the mean of several, or several concatenated; a word's vector is a row of the
embedding table E, or the mean of its own row and rows shared with other words. `Network.step` takes
one complete training step; the derivations are in `embedder.kernels.gather`,
`embedder.kernels.hidden` and the kernels of `embedder.network.losses`.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from embedder.arrays import Array
from embedder.config_sections.network import NetworkConfig
from embedder.network.activation import kernel_constant
from embedder.network.composition import Composition, OwnRows
from embedder.network.inputs import Inputs
from embedder.network.losses import Loss
from embedder.network.losses.sampled import SampledLoss
from embedder.network.losses.softmax import Softmax
from embedder.network.optimizer import Optimizer, StepContext
from embedder.network.parameters import Parameters
from embedder.network.window_step import (
    STEPS_AT_ONCE,
    LabelledBatch,
    WindowStep,
    is_one_kernel,
)

if TYPE_CHECKING:
    from embedder.kernels.softmax import Targets


class Network:
    """Parameters and the buffers to train them.

    Parameters
    ----------
    config
        Input, activation, direct connections and dropout.
    parameters
        Changed in place by `step`.
    batch_size
        The largest B.
    loss
        Owns the output layer; by default the exact softmax.
    seed
        Determines the dropout masks, together with the step's number.
    composition
        Which rows of E make up each word's vector; by default each word has its own row.
    """

    def __init__(
        self,
        config: NetworkConfig,
        parameters: Parameters,
        batch_size: int,
        loss: Loss | None = None,
        seed: int = 0,
        composition: Composition | None = None,
    ) -> None:
        E, W1, _, W2, b2 = parameters
        self.parameters = parameters
        self.output = loss or Softmax(W2, b2, batch_size)
        self._activation = kernel_constant(config.activation)
        self._dropout = config.dropout
        self._seed = seed
        dtype = E.dtype.type
        length, H = W1.shape
        self._x = np.empty((batch_size, length), dtype)
        self._features = np.empty((batch_size, W2.shape[1]), dtype)
        self._d_x = np.empty((batch_size, length), dtype)
        self._d_W1 = np.empty((length, H), dtype)
        self._d_b1 = np.empty(H, dtype)
        rows = composition or OwnRows(len(E))
        self._window_step: WindowStep | None = None
        if isinstance(self.output, SampledLoss) and is_one_kernel(config, rows):
            step = WindowStep(config.activation, parameters, self.output, batch_size)
            self._window_step = step
        self._inputs = Inputs(E, config.input == "concat", batch_size, rows)

    def loss(self, inputs: Array, targets: "Targets") -> float:
        """Return the cross-entropy in nats, summed over the batch and weighted by the targets.

        Parameters
        ----------
        inputs : (B, K) int
            The ids of the words that form x; −1 for none.
        targets
            B sparse rows.
        """
        return -float(self.log_likelihoods(inputs, targets).sum())

    def log_likelihoods(self, inputs: Array, targets: "Targets") -> Array:
        """Return Σ_c y_bc log ŷ_bc for each example, (B,) float64; parameters as for `loss`."""
        return self.output.log_likelihoods(self._forward(inputs), targets)

    def training_loss(self, inputs: Array, targets: "Targets", number: int) -> float:
        """Return the loss that step `number` would minimise, without dropout; see `loss`."""
        return self.output.training_loss(self._forward(inputs), targets, number)

    def _forward(self, inputs: Array) -> Array:
        self._inputs.gather(inputs, self._x[: len(inputs)])
        return self._features_of_x(len(inputs))

    def _features_of_x(self, B: int) -> Array:
        from embedder.kernels.hidden import hidden_forward

        _, W1, b1, _, _ = self.parameters
        features = self._features[:B]
        hidden_forward(self._x[:B], W1, b1, self._activation, features)
        return features

    def step(
        self, inputs: Array, targets: "Targets", optimizer: Optimizer, number: int, rate: float
    ) -> float:
        """Take one training step and return the batch's loss before it, in nats.

        Parameters
        ----------
        inputs, targets
            As for `loss`.
        optimizer
            Holds the moments.
        number
            The step's number, from 0.
        rate
            The scheduled learning rate.
        """
        return float(self.steps([(inputs, targets)], optimizer, number, [rate])[0])

    @property
    def steps_at_once(self) -> int:
        """The number of steps that `steps` can take faster than one by one."""
        return 1 if self._window_step is None else STEPS_AT_ONCE

    def steps(
        self,
        batches: Sequence[LabelledBatch],
        optimizer: Optimizer,
        number: int,
        rates: Sequence[float],
    ) -> Array:
        """Take a step on each batch in turn; return their losses, (n,) float64.

        Parameters
        ----------
        batches
            Inputs and targets of each step; these, and the result, as for `step`.
        optimizer
            Holds the moments.
        number
            The first step's number, from 0.
        rates
            The scheduled learning rate of each step.
        """
        contexts = [optimizer.context(number + i, rate) for i, rate in enumerate(rates)]
        if self._window_step is not None:
            return self._window_step.steps(batches, contexts)
        losses = [
            self._step(*batch, context) for batch, context in zip(batches, contexts, strict=True)
        ]
        return np.array(losses)

    def _step(self, inputs: Array, targets: "Targets", context: StepContext) -> float:
        B, H = len(inputs), len(self.parameters.b1)
        x = self._x[:B]
        rng = np.random.default_rng([self._seed, context.number, 1]) if self._dropout else None
        self._inputs.gather(inputs, x)
        x_mask = self._apply_dropout(x, rng)
        features = self._features_of_x(B)
        hidden = features[:, :H]
        before_dropout = hidden.copy() if rng else hidden
        mask = self._apply_dropout(hidden, rng)
        loss, d_features = self.output.step(features, targets, context)
        if mask is not None:
            hidden[:] = before_dropout
            d_features[:, :H] *= mask
        d_x = self._step_hidden_layer(x, features, d_features, context)
        if x_mask is not None:
            d_x *= x_mask
        self._inputs.step(inputs, d_x, context)
        return loss

    def _step_hidden_layer(
        self, x: Array, features: Array, d_features: Array, context: StepContext
    ) -> Array:
        """Update W1 and b1; return ∂J/∂x (B, I) as of before the update."""
        from embedder.kernels.hidden import hidden_backward
        from embedder.kernels.optimizer import step

        _, W1, b1, _, _ = self.parameters
        d_x, activation = self._d_x[: len(x)], self._activation
        gradients = d_x, self._d_W1, self._d_b1
        hidden_backward(x, W1, features, d_features, activation, gradients)
        optimizer, rules, _ = context
        for name, array, gradient in (("W1", W1, self._d_W1), ("b1", b1, self._d_b1)):
            step(
                array.reshape(-1),
                gradient.reshape(-1),
                optimizer.first[name].reshape(-1),
                optimizer.second[name].reshape(-1),
                rules[name],
            )
        return d_x

    def _apply_dropout(self, values: Array, rng: np.random.Generator | None) -> Array | None:
        """Zero a share of the values (B, n) in place and scale the rest; return the factors."""
        if rng is None:
            return None
        kept = rng.random(values.shape, np.float32) >= self._dropout
        mask = kept / values.dtype.type(1.0 - self._dropout)
        values *= mask
        return np.asarray(mask)
