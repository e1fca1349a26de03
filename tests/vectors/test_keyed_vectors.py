import numpy as np
import pytest

from embedder.errors import VocabularyError
from embedder.text.vocabulary import Vocabulary
from embedder.vectors.word_vectors import WordVectors

WORDS = [f"w{i}" for i in range(50)]


@pytest.fixture
def vectors(rng):
    return WordVectors(
        Vocabulary(WORDS, np.arange(100, 50, -1)), rng.normal(size=(50, 7)).astype(np.float32)
    )


@pytest.fixture
def gensim_vectors(vectors, tmp_path):
    """What gensim reads from a file of the same vectors."""
    models = pytest.importorskip("gensim.models")
    vectors.save(tmp_path / "v.bin")
    return models.KeyedVectors.load_word2vec_format(str(tmp_path / "v.bin"), binary=True)


def close(found, expected):
    assert [word for word, _ in found] == [word for word, _ in expected]
    np.testing.assert_allclose([s for _, s in found], [s for _, s in expected], rtol=1e-5)


def test_neighbours_agree_with_gensim(vectors, gensim_vectors):
    own, other = vectors, gensim_vectors
    array = np.arange(7, dtype=np.float32)
    for positive, negative in [
        (["w1"], []), ("w2", []), (["w1", "w2"], ["w3"]), ([array], []), (array, ["w4"]),
        ([("w1", 0.3), ("w2", 2.0)], [("w3", 0.5)]), (["w1", array], ["w9"]),
    ]:  # fmt: skip
        close(own.most_similar(positive, negative), other.most_similar(positive, negative))
        close(
            own.most_similar(positive, negative, topn=3), other.most_similar(positive, negative, 3)
        )
    for positive, negative in [(["w1"], []), (["w1", "w2"], ["w3"]), (["w5"], ["w6", "w7"])]:
        close(
            own.most_similar_cosmul(positive, negative),
            other.most_similar_cosmul(positive, negative),
        )


def test_similarities_and_distances_agree_with_gensim(vectors, gensim_vectors):
    own, other = vectors, gensim_vectors
    assert own.similarity("w1", "w2") == pytest.approx(other.similarity("w1", "w2"), abs=1e-6)
    pairs = ["w1", "w2"], ["w3", "w4", "w5"]
    assert own.n_similarity(*pairs) == pytest.approx(other.n_similarity(*pairs), abs=1e-6)
    for words in (["w1", "w2", "w3"], ["w9", "w8", "w30", "w4", "w5"]):
        assert own.doesnt_match(words) == other.doesnt_match(words)
    np.testing.assert_allclose(own.distances("w3"), other.distances("w3"), atol=1e-6)
    chosen = ["w5", "w6"]
    np.testing.assert_allclose(
        own.distances("w3", chosen), other.distances("w3", chosen), atol=1e-6
    )
    assert own.closer_than("w1", "w7") == other.closer_than("w1", "w7")
    assert own.rank("w1", "w7") == other.rank("w1", "w7")


def test_the_view_has_gensims_names_and_results(vectors, gensim_vectors, tmp_path):
    own, other = vectors.keyed_vectors(), gensim_vectors
    assert own.index_to_key == other.index_to_key
    assert own.key_to_index == other.key_to_index
    assert own.vector_size == other.vector_size
    assert len(own) == len(other)
    assert list(own) == WORDS
    assert own.has_index_for("w1")
    assert not own.has_index_for("x")
    assert "w1" in own
    assert own.get_index("w4") == other.get_index("w4")
    assert own.get_index("x", -1) == -1
    assert own.get_vecattr("w0", "count") == 100
    np.testing.assert_array_equal(own.vectors, other.vectors)
    np.testing.assert_array_equal(own["w1"], other["w1"])
    np.testing.assert_array_equal(own[["w1", "w2"]], other[["w1", "w2"]])
    other.fill_norms()
    np.testing.assert_allclose(own.norms, other.norms, rtol=1e-6)
    for key in ("w1", "w2"):
        np.testing.assert_allclose(own.get_vector(key, norm=True),
                                   other.get_vector(key, norm=True), rtol=1e-5)  # fmt: skip
    np.testing.assert_allclose(own.get_normed_vectors(), other.get_normed_vectors(), rtol=1e-5)
    for options in ({}, {"pre_normalize": False}, {"post_normalize": True},
                    {"weights": [0.5, -1.0, 2.0]}):  # fmt: skip
        keys = ["w1", "w2", "w3"]
        np.testing.assert_allclose(
            own.get_mean_vector(keys, **options), other.get_mean_vector(keys, **options), rtol=1e-4
        )
    close(own.similar_by_word("w1"), other.similar_by_word("w1"))
    close(own.similar_by_key("w1", 3), other.similar_by_key("w1", 3))
    close(own.similar_by_vector(own["w1"]), other.similar_by_vector(other["w1"]))
    close(own.most_similar(positive=["w1"], topn=5), other.most_similar(positive=["w1"], topn=5))
    given = "w1", ["w4", "w5", "w6"]
    assert own.most_similar_to_given(*given) == other.most_similar_to_given(*given)
    assert own.distance("w1", "w2") == pytest.approx(other.distance("w1", "w2"), abs=1e-6)
    assert own.words_closer_than("w1", "w2") == other.closer_than("w1", "w2")
    own.save_word2vec_format(tmp_path / "w.txt")
    assert other.load_word2vec_format(str(tmp_path / "w.txt")).index_to_key == WORDS


def test_gensims_own_class_shares_the_memory(vectors):
    models = pytest.importorskip("gensim.models")
    found = vectors.keyed_vectors().to_gensim()
    assert isinstance(found, models.KeyedVectors)
    assert np.shares_memory(found.vectors, vectors.matrix)
    close(found.most_similar("w1"), vectors.most_similar("w1"))
    assert found.get_vecattr("w0", "count") == 100


@pytest.mark.filterwarnings("ignore:The parameter (source|target)_lang_vec")
def test_what_gensim_builds_on_keyed_vectors_takes_the_view(vectors):
    similarities = pytest.importorskip("gensim.similarities")
    translation = pytest.importorskip("gensim.models.translation_matrix")
    view = vectors.keyed_vectors()
    found = []
    for each in (view, view.to_gensim()):
        index = similarities.WordEmbeddingSimilarityIndex(each)
        matrix = translation.TranslationMatrix(each, each, [(word, word) for word in WORDS])
        found.append((list(index.most_similar("w1", topn=3)), matrix.translate(["w1"], topn=1)))
    (own, own_word), (other, other_word) = found
    close(own, other)
    assert own_word == other_word == {"w1": ["w1"]}


def test_unknown_words_are_key_errors(vectors):
    view = vectors.keyed_vectors()
    for ask in (
        lambda: vectors["x"], lambda: vectors[["w1", "x"]], lambda: vectors.most_similar("x"),
        lambda: view["x"], lambda: view.get_index("x"), lambda: view.get_vecattr("x", "count"),
        lambda: view.get_vecattr("w1", "colour"), lambda: vectors.rank("w1", "x"),
        lambda: view.get_mean_vector(["x"], ignore_missing=False),
    ):  # fmt: skip
        with pytest.raises(KeyError):
            ask()
    with pytest.raises(VocabularyError, match=r"^'w' is not in the vocabulary"):
        _ = vectors["w"]
