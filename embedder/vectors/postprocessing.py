"""Postprocessing of trained vectors: normalise, centre, remove or shorten dominant directions.

normalise           scale to length 1
centre              subtract the mean
all-but-the-top=N   centre, then remove the N directions of highest variance (Mu and Viswanath
2018); N is D/100 by default
temper              shorten the longest axes, see `tempering`
"""

from collections.abc import Sequence

import numpy as np

from embedder.arrays import Array, unit_rows
from embedder.errors import FormatError
from embedder.vectors.word_vectors import WordVectors

_ROWS_PER_BATCH = 4096
_CENTRE, _NORMALISE, _TOP, _TEMPER = "centre", "normalise", "all-but-the-top", "temper"
_SPELLINGS = {"center": _CENTRE, "normalize": _NORMALISE}
DTYPES = ("float32", "float16", "int8")
_EXPONENT = 0.25
_WORDS_FOR_AXES = 30_000
_LEAST_AXIS = 0.01
"""Relative length below which an axis counts as this long, so that noise is not amplified."""


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
        if name not in (_CENTRE, _NORMALISE, _TOP, _TEMPER) or (number and name != _TOP):
            raise FormatError(
                f"{step}: unknown step; expected {_NORMALISE}, {_CENTRE}, {_TEMPER} or {_TOP}=N."
            )
        if number and not (number.isdecimal() and 0 < int(number) <= matrix.shape[1]):
            raise FormatError(
                f"{step}: expected a number of directions from 1 to {matrix.shape[1]}."
            )
        if name == _NORMALISE:
            matrix = unit_rows(matrix)
        elif name == _TEMPER:
            matrix = matrix @ tempering(matrix)
        else:
            matrix -= matrix.mean(axis=0, dtype=np.float64).astype(np.float32)
        if name == _TOP:
            _remove_top(matrix, int(number) if number else max(1, matrix.shape[1] // 100))
    return WordVectors(vectors.vocabulary, matrix, vectors.repairs)


def tempering(vectors: Array) -> Array:
    """Return the matrix (H, H) that makes vectors (V, H) differ less in length from axis to axis.

    With singular values σ and right singular vectors U of the vectors of the most frequent words,
    it is U (σ/σ_max)^−0.25 Uᵀ. The longest axes tell frequent words from rare ones and topics from
    each other; similarity of meaning gains where they count less (Bullinaria and Levy 2012,
    section 8, after Caron 2001).
    """
    of_frequent = vectors[:_WORDS_FOR_AXES].astype(np.float64)
    squares, axes = np.linalg.eigh(of_frequent.T @ of_frequent)
    lengths = np.sqrt(np.maximum(squares / squares[-1], _LEAST_AXIS**2))
    return np.asarray((axes * lengths**-_EXPONENT) @ axes.T, vectors.dtype)


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
