"""Rows of the embedding table → the network's input, and its gradient → steps of those rows.

A batch names rows of E, `ids` (B × K), −1 where a window has no word:

    mean      x_b = (1/n_b) Σ_k E[ids_bk]          ∂J/∂E[w] = Σ_bk [ids_bk = w] (∂J/∂x_b)/n_b
    concat    x_b = [E[ids_b1], …, E[ids_bK]]      ∂J/∂E[w] = Σ_bk [ids_bk = w] (∂J/∂x_b)_k

with n_b the words of the window; a missing word is a vector of zeros. One row may stand many times
in a batch. For the sum, places are grouped by row (a counting sort, which keeps their order), and a
thread owns whole rows: no races, and the same bits for any number of threads.
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
"""Rows lie anywhere in the table: they are fetched into the cache before their turn."""
_PLACES_PER_ROW = 8
"""Moving a row costs as much as adding so many gradients up."""


class Groups(NamedTuple):
    """Places 0 … n − 1 grouped by the row that they name; see `new_groups`.

    ``tally (R + 1,) int64``
        Work space, a number for each row of the table.
    ``rows (n,) int64``
        The distinct rows, ascending.
    ``starts (n + 1,) int64``
        Row ``rows[g]`` is named by places ``order[starts[g]:starts[g + 1]]``, ascending.
    ``order (n,) int64``
    """

    tally: Array
    rows: Array
    starts: Array
    order: Array


def new_groups(table_rows: int, places: int) -> Groups:
    """Allocate for a table of so many rows and batches that name so many of them."""
    return Groups(
        np.zeros(table_rows + 1, np.int64),
        np.empty(places, np.int64),
        np.empty(places + 1, np.int64),
        np.empty(places, np.int64),
    )


@njit(cache=True)
def group_places(ids, groups):
    """Group the places of ids (n,) by id, leaving out negative ones; return how many groups."""
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
            tally[row + 1] = place  # from here on: where this row's next place goes
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
    """Set x (B, D) to the means of rows of a table (V, D) by ids (B, K); no word gives zeros."""
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
    """Set x (B, K·D) to rows of a table (V, D) by ids (B, K), side by side; no word is zeros."""
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
    """Add one to the visits (V,) of each row in the groups."""
    for g in range(found):
        visits[groups.rows[g]] += 1


@njit(cache=True)
def _first_group(starts, found, thread, threads):
    """Return where a thread of about equal work begins: places cost something, and rows more."""
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
    """Set summed (D,) to what a group's places, of `total` in all, add to its row's gradient."""
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
    """Set out (found, D) to the gradients of the groups' rows; the rest as for `step_rows`."""
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
    """Move the rows of a table that a batch names, each as if it alone were being trained.

    A row's Adam counts that row's own steps: rows are drawn at different rates, and a rare one's
    first step needs the correction of a first step.

    Parameters
    ----------
    table : (V, D)
        Changed in place.
    groups : Groups
        Of places.
    found : int
        How many groups.
    gradient : (n, D)
        What each place adds to its row's gradient is row ``place // places_per_row`` of this.
    places_per_row : int
    moments : Moments of (V, D)
    visits : (V,) int32
        Steps that each row has had, this one included (`count_visits`).
    rates : (V,) float32
        Of each row, over the rule's; empty for all alike.
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
