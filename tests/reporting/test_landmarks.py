import itertools

import numpy as np
import pytest

from embedder.reporting.landmarks import COLOURS, find_landmarks
from embedder.text.vocabulary import Vocabulary
from embedder.vectors.word_vectors import WordVectors


def model(words, counts, matrix):
    return WordVectors(Vocabulary(words, np.array(counts)), np.asarray(matrix, np.float32))


@pytest.fixture
def themes(rng):
    """Four themes of thirty words, of which the first in each is the most central."""
    centres = np.linalg.qr(rng.normal(size=(16, 16)))[0][:4] * 5
    matrix = centres[np.arange(120) % 4] + rng.normal(size=(120, 16)) * 0.6
    matrix[:4] = centres
    words = [f"theme{'abcd'[i % 4]}{'qwertzuiopasdfghjklyxcvbnmäöüß'[i // 4]}" for i in range(120)]
    return model(words, np.arange(1200, 0, -10), matrix)


def test_clusters_are_the_themes_and_are_called_after_central_words(themes):
    places = np.arange(240.0).reshape(120, 2)
    clusters, cluster_of, _ = find_landmarks(themes, places)
    assert len(clusters) == 4
    for number, cluster in enumerate(clusters):
        members = np.flatnonzero(cluster_of == number)
        assert set(members % 4) == {members[0] % 4}
        assert cluster.size == 30
        assert cluster.name[0] == themes.words[members[0]]
        assert len(cluster.name) == 3
        assert cluster.place == tuple(np.median(places[members], axis=0))


def test_the_order_has_every_word_once(themes):
    order = find_landmarks(themes, np.zeros((120, 2))).order
    assert sorted(order) == list(range(120))
    assert set(order[:4]) == {0, 1, 2, 3}  # frequent and central


def test_function_words_numbers_and_short_words_come_last(rng):
    words = ["the", "of", "1999", "--", "ab", "日", "sea", *(f"word{'x' * i}" for i in range(40))]
    counts = [900_000, 600_000, *([50] * (len(words) - 2))]
    vectors = model(words, counts, rng.normal(size=(len(words), 6)))
    order = [words[i] for i in find_landmarks(vectors, rng.normal(size=(len(words), 2))).order]
    assert set(order[-5:]) == {"the", "of", "1999", "--", "ab"}
    assert "日" in order[:-5]


def test_a_small_vocabulary_of_frequent_words_is_ordered_too(rng):
    words = [f"word{letter}" for letter in "abcdefghij"]
    vectors = model(words, [100] * 10, rng.normal(size=(10, 4)))
    assert sorted(find_landmarks(vectors, rng.normal(size=(10, 2))).order) == list(range(10))


@pytest.mark.parametrize("words", [1, 2, 5])
def test_few_or_equal_words_are_clusters(words):
    vectors = model([f"w{i}" for i in range(words)], np.zeros(words, int), np.ones((words, 3)))
    clusters, cluster_of, _ = find_landmarks(vectors, np.zeros((words, 2)))
    assert sum(cluster.size for cluster in clusters) == words
    assert cluster_of.max() < len(clusters)


def test_close_clusters_have_different_colours(rng):
    matrix = np.repeat(np.eye(16), 400, axis=0) + rng.normal(size=(6400, 16)) * 0.02
    places = np.repeat(np.stack([np.arange(16.0), np.zeros(16)], axis=1), 400, axis=0)
    vectors = model([f"w{i}" for i in range(6400)], np.ones(6400, int), matrix)
    clusters = sorted(find_landmarks(vectors, places).clusters, key=lambda each: each.place)
    assert all(0 <= cluster.colour < COLOURS for cluster in clusters)
    assert all(a.colour != b.colour for a, b in itertools.pairwise(clusters))
