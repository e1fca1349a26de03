import naive
import numpy as np
import pytest

from embedder.arrays import offsets_from_lengths
from embedder.kernels.pieces import (
    add_pieces,
    add_row_lengths,
    count_cells_per_range,
    cut_columns,
    place_columns,
)

SHAPES = [(0, 1), (1, 1), (1, 9), (9, 1), (12, 7), (40, 65)]
DENSITIES = [0.0, 0.05, 0.5, 1.0]


def random_counts(rng, shape, density):
    """Positive weights in some cells."""
    return rng.uniform(0.5, 2.0, shape) * (rng.random(shape) < density)


def compressed(dense):
    """(offsets, columns, weights)."""
    rows, columns = np.nonzero(dense)
    offsets = offsets_from_lengths(np.bincount(rows, minlength=len(dense)))
    return offsets, columns.astype(np.int32), dense[rows, columns]


def as_piece(dense):
    """(rows, ends, columns, weights) of the rows that are not empty."""
    offsets, columns, weights = compressed(dense)
    rows = np.flatnonzero(np.diff(offsets)).astype(np.int32)
    return rows, offsets[1:][rows].astype(np.int64), columns, weights


def room_for(rows, cells):
    """A piece to be written."""
    return (
        np.full(rows, -9, np.int32),
        np.full(rows, -9, np.int64),
        np.full(cells, -9, np.int32),
        np.full(cells, np.nan),
    )


def assert_same(found, expected):
    for mine, true in zip(found, expected, strict=True):
        np.testing.assert_array_equal(mine, true)


def random_ranges(rng, columns, ranges):
    """The range of each column, in no order, and its number there; some may have none."""
    range_of = rng.integers(0, ranges, columns).astype(np.int32)
    own_of = np.array([(range_of[:c] == range_of[c]).sum() for c in range(columns)], np.int32)
    return range_of, own_of


@pytest.mark.parametrize("ranges", [1, 2, 7])
@pytest.mark.parametrize("density", DENSITIES)
@pytest.mark.parametrize("shape", SHAPES)
def test_cells_and_filled_rows_of_ranges_are_counted(rng, shape, density, ranges):
    dense = random_counts(rng, shape, density)
    range_of, _ = random_ranges(rng, shape[1], ranges)
    offsets, columns, _ = compressed(dense)
    cells, filled = np.zeros((2, ranges), np.int64)
    count_cells_per_range(offsets, columns, range_of, cells, filled)
    assert_same((cells, filled), naive.count_cells_per_range(dense, range_of, ranges))


@pytest.mark.parametrize("ranges", [1, 2, 7])
@pytest.mark.parametrize("density", DENSITIES)
@pytest.mark.parametrize("shape", SHAPES)
def test_ranges_of_columns_are_cut_out(rng, shape, density, ranges):
    dense = random_counts(rng, shape, density)
    range_of, own_of = random_ranges(rng, shape[1], ranges)
    cells, filled = naive.count_cells_per_range(dense, range_of, ranges)
    starts, row_starts = offsets_from_lengths(cells), offsets_from_lengths(filled)
    whole = room_for(row_starts[-1], starts[-1])
    cut_columns(compressed(dense), range_of, own_of, whole, row_starts, starts)
    for r in range(ranges):
        rows, own = slice(*row_starts[r : r + 2]), slice(*starts[r : r + 2])
        piece = *(a[rows] for a in whole[:2]), *(a[own] for a in whole[2:])
        assert_same(piece, as_piece(dense[:, range_of == r]))


@pytest.mark.parametrize("densities", [(a, b) for a in DENSITIES for b in DENSITIES])
@pytest.mark.parametrize("shape", SHAPES)
def test_pieces_are_added_up(rng, shape, densities):
    one, other = (random_counts(rng, shape, density) for density in densities)
    pieces = as_piece(one), as_piece(other)
    room = room_for(*(len(pieces[0][i]) + len(pieces[1][i]) for i in (0, 2)))
    filled, cells = add_pieces(*pieces, *room)
    found = *(a[:filled] for a in room[:2]), *(a[:cells] for a in room[2:])
    assert_same(found, as_piece(one + other))
    np.testing.assert_array_equal(naive.dense_piece(found, *shape), one + other)
    for array, end in zip(room, (filled, filled, cells, cells), strict=True):
        unwritten = array[end:]
        assert (np.isnan(unwritten) | (unwritten == -9)).all()


@pytest.mark.parametrize("density", DENSITIES)
@pytest.mark.parametrize("shape", SHAPES)
def test_lengths_of_rows_are_added_up(rng, shape, density):
    dense = random_counts(rng, shape, density)
    lengths = np.arange(shape[0])
    rows, ends, *_ = as_piece(dense)
    add_row_lengths(rows, ends, lengths)
    np.testing.assert_array_equal(lengths, np.arange(shape[0]) + (dense > 0).sum(1))


@pytest.mark.parametrize("widths", [[7], [1, 6], [0, 3, 0, 64], [5, 5, 5]])
@pytest.mark.parametrize("density", DENSITIES)
@pytest.mark.parametrize("V", [0, 1, 20])
def test_pieces_are_put_side_by_side(rng, V, density, widths):
    parts = [random_counts(rng, (V, width), density) for width in widths]
    dense = np.hstack(parts)
    offsets, columns, weights = compressed(dense)
    found = np.full_like(columns, -9), np.full_like(weights, np.nan)
    places = offsets[:-1].copy()
    for part, first in zip(parts, offsets_from_lengths(widths), strict=False):
        place_columns(as_piece(part), int(first), places, *found)
    assert_same((places, *found), (offsets[1:], columns, weights))
    np.testing.assert_array_equal(naive.dense_counts((offsets, *found), sum(widths)), dense)
