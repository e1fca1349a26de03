"""Which words changed between the slices of a run, and how.

The p-values of all words are from a permutation test (see `embedder.kernels.changes`); the false
discovery rate among words with a q of at most some level is at most this level (Benjamini and
Hochberg 1995).
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from embedder.arrays import Array, unit_rows
from embedder.errors import VocabularyError
from embedder.runs.slice_folder import SliceFolder, WordTest
from embedder.vectors.from_run import load_vectors
from embedder.vectors.neighbors import Neighbors
from embedder.vectors.word_vectors import WordVectors

LEVEL = 0.05
"""Words with a q up to this are taken to have changed."""


class Change(NamedTuple):
    """How a word changed.

    ``word``
    ``change``
        What vectors of their own save the slices, in nats per neighbour, without what noise alone
        would save; 0 for no change, whatever the word's frequency.
    ``p``, ``q``
        The p-value, and the false discovery rate among all words with one at most as large.
    ``counts``
        How often it occurs in each slice.
    ``similarity``
        The cosine between its vectors in the first and the last slice in which it occurs.
    """

    word: str
    change: float
    p: float
    q: float
    counts: list[int]
    similarity: float


class Trajectory(NamedTuple):
    """A word in each slice; None where it does not occur.

    ``slices``
        Their names, in order.
    ``counts``
        How often it occurs.
    ``neighbors``
        Its nearest words within the slice.
    ``similarities``
        For each word that is a neighbour in any slice, its cosine with the word, slice by slice.
    ``vectors``
        Its vectors (H,).
    ``cosines``
        The cosines between its vectors and that in the first slice in which it occurs.
    """

    word: str
    slices: list[str]
    counts: list[int]
    neighbors: list[Neighbors | None]
    similarities: dict[str, list[float | None]]
    vectors: list[Array | None]
    cosines: list[float | None]


class SlicedRun:
    """The slices of a run, loaded.

    Parameters
    ----------
    run
        A run with slices.

    Raises
    ------
    RunError
        If it has none, or a file is damaged.
    """

    def __init__(self, run: Path) -> None:
        folder = SliceFolder(run)
        self.names = folder.names()
        self.slices: list[WordVectors] = [load_vectors(folder.run_of(name)) for name in self.names]
        tests = folder.tests()
        self._tests = {test.word: test for test in tests}
        self._q = dict(zip(self._tests, false_discovery_rates([t.p for t in tests]), strict=True))

    def most_changed(self, count: int | None = None, level: float = LEVEL) -> list[Change]:
        """Return the words that changed, those that changed most first.

        Parameters
        ----------
        count
            At most so many; None for all.
        level
            The false discovery rate among them.
        """
        found = [test for word, test in self._tests.items() if self._q[word] <= level]
        found.sort(key=lambda test: -test.change)
        return [self._change(test) for test in found[:count]]

    def count_changed(self, level: float = LEVEL) -> int:
        """Return how many words changed, with a false discovery rate of `level` among them."""
        return sum(q <= level for q in self._q.values())

    def change(self, word: str) -> Change:
        """Return how one word changed, whether or not that is more than noise.

        Raises
        ------
        VocabularyError
            If it occurs in no slice.
        """
        if word not in self._tests:
            raise VocabularyError(f"'{word}' does not occur in the slices, or has no neighbours.")
        return self._change(self._tests[word])

    def _change(self, test: WordTest) -> Change:
        known = [own for own in _cosines_with_first(self._rows(test.word)) if own is not None]
        q = self._q[test.word]
        return Change(test.word, test.change, test.p, q, self._counts(test.word), known[-1])

    def _rows(self, word: str) -> list[Array | None]:
        return [vectors.get(word) for vectors in self.slices]

    def _counts(self, word: str) -> list[int]:
        vocabularies = [vectors.vocabulary for vectors in self.slices]
        return [int(own.counts[own.ids[word]]) if word in own.ids else 0 for own in vocabularies]

    def trajectory(self, word: str, count: int = 5) -> Trajectory:
        """Return a word's way through the slices.

        Parameters
        ----------
        word
            Occurs in at least one slice.
        count
            How many neighbours per slice.

        Raises
        ------
        VocabularyError
            If it occurs in no slice.
        """
        self.change(word)
        near = [
            vectors.neighbors(word, count) if word in vectors else None for vectors in self.slices
        ]
        others = dict.fromkeys(other.word for own in near for other in own or ())
        similarities: dict[str, list[float | None]] = {
            other: [
                vectors.similarity(word, other) if word in vectors and other in vectors else None
                for vectors in self.slices
            ]
            for other in others
        }
        rows, counts = self._rows(word), self._counts(word)
        cosines = _cosines_with_first(rows)
        return Trajectory(word, self.names, counts, near, similarities, rows, cosines)


def _cosines_with_first(rows: Sequence[Array | None]) -> list[float | None]:
    """Return the cosine between each vector (H,) and the first that is not None."""
    units = [None if row is None else unit_rows(row[None])[0] for row in rows]
    first = next(unit for unit in units if unit is not None)
    return [None if unit is None else float(first @ unit) for unit in units]


def false_discovery_rates(p: Sequence[float]) -> list[float]:
    """Return the q-value of each p-value, by the step-up procedure of Benjamini and Hochberg."""
    values = np.asarray(p, np.float64)
    order = np.argsort(values, kind="stable")
    scaled = values[order] * len(values) / np.arange(1, len(values) + 1)
    rates = np.empty(len(values))
    rates[order] = np.minimum.accumulate(scaled[::-1])[::-1].clip(max=1)
    return [float(rate) for rate in rates]
