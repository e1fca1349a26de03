from collections import Counter

import numpy as np
import pytest

from embedder.arrays import offsets_from_lengths
from embedder.text.merging import ids_among, merge_words, words_of
from embedder.text.vocabulary import Vocabulary, WordCounts, encoded_words


def word_counts(counted):
    encoded = encoded_words(counted)
    starts = offsets_from_lengths(np.array([len(word) for word in encoded], np.int64))
    letters = np.frombuffer(b"".join(encoded), np.uint8)
    return WordCounts(letters, starts, np.array(list(counted.values()), np.int64))


def random_words(rng, n):
    letters = list("abcdefghijklmnopqrstuvwxyzäß語😀")
    words = {"".join(rng.choice(letters, rng.integers(1, 9))) for _ in range(n)}
    return {word: int(rng.integers(1, 1000)) for word in sorted(words)}


def counts_of(found):
    return dict(zip(found.words(), found.counts.tolist(), strict=True))


@pytest.mark.parametrize("sizes", [[5], [0, 3], [1, 1, 1], [300, 0, 2000], [0]])
def test_counts_of_words_are_summed_over_texts(rng, sizes):
    texts = [random_words(rng, n) for n in sizes]
    found = merge_words(*map(word_counts, texts))
    expected = sum(map(Counter, texts), Counter())
    assert counts_of(found) == expected
    assert found.words() == list(dict.fromkeys(word for text in texts for word in text))
    assert counts_of(merge_words(found, found)) == {word: 2 * n for word, n in expected.items()}


def test_more_words_than_the_table_first_has_room_for(rng):
    many = {f"word{i}": i + 1 for i in range(200_000)}
    found = merge_words(word_counts(many), word_counts({"word7": 1, "other": 2}))
    assert counts_of(found) == many | {"word7": 9, "other": 2}


@pytest.mark.parametrize("others", [-1, 3])
def test_words_are_looked_up_in_a_vocabulary(rng, others):
    vocabulary = Vocabulary(["zwei", "語", "New York", "<unk>"], np.array([9, 8, 7, 1]))
    words = word_counts({"New York": 1, "York": 1, "語": 1, "zweit": 1, "zwei": 1})
    found = ids_among(words_of(vocabulary), words, others)
    assert found.tolist() == [2, others, 1, others, 0]
    assert found.dtype == np.int32
    assert ids_among(words_of(vocabulary), word_counts({}), others).tolist() == []
