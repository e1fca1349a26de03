import base64

import numpy as np
import pytest

from embedder.reporting.explorer import LARGEST_PAGE, explorer_data, make_map, words_that_fit
from embedder.text.vocabulary import Vocabulary
from embedder.vectors.word_vectors import WordVectors


@pytest.fixture
def vectors(rng):
    words = [f"w{i}" for i in range(80)]
    return WordVectors(
        Vocabulary(words, np.arange(80, 0, -1)), rng.normal(size=(80, 12)).astype("f4")
    )


def decoded(text, dtype):
    return np.frombuffer(base64.b64decode(text), dtype)


def test_the_vectors_of_the_page_are_nearly_those_of_the_model(vectors):
    data = explorer_data("name", vectors, make_map(vectors, 40, "pca"), 60)
    assert data["words"] == vectors.words[:60]
    assert data["counts"] == list(range(80, 20, -1))
    assert (data["total"], data["tokens"]) == (80, 80 * 81 // 2)
    rows = decoded(data["codes"], np.int8).reshape(60, 12) * np.array(data["scales"])
    np.testing.assert_allclose(rows, vectors.unit_rows(np.arange(60)), atol=0.01)


def test_the_map_of_the_page_keeps_the_shape_of_the_map(vectors):
    drawn = make_map(vectors, 40, "pca")
    found = explorer_data("name", vectors, drawn, 40)["map"]
    places = decoded(found["places"], "<u2").reshape(40, 2) / 65535
    coordinates = drawn.places.coordinates
    scale = 1 / np.ptp(coordinates, axis=0).max()
    np.testing.assert_allclose(
        np.diff(places, axis=0), np.diff(coordinates, axis=0) * scale, atol=2e-4
    )
    assert (places.min(), places.max()) == (0, 1)
    np.testing.assert_allclose((places.min(axis=0) + places.max(axis=0)) / 2, 0.5, atol=1e-4)
    assert decoded(found["order"], "<u4").tolist() == drawn.landmarks.order.tolist()
    assert decoded(found["cluster_of"], "u1").tolist() == drawn.landmarks.cluster_of.tolist()


def test_the_page_has_at_least_the_words_of_the_map_and_at_most_all(vectors):
    drawn = make_map(vectors, 40, "pca")
    assert len(explorer_data("name", vectors, drawn, 2)["words"]) == 40
    assert len(explorer_data("name", vectors, drawn, 1000)["words"]) == 80


def test_a_file_without_counts_has_none(rng):
    vectors = WordVectors(Vocabulary(["a", "b"], np.zeros(2, int)), rng.normal(size=(2, 3)))
    data = explorer_data("name", vectors, make_map(vectors, 2, "pca"), 2)
    assert (data["counts"], data["tokens"]) == (None, None)


def test_fifty_thousand_words_of_a_hundred_dimensions_fit_in_a_page():
    matrix = np.zeros((1, 100), np.float32)
    model = WordVectors(Vocabulary(["a"], np.ones(1)), matrix)
    assert 50_000 < words_that_fit([model]) < LARGEST_PAGE / 133
    assert words_that_fit([model, model]) == words_that_fit([model]) // 2


def test_a_second_map_is_like_the_first(rng):
    centres = rng.normal(size=(8, 12)) * 3
    matrix = (centres[np.arange(80) % 8] + rng.normal(size=(80, 12)) * 0.3).astype(np.float32)
    words = [f"w{i}" for i in range(80)]
    shuffled = rng.permutation(80)
    first = make_map(WordVectors(Vocabulary(words, np.ones(80)), matrix), 80, "graph")
    other = WordVectors(Vocabulary([words[i] for i in shuffled], np.ones(80)), matrix[shuffled])
    second = make_map(other, 80, "graph", first)
    one, two = first.places.coordinates[shuffled], second.places.coordinates
    one, two = (each - each.mean(axis=0) for each in (one, two))
    assert (one * two).sum() / np.linalg.norm(one) / np.linalg.norm(two) > 0.8
