"""Rows of the embedding table → the network's input, and its gradient → updates of those rows.

A batch consists of row numbers of E, `ids` (B × K), −1 where a window has no word:

    mean      x_b = (1/n_b) Σ_k E[ids_bk]          ∂J/∂E[w] = Σ_bk [ids_bk = w] (∂J/∂x_b)/n_b
    concat    x_b = [E[ids_b1], …, E[ids_bK]]      ∂J/∂E[w] = Σ_bk [ids_bk = w] (∂J/∂x_b)_k

with n_b the number of words in the window; a missing word is a zero vector. A row may occur many
times in a batch. For the sum, the positions in `ids` are grouped by row. Each row is in one part of
the work (see `embedder.kernels.parts`), which avoids races.
"""

from typing import NamedTuple

import numpy as np
from numba import njit

from embedder.arrays import Array
from embedder.kernels.optimizer import (
    ADAFACTOR,
    Moments,
    Rule,
    average_columns,
    rule_of_row,
    step_row,
    step_row_by_factors,
)
from embedder.kernels.parts import take
from embedder.kernels.prefetch import prefetch_row
from embedder.kernels.threads import share

_ROWS_AHEAD = 4
_WINDOWS_AHEAD = 2
_PLACES_AHEAD = 4
"""How far ahead to prefetch rows, which are scattered over the table."""
_GROUPS_PER_SQUARE = 4
"""A quarter of the rows suffices for the factors of Adafactor's columns."""
_EXAMPLES_PER_PART = 256
_GROUPS_PER_PART = 64


class Groups(NamedTuple):
    """Positions 0 … n − 1 grouped by the row that they refer to; see `new_groups`.

    ``tally (R,) int64``
        Work space, one number per row of the table; zero except while grouping.
    ``rows (n,) int64``
        The distinct rows, in the order of their first positions.
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
        np.zeros(table_rows, np.int64),
        np.empty(places, np.int64),
        np.empty(places + 1, np.int64),
        np.empty(places, np.int64),
    )


@njit(nogil=True, cache=True)
def group_places(ids, groups):
    """Group the positions in ids (n,) by id, without negative ids; return the number of groups.

    The cost depends on the number of positions, not on the size of the table.
    """
    tally, rows, starts, order = groups
    found = 0
    for i in range(len(ids)):
        if ids[i] >= 0:
            if tally[ids[i]] == 0:
                rows[found] = ids[i]
                found += 1
            tally[ids[i]] += 1
    place = 0
    for g in range(found):
        count = tally[rows[g]]
        starts[g] = place
        tally[rows[g]] = place  # from now on: the index in `order` for this row's next position
        place += count
    starts[found] = place
    for i in range(len(ids)):
        if ids[i] >= 0:
            order[tally[ids[i]]] = i
            tally[ids[i]] += 1
    for g in range(found):
        tally[rows[g]] = 0
    return found


@njit(error_model="numpy", cache=True)
def gather_means(low, high, table, ids, x):
    """Set rows low … high − 1 of x; see `gather_mean`."""
    batch, width = ids.shape
    for b in range(low, high):
        for j in range(x.shape[1]):
            x[b, j] = 0
        count = 0
        for k in range(width):
            ahead = ids[min(b + _WINDOWS_AHEAD, batch - 1), k]
            if ahead >= 0:
                prefetch_row(table, ahead)
            row = ids[b, k]
            if row >= 0:
                for j in range(x.shape[1]):
                    x[b, j] += table[row, j]
                count += 1
        if count > 1:
            share_of_word = table.dtype.type(1.0 / count)
            for j in range(x.shape[1]):
                x[b, j] *= share_of_word


@njit(nogil=True, error_model="numpy", cache=True)
def _gather_mean_parts(parts, table, ids, x):
    while True:
        part = take(parts)
        if part < 0:
            break
        low = part * _EXAMPLES_PER_PART
        gather_means(low, min(len(ids), low + _EXAMPLES_PER_PART), table, ids, x)


def gather_mean(table: Array, ids: Array, x: Array) -> None:
    """Set x (B, D) to means of rows of a table (V, D), by ids (B, K); zeros without any word."""
    share(_gather_mean_parts, -(-len(ids) // _EXAMPLES_PER_PART), table, ids, x)


@njit(nogil=True, error_model="numpy", cache=True)
def _gather_concat_parts(parts, table, ids, x):
    batch, width = ids.shape
    dimension = table.shape[1]
    while True:
        part = take(parts)
        if part < 0:
            break
        low = part * _EXAMPLES_PER_PART
        for b in range(low, min(batch, low + _EXAMPLES_PER_PART)):
            for k in range(width):
                out = x[b, k * dimension : (k + 1) * dimension]
                if ids[b, k] >= 0:
                    out[:] = table[ids[b, k]]
                else:
                    out[:] = 0


def gather_concat(table: Array, ids: Array, x: Array) -> None:
    """Set x (B, K·D) to concatenated rows of a table (V, D), by ids (B, K); zeros for no word."""
    share(_gather_concat_parts, -(-len(ids) // _EXAMPLES_PER_PART), table, ids, x)


@njit(error_model="numpy", cache=True)
def divide_by_window_sizes(ids, d_x):
    """Divide ∂J/∂x (B, D) by each window's number of words, ids (B, K) ≥ 0, in place."""
    for b in range(len(ids)):
        count = 0
        for k in range(ids.shape[1]):
            count += ids[b, k] >= 0
        if count > 1:
            share_of_word = d_x.dtype.type(1.0 / count)
            for j in range(d_x.shape[1]):
                d_x[b, j] *= share_of_word


@njit(cache=True)
def count_visits(low, high, groups, visits):
    """Increment the visits (V,) of the row of each group low … high − 1."""
    for g in range(low, high):
        visits[groups.rows[g]] += 1


@njit(inline="always")
def _sum_of_group(groups, g, gradient, places_per_row, total, summed):
    """Set summed (D,) to the gradient of a group's row; `total` is the number of all positions."""
    start, end = groups.starts[g], groups.starts[g + 1]
    row = groups.order[start] // places_per_row
    for j in range(len(summed)):
        summed[j] = gradient[row, j]
    for k in range(start + 1, end):
        ahead = groups.order[min(k + _PLACES_AHEAD, total - 1)]
        prefetch_row(gradient, ahead // places_per_row)
        row = groups.order[k] // places_per_row
        for j in range(len(summed)):
            summed[j] += gradient[row, j]


@njit(nogil=True, error_model="numpy", cache=True)
def _sum_parts(parts, groups, found, gradient, places_per_row, out):
    total = groups.starts[found]
    while True:
        part = take(parts)
        if part < 0:
            break
        low = part * _GROUPS_PER_PART
        for g in range(low, min(found, low + _GROUPS_PER_PART)):
            _sum_of_group(groups, g, gradient, places_per_row, total, out[g])


def sum_groups(
    groups: Groups, found: int, gradient: Array, places_per_row: int, out: Array
) -> None:
    """Set out (found, D) to the gradients of the groups' rows; parameters as for `step_rows`."""
    parts = -(-found // _GROUPS_PER_PART)
    share(_sum_parts, parts, groups, found, gradient, places_per_row, out)


class RowSteps(NamedTuple):
    """How the rows of a table that occur in a batch are updated, each by its own count of steps.

    ``moments``
        `Moments` of (V, D).
    ``columns (D,)``
        Adafactor's factors of the columns; empty otherwise.
    ``visits (V,) int32``
        The number of updates of each row, this one included (`count_visits`).
    ``rates (V,) float32``
        A factor on the rule's rate for each row; empty if all are 1.
    ``rule``, ``corrections``
        As for `embedder.kernels.optimizer.rule_of_row`.
    """

    moments: Moments
    columns: Array
    visits: Array
    rates: Array
    rule: Rule
    corrections: Array


@njit(fastmath={"contract", "nsz"}, error_model="numpy", cache=True)
def step_groups(low, high, table, groups, found, gradient, places_per_row, steps, squares):
    """Update the rows of groups low … high − 1; see `step_rows`.

    What they contribute to the factors of Adafactor's columns goes to squares (D + 1,); see
    `embedder.kernels.optimizer.step_row_by_factors`.
    """
    moments, columns, visits, rates, rule, corrections = steps
    total = groups.starts[found]
    summed = np.empty(table.shape[1], table.dtype)
    squares[:] = 0
    scales = 1 / np.sqrt(columns)
    for g in range(low, high):
        row = groups.rows[g]
        ahead = groups.rows[min(g + _ROWS_AHEAD, found - 1)]
        prefetch_row(table, ahead)
        if len(moments.first):
            prefetch_row(moments.first, ahead)
        if len(moments.second) and rule.kind != ADAFACTOR:
            prefetch_row(moments.second, ahead)
        _sum_of_group(groups, g, gradient, places_per_row, total, summed)
        factor = rates[row] if len(rates) else np.float32(1)
        own = rule_of_row(rule, visits[row], corrections, factor)
        if rule.kind == ADAFACTOR:
            chosen = squares if g % _GROUPS_PER_SQUARE == 0 else squares[:0]
            step_row_by_factors(table, row, summed, moments.second, scales, chosen, own)
        else:
            step_row(table, row, summed, moments.first, moments.second, own)


@njit(nogil=True, error_model="numpy", cache=True)
def _step_parts(parts, table, groups, found, gradient, places_per_row, steps, squares):
    while True:
        part = take(parts)
        if part < 0:
            break
        low = part * _GROUPS_PER_PART
        high = min(found, low + _GROUPS_PER_PART)
        own = squares[part] if len(squares) else squares.reshape(-1)
        step_groups(low, high, table, groups, found, gradient, places_per_row, steps, own)


def step_rows(
    table: Array,
    groups: Groups,
    found: int,
    gradient: Array,
    places_per_row: int,
    steps: RowSteps,
) -> None:
    """Update the rows of a table that occur in a batch.

    The bias correction uses the row's own count, because rows are drawn at different rates and
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
    steps : RowSteps
    """
    parts = -(-found // _GROUPS_PER_PART)
    with_columns = steps.rule.kind == ADAFACTOR and table.shape[1] > 1 and found > 0
    squares = np.empty((parts if with_columns else 0, table.shape[1] + 1), table.dtype)
    share(_step_parts, parts, table, groups, found, gradient, places_per_row, steps, squares)
    if with_columns:
        average_columns(steps.columns, squares, steps.rule.decay1)
