import numba
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from embedder.kernels.threads import available_threads, kernel_threads


def blas_threads():
    return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}


def test_available_threads_are_the_most_that_numba_allows():
    before = numba.get_num_threads()
    assert 1 <= before <= available_threads()
    with pytest.raises(ValueError, match="number of threads"):
        numba.set_num_threads(available_threads() + 1)


@pytest.mark.parametrize("threads", [1, 2, 7, 10**6])
def test_kernels_run_on_the_threads_asked_for_and_no_more_than_there_are(threads):
    before = numba.get_num_threads()
    with kernel_threads(threads):
        assert numba.get_num_threads() == min(threads, available_threads())
    assert numba.get_num_threads() == before


def test_each_kernels_blas_has_one_thread():
    with threadpool_limits(2, "blas"):
        before = blas_threads()
        with kernel_threads(2):
            assert blas_threads() <= {1}
        assert blas_threads() == before


def test_blocks_within_blocks_give_back_what_was_there():
    before = numba.get_num_threads()
    with kernel_threads(available_threads()):
        with kernel_threads(1):
            assert numba.get_num_threads() == 1
        assert numba.get_num_threads() == available_threads()
        assert blas_threads() <= {1}
    assert numba.get_num_threads() == before


def test_an_error_gives_back_what_was_there():
    before = numba.get_num_threads()
    with threadpool_limits(2, "blas"):
        blas = blas_threads()
        with pytest.raises(KeyError), kernel_threads(1):
            raise KeyError
        assert blas_threads() == blas
    assert numba.get_num_threads() == before
