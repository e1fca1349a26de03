"""The number of threads that run kernels, with a single-threaded BLAS in each."""

from collections.abc import Iterator
from contextlib import contextmanager

import numba
import scipy.linalg.cython_blas  # noqa: F401 - see kernel_threads
from threadpoolctl import threadpool_limits


def available_threads() -> int:
    """Return the number of threads available to kernels on this machine."""
    return int(numba.config.NUMBA_NUM_THREADS)  # type: ignore[attr-defined]


@contextmanager
def kernel_threads(threads: int) -> Iterator[None]:
    """Run kernels on at most this many threads, each with a single-threaded BLAS.

    Results depend on the number of shares that the work is cut into (the kernels' `threads`), not
    on how many threads execute them, so that requesting more than the machine has is no error.

    `np.dot` in a kernel calls SciPy's BLAS, which must be loaded before it can be limited (hence
    the import above). A multi-threaded BLAS inside `prange` is three times slower.
    """
    before = numba.get_num_threads()
    numba.set_num_threads(min(threads, available_threads()))
    try:
        with threadpool_limits(1, "blas"):
            yield
    finally:
        numba.set_num_threads(before)
