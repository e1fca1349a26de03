"""The processes that share the output layer, as seen by process 0.

Each owns ranges of contexts: rows of W2 and b2, the optimizer's moments of these rows, and columns
of the counts. Process 0 leads: it sends orders, and holds the first slice itself.
"""

import itertools
import socket
from typing import Any, NamedTuple

import numpy as np

from embedder.arrays import Array
from embedder.config import Config
from embedder.examples.windows import vectors_per_input
from embedder.training.distributed.cluster import (
    PATIENCE,
    Cluster,
    Reference,
    Worker,
    fetch,
    finished,
)
from embedder.training.distributed.exchange import Exchange
from embedder.training.distributed.output import (
    ROWS,
    Header,
    Order,
    Slice,
    bits_of,
    multiply_together,
)
from embedder.training.distributed.slices import contexts_of_ranges
from embedder.training.engine import WorkerLost

SECONDS_TO_END = 5.0


class Ownership(NamedTuple):
    """Which parts of the vocabulary each process owns.

    ``ranges``
        The ranges of words of each process.
    ``contexts_of_ranges``
        The contexts of each range, ascending, int64.
    ``words``
        The first word and the last + 1 of each process.
    """

    ranges: list[range]
    contexts_of_ranges: list[Array]
    words: list[tuple[int, int]]

    def contexts(self) -> list[Array]:
        """Return the contexts of each process, in the order of its rows."""
        return [
            np.concatenate([self.contexts_of_ranges[number] for number in own])
            for own in self.ranges
        ]


def share_ranges(cuts: Array, vocabulary: int, config: Config, processes: int) -> Ownership:
    """Distribute ranges of words evenly over the processes.

    Parameters
    ----------
    cuts : (ranges + 1,) int64
        Where the ranges start; see `embedder.training.distributed.slices.cut_words`.
    vocabulary
        V.
    config
        The run.
    processes
        At most the number of ranges.
    """
    ranges = len(cuts) - 1
    firsts = np.arange(processes + 1) * ranges // processes
    owned = list(itertools.pairwise(firsts.tolist()))
    return Ownership(
        [range(a, b) for a, b in owned],
        contexts_of_ranges(cuts, vocabulary, config.examples),
        [(int(cuts[a]), int(cuts[b])) for a, b in owned],
    )


class Group:
    """The processes of one training; `connect` opens the exchange between them.

    Parameters
    ----------
    config
        The run.
    cluster
        The cluster to place the processes on.
    ownership
        Which parts of the vocabulary each process owns.

    Raises
    ------
    WorkerLost
        If the processes do not start in time, or a machine is lost meanwhile.
    """

    def __init__(self, config: Config, cluster: Cluster, ownership: Ownership) -> None:
        self._config = config
        self._ownership = ownership
        self._contexts = ownership.contexts()
        self._address = cluster.address
        self._serving: list[Reference] = []
        self._connection: tuple[Exchange, Slice] | None = None
        self._placement = cluster.place(config, len(ownership.ranges))
        self._leader = Worker(config, cluster.threads)

    def load(self, vocabulary: int, sums: list[Reference]) -> tuple[Array, Array, Array]:
        """Have each process load its ranges of the counts.

        Parameters
        ----------
        vocabulary
            V.
        sums
            The counts of each range.

        Returns
        -------
        (V,), (V,), (C,)
            Row totals, cells per row, and column totals, over all processes.
        """
        orders = [
            (
                vocabulary,
                [len(self._ownership.contexts_of_ranges[number]) for number in own],
                [sums[number] for number in own],
            )
            for own in self._ownership.ranges
        ]
        theirs = [
            actor.load.remote(*order)
            for actor, order in zip(self._placement.actors, orders[1:], strict=True)
        ]
        loaded = [self._leader.load(*orders[0]), *fetch(theirs)]
        totals, cells = (np.sum([part[i] for part in loaded], axis=0) for i in range(2))
        column_totals = np.empty(sum(map(len, self._contexts)))
        for contexts, part in zip(self._contexts, loaded, strict=True):
            column_totals[contexts] = part[2]
        return totals, cells, column_totals

    def connect(self, batch_size: int, pmi: tuple[Array, Array] | None = None) -> None:
        """Connect all processes and have them wait for orders.

        Parameters
        ----------
        batch_size
            The largest B.
        pmi
            For a spectral start: the word of each context, and the row totals of all counts.
        """
        network = self._config.network
        length = vectors_per_input(self._config.examples, network) * network.dimension
        shape = batch_size, network.hidden + (length if network.direct else 0)
        shares = [pmi and (pmi[0][contexts], pmi[1]) for contexts in self._contexts]
        with socket.socket() as free:
            free.bind(("", 0))
            port = int(free.getsockname()[1])
        size, host = len(self._contexts), self._address
        words = self._ownership.words
        self._serving = [
            actor.serve.remote(
                (rank, size, host, port), self._contexts[rank], words[rank], shape, shares[rank]
            )
            for rank, actor in enumerate(self._placement.actors, start=1)
        ]
        own = self._leader.make_slice(self._contexts[0], words[0], *shape)
        if shares[0] is not None:
            self._leader.prepare_multiplication(own, *shares[0])
        self._connection = Exchange(0, size, host, port, host, PATIENCE), own

    @property
    def connection(self) -> tuple[Exchange, Slice]:
        """The exchange between the processes, and this one's slice; after `connect`."""
        assert self._connection is not None, "call Group.connect first"
        return self._connection

    def _order(self, header: Header) -> None:
        exchange, own = self.connection
        own.message.header[:] = header
        exchange.broadcast(own.message.memory)

    def multiply(self, dense: Array) -> Array:
        """Return the product of the positive PMI matrix and a dense one (V, k)."""
        exchange, own = self.connection
        product = np.ascontiguousarray(dense, np.float32).copy()
        self._order(Header(Order.MULTIPLY, detail=dense.shape[1]))
        return multiply_together(exchange, own, product)

    def scatter(self, arrays: dict[str, Array]) -> dict[str, Array]:
        """Send each process its rows; return the arrays with this process's rows."""
        exchange, _ = self.connection
        moving = _with_rows(arrays)
        self._order(Header(Order.TAKE, detail=bits_of(moving)))
        for name in moving:
            for rank, contexts in enumerate(self._contexts[1:], start=1):
                exchange.send(arrays[name][contexts], rank)
        return arrays | {name: arrays[name][self._contexts[0]] for name in moving}

    def gather(self, arrays: dict[str, Array]) -> dict[str, Array]:
        """Undo `scatter`."""
        exchange, _ = self.connection
        moving = _with_rows(arrays)
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

    def raise_program_errors(self) -> None:
        """Leave the exchange, so that other processes end; raise any errors but lost workers."""
        if self._connection is not None:
            self._connection[0].close()
            self._connection = None
        for reference in finished(self._serving, SECONDS_TO_END):
            try:
                fetch(reference)
            except WorkerLost:
                continue

    def end(self) -> None:
        """Order all processes to end, and wait for them."""
        if self._connection is not None:
            self._order(Header(Order.END))
            finished(self._serving, SECONDS_TO_END)

    def close(self) -> None:
        """Stop the processes, whatever their state."""
        if self._connection is not None:
            self._connection[0].close()
        self._placement.close()
        self._leader.close()


def _with_rows(arrays: dict[str, Any]) -> list[str]:
    """Return the names of non-empty arrays with one row per context."""
    return [name for name in ROWS if name in arrays and len(arrays[name])]
