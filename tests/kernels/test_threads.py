import multiprocessing
import threading

import numpy as np
import pytest
from numba import njit
from threadpoolctl import threadpool_info, threadpool_limits

from embedder.kernels import threads as module
from embedder.kernels.parts import take
from embedder.kernels.threads import available_threads, kernel_threads, share


@njit(nogil=True)
def mark(parts, marks, work):
    """Add 1 to every part's mark, after some work."""
    while True:
        part = take(parts)
        if part < 0:
            break
        total = 0.0
        for i in range(work):
            total += np.sqrt(i + part)
        marks[part] += 1 + 0 * total


@njit(nogil=True)
def record(parts, threads):
    """Set every part's thread."""
    while True:
        part = take(parts)
        if part < 0:
            break
        threads[part] = parts.thread


def blas_threads():
    return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}


def helpers():
    return [t for t in threading.enumerate() if t.name.startswith("embedder kernels")]


@pytest.mark.parametrize("threads", [1, 2, 7])
@pytest.mark.parametrize("parts", [0, 1, 2, 3, 100])
def test_every_part_is_taken_once(threads, parts):
    marks = np.zeros(parts)
    with kernel_threads(threads):
        for _ in range(50):
            share(mark, parts, marks, 10)
    assert (marks == 50).all()


def test_helpers_take_part():
    threads = np.full(64, -1)
    marks = np.zeros(64)
    seen = set()
    with kernel_threads(3):
        for _ in range(200):  # on a busy machine, a helper may come too late
            share(record, 64, threads)
            share(mark, 64, marks, 20_000)
            share(record, 64, threads)
            seen |= set(threads.tolist())
            if seen == {0, 1, 2}:
                break
    assert seen <= {0, 1, 2}
    assert len(seen) > 1


def test_helpers_exist_only_within_the_block_and_one_less_than_threads():
    before = set(helpers())  # those of earlier blocks are about to end
    with kernel_threads(3):
        own = set(helpers()) - before
        assert len(own) == 2
        with kernel_threads(1):
            assert set(helpers()) <= before | own
    for thread in own:
        thread.join(10)
    assert not own & set(helpers())


def test_outside_of_a_block_the_caller_does_all_the_work():
    threads = np.full(9, -1)
    share(record, 9, threads)
    assert (threads == 0).all()


def test_threads_of_the_program_have_teams_of_their_own():
    def work(marks):
        with kernel_threads(2):
            for _ in range(200):
                share(mark, len(marks), marks, 10)

    marks = [np.zeros(20), np.zeros(30), np.zeros(40)]
    callers = [threading.Thread(target=work, args=(own,)) for own in marks]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert all((own == 200).all() for own in marks)


def test_an_error_in_a_helper_is_raised_and_the_team_goes_on():
    helped = threading.Event()

    def fail(parts, _):
        if parts.thread:
            helped.set()
            raise MemoryError("no room")
        helped.wait(60)
        while take(parts) >= 0:
            pass

    marks = np.zeros(4)
    with kernel_threads(2):
        with pytest.raises(MemoryError, match="no room"):
            share(fail, 4, marks)
        share(mark, 4, marks, 10)
    assert (marks == 1).all()


def test_an_error_in_the_caller_waits_for_the_helpers():
    def interrupted(parts, _):
        if parts.thread == 0:
            raise KeyboardInterrupt
        while take(parts) >= 0:
            pass

    marks = np.zeros(4)
    with kernel_threads(3):
        with pytest.raises(KeyboardInterrupt):
            share(interrupted, 4, marks)
        share(mark, 4, marks, 10)
    assert (marks == 1).all()


def _work_in_a_child(results):
    marks = np.zeros(30)
    share(mark, 30, marks, 10)
    results.put(marks.sum())


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_works_with_helpers_of_its_own():
    context = multiprocessing.get_context("fork")
    results = context.SimpleQueue()
    with kernel_threads(3):
        share(mark, 30, np.zeros(30), 10)
        child = context.Process(target=_work_in_a_child, args=(results,))
        child.start()
        child.join(60)
        assert child.exitcode == 0
        assert results.get() == 30


@pytest.mark.parametrize(
    ("quota", "threads"),
    [("max 100000", 8), ("200000 100000", 2), ("50000 100000", 1), ("250000 100000", 3), ("", 8)],
)
def test_a_container_has_as_many_threads_as_its_quota(monkeypatch, tmp_path, quota, threads):
    file = tmp_path / "cpu.max"
    file.write_text(quota)
    monkeypatch.setattr(module, "_QUOTA", file)
    monkeypatch.setattr(module.numba.config, "NUMBA_NUM_THREADS", 8)
    monkeypatch.delenv("NUMBA_NUM_THREADS", raising=False)
    assert available_threads() == threads
    monkeypatch.setenv("NUMBA_NUM_THREADS", "8")
    assert available_threads() == 8


def test_each_kernels_blas_has_one_thread():
    with threadpool_limits(2, "blas"):
        before = blas_threads()
        with kernel_threads(2):
            assert blas_threads() <= {1}
            with kernel_threads(1):
                assert blas_threads() <= {1}
            assert blas_threads() <= {1}
        assert blas_threads() == before


def test_an_error_gives_back_what_was_there():
    with threadpool_limits(2, "blas"):
        blas = blas_threads()
        with pytest.raises(KeyError), kernel_threads(1):
            raise KeyError
        assert blas_threads() == blas
