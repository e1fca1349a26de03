"""The array type that annotations use, and operations that several layers share."""

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

_ROWS_PER_BLOCK = 1024


def offsets_from_lengths(lengths: Array) -> Array:
    """Return where each of n consecutive segments starts, and where the last ends, (n + 1,)."""
    return np.concatenate([[0], np.cumsum(lengths)])


def read_only(*arrays: Array) -> tuple[Array, ...]:
    """Return views that cannot be written.

    Numba compiles a kernel for writable arguments and again for others, such as memory-mapped ones;
    kernels that are given either take read-only views of both, and are compiled once.
    """
    views = tuple(array.view(np.ndarray) for array in arrays)
    for view in views:
        view.flags.writeable = False
    return views


def cut_evenly(mass: Array, ranges: int) -> Array:
    """Cut n items into ranges of consecutive ones that have about the same mass each.

    Parameters
    ----------
    mass : (n,)
        Of each item, positive.
    ranges
        At most n; none is empty.

    Returns
    -------
    (ranges + 1,) int64
        Where the ranges start, and n.
    """
    ends = np.cumsum(mass)
    wanted = ends[-1] * np.arange(1, ranges) / ranges
    cuts = np.searchsorted(ends, wanted) + 1
    least = np.arange(1, ranges)
    cuts = np.maximum.accumulate(np.maximum(cuts - least, 0)) + least  # distinct
    cuts = np.minimum(cuts, len(mass) - ranges + least)
    return np.concatenate([[0], cuts, [len(mass)]])


def rotation_between(source: Array, target: Array) -> Array:
    """Return the orthogonal R (D, D) for which source·R is nearest to target, both (n, D).

    It solves the orthogonal Procrustes problem (Schönemann 1966): R = U Vᵀ for the singular value
    decomposition sourceᵀ target = U S Vᵀ.
    """
    left, _, right = np.linalg.svd(source.T @ target)
    return np.asarray(left @ right)


def row_lengths(matrix: Array) -> Array:
    """Return the Euclidean lengths of rows, (n,) float64; 1 for rows of zeros."""
    lengths = np.empty(len(matrix))
    for start in range(0, len(matrix), _ROWS_PER_BLOCK):
        # In double precision: squares of large float32 overflow.
        rows = np.asarray(matrix[start : start + _ROWS_PER_BLOCK], np.float64)
        lengths[start : start + _ROWS_PER_BLOCK] = np.sqrt(np.einsum("ij,ij->i", rows, rows))
    lengths[lengths == 0] = 1
    return lengths


def unit_rows(matrix: Array, lengths: Array | None = None) -> Array:
    """Return the rows (n, D) scaled to length 1, in their dtype; zero rows stay zero.

    Parameters
    ----------
    matrix : (n, D)
    lengths : (n,)
        From `row_lengths`, where they are known already.
    """
    if lengths is None:
        lengths = row_lengths(matrix)
    return np.asarray(matrix / lengths[:, None], matrix.dtype)
