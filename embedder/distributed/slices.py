"""How the output layer is cut: which contexts a worker owns, and a batch's targets among them.

The vocabulary is cut into runs of consecutive words. A run has the contexts of its words: the words
in any place and, of counts, the same just before and just after the centre where those are contexts
apart (`embedder.cooccurrence`). All contexts of a word are in one place, so that a spectral start
can add them up there.
"""

from typing import NamedTuple, Protocol

import numpy as np

from embedder.arrays import Array
from embedder.config import ExamplesConfig
from embedder.cooccurrence import Cooccurrences, context_words
from embedder.kernels.softmax import Targets


def cut_words(vocabulary: int, examples: ExamplesConfig, parts: int) -> Array:
    """Cut the vocabulary into runs with about as many contexts each.

    Returns
    -------
    (parts + 1,) int64
        Where they begin; at most V parts, none empty.
    """
    contexts = np.ones(vocabulary, np.int64)
    if examples.source == "cooccurrence" and examples.near:
        contexts[: examples.near_contexts] += 2
    ends = np.cumsum(contexts)
    parts = min(parts, vocabulary)
    wanted = ends[-1] * np.arange(1, parts) / parts
    least = np.arange(1, parts)
    cuts = np.searchsorted(ends, wanted, "right")
    cuts = np.maximum.accumulate(np.maximum(cuts - least, 0)) + least  # distinct
    return np.concatenate([[0], np.minimum(cuts, vocabulary - parts + least), [vocabulary]])


def contexts_of_run(first: int, last: int, vocabulary: int, examples: ExamplesConfig) -> Array:
    """Return the numbers of the contexts of words first … last − 1, ascending, int64."""
    if examples.source == "windows":
        return np.arange(first, last)
    words = context_words(vocabulary, examples)
    return np.flatnonzero((words >= first) & (words < last))


class OwnTargets(Protocol):
    """Examples' targets among the contexts of one worker."""

    def select(self, rows: Array, scales: Array, totals: Array) -> Targets:
        """Return those of a batch.

        Parameters
        ----------
        rows : (B,) int64
            Rows of the counts, or the words that windows predict.
        scales, totals : (B,) float32
            See `Targets`; totals are over all workers.
        """


class OwnCounts(NamedTuple):
    """Targets from some columns of the counts.

    ``counts``
        Rows are those of the whole C; columns are numbered as the worker's rows of W2.
    """

    counts: Cooccurrences

    def select(self, rows: Array, scales: Array, totals: Array) -> Targets:
        """See `OwnTargets`."""
        offsets, columns, weights = self.counts
        return Targets(offsets[rows], offsets[rows + 1], columns, weights, scales, totals)


class OwnWords(NamedTuple):
    """Targets of windows, one word each, if it is among words ``first`` … ``last`` − 1."""

    first: int
    last: int

    def select(self, rows: Array, scales: Array, totals: Array) -> Targets:
        """See `OwnTargets`."""
        own = (rows >= self.first) & (rows < self.last)
        ends = np.cumsum(own)
        columns = (rows[own] - self.first).astype(np.int32)
        ones = np.ones(len(columns), np.float32)
        return Targets(ends - own, ends, columns, ones, scales, totals)


class SlicedTargets(NamedTuple):
    """A batch's targets by what names them: each worker looks its own up.

    ``which``
        In which of the workers' `OwnTargets`.
    ``rows``, ``scales``, ``totals``
        See `OwnTargets.select`.
    """

    which: int
    rows: Array
    scales: Array
    totals: Array
