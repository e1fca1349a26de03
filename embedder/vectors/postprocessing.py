"""Postprocessing of trained vectors: normalise, centre, change directions, add what spelling says.

normalise           scale to length 1
centre              subtract the mean
all-but-the-top=N   centre, then remove the N directions of highest variance (Mu and Viswanath
2018); N is D/100 by default
temper              shorten the longest axes, see `tempering`
reduce=N            keep the N longest axes, as coordinates, see `longest_axes`
spelling=WEIGHT     add what a word's n-grams predict, 0.5 times by default, as the `mix` of
`WordVectors.with_subwords` does
"""

from collections.abc import Sequence

import numpy as np

from embedder.arrays import Array, unit_rows
from embedder.errors import FormatError
from embedder.text.vocabulary import Vocabulary
from embedder.vectors.word_vectors import WordVectors

_ROWS_PER_BATCH = 4096
_CENTRE, _NORMALISE, _TOP = "centre", "normalise", "all-but-the-top"
_TEMPER, _REDUCE, _SPELLING = "temper", "reduce", "spelling"
_STEPS = _NORMALISE, _CENTRE, _TEMPER, _TOP, _REDUCE, _SPELLING
_WEIGHT = 0.5
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
        matrix = _apply(step, vectors.vocabulary, matrix)
    return WordVectors(vectors.vocabulary, matrix, vectors.repairs)


def _apply(step: str, vocabulary: Vocabulary, matrix: Array) -> Array:
    """Return the matrix after a step, which may change it in place."""
    name, _, number = step.partition("=")
    name = _SPELLINGS.get(name, name)
    if name not in _STEPS or (number and name not in (_TOP, _REDUCE, _SPELLING)):
        raise FormatError(
            f"{step}: unknown step; expected {_NORMALISE}, {_CENTRE}, {_TEMPER}, {_TOP}=N, "
            f"{_REDUCE}=N or {_SPELLING}=WEIGHT."
        )
    if name == _NORMALISE:
        return unit_rows(matrix)
    if name == _TEMPER:
        return np.asarray(matrix @ tempering(matrix))
    if name == _SPELLING:
        weight = _weight(step, number)
        return np.array(WordVectors(vocabulary, matrix).with_subwords(mix=weight).matrix)
    dimension = matrix.shape[1]
    if (number or name == _REDUCE) and not (number.isdecimal() and 0 < int(number) <= dimension):
        raise FormatError(f"{step}: expected a number of directions from 1 to {dimension}.")
    if name == _REDUCE:
        return np.asarray(matrix @ longest_axes(matrix, int(number)))
    matrix -= matrix.mean(axis=0, dtype=np.float64).astype(np.float32)
    if name == _TOP:
        _remove_top(matrix, int(number) if number else max(1, dimension // 100))
    return matrix


def tempering(vectors: Array) -> Array:
    """Return the matrix (H, H) that makes vectors (V, H) differ less in length from axis to axis.

    With singular values σ and right singular vectors U of the vectors of the most frequent words,
    it is U (σ/σ_max)^−0.25 Uᵀ. The longest axes tell frequent words from rare ones and topics from
    each other; similarity of meaning gains where they count less (Bullinaria and Levy 2012,
    section 8, after Caron 2001).
    """
    lengths, axes = _axes(vectors)
    lengths = np.maximum(lengths / lengths[-1], _LEAST_AXIS)
    return np.asarray((axes * lengths**-_EXPONENT) @ axes.T, vectors.dtype)


def longest_axes(vectors: Array, count: int) -> Array:
    """Return the matrix (H, count) that projects vectors (V, H) on their longest axes.

    They are the right singular vectors, of the largest singular values first, of the vectors of the
    most frequent words: of all projections, this one keeps most of these vectors' squared lengths.
    """
    axes = _axes(vectors)[1][:, ::-1][:, :count]
    signs = np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(count)])
    return np.ascontiguousarray(axes * signs, vectors.dtype)


def _axes(vectors: Array) -> tuple[Array, Array]:
    """Return the singular values, ascending, and right singular vectors of frequent words'."""
    of_frequent = vectors[:_WORDS_FOR_AXES].astype(np.float64)
    squares, axes = np.linalg.eigh(of_frequent.T @ of_frequent)
    return np.sqrt(np.maximum(squares, 0)), axes


def _weight(step: str, number: str) -> float:
    try:
        weight = float(number) if number else _WEIGHT
    except ValueError:
        weight = -1.0
    if not 0 < weight < np.inf:
        raise FormatError(f"{step}: expected a positive weight, such as {_SPELLING}=0.5.")
    return weight


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
