"""The network: its parameters, how they start, forward and backward, and the vectors it offers.

    r = x W1 + b1      h = a(r) − c      θ = [h, x?] W2ᵀ + b2      ŷ = softmax(θ)

x is a word's vector, or the mean of several, or several side by side; a word's vector is a row of
the embedding table E, or the mean of several that it shares with others.
`Network.step` does the whole of one training step; the derivations stand in
`embedder.kernels.gather`, `embedder.kernels.hidden` and the kernels of `embedder.network.losses`.
"""

from typing import TYPE_CHECKING

import numpy as np

from embedder.arrays import Array
from embedder.config import NetworkConfig
from embedder.network.composition import Composition
from embedder.network.inputs import Inputs
from embedder.network.losses import Loss
from embedder.network.losses.softmax import Softmax
from embedder.network.optimizer import Optimizer

if TYPE_CHECKING:
    from embedder.kernels.softmax import Targets
from embedder.network.activation import ACTIVATIONS
from embedder.network.parameters import Parameters


class Network:
    """Parameters and the memory to train them.

    Parameters
    ----------
    config
        Input, activation, direct connections and dropout.
    parameters
        Changed in place by `step`.
    batch_size
        The largest B.
    parts
        How many threads share the work; with the seed it decides every bit of the result.
    loss
        Of the output layer; by default the exact softmax.
    seed
        With the step's number it decides what dropout drops.
    composition
        What words' vectors are the means of; None for a row each.
    """

    def __init__(
        self,
        config: NetworkConfig,
        parameters: Parameters,
        batch_size: int,
        parts: int,
        loss: Loss | None = None,
        seed: int = 0,
        composition: Composition | None = None,
    ) -> None:
        self.parameters = parameters
        self.parts = parts
        self.output = loss or Softmax(parameters, batch_size, parts)
        self._activation = ACTIVATIONS.index(config.activation)
        self._dropout = config.dropout
        self._seed = seed
        features = parameters.W2.shape[1]
        dtype = parameters.E.dtype.type
        length, H = parameters.W1.shape
        self._x = np.empty((batch_size, length), dtype)
        self._features = np.empty((batch_size, features), dtype)
        self._d_features = np.empty((batch_size, features), dtype)
        self._d_x = np.empty((batch_size, length), dtype)
        self._d_W1 = np.empty((length, H), dtype)
        self._d_b1 = np.empty(H, dtype)
        concat = config.input == "concat"
        self._inputs = Inputs(parameters.E, concat, batch_size, parts, composition)

    def loss(self, inputs: Array, targets: "Targets") -> float:
        """Return the cross-entropy in nats, summed over the batch and weighted by the targets.

        Parameters
        ----------
        inputs : (B, K) int
            Whose vectors make x; −1 for none.
        targets
            B sparse rows.
        """
        return -float(self.log_likelihoods(inputs, targets).sum())

    def log_likelihoods(self, inputs: Array, targets: "Targets") -> Array:
        """Return Σ_c y_bc log ŷ_bc for each example, (B,) float64; the parameters as for `loss`."""
        features = self._forward(inputs)
        return self.output.log_likelihoods(features, self.parameters, targets)

    def training_loss(self, inputs: Array, targets: "Targets", number: int) -> float:
        """Return what step `number` would minimise, without dropout; see `loss`."""
        features = self._forward(inputs)
        return self.output.training_loss(features, self.parameters, targets, number)

    def _forward(self, inputs: Array) -> Array:
        self._inputs.gather(inputs, self._x[: len(inputs)])
        return self._features_of_x(len(inputs))

    def _features_of_x(self, B: int) -> Array:
        from embedder.kernels.hidden import hidden_forward

        _, W1, b1, _, _ = self.parameters
        features = self._features[:B]
        hidden_forward(self._x[:B], W1, b1, self._activation, self.parts, features)
        return features

    def step(
        self,
        inputs: Array,
        targets: "Targets",
        optimizer: Optimizer,
        number: int,
        rate: float,
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
            The schedule's learning rate.
        """
        from embedder.kernels.hidden import hidden_backward
        from embedder.kernels.optimizer import step

        B = len(inputs)
        _, W1, b1, _, _ = self.parameters
        x, d_features, d_x = self._x[:B], self._d_features[:B], self._d_x[:B]
        rng = np.random.default_rng([self._seed, number, 1]) if self._dropout else None
        self._inputs.gather(inputs, x)
        x_mask = self._drop(x, rng)
        features = self._features_of_x(B)
        hidden = features[:, : len(b1)]
        kept = hidden.copy() if rng else hidden
        mask = self._drop(hidden, rng)
        rules = optimizer.rules(number, rate)
        loss = self.output.step(
            features, self.parameters, targets, optimizer, rules, number, d_features
        )
        if mask is not None and x_mask is not None:
            hidden[:] = kept
            d_features[:, : len(b1)] *= mask
        hidden_backward(
            x,
            W1,
            features,
            d_features,
            self._activation,
            self.parts,
            d_x,
            self._d_W1,
            self._d_b1,
        )
        if x_mask is not None:
            d_x *= x_mask
        self._inputs.step(inputs, d_x, optimizer, rules["E"])
        for name, array, gradient in (("W1", W1, self._d_W1), ("b1", b1, self._d_b1)):
            step(
                array.reshape(-1),
                gradient.reshape(-1),
                optimizer.first[name].reshape(-1),
                optimizer.second[name].reshape(-1),
                rules[name],
            )
        return loss

    def _drop(self, values: Array, rng: np.random.Generator | None) -> Array | None:
        """Zero a share of the values (B, n) in place, scaling the rest; return the factors."""
        if rng is None:
            return None
        kept = rng.random(values.shape, np.float32) >= self._dropout
        mask = kept / values.dtype.type(1.0 - self._dropout)
        values *= mask
        return np.asarray(mask)
