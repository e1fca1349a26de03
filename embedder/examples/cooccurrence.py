"""Token ids → weighted co-occurrence counts, one sparse target row per word.

For a network whose input is one word, the loss of all windows of a corpus depends on the corpus
only through C[w, c], the weighted number of times that c occurs in a window around w:

    Σ_windows −log ŷ_c(x_w)  =  Σ_w Σ_c C[w, c] (−log ŷ_c(x_w))

so that one step on row w covers all windows of that word at once, without sampling noise.

A context is a word in any position or, with `examples.near`, a frequent word directly before or
directly after the centre word (position-specific contexts, as in the structured skip-gram of Ling
et al. 2015), because these positions reveal more about grammar than the rest of the window.
Contexts are numbered: the V words of the vocabulary in any position; then the N most frequent ones
before the centre word; then the same N after it.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from embedder.arrays import Array, offsets_from_lengths
from embedder.config import Config
from embedder.config_sections import ExamplesConfig
from embedder.errors import CorpusError
from embedder.text.vocabulary import Vocabulary

if TYPE_CHECKING:
    from embedder.kernels.counts import PositionIndex

CELLS_PER_SLAB = 1 << 25
"""Maximum number of cells counted between two writes to disk: 256 MB."""
BYTES_PER_CELL = 8
_CELLS_PER_SUM = 1 << 20


class Cooccurrences(NamedTuple):
    """Counts in compressed sparse rows: one row per word, one column per context.

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
        # In pieces, because bincount makes int64 and float64 copies of its arguments.
        for start in range(0, len(self.columns), _CELLS_PER_SUM):
            piece = slice(start, start + _CELLS_PER_SUM)
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
    """Return the word of every context, (C,) int64.

    C is V, or V + 2 N with position-specific contexts.
    """
    words = np.arange(vocabulary)
    near = words[: config.near_contexts if config.near else 0]
    return np.concatenate([words, near, near])


class TokenSample(NamedTuple):
    """Which tokens of a corpus are counted.

    ``keep (V,) float64``
        The probability of keeping an occurrence of each word.
    ``seed``
        Determines which occurrences are dropped and which sentences are held out.
    ``held_out``
        The share of the sentences held out for validation.
    ``validation``
        Whether to count the held-out sentences instead of the rest.
    """

    keep: Array
    seed: int
    held_out: float = 0.0
    validation: bool = False


def token_sample(config: Config, vocabulary: Vocabulary, validation: bool) -> TokenSample:
    """Return which tokens a run counts: to train, or those held out for validation."""
    keep = vocabulary.keep_probabilities(config.vocabulary.subsample)
    return TokenSample(keep, config.training.seed, config.validation.fraction, validation)


class CountingOptions(NamedTuple):
    """How tokens are counted.

    ``examples``
        The window and its weights.
    ``threads``
        How many threads count; the result does not depend on it.
    ``memory_limit``
        Maximum bytes for the positions of words and for cells not yet on disk; None for no limit.
        With a limit, words are counted in slabs and the stream is read once per slab; the counts
        stay the same. One word's positions and one row of cells per thread are always in memory.
    """

    examples: ExamplesConfig
    threads: int
    memory_limit: int | None = None


def count_cooccurrences(
    ids: Array, wanted: TokenSample, options: CountingOptions, folder: Path
) -> Cooccurrences:
    """Count the neighbours of every word of the vocabulary.

    Occurrences of frequent words are dropped before windows are formed, as in word2vec.c, which
    makes the windows reach further.

    Parameters
    ----------
    ids : (n,) int32
        The corpus, −1 at sentence ends.
    wanted
        Which tokens to count.
    options
        How to count them.
    folder
        Folder for the sampled ids and the cells, which are memory-mapped.

    Raises
    ------
    CorpusError
        If no two words occur in one window.
    """
    from embedder.kernels.counts import sample_tokens

    name = "validation" if wanted.validation else "cells"
    sample: Array = np.memmap(folder / f"{name}.sample", np.int32, mode="w+", shape=len(ids))
    sample = sample[: sample_tokens(np.asarray(ids), *wanted, sample)]
    counts = count_sample(sample, len(wanted.keep), options, folder / name)
    if len(counts.columns) == 0:
        raise no_pairs_error(wanted.validation)
    return counts


def no_pairs_error(validation: bool) -> CorpusError:
    """Return the error for a corpus, or its held-out part, without two words in one window."""
    what = "the text held out by validation.fraction" if validation else "the corpus"
    return CorpusError(
        f"No two words of the vocabulary occur in one window of {what}; use more text, "
        "or lower vocabulary.min_count."
    )


def count_sample(
    sample: Array,
    vocabulary: int,
    options: CountingOptions,
    path: Path,
    dtype: type = np.float32,
) -> Cooccurrences:
    """Count the neighbours of every word in a sample of a corpus; there may be none.

    Parameters
    ----------
    sample : (n,) int32
        Ids of the tokens to count, −1 at sentence ends.
    vocabulary
        V.
    options
        How to count.
    path
        The path of the files for the cells, without their suffixes.
    dtype
        The dtype of the weights.
    """
    from embedder.kernels.counts import (
        ContextRules,
        RowBuffers,
        close_gaps,
        count_rows,
        count_tokens,
    )

    examples = options.examples
    contexts = len(context_words(vocabulary, examples))
    rules = ContextRules(vocabulary, contexts, examples.near, distance_weights(examples))
    tokens = np.zeros(vocabulary, np.int64)
    count_tokens(sample, tokens)

    # A row has at most as many cells as there are contexts, and as neighbours were counted.
    room = offsets_from_lengths(np.minimum(tokens * (2 * examples.window), contexts))
    starts = offsets_from_lengths(tokens)
    used = np.zeros(vocabulary, np.int64)
    sizes = _slab_sizes(options.memory_limit, _position_type(sample).itemsize)
    paths = path.with_suffix(".columns"), path.with_suffix(".weights")
    with paths[0].open("wb") as columns_file, paths[1].open("wb") as weights_file:
        for first, last in _slabs(room, starts, *sizes):
            index = _index_words(sample, first, starts[first : last + 1])
            own_room = room[first : last + 1] - room[first]
            rows = RowBuffers(
                own_room,
                np.empty(own_room[-1], np.int32),
                np.empty(own_room[-1], dtype),
                used[first:last],
            )
            count_rows(index, rules, options.threads, rows)
            cells = close_gaps(rows.columns, rows.weights, own_room, rows.used)
            columns_file.write(rows.columns[:cells].data)
            weights_file.write(rows.weights[:cells].data)
    return _map_cells(offsets_from_lengths(used), paths, dtype)


def _map_cells(offsets: Array, paths: tuple[Path, Path], dtype: type) -> Cooccurrences:
    """Return the counts whose columns and weights are in two files, memory-mapped."""
    if offsets[-1] == 0:  # an empty file cannot be mapped
        return Cooccurrences(offsets, np.empty(0, np.int32), np.empty(0, dtype))
    return Cooccurrences(
        offsets,
        np.asarray(np.memmap(paths[0], np.int32, mode="r")),
        np.asarray(np.memmap(paths[1], dtype, mode="r")),
    )


def _index_words(sample: Array, first: int, starts: Array) -> "PositionIndex":
    """Return the positions of consecutive words.

    Parameters
    ----------
    sample : (n,) int32
        The ids.
    first
        The first of the words.
    starts : (words + 1,) int64
        Where each word's positions start among those of the whole vocabulary.
    """
    from embedder.kernels.counts import PositionIndex, index_positions

    own_starts = starts - starts[0]
    index = PositionIndex(sample, own_starts, np.empty(own_starts[-1], _position_type(sample)))
    index_positions(index, first)
    return index


def _position_type(sample: Array) -> np.dtype[Any]:
    return np.dtype(np.int32 if len(sample) < 2**31 else np.int64)


def _slabs(room: Array, starts: Array, cells: int, tokens: int) -> Iterator[tuple[int, int]]:
    """Yield ranges of words, first and last + 1, each within limits on cells and tokens.

    Parameters
    ----------
    room, starts : (V + 1,) int64
        Offsets of each word's cells and of its tokens.
    cells, tokens
        Maximum numbers per slab; a slab has at least one word.
    """
    vocabulary = len(starts) - 1
    first = 0
    while first < vocabulary:
        last = min(
            int(np.searchsorted(room, room[first] + cells, side="right")),
            int(np.searchsorted(starts, starts[first] + tokens, side="right")),
        )
        last = max(first + 1, last - 1)
        yield first, last
        first = last


def _slab_sizes(memory_limit: int | None, position_bytes: int) -> tuple[int, int]:
    """Return the maximum numbers of cells and of tokens counted at a time."""
    if memory_limit is None:
        return CELLS_PER_SLAB, np.iinfo(np.int64).max >> 1
    half = memory_limit // 2
    return min(CELLS_PER_SLAB, half // BYTES_PER_CELL), half // position_bytes
