"""Token ids → weighted co-occurrence counts, a sparse target row for every word.

For a network whose input is one word, the loss of all windows of a corpus depends on the corpus
only through C[w, c], the weighted number of times that c stands in a window around w:

    Σ_windows −log ŷ_c(x_w)  =  Σ_w Σ_c C[w, c] (−log ŷ_c(x_w))

so one step on row w is a step on all of that word's windows at once, without sampling noise.

A context is a word, or a word in a place: with `examples.near`, frequent words directly before or
after the centre are contexts apart (as in the structured skip-gram of Ling et al. 2015), because
what stands there tells more of grammar than what stands somewhere near. Contexts are numbered:
the V words of the vocabulary in any place; then the N most frequent ones just before the centre;
then the same just after it.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from embedder.arrays import Array
from embedder.config import ExamplesConfig
from embedder.errors import CorpusError

_CELLS_A_SLAB = 1 << 25
"""Cells counted between two writes to disk: 256 MB."""


class Cooccurrences(NamedTuple):
    """Counts in compressed sparse rows, a row a word and a column a context.

    ``offsets (V + 1,) int64``
    ``columns (cells,) int32``
        Context numbers, ascending within a row.
    ``weights (cells,) float32``
    """

    offsets: Array
    columns: Array
    weights: Array

    def row_totals(self) -> Array:
        """Return n_w = Σ_c C[w, c], (V,) float64."""
        return np.array(
            [
                self.weights[start:end].sum(dtype=np.float64)
                for start, end in zip(self.offsets[:-1], self.offsets[1:], strict=True)
            ]
        )

    def column_totals(self, contexts: int) -> Array:
        """Return Σ_w C[w, c] for every context, (C,) float64."""
        return np.bincount(self.columns, self.weights, contexts)


def distance_weights(config: ExamplesConfig) -> Array:
    """Return the weight of a neighbour at distance 1 … window, (window,) float64."""
    distance = np.arange(1, config.window + 1, dtype=np.float64)
    if config.window_weights == "linear":
        return (config.window + 1 - distance) / config.window
    if config.window_weights == "harmonic":
        return 1.0 / distance
    return np.ones(config.window)


def context_words(vocabulary: int, config: ExamplesConfig) -> Array:
    """Return the word of every context, (C,) int64: V of them, or V + 2 N with near ones apart."""
    words = np.arange(vocabulary)
    near = words[: config.near_contexts if config.near else 0]
    return np.concatenate([words, near, near])


def count_cooccurrences(
    ids: Array,
    keep: Array,
    config: ExamplesConfig,
    seed: int,
    threads: int,
    folder: Path,
    held_out: float = 0.0,
    validation: bool = False,
) -> Cooccurrences:
    """Count the neighbours of every word of the vocabulary.

    Frequent words are dropped before windows are laid, as word2vec.c does, so that windows reach
    further. The result depends on the seed, not on the number of threads.

    Parameters
    ----------
    ids : (n,) int32
        The corpus, −1 at sentence ends.
    keep : (V,) float64
        The probability of keeping an occurrence of each word.
    config
        The window and its weights.
    seed
        Decides which occurrences are dropped and which sentences are held out.
    threads
        How many words are counted at a time.
    folder
        Where the files of cells are written: memory does not grow with their number.
    held_out
        The share of the sentences that validate.
    validation
        Count those instead of the rest.

    Raises
    ------
    CorpusError
        If no two words stand in one window.
    """
    from embedder.kernels.counts import (
        close_gaps,
        count_rows,
        index_positions,
        sample_tokens,
    )

    vocabulary = len(keep)
    contexts = len(context_words(vocabulary, config))
    sample = np.empty(len(ids), np.int32)
    sample = sample[: sample_tokens(np.asarray(ids), keep, seed, held_out, validation, sample)]
    starts = np.zeros(vocabulary + 1, np.int64)
    positions = np.empty(len(sample), np.int32 if len(sample) < 2**31 else np.int64)
    index_positions(sample, vocabulary, starts, positions)

    # A row has no more cells than contexts, nor than neighbours counted.
    bound = np.minimum(np.diff(starts) * (2 * config.window), contexts)
    room = np.concatenate([[0], np.cumsum(bound)])
    slab = max(_CELLS_A_SLAB, int(bound.max()))
    columns = np.empty(min(slab, room[-1]), np.int32)
    weights = np.empty(min(slab, room[-1]), np.float32)
    used = np.zeros(vocabulary, np.int64)
    name = "validation" if validation else "cells"
    paths = folder / f"{name}.columns", folder / f"{name}.weights"
    first = 0
    with paths[0].open("wb") as columns_file, paths[1].open("wb") as weights_file:
        while first < vocabulary:
            last = int(np.searchsorted(room, room[first] + slab, side="right")) - 1
            last = max(first + 1, last)
            here = room[first : last + 1] - room[first]
            count_rows(
                sample,
                positions,
                starts,
                first,
                last,
                distance_weights(config),
                config.near,
                contexts,
                threads,
                here,
                columns,
                weights,
                used[first:last],
            )
            cells = close_gaps(columns, weights, here, used[first:last])
            columns_file.write(columns[:cells].data)
            weights_file.write(weights[:cells].data)
            first = last
    offsets = np.concatenate([[0], np.cumsum(used)])
    if offsets[-1] == 0:
        what = "validation.fraction holds out" if validation else "the corpus has"
        raise CorpusError(
            f"No two words of the vocabulary stand in one window of what {what}; give more text, "
            "or lower vocabulary.min_count."
        )
    return Cooccurrences(
        offsets,
        np.asarray(np.memmap(paths[0], np.int32, mode="r")),
        np.asarray(np.memmap(paths[1], np.float32, mode="r")),
    )
