"""Counting as a map over shards of the text and a reduction by ranges of contexts, as Ray tasks.

    read_shard    shard of the text       → its words with counts, and the tokens as word numbers
    merge_words   words of several shards → their union, with summed counts
    number_shard  shard, vocabulary       → ids
    count_shard   ids                     → one piece of the counts per range of contexts
    add_shards    pieces of a range       → the counts of the range

Tasks are pure functions: when Ray repeats one because a machine was lost, its result replaces the
lost object, and nothing is counted twice. Objects that exceed Ray's object store go to disk (object
spilling). Sums are in double precision, so that the cuts between shards hardly affect the result.
"""

import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from embedder.arrays import Array, offsets_from_lengths
from embedder.config import Config
from embedder.examples.cells import Cooccurrences
from embedder.examples.cooccurrence import CountingOptions, count_sample, token_sample
from embedder.kernels import pieces as kernels
from embedder.kernels.counts import sample_tokens
from embedder.kernels.threads import kernel_threads
from embedder.text.corpus import read_text
from embedder.text.phrases import Phrases
from embedder.text.sources import Shard
from embedder.text.vocabulary import Vocabulary, WordCounts, count_words, ids_in, renumber_file
from embedder.training.distributed.slices import contexts_of_ranges

WORDS_MERGED = 16
"""Number of shards whose words one task merges."""


class Piece(NamedTuple):
    """A range of columns of the counts; see `embedder.kernels.pieces`.

    ``rows (r,) int32``, ``ends (r,) int64``
    ``columns (cells,) int32``
        Numbered within the range.
    ``weights (cells,) float64``
    """

    rows: Array
    ends: Array
    columns: Array
    weights: Array


def read_shard(config: Config, phrases: Phrases, shard: Shard) -> tuple[WordCounts, Array, int]:
    """Return a shard's words, its tokens as word numbers (int32, −1 at sentence ends), its bytes.

    Parameters
    ----------
    config
        The run.
    phrases
        Phrases to join first.
    shard
        The shard.
    """
    size = 0

    def add(count: int) -> None:
        nonlocal size
        size += count

    with tempfile.TemporaryDirectory(prefix="embedder-") as folder:
        path = Path(folder) / "numbers.int32"
        words = count_words(read_text(config.corpus, add, [shard]), path, phrases.join_file)
        return words, np.fromfile(path, np.int32), size


def merge_words(*parts: WordCounts) -> WordCounts:
    """Return the words of several shards with their summed counts."""
    total: dict[str, int] = {}
    for part in parts:
        for word, count in zip(part.words(), part.counts.tolist(), strict=True):
            total[word] = total.get(word, 0) + count
    encoded = [word.encode() for word in total]
    starts = offsets_from_lengths(np.fromiter(map(len, encoded), np.int64, len(encoded)))
    letters = np.frombuffer(b"".join(encoded), np.uint8)
    return WordCounts(letters, starts, np.fromiter(total.values(), np.int64, len(total)))


def number_shard(
    config: Config, vocabulary: Vocabulary, words: WordCounts, numbers: Array
) -> tuple[Array, tuple[int, int]]:
    """Return a shard as ids of the vocabulary, and its numbers of ids and sentences."""
    with tempfile.TemporaryDirectory(prefix="embedder-") as folder:
        path = Path(folder) / "ids.int32"
        numbers.tofile(path)
        new_ids = ids_in(vocabulary, words, config.vocabulary.unknown)
        ids = np.array(renumber_file(path, new_ids))
    return ids, (len(ids), int((ids < 0).sum()))


def count_shard(
    config: Config,
    vocabulary: Vocabulary,
    cuts: Array,
    threads: int,
    validation: bool,
    ids: Array,
    before: tuple[int, int],
) -> list[Piece]:
    """Count a shard's neighbours; return one piece per range of contexts.

    Parameters
    ----------
    config
        The run.
    vocabulary
        V words.
    cuts : (ranges + 1,) int64
        Where the ranges start; see `embedder.training.distributed.slices.cut_words`.
    threads
        Number of threads for this task.
    validation
        Count the held-out sentences instead of the rest.
    ids : (n,) int32
        The shard.
    before
        The numbers of ids and sentences before the shard.
    """
    V = len(vocabulary)
    wanted = token_sample(config, vocabulary, validation)
    with tempfile.TemporaryDirectory(prefix="embedder-") as folder, kernel_threads(threads):
        sample = np.empty(len(ids), np.int32)
        sample = sample[: sample_tokens(ids, *wanted, sample, *before)]
        options = CountingOptions(config.examples, config.training.memory_limit)
        counts = count_sample(sample, V, options, Path(folder) / "cells", np.float64)
        return _cut(counts, contexts_of_ranges(cuts, V, config.examples))


def _cut(counts: Cooccurrences, contexts: list[Array]) -> list[Piece]:
    """Cut counts into one piece per range, given the contexts of each range."""
    ranges = len(contexts)
    range_of, own_of = np.empty((2, sum(map(len, contexts))), np.int32)
    for number, own in enumerate(contexts):
        range_of[own] = number
        own_of[own] = np.arange(len(own))
    cells, filled = np.zeros(ranges, np.int64), np.zeros(ranges, np.int64)
    kernels.count_cells_per_range(counts.offsets, counts.columns, range_of, cells, filled)
    starts, row_starts = offsets_from_lengths(cells), offsets_from_lengths(filled)
    whole = Piece(
        np.empty(row_starts[-1], np.int32),
        np.empty(row_starts[-1], np.int64),
        np.empty(starts[-1], np.int32),
        np.empty(starts[-1], np.float64),
    )
    kernels.cut_columns(tuple(counts), range_of, own_of, tuple(whole), row_starts, starts)
    found = []
    for number in range(ranges):
        rows = slice(row_starts[number], row_starts[number + 1])
        cut = slice(starts[number], starts[number + 1])
        found.append(Piece(*(a[rows] for a in whole[:2]), *(a[cut] for a in whole[2:])))
    return found


def add_shards(fetch: Any, references: list[Any]) -> Piece:
    """Sum one range's pieces, fetched one after the other.

    Sums of similar size are added to each other, as in a merge sort, so that memory for about twice
    the range's counts suffices for any number of shards.

    Parameters
    ----------
    fetch
        Returns the value of a reference.
    references
        References to pieces.
    """
    stack: list[tuple[int, Piece]] = []
    for reference in references:
        height, piece = 0, fetch(reference)
        while stack and stack[-1][0] == height:
            piece = _add(stack.pop()[1], piece)
            height += 1
        stack.append((height, piece))
    total = stack.pop()[1]
    while stack:
        total = _add(stack.pop()[1], total)
    return Piece(*total)


def _add(one: Piece, other: Piece) -> Piece:
    both = Piece(*(np.empty(len(a) + len(b), a.dtype) for a, b in zip(one, other, strict=True)))
    filled, cells = kernels.add_pieces(tuple(one), tuple(other), *both)
    return Piece(both.rows[:filled], both.ends[:filled], both.columns[:cells], both.weights[:cells])


def concatenate_columns(
    vocabulary: int, columns: list[int], fetch: Any, references: list[Any], path: Path
) -> Cooccurrences:
    """Concatenate the columns of ranges of contexts, in memory-mapped files.

    Parameters
    ----------
    vocabulary
        V.
    columns
        The number of contexts in each range.
    fetch, references
        As for `add_shards`; one reference per range.
    path
        The path of the files, without their suffixes.
    """
    lengths = np.zeros(vocabulary, np.int64)
    for reference in references:
        piece = fetch(reference)
        kernels.add_row_lengths(piece.rows, piece.ends, lengths)
    offsets = offsets_from_lengths(lengths)
    if offsets[-1] == 0:
        return Cooccurrences(offsets, np.empty(0, np.int32), np.empty(0, np.float32))
    cells = int(offsets[-1])
    numbers = np.memmap(path.with_suffix(".columns"), np.int32, "w+", shape=cells)
    weights = np.memmap(path.with_suffix(".weights"), np.float32, "w+", shape=cells)
    next_cells, first = offsets[:-1].copy(), 0
    for reference, width in zip(references, columns, strict=True):
        piece = tuple(fetch(reference))
        kernels.place_columns(piece, first, next_cells, np.asarray(numbers), np.asarray(weights))
        first += width
    return Cooccurrences(offsets, np.asarray(numbers), np.asarray(weights))
