"""How many threads the kernels run on, and BLAS on one in each of them."""

from collections.abc import Iterator
from contextlib import contextmanager

import numba
import scipy.linalg.cython_blas  # noqa: F401 - see kernel_threads
from threadpoolctl import threadpool_limits


def available_threads() -> int:
    """Return how many threads this machine offers to the kernels."""
    return int(numba.config.NUMBA_NUM_THREADS)  # type: ignore[attr-defined]


@contextmanager
def kernel_threads(threads: int) -> Iterator[None]:
    """Run kernels on at most so many threads, each with a BLAS of one thread.

    Results depend on how many parts the work is cut into, not on how many threads carry them out,
    so asking for more than the machine has is no error.

    `np.dot` in a kernel calls the BLAS that SciPy carries. It must be loaded before it can be
    limited (the import above): a BLAS of several threads inside `prange` runs three times slower.
    """
    before = numba.get_num_threads()
    numba.set_num_threads(min(threads, available_threads()))
    try:
        with threadpool_limits(1, "blas"):
            yield
    finally:
        numba.set_num_threads(before)
