import numpy as np
import pytest
from numba import njit

from embedder.kernels.prefetch import prefetch, prefetch_row


@njit
def sum_of_rows(table, rows):
    """Rows of a table added up, each fetched before its turn, as kernels do."""
    total = np.zeros(table.shape[1], table.dtype)
    for i in range(len(rows)):
        prefetch_row(table, rows[min(i + 2, len(rows) - 1)])
        total += table[rows[i]]
    return total


@njit
def fetch_all(table, rows):
    for row in rows:
        prefetch_row(table, row)


@njit
def fetch_numbers(array, places):
    for place in places:
        prefetch(array, place)


@pytest.mark.parametrize("D", [0, 1, 15, 16, 17, 100])
def test_a_hint_changes_no_number(rng, D):
    table, rows = rng.normal(size=(9, D)), rng.integers(0, 9, 40)
    before = table.copy()
    np.testing.assert_allclose(sum_of_rows(table, rows), table[rows].sum(0), rtol=1e-10, atol=1e-12)
    prefetch_row(table, 3)
    np.testing.assert_array_equal(table, before)


def test_an_index_out_of_range_reads_nothing_and_fails_nothing(rng):
    table = rng.normal(size=(9, 17))
    before = table.copy()
    rows = np.array([-1, 9, 10**6, -(10**6), 10**12, -(10**12)])
    fetch_all(table, rows)
    fetch_all(table[:0], rows)
    fetch_numbers(table[0], rows)
    np.testing.assert_array_equal(table, before)


def test_the_hint_reaches_the_processor(rng):
    fetch_all(rng.normal(size=(9, 17)), np.arange(9))
    assert all("llvm.prefetch" in code for code in fetch_all.inspect_llvm().values())
