"""Character n-grams of words, hashed into buckets as in fastText (Bojanowski et al. 2017).

An n-gram is a sequence of n characters of "<word>". Its bucket is the FNV-1a hash of its UTF-8
bytes, each sign-extended to 32 bits, modulo the number of buckets.
"""

import numpy as np
from numba import njit

from embedder.arrays import Array
from embedder.kernels.parts import take
from embedder.kernels.threads import share

_FNV_BASIS = np.uint32(2166136261)
_FNV_PRIME = np.uint32(16777619)
_WORDS_PER_PART = 256
_CONTINUATION, _CONTINUATION_MASK = 0x80, 0xC0


@njit(cache=True, nogil=True)
def ngram_buckets(text, min_n, max_n, buckets, out):
    """List the buckets of a word's n-grams.

    Parameters
    ----------
    text : (n,) uint8
        The UTF-8 of "<word>".
    min_n, max_n
        Lengths of n-grams in characters. `<` and `>` alone are not n-grams.
    buckets
        The number of buckets.
    out : (m,) int64
        Receives the buckets; None to only count.

    Returns
    -------
    int
        The number of n-grams.
    """
    found = 0
    length = len(text)
    for start in range(length):
        if text[start] & _CONTINUATION_MASK == _CONTINUATION:
            continue
        value = _FNV_BASIS
        position = start
        for n in range(1, max_n + 1):
            if position >= length:
                break
            while True:
                value = np.uint32(value ^ np.uint32(np.int8(text[position]))) * _FNV_PRIME
                position += 1
                if position >= length:
                    break
                if text[position] & _CONTINUATION_MASK != _CONTINUATION:
                    break
            if n >= min_n and not (n == 1 and (start == 0 or position == length)):
                if out is not None:
                    out[found] = np.uint32(value) % np.uint32(buckets)
                found += 1
    return found


@njit(cache=True, nogil=True)
def list_ngrams(letters, starts, min_n, max_n, buckets, counts, out):
    """List the buckets of many words' n-grams, word after word.

    Parameters
    ----------
    letters : (m,) uint8
        The concatenated UTF-8 of every "<word>"; an empty word has no n-grams.
    starts : (V + 1,) int64
        Where each word starts.
    min_n, max_n, buckets
        As for `ngram_buckets`.
    counts : (V,) int64
        Receives the number of each word's n-grams.
    out : (m · (max_n − min_n + 1),) int64
        Receives the buckets.

    Returns
    -------
    int
        The total number of n-grams.
    """
    total = 0
    for i in range(len(counts)):
        text = letters[starts[i] : starts[i + 1]]
        counts[i] = ngram_buckets(text, min_n, max_n, buckets, out[total:])
        total += counts[i]
    return total


@njit(nogil=True, cache=True)
def _compose_parts(parts, letters, starts, rows, first, ngrams, out):
    min_n, max_n, buckets = ngrams
    n, D = out.shape
    V = len(rows) - buckets
    while True:
        part = take(parts)
        if part < 0:
            break
        low = part * _WORDS_PER_PART
        for i in range(low, min(n, low + _WORDS_PER_PART)):
            text = letters[starts[i] : starts[i + 1]]
            total = np.zeros(D, np.float32)
            for d in range(D):
                total[d] = rows[first + i, d]
            found = 0
            if buckets > 0:
                places = np.empty(max(1, len(text) * max_n), np.int64)
                found = ngram_buckets(text, min_n, max_n, buckets, places)
                for j in range(found):
                    row = V + places[j]
                    for d in range(D):
                        total[d] += rows[row, d]
            for d in range(D):
                out[i, d] = total[d] / np.float32(found + 1)


def compose_words(
    letters: Array,
    starts: Array,
    rows: Array,
    first: int,
    ngrams: tuple[int, int, int],
    out: Array,
) -> None:
    """Set each word's vector to the mean of its own row and the rows of its n-grams.

    Parameters
    ----------
    letters : (m,) uint8
        The concatenated UTF-8 of every "<word>"; an empty word has no n-grams.
    starts : (n + 1,) int64
        Where each word starts.
    rows : (V + buckets, D) float32
        Rows of the words, then of the buckets.
    first
        The row of the first of these words.
    ngrams
        The smallest and largest n, and the number of buckets; as for `ngram_buckets`.
    out : (n, D) float32
        Receives the vectors.
    """
    parts = -(-len(out) // _WORDS_PER_PART)
    share(_compose_parts, parts, letters, starts, rows, first, ngrams, out)
