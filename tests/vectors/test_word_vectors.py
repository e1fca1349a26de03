import numpy as np
import pytest

from embedder.errors import RunError, VocabularyError
from embedder.text.vocabulary import Vocabulary
from embedder.vectors.from_run import load_vectors
from embedder.vectors.word_vectors import WordVectors

WORDS = ["king", "queen", "man", "woman", "apple", "naïve"]


@pytest.fixture
def vectors(rng):
    matrix = rng.normal(size=(6, 3)).astype(np.float32)
    matrix[:4] = [[1, 0, 1], [0, 1, 1], [1, 0, 0], [0, 1, 0]]
    return WordVectors(Vocabulary(WORDS, np.arange(6, 0, -1)), matrix)


def test_neighbors_are_ordered_by_cosine_and_exclude_the_word(vectors):
    found = vectors.neighbors("king", 3)
    assert "king" not in [near.word for near in found]
    similarities = [near.similarity for near in found]
    assert similarities == sorted(similarities, reverse=True)
    i, j = WORDS.index("king"), WORDS.index(found[0].word)
    a, b = vectors.matrix[i], vectors.matrix[j]
    assert found[0].similarity == pytest.approx(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def test_asking_for_more_neighbors_than_words_returns_all_words(vectors):
    assert len(vectors.neighbors("king", 100)) == 5


def test_analogies_exclude_their_three_words(vectors):
    found = vectors.analogy("man", "king", "woman", 3)
    assert found[0].word == "queen"
    assert not {"man", "king", "woman"} & {near.word for near in found}


def test_a_zero_vector_has_similarity_zero_to_all_words(rng):
    matrix = np.vstack([np.zeros(3), rng.normal(size=(2, 3))]).astype(np.float32)
    vectors = WordVectors(Vocabulary(["o", "a", "b"], np.array([3, 2, 1])), matrix)
    assert [near.similarity for near in vectors.neighbors("o")] == [0.0, 0.0]


def test_text_formats_store_every_float_exactly(vectors, tmp_path):
    for name, skip in (("word2vec", 1), ("glove", 0)):
        path = tmp_path / name
        vectors.save(path, name)
        lines = path.read_text(encoding="utf-8").splitlines()
        if skip:
            assert lines[0] == "6 3"
        rows = [line.split(" ") for line in lines[skip:]]
        assert [row[0] for row in rows] == WORDS
        np.testing.assert_array_equal(
            np.array([row[1:] for row in rows], np.float32), vectors.matrix
        )


def test_the_kind_of_vectors_defaults_to_the_runs_configuration(toy_run):
    default = load_vectors(toy_run)
    np.testing.assert_array_equal(default.matrix, load_vectors(toy_run, "sum").matrix)


@pytest.mark.parametrize("name", ["word2vec", "word2vec-binary", "glove"])
def test_gensim_reads_exported_vectors(toy_run, tmp_path, name):
    models = pytest.importorskip("gensim.models", reason="gensim is not installed")
    vectors = load_vectors(toy_run)
    path = tmp_path / "vectors"
    vectors.save(path, name)
    loaded = models.KeyedVectors.load_word2vec_format(
        str(path), binary=name == "word2vec-binary", no_header=name == "glove"
    )
    assert loaded.index_to_key == vectors.vocabulary.words
    np.testing.assert_array_equal(loaded.vectors, vectors.matrix)


def few():
    matrix = np.array([[1, 1], [1, 0.9], [0, -1]], np.float32)
    return WordVectors(Vocabulary(["king", "<b>", "apple"], np.array([9, 5, 2])), matrix)


def test_vectors_behave_like_a_collection_of_words():
    vectors = few()
    assert list(vectors) == vectors.words == ["king", "<b>", "apple"]
    assert "king" in vectors
    assert ["king"] not in [vectors]
    assert 5 not in vectors
    np.testing.assert_array_equal(vectors[["apple", "king"]], vectors.matrix[[2, 0]])
    assert vectors[[]].shape == (0, 2)
    assert vectors.get("none") is None
    assert vectors.get("none", 5) == 5
    np.testing.assert_array_equal(vectors.get("king"), vectors["king"])


def test_vectors_show_themselves():
    assert repr(few()) == "<WordVectors: 3 words × 2 dimensions; king, <b>, apple, …>"
    page = few()._repr_html_()
    assert "<td>&lt;b&gt;</td><td>5</td><td>1.000, 0.900</td>" in page


def test_odd_queries_are_one_sentence():
    vectors = few()
    with pytest.raises(VocabularyError, match="at least one word or vector"):
        vectors.most_similar()
    with pytest.raises(
        VocabularyError, match=r"a vector of 2 numbers, got an array of shape \(3,\)"
    ):
        vectors.most_similar([np.ones(3)])
    with pytest.raises(VocabularyError, match="None of the words is known"):
        vectors.doesnt_match(["x", "y"])
    with pytest.raises(RunError, match="not those of a run"):
        vectors.predict("king")
    assert vectors.doesnt_match(["king", "<b>", "apple", "unknown"]) == "apple"
