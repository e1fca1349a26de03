"""Postprocessing of trained vectors: normalise, centre, remove dominant directions.

normalise           scale to length 1
centre              subtract the mean
all-but-the-top=N   centre, then remove the N directions of highest variance (Mu and Viswanath
2018); N is D/100 by default
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
    """Apply the steps in order and return the vectors; the same object if there are no steps.

    Raises
    ------
    FormatError
        For an unknown step.
    """
    if not steps:
        return vectors
    matrix = np.array(vectors.matrix)
    for step in steps:
        name, _, number = step.partition("=")
        name = _SPELLINGS.get(name, name)
        if name not in (_CENTRE, _NORMALISE, _TOP) or (number and name != _TOP):
            raise FormatError(
                f"{step}: unknown step; expected {_NORMALISE}, {_CENTRE} or {_TOP}=N."
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
    _, directions = np.linalg.eigh(covariance)  # in ascending order of variance
    top = directions[:, -count:].astype(np.float32)
    for start in range(0, len(centred), _ROWS_PER_BATCH):
        rows = centred[start : start + _ROWS_PER_BATCH]
        rows -= (rows @ top) @ top.T
