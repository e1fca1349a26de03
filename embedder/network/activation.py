"""The hidden layer's activations by name, in NumPy, and their slopes at 0."""

import numpy as np

from embedder.arrays import Array

# A spectral start wants h ≈ x for small x: W1 undoes the activation's slope at 0.
SLOPES = {"sigmoid": 0.25, "tanh": 1.0, "relu": 1.0, "identity": 1.0}


ACTIVATIONS = ("sigmoid", "tanh", "relu", "identity")


def activate(r: Array, activation: str) -> Array:
    """Return a(r) − c in NumPy, where loading compiled kernels would take longer than this."""
    if activation == "sigmoid":
        return np.asarray(np.tanh(r / 2) / 2)  # 1/(1 + e^−r) − ½, without overflow
    if activation == "tanh":
        return np.asarray(np.tanh(r))
    return np.maximum(r, 0) if activation == "relu" else r
