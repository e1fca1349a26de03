"""The slices of the output layer: which contexts a worker owns, and a batch's targets among them.

The vocabulary is cut into ranges of consecutive words. A range has the contexts of its words: the
words in any position and, when training on counts, their position-specific contexts
(`embedder.examples.cooccurrence`). All contexts of a word are on one worker, so that a spectral
start can sum them there.
"""

from itertools import pairwise
from typing import Any, NamedTuple, Protocol

import numpy as np

from embedder.arrays import Array, cut_evenly
from embedder.config_sections import ExamplesConfig
from embedder.examples.cells import Cooccurrences
from embedder.examples.cooccurrence import context_words
from embedder.kernels.softmax import Targets


def cut_words(vocabulary: int, examples: ExamplesConfig, ranges: int) -> Array:
    """Cut the vocabulary into ranges with about the same number of contexts each.

    Returns
    -------
    (ranges + 1,) int64
        Where the ranges start; at most V ranges, none empty.
    """
    mass = np.bincount(_words_of_contexts(vocabulary, examples))
    return cut_evenly(mass, min(ranges, vocabulary))


def contexts_of_ranges(cuts: Array, vocabulary: int, examples: ExamplesConfig) -> list[Array]:
    """Return each range's contexts, ascending, int64.

    Parameters
    ----------
    cuts : (ranges + 1,) int64
        Where the ranges of words start; see `cut_words`.
    vocabulary
        V.
    examples
        Determines the contexts.
    """
    words = _words_of_contexts(vocabulary, examples)
    in_order = np.argsort(words, kind="stable")
    ends = np.searchsorted(words[in_order], cuts)
    return [np.sort(in_order[first:last]) for first, last in pairwise(ends)]


def _words_of_contexts(vocabulary: int, examples: ExamplesConfig) -> Array:
    """Return the word of every context; windows have no position-specific contexts."""
    if examples.source == "windows":
        return np.arange(vocabulary)
    return context_words(vocabulary, examples)


class OwnTargets(Protocol):
    """Examples' targets among the contexts of one worker."""

    def select(self, rows: Array, scales: Array, totals: Array) -> Targets:
        """Return a batch's targets among these contexts.

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
        All rows of C; columns are numbered like the worker's rows of W2.
    """

    counts: Cooccurrences

    def select(self, rows: Array, scales: Array, totals: Array) -> Targets:
        """See `OwnTargets`."""
        offsets, columns, weights = self.counts
        return Targets(offsets[rows], offsets[rows + 1], columns, weights, scales, totals)


class OwnWords(NamedTuple):
    """Targets of windows: one word each, if it is one of the words ``first`` … ``last`` − 1."""

    first: int
    last: int

    def select(self, rows: Array, scales: Array, totals: Array) -> Targets:
        """See `OwnTargets`."""
        own = (rows >= self.first) & (rows < self.last)
        ends = np.cumsum(own)
        columns = (rows[own] - self.first).astype(np.int32)
        ones = np.ones(len(columns), np.float32)
        return Targets(ends - own, ends, columns, ones, scales, totals)


class SlicedRows:
    """Rows of counts whose columns are spread over workers; see `embedder.examples.batches.Rows`.

    Parameters
    ----------
    which
        Index of the workers' counts: those of the training text, or of the held-out text.
    totals : (V,) float64
        n_w over all workers.
    cells : (V,) int64
        The cells per row over all workers.
    """

    def __init__(self, which: int, totals: Array, cells: Array) -> None:
        self._which = which
        self.totals = totals
        self.cells = cells
        self.constants = np.zeros(len(totals))

    def targets(self, rows: Array, scales: Array) -> Any:
        """Return references to rows (B,) int64, each scaled by a factor (B,) float64."""
        totals = (self.totals[rows] * scales).astype(np.float32)
        return SlicedTargets(self._which, rows, scales.astype(np.float32), totals)


class SlicedTargets(NamedTuple):
    """References to a batch's targets, by which each worker looks up its own.

    ``which``
        Index of the workers' `OwnTargets`.
    ``rows``, ``scales``, ``totals``
        See `OwnTargets.select`.
    """

    which: int
    rows: Array
    scales: Array
    totals: Array
