"""Vectors for out-of-vocabulary words, composed of their character n-grams and other parts."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol

import numpy as np

from embedder.arrays import Array, row_lengths
from embedder.config_sections.text import SubwordsConfig
from embedder.errors import ConfigError
from embedder.network.composition import SharedRows, share_rows
from embedder.text.ngrams import find_buckets, letters_of, list_ngrams
from embedder.text.vocabulary import Vocabulary
from embedder.text.word_parts import WordParts

_ROUNDING = 1e-5
_LONGEST_NGRAM, _MOST_BUCKETS = 64, 1 << 31


class Layer(Protocol):
    """Maps means of rows to vectors; see `embedder.vectors.from_run.HiddenLayer`."""

    def __call__(self, x: Array) -> Array:
        """Return the vectors (n, H) of means (n, D)."""

    def linear(self, x: Array) -> Array:
        """Return a linear approximation of them."""


class Subwords(NamedTuple):
    """The rows that word vectors are composed of (Bojanowski et al. 2017).

    ``rows (R, D) float32``
        One row per word, or none, then one row per n-gram bucket, then the rows of other parts.
    ``min_n, max_n``
        Lengths of n-grams in characters; a `max_n` of 0 disables n-grams.
    ``buckets``
        Number of buckets, with or without a row.
    ``words``
        The number of words with rows: V, or 0 if the others were fitted to the words' vectors.
    ``used (G,) int64``
        The buckets that have rows, ascending; None if all have one. Others count as zeros.
    ``parts``
        The rows of each word's other parts.
    ``layer``
        Maps the means to vectors; None if the means are the vectors.
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
        """Return the buckets of a word's n-grams, (n,) int64, ordered by the n-grams' starts."""
        return list_ngrams([word], self.min_n, self.max_n, self.buckets)[1]

    def rows_of(self, word: str) -> tuple[Array, int]:
        """Return the rows (n,) of a word's n-grams and parts, and the total with unused ones."""
        ngrams, parts = self.ngrams(word), self.parts.get(word, ())
        total = len(ngrams) + len(parts)
        indices, _ = self._find(ngrams)
        return np.concatenate([self.words + indices, np.array(parts, np.int64)]), total

    def compose_unknown(self, word: str) -> Array | None:
        """Return an unknown word's vector, (D,) or (H,) float32; None if no part has a row."""
        rows, total = self.rows_of(word)
        if not len(rows):
            return None
        mean = (self.rows[rows].sum(axis=0, dtype=np.float32) / np.float32(total))[None]
        vectors: Array = mean if self.layer is None else self.layer(mean)
        return np.asarray(vectors[0], np.float32)

    def ngram_rows(self, rows_at_a_time: int) -> Iterator[tuple[int, Array]]:
        """Yield ranges of consecutive used buckets: the first bucket, and the rows as vectors."""
        used = np.arange(self.buckets) if self.used is None else self.used
        cuts = np.flatnonzero(np.diff(used) > 1) + 1
        for indices in np.split(np.arange(len(used)), cuts):
            for start in range(0, len(indices), rows_at_a_time):
                some = indices[start : start + rows_at_a_time] + self.words
                yield int(used[some[0] - self.words]), self._as_vectors(self.rows[some])

    def word_rows(self, words: Sequence[str], vectors: Array, first: int) -> Array:
        """Return rows for words such that the means with their n-grams' rows equal given vectors.

        Parameters
        ----------
        words
            Consecutive words of the vocabulary.
        vectors : (n, D)
            Their vectors.
        first
            The row of the first word.
        """
        own = np.zeros_like(vectors, np.float32)
        if self.words:
            own = self._as_vectors(self.rows[first : first + len(words)])
        counts, ngrams = list_ngrams(words, self.min_n, self.max_n, self.buckets)
        sums = np.zeros_like(own)
        if len(ngrams):
            indices, have_rows = self._find(ngrams)
            shared = np.zeros((len(ngrams), own.shape[1]), np.float32)
            shared[have_rows] = self._as_vectors(self.rows[self.words + indices])
            some = counts > 0
            sums[some] = np.add.reduceat(shared, (np.cumsum(counts) - counts)[some])
        sizes = (1 + counts)[:, None].astype(np.float32)
        errors = np.abs(vectors - (own + sums) / sizes).max(axis=1)
        differs = errors > _ROUNDING * np.abs(vectors).max(axis=1)
        own[differs] = (vectors * sizes - sums)[differs]
        return own

    def _find(self, ngrams: Array) -> tuple[Array, Array]:
        """Return which of the used buckets those of some n-grams (n,) are, and which have rows."""
        if self.used is None:
            return ngrams, np.ones(len(ngrams), bool)
        return find_buckets(self.used, ngrams)

    def _as_vectors(self, rows: Array) -> Array:
        return np.array(rows if self.layer is None else self.layer.linear(rows), np.float32)

    def compose(self, words: Sequence[str], first: int = 0) -> Array:
        """Return vectors of words, (n, D) float32: the means of their own and their n-grams' rows.

        Parameters
        ----------
        words
            Consecutive words of the vocabulary.
        first
            The row of the first word.
        """
        from embedder.kernels.compiler import require_compiler
        from embedder.kernels.subwords import compose_words
        from embedder.kernels.threads import available_threads, kernel_threads

        require_compiler()
        letters, starts = letters_of(words)
        out = np.empty((len(words), self.rows.shape[1]), np.float32)
        ngrams = self.min_n, self.max_n, self.buckets
        with kernel_threads(available_threads()):
            compose_words(letters, starts, self.rows, first, ngrams, out)
        return out


def fit_subword_rows(shared: SharedRows, vectors: Array) -> Array:
    """Return the rows of n-grams and parts that best predict trained vectors, (G + P, D) float32.

    What is predicted are the vectors' directions, all with the mean length; predictions are
    shorter, the less certain they are. The kernels run on the threads that the caller has chosen.

    Parameters
    ----------
    shared
        Which rows belong to each of V words.
    vectors : (V, D)
        The words' vectors.
    """
    return shared.fit_shared(_of_equal_length(vectors))


def mix_in(shared: SharedRows, vectors: Array, rows: Array, weight: float) -> Array:
    """Return words' vectors plus a multiple of what their n-grams predict, (V, D) float32.

    What is added up are directions of one length and predictions, as in `fit_subword_rows`. Words
    without a vector stay without one.

    Parameters
    ----------
    shared, vectors
        As for `fit_subword_rows`.
    rows : (G + P, D) float32
        What it returned for them.
    weight
        The multiple.
    """
    mixed = _of_equal_length(vectors)
    known = mixed.any(axis=1)
    mixed[known] += np.float32(weight) * shared.predict(rows)[known]
    return mixed


def _of_equal_length(vectors: Array) -> Array:
    """Return vectors scaled to their mean length, (V, D) float32; zeros stay zeros."""
    lengths = row_lengths(vectors)
    known = lengths > 0
    mean = lengths[known].mean() if known.any() else 0.0
    scales = np.where(known, mean / np.where(known, lengths, 1), 0)
    return np.asarray(vectors * scales[:, None], np.float32)


def fitted_subwords(
    shared: SharedRows, settings: SubwordsConfig, rows: Array, parts: WordParts
) -> Subwords:
    """Return the rows of n-grams and parts that were fitted to words' vectors.

    Parameters
    ----------
    shared
        Which rows belong to each word.
    settings
        The n-grams.
    rows : (G + P, D) float32
        From `fit_subword_rows`.
    parts
        The parts of words, known or unknown.
    """
    V = shared.words
    of_parts = {word: [row - V for row in own] for word, own in shared.rows_of_parts(parts).items()}
    buckets = settings.buckets if settings.max_n else 0
    return Subwords(rows, settings.min_n, settings.max_n, buckets, 0, shared.buckets, of_parts)


def fit_ngrams(
    vocabulary: Vocabulary, matrix: Array, settings: SubwordsConfig
) -> tuple[Array, Subwords]:
    """Return vectors with what n-grams say mixed in, and the rows that compose unknown words.

    Parameters
    ----------
    vocabulary, matrix : (V, D)
        The words and any vectors of theirs.
    settings
        The n-grams, and the `mix_in` weight; with 0, the vectors remain the same array.
    """
    from embedder.kernels.compiler import require_compiler
    from embedder.kernels.threads import available_threads, kernel_threads

    require_compiler()
    shared = share_rows(settings, vocabulary, {})
    with kernel_threads(available_threads()):
        rows = fit_subword_rows(shared, matrix)
        if settings.mix:
            matrix = mix_in(shared, matrix, rows, settings.mix)
    return matrix, fitted_subwords(shared, settings, rows, {})


def ngram_settings(min_n: int, max_n: int, buckets: int, mix: float) -> SubwordsConfig:
    """Return settings from what a caller passed.

    Raises
    ------
    ConfigError
        If they are not possible.
    """
    if not 1 <= min_n <= max_n <= _LONGEST_NGRAM:
        raise ConfigError(
            f"n-grams of {min_n} to {max_n} characters: expected lengths from 1 to "
            f"{_LONGEST_NGRAM}, the smaller one first."
        )
    if not 1 <= buckets <= _MOST_BUCKETS:
        raise ConfigError(f"{buckets:,} buckets: expected 1 to {_MOST_BUCKETS:,}.")
    if not 0 <= mix < np.inf:
        raise ConfigError(f"mix: expected a number that is not negative, such as 0.5, got {mix:g}.")
    return SubwordsConfig(min_n=min_n, max_n=max_n, buckets=buckets, mix=float(mix))
