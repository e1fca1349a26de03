import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedder.arrays import (
    cut_evenly,
    offsets_from_lengths,
    read_only,
    row_lengths,
    unit_rows,
)


def test_offsets_are_where_segments_start_and_the_last_ends():
    assert offsets_from_lengths(np.array([2, 0, 3])).tolist() == [0, 2, 2, 5]
    assert offsets_from_lengths(np.array([], np.int64)).tolist() == [0]


def test_read_only_views_share_the_memory_of_arrays_that_stay_writable(tmp_path):
    array, mapped = np.arange(3), np.memmap(tmp_path / "mapped", np.int32, "w+", shape=3)
    found = read_only(array, mapped)
    array[1] = mapped[2] = 7
    assert [view.tolist() for view in found] == [[0, 7, 2], [0, 0, 7]]
    assert [type(view) for view in found] == [np.ndarray] * 2
    for view in found:
        with pytest.raises(ValueError, match="read-only"):
            view[0] = 1


@given(st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=40), st.data())
def test_ranges_are_never_empty_and_cover_everything(mass, data):
    ranges = data.draw(st.integers(1, len(mass)))
    cuts = cut_evenly(np.array(mass), ranges)
    assert (cuts[0], cuts[-1], len(cuts)) == (0, len(mass), ranges + 1)
    assert (np.diff(cuts) > 0).all()


def test_ranges_have_about_the_same_mass():
    mass = 1 / np.arange(1, 1001)
    sums = np.add.reduceat(mass, cut_evenly(mass, 4)[:-1])
    assert sums.max() - sums.min() < 2 * mass[0]


def test_lengths_neither_overflow_nor_divide_by_zero():
    lengths = row_lengths(np.array([[3e38, 3e38], [0, 0], [3, 4]], np.float32))
    assert lengths[1:].tolist() == [1, 5]
    assert lengths[0] == pytest.approx(3e38 * np.sqrt(2), rel=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("rows", [0, 1, 1023, 1025])
def test_rows_are_scaled_to_length_one_in_their_dtype(rng, rows, dtype):
    matrix = rng.normal(size=(rows, 5)).astype(dtype)
    if rows:
        matrix[rows // 2] = 0
    unit = unit_rows(matrix)
    assert unit.dtype == dtype
    norms = np.linalg.norm(matrix.astype(float), axis=1, keepdims=True)
    np.testing.assert_allclose(unit, matrix / np.where(norms > 0, norms, 1), rtol=1e-6)
    np.testing.assert_array_equal(unit_rows(matrix, row_lengths(matrix)), unit)
