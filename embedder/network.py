"""The network: its parameters, how they start, forward and backward, and the vectors it offers.

    r = x W1 + b1      h = a(r) − c      θ = [h, x?] W2ᵀ + b2      ŷ = softmax(θ)

x is a word's vector, or the mean of several, or several side by side; a word's vector is a row of
the embedding table E, or the mean of several that it shares with others.
`Network.step` does the whole of one training step; the derivations stand in
`embedder.kernels.gather`, `embedder.kernels.hidden` and the kernels of `embedder.losses`.
"""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from embedder.arrays import Array
from embedder.composition import Composition, start_rows
from embedder.config import NetworkConfig, VectorKind
from embedder.inputs import Inputs
from embedder.losses import Loss, Softmax

if TYPE_CHECKING:
    from embedder.kernels.softmax import Targets
    from embedder.optimizer import Optimizer

# A spectral start wants h ≈ x for small x: W1 undoes the activation's slope at 0.
_SLOPES = {"sigmoid": 0.25, "tanh": 1.0, "relu": 1.0, "identity": 1.0}
_ACTIVATIONS = ("sigmoid", "tanh", "relu", "identity")
_START_DEVIATION = 0.15
"""Standard deviation of E's entries at a spectral start: inside the sigmoid's linear part."""
_RANDOM_DEVIATION = 0.1


class Parameters(NamedTuple):
    """What is learned.

    ``E (R, D)``, ``W1 (I, H)``, ``b1 (H,)``, ``W2 (C, H)``, ``b2 (C,)``
        R is V, or more where words share rows (see `embedder.composition`). I, the length of x, is
        D, or K·D where K words stand side by side. W2 is stored a row a context (see
        `embedder.cooccurrence`), the words in any place first; with direct connections its rows
        have H + I entries.
    """

    E: Array
    W1: Array
    b1: Array
    W2: Array
    b2: Array


def start_parameters(
    config: NetworkConfig,
    totals: Array,
    words: Array,
    rng: np.random.Generator,
    factors: tuple[Array, Array] | None = None,
    dtype: type = np.float32,
    width: int = 1,
    composition: Composition | None = None,
) -> Parameters:
    """Return the parameters before training.

    b2 is log p(c), so that an untrained network predicts the unigram distribution. W1 is the
    identity over the activation's slope at 0, so that h ≈ x; where x is several vectors, it is
    random, with a variance that lets h vary as x does (LeCun et al. 1998, section 4.6).

    Parameters
    ----------
    config
        The sizes.
    totals : (C,)
        Σ_w C[w, c] for every context.
    words : (C,) int64
        The word of every context.
    rng
        Draws what starts random.
    factors : ((V, k), (V, k)), optional
        A factorisation with k ≥ max(D, H) for a spectral start; without it E is random, W2 zero.
    dtype
        Of all parameters.
    width
        K, how many vectors stand side by side in x.
    composition
        What words' vectors are the means of.
    """
    vocabulary = int(words.max()) + 1
    D, H = config.dimension, config.hidden
    length = width * D
    features = H + length if config.direct else H
    W2: Array = np.zeros((len(words), features), dtype)
    if factors is None:
        height = vocabulary if composition is None else composition.height
        E: Array = rng.normal(0.0, _RANDOM_DEVIATION, (height, D)).astype(dtype)
    else:
        left, right = factors
        scale = _START_DEVIATION / max(float(left[:, :D].std()), 1e-30)
        E = (left[:, :D] * scale).astype(dtype)
        if composition is not None:
            E = start_rows(composition, E)
        W2[:, :H] = right[words, :H] / scale
        W2[:, min(D, H) : H] = 0.0  # no input reaches these hidden units yet
    shares = np.maximum(totals, 1e-3 * totals[totals > 0].min()) / totals.sum()
    slope = _SLOPES[config.activation]
    W1: Array = (np.eye(length, H) / slope).astype(dtype)
    if width > 1:
        W1[:] = rng.normal(0.0, 1.0 / (slope * np.sqrt(length)), W1.shape)
    elif D < H:
        W1[:, D:] = rng.normal(0.0, 1.0 / np.sqrt(D), (D, H - D))
    return Parameters(E, W1, np.zeros(H, dtype), W2, np.log(shares).astype(dtype))


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
        self._activation = _ACTIVATIONS.index(config.activation)
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
        optimizer: "Optimizer",
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


class HiddenLayer(NamedTuple):
    """The hidden layer as what turns an input vector into the hidden or sum vector of a word.

    ``W1 (D, H)``, ``b1 (H,)``, ``activation``
    ``unit``
        Whether hidden vectors are normalised, as they are where others are added.
    """

    W1: Array
    b1: Array
    activation: str
    unit: bool = False

    def __call__(self, x: Array) -> Array:
        """Return what the network makes of x (n, D), (n, H)."""
        hidden = activate(x @ self.W1 + self.b1, self.activation)
        return normalised(hidden) if self.unit else hidden

    def linear(self, x: Array) -> Array:
        """Return the same, not normalised, for x so small that the activation is straight."""
        slope = np.float32(_SLOPES[self.activation])
        return np.asarray(slope * (x @ self.W1 + self.b1))


def word_vectors(parameters: Parameters, activation: str, kind: VectorKind) -> Array:
    """Return one vector a word.

    ``input`` (V, D): rows of E. ``hidden`` (V, H): a(x W1 + b1) − c. ``output`` (V, H): rows of W2.
    ``sum`` (V, H): hidden vectors plus the mean of the output vectors, normalised, these turned to
    lie on the hidden ones. Where words have contexts apart, so that there are several output
    vectors, ``output`` is the sum of those, normalised, the others turned to lie on the first.
    """
    E, W1, b1, W2, _ = parameters
    if kind == "input":
        return E
    outputs = _split_outputs(W2[:, : len(b1)], len(E))
    if kind == "output":
        first, *others = outputs
        return _sum_turned(first, others, 1.0) if others else np.ascontiguousarray(first)
    hidden = activate(E @ W1 + b1, activation)
    return hidden if kind == "hidden" else _sum_turned(hidden, outputs, 1 / len(outputs))


def _split_outputs(W2: Array, vocabulary: int) -> list[Array]:
    """Return the rows for words in any place, and those just before and after where there are."""
    near = (len(W2) - vocabulary) // 2
    cuts = [vocabulary, vocabulary + near] if near else []
    return list(np.split(W2, cuts))


def _sum_turned(base: Array, others: list[Array], factor: float) -> Array:
    """Return base + factor · Σ other·R, rows normalised, R the orthogonal matrix that fits best.

    A word and its own context vector need not point the same way: an axis on which words avoid
    their likes (a negative eigenvalue of the PMI matrix) has opposite signs in the two. R is the
    solution of the orthogonal Procrustes problem (Schönemann 1966). The others may have vectors for
    the first words only.
    """
    base = normalised(base)
    total = base.copy()
    for other in map(normalised, others):
        left, _, right = np.linalg.svd(other.T @ base[: len(other)])
        total[: len(other)] += factor * (other @ (left @ right))
    return total


def activate(r: Array, activation: str) -> Array:
    """Return a(r) − c in NumPy, where loading compiled kernels would take longer than this."""
    if activation == "sigmoid":
        return np.asarray(np.tanh(r / 2) / 2)  # 1/(1 + e^−r) − ½, without overflow
    if activation == "tanh":
        return np.asarray(np.tanh(r))
    return np.maximum(r, 0) if activation == "relu" else r


def normalised(vectors: Array) -> Array:
    """Return the rows (V, D) scaled to length 1; zero rows stay zero."""
    # In double precision: squares of large float32 overflow.
    lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64))[:, None]
    return np.asarray(vectors / np.where(lengths > 0, lengths, 1), vectors.dtype)
