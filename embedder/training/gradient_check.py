"""A gradient check: kernels against finite differences and an explicit product of Jacobians.

For teaching and for contributors: it builds the configured network on a small random vocabulary, in
float64, and computes every gradient in three ways.
"""

from typing import NamedTuple

import numpy as np

from embedder.arrays import Array, offsets_from_lengths
from embedder.config import Config
from embedder.examples.batches import one_hot
from embedder.examples.windows import vectors_per_input, window_width
from embedder.network.activation import activate
from embedder.network.composition import Composition, OwnRows, SharedRows
from embedder.network.losses import Loss, make_loss
from embedder.network.losses.classes import ClassSoftmax, class_starts, with_class_rows
from embedder.network.losses.sampled import SampledLoss
from embedder.network.network import Network
from embedder.network.optimizer import Optimizer
from embedder.network.parameters import Parameters, Start, initial_parameters

_VOCABULARY = 41
_BATCH = 5
_CLASSES = 8
"""Number of classes of contexts, with `examples.contexts`."""
_SHARED = 7
"""Number of rows that words share, with subwords."""
_STEP = 1e-5
_ENTRIES = 300
"""Number of random entries of each parameter to check by finite differences."""
TOLERANCE = 1e-5
_EXACT = {"dropout": 0.0}


class Comparison(NamedTuple):
    """One parameter's largest deviations, relative to its largest gradient."""

    name: str
    shape: tuple[int, ...]
    against_differences: float
    against_jacobians: float

    @property
    def passed(self) -> bool:
        """Whether both deviations are within the tolerance."""
        return max(self.against_differences, self.against_jacobians) < TOLERANCE


def check_gradients(config: Config) -> list[Comparison]:
    """Compare the gradients of E, W1, b1, W2 and b2 for soft targets on a random network.

    Parameters
    ----------
    config
        Section `network` determines sizes, activation and direct connections; the seed determines
        the random numbers. With subwords, words share rows at random; with `examples.contexts`,
        half of the words are grouped into classes, and the loss is that of all words.
    """
    from embedder.kernels.compiler import require_compiler

    require_compiler()
    rng = np.random.default_rng(config.training.seed)
    config = config.model_copy(update={"network": config.network.model_copy(update=_EXACT)})
    composition = _random_composition(rng) if config.subwords.shared else OwnRows(_VOCABULARY)
    classes = _random_classes(config, rng)
    parameters = _random_parameters(config, rng, composition, classes.shape[1])
    K = window_width(config.examples, config.network)
    if config.examples.source == "windows":
        # With gaps, and words repeated within and between windows.
        inputs = rng.integers(-1 if K > 1 else 0, _VOCABULARY // 3, (_BATCH, K)).astype(np.int32)
        targets = one_hot(rng.integers(0, _VOCABULARY, _BATCH).astype(np.int32), np.float64)
        dense = np.eye(_VOCABULARY)[targets.columns]
    else:
        inputs = rng.choice(_VOCABULARY, _BATCH, replace=False).astype(np.int32)[:, None]
        dense = rng.random((_BATCH, _VOCABULARY)) * (rng.random((_BATCH, _VOCABULARY)) < 0.4)
        dense[:, 0] += 0.1  # no empty row
        dense = dense @ classes
        targets = _sparse(dense, rng.uniform(0.5, 2.0, _BATCH))
    counts = np.arange(_VOCABULARY, 0, -1)
    loss = make_loss(config.loss, counts, parameters, _BATCH, config.training.seed)
    network = Network(config.network, parameters, _BATCH, loss, composition=composition)
    recorder = Optimizer(parameters, config.training, config.examples.source, gradients_only=True)
    network.step(inputs, targets, recorder, 0, 0.0)
    weighted = dense * targets.scales[:, None]
    by_jacobians = _jacobian_gradients(config, parameters, inputs, weighted, loss, composition)
    return [
        Comparison(
            name,
            array.shape,
            _deviation_from_differences(network, inputs, targets, array, recorder.first[name], rng),
            _deviation(recorder.first[name], by_jacobians[name]),
        )
        for name, array in parameters._asdict().items()
    ]


def _random_composition(rng: np.random.Generator) -> Composition:
    """Give each word up to three rows besides its own, possibly with repetitions."""
    sizes = rng.integers(1, 5, _VOCABULARY)
    starts = offsets_from_lengths(sizes)
    rows = rng.integers(_VOCABULARY, _VOCABULARY + _SHARED, starts[-1], np.int32)
    rows[starts[:-1]] = np.arange(_VOCABULARY)
    occurrences = np.ones(_VOCABULARY + _SHARED, np.int64)
    return SharedRows(starts, rows, np.arange(_SHARED), [], occurrences)


def _random_classes(config: Config, rng: np.random.Generator) -> Array:
    """Return which column each word belongs to, (V, C) of 0 and 1.

    The probability of a word is that of its column times a constant, so that the gradients of the
    cross-entropy of words are those of the cross-entropy of columns.
    """
    columns = np.arange(_VOCABULARY)
    if config.examples.contexts != "auto":
        grouped = _VOCABULARY - _VOCABULARY // 2
        members = np.concatenate([np.arange(_CLASSES), rng.integers(0, _CLASSES, grouped)])
        columns[-grouped:] = _VOCABULARY // 2 + members[:grouped]
    return np.eye(int(columns.max()) + 1)[columns]


def _random_parameters(
    config: Config, rng: np.random.Generator, composition: Composition, outputs: int
) -> Parameters:
    totals, words = np.arange(outputs, 0, -1.0), np.arange(outputs)
    K = vectors_per_input(config.examples, config.network)
    start = Start(totals, words, composition, vectors_per_input=K)
    shapes = initial_parameters(config.network, start, rng, np.float64)
    shapes = with_class_rows(config.loss, totals, shapes)
    # Random, because zeros and identities hide mistakes; small, to avoid saturation.
    return Parameters(
        *(rng.normal(0.0, 1.0 / np.sqrt(array.shape[-1]), array.shape) for array in shapes)
    )


def _sparse(dense: Array, scales: Array):  # type: ignore[no-untyped-def]
    from embedder.kernels.softmax import Targets

    counts = (dense > 0).sum(axis=1)
    ends = np.cumsum(counts)
    return Targets(
        ends - counts,
        ends,
        np.nonzero(dense)[1].astype(np.int32),
        dense[dense > 0],
        scales,
        dense.sum(axis=1) * scales,
    )


def _deviation_from_differences(  # type: ignore[no-untyped-def]
    network: Network,
    inputs: Array,
    targets,
    array: Array,
    gradient: Array,
    rng: np.random.Generator,
) -> float:
    flat, expected = array.reshape(-1), gradient.reshape(-1)
    chosen = rng.choice(len(flat), min(_ENTRIES, len(flat)), replace=False)
    differences = np.empty(len(chosen))
    for k, i in enumerate(chosen):
        value = flat[i]
        flat[i] = value + _STEP
        above = network.training_loss(inputs, targets, 0)
        flat[i] = value - _STEP
        below = network.training_loss(inputs, targets, 0)
        flat[i] = value
        differences[k] = (above - below) / (2 * _STEP)
    return _deviation(expected[chosen], differences)


def _deviation(found: Array, expected: Array) -> float:
    size = max(float(np.abs(found).max()), float(np.abs(expected).max()), 1e-12)
    return float(np.abs(found - expected).max()) / size


def _jacobian_gradients(
    config: Config,
    parameters: Parameters,
    inputs: Array,
    targets: Array,
    loss: Loss,
    composition: Composition,
) -> dict[str, Array]:
    """Multiply gradients by explicit Jacobian matrices, example by example.

    ∂J/∂θ (1 × V) · ∂θ/∂h (V × H) · ∂h/∂r (H × H, diagonal) · ∂r/∂x (H × I) · ∂x/∂E[w] (I × D).
    """
    E, W1, b1, W2, b2 = parameters
    H, D = len(b1), E.shape[1]
    concat = config.network.input == "concat"

    gradients = {name: np.zeros_like(array) for name, array in parameters._asdict().items()}
    for window, y in zip(inputs, targets, strict=True):
        words = [(k, word) for k, word in enumerate(window) if word >= 0]
        x_by_rows = np.zeros((len(words), len(W1), D))
        for g, (k, _) in enumerate(words):
            if concat:
                x_by_rows[g, k * D : (k + 1) * D] = np.eye(D)
            else:
                x_by_rows[g] = np.eye(D) / len(words)
        x = np.zeros(len(W1))
        for jacobian, (_, word) in zip(x_by_rows, words, strict=True):
            x += jacobian @ E[composition.rows_of(word)].mean(axis=0)
        r = x @ W1 + b1
        h = activate(r, config.network.activation)
        features = np.concatenate([h, x]) if config.network.direct else h
        d_theta = _output_gradient(config, W2 @ features + b2, y, loss)
        theta_by_h = W2[:, :H]
        h_by_r = np.diag(_slopes(r, config.network.activation))
        r_by_x = W1.T
        d_r = d_theta @ theta_by_h @ h_by_r
        d_x = d_r @ r_by_x
        if config.network.direct:
            d_x = d_x + d_theta @ W2[:, H:]
        for jacobian, (_, word) in zip(x_by_rows, words, strict=True):
            for row in composition.rows_of(word):
                gradients["E"][row] += d_x @ jacobian / len(composition.rows_of(word))
        gradients["W1"] += np.outer(x, d_r)
        gradients["b1"] += d_r
        gradients["W2"] += np.outer(d_theta, features)
        gradients["b2"] += d_theta
    return gradients


def _output_gradient(config: Config, theta: Array, y: Array, loss: Loss) -> Array:
    """Return ∂J/∂θ (V,); for sampled losses, summed over repeated draws of a candidate."""
    if isinstance(loss, ClassSoftmax):
        V = len(y)
        starts = class_starts(np.arange(V, 0, -1.0), len(theta) - V)
        c = int(np.searchsorted(starts, y.argmax(), side="right")) - 1
        found = np.zeros(len(theta))
        for part, target in ((slice(V, None), c), (slice(starts[c], starts[c + 1]), None)):
            p = np.exp(theta[part] - theta[part].max())
            p /= p.sum()
            p[int(y.argmax()) - starts[c] if target is None else target] -= 1.0
            found[part] = y.sum() * p
        return found
    if not isinstance(loss, SampledLoss):
        probabilities = np.exp(theta - theta.max())
        probabilities /= probabilities.sum()
        return np.asarray(y.sum() * probabilities - y)
    target = int(y.argmax())
    drawn = np.bincount(loss.draw(0), minlength=len(theta)).astype(float)
    name, S, k = config.loss.name, config.loss.samples, config.loss.negatives
    if name != "nce":
        drawn[target] = 0.0  # accidental hits do not count
    if name == "sampled-softmax":
        scores = np.exp(theta) * drawn / (S * loss.proposal)
        scores[target] = np.exp(theta[target])
        return np.asarray(y[target] * (scores / scores.sum() - (y > 0)))
    if name == "nce":
        theta = theta - np.log(k * loss.proposal)
    sigma = 1.0 / (1.0 + np.exp(-theta))
    return np.asarray(y[target] * (drawn * k / S * sigma + (y > 0) * (sigma - 1.0)))


def _slopes(r: Array, activation: str) -> Array:
    """Return a′(r), computed from r, whereas the kernel uses a(r)."""
    if activation == "sigmoid":
        return np.exp(-r) / (1.0 + np.exp(-r)) ** 2
    if activation == "tanh":
        return 1.0 / np.cosh(r) ** 2
    return (r > 0).astype(float) if activation == "relu" else np.ones_like(r)
