"""The rows of E whose mean is a word's input vector: its own row, and rows shared between words.

Shared rows belong to character n-grams, hashed into buckets as in fastText (Bojanowski et al.
2017), or to other parts of a word that a file lists, such as its lemma, stem or class. E has the
words' rows first, then one row per used bucket, then one per part; unused buckets cost nothing.
"""

import hashlib
import itertools
from typing import NamedTuple, Protocol

import numpy as np
from scipy.sparse import csr_array

from embedder.arrays import Array, offsets_from_lengths
from embedder.config import Config
from embedder.config_sections.text import SubwordsConfig
from embedder.errors import VocabularyError
from embedder.network.regression import multiply, ridge_regression
from embedder.text.ngrams import list_ngrams
from embedder.text.vocabulary import Vocabulary
from embedder.text.word_parts import WordParts

# Tuned on books of 17 million tokens; see docs/experiments.md.
_MAX_RATE = 2.0
_HALF_RATE = 3000
"""A row that occurs in this many tokens of the text learns at half the maximum rate."""
_HALF_SHARE = 1250
_RIDGE = 400.0
_RIDGE_OF_SHARED = 0.03
"""Of a regression in which every word has weight 1."""
_ITERATIONS = 10


class Composition(Protocol):
    """Which rows of E make up each word's vector: `OwnRows` or `SharedRows`."""

    @property
    def words(self) -> int:
        """V."""

    @property
    def height(self) -> int:
        """R, the rows of E."""

    def rates(self) -> Array:
        """Return each row's factor on the configured learning rate, (R,) float32.

        Empty if all rows learn at the same rate.
        """

    def rows_of(self, word: int) -> Array:
        """Return the rows of E whose mean is the vector of a word, its own row first."""

    def vectors(self, E: Array) -> Array:
        """Return the vectors of all words, (V, D), given E (R, D)."""

    def fit(self, vectors: Array) -> Array:
        """Return an E (R, D) that composes the vectors (V, D) float32."""

    def digest(self) -> str | None:
        """Return a checksum that identifies the composition; None for own rows."""


class OwnRows(NamedTuple):
    """One unshared row of E per word: the composition without subwords."""

    words: int

    @property
    def height(self) -> int:
        """See `Composition`."""
        return self.words

    def rates(self) -> Array:
        """See `Composition`."""
        return np.empty(0, np.float32)

    def rows_of(self, word: int) -> Array:
        """See `Composition`."""
        return np.array([word])

    def vectors(self, E: Array) -> Array:
        """See `Composition`."""
        return E

    def fit(self, vectors: Array) -> Array:
        """See `Composition`."""
        return vectors

    def digest(self) -> None:
        """See `Composition`."""


class SharedRows(NamedTuple):
    """Words as means of their own row and shared rows; E has R = V + G + P rows.

    ``starts (V + 1,) int64``, ``rows (n,) int32``
        The rows of word w are ``rows[starts[w]:starts[w + 1]]``, its own row w first. An n-gram
        that occurs twice in a word counts twice.
    ``buckets (G,) int64``
        The buckets of rows V … V + G − 1, ascending.
    ``parts``
        The names of the P rows after them.
    ``occurrences (R,) int64``
        How often each row occurs in the text, summed over the words that it belongs to.
    """

    starts: Array
    rows: Array
    buckets: Array
    parts: list[str]
    occurrences: Array

    @property
    def words(self) -> int:
        """See `Composition`."""
        return len(self.starts) - 1

    @property
    def height(self) -> int:
        """See `Composition`."""
        return self.words + len(self.buckets) + len(self.parts)

    def rates(self) -> Array:
        """See `Composition`.

        A row that occurs only a few times should stay near 0, so that its words depend on their
        other rows; n/(n + constant) shrinks its rate.
        """
        n = self.occurrences
        return np.asarray(_MAX_RATE * n / (n + _HALF_RATE), np.float32)

    def rows_of(self, word: int) -> Array:
        """See `Composition`."""
        return self.rows[self.starts[word] : self.starts[word + 1]]

    def shares(self) -> Array:
        """Return the weight of each word's own row at the start, (V,) float32: n/(n + κ)."""
        n = self.occurrences[: self.words]
        return np.asarray(n / (n + _HALF_SHARE), np.float32)

    def digest(self) -> str:
        """See `Composition`."""
        found = hashlib.sha256("\n".join(self.parts).encode())
        for array in (self.starts, self.rows, self.buckets):
            found.update(np.ascontiguousarray(array, "<i8").data)
        return found.hexdigest()

    def rows_of_parts(self, parts: WordParts) -> dict[str, list[int]]:
        """Return the rows of each word's parts, for words that have any, known or unknown.

        Parameters
        ----------
        parts
            The parts of words, from a file; parts without a row are left out.
        """
        first = self.words + len(self.buckets)
        row_of = {name: first + i for i, name in enumerate(self.parts)}
        found = {
            word: [row_of[part] for part in own if part in row_of] for word, own in parts.items()
        }
        return {word: rows for word, rows in found.items() if rows}

    def vectors(self, E: Array) -> Array:
        """See `Composition`."""
        from embedder.kernels.composition import compose

        out = np.empty((self.words, E.shape[1]), E.dtype)
        compose(E, self.starts, self.rows, np.arange(self.words), out)
        return out

    def fit(self, vectors: Array) -> Array:
        """See `Composition`.

        The shared rows Z minimise Σ_w n_w |x_w − A_w Z|² + κ Σ_r |Z_r|², where row w of A takes the
        mean (ridge regression, by conjugate gradients), because they alone represent words never
        seen. Each word's own row is the residual times its `shares`.
        """
        V, means = self.words, self._means(np.diff(self.starts))
        # Damp the counts, as subsampling does, so that a few frequent words do not dominate.
        n = self.occurrences[:V].astype(np.float32)
        weights = np.minimum(n, np.sqrt(_HALF_RATE * n))
        Z = ridge_regression(means, vectors, weights, _RIDGE, _ITERATIONS)
        own = vectors - multiply(means, Z)
        own *= (np.diff(self.starts) * self.shares())[:, None].astype(np.float32)
        return np.concatenate([own, Z])

    def fit_shared(self, vectors: Array) -> Array:
        """Return the shared rows Z (G + P, D) float32 whose means alone predict words' vectors.

        They minimise Σ_w |x_w − A_w Z|² + κ Σ_r |Z_r|² with all words alike, where row w of A takes
        the mean of the word's shared rows: the bag of subwords of Zhao, Mudgal and Liang (2018).

        Parameters
        ----------
        vectors : (V, D) float32
            x; zeros for words without a vector, which do not count.
        """
        if self.height == self.words:
            return np.empty((0, vectors.shape[1]), np.float32)
        means = self._means(np.diff(self.starts) - 1)
        alike = np.asarray(vectors.any(axis=1), np.float32)
        return ridge_regression(means, vectors, alike, _RIDGE_OF_SHARED, _ITERATIONS)

    def predict(self, shared: Array) -> Array:
        """Return the means (V, D) float32 of each word's shared rows, given all (G + P, D).

        Words without any have zeros.
        """
        return multiply(self._means(np.diff(self.starts) - 1), shared)

    def _means(self, sizes: Array) -> csr_array:
        """Return the matrix (V, G + P) that sums each word's shared rows and divides by its size.

        Parameters
        ----------
        sizes : (V,)
            The sizes.
        """
        shared = self.rows >= self.words
        words = np.repeat(np.arange(self.words), np.diff(self.starts))[shared]
        values = (1 / sizes[words]).astype(np.float32)
        columns = self.rows[shared] - self.words
        return csr_array((values, (words, columns)), (self.words, self.height - self.words))


def compose_words(config: Config, vocabulary: Vocabulary, parts: WordParts) -> Composition:
    """Return the composition of each word from rows of E.

    Parameters
    ----------
    config
        The run: its n-grams, and the symbol for unknown words, which has no n-grams.
    vocabulary
        V words.
    parts
        The parts of words, from a file; empty without one.

    Raises
    ------
    VocabularyError
        If a file of parts is configured and lists no word of the vocabulary.
    """
    if not config.subwords.shared:
        return OwnRows(len(vocabulary))
    return share_rows(config.subwords, vocabulary, parts, config.vocabulary.unknown)


def share_rows(
    subwords: SubwordsConfig, vocabulary: Vocabulary, parts: WordParts, unknown: str | None = None
) -> SharedRows:
    """Return the rows that words share, whether E has them or not.

    Parameters
    ----------
    subwords
        The n-grams.
    vocabulary, parts
        As for `compose_words`.
    unknown
        The symbol for unknown words, which has no n-grams.

    Raises
    ------
    VocabularyError
        As for `compose_words`.
    """
    V = len(vocabulary)
    settings = subwords.min_n, subwords.max_n, subwords.buckets
    counts, found = list_ngrams(vocabulary.words, *settings, {unknown})
    buckets, ngrams = np.unique(found, return_inverse=True)
    names = sorted({part for word in vocabulary.words for part in parts.get(word, ())})
    if subwords.parts is not None and not names:
        raise VocabularyError(
            f"{subwords.parts}: contains no word of the vocabulary; expected lines "
            "'word<TAB>part<TAB>…' with words spelt as in the vocabulary."
        )
    first = V + len(buckets)
    row_of = {name: first + i for i, name in enumerate(names)}
    own_parts = [[row_of[part] for part in parts.get(word, ())] for word in vocabulary.words]
    part_counts = np.fromiter(map(len, own_parts), np.int64, V)
    words = np.arange(V)
    of_words = np.concatenate([words, np.repeat(words, counts), np.repeat(words, part_counts)])
    part_rows = np.fromiter(itertools.chain.from_iterable(own_parts), np.int64)
    in_order = np.argsort(of_words, kind="stable")
    rows = np.concatenate([words, V + ngrams, part_rows])[in_order].astype(np.int32)
    starts = offsets_from_lengths(1 + counts + part_counts)
    weights = vocabulary.counts[of_words[in_order]]
    occurrences = np.bincount(rows, weights, first + len(names))
    return SharedRows(starts, rows, buckets, names, occurrences.astype(np.int64))
