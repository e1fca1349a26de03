"""Vectors of sentences and other short texts, from those of their words.

A text's vector is the mean of its words' vectors with weights a / (a + p(w)), which is a strong
baseline for similarity and classification (Arora, Liang and Ma 2017).
"""

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from embedder.arrays import Array
from embedder.text.corpus import words_of
from embedder.text.vocabulary import Vocabulary

SMOOTHING = 1e-3
"""a, of the order of a frequent word's share of the text."""


class _Vectors(Protocol):
    vocabulary: Vocabulary
    matrix: Array

    def get(self, word: str, default: Array | None = None) -> Array | None: ...


def sentence_vectors(
    vectors: _Vectors, texts: Sequence[str | Sequence[str]], smoothing: float = SMOOTHING
) -> Array:
    """Return the weighted mean of the words' vectors for each text.

    Parameters
    ----------
    vectors
        Those of words; a word without one is left out.
    texts
        Texts, which are normalised as that of the vocabulary was, split and lower-cased; or lists
        of words.
    smoothing
        a; the smaller, the less frequent words count.

    Returns
    -------
    (n, D) float32
        Zeros where no word has a vector.
    """
    ids, shares = vectors.vocabulary.ids, _shares(vectors.vocabulary.counts)
    form = vectors.vocabulary.normalisation
    found = np.zeros((len(texts), vectors.matrix.shape[1]))
    for row, text in zip(found, texts, strict=True):
        known = 0
        words = words_of(text, form) if isinstance(text, str) else text
        for word in words:
            vector = vectors.get(word)
            if vector is not None:
                share = shares[ids[word]] if word in ids else 0.0
                row += smoothing / (smoothing + share) * vector
                known += 1
        row /= max(known, 1)
    return found.astype(np.float32)


def _shares(counts: Array) -> Array:
    """Return p(w); by Zipf's law for words in the order of their frequency, without counts."""
    frequencies = counts if counts.any() else 1 / np.arange(1, len(counts) + 1)
    return np.asarray(frequencies / frequencies.sum())
