"""Co-occurrence counts from a stream of ids, through an inverted index.

The positions of every word are listed once (a counting sort). Each row of counts is then computed
by visiting one word's positions and summing its neighbours in a dense array with one number per
context; a bit per context marks the entries in use, and reading the bits in order yields the row's
columns in order. A second level of bits marks which of the first are set, so that rows of rare
words do not take longer in a larger vocabulary. This needs neither a sort of the pairs nor a hash
table. Rows are independent, so that threads can share them, and complete, so that they can be
written to disk at once.
"""

from typing import Any, NamedTuple

import numpy as np
from numba import njit, types
from numba.extending import intrinsic

from embedder.arrays import Array, read_only
from embedder.kernels.parts import take
from embedder.kernels.threads import share
from embedder.kernels.tokens import SENTENCE_END

_ROWS_PER_PART = 16
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


class PositionIndex(NamedTuple):
    """A stream of ids, and where some consecutive words occur in it.

    ``ids (n,) int32``
        Word ids, −1 at sentence ends.
    ``starts (words + 1,) int64``
        The i-th word occurs at ``positions[starts[i]:starts[i + 1]]``.
    ``positions (starts[−1],) int32 or int64``
        Ascending for each word.
    """

    ids: Array
    starts: Array
    positions: Array


class ContextRules(NamedTuple):
    """Which neighbours count, as which context, and with which weight.

    ``vocabulary``
        V.
    ``contexts``
        C: V, or V + 2 N if the N most frequent words have position-specific contexts.
    ``near``
        The maximum distance at which a neighbour counts as a position-specific context.
    ``multiples (window,) float64``, ``divisor``
        The weight of a neighbour at distance 1, 2, …, times the divisor; windows do not cross
        sentence ends. Of whole numbers, sums are exact in any order (below 2⁵³).
    """

    vocabulary: int
    contexts: int
    near: int
    multiples: Array
    divisor: float


class RowBuffers(NamedTuple):
    """Buffers for rows of counts, with gaps between the rows.

    ``room (words + 1,) int64``
        The i-th word's row starts at ``room[i]``.
    ``columns int32``, ``weights float32 or float64``
        Receive the cells.
    ``used (words,) int64``
        Receives the number of cells of each row.
    """

    room: Array
    columns: Array
    weights: Array
    used: Array


def _lowest_bit(typing_context, bits):
    """Return the number of the lowest bit that is set in a uint64 other than 0."""

    def generate(context, builder, signature, arguments):
        return builder.cttz(arguments[0], context.get_constant(types.boolean, True))

    return types.int64(types.uint64), generate


lowest_bit: Any = intrinsic(_lowest_bit)


@njit(inline="always")
def uniform(seed, counter):
    """Return a number in [0, 1), determined by the arguments (SplitMix64, Steele 2014)."""
    z = (np.uint64(seed) + np.uint64(counter)) * _GOLDEN
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z = z ^ (z >> np.uint64(31))
    return np.float64(z >> np.uint64(11)) * (1.0 / 9007199254740992.0)


@njit(cache=True)
def sample_tokens(ids, keep, seed, held_out, want_held_out, out, place=0, sentence=0):
    """Copy one side of the validation split, dropping occurrences of words at random.

    Parameters
    ----------
    ids : (n,) int32
        Word ids, −1 at sentence ends.
    keep : (V,) float64
        The probability of keeping an occurrence of each word.
    seed : int
    held_out : float
        The share of sentences on the validation side.
    want_held_out : bool
        Whether to copy the validation side.
    out : (n,) int32
    place, sentence : int
        The numbers of ids and sentences of the corpus before these, which determine the draws.

    Returns
    -------
    int
        The number of ids written.
    """
    written = 0
    wanted = (uniform(seed + 1, sentence) < held_out) == want_held_out
    for i in range(len(ids)):
        word = ids[i]
        if word == SENTENCE_END:
            sentence += 1
            wanted = (uniform(seed + 1, sentence) < held_out) == want_held_out
            if written > 0 and out[written - 1] != SENTENCE_END:
                out[written] = word
                written += 1
        elif wanted and (keep[word] >= 1.0 or uniform(seed, place + i) < keep[word]):
            out[written] = word
            written += 1
    return written


@njit(cache=True)
def count_tokens(ids, counts):
    """Count each word's occurrences in ids (n,) int32; counts (V,) int64 must start at zero."""
    for i in range(len(ids)):
        if ids[i] >= 0:
            counts[ids[i]] += 1


@njit(cache=True)
def index_positions(index, first):
    """Set the positions of consecutive words.

    Parameters
    ----------
    index : PositionIndex
        Receives the `positions`.
    first : int
        The first of the words.
    """
    ids, starts, positions = index
    following = starts[:-1].copy()
    for i in range(len(ids)):
        word = ids[i] - first
        if 0 <= word < len(following):
            positions[following[word]] = i
            following[word] += 1


@njit(inline="always")
def _new_marks(contexts):
    """Return a bit per context, and one for each 64 of these, all 0."""
    groups = contexts // 64 + 1
    return np.zeros(groups, np.uint64), np.zeros(groups // 64 + 1, np.uint64)


@njit(inline="always")
def _mark(marks, context):
    touched, groups = marks
    group = context >> 6
    if touched[group] == 0:
        groups[group >> 6] |= np.uint64(1) << np.uint64(group & 63)
    touched[group] |= np.uint64(1) << np.uint64(context & 63)


@njit(inline="always")
def _add_neighbours(ids, position, rules, sums, marks):
    """Add the multiples of a position's neighbours to sums (C,), and mark these."""
    vocabulary, contexts, near, multiples, _ = rules
    frequent = (contexts - vocabulary) // 2
    for d in range(1, len(multiples) + 1):
        if position - d < 0:
            break
        neighbour = ids[position - d]
        if neighbour < 0:
            break
        if d <= near and neighbour < frequent:
            neighbour += vocabulary
        sums[neighbour] += multiples[d - 1]
        _mark(marks, neighbour)
    for d in range(1, len(multiples) + 1):
        if position + d >= len(ids):
            break
        neighbour = ids[position + d]
        if neighbour < 0:
            break
        if d <= near and neighbour < frequent:
            neighbour += vocabulary + frequent
        sums[neighbour] += multiples[d - 1]
        _mark(marks, neighbour)


@njit(inline="always")
def _write_row(sums, marks, divisor, columns, weights, cell):
    """Write the marked sums, divided, in order from a cell on; clear both; return the end cell."""
    touched, groups = marks
    one = np.uint64(1)
    for k in range(len(groups)):
        left = groups[k]
        groups[k] = 0
        while left:
            group = 64 * k + lowest_bit(left)
            left &= left - one
            bits = touched[group]
            touched[group] = 0
            while bits:
                context = 64 * group + lowest_bit(bits)
                bits &= bits - one
                columns[cell] = context
                weights[cell] = sums[context] / divisor
                sums[context] = 0.0
                cell += 1
    return cell


@njit(cache=True)
def _parts_of(rows):
    """Return the number of parts that rows are dealt to, frequent words, the longest, first."""
    return (len(rows) + _ROWS_PER_PART - 1) // _ROWS_PER_PART


@njit(nogil=True, cache=True)
def _count_parts(parts, index, rules, rows):
    ids, starts, positions = index
    room, columns, weights, used = rows
    sums = np.zeros(rules.contexts, np.float64)
    marks = _new_marks(rules.contexts)
    while True:
        part = take(parts)
        if part < 0:
            break
        for word in range(part, len(used), _parts_of(used)):
            used[word] = 0
            if starts[word] == starts[word + 1]:
                continue
            for k in range(starts[word], starts[word + 1]):
                _add_neighbours(ids, np.int64(positions[k]), rules, sums, marks)
            end = _write_row(sums, marks, rules.divisor, columns, weights, room[word])
            used[word] = end - room[word]


def count_rows(index: PositionIndex, rules: ContextRules, rows: RowBuffers) -> None:
    """Count the neighbours of the words of an index.

    Parameters
    ----------
    index : PositionIndex
        With its positions, from `index_positions`.
    rules : ContextRules
    rows : RowBuffers
        Receives the counts.
    """
    share(_count_parts, _parts_of(rows.used), index, rules, rows)


@njit(cache=True)
def close_gaps(columns, weights, room, used):
    """Remove the gaps between rows in place, and return the number of cells."""
    end = 0
    for row in range(len(used)):
        start = room[row]
        for k in range(used[row]):
            columns[end + k] = columns[start + k]
            weights[end + k] = weights[start + k]
        end += used[row]
    return end


@njit(nogil=True, cache=True)
def _group_parts(parts, counts, groups, surprises, rows, constants):
    offsets, columns, weights = counts
    room, new_columns, new_weights, used = rows
    width = groups.max() + 1
    sums = np.zeros(width, np.float64)
    marks = _new_marks(width)
    while True:
        part = take(parts)
        if part < 0:
            break
        for row in range(part, len(used), _parts_of(used)):
            constant = 0.0
            for k in range(offsets[row], offsets[row + 1]):
                context = columns[k]
                group = groups[context]
                if group < 0:
                    continue
                sums[group] += weights[k]
                _mark(marks, group)
                constant += weights[k] * surprises[context]
            end = _write_row(sums, marks, 1.0, new_columns, new_weights, room[row])
            used[row] = end - room[row]
            constants[row] = constant


def group_rows(
    counts: tuple[Array, ...], groups: Array, surprises: Array, rows: RowBuffers, constants: Array
) -> None:
    """Sum each row's cells over the contexts of the same group.

    Parameters
    ----------
    counts
        Offsets, columns and weights of consecutive rows.
    groups : (C,) int32
        The new column of every context, or −1 to leave it out.
    surprises : (C,) float64
        A number per context.
    rows : RowBuffers
        Receives the new rows; each has room for as many cells as it had.
    constants : (rows,) float64
        Receives Σ_c C[w, c] surprises[c].
    """
    parts, given = _parts_of(rows.used), read_only(groups, surprises)
    share(_group_parts, parts, read_only(*counts), *given, rows, constants)


@njit(nogil=True, cache=True)
def _add_parts(parts, pieces, columns, weights, rules, rows):
    width, divisor = rules
    room, new_columns, new_weights, used = rows
    sums = np.zeros(width, np.float64)
    marks = _new_marks(width)
    while True:
        part = take(parts)
        if part < 0:
            break
        for row in range(part, len(used), _parts_of(used)):
            used[row] = 0
            if room[row] == room[row + 1]:
                continue
            for piece in range(len(pieces)):
                for k in range(pieces[piece, row], pieces[piece, row + 1]):
                    context = columns[k]
                    sums[context] += weights[k]
                    _mark(marks, context)
            end = _write_row(sums, marks, divisor, new_columns, new_weights, room[row])
            used[row] = end - room[row]


def add_rows(
    pieces: Array,
    columns: Array,
    weights: Array,
    rules: tuple[int, float],
    rows: RowBuffers,
) -> None:
    """Add the counts of the same rows in several pieces of a text, and divide the sums.

    Parameters
    ----------
    pieces : (pieces, rows + 1) int64
        Where each row of each piece starts among the cells, and where the last one ends.
    columns : (cells,) int32, weights : (cells,) float64
        The cells of all pieces.
    rules
        C, the number of contexts, and the divisor.
    rows : RowBuffers
        Receives the sums; each row has room for its cells in all pieces.
    """
    share(_add_parts, _parts_of(rows.used), pieces, columns, weights, rules, rows)


@njit(nogil=True, error_model="numpy", cache=True)
def _pmi_parts(parts, counts, words, shares, first, rows):
    offsets, columns, weights = counts
    log_shares, total = shares
    room, out_columns, out_values, used = rows
    sums = np.zeros(len(log_shares), np.float64)
    while True:
        part = take(parts)
        if part < 0:
            break
        for row in range(part, len(used), _parts_of(used)):
            start = room[row]
            end = start
            # Counts are positive, so that a sum of zero marks a word not yet seen in the row.
            for k in range(offsets[row], offsets[row + 1]):
                word = words[columns[k]]
                if word < 0:
                    continue
                if sums[word] == 0.0:
                    out_columns[end] = word
                    end += 1
                sums[word] += weights[k]
            positive = start
            for k in range(start, end):
                word = out_columns[k]
                weight = np.float32(sums[word])
                sums[word] = 0.0
                pmi = np.log(weight / total) - log_shares[first + row] - log_shares[word]
                if pmi > 0.0:
                    out_columns[positive] = word
                    out_values[positive] = pmi
                    positive += 1
            used[row] = positive - start


def positive_pmi_rows(
    counts: tuple[Array, ...],
    words: Array,
    shares: tuple[Array, float],
    first: int,
    rows: RowBuffers,
) -> None:
    """Compute max(0, log(C[w, c] N / (n_w n_c))), summed over the contexts c of the same word.

    Parameters
    ----------
    counts
        Offsets, columns and weights of consecutive rows.
    words : (C,) int64
        The word of every context, or −1 to leave it out.
    shares
        log(n_w / N) for every word, (V,) float64, and N.
    first : int
        The first of the rows.
    rows : RowBuffers
        Receives the positive cells, not sorted; each row has room for as many as it had.
    """
    parts, (words,) = _parts_of(rows.used), read_only(words)
    share(_pmi_parts, parts, read_only(*counts), words, shares, first, rows)
