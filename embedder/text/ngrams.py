"""Character n-grams of words, hashed into buckets as in fastText."""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet

import numpy as np

from embedder.arrays import Array, offsets_from_lengths

END_OF_SENTENCE = "</s>"
"""fastText's end-of-sentence token, which has no n-grams."""


def list_ngrams(
    words: Sequence[str],
    min_n: int,
    max_n: int,
    buckets: int,
    alone: AbstractSet[str | None] = frozenset(),
) -> tuple[Array, Array]:
    """Return the number of n-grams per word, (n,) int64, and the buckets of all n-grams in order.

    fastText's end-of-sentence token and the words in `alone` have no n-grams.
    """
    if not max_n or not buckets:
        return np.zeros(len(words), np.int64), np.empty(0, np.int64)
    from embedder.kernels import subwords as kernels
    from embedder.kernels.compiler import require_compiler

    require_compiler()
    letters, starts = letters_of(words, alone)
    counts = np.empty(len(words), np.int64)
    found = np.empty(len(letters) * (max_n - min_n + 1), np.int64)
    total = kernels.list_ngrams(letters, starts, min_n, max_n, buckets, counts, found)
    return counts, found[:total]


def letters_of(
    words: Sequence[str], alone: AbstractSet[str | None] = frozenset()
) -> tuple[Array, Array]:
    """Return the concatenated UTF-8 of "<word>", empty for those in `alone`, and the offsets.

    Bytes that are not UTF-8 may be escaped as surrogates, as Python does in arguments.
    """
    without = {END_OF_SENTENCE, *alone}
    texts = [
        b"" if word in without else f"<{word}>".encode("utf-8", "surrogateescape") for word in words
    ]
    starts = offsets_from_lengths(np.fromiter(map(len, texts), np.int64, len(texts)))
    return np.frombuffer(b"".join(texts), np.uint8), starts


def find_buckets(used: Array, ngrams: Array) -> tuple[Array, Array]:
    """Return which of the used buckets those of some n-grams are, and which n-grams have one.

    Parameters
    ----------
    used : (G,) int64
        The used buckets, ascending.
    ngrams : (n,) int64
        The buckets of the n-grams.

    Returns
    -------
    (m,) int64
        The indices, in `used`, of the buckets of those n-grams that have one.
    (n,) bool
        Which n-grams have one.
    """
    if not len(used):
        return ngrams[:0], np.zeros(len(ngrams), bool)
    indices = np.searchsorted(used, ngrams).clip(max=len(used) - 1)
    found = used[indices] == ngrams
    return indices[found], found
