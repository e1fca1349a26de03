"""Word vectors under the names that gensim's KeyedVectors gives to what reads them."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from embedder.arrays import Array, unit_rows
from embedder.errors import VocabularyError
from embedder.vectors.neighbors import Neighbors
from embedder.vectors.word_vectors import Query, WordVectors


class KeyedVectors:
    """A read-only view of word vectors for code that was written for gensim 4.

    Methods and attributes mean what they mean there; results agree up to rounding. For libraries
    that ask for gensim's own class, see `to_gensim`.

    Parameters
    ----------
    vectors
        What to show.
    """

    def __init__(self, vectors: WordVectors) -> None:
        self._own = vectors
        self.most_similar = vectors.most_similar
        self.most_similar_cosmul = vectors.most_similar_cosmul
        self.similarity = vectors.similarity
        self.n_similarity = vectors.n_similarity
        self.doesnt_match = vectors.doesnt_match
        self.distances = vectors.distances
        self.closer_than = vectors.closer_than
        self.rank = vectors.rank

    @property
    def index_to_key(self) -> list[str]:
        """The words, most frequent first."""
        return self._own.words

    @property
    def key_to_index(self) -> dict[str, int]:
        """The row of each word."""
        return self._own.vocabulary.ids

    @property
    def vectors(self) -> Array:
        """The vectors, (V, D) float32."""
        return self._own.matrix

    @property
    def vector_size(self) -> int:
        """D."""
        return int(self._own.matrix.shape[1])

    @property
    def norms(self) -> Array:
        """The vectors' lengths, (V,) float32."""
        return self._own.lengths

    def __len__(self) -> int:
        return len(self._own)

    def __contains__(self, key: object) -> bool:
        return key in self._own

    def __iter__(self) -> Iterator[str]:
        return iter(self._own)

    def __getitem__(self, key: str | int | Sequence[str]) -> Array:
        """Return the vector of a word, or of a row's number, or those of several words."""
        return np.asarray(self._own.matrix[key]) if isinstance(key, int) else self._own[key]

    def has_index_for(self, key: str) -> bool:
        """Return whether a word is known."""
        return key in self._own

    def get_index(self, key: str, default: int | None = None) -> int:
        """Return a word's row, or the default for an unknown one.

        Raises
        ------
        KeyError
            For an unknown word without a default.
        """
        index = self.key_to_index.get(key, default)
        if index is None:
            raise KeyError(f"Key '{key}' not present")
        return index

    def get_vector(self, key: str, norm: bool = False) -> Array:
        """Return a word's vector, of length 1 with ``norm``."""
        vector = self._own[key]
        return np.asarray(unit_rows(vector[None])[0]) if norm else vector

    def get_normed_vectors(self) -> Array:
        """Return all vectors with length 1, (V, D)."""
        return unit_rows(self._own.matrix, self._own.lengths)

    def get_vecattr(self, key: str, attr: str) -> Any:
        """Return an attribute of a word; there is ``count`` only.

        Raises
        ------
        KeyError
            For another attribute, or an unknown word.
        """
        if attr != "count":
            raise KeyError(f"attribute {attr!r} not present for words; there is 'count'")
        return int(self._own.vocabulary.counts[self.get_index(key)])

    def get_mean_vector(
        self,
        keys: Sequence[Query],
        weights: Sequence[float] | None = None,
        pre_normalize: bool = True,
        post_normalize: bool = False,
        ignore_missing: bool = True,
    ) -> Array:
        """Return the weighted mean of the vectors of words; see gensim."""
        total, mass = np.zeros(self.vector_size), 0.0
        given = [1.0] * len(keys) if weights is None else weights
        for key, weight in zip(keys, given, strict=True):
            if isinstance(key, str) and key not in self._own:
                if ignore_missing:
                    continue
                raise KeyError(f"Key '{key}' not present in vocabulary")
            vector = self._own[key] if isinstance(key, str) else np.asarray(key)
            of_word = isinstance(key, str) and pre_normalize
            total += weight * (unit_rows(vector[None])[0] if of_word else vector)
            mass += abs(weight)
        mean = (total / mass if mass > 0 else total).astype(np.float32)
        return np.asarray(unit_rows(mean[None])[0]) if post_normalize else mean

    def similar_by_word(self, word: str, topn: int = 10) -> Neighbors:
        """Return the words nearest to a word."""
        return self._own.most_similar([word], topn=topn)

    similar_by_key = similar_by_word

    def similar_by_vector(self, vector: Array, topn: int = 10) -> Neighbors:
        """Return the words nearest to a vector."""
        return self._own.most_similar([vector], topn=topn)

    def most_similar_to_given(self, key1: str, keys_list: Sequence[str]) -> str:
        """Return which of several words is nearest to a word."""
        return keys_list[int(self._own.distances(key1, keys_list).argmin())]

    def distance(self, w1: str, w2: str) -> float:
        """Return 1 − cosine of two words."""
        return 1 - self._own.similarity(w1, w2)

    def words_closer_than(self, w1: str, w2: str) -> list[str]:
        """Return all words that are closer to the first word than the second is."""
        return self._own.closer_than(w1, w2)

    def save_word2vec_format(self, fname: str, binary: bool = False) -> None:
        """Write the vectors in word2vec's text or binary format."""
        self._own.save(fname, "word2vec-binary" if binary else "word2vec")

    def to_gensim(self) -> Any:
        """Return gensim's own KeyedVectors, which share the memory of these.

        Raises
        ------
        VocabularyError
            If gensim is not installed.
        """
        try:
            from gensim.models import KeyedVectors as OfGensim
        except ImportError:
            raise VocabularyError("to_gensim requires gensim; pip install gensim.") from None
        found = OfGensim(self.vector_size)
        found.index_to_key = list(self.index_to_key)
        found.key_to_index = dict(self.key_to_index)
        found.vectors = self.vectors
        found.expandos = {}
        for key, count in zip(found.index_to_key, self._own.vocabulary.counts, strict=True):
            found.set_vecattr(key, "count", int(count))
        return found
