"""Neighbours and similarities with intervals, from the replicates of a run.

An interval is the one of the percentile bootstrap: between the 2.5th and the 97.5th percentile of
what the replicates say.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from embedder.arrays import Array, row_lengths
from embedder.config_sections.network import VectorKind
from embedder.errors import RunError
from embedder.runs.replicate_folder import Kind, ReplicateFolder
from embedder.runs.run_folder import RunFolder
from embedder.vectors.from_run import load_vectors
from embedder.vectors.search import nearest
from embedder.vectors.word_vectors import WordVectors

LEVEL = 0.95
"""The share of the replicates that an interval contains."""


class Estimate(NamedTuple):
    """How similar a word is to another one, and how sure that is.

    ``word``
        The other word.
    ``similarity``
        The cosine in the run itself.
    ``low``, ``high``
        The interval of the cosine; NaN if the two words meet in no replicate.
    ``share``
        Of the replicates that have the first word: in how many the other is among its nearest
        words, as many as were asked for.
    """

    word: str
    similarity: float
    low: float
    high: float
    share: float


class Replicates:
    """The vectors of a run, and those of its replicates, which are read one after another.

    Parameters
    ----------
    run
        A run with replicates.
    kind
        ``bootstrap`` for those on bootstrap samples of the text, ``seed`` for those on the same
        text with other seeds; by default the first of these that there are.

    Raises
    ------
    RunError
        If the run has no such replicates, or a file is damaged or belongs to another run.
    """

    def __init__(self, run: Path, kind: Kind | None = None) -> None:
        self._folder = ReplicateFolder(run)
        found = self._folder.replicates(kind)
        if not found:
            RunFolder(run).read_config()  # what is no run has another error
            what = {"bootstrap": "bootstrap samples", "seed": "other seeds", None: "replicates"}
            option = "--seeds K" if kind == "seed" else "--bootstrap K"
            raise RunError(
                f"{run}: a run without {what[kind]}; train them with: "
                f"embedder train --resume {run} {option}"
            )
        self.kind: Kind = found[0].kind
        self._replicates = [each for each in found if each.kind == self.kind]
        _, origin = self._folder.load(self._replicates[0])
        self.vectors_kind: VectorKind = origin.get("vectors", "sum")
        self.vectors: WordVectors = load_vectors(run, self.vectors_kind)
        """Those of the run itself."""
        self.block: int | str = origin.get("block", "")
        """Words per block that was drawn, or ``sentence``."""
        self._digest = self.vectors.vocabulary.digest()

    def __len__(self) -> int:
        """Return the number of replicates."""
        return len(self._replicates)

    def __repr__(self) -> str:
        return f"<Replicates: {len(self)} of kind {self.kind}, of {self.vectors!r}>"

    def __iter__(self) -> Iterator[Array]:
        """Yield the vectors of each replicate.

        Yields
        ------
        (V, D) float32
            Of length 1, in the order of the run's words; zeros for words that a bootstrap sample
            lacks.
        """
        for replicate in self._replicates:
            vectors, origin = self._folder.load(replicate)
            same = origin.get("vocabulary") == self._digest
            if not same or vectors.shape != self.vectors.matrix.shape:
                raise RunError(
                    f"{self._folder.file_of(replicate)}: not a replicate of this run; remove it, "
                    "and train it again."
                )
            yield np.asarray(vectors, np.float32)

    def similarity(self, a: str, b: str) -> Estimate:
        """Return the cosine of two words, with its interval.

        The share is that of the replicates in which b is the word nearest to a.

        Raises
        ------
        VocabularyError
            For an unknown word.
        """
        return self.similarities([(a, b)])[0]

    def similarities(self, pairs: Sequence[tuple[str, str]]) -> list[Estimate]:
        """Return the cosines of many pairs of words, which is faster than one call per pair.

        Raises
        ------
        VocabularyError
            For an unknown word.
        """
        ids = np.array([[self.vectors.vocabulary.id_of(word) for word in pair] for pair in pairs])
        return [own for (own,) in self._estimates(ids[:, 0], list(ids[:, 1:]), 1)] if pairs else []

    def neighbors(self, word: str, count: int = 10) -> list[Estimate]:
        """Return the words nearest to a word in the run, with intervals of their similarities.

        Raises
        ------
        VocabularyError
            For an unknown word.
        """
        return self.neighbors_of([word], count)[0]

    def neighbors_of(self, words: Sequence[str], count: int = 10) -> list[list[Estimate]]:
        """Return the neighbours of many words, which is faster than one call per word.

        Raises
        ------
        VocabularyError
            For an unknown word.
        """
        ids = self.vectors.vocabulary.ids
        queries = np.array([self.vectors.vocabulary.id_of(word) for word in words])
        found = self.vectors.neighbors_of(words, count)
        others = [np.array([ids[near.word] for near in own], np.int64) for own in found]
        return self._estimates(queries, others, count)

    def _estimates(self, queries: Array, others: list[Array], count: int) -> list[list[Estimate]]:
        """Return an estimate for each of some words near each query.

        Parameters
        ----------
        queries : (Q,) int64
            Ids of words.
        others
            The ids of the words near each query, (n,) int64.
        count
            How many neighbours to count as nearest.
        """
        cosines = [np.full((len(self), len(own)), np.nan) for own in others]
        hits = [np.zeros((len(self), len(own)), bool) for own in others]
        has_query = np.zeros((len(self), len(queries)), bool)
        excluded = [{int(query)} for query in queries]
        for i, vectors in enumerate(self):
            lengths = row_lengths(vectors).astype(np.float32)
            there = np.asarray(vectors.any(axis=1))
            has_query[i] = there[queries]
            near = nearest(vectors[queries], vectors, lengths, count, excluded).ids
            for q in np.flatnonzero(has_query[i]):
                own = others[q]
                found = vectors[own] @ vectors[queries[q]]
                cosines[q][i] = np.where(there[own], found, np.nan)
                hits[q][i] = np.isin(own, near[q])
        return [
            self._summaries(query, own, cosines[q], hits[q][has_query[:, q]])
            for q, (query, own) in enumerate(zip(queries, others, strict=True))
        ]

    def _summaries(self, query: int, others: Array, cosines: Array, hits: Array) -> list[Estimate]:
        """Return the estimates for one word, from the cosines (replicates, n) and hits."""
        units = self.vectors.unit_rows(np.append(others, query))
        words = self.vectors.words
        found = []
        for column, other in enumerate(others):
            known = cosines[:, column][~np.isnan(cosines[:, column])]
            low, high = np.nan, np.nan
            if len(known):
                low, high = np.quantile(known, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
            share = float(hits[:, column].mean()) if len(hits) else 0.0
            similarity = float(units[column] @ units[-1])
            found.append(Estimate(words[other], similarity, float(low), float(high), share))
        return found
