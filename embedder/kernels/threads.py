"""The threads that run kernels, each with a single-threaded BLAS.

Kernels that several threads share are called through `share`. They are compiled without Numba's
own parallel loops, whose threads wait in ways that are costly on a busy machine, do not survive a
fork, and exist once per process. Here every `kernel_threads` has a team of its own: Python threads
that release the interpreter's lock inside a kernel and sleep between kernels. Threads that wake up
late find the work done and are not waited for.
"""

import contextlib
import math
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numba
import numpy as np
import scipy.linalg.cython_blas  # noqa: F401 - see kernel_threads
from threadpoolctl import threadpool_limits

from embedder.kernels.parts import Parts, cut_parts, new_ranges
from embedder.kernels.phases import MAX_POLLS, Phases, await_change, await_zero, new_counters

_CALLS, _AT_WORK = 0, 16
"""Places of counters, in different cache lines."""
_PAUSE = 5e-5
"""Seconds that a thread sleeps before it looks again whether the tasks before its own are done."""
_QUOTA = Path("/sys/fs/cgroup/cpu.max")
"""What a Linux container may use: microseconds of processors in a period, "200000 100000"."""


def available_threads() -> int:
    """Return the number of processors that this process may use, or `NUMBA_NUM_THREADS` if set."""
    found = int(numba.config.NUMBA_NUM_THREADS)  # type: ignore[attr-defined]
    if "NUMBA_NUM_THREADS" in os.environ:
        return found
    try:
        quota, period = (float(number) for number in _QUOTA.read_text().split())
    except (OSError, ValueError):
        return found
    return max(1, min(found, math.ceil(quota / period)))


class _Work(NamedTuple):
    """A kernel and its arguments after the `Parts`."""

    kernel: Callable[..., Any]
    arguments: tuple[Any, ...]


class _Team:
    """A thread's helpers: it hands them work, takes part in it, and waits for those at work."""

    def __init__(self, threads: int) -> None:
        self._process = os.getpid()
        self._ranges = new_ranges(threads)
        self._idle = threading.Condition()
        self._work: _Work | None = None
        self._wanted = 0
        self._error: BaseException | None = None
        self._is_closed = False
        self._counters = np.zeros(32, np.int64)
        self._alarms = [threading.Lock() for _ in range(1, threads)]
        for number, alarm in enumerate(self._alarms, 1):
            alarm.acquire()
            name = f"embedder kernels {number}"
            threading.Thread(target=self._help, args=(number,), name=name, daemon=True).start()

    @property
    def is_alive(self) -> bool:
        """Whether the helpers exist: threads do not survive a fork."""
        return self._process == os.getpid()

    @property
    def size(self) -> int:
        return len(self._alarms) + 1

    def run(self, parts: int, work: _Work, threads: int) -> None:
        """Run a kernel on the parts of its work, in up to `threads` threads that are free."""
        with self._idle:
            self._wait()  # there is nobody to wait for, unless the last work was interrupted
            cut_parts(parts, self._ranges)
            self._work, self._wanted = work, threads
            self._counters[_CALLS] += 1
        for alarm in self._alarms[: max(0, threads - 1)]:
            if alarm.locked():  # otherwise the helper has yet to hear the last one
                alarm.release()
        try:
            work.kernel(Parts(self._ranges, 0), *work.arguments)
        finally:
            with self._idle:
                self._work = None
            await_zero(self._counters, _AT_WORK, MAX_POLLS)
            with self._idle:
                self._wait()
        if self._error is not None:
            error, self._error = self._error, None
            raise error

    def _wait(self) -> None:
        while self._counters[_AT_WORK] > 0:
            self._idle.wait()

    def _help(self, number: int) -> None:
        parts = Parts(self._ranges, number)
        seen = 0
        while True:
            calls = await_change(self._counters, _CALLS, seen, MAX_POLLS)
            if calls == seen:
                self._alarms[number - 1].acquire()
            seen = calls
            with self._idle:
                work = self._work
                if self._is_closed:
                    return
                if work is None or number >= self._wanted:
                    continue
                self._counters[_AT_WORK] += 1
            try:
                work.kernel(parts, *work.arguments)
            except BaseException as error:  # raised again by `run`
                self._error = error
            with self._idle:
                self._counters[_AT_WORK] -= 1
                if self._counters[_AT_WORK] == 0:
                    self._idle.notify()

    def close(self) -> None:
        """End the helpers."""
        self._is_closed = True
        for alarm in self._alarms:
            with contextlib.suppress(RuntimeError):  # it has yet to hear the last one
                alarm.release()


class _Local(threading.local):
    team: _Team | None = None


_local = _Local()


class _BlasLimit:
    """Limits BLAS to one thread in this process while any kernels run."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._limits: Any = None

    @contextmanager
    def held(self) -> Iterator[None]:
        with self._lock:
            if self._users == 0:
                self._limits = threadpool_limits(1, "blas")
            self._users += 1
        try:
            yield
        finally:
            with self._lock:
                self._users -= 1
                if self._users == 0:
                    self._limits.restore_original_limits()


_blas_limit = _BlasLimit()


@contextmanager
def kernel_threads(threads: int) -> Iterator[None]:
    """Run the kernels that the calling thread shares (`share`) on this many threads.

    Results do not depend on the number, and it may be more than the machine has.

    `np.dot` in a kernel calls SciPy's BLAS, which must be loaded before it can be limited (hence
    the import above). A multi-threaded BLAS inside threads is three times slower.
    """
    before = _local.team
    with _blas_limit.held():
        _local.team = _Team(threads)
        try:
            yield
        finally:
            _local.team.close()  # in a forked child, no longer the one of its parent
            _local.team = before


def share(kernel: Callable[..., Any], parts: int, *arguments: Any) -> None:
    """Run a kernel on the threads of `kernel_threads`, or on this one outside of it.

    Parameters
    ----------
    kernel
        Compiled with `nogil`. Its first parameter is a `Parts`, of which it takes parts until none
        is left; it returns nothing.
    parts
        The number of parts of the work.
    arguments
        The kernel's other arguments.
    """
    _team().run(parts, _Work(kernel, arguments), parts)


def share_phases(kernel: Callable[..., Any], tasks: int, width: int, *arguments: Any) -> None:
    """Run a kernel of several phases, otherwise as `share`.

    Parameters
    ----------
    kernel
        Compiled with `nogil`. Its first parameter is a `Phases`, of which it takes tasks until none
        is left; it then returns False.
    tasks
        The number of tasks of all phases.
    width
        The most threads to run it on: the number of tasks of the phase that has most of the work.
        Any others would only wait, and occupy processors that these threads may need.
    arguments
        The kernel's other arguments.
    """
    team = _team()
    counters = new_counters(team.size)

    def run(parts: Parts, *arguments: Any) -> None:
        while kernel(Phases(counters, parts.thread, tasks), *arguments):
            time.sleep(_PAUSE)

    team.run(tasks, _Work(run, arguments), width)


def _team() -> _Team:
    """Return this thread's team, or one without helpers."""
    team = _local.team
    if team is None:
        return _Team(1)
    if not team.is_alive:
        team = _local.team = _Team(team.size)
    return team
