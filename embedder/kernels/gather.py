"""Rows of the embedding table → the network's input, and its gradient → updates of those rows.

A batch consists of row numbers of E, `ids` (B × K), −1 where a window has no word:

    mean      x_b = (1/n_b) Σ_k E[ids_bk]          ∂J/∂E[w] = Σ_bk [ids_bk = w] (∂J/∂x_b)/n_b
    concat    x_b = [E[ids_b1], …, E[ids_bK]]      ∂J/∂E[w] = Σ_bk [ids_bk = w] (∂J/∂x_b)_k

with n_b the number of words in the window; a missing word is a zero vector. A row may occur many
times in a batch. For the sum, the positions in `ids` are grouped by row (a stable counting sort).
Each thread owns whole rows, which avoids races and gives bit-identical results for any number of
threads.
"""

from typing import NamedTuple

import numpy as np
from numba import njit, prange

from embedder.arrays import Array
from embedder.kernels.optimizer import flat_rows, rule_of_row, step
from embedder.kernels.prefetch import prefetch_row

_ROWS_AHEAD = 4
_WINDOWS_AHEAD = 2
_PLACES_AHEAD = 4
"""How far ahead to prefetch rows, which are scattered over the table."""
_PLACES_PER_ROW = 8
"""Updating a row costs about as much as summing this many gradients."""


class Groups(NamedTuple):
    """Positions 0 … n − 1 grouped by the row that they refer to; see `new_groups`.

    ``tally (R + 1,) int64``
        Work space, one number per row of the table.
    ``rows (n,) int64``
        The distinct rows, ascending.
    ``starts (n + 1,) int64``
        Positions ``order[starts[g]:starts[g + 1]]``, ascending, refer to row ``rows[g]``.
    ``order (n,) int64``
    """

    tally: Array
    rows: Array
    starts: Array
    order: Array


def new_groups(table_rows: int, places: int) -> Groups:
    """Allocate groups for a table with this many rows and up to this many positions."""
    return Groups(
        np.zeros(table_rows + 1, np.int64),
        np.empty(places, np.int64),
        np.empty(places + 1, np.int64),
        np.empty(places, np.int64),
    )


@njit(cache=True)
def group_places(ids, groups):
    """Group the positions in ids (n,) by id, without negative ids; return the number of groups."""
    tally, rows, starts, order = groups
    tally[:] = 0
    for i in range(len(ids)):
        tally[ids[i] + 1] += 1
    found = 0
    place = 0
    for row in range(len(tally) - 1):
        count = tally[row + 1]
        if count:
            rows[found] = row
            starts[found] = place
            tally[row + 1] = place  # from now on: the index in `order` for this row's next position
            place += count
            found += 1
    starts[found] = place
    for i in range(len(ids)):
        if ids[i] >= 0:
            order[tally[ids[i] + 1]] = i
            tally[ids[i] + 1] += 1
    return found


@njit(parallel=True, error_model="numpy", cache=True)
def gather_mean(table, ids, threads, x):
    """Set x (B, D) to means of rows of a table (V, D), by ids (B, K); zeros without any word."""
    batch, width = ids.shape
    for thread in prange(threads):
        for b in range(thread * batch // threads, (thread + 1) * batch // threads):
            out = x[b]
            out[:] = 0
            count = 0
            for k in range(width):
                ahead = ids[min(b + _WINDOWS_AHEAD, batch - 1), k]
                if ahead >= 0:
                    prefetch_row(table, ahead)
                if ids[b, k] >= 0:
                    row = table[ids[b, k]]
                    for j in range(len(out)):
                        out[j] += row[j]
                    count += 1
            if count > 1:
                out *= table.dtype.type(1.0 / count)


@njit(parallel=True, error_model="numpy", cache=True)
def gather_concat(table, ids, threads, x):
    """Set x (B, K·D) to concatenated rows of a table (V, D), by ids (B, K); zeros for no word."""
    batch, width = ids.shape
    dimension = table.shape[1]
    for thread in prange(threads):
        for b in range(thread * batch // threads, (thread + 1) * batch // threads):
            for k in range(width):
                out = x[b, k * dimension : (k + 1) * dimension]
                if ids[b, k] >= 0:
                    out[:] = table[ids[b, k]]
                else:
                    out[:] = 0


@njit(parallel=True, error_model="numpy", cache=True)
def divide_by_window_sizes(ids, threads, d_x):
    """Divide ∂J/∂x (B, D) by each window's number of words, ids (B, K) ≥ 0, in place."""
    batch, width = ids.shape
    for thread in prange(threads):
        for b in range(thread * batch // threads, (thread + 1) * batch // threads):
            count = 0
            for k in range(width):
                count += ids[b, k] >= 0
            if count > 1:
                d_x[b] *= d_x.dtype.type(1.0 / count)


@njit(cache=True)
def count_visits(groups, found, visits):
    """Increment the visits (V,) of each row in the groups."""
    for g in range(found):
        visits[groups.rows[g]] += 1


@njit(cache=True)
def _first_group(starts, found, thread, threads):
    """Return a thread's first group, such that threads share the work about equally."""
    wanted = thread * (starts[found] + _PLACES_PER_ROW * found) // threads
    low, high = 0, found
    while low < high:
        middle = (low + high) // 2
        if starts[middle] + _PLACES_PER_ROW * middle < wanted:
            low = middle + 1
        else:
            high = middle
    return low


@njit(inline="always")
def _sum_of_group(groups, g, gradient, places_per_row, total, summed):
    """Set summed (D,) to the gradient of a group's row; `total` is the number of all positions."""
    start, end = groups.starts[g], groups.starts[g + 1]
    summed[:] = gradient[groups.order[start] // places_per_row]
    for k in range(start + 1, end):
        ahead = groups.order[min(k + _PLACES_AHEAD, total - 1)]
        prefetch_row(gradient, ahead // places_per_row)
        added = gradient[groups.order[k] // places_per_row]
        for j in range(len(summed)):
            summed[j] += added[j]


@njit(parallel=True, error_model="numpy", cache=True)
def sum_groups(groups, found, gradient, places_per_row, threads, out):
    """Set out (found, D) to the gradients of the groups' rows; parameters as for `step_rows`."""
    total = groups.starts[found]
    for thread in prange(threads):
        first = _first_group(groups.starts, found, thread, threads)
        last = _first_group(groups.starts, found, thread + 1, threads)
        for g in range(first, last):
            _sum_of_group(groups, g, gradient, places_per_row, total, out[g])


@njit(parallel=True, error_model="numpy", cache=True)
def step_rows(
    table,
    groups,
    found,
    gradient,
    places_per_row,
    moments,
    visits,
    rates,
    rule,
    corrections,
    threads,
):
    """Update the rows of a table that occur in a batch, each by its own count of steps.

    Adam's bias correction uses the row's own count, because rows are drawn at different rates and
    the first update of a rare row needs the correction of a first step.

    Parameters
    ----------
    table : (V, D)
        Changed in place.
    groups : Groups
        The positions in the batch, by row.
    found : int
        The number of groups.
    gradient : (n, D)
        Row ``position // places_per_row`` is a position's contribution to its row's gradient.
    places_per_row : int
    moments : Moments of (V, D)
    visits : (V,) int32
        The number of updates of each row, this one included (`count_visits`).
    rates : (V,) float32
        A factor on the rule's rate for each row; empty if all are 1.
    rule, corrections
        As for `embedder.kernels.optimizer.rule_of_row`.
    threads : int
    """
    dimension = table.shape[1]
    total = groups.starts[found]
    for thread in prange(threads):
        first = _first_group(groups.starts, found, thread, threads)
        last = _first_group(groups.starts, found, thread + 1, threads)
        summed = np.empty(dimension, table.dtype)
        for g in range(first, last):
            row = groups.rows[g]
            ahead = groups.rows[min(g + _ROWS_AHEAD, last - 1)]
            prefetch_row(table, ahead)
            if len(moments.first):
                prefetch_row(moments.first, ahead)
            if len(moments.second):
                prefetch_row(moments.second, ahead)
            _sum_of_group(groups, g, gradient, places_per_row, total, summed)
            factor = rates[row] if len(rates) else np.float32(1)
            own = rule_of_row(rule, visits[row], corrections, factor)
            first_moments = flat_rows(moments.first, row, row + 1)
            second_moments = flat_rows(moments.second, row, row + 1)
            step(table[row], summed, first_moments, second_moments, own)
