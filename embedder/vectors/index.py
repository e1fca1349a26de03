"""Approximate nearest-neighbour index (HNSW, Malkov and Yashunin 2018), using usearch.

Exact search compares a query with every word; an index compares it with a few thousand, whatever
the vocabulary size, and misses a few neighbours. Building it takes minutes for a million words,
which pays off in services that answer many single queries.
"""

import errno
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from embedder.errors import EmbedderError, FormatError
from embedder.storage import write_atomically
from embedder.vectors.neighbors import Neighbor, Neighbors
from embedder.vectors.word_vectors import WordVectors

_WORDS_CHECKED = 200
_NEIGHBORS_CHECKED = 10


class ApproximateIndex:
    """Approximate search for neighbours of words.

    Parameters
    ----------
    vectors
        The indexed vectors.
    library_index
        The usearch index, whose keys are rows of the vectors.

    Examples
    --------
    ``index = ApproximateIndex.build(vectors)``, ``index.save("vectors.usearch")``,
    ``ApproximateIndex.load("vectors.usearch", vectors).neighbors_of(["king"], 10)``
    """

    def __init__(self, vectors: WordVectors, library_index: Any) -> None:
        self._vectors = vectors
        self._index = library_index

    @classmethod
    def build(
        cls, vectors: WordVectors, connectivity: int = 16, expansion: int = 128
    ) -> "ApproximateIndex":
        """Index all vectors by cosine, on all cores.

        Parameters
        ----------
        vectors
            The vectors to index.
        connectivity
            Edges per node: more give better recall and take more memory.
        expansion
            Candidates tracked while building and searching: more give better recall and take
            longer.

        Raises
        ------
        EmbedderError
            If usearch is not installed.
        """
        index = _library().Index(
            ndim=vectors.matrix.shape[1],
            metric="cos",
            dtype="f32",
            connectivity=connectivity,
            expansion_add=expansion,
            expansion_search=expansion,
        )
        index.add(np.arange(len(vectors)), np.ascontiguousarray(vectors.matrix, np.float32))
        return cls(vectors, index)

    def save(self, path: str | Path) -> None:
        """Write the index to a file; load it together with the same vectors.

        Raises
        ------
        RunError
            If it cannot be written.
        """

        def write(temporary: Path) -> None:
            temporary.touch()  # says why this is impossible, as the library does not
            try:
                self._index.save(str(temporary))
            except RuntimeError as error:
                raise OSError(errno.EIO, str(error)) from None

        write_atomically(Path(path), write)

    @classmethod
    def load(cls, path: str | Path, vectors: WordVectors) -> "ApproximateIndex":
        """Load an index of these vectors.

        Raises
        ------
        FormatError
            If the file is not an index, or indexes other vectors.
        EmbedderError
            If usearch is not installed.
        """
        library = _library()
        try:
            found = library.Index.metadata(str(path))
        except Exception as error:  # the library has no error class of its own
            raise FormatError(f"{path}: not a usearch index ({error}).") from None
        shape = (found["count_present"], found["dimensions"]) if found else None
        if shape != vectors.matrix.shape:
            raise FormatError(
                f"{path}: index of shape {shape}; expected the shape of these vectors, "
                f"{vectors.matrix.shape}; rebuild it with: embedder index."
            )
        index = library.Index.restore(str(path))
        return cls(vectors, index)

    def neighbors_of(self, words: Sequence[str], count: int = 10) -> list[Neighbors]:
        """Return the words nearest to each word; a few may be missed.

        Raises
        ------
        VocabularyError
            For an unknown word.
        """
        queries = np.stack([self._vectors.vector(word) for word in words])
        # One more, since a word is its own nearest neighbour.
        found = self._index.search(queries, min(count + 1, len(self._vectors)))
        keys = np.asarray(found.keys).reshape(len(words), -1)
        cosines = 1 - np.asarray(found.distances).reshape(len(words), -1)
        names = self._vectors.vocabulary.words
        return [
            Neighbors(
                [
                    Neighbor(names[int(key)], float(cosine))
                    for key, cosine in zip(row, values, strict=True)
                    if names[int(key)] != word
                ][:count]
            )
            for word, row, values in zip(words, keys, cosines, strict=True)
        ]

    def recall(self) -> float:
        """Return the share of the true ten nearest neighbours that are found, over 200 words."""
        rng = np.random.default_rng(0)
        size = min(_WORDS_CHECKED, len(self._vectors))
        words = [
            self._vectors.vocabulary.words[i]
            for i in rng.choice(len(self._vectors), size, replace=False)
        ]
        exact = self._vectors.neighbors_of(words, _NEIGHBORS_CHECKED)
        found = self.neighbors_of(words, _NEIGHBORS_CHECKED)
        pairs = [
            ({near.word for near in a}, {near.word for near in b})
            for a, b in zip(exact, found, strict=True)
        ]
        return sum(len(a & b) for a, b in pairs) / max(1, sum(len(a) for a, _ in pairs))


def _library() -> Any:
    try:
        import usearch.index
    except ImportError:
        raise EmbedderError(
            "An approximate index requires usearch; pip install 'exact-embedder[index]'."
        ) from None
    return usearch.index
