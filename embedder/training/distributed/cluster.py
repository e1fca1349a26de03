"""Ray: joining or starting a cluster, and running functions as its tasks.

A task that is lost with its machine is repeated, and so are the tasks whose results it needs: Ray
remembers how every object was made. Objects that do not fit into memory are spilled to disk.
"""

import hashlib
import logging
import os
import re
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from inspect import isgeneratorfunction
from pathlib import Path
from typing import Any

# A machine's traceback about its full disk would precede the error, which says so in one sentence.
os.environ.setdefault("RAY_DEDUP_LOGS_SKIP_REGEX", "IO worker was spilling objects")

import ray
from ray.exceptions import (
    GetTimeoutError,
    ObjectStoreFullError,
    OutOfDiskError,
    RayError,
    RayTaskError,
)
from ray.util import get_node_ip_address

from embedder.config_sections.training import ClusterConfig
from embedder.errors import EmbedderError, RunError
from embedder.storage import describe_write_error
from embedder.training.engine import MachineError, WorkerLost
from embedder.version import __version__

_SECONDS_TO_CONNECT = 10.0
_SECONDS_BETWEEN_LOOKS = 10.0
_SECONDS_TO_MOVE_OBJECTS = 60.0
"""While a task's arguments are fetched or restored from disk, no CPU may be in use."""
_NOT_IMPORTED = "failed to import on the worker"
"""In what Ray says of a task whose function a machine does not have."""
Reference = Any


class Cluster:
    """A Ray cluster that this process has joined or started.

    Parameters
    ----------
    config
        The address, and how long to wait for machines.
    cpus
        CPUs to use if Ray is started on this machine.

    Raises
    ------
    RunError
        If there is no cluster at the address.
    """

    def __init__(self, config: ClusterConfig, cpus: int) -> None:
        self._joined_before = ray.is_initialized()
        self._patience = 60 * config.wait_minutes
        self._idle_since: float | None = None
        if self._joined_before:
            return
        if config.address is not None:
            _check_reachable(config.address)
        try:
            ray.init(
                address=config.address or "local",
                num_cpus=None if config.address else cpus,
                include_dashboard=None if config.address else False,
                log_to_driver=False,
                logging_level=logging.ERROR,
            )
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise RunError(
                f"cluster.address {config.address}: no Ray cluster can be joined there "
                f"({_first_line(error)}); start one with `ray start --head`, or omit the address."
            ) from None
        except OSError as error:
            raise RunError(
                f"Ray cannot start ({_first_line(error)}); it requires a writable folder for "
                "temporary files with a short path: set RAY_TMPDIR."
            ) from None

    def cpus(self) -> int:
        """Return the number of CPUs of all machines that are alive."""
        alive = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        return int(sum(own.get("CPU", 0) for own in alive))

    def machines(self) -> int:
        """Return the number of machines that are alive and have CPUs."""
        return sum(node["Alive"] and node["Resources"].get("CPU", 0) >= 1 for node in ray.nodes())

    def run(self, function: Callable[..., Any], *arguments: Any, returns: int = 1) -> Any:
        """Run a function as a task on one CPU.

        Parameters
        ----------
        function
            Of the package, pure. A generator's values are stored one at a time.
        arguments
            References among them stand for their values.
        returns
            The number of values that it returns.

        Returns
        -------
        Reference, or list of Reference
            To each value.
        """
        task = _generator_task if isgeneratorfunction(function) else _task
        return task.options(num_returns=returns).remote(fingerprint(), function, *arguments)

    def put(self, value: Any) -> Reference:
        """Put a value into the object store, from where every machine can fetch it.

        Raises
        ------
        MachineError
            If the disk for spilled objects is full.
        """
        try:
            return ray.put(value)
        except RayError as error:
            raise _translated(error) from None

    def fetch(self, reference: Reference) -> Any:
        """Return the value of a reference.

        Raises
        ------
        EmbedderError
            If its task raised it, or a disk is full.
        WorkerLost
            If the value is lost and cannot be recomputed, or no machine is left.
        MachineError
            If no machine works, although tasks wait.
        """
        while True:
            try:
                value = ray.get(reference, timeout=_SECONDS_BETWEEN_LOOKS)
            except GetTimeoutError:
                self._require_work()
            except RayError as error:
                raise _translated(error) from None
            else:
                self._idle_since = None
                return value

    def as_completed(self, references: list[Reference]) -> Iterator[Reference]:
        """Yield references as their tasks end or fail."""
        waiting = list(references)
        while waiting:
            ready, waiting = ray.wait(waiting, timeout=_SECONDS_BETWEEN_LOOKS, fetch_local=False)
            if ready:
                self._idle_since = None
                yield from ready
            else:
                self._require_work()

    def _require_work(self) -> None:
        """Raise if no machine has had CPUs, or none has used any, for too long."""
        cpus = self.cpus()
        if cpus > 0 and ray.available_resources().get("CPU", 0) < cpus:
            self._idle_since = None
            return
        now = time.monotonic()
        self._idle_since = self._idle_since or now
        idle = now - self._idle_since
        if cpus == 0 and idle > self._patience:
            raise WorkerLost("The cluster has no machine with CPUs left")
        if cpus > 0 and idle > max(self._patience, _SECONDS_TO_MOVE_OBJECTS):
            # Ray reports a full disk to who makes an object, but waits where one is restored.
            raise MachineError(
                f"The cluster's tasks have been waiting for objects for {idle / 60:.0f} minutes, "
                "as they do when the disk for spilled objects is full; free space on its machines, "
                "or start Ray there with --object-spilling-directory elsewhere."
            )

    def close(self) -> None:
        """Leave the cluster, and stop it if this process started it."""
        if not self._joined_before:
            ray.shutdown()


@cache
def fingerprint() -> str:
    """Return the version of this program, and a digest of its source."""
    package, found = Path(__file__).parents[2], hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        found.update(path.relative_to(package).as_posix().encode() + path.read_bytes())
    return f"{__version__} ({found.hexdigest()[:8]})"


@contextmanager
def _checked(wanted: str) -> Iterator[None]:
    """Run on one thread, if this is the leader's version of the program.

    Raises
    ------
    MachineError
        For another version, or a file that cannot be written, such as on a full disk.
    """
    from embedder.kernels.threads import kernel_threads

    if fingerprint() != wanted:
        raise MachineError(
            f"{get_node_ip_address()}: this machine of the cluster has embedder {fingerprint()}, "
            f"but the leader has {wanted}; install the same version on all machines."
        )
    try:
        with kernel_threads(1):
            yield
    except OSError as error:
        path = Path(error.filename or tempfile.gettempdir())
        problem = describe_write_error(path, error, "set TMPDIR to another folder there")
        raise MachineError(
            f"{get_node_ip_address()}, a machine of the cluster: {problem}"
        ) from None


def run_checked(wanted: str, function: Callable[..., Any], *arguments: Any) -> Any:
    """Run a function as `_checked` says."""
    with _checked(wanted):
        return function(*arguments)


def yield_checked(
    wanted: str, function: Callable[..., Iterator[Any]], *arguments: Any
) -> Iterator[Any]:
    """Run a generator as `_checked` says."""
    with _checked(wanted):
        yield from function(*arguments)


_task = ray.remote(num_cpus=1, max_retries=-1)(run_checked)
_generator_task = ray.remote(num_cpus=1, max_retries=-1)(yield_checked)


def _translated(error: RayError) -> Exception:
    """Return what a task raised, or `WorkerLost`."""
    cause: BaseException = error
    while isinstance(cause, RayTaskError):  # a task may have fetched from a failed task
        if not isinstance(cause.cause, BaseException):
            return cause
        cause = cause.cause
    if isinstance(cause, (OutOfDiskError, ObjectStoreFullError)):
        found = re.search(r"ip=([^\s,)]+)", str(error))
        where = f"{found[1]}: this" if found else "A"
        return MachineError(
            f"{where} machine of the cluster has no disk space left for spilled objects; free "
            "some, or start Ray there with --object-spilling-directory elsewhere."
        )
    if isinstance(cause, (EmbedderError, MemoryError, WorkerLost)):
        return cause
    if isinstance(cause, ImportError) or _NOT_IMPORTED in str(cause):
        reason = f" ({_first_line(cause)})" if isinstance(cause, ImportError) else ""
        return MachineError(
            f"A machine of the cluster lacks what the leader has{reason}; install the same version "
            f"of everything on all machines, here embedder {fingerprint()}."
        )
    if isinstance(cause, RayError):
        return WorkerLost(f"A machine of the cluster was lost ({_first_line(cause)})")
    return error


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


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
