"""The network: its parameters, how they start, forward and backward, and the vectors it offers.

    r = x W1 + b1      h = a(r) − c      θ = [h, x?] W2ᵀ + b2      ŷ = softmax(θ)

x is a row of the embedding table E. `Network.step` does the whole of one training step; the
derivations stand in `embedder.kernels.hidden` and `embedder.kernels.softmax`.
"""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from embedder.arrays import Array
from embedder.config import NetworkConfig, VectorKind
from embedder.cooccurrence import Cooccurrences

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

    ``E (V, D)``, ``W1 (D, H)``, ``b1 (H,)``, ``W2 (C, H)``, ``b2 (C,)``
        W2 is stored a row a context (see `embedder.cooccurrence`), the words in any place first;
        with direct connections its rows have H + D entries.
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
) -> Parameters:
    """Return the parameters before training.

    b2 is log p(c), so that an untrained network predicts the unigram distribution. W1 is the
    identity over the activation's slope at 0, so that h ≈ x.

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
    """
    vocabulary = int(words.max()) + 1
    D, H = config.dimension, config.hidden
    features = H + D if config.direct else H
    W2: Array = np.zeros((len(words), features), dtype)
    if factors is None:
        E: Array = rng.normal(0.0, _RANDOM_DEVIATION, (vocabulary, D)).astype(dtype)
    else:
        left, right = factors
        scale = _START_DEVIATION / max(float(left[:, :D].std()), 1e-30)
        E = (left[:, :D] * scale).astype(dtype)
        W2[:, :H] = right[words, :H] / scale
        W2[:, min(D, H) : H] = 0.0  # no input reaches these hidden units yet
    shares = np.maximum(totals, 1e-3 * totals[totals > 0].min()) / totals.sum()
    W1: Array = (np.eye(D, H) / _SLOPES[config.activation]).astype(dtype)
    if min(D, H) < H:
        W1[:, D:] = rng.normal(0.0, 1.0 / np.sqrt(D), (D, H - D))
    return Parameters(E, W1, np.zeros(H, dtype), W2, np.log(shares).astype(dtype))


class Network:
    """Parameters and the memory to train them.

    Parameters
    ----------
    config
        Activation and direct connections.
    parameters
        Changed in place by `step`.
    batch_size
        B, at most V.
    parts
        How many threads share the work; with the seed it decides every bit of the result.
    """

    def __init__(
        self, config: NetworkConfig, parameters: Parameters, batch_size: int, parts: int
    ) -> None:
        from embedder.kernels.softmax import new_workspace

        self.parameters = parameters
        self.parts = parts
        self._activation = _ACTIVATIONS.index(config.activation)
        C, features = parameters.W2.shape
        dtype = parameters.E.dtype.type
        D, H = parameters.W1.shape
        self._features = np.empty((batch_size, features), dtype)
        self._d_features = np.empty((batch_size, features), dtype)
        self._d_x = np.empty((batch_size, D), dtype)
        self._d_W1 = np.empty((D, H), dtype)
        self._d_b1 = np.empty(H, dtype)
        self._workspace = new_workspace(C, features, batch_size, parts, dtype)

    def loss(self, rows: Array, targets: "Targets") -> float:
        """Return J in nats, summed over the batch and weighted by the targets' scales.

        Parameters
        ----------
        rows : (B,) int64
            Whose input vectors are x.
        targets
            B sparse rows.
        """
        from embedder.kernels.hidden import hidden_forward
        from embedder.kernels.softmax import softmax_loss

        E, W1, b1, W2, b2 = self.parameters
        hidden_forward(E[rows], W1, b1, self._activation, self.parts, self._features)
        return float(softmax_loss(self._features, W2, b2, targets, self._workspace))

    def step(
        self,
        rows: Array,
        targets: "Targets",
        optimizer: "Optimizer",
        number: int,
        rate: float,
    ) -> float:
        """Take one training step and return the loss before it.

        Parameters
        ----------
        rows : (B,) int64
            Distinct.
        targets
            As for `loss`.
        optimizer
            Holds the moments.
        number
            The step's number, from 0.
        rate
            The schedule's learning rate.
        """
        from embedder.kernels.hidden import hidden_backward
        from embedder.kernels.optimizer import Moments, step, step_rows
        from embedder.kernels.softmax import OutputMoments, softmax_step

        loss = self.loss(rows, targets)
        E, W1, b1, W2, b2 = self.parameters
        first, second = optimizer.first, optimizer.second
        rules = optimizer.rules(number, rate)
        softmax_step(
            W2,
            b2,
            targets,
            self._workspace,
            rules["W2"],
            OutputMoments(first["W2"], second["W2"], first["b2"], second["b2"]),
            self._d_features,
        )
        hidden_backward(
            E[rows],
            W1,
            self._features,
            self._d_features,
            self._activation,
            self.parts,
            self._d_x,
            self._d_W1,
            self._d_b1,
        )
        moments = Moments(first["E"], second["E"])
        step_rows(E, rows, self._d_x, moments, optimizer.visits, rules["E"])
        for name, array, gradient in (("W1", W1, self._d_W1), ("b1", b1, self._d_b1)):
            step(
                array.reshape(-1),
                gradient.reshape(-1),
                first[name].reshape(-1),
                second[name].reshape(-1),
                rules[name],
            )
        return loss


def target_rows(counts: Cooccurrences, totals: Array, rows: Array, scales: Array) -> "Targets":
    """Return rows of the counts as targets for float32 parameters.

    Parameters
    ----------
    counts
        C.
    totals : (V,) float64
        Its row totals.
    rows : (B,) int64
    scales : (B,) float64
        The factor on each row.
    """
    from embedder.kernels.softmax import Targets

    return Targets(
        counts.offsets[rows],
        counts.offsets[rows + 1],
        counts.columns,
        counts.weights,
        scales.astype(np.float32),
        (totals[rows] * scales).astype(np.float32),
    )


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
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.where(lengths > 0, lengths, 1))
