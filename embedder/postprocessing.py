"""What may be done to trained vectors: scale, centre, remove common directions, round.

normalise           to length 1
centre              take off the mean
all-but-the-top=N   centre, then take off the N directions of most variance (Mu and Viswanath
2018); D/100 of them without a number
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from embedder.arrays import Array
from embedder.errors import FormatError
from embedder.vectors import WordVectors

_ROWS_AT_A_TIME = 4096
_CENTRE, _NORMALISE, _TOP = "centre", "normalise", "all-but-the-top"
_SPELLINGS = {"center": _CENTRE, "normalize": _NORMALISE}
DTYPES = ("float32", "float16", "int8")
_LARGEST_CODE = 127
_WORDS_COMPARED = 1000
_NEIGHBORS_COMPARED = 10


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
            _normalise(matrix)
        else:
            matrix -= matrix.mean(axis=0, dtype=np.float64).astype(np.float32)
        if name == _TOP:
            _remove_top(matrix, int(number) if number else max(1, matrix.shape[1] // 100))
    return WordVectors(vectors.vocabulary, matrix, vectors.repairs)


def _normalise(matrix: Array) -> None:
    for start in range(0, len(matrix), _ROWS_AT_A_TIME):
        rows = matrix[start : start + _ROWS_AT_A_TIME]
        lengths = np.linalg.norm(rows.astype(np.float64), axis=1, keepdims=True)
        rows /= np.where(lengths > 0, lengths, 1).astype(np.float32)


def _remove_top(centred: Array, count: int) -> None:
    covariance = np.zeros((centred.shape[1],) * 2)
    for start in range(0, len(centred), _ROWS_AT_A_TIME):
        rows = centred[start : start + _ROWS_AT_A_TIME].astype(np.float64)
        covariance += rows.T @ rows
    _, directions = np.linalg.eigh(covariance)  # variances grow
    top = directions[:, -count:].astype(np.float32)
    for start in range(0, len(centred), _ROWS_AT_A_TIME):
        rows = centred[start : start + _ROWS_AT_A_TIME]
        rows -= (rows @ top) @ top.T


def int8_codes(matrix: Array) -> tuple[Array, Array]:
    """Round to whole numbers from −127 to 127 times a scale for each dimension.

    Returns
    -------
    codes : (V, D) int8
    scales : (D,) float32
        ``codes * scales`` is within half a scale of the matrix.
    """
    largest = np.abs(matrix).max(axis=0)
    scales = np.where(largest > 0, largest / _LARGEST_CODE, 1).astype(np.float32)
    codes = np.empty(matrix.shape, np.int8)
    for start in range(0, len(matrix), _ROWS_AT_A_TIME):
        rows = matrix[start : start + _ROWS_AT_A_TIME]
        codes[start : start + _ROWS_AT_A_TIME] = np.rint(rows / scales)
    return codes, scales


def rounded(vectors: WordVectors, dtype: str) -> WordVectors:
    """Return the float32 that a file of this dtype would give back."""
    if dtype == "float16":
        largest = float(np.abs(vectors.matrix).max())
        if largest > float(np.finfo(np.float16).max):
            raise FormatError(
                f"float16 holds no number as large as {largest:.3g}; normalise the vectors first."
            )
        matrix = vectors.matrix.astype(np.float16).astype(np.float32)
    elif dtype == "int8":
        codes, scales = int8_codes(vectors.matrix)
        matrix = codes * scales
    else:
        return vectors
    return WordVectors(vectors.vocabulary, matrix, vectors.repairs)


class Loss(NamedTuple):
    """How far rounded vectors are from what they were.

    ``cosine``
        Mean cosine of a word's vector with itself rounded.
    ``neighbors``
        Share of the ten nearest words that are the same, over a thousand words drawn by seed.
    """

    cosine: float
    neighbors: float


def rounding_loss(before: WordVectors, after: WordVectors) -> Loss:
    """Compare vectors with themselves rounded."""
    rng = np.random.default_rng(0)
    count = min(_WORDS_COMPARED, len(before))
    ids = np.sort(rng.choice(len(before), count, replace=False))
    cosine = float((before.unit_rows(ids) * after.unit_rows(ids)).sum(axis=1).mean())
    words = [before.vocabulary.words[i] for i in ids]
    one, two = (
        [{near.word for near in found} for found in model.neighbors_of(words, _NEIGHBORS_COMPARED)]
        for model in (before, after)
    )
    same = sum(len(a & b) for a, b in zip(one, two, strict=True))
    return Loss(cosine, same / max(1, sum(len(a) for a in one)))
