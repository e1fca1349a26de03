import threading

import numpy as np
import pytest
from numba import njit

from embedder.kernels.parts import Parts, add_atomically, cut_parts, new_ranges, take


@njit(nogil=True)
def take_all(parts, taken):
    """Count how often each part is taken."""
    while True:
        part = take(parts)
        if part < 0:
            break
        taken[part] += 1


@njit(nogil=True)
def add_often(numbers, index, times):
    total = 0
    for _ in range(times):
        total = add_atomically(numbers, index, 1)
    return total


@pytest.mark.parametrize(
    ("thread", "expected"),
    [(0, [0, 1, 2, 3, 4, 5, 6]), (1, [2, 3, 4, 5, 6, 0, 1]), (2, [4, 5, 6, 0, 1, 2, 3])],
)
def test_a_thread_takes_its_own_parts_in_order_and_then_those_of_others(thread, expected):
    ranges = new_ranges(3)
    cut_parts(7, ranges)
    assert [take(Parts(ranges, thread)) for _ in range(9)] == [*expected, -1, -1]
    assert take(Parts(ranges, 0)) == -1


def test_a_thread_helps_out_with_what_is_left_of_anothers_range():
    ranges = new_ranges(2)
    cut_parts(6, ranges)
    first, second = Parts(ranges, 0), Parts(ranges, 1)
    order = [first, second, second, second, second, first, first]
    assert [take(own) for own in order] == [0, 3, 4, 5, 1, 2, -1]


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("count", [0, 1, 4, 5, 6, 1000])
def test_all_parts_are_cut_into_ranges_of_about_equal_length(threads, count):
    ranges = new_ranges(threads)
    cut_parts(count, ranges)
    taken = np.zeros(count, np.int64)
    take_all(Parts(ranges, threads - 1), taken)
    assert (taken == 1).all()
    cut_parts(count, ranges)
    lengths = ranges[1::16] - ranges[::16]
    assert lengths.sum() == count
    assert lengths.max() - lengths.min() <= 1


def test_no_part_is_taken_twice_by_threads_at_once():
    for _ in range(20):
        ranges, taken = new_ranges(4), [np.zeros(5000, np.int64) for _ in range(4)]
        cut_parts(5000, ranges)
        threads = [
            threading.Thread(target=take_all, args=(Parts(ranges, i), taken[i])) for i in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert (sum(taken) == 1).all()


def test_no_addition_is_lost():
    numbers = np.zeros(3, np.int64)
    assert add_often(numbers, 1, 5) == 4
    threads = [threading.Thread(target=add_often, args=(numbers, 1, 100_000)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert numbers.tolist() == [0, 400_005, 0]
