"""Counting of pairs of adjacent words, and joining of those that are phrases.

Connectors ("of", "the") may occur between the two words; the sequence between them is represented
by a number, 0 for none. A pair is therefore a triple of numbers, and a `Triples` table stores a
value for each. Sequences are numbered by such a table as well: the sequence s continued by word w
is the triple (s, 0, w), and its number is that triple's index plus 1.
"""

from typing import NamedTuple

import numpy as np
from numba import njit

from embedder.arrays import Array
from embedder.kernels.tokens import SENTENCE_END

_FULL = -1
_UNKNOWN = -2
_MAX_LOAD = 0.5


class Triples(NamedTuple):
    """A hash table of triples of numbers, in the order of first occurrence.

    ``slots (S,) int32``
        Open-addressing table of indexes into `keys`, −1 where free; S is a power of two.
    ``keys (n, 3) int32``, ``values (n,) int64``
        The triples and their values; n is the capacity.
    ``used (1,) int64``
        The number of triples.
    """

    slots: Array
    keys: Array
    values: Array
    used: Array


def new_triples(room: int = 1 << 12) -> Triples:
    """Return an empty table with room for this many triples, a power of two."""
    return Triples(
        np.full(round(room / _MAX_LOAD), -1, np.int32),
        np.empty((room, 3), np.int32),
        np.zeros(room, np.int64),
        np.zeros(1, np.int64),
    )


def grown(table: Triples) -> Triples:
    """Return a table with the same triples and twice the room."""
    larger = new_triples(2 * len(table.keys))
    used = int(table.used[0])
    _insert_all(table.keys[:used], larger)
    larger.values[:used] = table.values[:used]
    return larger


@njit(cache=True)
def _hash(a, between, b):
    code = np.uint64(np.uint32(a)) * np.uint64(0x9E3779B97F4A7C15)
    code = (code ^ np.uint64(np.uint32(between))) * np.uint64(0xC2B2AE3D27D4EB4F)
    code = (code ^ np.uint64(np.uint32(b))) * np.uint64(0x165667B19E3779F9)
    return code ^ (code >> np.uint64(29))


@njit(cache=True)
def find(table, code, a, between, b):
    """Return a triple's slot: the one that refers to it, or a free one."""
    slots, keys, _, _ = table
    mask = np.uint64(len(slots) - 1)
    slot = (code ^ (code >> np.uint64(32))) & mask
    while slots[slot] >= 0:
        key = keys[slots[slot]]
        if key[0] == a and key[1] == between and key[2] == b:
            break
        slot = (slot + np.uint64(1)) & mask
    return slot


@njit(cache=True)
def place_of(table, a, between, b):
    """Return the index of a triple, −1 if the table does not contain it."""
    return table.slots[find(table, _hash(a, between, b), a, between, b)]


@njit(cache=True)
def _insert(table, code, a, between, b):
    """Return the index of a triple, inserted if necessary; −1 if the table is full."""
    slot = find(table, code, a, between, b)
    place = table.slots[slot]
    if place < 0:
        place = np.int32(table.used[0])
        if place == len(table.keys):
            return np.int32(_FULL)
        table.slots[slot] = place
        table.keys[place, 0] = a
        table.keys[place, 1] = between
        table.keys[place, 2] = b
        table.used[0] += 1
    return place


@njit(cache=True)
def _insert_all(keys, table):
    for i in range(len(keys)):
        a, between, b = keys[i]
        _insert(table, _hash(a, between, b), a, between, b)


@njit(cache=True, nogil=True)
def add_triples(keys, table):
    """Add triples (n, 3) in order to a table that has room for them."""
    _insert_all(keys, table)


@njit(cache=True, nogil=True)
def list_pairs(ids, connects, parts, state, sequences, pairs, owners):
    """List the pairs of adjacent words in sentences, and which part of the work each belongs to.

    Parameters
    ----------
    ids : (n,) int32
        Words, `SENTENCE_END` between sentences: a piece of a text.
    connects : (W,) bool
        Which words are connectors: they may occur between the two and are never one of them.
    parts : int
        The number of parts; equal pairs belong to the same.
    state : (3,) int64
        The position to continue from, the word before it (−1 for none), and the sequence of
        connectors since; updated to where listing stopped.
    sequences : Triples
        Receives new sequences.
    pairs : (n, 3) int32, owners : (n,) int64
        Receive the pairs, and the number of each one's part.

    Returns
    -------
    int
        The number of pairs. If not all ids were processed, `sequences` is full.
    """
    position, before, between = state[0], state[1], state[2]
    found = 0
    while position < len(ids):
        word = ids[position]
        if word == SENTENCE_END:
            before, between = -1, 0
        elif connects[word]:
            if before >= 0:
                place = _insert(sequences, _hash(between, 0, word), between, 0, word)
                if place < 0:
                    break
                between = place + 1
        else:
            if before >= 0:
                pairs[found, 0] = before
                pairs[found, 1] = between
                pairs[found, 2] = word
                code = _hash(before, between, word)
                owners[found] = (code >> np.uint64(40)) % np.uint64(parts)
                found += 1
            before, between = word, 0
        position += 1
    state[0], state[1], state[2] = position, before, between
    return found


@njit(cache=True, nogil=True)
def count_triples(keys, start, table):
    """Count triples (n, 3) from a number on; return the number of the first one without room."""
    for i in range(start, len(keys)):
        a, between, b = keys[i]
        place = _insert(table, _hash(a, between, b), a, between, b)
        if place < 0:
            return i
        table.values[place] += 1
    return len(keys)


@njit(cache=True, nogil=True)
def join_pairs(ids, connects, sequences, table):
    """Replace each pair that is a phrase by one word, from left to right, in place.

    A word is part of at most one phrase.

    Parameters
    ----------
    ids : (n,) int32
        Words, `SENTENCE_END` between sentences.
    connects : (W,) bool
        As for `list_pairs`.
    sequences, table : Triples
        The phrases' sequences, and the phrases; their values are the words that replace them.

    Returns
    -------
    int
        The number of remaining ids.
    """
    written = 0
    first = -1  # position of the first word of a possible pair
    between = 0
    for position in range(len(ids)):
        word = ids[position]
        if word != SENTENCE_END and connects[word]:
            if first < 0:
                ids[written] = word
                written += 1
            elif between != _UNKNOWN:
                place = place_of(sequences, between, 0, word)
                between = int(place) + 1 if place >= 0 else _UNKNOWN
            continue
        if first >= 0:
            place = np.int32(-1)
            if word != SENTENCE_END and between != _UNKNOWN:
                place = place_of(table, ids[first], between, word)
            if place >= 0:
                ids[written] = table.values[place]
                written += 1
                first = -1
                continue
            for waiting in range(first, position):
                ids[written] = ids[waiting]
                written += 1
        first = position
        between = 0
        if word == SENTENCE_END:
            ids[written] = word
            written += 1
            first = -1
    if first >= 0:
        for waiting in range(first, len(ids)):
            ids[written] = ids[waiting]
            written += 1
    return written


@njit(cache=True, nogil=True)
def count_ids(ids, counts):
    """Add the occurrences of words in ids (n,) to their counts (W,)."""
    for word in ids:
        if word >= 0:
            counts[word] += 1
