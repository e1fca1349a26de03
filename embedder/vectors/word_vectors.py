"""Trained word vectors: lookup, neighbours, analogies and export."""

import warnings
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np

from embedder.arrays import Array, row_lengths, unit_rows
from embedder.text.vocabulary import Vocabulary
from embedder.vectors.search import nearest
from embedder.vectors.subwords import Subwords


class ComposedWarning(UserWarning):
    """A word is unknown, so its vector is composed of its parts."""


class Neighbor(NamedTuple):
    """A word and its cosine similarity to the query."""

    word: str
    similarity: float


class WordVectors:
    """A vector for every word of a vocabulary.

    Parameters
    ----------
    vocabulary
        The words, most frequent first.
    matrix : (V, D) float32
        Their vectors; the attribute is a read-only view.
    repairs
        Problems that were fixed while reading the vectors from a file.
    subwords
        The rows that the vectors are composed of; unknown words then have vectors too.

    Examples
    --------
    >>> import numpy as np
    >>> from embedder.text.vocabulary import Vocabulary
    >>> words = Vocabulary(["king", "queen", "apple"], np.array([9, 5, 2]))
    >>> vectors = WordVectors(words, np.array([[1, 1], [1, 0.9], [0, -1]], np.float32))
    >>> len(vectors), "king" in vectors, "kin" in vectors
    (3, True, False)
    >>> vectors["queen"]
    array([1. , 0.9], dtype=float32)
    >>> round(vectors.similarity("king", "queen"), 3)
    0.999
    >>> [near.word for near in vectors.neighbors("king", 2)]
    ['queen', 'apple']
    """

    def __init__(
        self,
        vocabulary: Vocabulary,
        matrix: Array,
        repairs: tuple[str, ...] = (),
        subwords: Subwords | None = None,
    ) -> None:
        self.vocabulary = vocabulary
        self.matrix = matrix.view()
        self.matrix.flags.writeable = False
        self.repairs = repairs
        self.subwords = subwords

    def __len__(self) -> int:
        return len(self.vocabulary)

    def __contains__(self, word: object) -> bool:
        return word in self.vocabulary.ids

    def __getitem__(self, word: str) -> Array:
        """Return a word's vector, (D,) float32, read-only.

        If vectors are composed of n-grams or other parts, a word outside the vocabulary has one
        too, and a `ComposedWarning` is issued.

        Raises
        ------
        VocabularyError
            For an unknown word; the message suggests similar spellings.
        """
        vector = self.vector(word)
        if word not in self:
            warnings.warn(
                f"'{word}' is unknown; its vector is composed of its parts",
                ComposedWarning,
                stacklevel=2,
            )
        return vector

    def vector(self, word: str) -> Array:
        """Return the same as `vectors[word]`, without a warning.

        Raises
        ------
        VocabularyError
            For an unknown word.
        """
        known = self.vocabulary.ids.get(word)
        if known is None and self.subwords is not None:
            composed = self.subwords.compose_unknown(word)
            if composed is not None:
                composed.flags.writeable = False
                return composed
        return np.asarray(self.matrix[self.vocabulary.id_of(word)])

    def is_composed(self, word: str) -> bool:
        """Return whether a word is unknown but has a vector composed of its parts."""
        if word in self or self.subwords is None:
            return False
        return self.subwords.compose_unknown(word) is not None

    def with_composed(self, words: Sequence[str]) -> "WordVectors":
        """Return these vectors followed by those of unknown words that can be composed."""
        if self.subwords is None:
            return self
        new = [word for word in dict.fromkeys(words) if word not in self]
        found = {word: self.subwords.compose_unknown(word) for word in new}
        rows = {word: vector for word, vector in found.items() if vector is not None}
        if not rows:
            return self
        counts = np.concatenate([self.vocabulary.counts, np.zeros(len(rows), np.int64)])
        vocabulary = Vocabulary([*self.vocabulary.words, *rows], counts)
        return WordVectors(vocabulary, np.concatenate([self.matrix, np.stack(list(rows.values()))]))

    def similarity(self, a: str, b: str) -> float:
        """Return the cosine similarity of two words.

        Raises
        ------
        VocabularyError
            For an unknown word.
        """
        first, second = self._unit_vector(a), self._unit_vector(b)
        return float(first @ second)

    @cached_property
    def lengths(self) -> Array:
        """The vectors' lengths, (V,) float32; 1 for vectors of zeros."""
        return np.minimum(row_lengths(self.matrix), np.finfo(np.float32).max).astype(np.float32)

    def unit_rows(self, ids: Array) -> Array:
        """Return rows scaled to length 1, (n, D) float32; zeros stay zeros."""
        return unit_rows(self.matrix[ids], self.lengths[ids])

    def _unit_vector(self, word: str) -> Array:
        return np.asarray(unit_rows(self.vector(word)[None])[0])

    def neighbors(self, word: str, count: int = 10) -> list[Neighbor]:
        """Return the words with the highest cosine similarity to a word.

        Raises
        ------
        VocabularyError
            For an unknown word.
        """
        return self.neighbors_of([word], count)[0]

    def neighbors_of(self, words: Sequence[str], count: int = 10) -> list[list[Neighbor]]:
        """Return the neighbours of many words, which is faster than one call per word.

        Raises
        ------
        VocabularyError
            For an unknown word.
        """
        queries = np.stack([self.vector(word) for word in words])
        return self._nearest(queries, [self._ids({word}) for word in words], count)

    def analogy(self, a: str, b: str, c: str, count: int = 10) -> list[Neighbor]:
        """Return the words that complete "a is to b as c is to …", by 3CosAdd.

        Raises
        ------
        VocabularyError
            For an unknown word.
        """
        va, vb, vc = (self._unit_vector(word) for word in (a, b, c))
        return self._nearest((vb - va + vc)[None], [self._ids({a, b, c})], count)[0]

    def _ids(self, words: set[str]) -> set[int]:
        return {self.vocabulary.ids[word] for word in words if word in self}

    def _nearest(
        self, queries: Array, excluded: list[set[int]], count: int
    ) -> list[list[Neighbor]]:
        count = min(count, len(self))
        found = nearest(queries, self.matrix, self.lengths, count, excluded)
        words = self.vocabulary.words
        return [
            [
                Neighbor(words[i], float(score))
                for i, score in zip(ids, scores, strict=True)
                if i >= 0
            ]
            for ids, scores in zip(found.ids, found.scores, strict=True)
        ]

    def save(self, path: str | Path, file_format: str | None = None) -> None:
        """Write the vectors in a format of another tool; see `embedder.vectors.formats.save`."""
        from embedder.vectors.formats import save

        save(self, path, file_format)
