"""The kernels' gradients beside finite differences and the explicit product of Jacobians.

A tool for teaching and for contributors: it builds the network that a configuration describes, on
a small random vocabulary and in float64, and computes every gradient three times.
"""

from typing import NamedTuple

import numpy as np

from embedder.arrays import Array
from embedder.config import Config
from embedder.network import Network, Parameters, activate, start_parameters
from embedder.optimizer import Optimizer

_VOCABULARY = 41
_BATCH = 5
_STEP = 1e-5
_ENTRIES = 300
"""Finite differences are taken for so many entries of each parameter, chosen at random."""
TOLERANCE = 1e-5


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
        Its network section decides sizes, activation and direct connections; its seed the numbers.
    """
    rng = np.random.default_rng(config.training.seed)
    parameters = _random_parameters(config, rng)
    rows = rng.choice(_VOCABULARY, _BATCH, replace=False)
    dense = rng.random((_BATCH, _VOCABULARY)) * (rng.random((_BATCH, _VOCABULARY)) < 0.4)
    dense[:, 0] += 0.1  # no empty row
    targets = _sparse(dense, rng.uniform(0.5, 2.0, _BATCH))
    network = Network(config.network, parameters, _BATCH, parts=2)
    recorder = Optimizer(parameters, config.training, gradients_only=True)
    network.step(rows, targets, recorder, 0, 0.0)
    weighted = dense * targets.scales[:, None]
    by_jacobians = _jacobian_gradients(config, parameters, rows, weighted)
    return [
        Comparison(
            name,
            array.shape,
            _deviation_from_differences(network, rows, targets, array, recorder.first[name], rng),
            _deviation(recorder.first[name], by_jacobians[name]),
        )
        for name, array in parameters._asdict().items()
    ]


def _random_parameters(config: Config, rng: np.random.Generator) -> Parameters:
    totals, words = np.arange(_VOCABULARY, 0, -1.0), np.arange(_VOCABULARY)
    start = start_parameters(config.network, totals, words, rng, dtype=np.float64)
    # Zeros and identities hide mistakes; random numbers of a size that saturates nothing do not.
    return Parameters(
        *(rng.normal(0.0, 1.0 / np.sqrt(array.shape[-1]), array.shape) for array in start)
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
    rows: Array,
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
        above = network.loss(rows, targets)
        flat[i] = value - _STEP
        below = network.loss(rows, targets)
        flat[i] = value
        differences[k] = (above - below) / (2 * _STEP)
    return _deviation(expected[chosen], differences)


def _deviation(found: Array, expected: Array) -> float:
    size = max(float(np.abs(found).max()), float(np.abs(expected).max()), 1e-12)
    return float(np.abs(found - expected).max()) / size


def _jacobian_gradients(
    config: Config, parameters: Parameters, rows: Array, targets: Array
) -> dict[str, Array]:
    """Multiply gradient × Jacobian, each Jacobian written out as a matrix, example by example.

    ∂J/∂θ (1 × V) · ∂θ/∂h (V × H) · ∂h/∂r (H × H, diagonal) · ∂r/∂x (H × D).
    """
    E, W1, b1, W2, b2 = parameters
    H = len(b1)
    gradients = {name: np.zeros_like(array) for name, array in parameters._asdict().items()}
    for row, y in zip(rows, targets, strict=True):
        x = E[row]
        r = x @ W1 + b1
        h = activate(r, config.network.activation)
        features = np.concatenate([h, x]) if config.network.direct else h
        theta = W2 @ features + b2
        probabilities = np.exp(theta - theta.max())
        probabilities /= probabilities.sum()
        d_theta = y.sum() * probabilities - y
        theta_by_h = W2[:, :H]
        h_by_r = np.diag(_slopes(r, config.network.activation))
        r_by_x = W1.T
        d_r = d_theta @ theta_by_h @ h_by_r
        gradients["E"][row] += d_r @ r_by_x
        if config.network.direct:
            gradients["E"][row] += d_theta @ W2[:, H:]
        gradients["W1"] += np.outer(x, d_r)
        gradients["b1"] += d_r
        gradients["W2"] += np.outer(d_theta, features)
        gradients["b2"] += d_theta
    return gradients


def _slopes(r: Array, activation: str) -> Array:
    """Return a′(r) from r itself, where the kernel uses a(r)."""
    if activation == "sigmoid":
        return np.exp(-r) / (1.0 + np.exp(-r)) ** 2
    if activation == "tanh":
        return 1.0 / np.cosh(r) ** 2
    return (r > 0).astype(float) if activation == "relu" else np.ones_like(r)
