"""Tasks in phases that depend on each other, for use inside kernels that several threads run.

Threads take the tasks in their order, and begin one once all tasks of the phases before it are
done. A thread thus waits only for tasks that others have already begun, so that there is no
deadlock however many threads take part, and there is no cost of assembling them for every phase. A
thread that has waited for long gives up its processor (see `share_phases` in
`embedder.kernels.threads`), which those that it waits for may need.
"""

import platform
from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from embedder.arrays import Array
from embedder.kernels.parts import add_atomically

_NEXT, _DONE = 0, 16
"""Places of the counters, in different cache lines."""
_OWN = 32
_STRIDE = 16
_RESTS = platform.machine().lower() in ("x86_64", "amd64")
MAX_POLLS = 1 << 12 if _RESTS else 1 << 19
"""How often a thread that waits for another looks again before it sleeps: for some 100
microseconds, about as long as it takes to wake up."""
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


def _pause(typing_context):
    """Let a processor rest for some 40 to 140 cycles.

    Threads that look again without a rest take execution units from another thread of the same
    core, and the cache line that they look at from the thread that they wait for: the more of them,
    the longer each look takes.
    """

    def generate(context, builder, signature, arguments):
        if _RESTS:
            kind = ir.FunctionType(ir.VoidType(), [])
            name = "llvm.x86.sse2.pause"
            builder.call(cgutils.get_or_insert_function(builder.module, kind, name), [])
        return context.get_dummy_value()

    return types.void(), generate


pause: Any = intrinsic(_pause)


@njit(nogil=True, cache=True)
def await_change(numbers, index, seen, polls):
    """Wait until an entry is no longer `seen`, but no longer than some polls; return the entry."""
    found = seen
    for _ in range(polls):
        found = load_atomically(numbers, index)
        if found != seen:
            break
        pause()
    return found


@njit(nogil=True, cache=True)
def await_zero(numbers, index, polls):
    """Wait until an entry is zero, but no longer than some polls."""
    for _ in range(polls):
        if load_atomically(numbers, index) == 0:
            break
        pause()


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
    for _ in range(MAX_POLLS):
        if load_atomically(counters, _DONE) >= before:
            return True
        pause()
    counters[_OWN + _STRIDE * phases.thread] = task
    return False


@njit(inline="always")
def complete_task(phases):
    """Count a task as done."""
    add_atomically(phases.counters, _DONE, 1)
