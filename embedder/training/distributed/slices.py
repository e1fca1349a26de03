"""How the output layer is cut: which contexts a worker owns, and a batch's targets among them.

The vocabulary is cut into runs of consecutive words. A run has the contexts of its words: the words
in any place and, of counts, the same just before and just after the centre where those are contexts
apart (`embedder.examples.cooccurrence`). All contexts of a word are in one place, so that a
spectral start can add them up there.
"""

from itertools import pairwise
from typing import NamedTuple, Protocol

import numpy as np

from embedder.arrays import Array, cut_evenly
from embedder.config import ExamplesConfig
from embedder.examples.cooccurrence import Cooccurrences, context_words
from embedder.kernels.softmax import Targets


def cut_words(vocabulary: int, examples: ExamplesConfig, parts: int) -> Array:
    """Cut the vocabulary into runs with about as many contexts each.

    Returns
    -------
    (parts + 1,) int64
        Where they begin; at most V parts, none empty.
    """
    mass = np.bincount(_words_of_contexts(vocabulary, examples))
    return cut_evenly(mass, min(parts, vocabulary))


def contexts_of_runs(cuts: Array, vocabulary: int, examples: ExamplesConfig) -> list[Array]:
    """Return each run's contexts, ascending, int64.

    Parameters
    ----------
    cuts : (runs + 1,) int64
        Where the runs of words begin; see `cut_words`.
    vocabulary
        V.
    examples
        Which contexts there are.
    """
    words = _words_of_contexts(vocabulary, examples)
    in_order = np.argsort(words, kind="stable")
    ends = np.searchsorted(words[in_order], cuts)
    return [np.sort(in_order[first:last]) for first, last in pairwise(ends)]


def _words_of_contexts(vocabulary: int, examples: ExamplesConfig) -> Array:
    """Return the word of every context; windows have no contexts apart."""
    if examples.source == "windows":
        return np.arange(vocabulary)
    return context_words(vocabulary, examples)


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
