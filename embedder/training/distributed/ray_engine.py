"""The engine that counts a text and fits rows on a Ray cluster.

This process leads: it chooses the vocabulary and the columns, trains the joint rows, and writes the
run folder. It reads no text, and holds no counts but those of the joint rows and of held-out text.
See docs/distributed.md.
"""

from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from embedder.arrays import Array
from embedder.config import Config
from embedder.config_automatic import joint_rows
from embedder.errors import CorpusError
from embedder.examples.batches import CountedRows
from embedder.examples.cells import store_rows
from embedder.examples.columns import Columns
from embedder.examples.cooccurrence import context_words, no_pairs_error, token_sample
from embedder.examples.prepare import Examples, Outputs, choose_run_columns, examples_of_counts
from embedder.examples.spectral import FREQUENT, PositivePmi, SpectralStart
from embedder.runs.progress import reading_bar, say
from embedder.text.merging import merge_words, words_of
from embedder.text.phrases import PhraseJoiner, Phrases
from embedder.text.vocabulary import Vocabulary, choose_vocabulary
from embedder.training.distributed import counting
from embedder.training.distributed.cluster import Cluster, Reference
from embedder.training.distributed.counting import find_even_shards
from embedder.training.distributed.row_map import ClusterRowMap, SpreadCounts
from embedder.training.engine import WorkerLost
from embedder.training.row_fit import RowMap

_SHARDS_PER_SUM = 16
_TASKS_PER_CPU = 4
_LOSSES_WITHOUT_PROGRESS = 10


_Counted = tuple[Reference, Reference]
"""To the counts of a range, and to their totals."""


class _Text(NamedTuple):
    """The text after reading, spread over the cluster.

    ``vocabulary``, ``tokens``
    ``kept (V,)``
        How often each word is expected in the sampled text.
    ``ids``
        References to the ids of each shard.
    ``sizes (shards, 2) int64``
        The numbers of ids and sentences of each shard.
    """

    vocabulary: Vocabulary
    tokens: int
    kept: Array
    ids: list[Reference]
    sizes: Array


class _Grouped(NamedTuple):
    """Counts with one column per class, and their sums."""

    counts: SpreadCounts
    sums: counting.RangeSums


class RayEngine:
    """See `embedder.training.engine.Engine`.

    Parameters
    ----------
    config
        The run.

    Raises
    ------
    RunError
        If there is no cluster.
    """

    keeps_fitted = True

    def __init__(self, config: Config) -> None:
        from embedder.kernels.threads import available_threads

        self._config = config
        self.threads = config.training.threads or available_threads()
        self._cluster = Cluster(config.cluster, self.threads)
        self._settings = self._cluster.put(config)
        self.fit_rows: RowMap = ClusterRowMap(self._cluster)
        self.phrases = Phrases()
        self._reading = Path(), True
        self._text: _Text | None = None
        self._losses = self._step = self._cells = 0

    def read(self, work: Path, quiet: bool) -> tuple[Vocabulary, int]:
        """See `Engine`."""
        config, cluster = self._config, self._cluster
        self._reading = work, quiet
        self.phrases = PhraseJoiner(config.corpus).phrases
        phrases = cluster.put(self.phrases)
        corpus = config.corpus
        shards = find_even_shards(corpus, config.cluster.shard_size, self._cpus())
        read = [
            cluster.run(counting.read_shard, self._settings, phrases, shard, returns=3)
            for shard in shards
        ]
        self._await_reading([size for _, _, size in read], quiet)
        words = [own for own, _, _ in read]
        while len(words) > 1:
            several = range(0, len(words), _SHARDS_PER_SUM)
            words = [cluster.run(merge_words, *words[i : i + _SHARDS_PER_SUM]) for i in several]
        merged = cluster.fetch(words[0])
        vocabulary, tokens = choose_vocabulary(merged, config.vocabulary), int(merged.counts.sum())
        unknown = config.vocabulary.unknown
        others = -1 if unknown is None else vocabulary.ids[unknown]
        known = cluster.put(words_of(vocabulary))
        encoded = [
            cluster.run(counting.encode_shard, known, others, own, numbers, returns=2)
            for own, numbers, _ in read
        ]
        sizes = np.array([cluster.fetch(size) for _, size in encoded])
        kept = vocabulary.counts * vocabulary.keep_probabilities(config.vocabulary.subsample)
        self._text = _Text(vocabulary, tokens, kept, [ids for ids, _ in encoded], sizes)
        return vocabulary, tokens

    def _cpus(self) -> int:
        """Return the number of CPUs, or 1 for a cluster that still waits for its machines."""
        return max(1, self._cluster.cpus())

    def _await_reading(self, sizes: list[Reference], quiet: bool) -> None:
        """Wait until all text has been read, and show the progress."""
        limit = self._config.corpus.limit
        with reading_bar(quiet) as bar:
            for size in self._cluster.as_completed(sizes):
                bar.update(self._cluster.fetch(size))
            length = bar.n
        if limit is not None and length > limit:
            raise CorpusError(
                f"The uncompressed text exceeds corpus.limit ({limit:,} bytes); raise the limit or "
                "use less text."
            )

    def examples(self, saved: Array | None = None) -> Examples:
        """See `Engine`."""
        if self._text is None:
            self.read(*self._reading)
        assert self._text is not None
        config, text = self._config, self._text
        V, words = len(text.vocabulary), context_words(len(text.vocabulary), config.examples)
        counts, totals = self.count(text, validation=False)
        start = SpectralStart(config, lambda: self._positive_pmi(counts, words, totals))
        columns, central = choose_run_columns(config, words, start, text.kept, saved)
        grouped = self.group(counts, columns, text.kept)
        if saved is not None:
            start.release()  # of the counts, too
        rows = self._rows_here(grouped, joint_rows(config, V), "joint")
        held_out = None
        if config.validation.fraction > 0:
            counts_held_out, _ = self.count(text, validation=True)
            own = self.group(counts_held_out, columns, text.kept)
            held_out = self._rows_here(own, V, "validation")
        outputs = Outputs(columns, central, grouped.sums.column_totals)
        examples = examples_of_counts(config, outputs, rows, start, held_out)
        return examples._replace(counted=grouped.counts)

    def count(self, text: _Text, validation: bool) -> tuple[SpreadCounts, Array]:
        """Count the text; return the counts and n_w."""
        cpus = self._cpus()
        groups = counting.group_shards(text.sizes[:, 0], cpus)
        least = _TASKS_PER_CPU * cpus
        cuts = counting.cut_words(text.kept, self._config, len(groups) - 1, least)
        pieces = self._count_groups(text, validation, groups, cuts)
        sums = [self._add(len(text.vocabulary), own) for own in pieces]
        del pieces  # those of a range can go once it is summed
        found = [self._cluster.fetch(own) for _, own in sums]
        totals = np.concatenate([own.totals for own in found])
        if not validation:
            self._cells = sum(own.cells for own in found)
        if totals.sum() == 0:
            keep = text.vocabulary.keep_probabilities(self._config.vocabulary.subsample)
            raise no_pairs_error(keep, validation)
        return SpreadCounts(cuts, [counts for counts, _ in sums]), totals

    def _count_groups(
        self, text: _Text, validation: bool, groups: Array, cuts: Array
    ) -> list[list[_Counted]]:
        """Count each group of shards; return the counts of each range in each group."""
        config, cluster, is_all = self._config, self._cluster, len(groups) == 2
        wanted = cluster.put(token_sample(config, text.vocabulary, validation))
        before = (np.cumsum(text.sizes, axis=0) - text.sizes).tolist()
        ranges = len(cuts) - 1
        tasks = min(ranges, -(-_TASKS_PER_CPU * self._cpus() // (len(groups) - 1)))
        spans = np.linspace(0, ranges, tasks + 1).astype(np.int64)
        pieces: list[list[_Counted]] = [[] for _ in range(ranges)]
        for start, end in pairwise(groups.tolist()):
            shards = before[start:end], *text.ids[start:end]
            sample = cluster.run(counting.sample_shards, wanted, *shards, returns=2)
            for first, last in pairwise(spans.tolist()):
                arguments = self._settings, is_all, cuts[first : last + 1], *sample
                returns = 2 * (last - first)
                found = cluster.run(counting.count_neighbours, *arguments, returns=returns)
                for number in range(first, last):
                    place = 2 * (number - first)
                    pieces[number].append((found[place], found[place + 1]))
        return pieces

    def _add(self, vocabulary: int, pieces: list[_Counted]) -> _Counted:
        """Add the pieces of a range, a few at a time; return its counts and their totals."""

        def add(are_all: bool, some: list[_Counted]) -> _Counted:
            arguments = self._settings, vocabulary, are_all, *(counts for counts, _ in some)
            counts, totals = self._cluster.run(counting.add_samples, *arguments, returns=2)
            return counts, totals

        if len(pieces) == 1:
            return pieces[0]
        while len(pieces) > _SHARDS_PER_SUM:
            several = range(0, len(pieces), _SHARDS_PER_SUM)
            pieces = [add(False, pieces[i : i + _SHARDS_PER_SUM]) for i in several]
        return add(True, pieces)

    def _positive_pmi(self, counts: SpreadCounts, words: Array, totals: Array) -> PositivePmi:
        """Return the positive PMI as products that the cluster computes."""
        cluster, V = self._cluster, len(totals)
        R = min(V, FREQUENT)
        words_there, totals_there = cluster.put(np.where(words < R, words, -1)), cluster.put(totals)
        cells = [
            cluster.run(counting.weigh_range, words_there, totals_there, first, own)
            for first, _, own in counts.spans()
        ]
        weighed = counts._replace(ranges=cells)

        def multiply(dense: Array, low: int, high: int) -> Array:
            there, parts = cluster.put(dense), []
            for first, last, own in weighed.spans():
                if first < high and last > low:
                    rows = max(first, low) - first, min(last, high) - first
                    parts.append(cluster.run(counting.multiply_range, own, there, *rows))
            return np.concatenate([cluster.fetch(part) for part in parts])

        others = (lambda dense: multiply(dense, R, V)) if R < V else None
        return PositivePmi(R, lambda dense: multiply(dense, 0, R), others)

    def group(self, counts: SpreadCounts, columns: Columns, kept: Array) -> _Grouped:
        """Sum the cells of all ranges by column."""
        cluster = self._cluster
        columns_there, kept_there = cluster.put(columns), cluster.put(kept)
        found = [
            cluster.run(counting.group_range, columns_there, kept_there, own, returns=2)
            for own in counts.ranges
        ]
        sums = [cluster.fetch(own) for _, own in found]
        totals, constants = (np.concatenate([own[i] for own in sums]) for i in range(2))
        column_totals = np.sum([own.column_totals for own in sums], axis=0)
        if columns.are_grouped:
            counts = counts._replace(ranges=[own for own, _ in found])
        return _Grouped(counts, counting.RangeSums(totals, constants, column_totals))

    def _rows_here(self, grouped: _Grouped, rows: int, name: str) -> CountedRows:
        """Fetch the counts of the first words."""
        parts, _, last = grouped.counts.rows(0, rows)
        path = self._reading[0] / name
        counts = store_rows(map(self._cluster.fetch, parts), path).rows(0, last)
        return CountedRows(counts, grouped.sums.constants, grouped.sums.totals)

    def recover(self, lost: WorkerLost, step: int) -> None:
        """See `Engine`; read and count again.

        Raises
        ------
        WorkerLost
            If this happens repeatedly without a new checkpoint in between.
        """
        self._losses = 1 if step > self._step else self._losses + 1
        self._step = max(self._step, step)
        if self._losses > _LOSSES_WITHOUT_PROGRESS or self._cluster.cpus() == 0:
            raise lost
        say(f"{lost}; counting again.")
        self._text = None

    def statistics(self) -> dict[str, Any]:
        """See `Engine`."""
        machines, cpus = self._cluster.machines(), self._cluster.cpus()
        return {"machines": machines, "cpus": cpus, "cells": self._cells}

    def close(self) -> None:
        """Leave the cluster, and stop it if this process started it."""
        self._cluster.close()
