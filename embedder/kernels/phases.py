"""Tasks in phases that depend on each other, for use inside kernels that several threads run.

Threads take the tasks in their order, and begin one once all tasks of the phases before it are
done. A thread thus waits only for tasks that others have already begun, so that there is no
deadlock however many threads take part, and there is no cost of assembling them for every phase. A
thread that has waited for long gives up its processor (see `share_phases` in
`embedder.kernels.threads`), which those that it waits for may need.
"""

from typing import Any, NamedTuple

import numpy as np
from numba import njit, types
from numba.extending import intrinsic

from embedder.arrays import Array
from embedder.kernels.parts import add_atomically

_NEXT, _DONE = 0, 16
"""Places of the counters, in different cache lines."""
_OWN = 32
_STRIDE = 16
_MAX_POLLS = 1 << 19
"""Some 150 microseconds."""
_NONE = -1


class Phases(NamedTuple):
    """The tasks of some work; one thread's view.

    ``counters (32 + 16 · threads,) int64``
        The next task, the number of completed tasks, and every thread's task that has to wait.
    ``thread``
        The number of this thread.
    ``tasks``
        The number of tasks in all phases.
    """

    counters: Array
    thread: int
    tasks: int


def new_counters(threads: int) -> Array:
    """Allocate the counters of `Phases` for a number of threads."""
    counters: Array = np.zeros(_OWN + _STRIDE * threads, np.int64)
    counters[_OWN:] = _NONE
    return counters


def _load_atomically(typing_context, array, index):
    """Return an entry of a one-dimensional contiguous int64 array, written by other threads."""

    def generate(context, builder, signature, arguments):
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        return builder.load_atomic(builder.gep(data, [arguments[1]]), "seq_cst", 8)

    return types.int64(array, types.intp), generate


load_atomically: Any = intrinsic(_load_atomically)


@njit(nogil=True, cache=True)
def await_change(numbers, index, seen, polls):
    """Wait until an entry is no longer `seen`, but no longer than some polls; return the entry."""
    found = seen
    for _ in range(polls):
        found = load_atomically(numbers, index)
        if found != seen:
            break
    return found


@njit(nogil=True, cache=True)
def await_zero(numbers, index, polls):
    """Wait until an entry is zero, but no longer than some polls."""
    for _ in range(polls):
        if load_atomically(numbers, index) == 0:
            break


@njit(inline="always")
def take_task(phases):
    """Return this thread's next task, or −1 if all are taken."""
    counters, thread, tasks = phases
    own = _OWN + _STRIDE * thread
    task = counters[own]
    if task == _NONE:
        task = add_atomically(counters, _NEXT, 1)
    counters[own] = _NONE
    return task if task < tasks else -1


@njit(inline="always")
def may_begin(phases, task, before):
    """Wait until the first `before` tasks are done, and return True.

    If that takes long, return False and keep the task; the kernel must then return True.
    """
    counters = phases.counters
    for _ in range(_MAX_POLLS):
        if load_atomically(counters, _DONE) >= before:
            return True
    counters[_OWN + _STRIDE * phases.thread] = task
    return False


@njit(inline="always")
def complete_task(phases):
    """Count a task as done."""
    add_atomically(phases.counters, _DONE, 1)
