"""Vectors for words that a vocabulary lacks, from their character n-grams and other parts."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol

import numpy as np

from embedder.arrays import Array
from embedder.text.ngrams import letters_of, list_ngrams

_ROUNDING = 1e-5


class Layer(Protocol):
    """What turns means of rows into vectors; see `embedder.vectors.from_run.HiddenLayer`."""

    def __call__(self, x: Array) -> Array:
        """Return the vectors (n, H) of means (n, D)."""

    def linear(self, x: Array) -> Array:
        """Return about the same, as a linear function."""


class Subwords(NamedTuple):
    """The rows that word vectors are composed of (Bojanowski et al. 2017).

    ``rows (R, D) float32``
        A row a word, then a row a bucket of n-grams, then rows of other parts.
    ``min_n, max_n``
        Lengths of n-grams in characters; a `max_n` of 0 is none.
    ``buckets``
        How many there are.
    ``words``
        V.
    ``used (G,) int64``
        The buckets that have rows, ascending; None if all have. Others count as zeros.
    ``parts``
        The rows of a word's other parts.
    ``layer``
        Makes vectors of the means; None if these are the vectors.
    """

    rows: Array
    min_n: int
    max_n: int
    buckets: int
    words: int
    used: Array | None = None
    parts: Mapping[str, Sequence[int]] = {}
    layer: Layer | None = None

    def ngrams(self, word: str) -> Array:
        """Return the buckets of a word's n-grams, (n,) int64, in the order of their beginnings."""
        return list_ngrams([word], self.min_n, self.max_n, self.buckets)[1]

    def rows_of(self, word: str) -> tuple[Array, int]:
        """Return the rows (n,) of a word's n-grams and parts, and how many of these it has."""
        ngrams, parts = self.ngrams(word), self.parts.get(word, ())
        total = len(ngrams) + len(parts)
        if self.used is not None:
            places = self._places(ngrams)
            inside = places < len(self.used)
            places, ngrams = places[inside], ngrams[inside]
            ngrams = places[self.used[places] == ngrams]
        return np.concatenate([self.words + ngrams, np.array(parts, np.int64)]), total

    def compose_unknown(self, word: str) -> Array | None:
        """Return an unknown word's vector, (D,) or (H,) float32; None if no part of it is known."""
        rows, total = self.rows_of(word)
        if not len(rows):
            return None
        mean = (self.rows[rows].sum(axis=0, dtype=np.float32) / np.float32(total))[None]
        vectors: Array = mean if self.layer is None else self.layer(mean)
        return np.asarray(vectors[0], np.float32)

    def ngram_rows(self, rows_at_a_time: int) -> Iterator[tuple[int, Array]]:
        """Yield the first bucket of consecutive ones that have rows, and these, as vectors."""
        used = np.arange(self.buckets) if self.used is None else self.used
        cuts = np.flatnonzero(np.diff(used) > 1) + 1
        for run in np.split(np.arange(len(used)), cuts):
            for start in range(0, len(run), rows_at_a_time):
                some = run[start : start + rows_at_a_time] + self.words
                yield int(used[some[0] - self.words]), self._as_vectors(self.rows[some])

    def word_rows(self, words: Sequence[str], vectors: Array, first: int) -> Array:
        """Return words' own rows so that means with their n-grams' rows are given vectors.

        Parameters
        ----------
        words
            Some of the vocabulary, one after the other.
        vectors : (n, D)
            Theirs.
        first
            The row of the first of them.
        """
        own = self._as_vectors(self.rows[first : first + len(words)])
        counts, ngrams = list_ngrams(words, self.min_n, self.max_n, self.buckets)
        sums = np.zeros_like(own)
        if len(ngrams):
            shared = self._as_vectors(self.rows[self.words + self._places(ngrams)])
            some = counts > 0
            sums[some] = np.add.reduceat(shared, (np.cumsum(counts) - counts)[some])
        sizes = (1 + counts)[:, None].astype(np.float32)
        missing = np.abs(vectors - (own + sums) / sizes).max(axis=1)
        other = missing > _ROUNDING * np.abs(vectors).max(axis=1)
        own[other] = (vectors * sizes - sums)[other]
        return own

    def _places(self, ngrams: Array) -> Array:
        """Return which of the buckets in use each bucket (n,) is, or would be before."""
        return ngrams if self.used is None else np.searchsorted(self.used, ngrams)

    def _as_vectors(self, rows: Array) -> Array:
        return np.array(rows if self.layer is None else self.layer.linear(rows), np.float32)

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

        letters, starts = letters_of(words)
        out = np.empty((len(words), self.rows.shape[1]), np.float32)
        compose_words(
            letters,
            starts,
            self.rows,
            first,
            self.min_n,
            self.max_n,
            self.buckets,
            out,
        )
        return out
