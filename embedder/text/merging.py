"""Words of several texts merged, and looked up in a vocabulary, without a Python object per word.

Lists of words are read like a text, by the same hash table (`embedder.kernels.tokens`).
"""

from collections.abc import Sequence

import numpy as np

from embedder.arrays import Array, offsets_from_lengths
from embedder.text.vocabulary import Vocabulary, WordCounts, encoded_words

_SPACE = 32


def words_of(vocabulary: Vocabulary) -> WordCounts:
    """Return a vocabulary's words and counts as arrays."""
    encoded = encoded_words(vocabulary.words)
    starts = offsets_from_lengths(np.fromiter(map(len, encoded), np.int64, len(encoded)))
    return WordCounts(np.frombuffer(b"".join(encoded), np.uint8), starts, vocabulary.counts)


def merge_words(*texts: WordCounts) -> WordCounts:
    """Return the words of several texts, in the order of first occurrence, with summed counts."""
    merged, numbers = _number(texts)
    counts = np.zeros(len(merged.counts), np.int64)
    np.add.at(counts, numbers, np.concatenate([text.counts for text in texts]))
    return merged._replace(counts=counts)


def ids_among(known: WordCounts, words: WordCounts, others: int) -> Array:
    """Return the number of each word among known, distinct words.

    Parameters
    ----------
    known
        From `words_of`.
    words
        The words to look up.
    others
        The number of words that are not known.

    Returns
    -------
    (n,) int32
    """
    V = len(known.counts)
    ids = _number((known, words))[1][V:]
    return np.where(ids < V, ids, np.int32(others))


def _number(texts: Sequence[WordCounts]) -> tuple[WordCounts, Array]:
    """Return the distinct words, with the number of texts they are in, and each word's number."""
    from embedder.kernels.tokens import encode_block, grown_lexicon, new_lexicon

    lexicon, numbers = new_lexicon(), []
    for letters, starts, counts in texts:
        block = np.insert(letters, starts[1:], _SPACE)
        ids = np.empty(len(counts), np.int32)
        position = done = 0
        while position < len(block):
            position, written = encode_block(block, position, lexicon, ids[done:])
            done += written
            if position < len(block):
                lexicon = grown_lexicon(lexicon, len(block))
        numbers.append(ids)
    words = int(lexicon.used[0])
    starts = lexicon.starts[: words + 1]
    found = WordCounts(lexicon.letters[: starts[-1]], starts, lexicon.counts[:words])
    return found, np.concatenate(numbers)
