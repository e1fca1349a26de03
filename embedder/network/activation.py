"""The hidden layer's activations by name: in NumPy, as kernels know them, and their slopes at 0."""

import numpy as np

from embedder.arrays import Array

SLOPES = {"sigmoid": 0.25, "tanh": 1.0, "relu": 1.0, "identity": 1.0}
"""a′(0): a spectral start wants h ≈ x for small x, so W1 undoes the slope."""


def kernel_constant(activation: str) -> int:
    """Return the number by which `embedder.kernels.hidden` knows an activation."""
    from embedder.kernels import hidden as kernels

    return {
        "sigmoid": kernels.SIGMOID,
        "tanh": kernels.TANH,
        "relu": kernels.RELU,
        "identity": kernels.IDENTITY,
    }[activation]


def activate(r: Array, activation: str) -> Array:
    """Return a(r) − c in NumPy, where loading compiled kernels would take longer than this."""
    if activation == "sigmoid":
        return np.asarray(np.tanh(r / 2) / 2)  # 1/(1 + e^−r) − ½, without overflow
    if activation == "tanh":
        return np.asarray(np.tanh(r))
    return np.maximum(r, 0) if activation == "relu" else r
