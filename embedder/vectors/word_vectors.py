"""Trained word vectors: lookup, neighbours, analogies and export.

What gensim's KeyedVectors has under the same name returns the same here; `keyed_vectors` returns a
view with all of gensim's names.
"""

import warnings
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from embedder.arrays import Array, row_lengths, unit_rows
from embedder.errors import RunError, VocabularyError, python_errors
from embedder.text.normalisation import normalise
from embedder.text.vocabulary import Vocabulary
from embedder.vectors.html_tables import table_of_vectors
from embedder.vectors.neighbors import Expected, Neighbor, Neighbors
from embedder.vectors.search import nearest, over_blocks
from embedder.vectors.sentences import sentence_vectors
from embedder.vectors.subwords import Subwords, fit_ngrams, ngram_settings

if TYPE_CHECKING:
    from embedder.reporting.notebook import MapView
    from embedder.vectors.keyed_vectors import KeyedVectors
    from embedder.vectors.prediction import Predictor

Query = str | Array
"""A word, or a vector (D,)."""
Files = str | Path | Sequence[str | Path]
Unwritable = Literal["skip", "replace"]
"""What becomes of words that a file cannot store: left out, or with `_` for what it cannot."""
_COSMUL_EPSILON = 1e-6


class ComposedWarning(UserWarning):
    """A word is unknown, so its vector is composed of its parts."""


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
    predictor
        The network of the run that the vectors are from.

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
    >>> vectors[["king", "queen"]].shape
    (2, 2)
    >>> vectors.doesnt_match(["king", "queen", "apple"])
    'apple'
    """

    def __init__(
        self,
        vocabulary: Vocabulary,
        matrix: Array,
        repairs: tuple[str, ...] = (),
        subwords: Subwords | None = None,
        predictor: "Predictor | None" = None,
    ) -> None:
        self.vocabulary = vocabulary
        self.matrix = matrix.view()
        self.matrix.flags.writeable = False
        self.repairs = repairs
        self.subwords = subwords
        self.predictor = predictor

    def __len__(self) -> int:
        return len(self.vocabulary)

    def __iter__(self) -> Iterator[str]:
        return iter(self.vocabulary.words)

    def __deepcopy__(self, memo: object) -> "WordVectors":
        return self  # nobody changes it, and scikit-learn copies parameters of what it clones

    def __contains__(self, word: object) -> bool:
        return isinstance(word, str) and word in self.vocabulary.ids

    def __repr__(self) -> str:
        first = ", ".join(self.words[:3])
        rows, length = self.matrix.shape
        return f"<WordVectors: {rows:,} words × {length} dimensions; {first}, …>"

    def _repr_html_(self) -> str:
        """Return the first words as a table, for notebooks."""
        return table_of_vectors(repr(self), self.words, self.vocabulary.counts, self.matrix)

    @property
    def words(self) -> list[str]:
        """The words, most frequent first."""
        return self.vocabulary.words

    def __getitem__(self, word: str | Sequence[str]) -> Array:
        """Return a word's vector, (D,) float32, read-only; or those of several words, (n, D).

        If vectors are composed of n-grams or other parts, a word outside the vocabulary has one
        too, and a `ComposedWarning` is issued.

        Raises
        ------
        VocabularyError
            For an unknown word; the message suggests similar spellings.
        """
        if not isinstance(word, str):
            return np.stack([self[each] for each in word]) if len(word) else self.matrix[:0]
        vector = self.vector(word)
        if word not in self:
            warnings.warn(
                f"'{word}' is unknown; its vector is composed of its parts",
                ComposedWarning,
                stacklevel=2,
            )
        return vector

    def get(self, word: str, default: Array | None = None) -> Array | None:
        """Return a word's vector, or the default for a word without one."""
        known = self.vocabulary.ids.get(word)
        if known is not None:
            return np.asarray(self.matrix[known])
        composed = self._composed(word)
        if composed is None:
            return default
        composed.flags.writeable = False
        return composed

    def vector(self, word: str) -> Array:
        """Return the same as `vectors[word]`, without a warning.

        Raises
        ------
        VocabularyError
            For an unknown word.
        """
        found = self.get(word)
        return np.asarray(self.matrix[self.vocabulary.id_of(word)]) if found is None else found

    def is_composed(self, word: str) -> bool:
        """Return whether a word is unknown but has a vector composed of its parts."""
        return word not in self and self._composed(word) is not None

    def _composed(self, word: str) -> Array | None:
        """Return an unknown word's vector, composed of the parts of its normal form."""
        if self.subwords is None:
            return None
        return self.subwords.compose_unknown(normalise(word, self.vocabulary.normalisation))

    def with_composed(self, words: Sequence[str]) -> "WordVectors":
        """Return these vectors followed by those of unknown words that can be composed."""
        if self.subwords is None:
            return self
        new = [word for word in dict.fromkeys(words) if word not in self]
        found = {word: self._composed(word) for word in new}
        rows = {word: vector for word, vector in found.items() if vector is not None}
        if not rows:
            return self
        counts = np.concatenate([self.vocabulary.counts, np.zeros(len(rows), np.int64)])
        form = self.vocabulary.normalisation
        vocabulary = Vocabulary([*self.vocabulary.words, *rows], counts, form)
        return WordVectors(vocabulary, np.concatenate([self.matrix, np.stack(list(rows.values()))]))

    def with_subwords(
        self, min_n: int = 3, max_n: int = 6, buckets: int = 2_000_000, mix: float = 0.0
    ) -> "WordVectors":
        """Return these vectors, and compose unknown words of character n-grams fitted to them.

        A bag of subwords (Zhao, Mudgal and Liang 2018); fastText's format can store it.

        Parameters
        ----------
        min_n, max_n
            Lengths of n-grams in characters; `<` and `>` mark the ends of a word.
        buckets
            How many buckets n-grams are hashed into.
        mix
            Weight of what a known word's n-grams predict; with 0, its vector stays.

        Raises
        ------
        ConfigError
            For impossible settings.
        """
        settings = ngram_settings(min_n, max_n, buckets, mix)
        matrix, subwords = fit_ngrams(self.vocabulary, self.matrix, settings)
        return WordVectors(self.vocabulary, matrix, self.repairs, subwords, self.predictor)

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

    def neighbors(self, word: str, count: int = 10) -> Neighbors:
        """Return the words with the highest cosine similarity to a word.

        Raises
        ------
        VocabularyError
            For an unknown word.
        """
        return self.neighbors_of([word], count)[0]

    def neighbors_of(self, words: Sequence[str], count: int = 10) -> list[Neighbors]:
        """Return the neighbours of many words, which is faster than one call per word.

        Raises
        ------
        VocabularyError
            For an unknown word.
        """
        queries = np.stack([self.vector(word) for word in words])
        return self._nearest(queries, [self._ids({word}) for word in words], count)

    def analogy(self, a: str, b: str, c: str, count: int = 10) -> Neighbors:
        """Return the words that complete "a is to b as c is to …", by 3CosAdd.

        Raises
        ------
        VocabularyError
            For an unknown word.
        """
        va, vb, vc = (self._unit_vector(word) for word in (a, b, c))
        return self._nearest((vb - va + vc)[None], [self._ids({a, b, c})], count)[0]

    def most_similar(
        self,
        positive: "Query | Sequence[Query | tuple[Query, float]]" = (),
        negative: "Query | Sequence[Query | tuple[Query, float]]" = (),
        topn: int = 10,
    ) -> Neighbors:
        """Return the words nearest to the mean of some vectors, and far from others.

        The unit vectors of words, and vectors as they are, are averaged with weights 1 and −1; the
        words given are no results.

        Parameters
        ----------
        positive, negative
            A word or vector, or a list of them; a pair is one with a weight, which replaces 1 or −1
            as in gensim.
        topn
            How many words.

        Raises
        ------
        VocabularyError
            For an unknown word, or if nothing is given.
        """
        query, given = self._mean([*_weighted(positive, 1.0), *_weighted(negative, -1.0)])
        return self._nearest(query[None], [self._ids(given)], topn)[0]

    def most_similar_cosmul(
        self,
        positive: "Query | Sequence[Query]" = (),
        negative: "Query | Sequence[Query]" = (),
        topn: int = 10,
    ) -> Neighbors:
        """Return the words by 3CosMul: products of similarities (Levy and Goldberg 2014)."""
        self._mean([*_weighted(positive, 1.0), *_weighted(negative, -1.0)])  # checks them
        scores, given = np.ones(len(self)), set()
        for sign, queries in ((1, positive), (-1, negative)):
            product = np.ones(len(self))
            for query, _ in _weighted(queries, 1.0):
                given |= {query} if isinstance(query, str) else set()
                product *= (1 + self._cosines(query)) / 2
            scores = scores * product if sign > 0 else scores / (product + _COSMUL_EPSILON)
        ids = self._ids(given)
        order = np.argsort(-scores, kind="stable")[: topn + len(ids)]
        found = [i for i in order if i not in ids][:topn]
        return Neighbors(Neighbor(self.words[i], float(scores[i])) for i in found)

    def n_similarity(self, first: Sequence[str], second: Sequence[str]) -> float:
        """Return the cosine similarity of the mean vectors of two lists of words."""
        means = np.stack([self[first].mean(axis=0), self[second].mean(axis=0)])
        one, other = unit_rows(means)
        return float(one @ other)

    def doesnt_match(self, words: Sequence[str]) -> str:
        """Return the word that is farthest from the mean of all; unknown words are left out.

        Raises
        ------
        VocabularyError
            If all words are unknown.
        """
        known = [word for word in words if word in self]
        if not known:
            raise VocabularyError("None of the words is known.")
        units = unit_rows(self[known])
        return known[int((units @ units.mean(axis=0)).argmin())]

    def distances(self, word: "Query", others: Sequence[str] = ()) -> Array:
        """Return 1 − cosine from a word or vector to others, by default all words, float32."""
        if len(others) == 0:
            return np.asarray(1 - self._cosines(word), np.float32)
        units = unit_rows(self[others])
        return np.asarray(1 - units @ self._unit(word), np.float32)

    def closer_than(self, first: str, second: str) -> list[str]:
        """Return all words that are closer to the first word than the second is."""
        distances = self.distances(first)
        closer = np.flatnonzero(distances < distances[self.vocabulary.id_of(second)])
        return [self.words[i] for i in closer if self.words[i] != first]

    def rank(self, first: str, second: str) -> int:
        """Return the rank of the second word among the neighbours of the first, from 1."""
        return len(self.closer_than(first, second)) + 1

    def predict(self, words: str | Sequence[str], topn: int = 10) -> Any:
        """Return what the network expects beside a word, with probabilities, exactly.

        Parameters
        ----------
        words
            A word, or several.
        topn
            How many expected words.

        Returns
        -------
        list of Expected(word, probability)
            The words that are most probable as a neighbour in the window, whatever the position;
            for several words, a list for each.

        Raises
        ------
        VocabularyError
            For an unknown word.
        RunError
            If the vectors are not those of a run that was trained on counts.
        """
        if self.predictor is None:
            raise RunError("Only a trained network predicts; these vectors are not those of a run.")
        if isinstance(words, str):
            return self.predict([words], topn)[0]
        ids = np.array([self.vocabulary.id_of(word) for word in words], np.int64)
        found = []
        for row in self.predictor(ids):
            best = np.argsort(-row, kind="stable")[:topn]
            found.append([Expected(self.words[i], float(row[i])) for i in best])
        return found

    @python_errors()
    def evaluate(
        self,
        *,
        analogies: Files = (),
        similarity: Files = (),
        restrict_vocab: int | None = None,
    ) -> dict[str, Any]:
        """Evaluate the vectors on analogies and similarity; see `embedder.evaluate`."""
        from embedder.evaluation.suite import evaluate, read_tasks

        files = [
            [Path(found)] if isinstance(found, str | Path) else [Path(file) for file in found]
            for found in (analogies, similarity)
        ]
        return evaluate(self, read_tasks(*files), restrict_vocab=restrict_vocab).figures()

    def sentence(self, text: str | Sequence[str]) -> Array:
        """Return a vector for a text: the mean of its words' vectors, rare words weighted more.

        See `embedder.vectors.sentences`; `SentenceEncoder` also removes what all texts share.

        Parameters
        ----------
        text
            A text, which is split as by `corpus.tokenizer: words` and lower-cased; or its words,
            for vectors that were trained in another way.

        Returns
        -------
        (D,) float32
            Zeros if no word has a vector.
        """
        return np.asarray(sentence_vectors(self, [text])[0])

    def keyed_vectors(self) -> "KeyedVectors":
        """Return a view with the names of gensim's KeyedVectors; see its `to_gensim`."""
        from embedder.vectors.keyed_vectors import KeyedVectors

        return KeyedVectors(self)

    @python_errors()
    def map(
        self,
        words: int = 10_000,
        projection: Literal["graph", "umap", "tsne", "pca"] = "graph",
        height: int = 720,
    ) -> "MapView":
        """Return a map of the most frequent words, which notebooks display.

        Words can be searched and clicked; the panel beside the map shows their neighbours.

        Parameters
        ----------
        words
            How many words.
        projection
            How they are laid out: by the graph of neighbours, UMAP, t-SNE or principal components;
            `umap` and `tsne` need the extra `maps`.
        height
            Of the output, in pixels.

        Returns
        -------
        MapView
            `save(path)` writes the page, for a browser.

        Raises
        ------
        EmbedderError
            If a package of the extra `report` or `maps` is missing.
        """
        from embedder.reporting.notebook import view_map

        return view_map(self, words, projection, height)

    def _mean(self, queries: "Sequence[tuple[Query, float]]") -> tuple[Array, set[str]]:
        """Return the weighted mean of unit vectors, and the words among the queries."""
        if not queries:
            raise VocabularyError("expected at least one word or vector.")
        given = {query for query, _ in queries if isinstance(query, str)}
        total = sum(
            weight * (self._unit(query) if isinstance(query, str) else self._checked(query))
            for query, weight in queries
        )
        return np.asarray(total, np.float32), given

    def _unit(self, query: "Query") -> Array:
        vector = self.vector(query) if isinstance(query, str) else self._checked(query)
        return np.asarray(unit_rows(vector[None])[0])

    def _checked(self, query: Array) -> Array:
        vector = np.asarray(query, np.float32)
        if vector.shape != self.matrix.shape[1:]:
            raise VocabularyError(
                f"expected a word or a vector of {self.matrix.shape[1]} numbers, got an array of "
                f"shape {vector.shape}."
            )
        return vector

    def _cosines(self, query: "Query") -> Array:
        """Return the cosine of every word with a query, (V,) float32."""
        unit, found = self._unit(query), np.empty(len(self), np.float32)

        def visit(start: int, block: Array) -> None:
            found[start : start + len(block)] = block @ unit

        over_blocks(self.matrix, self.lengths, visit)
        return found

    def _ids(self, words: set[str]) -> set[int]:
        return {self.vocabulary.ids[word] for word in words if word in self}

    def _nearest(self, queries: Array, excluded: list[set[int]], count: int) -> list[Neighbors]:
        count = min(count, len(self))
        found = nearest(queries, self.matrix, self.lengths, count, excluded)
        words = self.vocabulary.words
        return [
            Neighbors(
                Neighbor(words[i], float(score))
                for i, score in zip(ids, scores, strict=True)
                if i >= 0
            )
            for ids, scores in zip(found.ids, found.scores, strict=True)
        ]

    @python_errors()
    def save(
        self,
        path: str | Path,
        file_format: str | None = None,
        unwritable: Unwritable | None = None,
    ) -> None:
        """Write the vectors in a format of another program; see `embedder.save`."""
        from embedder.vectors.formats import save

        save(self, path, file_format, unwritable=unwritable)


def _weighted(queries: Any, weight: float) -> list[tuple[Query, float]]:
    """Return pairs of a word or vector and its weight, by default this one."""
    if isinstance(queries, str) or (isinstance(queries, np.ndarray) and queries.ndim == 1):
        queries = [queries]
    return [
        (query[0], float(query[1]))
        if isinstance(query, tuple) and len(query) == 2 and not isinstance(query[1], str)
        else (query, weight)
        for query in queries
    ]
