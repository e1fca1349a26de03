"""Counting as a map over shards of the text and a reduction by ranges of words.

    read_shard        shard of the text      → its words with counts, its tokens as word numbers
    merge_words       words of some shards   → their union, with summed counts
    encode_shard      tokens, vocabulary     → ids
    sample_shards     ids of a few shards    → the tokens to count
    count_neighbours  those, ranges of words → the counts of each range, and n_w
    add_samples       a range's counts       → their sums, and n_w
    weigh_range       counts of a range      → its positive PMI
    multiply_range    PMI of a range, matrix → their product
    group_range       counts of a range      → its counts with one column per class, and their sums

All are pure functions of plain arguments, so that repeating one, because a machine was lost, yields
the same result, and any engine can run them. Counts are added as whole multiples of a fraction (see
`embedder.examples.cooccurrence.distance_multiples`): the sums are exact, and have the same bits as
those of one process, however the text is cut.
"""

import math
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np

from embedder.arrays import Array, cut_evenly
from embedder.config import Config
from embedder.config_sections.text import CorpusConfig
from embedder.examples.cells import Cooccurrences
from embedder.examples.columns import Columns, group_counts
from embedder.examples.cooccurrence import (
    CountingOptions,
    TokenSample,
    add_counts,
    context_words,
    count_ranges,
)
from embedder.examples.spectral import PmiOptions, multiplication, positive_pmi_cells
from embedder.text.corpus import read_text
from embedder.text.listing import find_shards
from embedder.text.merging import ids_among
from embedder.text.phrases import Phrases
from embedder.text.sources import Shard
from embedder.text.vocabulary import WordCounts, count_words, renumber_file

_MEMORY = 1 << 28
"""Bytes of positions and cells that a task holds, about half of them for each."""
_BYTES_PER_CELL = 12
_IDS_PER_GROUP = 1 << 28
_CPUS_PER_GROUP = 32
"""One of these joins the samples, in a thirtieth of the time in which one would count them."""


class RangeTotals(NamedTuple):
    """Sums over the counts of a range, and how many there are.

    ``totals (n,) float64``
        n_w; empty for multiples.
    ``cells``
    """

    totals: Array
    cells: int


def group_shards(sizes: Array, cpus: int) -> Array:
    """Group consecutive shards whose samples are counted together.

    The fewer groups, the fewer cells are in several of them and have to be added; but one task
    joins the samples of a group, and its machines hold all of it.

    Parameters
    ----------
    sizes : (shards,)
        The number of ids of each shard.
    cpus
        The number of CPUs of the cluster.

    Returns
    -------
    (groups + 1,) int64
        Where the groups start, and the number of shards.
    """
    groups = max(-(-int(sizes.sum()) // _IDS_PER_GROUP), -(-cpus // _CPUS_PER_GROUP))
    return cut_evenly(1 + sizes, min(groups, len(sizes)))


def cut_words(kept: Array, config: Config, groups: int, least: int) -> Array:
    """Cut the vocabulary into ranges of words that take about as long to count.

    Parameters
    ----------
    kept : (V,)
        How often each word is expected in the sampled text.
    config
        The run.
    groups
        How many samples the text is counted in.
    least
        The minimum number of ranges, if there are as many words. There are more if the cells of one
        would not fit in memory.

    Returns
    -------
    (ranges + 1,) int64
        Where the ranges start, and V.
    """
    neighbours = kept * (2 * config.examples.reach / groups)
    cells = np.minimum(neighbours, len(context_words(len(kept), config.examples)))
    # Time grows with both; there are at most half as many cells.
    work = 1 + neighbours + cells
    most = max(1, _memory(config) // _BYTES_PER_CELL)
    return cut_evenly(work, min(max(least, math.ceil(work.sum() / most)), len(kept)))


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


def sample_shards(
    wanted: TokenSample, before: list[tuple[int, int]], *shards: Array
) -> tuple[Array, Array]:
    """Return which tokens of consecutive shards to count, and how often each word is among them.

    Parameters
    ----------
    wanted
        Which tokens to count.
    before
        The numbers of ids and sentences before each shard.
    shards : (n,) int32
        Their ids.

    Returns
    -------
    (n,) int32
    (V,) int64
    """
    from embedder.kernels.counts import count_tokens, sample_tokens

    tokens = np.zeros(len(wanted.keep), np.int64)
    with _scratch() as folder:
        length, end = sum(map(len, shards)), 0
        sample: Array = np.memmap(folder / "sample", np.int32, mode="w+", shape=max(1, length))
        for ids, place in zip(shards, before, strict=True):
            end += sample_tokens(ids, *wanted, sample[end:], *place)
        sample = np.asarray(sample[:end])
    count_tokens(sample, tokens)
    return sample, tokens


def count_neighbours(
    config: Config, is_all: bool, cuts: Array, sample: Array, tokens: Array
) -> Iterator[Cooccurrences | RangeTotals]:
    """Count neighbours; yield the counts of each range of words, and their totals.

    Parameters
    ----------
    config
        The run.
    is_all
        Whether the sample is that of the whole text. Otherwise, the counts are multiples, to be
        added to those of other samples.
    cuts : (ranges + 1,) int64
        Where the ranges start, and the last one ends; some of those of `cut_words`.
    sample, tokens
        From `sample_shards`.
    """
    for counts in count_ranges(sample, tokens, cuts, _options(config), as_multiples=not is_all):
        yield counts
        yield _totals(counts, is_all)


def add_samples(
    config: Config, vocabulary: int, are_all: bool, *pieces: Cooccurrences
) -> tuple[Cooccurrences, RangeTotals]:
    """Add a range's counts in several samples; return the sums, and their totals.

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
    """
    sums = add_counts(pieces, vocabulary, _options(config), as_multiples=not are_all)
    return sums, _totals(sums, are_all)


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
    return positive_pmi_cells(counts, words, totals, PmiOptions(None, _MEMORY), first)


def multiply_range(cells: Cooccurrences, dense: Array, first: int, last: int) -> Array:
    """Return the product of rows first … last − 1 of a range with a dense matrix."""
    return multiplication(cells.rows(first, last))(dense)


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
    grouped, constants = group_counts(counts, columns, kept, None, _MEMORY)
    sums = RangeSums(grouped.row_totals(), constants, grouped.column_totals(columns.total))
    return (grouped if columns.are_grouped else None), sums


def _totals(counts: Cooccurrences, are_divided: bool) -> RangeTotals:
    return RangeTotals(counts.row_totals() if are_divided else np.empty(0), len(counts.columns))


@contextmanager
def _scratch() -> Iterator[Path]:
    """Make a folder for what a task does not hold in memory; mapped files outlive it."""
    with tempfile.TemporaryDirectory(prefix="embedder-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def _options(config: Config) -> CountingOptions:
    return CountingOptions(config.examples, _memory(config))


def _memory(config: Config) -> int:
    """Return how many bytes of positions and cells a task holds at most."""
    limit = config.training.memory_limit
    return _MEMORY if limit is None else min(limit, _MEMORY)
