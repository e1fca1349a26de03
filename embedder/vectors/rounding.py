"""Round vectors to float16 or int8, and measure the loss."""

from typing import NamedTuple

import numpy as np

from embedder.arrays import Array
from embedder.errors import FormatError
from embedder.vectors.word_vectors import WordVectors

_ROWS_PER_BATCH = 4096
_MAX_CODE = 127
_WORDS_COMPARED = 1000
_NEIGHBORS_COMPARED = 10


def int8_codes(matrix: Array) -> tuple[Array, Array]:
    """Quantise to integers from −127 to 127, with one scale per dimension.

    Returns
    -------
    codes : (V, D) int8
    scales : (D,) float32
        ``codes * scales`` is within half a scale of the matrix.
    """
    largest = np.abs(matrix).max(axis=0)
    scales = np.where(largest > 0, largest / _MAX_CODE, 1).astype(np.float32)
    codes = np.empty(matrix.shape, np.int8)
    for start in range(0, len(matrix), _ROWS_PER_BATCH):
        rows = matrix[start : start + _ROWS_PER_BATCH]
        codes[start : start + _ROWS_PER_BATCH] = np.rint(rows / scales)
    return codes, scales


def rounded(vectors: WordVectors, dtype: str) -> WordVectors:
    """Return the float32 vectors that a file with this dtype would contain.

    Raises
    ------
    FormatError
        If a number is too large for float16.
    """
    if dtype == "float16":
        largest = float(np.abs(vectors.matrix).max())
        if largest > float(np.finfo(np.float16).max):
            raise FormatError(
                f"float16 cannot represent {largest:.3g}; normalise the vectors first."
            )
        matrix = vectors.matrix.astype(np.float16).astype(np.float32)
    elif dtype == "int8":
        codes, scales = int8_codes(vectors.matrix)
        matrix = codes * scales
    else:
        return vectors
    return WordVectors(vectors.vocabulary, matrix, vectors.repairs)


class RoundingLoss(NamedTuple):
    """How far rounded vectors differ from the originals.

    ``cosine``
        Mean cosine between a word's original and rounded vector.
    ``neighbors``
        Share of the ten nearest words that are the same, over a thousand words drawn with a fixed
        seed.
    """

    cosine: float
    neighbors: float


def rounding_loss(before: WordVectors, after: WordVectors) -> RoundingLoss:
    """Compare original and rounded vectors, over a thousand words."""
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
    return RoundingLoss(cosine, same / max(1, sum(len(a) for a in one)))
