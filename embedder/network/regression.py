"""Ridge regression on a sparse matrix, by conjugate gradients (Hestenes and Stiefel 1952)."""

import numpy as np
from scipy.sparse import csr_array

from embedder.arrays import Array


def ridge_regression(
    A: csr_array, X: Array, weights: Array, ridge: float, iterations: int
) -> Array:
    """Return Z (m, D) float32 that nearly minimises Σ_w n_w |x_w − A_w Z|² + κ Σ_r |Z_r|².

    The conjugate gradients are preconditioned by the diagonal. The result is the same on any number
    of threads.

    Parameters
    ----------
    A : (V, m) float32
        What each x is a linear function of.
    X : (V, D) float32
        x.
    weights : (V,) float32
        n.
    ridge
        κ.
    iterations
        Stopping early shrinks Z further.
    """
    transposed, kappa, n = A.T.tocsr(), np.float32(ridge), weights[:, None]
    scale = ((transposed * transposed) @ n + kappa).astype(np.float32)
    residual = multiply(transposed, X * n)
    Z = np.zeros_like(residual)
    direction = scaled = residual / scale
    length = _column_products(residual, scaled)
    for _ in range(iterations):
        product = multiply(A, direction)
        product *= n
        product = multiply(transposed, product)
        product += kappa * direction
        step = length / np.maximum(_column_products(direction, product), 1e-30)
        Z += step * direction
        residual -= step * product
        scaled = residual / scale
        before, length = length, _column_products(residual, scaled)
        direction = scaled + length / np.maximum(before, 1e-30) * direction
    return Z


def _column_products(a: Array, b: Array) -> Array:
    return np.asarray(np.einsum("ij,ij->j", a, b))


def multiply(matrix: csr_array, dense: Array) -> Array:
    """Return the product of a sparse matrix (V, m) with a dense one (m, D), (V, D) float32."""
    from embedder.kernels.sparse import sparse_times_dense

    out = np.empty((matrix.shape[0], dense.shape[1]), np.float32)
    offsets, columns = matrix.indptr.astype(np.int64), matrix.indices.astype(np.int32)
    sparse_times_dense(offsets, columns, matrix.data, np.ascontiguousarray(dense), out)
    return out
