import sys

import numpy as np
import pytest

from embedder.errors import EmbedderError
from embedder.reporting import projection
from embedder.reporting.projection import place_words, start_like
from embedder.text.vocabulary import Vocabulary
from embedder.vectors.word_vectors import WordVectors


def model(matrix, words=None):
    words = words or [f"w{i}" for i in range(len(matrix))]
    return WordVectors(Vocabulary(words, np.ones(len(words))), matrix.astype(np.float32))


@pytest.fixture
def groups(rng):
    """Two hundred words in five well separated groups."""
    centres = rng.normal(size=(5, 20)) * 4
    return model(centres[np.arange(200) % 5] + rng.normal(size=(200, 20)) * 0.3)


def test_words_of_a_group_are_together_on_the_map(groups):
    found, about = place_words(groups, 200)
    assert "15 nearest words" in about
    away = np.linalg.norm(found[:, None] - found[None], axis=2)
    np.fill_diagonal(away, np.inf)
    assert (away.argmin(axis=1) % 5 == np.arange(200) % 5).all()


def test_the_map_is_the_same_every_time(groups):
    one, two = (place_words(groups, 150).coordinates for _ in range(2))
    assert one.shape == (150, 2)
    np.testing.assert_array_equal(one, two)


def test_the_map_is_widest_from_left_to_right(groups):
    found = place_words(groups, 200).coordinates
    assert found[:, 0].std() >= found[:, 1].std()
    assert abs(np.corrcoef(found.T)[0, 1]) < 1e-6


def test_principal_components_are_those_of_a_decomposition(rng):
    vectors = model(rng.normal(size=(50, 6)) * [9, 4, 1, 1, 1, 1])
    found, about = place_words(vectors, 50, "pca")
    unit = vectors.unit_rows(np.arange(50)).astype(np.float64)
    left, sizes, _ = np.linalg.svd(unit - unit.mean(axis=0), full_matrices=False)
    np.testing.assert_allclose(np.abs(found), np.abs(left[:, :2] * sizes[:2]), atol=1e-4)
    share = (sizes[:2] ** 2).sum() / (sizes**2).sum()
    assert f"({share:.0%} of the variance)" in about


@pytest.mark.parametrize("words", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("dimensions", [1, 2, 7])
def test_few_words_and_dimensions_have_places(rng, words, dimensions):
    found = place_words(model(rng.normal(size=(words, dimensions))), words).coordinates
    assert found.shape == (words, 2)
    assert np.isfinite(found).all()


def test_equal_vectors_have_places():
    assert np.isfinite(place_words(model(np.ones((40, 3))), 40).coordinates).all()


def test_a_map_like_another_starts_there_and_new_words_at_their_nearest(rng):
    matrix = rng.normal(size=(4, 6))
    second = model(np.vstack([matrix, matrix[2] + 0.01]), ["c", "a", "b", "d", "new"])
    places = np.arange(8.0).reshape(4, 2)
    found = start_like(second, 5, ["a", "b", "c", "other"], places)
    np.testing.assert_array_equal(found[:3], places[[2, 0, 1]])
    np.testing.assert_array_equal(found[4], places[1])  # beside b, which it resembles
    assert start_like(second, 5, ["nothing"], places[:1]) is None


@pytest.mark.parametrize(("name", "package"), [("umap", "umap-learn"), ("tsne", "openTSNE")])
def test_a_projection_names_the_package_that_it_needs(groups, monkeypatch, name, package):
    monkeypatch.setattr(projection, "find_spec", lambda module: None)
    with pytest.raises(EmbedderError, match=f"--map {name} needs {package}.*maps"):
        place_words(groups, 20, name)


@pytest.mark.parametrize(("name", "module"), [("umap", "umap"), ("tsne", "openTSNE")])
def test_other_projections_keep_groups_together(groups, name, module):
    pytest.importorskip(module, reason=f"{module} is not installed")
    found, about = place_words(groups, 200, name)
    assert {"umap": "UMAP", "tsne": "t-SNE"}[name] in about
    away = np.linalg.norm(found[:, None] - found[None], axis=2)
    np.fill_diagonal(away, np.inf)
    assert (away.argmin(axis=1) % 5 == np.arange(200) % 5).mean() > 0.95
    assert module in sys.modules
