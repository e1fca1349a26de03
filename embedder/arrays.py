"""The array type that annotations use, and operations that several layers share."""

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def cut_evenly(mass: Array, parts: int) -> Array:
    """Cut words into runs of consecutive ones that have about the same mass each.

    Parameters
    ----------
    mass : (V,)
        Of each word, positive.
    parts
        At most V; none is empty.

    Returns
    -------
    (parts + 1,) int64
        Where the runs begin, and V.
    """
    ends = np.cumsum(mass)
    wanted = ends[-1] * np.arange(1, parts) / parts
    cuts = np.searchsorted(ends, wanted) + 1
    least = np.arange(1, parts)
    cuts = np.maximum.accumulate(np.maximum(cuts - least, 0)) + least  # distinct
    cuts = np.minimum(cuts, len(mass) - parts + least)
    return np.concatenate([[0], cuts, [len(mass)]])


def normalised(vectors: Array) -> Array:
    """Return the rows (V, D) scaled to length 1; zero rows stay zero."""
    # In double precision: squares of large float32 overflow.
    lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64))[:, None]
    return np.asarray(vectors / np.where(lengths > 0, lengths, 1), vectors.dtype)


def cumulated(lengths: Array) -> Array:
    """Return where each of consecutive pieces begins, and the end of all."""
    return np.concatenate([[0], np.cumsum(lengths)])
