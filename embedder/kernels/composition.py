"""Words as means of several rows of the embedding table, and gradients back to those rows.

    x_w = (1/n_w) Σ_{r ∈ rows(w)} E[r]          ∂J/∂E[r] = Σ_w #(r ∈ rows(w)) (∂J/∂x_w)/n_w

Each distinct word of a batch is composed once, and its gradient is summed before it is propagated
to its rows.
"""

from numba import njit

from embedder.arrays import Array
from embedder.kernels.parts import take
from embedder.kernels.prefetch import prefetch_row
from embedder.kernels.threads import share

_ROWS_AHEAD = 6
_WORDS_PER_PART = 64


@njit(cache=True)
def number_places(groups, found, local):
    """Set local (n,) to the index of each position's group; −1 for positions in no group."""
    local[:] = -1
    for g in range(found):
        for k in range(groups.starts[g], groups.starts[g + 1]):
            local[groups.order[k]] = g


@njit(nogil=True, error_model="numpy", cache=True)
def _compose_parts(parts, table, starts, rows, words, out):
    while True:
        part = take(parts)
        if part < 0:
            break
        low = part * _WORDS_PER_PART
        for i in range(low, min(len(words), low + _WORDS_PER_PART)):
            first, last = starts[words[i]], starts[words[i] + 1]
            for j in range(out.shape[1]):
                out[i, j] = table[rows[first], j]
            for k in range(first + 1, last):
                prefetch_row(table, rows[min(k + _ROWS_AHEAD, len(rows) - 1)])
                row = rows[k]
                for j in range(out.shape[1]):
                    out[i, j] += table[row, j]
            if last > first + 1:
                share_of_row = table.dtype.type(1.0 / (last - first))
                for j in range(out.shape[1]):
                    out[i, j] *= share_of_row


def compose(table: Array, starts: Array, rows: Array, words: Array, out: Array) -> None:
    """Set each word's vector to the mean of its rows.

    Parameters
    ----------
    table : (R, D)
    starts : (V + 1,) int64, rows : (n,) int32
        The rows of word w are ``rows[starts[w]:starts[w + 1]]``, one or more.
    words : (m,) int64
    out : (m, D)
        Receives the vectors.
    """
    share(_compose_parts, -(-len(words) // _WORDS_PER_PART), table, starts, rows, words, out)


@njit(error_model="numpy", cache=True)
def divide_by_row_counts(starts, words, gradient):
    """Divide ∂J/∂x_w, (m, D), by each word's number of rows, in place; see `compose`."""
    for i in range(len(words)):
        count = starts[words[i] + 1] - starts[words[i]]
        if count > 1:
            share_of_row = gradient.dtype.type(1.0 / count)
            for j in range(gradient.shape[1]):
                gradient[i, j] *= share_of_row


@njit(cache=True)
def count_rows(starts, words):
    """Return the total number of rows of some words (m,)."""
    total = 0
    for word in words:
        total += starts[word + 1] - starts[word]
    return total


@njit(cache=True)
def group_rows(starts, rows, words, groups):
    """Group some words by the rows that they are composed of; return the number of groups.

    The cost depends on the number of the words' rows, not on the size of the table.

    Parameters
    ----------
    starts, rows, words
        As for `compose`.
    groups : Groups
        Groups for the table. Its tally must be zero, and is zero afterwards; `rows` are in the
        order of first occurrence, and `order` contains indexes into `words`.
    """
    tally, found_rows, found_starts, order = groups
    found = 0
    for word in words:
        for k in range(starts[word], starts[word + 1]):
            if tally[rows[k]] == 0:
                found_rows[found] = rows[k]
                found += 1
            tally[rows[k]] += 1
    place = 0
    for g in range(found):
        count = tally[found_rows[g]]
        found_starts[g] = place
        tally[found_rows[g]] = place  # from now on: the index in `order` for this row's next word
        place += count
    found_starts[found] = place
    for i in range(len(words)):
        for k in range(starts[words[i]], starts[words[i] + 1]):
            order[tally[rows[k]]] = i
            tally[rows[k]] += 1
    for g in range(found):
        tally[found_rows[g]] = 0
    return found
