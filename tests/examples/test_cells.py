import numpy as np
import pytest

from embedder.examples.cells import Cooccurrences, stack_rows, store_rows


def assert_same(one, other):
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a, b)
        assert a.dtype == b.dtype


@pytest.fixture
def parts(rng):
    def part(rows):
        lengths = rng.integers(0, 4, rows)
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        weights = rng.random(offsets[-1]).astype(np.float32)
        return Cooccurrences(offsets, rng.integers(0, 9, offsets[-1], np.int32), weights)

    return [part(rows) for rows in (3, 1, 5)]


def test_rows_are_stored_on_disk_one_part_after_the_other(parts, tmp_path):
    found = store_rows(iter(parts), tmp_path / "rows")
    assert_same(found, stack_rows(parts))
    assert_same(found.rows(3, 4), parts[1])
    assert not found.weights.flags.writeable
    assert (tmp_path / "rows.weights").stat().st_size == 4 * len(found.weights)


def test_rows_are_kept_in_memory_without_a_path(parts):
    assert_same(store_rows(iter(parts), None), stack_rows(parts))
    only = store_rows(iter(parts[:1]), None)
    assert all(a is b for a, b in zip(only, parts[0], strict=True))


@pytest.mark.parametrize("is_on_disk", [True, False])
def test_rows_without_cells_are_stored(tmp_path, is_on_disk):
    empty = Cooccurrences(np.zeros(3, np.int64), np.empty(0, np.int32), np.empty(0, np.float32))
    assert_same(store_rows(iter([empty]), tmp_path / "rows" if is_on_disk else None), empty)
