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

from embedder.arrays import Array, cumulated
from embedder.config import ExamplesConfig
from embedder.errors import CorpusError

CELLS_A_SLAB = 1 << 25
"""Cells counted between two writes to disk: 256 MB."""


BYTES_A_CELL = 8


_CELLS_A_SUM = 1 << 20


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
        totals = np.zeros(contexts)
        # In pieces: bincount makes wide copies of what it is given.
        for start in range(0, len(self.columns), _CELLS_A_SUM):
            piece = slice(start, start + _CELLS_A_SUM)
            totals += np.bincount(self.columns[piece], self.weights[piece], contexts)
        return totals


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
    memory_limit: int | None = None,
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
        Where the sampled ids and the cells are written: they are mapped, not held in memory.
    held_out
        The share of the sentences that validate.
    validation
        Count those instead of the rest.
    memory_limit
        Bytes for the places of words and the cells on their way to disk. Words are counted so many
        at a time, and the stream is read again for each lot; the counts stay the same. One word's
        places, and one row of cells a thread, are always held.

    Raises
    ------
    CorpusError
        If no two words stand in one window.
    """
    from embedder.kernels.counts import sample_tokens

    name = "validation" if validation else "cells"
    sample: Array = np.memmap(folder / f"{name}.sample", np.int32, mode="w+", shape=len(ids))
    sample = sample[: sample_tokens(np.asarray(ids), keep, seed, held_out, validation, sample)]
    counts = count_sample(sample, len(keep), config, threads, folder / name, memory_limit)
    if len(counts.columns) == 0:
        raise nothing_counted(validation)
    return counts


def nothing_counted(validation: bool) -> CorpusError:
    """Return the error of a corpus, or of what is held out of it, without a pair of words."""
    what = "validation.fraction holds out" if validation else "the corpus has"
    return CorpusError(
        f"No two words of the vocabulary stand in one window of what {what}; give more text, "
        "or lower vocabulary.min_count."
    )


def count_sample(
    sample: Array,
    vocabulary: int,
    config: ExamplesConfig,
    threads: int,
    path: Path,
    memory_limit: int | None = None,
    dtype: type = np.float32,
) -> Cooccurrences:
    """Count the neighbours in ids of which all are wanted; there may be none.

    Parameters
    ----------
    sample : (n,) int32
        −1 at sentence ends.
    vocabulary
        V.
    path
        The beginning of the names of the files with the cells.
    dtype
        Of the weights.
    config, threads, memory_limit
        As for `count_cooccurrences`.
    """
    from embedder.kernels.counts import close_gaps, count_rows, count_tokens, index_positions

    contexts = len(context_words(vocabulary, config))
    tokens = np.zeros(vocabulary, np.int64)
    count_tokens(sample, tokens)

    # A row has no more cells than contexts, nor than neighbours counted.
    room = cumulated(np.minimum(tokens * (2 * config.window), contexts))
    starts = cumulated(tokens)
    place = np.dtype(np.int32 if len(sample) < 2**31 else np.int64)
    cells_a_slab, tokens_a_slab = _slab_sizes(memory_limit, place.itemsize)
    used = np.zeros(vocabulary, np.int64)
    paths = path.with_suffix(".columns"), path.with_suffix(".weights")
    first = 0
    with paths[0].open("wb") as columns_file, paths[1].open("wb") as weights_file:
        while first < vocabulary:
            last = min(
                int(np.searchsorted(room, room[first] + cells_a_slab, side="right")),
                int(np.searchsorted(starts, starts[first] + tokens_a_slab, side="right")),
            )
            last = max(first + 1, last - 1)
            here = room[first : last + 1] - room[first]
            starts_here = starts[first : last + 1] - starts[first]
            positions = np.empty(starts_here[-1], place)
            index_positions(sample, first, starts_here, positions)
            columns = np.empty(here[-1], np.int32)
            weights = np.empty(here[-1], dtype)
            count_rows(
                sample,
                positions,
                starts_here,
                vocabulary,
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
    offsets = cumulated(used)
    if offsets[-1] == 0:
        return Cooccurrences(offsets, np.empty(0, np.int32), np.empty(0, dtype))
    return Cooccurrences(
        offsets,
        np.asarray(np.memmap(paths[0], np.int32, mode="r")),
        np.asarray(np.memmap(paths[1], dtype, mode="r")),
    )


def _slab_sizes(memory_limit: int | None, position_bytes: int) -> tuple[int, int]:
    """Return how many cells and how many tokens are dealt with at a time."""
    if memory_limit is None:
        return CELLS_A_SLAB, np.iinfo(np.int64).max >> 1
    half = memory_limit // 2
    return min(CELLS_A_SLAB, half // BYTES_A_CELL), half // position_bytes
