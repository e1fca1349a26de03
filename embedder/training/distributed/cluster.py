"""Ray: joining or starting a cluster, its tasks, and one process per slice of the output layer.

This module wraps the functions and classes of `embedder.training.distributed.counting` and
`embedder.training.distributed.output` as Ray tasks and actors.
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
from embedder.examples.cells import Cooccurrences
from embedder.examples.spectral import PmiOptions, multiplication, positive_pmi_cells
from embedder.training.distributed import counting
from embedder.training.distributed.exchange import Exchange
from embedder.training.distributed.output import TRAINING, Slice
from embedder.training.distributed.slices import OwnCounts, OwnTargets, OwnWords
from embedder.training.engine import WorkerLost

PATIENCE = 300.0
"""Seconds that process 0 waits for another process in a step; others wait for it indefinitely."""
_NO_TIMEOUT = 1e6
_SECONDS_TO_JOIN = 120.0
_SECONDS_TO_CONNECT = 10.0
Reference = Any


class Cluster:
    """A Ray cluster that this process has joined or started.

    Parameters
    ----------
    config
        The address, and the number of workers.
    threads
        CPUs per worker; 0 for as many as are available.

    Raises
    ------
    RunError
        If there is no cluster at the address, or it has too few CPUs.
    """

    def __init__(self, config: ClusterConfig, threads: int) -> None:
        self._joined_before = ray.is_initialized()
        if not self._joined_before:
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
                    f"({str(error).splitlines()[0]}); start one with `ray start --head`, or omit "
                    "the address."
                ) from None
            except OSError as error:
                raise RunError(
                    f"Ray cannot start ({str(error).splitlines()[0]}); it requires a writable "
                    "folder for temporary files with a short path: set RAY_TMPDIR."
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
                f"cluster.workers: {self.workers} workers of {self.threads} CPUs each exceed the "
                f"cluster's capacity of {found}; lower cluster.workers or training.threads."
            )

    def _cpus(self) -> dict[str, float]:
        """Return the CPUs of each live node that has any, and of this node in any case."""
        nodes = [node for node in ray.nodes() if node["Alive"]]
        sizes = {node["NodeID"]: float(node["Resources"].get("CPU", 0)) for node in nodes}
        return {node: size for node, size in sizes.items() if size >= 1 or node == self._node}

    def _room(self) -> int:
        """Return the number of workers that the live nodes have CPUs for, this process included."""
        rooms = {node: int(size // self.threads) for node, size in self._cpus().items()}
        return sum(rooms.values()) + (rooms.get(self._node, 0) == 0)

    def place(self, config: Config, workers: int) -> "Placement":
        """Start the processes of all workers except this one; see `Placement`."""
        seat = self._node if self._cpus().get(self._node, 0) >= self.threads else None
        return Placement(config, workers, self.threads, seat, lambda: self._room() >= workers)

    def wait_for_room(self, minutes: float) -> int:
        """Wait until all workers have room, or for a time limit; return how many have room."""
        ends = time.monotonic() + 60 * minutes
        while self._room() < self.workers and time.monotonic() < ends:
            time.sleep(1.0)
        return max(1, min(self.workers, self._room()))

    def close(self) -> None:
        """Leave the cluster, and stop it if this process started it."""
        if not self._joined_before:
            ray.shutdown()


def _check_reachable(address: str) -> None:
    """Raise at once if nothing listens at an address; Ray itself would retry for minutes."""
    host, colon, port = address.rpartition(":")
    if address == "auto" or not colon:
        return
    if "://" in address or not port.isdecimal():
        raise RunError(
            f"cluster.address {address}: expected HOST:PORT or auto; start the training on a "
            "machine of the cluster (from elsewhere, with `ray job submit`)."
        )
    try:
        socket.create_connection((host, int(port)), _SECONDS_TO_CONNECT).close()
    except (OSError, OverflowError) as error:
        raise RunError(
            f"cluster.address {address}: no Ray cluster can be joined there ({error}); start one "
            "with `ray start --head`, or omit the address."
        ) from None


def task(function: Callable[..., Any], returns: int = 1) -> Any:
    """Return a function as a Ray task that is retried whenever machines are lost."""
    return ray.remote(num_cpus=1, num_returns=returns, max_retries=-1)(function)


def put(value: Any) -> Reference:
    """Put a value into Ray's object store, from where every process can fetch it."""
    return ray.put(value)


def fetch(reference: Reference) -> Any:
    """Return the value of a reference, or the values of a list of references.

    Raises
    ------
    EmbedderError
        If the task raised it.
    WorkerLost
        If the value is lost and cannot be recomputed.
    """
    try:
        return ray.get(reference)
    except RayTaskError as error:
        cause: BaseException = error
        while isinstance(cause, RayTaskError):  # a task may have fetched from a failed task
            cause = cause.cause
        if isinstance(cause, (EmbedderError, MemoryError)):
            raise cause from None
        if isinstance(cause, (WorkerLost, RayError)):
            raise WorkerLost(_first_line(cause)) from None
        raise
    except RayError as error:
        raise WorkerLost(_first_line(error)) from None


def finished(references: list[Reference], seconds: float) -> list[Reference]:
    """Wait up to a time limit for tasks; return the references of those that ended or failed."""
    if not references:
        return []
    return list(ray.wait(references, num_returns=len(references), timeout=seconds)[0])


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def add_up_range(references: list[Reference]) -> counting.Piece:
    """Sum one range's pieces, as a task; see `counting.add_shards`."""
    return counting.add_shards(fetch, references)


class Worker:
    """The slice of the output layer in one process: an actor, or an object in process 0.

    Parameters
    ----------
    config
        The run.
    threads
        How many threads share the work of the process.
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
        """Load ranges of the counts and concatenate their columns.

        Returns
        -------
        (V,), (V,), (C_p,)
            Row totals, cells per row, and column totals of these ranges.
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
        """Return the slice for some contexts, those of words first … last − 1."""
        targets: list[OwnTargets] = [OwnCounts(counts) for counts in self._counts]
        own = targets or [OwnWords(*words)]
        return Slice(self._config, contexts, own, batch_size, features)

    def prepare_multiplication(self, own: Slice, context_words: Array, totals: Array) -> None:
        """Compute a slice's columns of the positive PMI matrix."""
        counts = self._counts[TRAINING]
        options = PmiOptions(Path(self._folder.name))
        cells = positive_pmi_cells(counts, context_words, totals, options)
        own.multiply = multiplication(cells)
        own.vocabulary = len(totals)

    def serve(
        self,
        place: tuple[int, int, str, int],
        contexts: Array,
        words: tuple[int, int],
        shape: tuple[int, int],
        pmi: tuple[Array, Array] | None,
    ) -> None:
        """Join the other processes and execute the orders of process 0 until it sends `Order.END`.

        Parameters
        ----------
        place
            Rank, size, and host and port of process 0.
        contexts, words
            As for `make_slice`.
        shape
            The largest B, and the width of the output layer's input.
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
    """The processes of all slices except the first, which belongs to this process.

    Parameters
    ----------
    config
        The run.
    workers
        The number of workers, this process included.
    threads
        CPUs per worker.
    seat
        The node on which to reserve CPUs for this process; None if the node has too few.
    has_room
        Returns whether the cluster still has room for all workers.

    Raises
    ------
    WorkerLost
        If the processes do not start in time, or a machine is lost meanwhile.
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
                    raise WorkerLost("the workers could not be placed")
            fetch(started)
        except WorkerLost:
            self.close()
            raise

    def close(self) -> None:
        """Stop the processes and release their CPUs."""
        for actor in [*self._seats, *self.actors]:
            try:
                ray.kill(actor)
            except RayActorError:  # already dead
                continue


def _actor(kind: type, cpus: int, where: Any) -> Any:
    return ray.remote(num_cpus=cpus, max_restarts=0, scheduling_strategy=where)(kind)


class _Seat:
    """Reserves the CPUs on which process 0 runs, so that Ray schedules nothing else on them."""

    def address(self) -> str:
        return str(get_node_ip_address())
