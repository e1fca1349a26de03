"""Sparse counts in pieces: cut by columns, added, and concatenated again.

A piece stores only non-empty rows, since there may be many pieces with few cells each: row
``rows[i]`` has the cells ``ends[i − 1]`` … ``ends[i]`` − 1.
"""

import numpy as np
from numba import njit


@njit(cache=True)
def count_cells_per_range(offsets, columns, range_of, cells, filled):
    """Count each range's cells and non-empty rows, (ranges,) int64; both must start at zero.

    Parameters
    ----------
    offsets : (V + 1,) int64, columns : (cells,) int32
        The counts.
    range_of : (C,) int32
        The range that a column belongs to.
    """
    last_row = np.full(len(cells), -1, np.int64)
    for row in range(len(offsets) - 1):
        for k in range(offsets[row], offsets[row + 1]):
            r = range_of[columns[k]]
            cells[r] += 1
            if last_row[r] != row:
                last_row[r] = row
                filled[r] += 1


@njit(cache=True)
def cut_columns(counts, range_of, own_of, pieces, row_starts, starts):
    """Distribute the cells to ranges of columns, one range after the other.

    Parameters
    ----------
    counts
        (offsets, columns, weights).
    range_of : (C,) int32
        As for `count_cells_per_range`.
    own_of : (C,) int32
        A column's number within its range; ascending as columns are.
    pieces
        (rows, ends, columns, weights) of all pieces; range r's start at ``row_starts[r]`` and
        ``starts[r]``.
    row_starts, starts : (ranges + 1,) int64
    """
    offsets, columns, weights = counts
    rows, ends, own_columns, own_weights = pieces
    ranges = len(starts) - 1
    cells = np.zeros(ranges, np.int64)
    filled = np.zeros(ranges, np.int64)
    for row in range(len(offsets) - 1):
        for k in range(offsets[row], offsets[row + 1]):
            r = range_of[columns[k]]
            place = starts[r] + cells[r]
            own_columns[place] = own_of[columns[k]]
            own_weights[place] = weights[k]
            cells[r] += 1
            i = row_starts[r] + filled[r]
            if filled[r] == 0 or rows[i - 1] != row:
                rows[i] = row
                filled[r] += 1
                i += 1
            ends[i - 1] = cells[r]


@njit(cache=True)
def add_pieces(one, other, rows, ends, columns, weights):
    """Add two pieces (rows, ends, columns, weights) with columns ascending in each row.

    Parameters
    ----------
    one, other
        Pieces.
    rows, ends, columns, weights
        Receive the sum; each must have room for the entries of both.

    Returns
    -------
    int, int
        The numbers of rows and cells written.
    """
    i = j = k = 0
    filled = 0
    one_rows, one_ends, one_columns, one_weights = one
    other_rows, other_ends, other_columns, other_weights = other
    a = b = 0
    while a < len(one_rows) or b < len(other_rows):
        has_one = a < len(one_rows) and (b == len(other_rows) or one_rows[a] <= other_rows[b])
        has_other = b < len(other_rows) and (a == len(one_rows) or other_rows[b] <= one_rows[a])
        i_end = one_ends[a] if has_one else i
        j_end = other_ends[b] if has_other else j
        rows[filled] = one_rows[a] if has_one else other_rows[b]
        while i < i_end or j < j_end:
            if j == j_end or (i < i_end and one_columns[i] < other_columns[j]):
                columns[k] = one_columns[i]
                weights[k] = one_weights[i]
                i += 1
            elif i == i_end or other_columns[j] < one_columns[i]:
                columns[k] = other_columns[j]
                weights[k] = other_weights[j]
                j += 1
            else:
                columns[k] = one_columns[i]
                weights[k] = one_weights[i] + other_weights[j]
                i += 1
                j += 1
            k += 1
        ends[filled] = k
        filled += 1
        a += has_one
        b += has_other
    return filled, k


@njit(cache=True)
def add_row_lengths(rows, ends, lengths):
    """Add the number of cells in each of a piece's rows to lengths (V,) int64."""
    start = 0
    for i in range(len(rows)):
        lengths[rows[i]] += ends[i] - start
        start = ends[i]


@njit(cache=True)
def place_columns(piece, first_column, places, columns, weights):
    """Append a piece's cells to the rows.

    Parameters
    ----------
    piece
        (rows, ends, columns, weights).
    first_column : int
        The number of the piece's column 0 in the result.
    places : (V,) int64
        The position of each row's next cell; advanced.
    columns : int32, weights : float32
        Receive the cells.
    """
    rows, ends, own_columns, own_weights = piece
    k = 0
    for i in range(len(rows)):
        place = places[rows[i]]
        while k < ends[i]:
            columns[place] = first_column + own_columns[k]
            weights[place] = own_weights[k]
            place += 1
            k += 1
        places[rows[i]] = place
