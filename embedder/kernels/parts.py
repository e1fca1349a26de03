"""Work cut into parts that threads take as they become free, for use inside kernels.

How work is cut depends on the work alone, never on the threads, and what parts contribute to the
same sum is added in the order of the parts. So the result has the same bits on any number of
threads, and a thread whose processor is busy with other programs delays the others by at most the
part that it is working on.

A thread first takes the parts of its own range in order, because consecutive parts share data in
the cache, and then those left of the ranges of other threads.
"""

from typing import Any, NamedTuple

import numpy as np
from numba import njit, types
from numba.extending import intrinsic

from embedder.arrays import Array

_STRIDE = 16
"""Numbers between the counters of two threads, so that they are in different cache lines."""


class Parts(NamedTuple):
    """The parts that are left of some work; one thread's view.

    ``ranges (threads · 16,) int64``
        Entry 16 t is the next part of thread t's range, the entry after it the range's end.
    ``thread``
        The number of this thread.
    """

    ranges: Array
    thread: int


def new_ranges(threads: int) -> Array:
    """Allocate the ranges of `Parts` for a number of threads."""
    return np.zeros(threads * _STRIDE, np.int64)


def cut_parts(count: int, ranges: Array) -> None:
    """Set ranges to contain parts 0 … count − 1, distributed evenly."""
    threads = len(ranges) // _STRIDE
    ends = np.arange(threads + 1) * count // threads
    ranges[::_STRIDE] = ends[:-1]
    ranges[1::_STRIDE] = ends[1:]


def _add_atomically(typing_context, array, index, value):
    """Add to an entry of a one-dimensional contiguous int64 array; return what it was before."""

    def generate(context, builder, signature, arguments):
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        address = builder.gep(data, [arguments[1]])
        return builder.atomic_rmw("add", address, arguments[2], "seq_cst")

    return types.int64(array, types.intp, types.int64), generate


add_atomically: Any = intrinsic(_add_atomically)


@njit(inline="always")
def take(parts):
    """Return the number of a part that no other thread takes, or −1 if none is left."""
    ranges, thread = parts
    threads = len(ranges) // _STRIDE
    for k in range(threads):
        place = (thread + k) % threads * _STRIDE
        if ranges[place] < ranges[place + 1]:
            part = add_atomically(ranges, place, 1)
            if part < ranges[place + 1]:
                return part
    return -1
