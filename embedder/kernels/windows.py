"""Windows of a token stream: the words around each token, or before it."""

from numba import njit

from embedder.arrays import Array
from embedder.kernels.counts import uniform
from embedder.kernels.parts import take
from embedder.kernels.prefetch import prefetch
from embedder.kernels.threads import share
from embedder.kernels.tokens import SENTENCE_END

_WINDOWS_PER_PART = 512
_WINDOWS_AHEAD = 8
"""How far ahead to prefetch positions, which are in random order."""


@njit(nogil=True, cache=True)
def drop_tokens(ids, keep, seed, first, drop_ends, out):
    """Copy ids (n,), dropping occurrences of words at random; return how many remain.

    Parameters
    ----------
    ids : (n,) int32
        Word ids, −1 at sentence ends.
    keep : (V,) float64
        The probability of keeping an occurrence of each word.
    seed, first : int
        Determine the dropped occurrences; `first` is the position of ids[0] in the corpus.
    drop_ends : bool
        Whether to drop the ends of sentences as well.
    out : (≥ n,) int32
    """
    written = 0
    for i in range(len(ids)):
        word = ids[i]
        if word == SENTENCE_END:
            if drop_ends:
                continue
        elif keep[word] < 1.0 and uniform(seed, first + i) >= keep[word]:
            continue
        out[written] = word
        written += 1
    return written


@njit(nogil=True, inline="always")
def _reach(ids, i, step, window):
    """Return the number of words on one side of position i, within the window and the sentence."""
    count = 0
    j = i + step
    while count < window and 0 <= j < len(ids) and ids[j] != SENTENCE_END:
        count += 1
        j += step
    return count


@njit(nogil=True, inline="always")
def _window_of(seed, i, window, dynamic):
    """Return a window's size: `window`, or if dynamic, a random number from 1 to `window`."""
    return 1 + int(uniform(seed, i) * window) if dynamic else window


@njit(nogil=True, cache=True)
def _window_parts(parts, ids, places, window, left_only, dynamic, seed, contexts, centres):
    while True:
        part = take(parts)
        if part < 0:
            break
        low = part * _WINDOWS_PER_PART
        for b in range(low, min(len(places), low + _WINDOWS_PER_PART)):
            prefetch(ids, places[min(b + _WINDOWS_AHEAD, len(places) - 1)])
            i = places[b]
            size = _window_of(seed, i, window, dynamic)
            for k in range(contexts.shape[1]):
                contexts[b, k] = -1
            for d in range(1, _reach(ids, i, -1, size) + 1):
                contexts[b, window - d] = ids[i - d]
            if not left_only:
                for d in range(1, _reach(ids, i, 1, size) + 1):
                    contexts[b, window + d - 1] = ids[i + d]
            centres[b] = ids[i]


def windows_around(
    ids: Array,
    places: Array,
    window: int,
    left_only: bool,
    dynamic: bool,
    seed: int,
    out: tuple[Array, Array],
) -> None:
    """List the windows around the words at some positions of ids (n,) int32.

    Parameters
    ----------
    ids : (n,) int32
        Word ids, −1 at sentence ends, which no window crosses.
    places : (B,) int
        Positions of the centre words, which must not be sentence ends.
    window : int
        Words on each side.
    left_only : bool
        Omit the right side.
    dynamic : bool
        Draw each window's size from 1 … window.
    seed : int
        Determines these draws.
    out
        Receives each window's words (B, K) int32, in order, −1 for none, where K is the window or
        twice that, and the centre words (B,) int32.
    """
    parts = -(-len(places) // _WINDOWS_PER_PART)
    share(_window_parts, parts, ids, places, window, left_only, dynamic, seed, *out)


@njit(nogil=True, cache=True)
def pairs_around(ids, places, window, left_only, dynamic, seed, centres, neighbours):
    """List every pair of these windows in centres (n, 1) and neighbours (n,); return how many."""
    found = 0
    for i in places:
        size = _window_of(seed, i, window, dynamic)
        left = _reach(ids, i, -1, size)
        right = 0 if left_only else _reach(ids, i, 1, size)
        for j in range(i - left, i + right + 1):
            if j != i:
                centres[found, 0] = ids[i]
                neighbours[found] = ids[j]
                found += 1
    return found
