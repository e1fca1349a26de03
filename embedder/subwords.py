"""Vectors for words that a vocabulary lacks, from their character n-grams."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from embedder.arrays import Array

END_OF_SENTENCE = "</s>"
"""fastText's own token, which has no n-grams."""


class Subwords(NamedTuple):
    """The rows that word vectors are composed of (Bojanowski et al. 2017).

    ``rows (V + buckets, D) float32``
        A row a word, then a row a bucket of n-grams.
    ``min_n, max_n``
        Lengths of n-grams in characters; a `max_n` of 0 is none.
    ``buckets``
        How many there are.
    """

    rows: Array
    min_n: int
    max_n: int
    buckets: int

    def ngrams(self, word: str) -> Array:
        """Return the buckets of a word's n-grams, (n,) int64, in the order of their beginnings."""
        from embedder.kernels.subwords import ngram_buckets

        text = np.frombuffer(f"<{word}>".encode(), np.uint8)
        found = np.empty(max(1, len(text) * self.max_n), np.int64)
        if not self.buckets:
            return found[:0]
        return found[: ngram_buckets(text, self.min_n, self.max_n, self.buckets, found)]

    def compose_unknown(self, word: str) -> Array | None:
        """Return the mean of the rows of an unknown word's n-grams, (D,); None if it has none."""
        ngrams = self.ngrams(word)
        if not len(ngrams):
            return None
        words = len(self.rows) - self.buckets
        return np.asarray(self.rows[words + ngrams].mean(axis=0, dtype=np.float32))

    def compose(self, words: Sequence[str], first: int = 0) -> Array:
        """Return the words' vectors, (n, D) float32: the means of their own and n-grams' rows.

        Parameters
        ----------
        words
            Some of the vocabulary, one after the other.
        first
            The row of the first of them.
        """
        from embedder.kernels.subwords import compose_words

        texts = [f"<{word}>".encode() for word in words]
        starts = np.cumsum([0, *(len(text) for text in texts)])
        letters = np.frombuffer(b"".join(texts), np.uint8)
        alone = np.array([word == END_OF_SENTENCE for word in words], np.bool_)
        out = np.empty((len(words), self.rows.shape[1]), np.float32)
        compose_words(
            letters,
            starts.astype(np.int64),
            alone,
            self.rows,
            first,
            self.min_n,
            self.max_n,
            self.buckets,
            out,
        )
        return out
