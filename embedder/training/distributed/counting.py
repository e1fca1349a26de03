"""Counting as a map over shards of the text and a reduction by ranges of words.

    read_shard      shard of the text      → its words with counts, its tokens as word numbers
    merge_words     words of some shards   → their union, with summed counts
    encode_shard    tokens, vocabulary     → ids
    count_shard     ids                    → the counts of each range of words in the shard
    add_shards      a range in some shards → its counts in all of them, and n_w
    weigh_range     counts of a range      → its positive PMI
    multiply_range  PMI of a range, matrix → their product
    group_range     counts of a range      → its counts with one column per class, and their sums

All are pure functions of plain arguments, so that repeating one, because a machine was lost, yields
the same result, and any engine can run them. Counts are added as whole multiples of a fraction (see
`embedder.examples.cooccurrence.distance_multiples`): the sums are exact, and have the same bits as
those of one process, however the text is cut.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np

from embedder.arrays import Array, cut_evenly, offsets_from_lengths
from embedder.config import Config
from embedder.config_sections.text import CorpusConfig
from embedder.examples.cells import Cooccurrences, map_cells
from embedder.examples.columns import Columns, group_counts
from embedder.examples.cooccurrence import (
    CountingOptions,
    TokenSample,
    add_counts,
    context_words,
    count_sample,
)
from embedder.examples.spectral import PmiOptions, multiplication, positive_pmi_cells
from embedder.text.corpus import read_text
from embedder.text.listing import find_shards
from embedder.text.merging import ids_among
from embedder.text.phrases import Phrases
from embedder.text.sources import Shard
from embedder.text.vocabulary import WordCounts, count_words, renumber_file

_MEMORY = 1 << 28
"""Bytes of cells that a task holds while it computes them; the rest is on disk."""


def cut_words(kept: Array, config: Config, ranges: int) -> Array:
    """Cut the vocabulary into ranges of words with about as many cells each, at most.

    Parameters
    ----------
    kept : (V,)
        How often each word is expected in the sampled text.
    config
        The run.
    ranges
        How many; there are no more than words.

    Returns
    -------
    (ranges + 1,) int64
        Where the ranges start, and V.
    """
    contexts = len(context_words(len(kept), config.examples))
    cells = np.minimum(kept * 2 * config.examples.reach, contexts)
    return cut_evenly(1 + cells, min(ranges, len(kept)))


def find_even_shards(corpus: CorpusConfig, size: int, cpus: int) -> list[Shard]:
    """Return the shards of a text, as many for each CPU where files can be cut so.

    Parameters
    ----------
    corpus
        The text.
    size
        The maximum size of a shard in bytes.
    cpus
        The number of CPUs.
    """
    shards = find_shards(corpus.files, size, corpus.unreadable)
    length = sum(shard.end - shard.start for shard in shards if shard.end is not None)
    even = -(-length // (cpus * -(-length // (cpus * size)))) if length else size
    return find_shards(corpus.files, even, corpus.unreadable)


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
    sizes: list[int] = []
    with _scratch() as folder:
        path = folder / "numbers.int32"
        words = count_words(
            read_text(config.corpus, sizes.append, [shard]), path, phrases.join_file
        )
        return words, np.fromfile(path, np.int32), sum(sizes)


def encode_shard(
    known: WordCounts, unknown: int, words: WordCounts, numbers: Array
) -> tuple[Array, tuple[int, int]]:
    """Return a shard as ids of the vocabulary, and its numbers of ids and sentences.

    Parameters
    ----------
    known
        The vocabulary (see `embedder.text.merging.words_of`).
    unknown
        The id of all other words, or −1 to drop them.
    words, numbers
        From `read_shard`.
    """
    with _scratch() as folder:
        path = folder / "ids.int32"
        numbers.tofile(path)
        ids = np.array(renumber_file(path, ids_among(known, words, unknown)))
    return ids, (len(ids), int((ids < 0).sum()))


def count_shard(
    config: Config, wanted: TokenSample, cuts: Array, ids: Array, before: tuple[int, int]
) -> list[Cooccurrences]:
    """Count a shard's neighbours; return the counts of each range of words, as multiples.

    Parameters
    ----------
    config
        The run.
    wanted
        Which tokens to count.
    cuts : (ranges + 1,) int64
        Where the ranges start; see `cut_words`.
    ids : (n,) int32
        The shard.
    before
        The numbers of ids and sentences before the shard.
    """
    from embedder.kernels.counts import sample_tokens

    with _scratch() as folder:
        sample = np.empty(len(ids), np.int32)
        sample = sample[: sample_tokens(ids, *wanted, sample, *before)]
        V = len(wanted.keep)
        counts = count_sample(sample, V, _options(config), folder / "cells", as_multiples=True)
        return [counts.rows(first, last) for first, last in pairwise(cuts.tolist())]


def add_shards(
    config: Config, vocabulary: int, are_all: bool, *pieces: Cooccurrences
) -> tuple[Cooccurrences, tuple[Array, int]]:
    """Add a range's counts in several shards.

    Parameters
    ----------
    config
        The run.
    vocabulary
        V.
    are_all
        Whether the pieces cover all text. Otherwise, the sums are multiples again.
    pieces
        Some or all of those of one range.

    Returns
    -------
    Cooccurrences
    (n,) float64, int
        n_w of the range's words, if the pieces cover all text, and the number of cells.
    """
    with _scratch() as folder:
        options = _options(config)
        sums = add_counts(pieces, vocabulary, options, folder / "sums", as_multiples=not are_all)
    totals = sums.row_totals() if are_all else np.empty(0)
    return sums, (totals, len(sums.columns))


def weigh_range(words: Array, totals: Array, first: int, counts: Cooccurrences) -> Cooccurrences:
    """Return the positive PMI of a range; see `embedder.examples.spectral.positive_pmi_cells`.

    Parameters
    ----------
    words : (C,) int64
        The word of every context, or −1 to leave it out.
    totals : (V,) float64
        n_w of all words.
    first
        The first word of the range.
    counts
        Of the range.
    """
    with _scratch() as folder:
        return positive_pmi_cells(counts, words, totals, PmiOptions(folder, _MEMORY), first)


def multiply_range(cells: Cooccurrences, dense: Array, first: int, last: int) -> Array:
    """Return the product of rows first … last − 1 of a range with a dense matrix."""
    return multiplication(cells.rows(first, last))(np.array(dense))


class RangeSums(NamedTuple):
    """Sums over the counts of a range.

    ``totals (n,) float64``
        n_w.
    ``constants (n,) float64``
        See `embedder.examples.columns.group_counts`.
    ``column_totals (C,) float64``
    """

    totals: Array
    constants: Array
    column_totals: Array


def group_range(
    columns: Columns, kept: Array, counts: Cooccurrences
) -> tuple[Cooccurrences | None, RangeSums]:
    """Sum a range's cells by column; return them, None if they stay as they are, and their sums.

    Parameters
    ----------
    columns
        The columns of all contexts.
    kept : (V,)
        How often each word is expected in the sampled text.
    counts
        Of the range.
    """
    with _scratch() as folder:
        grouped, constants = group_counts(counts, columns, kept, folder / "grouped", _MEMORY)
    sums = RangeSums(grouped.row_totals(), constants, grouped.column_totals(columns.total))
    return (grouped if columns.are_grouped else None), sums


def gather_rows(parts: Iterator[Cooccurrences], path: Path) -> Cooccurrences:
    """Write consecutive rows to disk, one part after the other; return them, memory-mapped.

    Parameters
    ----------
    parts
        The rows.
    path
        The path of the files, without their suffixes.
    """
    lengths, files = [], (path.with_suffix(".columns"), path.with_suffix(".weights"))
    with files[0].open("wb") as columns, files[1].open("wb") as weights:
        for part in parts:
            lengths.append(np.diff(part.offsets))
            columns.write(np.ascontiguousarray(part.columns).data)
            weights.write(np.ascontiguousarray(part.weights).data)
    return map_cells(offsets_from_lengths(np.concatenate(lengths)), files, np.float32)


@contextmanager
def _scratch() -> Iterator[Path]:
    """Make a folder for what a task does not hold in memory; mapped files outlive it."""
    with tempfile.TemporaryDirectory(prefix="embedder-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def _options(config: Config) -> CountingOptions:
    limit = config.training.memory_limit
    return CountingOptions(config.examples, _MEMORY if limit is None else min(limit, _MEMORY))
