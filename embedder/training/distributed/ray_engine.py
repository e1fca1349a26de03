"""The engine that spreads counting and the output layer over a Ray cluster.

This process leads: it holds the embedding table, the hidden layer and the first slice of the output
layer, and writes the run folder. When it trains on counts, it reads no text itself. Other processes
own the other slices. See docs/distributed.md.
"""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from embedder.arrays import Array
from embedder.config import Config
from embedder.errors import CorpusError
from embedder.examples.columns import count_near, one_column_per_word
from embedder.examples.cooccurrence import context_words, no_pairs_error
from embedder.examples.prepare import (
    Examples,
    Outputs,
    examples_of_counts,
    prepare_examples,
)
from embedder.examples.spectral import PositivePmi, SpectralStart
from embedder.network.losses import Loss
from embedder.network.parameters import Parameters
from embedder.runs.progress import reading_bar, say
from embedder.text.listing import find_shards
from embedder.text.phrases import PhraseJoiner, Phrases
from embedder.text.vocabulary import EncodedCorpus, Vocabulary, choose_vocabulary
from embedder.training.distributed import counting
from embedder.training.distributed.cluster import (
    Cluster,
    Reference,
    add_up_range,
    fetch,
    put,
    task,
)
from embedder.training.distributed.group import Group, share_ranges
from embedder.training.distributed.output import HELD_OUT, TRAINING, SlicedSoftmax
from embedder.training.distributed.slices import SlicedRows, cut_words
from embedder.training.engine import WorkerLost

_RANGES_PER_WORKER = 8
"""More than one, so that ranges can be redistributed when workers are lost."""
_BYTES_PER_RANGE = 1 << 30
_BYTES_PER_CELL = 12
_MAX_RANGES = 1024
_LOSSES_WITHOUT_PROGRESS = 10


class _Text(NamedTuple):
    """The text after reading, spread over the cluster.

    ``work``
        A folder for temporary files.
    ``vocabulary``, ``tokens``
    ``settings``, ``vocabulary_reference``
        The configuration and the vocabulary, for tasks.
    ``ids``
        The ids of each shard.
    ``before``
        The numbers of ids and sentences before each shard.
    """

    work: Path
    vocabulary: Vocabulary
    tokens: int
    settings: Reference
    vocabulary_reference: Reference
    ids: list[Reference]
    before: list[tuple[int, int]]


class _Counts(NamedTuple):
    """The counts, by ranges of words.

    ``cuts (ranges + 1,) int64``
        Where the ranges start.
    ``sums``
        The counts of each range: for the training text, and for the held-out text if there is any.
    """

    cuts: Array
    sums: list[list[Reference]]


class RayEngine:
    """See `embedder.training.engine.Engine`.

    Parameters
    ----------
    config
        The run.

    Raises
    ------
    RunError
        If there is no cluster, or it has too few CPUs.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self._cluster = Cluster(config.cluster, config.training.threads)
        self.threads = self._cluster.threads
        self.processes = self._cluster.workers
        self.phrases = Phrases()
        self._text: _Text | None = None
        self._counts: _Counts | None = None
        self._group: Group | None = None
        self._softmax: SlicedSoftmax | None = None
        self._losses = self._step = 0

    def read(self, work: Path, quiet: bool) -> tuple[Vocabulary, int]:
        """See `Engine`."""
        config = self._config
        self.phrases = PhraseJoiner(config.corpus).phrases
        phrases, settings = put(self.phrases), put(config)
        read = task(counting.read_shard, 3)
        corpus, size = config.corpus, config.cluster.shard_size
        shards = find_shards(corpus.files, size, corpus.unreadable)
        parts = [read.remote(settings, phrases, shard) for shard in shards]
        self._await_reading([size for _, _, size in parts], quiet)
        merge = task(counting.merge_words)
        words = [part[0] for part in parts]
        while len(words) > 1:
            several = range(0, len(words), counting.WORDS_MERGED)
            words = [merge.remote(*words[i : i + counting.WORDS_MERGED]) for i in several]
        merged = fetch(words[0])
        vocabulary = choose_vocabulary(merged, config.vocabulary)
        reference = put(vocabulary)
        number = task(counting.number_shard, 2)
        numbered = [
            number.remote(settings, reference, own_words, numbers)
            for own_words, numbers, _ in parts
        ]
        sizes = np.array(fetch([size for _, size in numbered]))
        before = [
            (ids, sentences) for ids, sentences in (np.cumsum(sizes, axis=0) - sizes).tolist()
        ]
        tokens = int(merged.counts.sum())
        ids = [own for own, _ in numbered]
        self._text = _Text(work, vocabulary, tokens, settings, reference, ids, before)
        return vocabulary, tokens

    def _await_reading(self, sizes: list[Reference], quiet: bool) -> None:
        """Wait until all text has been read, and show the progress."""
        length, limit = 0, self._config.corpus.limit
        with reading_bar(quiet) as bar:
            for size in sizes:
                length += fetch(size)
                bar.update(length - bar.n)
        if limit is not None and length > limit:
            raise CorpusError(
                f"The uncompressed text exceeds corpus.limit ({limit:,} bytes); raise the limit or "
                "use less text."
            )

    def examples(self, saved: Array | None = None) -> Examples:
        """See `Engine`."""
        assert self._text is not None, "call read first"
        config, text = self._config, self._text
        counted = config.examples.source == "cooccurrence"
        V = len(text.vocabulary)
        if counted and self._counts is None:
            self._counts = self._count(text)
        if self._counts is None:
            cuts = cut_words(V, config.examples, self.processes)
        else:
            cuts = self._counts.cuts
        self.processes = min(self.processes, len(cuts) - 1)
        ownership = share_ranges(cuts, V, config, self.processes)
        self._group = Group(config, self._cluster, ownership)
        if self._counts is None:
            return self._window_examples(text, self._group)
        return self._counted_examples(text, self._counts, self._group)

    def _count(self, text: _Text) -> _Counts:
        config = self._config
        bytes_counted = 2 * config.examples.window * text.tokens * _BYTES_PER_CELL
        wanted = max(
            _RANGES_PER_WORKER * self.processes, min(_MAX_RANGES, bytes_counted // _BYTES_PER_RANGE)
        )
        cuts = cut_words(len(text.vocabulary), config.examples, wanted)
        ranges = len(cuts) - 1
        count = task(counting.count_shard, ranges)
        add = task(add_up_range)
        cuts_reference = put(cuts)
        sums = []
        for validation in (False, True)[: 1 + (config.validation.fraction > 0)]:
            common = text.settings, text.vocabulary_reference, cuts_reference, 1, validation
            pieces = []
            for ids, before in zip(text.ids, text.before, strict=True):
                found = count.remote(*common, ids, before)
                pieces.append(found if ranges > 1 else [found])
            totals = [add.remote([part[number] for part in pieces]) for number in range(ranges)]
            for reference in totals:
                fetch(reference)
            sums.append(totals)
        return _Counts(cuts, sums)

    def _counted_examples(self, text: _Text, counts: _Counts, group: Group) -> Examples:
        config, V = self._config, len(text.vocabulary)
        loaded = []
        for which, sums in enumerate(counts.sums):
            totals, cells, column_totals = group.load(V, sums)
            if cells.sum() == 0:
                keep = text.vocabulary.keep_probabilities(config.vocabulary.subsample)
                raise no_pairs_error(keep, which == HELD_OUT)
            loaded.append((SlicedRows(which, totals, cells), column_totals))
        rows, context_totals = loaded[TRAINING]
        batch_size = min(config.training.batch_size, int((rows.totals > 0).sum()))
        spectral = config.network.initialisation == "spectral"
        words = context_words(V, config.examples)
        group.connect(batch_size, (words, rows.totals) if spectral else None)
        held_out = loaded[HELD_OUT][0] if len(loaded) > 1 else None
        columns = one_column_per_word(V, count_near(config, V))
        start = SpectralStart(config, lambda: PositivePmi(V, group.multiply))
        outputs = Outputs(columns, words, context_totals)
        return examples_of_counts(config, outputs, rows, start, held_out)

    def _window_examples(self, text: _Text, group: Group) -> Examples:
        path = text.work / "ids.int32"
        if not path.exists():
            with path.open("wb") as file:
                for ids in text.ids:
                    file.write(fetch(ids).data)
        corpus = EncodedCorpus(np.memmap(path, np.int32, "r+"), text.tokens)
        examples = prepare_examples(
            self._config, text.vocabulary, corpus, text.work, join=self.phrases.join_file
        )
        group.connect(examples.stream.batch_size)
        return examples

    def _running(self) -> Group:
        assert self._group is not None, "call examples first"
        return self._group

    def loss(self, parameters: Parameters, batch_size: int) -> Loss:
        """See `Engine`."""
        self._softmax = SlicedSoftmax(*self._running().connection, parameters.W2, parameters.b2)
        return self._softmax

    def scatter_rows(self, arrays: dict[str, Array]) -> dict[str, Array]:
        """See `Engine`."""
        return self._running().scatter(arrays)

    def gather_rows(self, arrays: dict[str, Array]) -> dict[str, Array]:
        """See `Engine`."""
        return self._running().gather(arrays)

    def recover(self, lost: WorkerLost, step: int) -> None:
        """See `Engine`; wait for replacements, then continue with the workers that there are.

        Raises
        ------
        WorkerLost
            If workers are lost repeatedly without a new checkpoint in between.
        """
        if self._group is not None:
            self._group.raise_program_errors()
        self._losses = 1 if step > self._step else self._losses + 1
        self._step = max(self._step, step)
        if self._losses > _LOSSES_WITHOUT_PROGRESS:
            raise lost
        say(f"A worker was lost ({lost}); resuming from the last checkpoint.")
        self._leave()
        self.processes = self._cluster.wait_for_room(self._config.cluster.wait_minutes)
        if self.processes < self._cluster.workers:
            say(f"{self.processes} of {self._cluster.workers} workers are left.")

    def _leave(self) -> None:
        if self._group is not None:
            self._group.close()
            self._group = None

    def statistics(self) -> dict[str, Any]:
        """See `Engine`."""
        if self._softmax is None:
            return {}
        steps = max(1, self._softmax.steps)
        return {
            "workers": self.processes,
            "threads_per_worker": self.threads,
            "exchanged_bytes_per_step": self._softmax.bytes / steps,
            "exchange_seconds_per_step": self._softmax.seconds / steps,
        }

    def close(self) -> None:
        """Stop the other processes, and Ray if this process started it."""
        try:
            if self._group is not None:
                self._group.end()
        except WorkerLost:
            pass
        finally:
            self._leave()
            self._cluster.close()
