"""Words of a text block → ids, through a hash table in plain arrays.

One pass over the corpus both counts and encodes: ids are assigned in the order of first occurrence
and renumbered once the vocabulary is known, so that standard input can be read as well as a file.
"""

from typing import NamedTuple

import numpy as np
from numba import njit

from embedder.arrays import Array

SENTENCE_END = -1
"""Marks the end of a sentence in a stream of ids."""
LETTER, MARK, INNER, INVISIBLE = 1, 2, 3, 4
"""Kinds of characters: those that begin words, continue them, or are inside them if others follow,
such as apostrophes and zero-width joiners."""
_FNV_OFFSET = np.uint64(0xCBF29CE484222325)
_FNV_PRIME = np.uint64(0x100000001B3)


class Lexicon(NamedTuple):
    """Words seen so far; word i is ``letters[starts[i]:starts[i + 1]]``.

    ``slots (S,) int32``
        Open-addressing table of word ids, −1 where free; S is a power of two.
    ``hashes (W,) uint64``, ``counts (W,) int64``, ``starts (W + 1,) int64``, ``letters (L,) uint8``
        One entry per word, with spare capacity.
    ``used (1,) int64``
        The number of words.
    """

    slots: Array
    hashes: Array
    counts: Array
    starts: Array
    letters: Array
    used: Array


def new_lexicon(words: int = 1 << 16, letters: int = 1 << 20) -> Lexicon:
    """Return an empty lexicon with room for this many words and bytes."""
    return Lexicon(
        np.full(4 * words, -1, np.int32),
        np.empty(words, np.uint64),
        np.zeros(words, np.int64),
        np.zeros(words + 1, np.int64),
        np.empty(letters, np.uint8),
        np.zeros(1, np.int64),
    )


def grown_lexicon(lexicon: Lexicon, block_bytes: int) -> Lexicon:
    """Return a copy with twice the room, and room for the bytes of one more block."""
    words = len(lexicon.hashes)
    grown = new_lexicon(2 * words, 2 * len(lexicon.letters) + block_bytes)
    for new, old in zip(grown[1:], lexicon[1:], strict=True):
        new[: len(old)] = old
    _fill_slots(grown.slots, grown.hashes, int(grown.used[0]))
    return grown


@njit(inline="always")
def _first_slot(code, mask):
    # FNV's low bits alone distribute badly over a power of two; fold the high ones in.
    return (code ^ (code >> np.uint64(32))) & mask


@njit(nogil=True, cache=True)
def _fill_slots(slots, hashes, words):
    mask = np.uint64(len(slots) - 1)
    for word in range(words):
        slot = _first_slot(hashes[word], mask)
        while slots[slot] >= 0:
            slot = (slot + np.uint64(1)) & mask
        slots[slot] = word


@njit(nogil=True, cache=True)
def encode_block(text, start, lexicon, ids):
    """Append the ids of a block's words, and `SENTENCE_END` at each newline.

    Parameters
    ----------
    text : (n,) uint8
        Words between ASCII whitespace.
    start : int
        The position to start at: a word's first byte, or whitespace.
    lexicon : Lexicon
        Receives the new words and counts.
    ids : (≥ n + 1,) int32
        Receives the ids.

    Returns
    -------
    (int, int)
        The position reached, less than n if the lexicon must grow first, and the number of ids
        written.
    """
    slots, hashes, counts, starts, letters, used = lexicon
    mask = np.uint64(len(slots) - 1)
    words = used[0]
    written = 0
    position = start
    n = len(text)
    while position < n:
        byte = text[position]
        if byte == 32 or 9 <= byte <= 13:
            if byte == 10:
                ids[written] = SENTENCE_END
                written += 1
            position += 1
            continue
        first = position
        code = _FNV_OFFSET
        while position < n:
            byte = text[position]
            if byte == 32 or 9 <= byte <= 13:
                break
            code = (code ^ np.uint64(byte)) * _FNV_PRIME
            position += 1
        length = position - first
        slot = _first_slot(code, mask)
        word = slots[slot]
        while word >= 0:
            if hashes[word] == code:
                begin = starts[word]
                if starts[word + 1] - begin == length:
                    same = True
                    for i in range(length):
                        if letters[begin + i] != text[first + i]:
                            same = False
                            break
                    if same:
                        break
            slot = (slot + np.uint64(1)) & mask
            word = slots[slot]
        if word < 0:
            begin = starts[words]
            if words == len(hashes) or begin + length > len(letters):
                used[0] = words
                return first, written
            word = np.int32(words)
            slots[slot] = word
            hashes[word] = code
            for i in range(length):
                letters[begin + i] = text[first + i]
            starts[word + 1] = begin + length
            words += 1
        counts[word] += 1
        ids[written] = word
        written += 1
    used[0] = words
    return position, written


@njit(nogil=True, cache=True)
def renumber(old, new_ids, out, previous):
    """Replace first-occurrence ids by vocabulary ids; drop words outside the vocabulary.

    Parameters
    ----------
    old : (n,) int32
        Ids and sentence ends.
    new_ids : (W,) int32
        The vocabulary id of every word seen, −1 outside the vocabulary.
    out : (≥ n,) int32
        Receives the result, without empty sentences. May be `old` itself.
    previous : int
        The last id written before this call, `SENTENCE_END` at the beginning.

    Returns
    -------
    int
        The number of ids written.
    """
    written = 0
    for i in range(len(old)):
        word = old[i]
        if word == SENTENCE_END:
            if previous == SENTENCE_END:
                continue
            new = np.int32(SENTENCE_END)
        else:
            new = new_ids[word]
            if new < 0:
                continue
        out[written] = new
        previous = new
        written += 1
    return written


@njit(inline="always")
def _character_at(text, i):
    """Return the code point that starts at byte i of valid UTF-8, and its length in bytes."""
    lead = np.int64(text[i])
    if lead < 0x80:
        return lead, 1
    if lead < 0xE0:
        return (lead & 0x1F) << 6 | np.int64(text[i + 1]) & 0x3F, 2
    middle = np.int64(text[i + 1]) & 0x3F
    if lead < 0xF0:
        return (lead & 0x0F) << 12 | middle << 6 | np.int64(text[i + 2]) & 0x3F, 3
    tail = (np.int64(text[i + 2]) & 0x3F) << 6 | np.int64(text[i + 3]) & 0x3F
    return (lead & 0x07) << 18 | middle << 12 | tail, 4


@njit(nogil=True, cache=True)
def blank_between_words(text, kinds):
    """Replace everything except words and newlines by spaces, in place.

    A word is a letter and what follows of letters, marks, and inner characters between these: any
    number of invisible ones, and at most one visible one. The rules are those of UAX #29 for words,
    WB4 to WB7, except that inner characters at the end of a word are no part of it.

    Parameters
    ----------
    text : (n,) uint8
        Valid UTF-8.
    kinds : (0x110000,) uint8
        What each code point is: `LETTER`, `MARK`, `INNER`, `INVISIBLE`, or anything else.
    """
    n = len(text)
    position = 0
    in_word = False
    while position < n:
        code, length = _character_at(text, position)
        kind = kinds[code]
        end = position + length
        if kind == LETTER or (kind == MARK and in_word):
            in_word = True
            position = end
            continue
        if in_word and kind in (INNER, INVISIBLE):
            visible = kind == INNER
            in_word = False
            while end < n:
                following, length = _character_at(text, end)
                kind = kinds[following]
                if kind in (LETTER, MARK):
                    in_word = True
                    break
                if kind != INVISIBLE and (kind != INNER or visible):
                    break
                visible = visible or kind == INNER
                end += length
        else:
            in_word = False
        if not in_word and code != 10:
            text[position:end] = 32
        position = end
