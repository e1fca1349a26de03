import threading
import time

import numpy as np
import pytest
from numba import njit

from embedder.kernels.phases import (
    Phases,
    complete_task,
    load_atomically,
    may_begin,
    new_counters,
    take_task,
)
from embedder.kernels.threads import kernel_threads, share_phases


@njit(nogil=True)
def three_phases(phases, width, numbers, sums, out):
    """Set numbers, then each sum to all of them, then each output to all sums; again and again."""
    rounds = len(out)
    while True:
        task = take_task(phases)
        if task < 0:
            return False
        phase, own = task // width, task % width
        if not may_begin(phases, task, phase * width):
            return True
        step, kind = phase // 3, phase % 3
        if kind == 0:
            numbers[own] = own + step
        elif kind == 1:
            sums[own] = numbers.sum()
        elif step < rounds:
            out[step, own] = sums.sum()
        complete_task(phases)


@pytest.mark.parametrize("threads", [1, 2, 7])
@pytest.mark.parametrize("width", [1, 2, 5, 16])
def test_a_phase_sees_all_that_was_done_before_it(threads, width):
    rounds = 300
    numbers, sums = np.zeros(width, np.int64), np.zeros(width, np.int64)
    out = np.zeros((rounds, width), np.int64)
    with kernel_threads(threads):
        share_phases(three_phases, 3 * width * rounds, threads, width, numbers, sums, out)
    expected = width * (np.arange(width).sum() + np.arange(rounds) * width)
    np.testing.assert_array_equal(out, np.repeat(expected[:, None], width, axis=1))


def test_tasks_are_taken_in_their_order_and_each_once():
    counters = new_counters(2)
    one, two = (Phases(counters, thread, 3) for thread in (0, 1))
    assert [take_task(own) for own in (one, two, one, two, one)] == [0, 1, 2, -1, -1]


def test_a_task_that_may_not_begin_yet_is_kept_for_the_next_call():
    counters = new_counters(2)
    one, two = (Phases(counters, thread, 3) for thread in (0, 1))
    assert take_task(one) == 0
    assert take_task(two) == 1
    assert not may_begin(two, 1, 1)
    complete_task(one)
    assert take_task(two) == 1
    assert may_begin(two, 1, 1)


def test_no_thread_is_waited_for_that_has_not_begun_a_task():
    counters = new_counters(3)  # of three threads, two never come
    out = np.zeros((4, 2), np.int64)
    arguments = 2, np.zeros(2, np.int64), np.zeros(2, np.int64), out
    assert not three_phases(Phases(counters, 0, 24), *arguments)
    assert (out > 0).all()


def test_what_another_thread_writes_is_read():
    counters = np.zeros(1, np.int64)

    def write():
        time.sleep(0.05)
        counters[0] = 5

    @njit(nogil=True)
    def wait(numbers):
        while True:
            found = load_atomically(numbers, 0)
            if found:
                return found

    thread = threading.Thread(target=write)
    wait(np.ones(1, np.int64))  # compile
    thread.start()
    assert wait(counters) == 5
    thread.join()


def test_no_more_threads_take_part_than_a_phase_has_work_for():
    seen = set()

    def note(phases):
        seen.add(phases.thread)
        time.sleep(0.01)  # until the others are there
        return False

    with kernel_threads(5):
        for _ in range(20):
            share_phases(note, 10, 2)
    assert seen == {0, 1}
