"""The engine that spreads counting and the output layer over a Ray cluster.

This process leads. It reads nothing of the text itself when it trains on counts, keeps the
embedding table and the hidden layer, owns the first slice of the output layer and writes the run
folder; the others own the other slices. See docs/distributed.md.
"""

import itertools
import socket
import sys
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from embedder.arrays import Array
from embedder.config import Config
from embedder.errors import CorpusError
from embedder.examples.cooccurrence import context_words, nothing_counted
from embedder.examples.prepare import Examples, examples_of_counts, prepare_examples
from embedder.examples.windows import vectors_side_by_side
from embedder.network.losses import Loss
from embedder.network.parameters import Parameters
from embedder.text.phrases import PhraseJoiner, Phrases
from embedder.text.sources import find_shards
from embedder.text.vocabulary import EncodedCorpus, Vocabulary, choose_vocabulary
from embedder.training.distributed import counting
from embedder.training.distributed.cluster import (
    PATIENCE,
    Cluster,
    Placement,
    Reference,
    Worker,
    add_up_run,
    fetch,
    finished,
    put,
    task,
)
from embedder.training.distributed.exchange import Exchange
from embedder.training.distributed.output import (
    HELD_OUT,
    ROWS,
    TRAINING,
    Header,
    Order,
    Slice,
    SlicedSoftmax,
    bits_of,
    multiply_together,
)
from embedder.training.distributed.slices import SlicedTargets, contexts_of_runs, cut_words
from embedder.training.engine import WorkerLost, reading_bar

_RUNS_A_WORKER = 8
"""Counts are cut finer than workers, so that they can be dealt out again when some are lost."""


_BYTES_A_RUN = 1 << 30


_BYTES_A_CELL = 12


_MOST_RUNS = 1024


_LOSSES_WITHOUT_PROGRESS = 10


_SECONDS_TO_END = 5.0


class SlicedRows:
    """Rows of counts whose columns are on all workers; see `embedder.examples.batches.Rows`.

    Parameters
    ----------
    which
        `TRAINING` or `HELD_OUT`.
    totals : (V,) float64
        n_w over all workers.
    cells : (V,) int64
        The cells of each row over all workers.
    """

    def __init__(self, which: int, totals: Array, cells: Array) -> None:
        self._which = which
        self.totals = totals
        self.cells = cells

    def targets(self, rows: Array, scales: Array) -> Any:
        """Name some rows (B,) int64, each times a factor (B,) float64."""
        totals = (self.totals[rows] * scales).astype(np.float32)
        return SlicedTargets(self._which, rows, scales.astype(np.float32), totals)


class RayEngine:
    """See `embedder.training.engine.Engine`.

    Parameters
    ----------
    config
        The run.

    Raises
    ------
    RunError
        If there is no cluster, or it has no room.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self._cluster = Cluster(config.cluster, config.training.threads)
        self.threads = self._cluster.threads
        self.processes = self._cluster.workers
        self._placement: Placement | None = None
        self._leader: Worker | None = None
        self._exchange: Exchange | None = None
        self._serving: list[Reference] = []
        self._runs: list[list[Reference]] = []
        self._losses = 0
        self.phrases = Phrases()
        self._step = 0
        self._softmax: SlicedSoftmax | None = None

    def read(self, work: Path, quiet: bool) -> tuple[Vocabulary, int]:
        """See `Engine`."""
        config = self._config
        self._work = work
        self.phrases = PhraseJoiner(config.corpus).phrases
        phrases = put(self.phrases)
        shards = find_shards(config.corpus.files, config.cluster.shard_size)
        read = task(counting.read_shard, 3)
        self._settings = put(config)
        parts = [read.remote(self._settings, phrases, shard) for shard in shards]
        length = 0
        with reading_bar(quiet) as bar:
            for _, _, size in parts:
                length += fetch(size)
                bar.update(length - bar.n)
        limit = config.corpus.limit
        if limit is not None and length > limit:
            raise CorpusError(
                f"The text is longer than corpus.limit, {limit:,} bytes unpacked; raise it, or "
                "give less text."
            )
        merge = task(counting.merge_words)
        words = [part[0] for part in parts]
        while len(words) > 1:
            several = range(0, len(words), counting.WORDS_MERGED)
            words = [merge.remote(*words[i : i + counting.WORDS_MERGED]) for i in several]
        merged = fetch(words[0])
        self._vocabulary = choose_vocabulary(merged, config.vocabulary)
        self._everywhere = put(self._vocabulary)
        number = task(counting.number_shard, 2)
        numbered = [
            number.remote(self._settings, self._everywhere, words, numbers)
            for words, numbers, _ in parts
        ]
        sizes = np.array(fetch([size for _, size in numbered]))
        self._ids = [ids for ids, _ in numbered]
        self._beginnings = (np.cumsum(sizes, axis=0) - sizes).tolist()  # ids, sentences before
        self._tokens = int(merged.counts.sum())
        return self._vocabulary, self._tokens

    def examples(self) -> Examples:
        """See `Engine`."""
        counted = self._config.examples.source == "cooccurrence"
        if counted and not self._runs:
            self._count()
        self._place()
        return self._sliced_counts() if counted else self._windows()

    def _count(self) -> None:
        config = self._config
        V = len(self._vocabulary)
        bytes_counted = 2 * config.examples.window * self._tokens * _BYTES_A_CELL
        wanted = max(
            _RUNS_A_WORKER * self.processes, min(_MOST_RUNS, bytes_counted // _BYTES_A_RUN)
        )
        self._cuts = cut_words(V, config.examples, wanted)
        runs = len(self._cuts) - 1
        count = task(counting.count_shard, runs)
        add = task(add_up_run)
        cuts = put(self._cuts)
        for validation in (False, True)[: 1 + (config.validation.fraction > 0)]:
            pieces = []
            for ids, before in zip(self._ids, self._beginnings, strict=True):
                arguments = self._settings, self._everywhere, cuts, 1, validation, ids, *before
                found = count.remote(*arguments)
                pieces.append(found if runs > 1 else [found])
            sums = [add.remote([part[run] for part in pieces]) for run in range(runs)]
            for reference in sums:
                fetch(reference)
            self._runs.append(sums)

    def _place(self) -> None:
        """Start the other processes and deal the vocabulary out."""
        config = self._config
        V = len(self._vocabulary)
        if not self._runs:
            self._cuts = cut_words(V, config.examples, self.processes)
        runs = len(self._cuts) - 1
        self.processes = min(self.processes, runs)
        firsts = np.arange(self.processes + 1) * runs // self.processes
        owned = list(itertools.pairwise(firsts.tolist()))
        self._words = [(int(self._cuts[a]), int(self._cuts[b])) for a, b in owned]
        self._runs_of = [range(a, b) for a, b in owned]
        self._contexts_of_runs = contexts_of_runs(self._cuts, V, config.examples)
        self._contexts = [
            np.concatenate([self._contexts_of_runs[run] for run in own]) for own in self._runs_of
        ]
        self._leader = Worker(config, self.threads)
        self._placement = self._cluster.place(config, self.processes)

    def _sliced_counts(self) -> Examples:
        config = self._config
        assert self._placement is not None
        assert self._leader is not None
        found = []
        for which in range(len(self._runs)):
            orders = [
                (
                    len(self._vocabulary),
                    [len(self._contexts_of_runs[run]) for run in own],
                    [self._runs[which][run] for run in own],
                )
                for own in self._runs_of
            ]
            theirs = [
                actor.load.remote(*order)
                for actor, order in zip(self._placement.actors, orders[1:], strict=True)
            ]
            mine = self._leader.load(*orders[0])
            found.append(self._sum([mine, *fetch(theirs)], which))
        rows, context_totals = found[TRAINING]
        words = context_words(len(self._vocabulary), config.examples)
        self._begin(min(config.training.batch_size, int((rows.totals > 0).sum())), words, rows)
        held_out = found[HELD_OUT][0] if len(found) > 1 else None
        return examples_of_counts(
            config, self._vocabulary, rows, context_totals, lambda: self._multiply, held_out
        )

    def _sum(self, parts: list[tuple[Array, Array, Array]], which: int) -> tuple[SlicedRows, Array]:
        totals = np.sum([part[0] for part in parts], axis=0)
        cells = np.sum([part[1] for part in parts], axis=0)
        if cells.sum() == 0:
            raise nothing_counted(which == HELD_OUT)
        context_totals = np.empty(sum(map(len, self._contexts)))
        for contexts, part in zip(self._contexts, parts, strict=True):
            context_totals[contexts] = part[2]
        return SlicedRows(which, totals, cells), context_totals

    def _windows(self) -> Examples:
        config = self._config
        path = self._work / "ids.int32"
        if not path.exists():
            with path.open("wb") as file:
                for ids in self._ids:
                    file.write(fetch(ids).data)
        corpus = EncodedCorpus(np.memmap(path, np.int32, "r+"), self._tokens)
        arguments = config, self._vocabulary, corpus, self.threads, self._work
        examples = prepare_examples(*arguments, join=self.phrases.join_file)
        self._begin(examples.stream.batch_size)
        return examples

    def _begin(
        self, batch_size: int, words: Array | None = None, rows: SlicedRows | None = None
    ) -> None:
        """Have all processes join a group and wait for orders."""
        assert self._placement is not None
        assert self._leader is not None
        network = self._config.network
        width = vectors_side_by_side(self._config.examples, network) * network.dimension
        shape = batch_size, network.hidden + (width if network.direct else 0)
        pmi = None
        if words is not None and rows is not None and network.initialisation == "spectral":
            pmi = [(words[contexts], rows.totals) for contexts in self._contexts]
        with socket.socket() as free:
            free.bind(("", 0))
            port = int(free.getsockname()[1])
        size, host = self.processes, self._cluster.address
        self._serving = [
            actor.serve.remote(
                (rank, size, host, port),
                self._contexts[rank],
                self._words[rank],
                shape,
                None if pmi is None else pmi[rank],
            )
            for rank, actor in enumerate(self._placement.actors, start=1)
        ]
        self._slice = self._leader.make_slice(self._contexts[0], self._words[0], *shape)
        if pmi is not None:
            self._leader.prepare_multiplication(self._slice, *pmi[0])
        self._exchange = Exchange(0, size, host, port, host, PATIENCE)

    def _multiply(self, dense: Array) -> Array:
        exchange, own = self._running()
        product = np.ascontiguousarray(dense, np.float32).copy()
        self._order(Header(Order.MULTIPLY, detail=dense.shape[1]))
        return multiply_together(exchange, own, product)

    def _running(self) -> tuple[Exchange, Slice]:
        assert self._exchange is not None
        return self._exchange, self._slice

    def _order(self, header: Header) -> None:
        exchange, own = self._running()
        own.message.header[:] = header
        exchange.broadcast(own.message.memory)

    def loss(self, parameters: Parameters, batch_size: int) -> Loss:
        """See `Engine`."""
        exchange, own = self._running()
        self._softmax = SlicedSoftmax(exchange, own, parameters)
        return self._softmax

    def own(self, arrays: dict[str, Array]) -> dict[str, Array]:
        """See `Engine`."""
        exchange, _ = self._running()
        moving = [name for name in ROWS if name in arrays and len(arrays[name])]
        self._order(Header(Order.TAKE, detail=bits_of(moving)))
        for name in moving:
            for rank, contexts in enumerate(self._contexts[1:], start=1):
                exchange.send(arrays[name][contexts], rank)
        return arrays | {name: arrays[name][self._contexts[0]] for name in moving}

    def whole(self, arrays: dict[str, Array]) -> dict[str, Array]:
        """See `Engine`."""
        exchange, _ = self._running()
        moving = [name for name in ROWS if name in arrays and len(arrays[name])]
        self._order(Header(Order.GIVE, detail=bits_of(moving)))
        C = sum(map(len, self._contexts))
        found = dict(arrays)
        for name in moving:
            part = arrays[name]
            found[name] = np.empty((C, *part.shape[1:]), part.dtype)
            found[name][self._contexts[0]] = part
            for rank, contexts in enumerate(self._contexts[1:], start=1):
                received = np.empty((len(contexts), *part.shape[1:]), part.dtype)
                exchange.receive(received, rank)
                found[name][contexts] = received
        return found

    def recover(self, lost: WorkerLost, step: int) -> None:
        """See `Engine`: start with as many workers as there are, after waiting for others.

        Raises
        ------
        WorkerLost
            If workers are lost again and again and no checkpoint comes of it.
        """
        if self._exchange is not None:
            self._exchange.close()  # those that are left see it and end
            self._exchange = None
        self._refuse_to_repeat(lost, step)
        tqdm.write(
            f"A worker was lost ({lost}); going on from the last checkpoint.", file=sys.stderr
        )
        self._leave()
        self.processes = self._cluster.wait_for_room(self._config.cluster.wait_minutes)
        if self.processes < self._cluster.workers:
            tqdm.write(
                f"{self.processes} of {self._cluster.workers} workers are left.", file=sys.stderr
            )

    def _refuse_to_repeat(self, lost: WorkerLost, step: int) -> None:
        """Raise what would happen again: an error of the program's, or losses without progress."""
        for reference in finished(self._serving, _SECONDS_TO_END):
            try:
                fetch(reference)
            except WorkerLost:
                continue
        self._losses = 1 if step > self._step else self._losses + 1
        self._step = max(self._step, step)
        if self._losses > _LOSSES_WITHOUT_PROGRESS:
            raise lost

    def _leave(self) -> None:
        if self._exchange is not None:
            self._exchange.close()
        if self._placement is not None:
            self._placement.close()
        if self._leader is not None:
            self._leader.close()
        self._exchange = self._placement = self._leader = None
        self._serving = []

    def figures(self) -> dict[str, Any]:
        """See `Engine`."""
        softmax = self._softmax
        assert softmax is not None
        steps = max(1, softmax.steps)
        return {
            "workers": self.processes,
            "threads_a_worker": self.threads,
            "exchanged_bytes_a_step": softmax.bytes / steps,
            "exchange_seconds_a_step": softmax.seconds / steps,
        }

    def close(self) -> None:
        """End the other processes, and Ray if it was started for this."""
        try:
            if self._exchange is not None:
                self._order(Header(Order.END))
                finished(self._serving, _SECONDS_TO_END)
        except WorkerLost:
            pass
        finally:
            self._leave()
            self._cluster.close()
