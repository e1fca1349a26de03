"""What may be done to trained vectors: scale, centre, remove common directions, round.

normalise           to length 1
centre              take off the mean
all-but-the-top=N   centre, then take off the N directions of most variance (Mu and Viswanath
2018); D/100 of them without a number
"""

from collections.abc import Sequence

import numpy as np

from embedder.arrays import Array, unit_rows
from embedder.errors import FormatError
from embedder.vectors.word_vectors import WordVectors

_ROWS_PER_BATCH = 4096
_CENTRE, _NORMALISE, _TOP = "centre", "normalise", "all-but-the-top"
_SPELLINGS = {"center": _CENTRE, "normalize": _NORMALISE}
DTYPES = ("float32", "float16", "int8")


def postprocess(vectors: WordVectors, steps: Sequence[str]) -> WordVectors:
    """Return vectors after the steps, in their order; the same object without any.

    Raises
    ------
    FormatError
        For a step that is not known.
    """
    if not steps:
        return vectors
    matrix = np.array(vectors.matrix)
    for step in steps:
        name, _, number = step.partition("=")
        name = _SPELLINGS.get(name, name)
        if name not in (_CENTRE, _NORMALISE, _TOP) or (number and name != _TOP):
            raise FormatError(
                f"{step}: no such step; expected {_NORMALISE}, {_CENTRE} or {_TOP}=N."
            )
        if number and not (number.isdecimal() and 0 < int(number) <= matrix.shape[1]):
            raise FormatError(
                f"{step}: expected a number of directions from 1 to {matrix.shape[1]}."
            )
        if name == _NORMALISE:
            matrix = unit_rows(matrix)
        else:
            matrix -= matrix.mean(axis=0, dtype=np.float64).astype(np.float32)
        if name == _TOP:
            _remove_top(matrix, int(number) if number else max(1, matrix.shape[1] // 100))
    return WordVectors(vectors.vocabulary, matrix, vectors.repairs)


def _remove_top(centred: Array, count: int) -> None:
    covariance = np.zeros((centred.shape[1],) * 2)
    for start in range(0, len(centred), _ROWS_PER_BATCH):
        rows = centred[start : start + _ROWS_PER_BATCH].astype(np.float64)
        covariance += rows.T @ rows
    _, directions = np.linalg.eigh(covariance)  # variances grow
    top = directions[:, -count:].astype(np.float32)
    for start in range(0, len(centred), _ROWS_PER_BATCH):
        rows = centred[start : start + _ROWS_PER_BATCH]
        rows -= (rows @ top) @ top.T
