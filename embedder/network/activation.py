"""The hidden layer's activations by name: NumPy versions, kernel constants and slopes at 0."""

import numpy as np

from embedder.arrays import Array

SLOPES = {"sigmoid": 0.25, "tanh": 1.0, "relu": 1.0, "identity": 1.0}
"""a′(0): a spectral start needs h ≈ x for small x, so W1 divides by the slope."""


def kernel_constant(activation: str) -> int:
    """Return the constant that represents an activation in `embedder.kernels.hidden`."""
    from embedder.kernels import hidden as kernels

    return {
        "sigmoid": kernels.SIGMOID,
        "tanh": kernels.TANH,
        "relu": kernels.RELU,
        "identity": kernels.IDENTITY,
    }[activation]


def activate(r: Array, activation: str) -> Array:
    """Return a(r) − c in NumPy, for uses where loading compiled kernels would take longer."""
    if activation == "sigmoid":
        return np.asarray(np.tanh(r / 2) / 2)  # 1/(1 + e^−r) − ½, without overflow
    if activation == "tanh":
        return np.asarray(np.tanh(r))
    return np.maximum(r, 0) if activation == "relu" else r
