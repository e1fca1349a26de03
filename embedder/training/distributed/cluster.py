"""Ray: joining or starting a cluster, its tasks, and a process for each slice of the output layer.

What a task or an actor is made of is in `embedder.training.distributed.counting` and
`embedder.training.distributed.output`; here they become Ray's.
"""

import logging
import socket
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayActorError, RayError, RayTaskError
from ray.util import get_node_ip_address
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from embedder.arrays import Array
from embedder.config import Config
from embedder.config_sections import ClusterConfig
from embedder.errors import EmbedderError, RunError
from embedder.examples.batches import CountedRows
from embedder.examples.cooccurrence import Cooccurrences
from embedder.examples.spectral import positive_pmi_matrix
from embedder.training.distributed import counting
from embedder.training.distributed.exchange import Exchange
from embedder.training.distributed.output import TRAINING, Slice
from embedder.training.distributed.slices import OwnCounts, OwnTargets, OwnWords
from embedder.training.engine import WorkerLost

PATIENCE = 300.0
"""Seconds that process 0 waits for another in a step. Others wait for it as long as it lives."""
_NO_TIMEOUT = 1e6
_SECONDS_TO_JOIN = 120.0
_SECONDS_TO_CONNECT = 10.0
Reference = Any


class Cluster:
    """A Ray cluster that this process has joined or started.

    Parameters
    ----------
    config
        Its address, and how many workers are wanted.
    threads
        Of each worker; 0 for as many as there are.

    Raises
    ------
    RunError
        If there is no cluster at the address, or it has no room.
    """

    def __init__(self, config: ClusterConfig, threads: int) -> None:
        self._was_there = ray.is_initialized()
        if not self._was_there:
            if config.address is not None:
                _check_reachable(config.address)
            try:
                ray.init(
                    address=config.address or "local",
                    include_dashboard=False if config.address is None else None,
                    log_to_driver=False,
                    logging_level=logging.ERROR,
                )
            except (ConnectionError, ValueError, RuntimeError) as error:
                raise RunError(
                    f"cluster.address {config.address}: no Ray cluster can be joined there "
                    f"({str(error).splitlines()[0]}); start one with `ray start --head`, or leave "
                    "the address out."
                ) from None
        self.address = get_node_ip_address()
        self._node = ray.get_runtime_context().get_node_id()
        sizes = self._cpus().values()
        self.workers = config.workers or len(sizes)
        workers_per_node = -(-self.workers // len(sizes))
        self.threads = threads or max(1, int(min(sizes)) // workers_per_node)
        if self._room() < self.workers:
            found = self._room()
            self.close()
            raise RunError(
                f"cluster.workers: {self.workers} workers of {self.threads} CPUs are more than the "
                f"cluster has room for ({found}); lower it, or training.threads."
            )

    def _cpus(self) -> dict[str, float]:
        """Return how many CPUs each living node has, and this one, whatever Ray knows of it."""
        nodes = [node for node in ray.nodes() if node["Alive"]]
        sizes = {node["NodeID"]: float(node["Resources"].get("CPU", 0)) for node in nodes}
        return {node: size for node, size in sizes.items() if size >= 1 or node == self._node}

    def _room(self) -> int:
        """Return how many workers the living nodes have CPUs for; this process is one."""
        rooms = {node: int(size // self.threads) for node, size in self._cpus().items()}
        return sum(rooms.values()) + (rooms.get(self._node, 0) == 0)

    def place(self, config: Config, workers: int) -> "Placement":
        """Start the processes of all workers but this one; see `Placement`."""
        seat = self._node if self._cpus().get(self._node, 0) >= self.threads else None
        return Placement(config, workers, self.threads, seat, lambda: self._room() >= workers)

    def wait_for_room(self, minutes: float) -> int:
        """Wait until all workers have room, or the time is up; return how many have."""
        ends = time.monotonic() + 60 * minutes
        while self._room() < self.workers and time.monotonic() < ends:
            time.sleep(1.0)
        return max(1, min(self.workers, self._room()))

    def close(self) -> None:
        """Leave the cluster; one that was started here ends."""
        if not self._was_there:
            ray.shutdown()


def _check_reachable(address: str) -> None:
    """Stop at once where nothing listens: Ray itself would try for minutes."""
    host, colon, port = address.rpartition(":")
    if address == "auto" or not colon:
        return
    if "://" in address or not port.isdecimal():
        raise RunError(
            f"cluster.address {address}: expected HOST:PORT or auto; the training must start on a "
            "machine of the cluster (`ray job submit` does that from elsewhere)."
        )
    try:
        socket.create_connection((host, int(port)), _SECONDS_TO_CONNECT).close()
    except (OSError, OverflowError) as error:
        raise RunError(
            f"cluster.address {address}: no Ray cluster can be joined there ({error}); start one "
            "with `ray start --head`, or leave the address out."
        ) from None


def task(function: Callable[..., Any], returns: int = 1) -> Any:
    """Make a function a Ray task that is run again for as long as machines are lost."""
    return ray.remote(num_cpus=1, num_returns=returns, max_retries=-1)(function)


def put(value: Any) -> Reference:
    """Give all processes a value once."""
    return ray.put(value)


def fetch(reference: Reference) -> Any:
    """Return what a reference, or a list of them, stands for.

    Raises
    ------
    EmbedderError
        As the task did.
    WorkerLost
        If it is gone and cannot be made again.
    """
    try:
        return ray.get(reference)
    except RayTaskError as error:
        cause: BaseException = error
        while isinstance(cause, RayTaskError):  # a task may have fetched what another failed at
            cause = cause.cause
        if isinstance(cause, (EmbedderError, MemoryError)):
            raise cause from None
        if isinstance(cause, (WorkerLost, RayError)):
            raise WorkerLost(_first_line(cause)) from None
        raise
    except RayError as error:
        raise WorkerLost(_first_line(error)) from None


def finished(references: list[Reference], seconds: float) -> list[Reference]:
    """Wait so long for what tasks return; return what has come, their errors included."""
    if not references:
        return []
    return list(ray.wait(references, num_returns=len(references), timeout=seconds)[0])


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def add_up_range(references: list[Reference]) -> counting.Piece:
    """Add up one range's pieces as a task; see `counting.add_shards`."""
    return counting.add_shards(fetch, references)


class Worker:
    """A process with a slice of the output layer; of process 0 too, which holds one itself.

    Parameters
    ----------
    config
        The run.
    threads
        Parts that its work is cut into.
    """

    def __init__(self, config: Config, threads: int) -> None:
        self._config = config
        self._threads = threads
        self._folder = tempfile.TemporaryDirectory(prefix="embedder-")
        self._counts: list[Cooccurrences] = []

    def address(self) -> str:
        """Return this machine's address."""
        return str(get_node_ip_address())

    def close(self) -> None:
        """Remove the files of the counts."""
        self._counts.clear()
        self._folder.cleanup()

    def load(
        self, vocabulary: int, columns: list[int], references: list[Reference]
    ) -> tuple[Array, Array, Array]:
        """Load some ranges of the counts, next to each other.

        Returns
        -------
        (V,), (V,), (C_p,)
            Row totals, cells in each row, and column totals of these ranges.
        """
        path = Path(self._folder.name) / str(len(self._counts))
        counts = counting.concatenate_columns(vocabulary, columns, fetch, references, path)
        self._counts.append(counts)
        rows = CountedRows(counts)
        return rows.totals, rows.cells, counts.column_totals(sum(columns))

    def make_slice(
        self,
        contexts: Array,
        words: tuple[int, int],
        batch_size: int,
        features: int,
    ) -> Slice:
        """Make the slice of these contexts, those of words first … last − 1."""
        targets: list[OwnTargets] = [OwnCounts(counts) for counts in self._counts]
        return Slice(
            self._config,
            contexts,
            targets or [OwnWords(*words)],
            batch_size,
            features,
            self._threads,
        )

    def prepare_multiplication(self, own: Slice, context_words: Array, totals: Array) -> None:
        """Make a slice's columns of the positive PMI matrix."""
        counts = self._counts[TRAINING]
        own.multiply = positive_pmi_matrix(counts, context_words, totals, self._threads)
        own.vocabulary = len(totals)

    def serve(
        self,
        place: tuple[int, int, str, int],
        contexts: Array,
        words: tuple[int, int],
        shape: tuple[int, int],
        pmi: tuple[Array, Array] | None,
    ) -> None:
        """Join the others and obey process 0 until it ends the training.

        Parameters
        ----------
        place
            Rank, size, and host and port of process 0.
        contexts, words
            As for `make_slice`.
        shape
            The largest B, and the width of what the output layer reads.
        pmi
            For a spectral start: the word of each context, and the row totals of all counts.
        """
        from embedder.kernels.threads import kernel_threads

        with kernel_threads(self._threads):
            own = self.make_slice(contexts, words, *shape)
            if pmi is not None:
                self.prepare_multiplication(own, *pmi)
            exchange = Exchange(*place, self.address(), _NO_TIMEOUT)
            try:
                own.serve(exchange)
            finally:
                exchange.close()


class Placement:
    """Processes for all slices but the first, which belongs to the process that asks.

    Parameters
    ----------
    config
        The run.
    workers
        How many, with this process.
    threads
        CPUs of each.
    seat
        The node on which Ray should count this process's CPUs as taken; None where it has none.
    has_room
        Says whether the cluster still has room for all.

    Raises
    ------
    WorkerLost
        If they do not start in time, or a machine is lost meanwhile.
    """

    def __init__(
        self,
        config: Config,
        workers: int,
        threads: int,
        seat: str | None,
        has_room: Callable[[], bool],
    ) -> None:
        self._seats: list[Any] = []
        if seat is not None:
            here = NodeAffinitySchedulingStrategy(seat, soft=False)
            self._seats.append(_actor(_Seat, threads, here).remote())
        worker = _actor(Worker, threads, "SPREAD")
        self.actors: list[Any] = [worker.remote(config, threads) for _ in range(workers - 1)]
        try:
            started = [actor.address.remote() for actor in [*self._seats, *self.actors]]
            ends = time.monotonic() + _SECONDS_TO_JOIN
            while len(ray.wait(started, num_returns=len(started), timeout=1.0)[0]) < len(started):
                if time.monotonic() > ends or not has_room():
                    raise WorkerLost("the workers found no place")
            fetch(started)
        except WorkerLost:
            self.close()
            raise

    def close(self) -> None:
        """End the processes and give their CPUs back."""
        for actor in [*self._seats, *self.actors]:
            try:
                ray.kill(actor)
            except RayActorError:  # it is dead already
                continue


def _actor(made_of: type, cpus: int, where: Any) -> Any:
    return ray.remote(num_cpus=cpus, max_restarts=0, scheduling_strategy=where)(made_of)


class _Seat:
    """Holds the CPUs on which the leading process runs, so that Ray gives them to nobody else."""

    def address(self) -> str:
        return str(get_node_ip_address())
