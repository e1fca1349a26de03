import numpy as np
import pytest

from embedder.evaluation.neighborhoods import neighborhood_overlaps
from embedder.text.vocabulary import Vocabulary
from embedder.vectors.word_vectors import WordVectors


def model(words, matrix):
    return WordVectors(Vocabulary(words, np.arange(len(words), 0, -1)), matrix.astype(np.float32))


@pytest.fixture
def matrix(rng):
    return rng.normal(size=(30, 8))


WORDS = [f"w{i}" for i in range(30)]


def test_a_model_has_the_same_neighborhoods_as_itself_in_any_rotation(rng, matrix):
    rotation, _ = np.linalg.qr(rng.normal(size=(8, 8)))
    found = neighborhood_overlaps(model(WORDS, matrix), model(WORDS, matrix @ rotation))
    assert [overlap.share for overlap in found] == [1.0] * 30
    assert [overlap.word for overlap in found] == WORDS  # equal ones: the more frequent first


def test_the_word_that_moved_comes_first(matrix):
    moved = matrix.copy()
    moved[7] = -moved[7]
    first, second = model(WORDS, matrix), model(WORDS, moved)
    found = neighborhood_overlaps(first, second, neighbors=5)
    assert found[0] == ("w7", 0.0)
    expected = {near.word for near in first.neighbors("w3", 5)}
    expected &= {near.word for near in second.neighbors("w3", 5)}
    assert dict(found)["w3"] == len(expected) / 5


def test_words_that_one_model_lacks_count_in_neither(rng, matrix):
    first = model(WORDS, matrix)
    second = model([*WORDS[::-1], "more"], np.vstack([matrix[::-1], matrix[:1]]))
    found = neighborhood_overlaps(first, second, neighbors=5)
    assert sorted(overlap.word for overlap in found) == sorted(WORDS)
    assert {overlap.share for overlap in found} == {1.0}


def test_only_the_most_frequent_words_are_compared(matrix):
    found = neighborhood_overlaps(model(WORDS, matrix), model(WORDS, matrix), compared=4)
    assert [overlap.word for overlap in found] == WORDS[:4]


def test_nothing_is_compared_without_two_common_words(matrix):
    other = model(["w0", *(f"x{i}" for i in range(29))], matrix)
    assert neighborhood_overlaps(model(WORDS, matrix), other) == []
