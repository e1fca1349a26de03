import naive
import numpy as np
import pytest

from embedder.errors import ConfigError, VocabularyError
from embedder.text.vocabulary import Vocabulary
from embedder.vectors.formats import load, save
from embedder.vectors.word_vectors import ComposedWarning, WordVectors

STEMS = ["walk", "talk", "jump", "look", "cook", "work", "park", "pack"]
ENDINGS = ["", "s", "ed", "ing", "er"]
LEFT_OUT = "cooked"


@pytest.fixture
def vectors(rng):
    """Vectors that are sums of a stem's and an ending's, of other lengths; one word is left out."""
    stems = rng.normal(size=(len(STEMS), 20))
    endings = rng.normal(size=(len(ENDINGS), 20))
    rows = {
        stem + ending: rng.uniform(1, 5) * (stems[i] + endings[j])
        for i, stem in enumerate(STEMS)
        for j, ending in enumerate(ENDINGS)
    }
    truth = rows.pop(LEFT_OUT)
    words = Vocabulary(list(rows), np.arange(len(rows), 0, -1))
    return WordVectors(words, np.stack(list(rows.values())).astype(np.float32)), truth


def cosine(a, b):
    return a @ b / np.linalg.norm(a) / np.linalg.norm(b)


def test_the_vector_of_a_word_left_out_is_composed_of_what_others_share(vectors):
    given, truth = vectors
    found = given.with_subwords()
    assert LEFT_OUT not in found
    assert cosine(found.vector(LEFT_OUT), truth) > 0.8
    with pytest.warns(ComposedWarning):
        assert found[LEFT_OUT].dtype == np.float32
    near = [each.word for each in found.neighbors(LEFT_OUT, 5)]
    assert all(word.endswith("ed") for word in near)


def test_known_words_keep_their_vectors_to_the_bit(vectors):
    given, _ = vectors
    found = given.with_subwords()
    np.testing.assert_array_equal(found.matrix, given.matrix)
    assert found.words == given.words
    assert not found.is_composed("walk")
    assert given.subwords is None


def test_predictions_depend_on_directions_and_not_on_lengths(vectors):
    given, _ = vectors
    units = given.matrix / np.linalg.norm(given.matrix, axis=1, keepdims=True)
    one = given.with_subwords().vector(LEFT_OUT)
    other = WordVectors(given.vocabulary, units).with_subwords().vector(LEFT_OUT)
    assert cosine(one, other) == pytest.approx(1, abs=1e-5)
    assert np.linalg.norm(one) == pytest.approx(
        np.linalg.norm(other) * np.linalg.norm(given.matrix, axis=1).mean(), rel=1e-3
    )


def test_words_whose_vectors_are_zeros_do_not_count(vectors):
    given, _ = vectors
    words = [*given.words, "cookedly", "cookings"]
    counts = np.append(given.vocabulary.counts, [1, 1])
    matrix = np.concatenate([given.matrix, np.zeros((2, 20), np.float32)])
    more = WordVectors(Vocabulary(words, counts), matrix).with_subwords()
    found, expected = more.vector(LEFT_OUT), given.with_subwords().vector(LEFT_OUT)
    # The two have n-grams that no other word has, which stay zero.
    assert cosine(found, expected) == pytest.approx(1, abs=1e-4)


def test_vectors_that_are_all_zeros_compose_zeros(vectors):
    given, _ = vectors
    found = WordVectors(given.vocabulary, np.zeros_like(given.matrix)).with_subwords()
    np.testing.assert_array_equal(found.vector(LEFT_OUT), np.zeros(20))


def test_a_word_without_a_known_ngram_remains_unknown(vectors):
    found = vectors[0].with_subwords(4, 5)
    assert not found.is_composed("日本語")
    with pytest.raises(VocabularyError, match="'日本語' is not in the vocabulary"):
        found["日本語"]


def test_lengths_of_ngrams_are_those_asked_for(vectors):
    found = vectors[0].with_subwords(2, 3, 500)
    assert found.subwords.ngrams("cat").tolist() == naive.ngram_buckets("cat", 2, 3, 500)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ((4, 3), "n-grams of 4 to 3 characters: expected lengths from 1 to 64"),
        ((0, 3), "n-grams of 0 to 3"),
        ((3, 65), "n-grams of 3 to 65"),
        ((3, 6, 0), "0 buckets: expected 1 to 2,147,483,648"),
    ],
)
def test_impossible_ngrams_are_refused(vectors, settings, message):
    with pytest.raises(ConfigError, match=message):
        vectors[0].with_subwords(*settings)


def test_a_fasttext_file_has_the_same_vectors(vectors, tmp_path):
    given = vectors[0].with_subwords(buckets=5000)
    save(given, tmp_path / "m.ftbin")
    again = load(tmp_path / "m.ftbin")
    np.testing.assert_allclose(again.matrix, given.matrix, atol=1e-5)
    for word in (LEFT_OUT, "walkings", "rejumped"):
        np.testing.assert_allclose(again.vector(word), given.vector(word), atol=1e-6)


def test_words_left_out_of_a_file_leave_the_ngrams_as_they_are(vectors, tmp_path):
    given, _ = vectors
    counts = np.append(given.vocabulary.counts, 1)
    matrix = np.concatenate([given.matrix, np.ones((1, 20), np.float32)])
    more = WordVectors(Vocabulary([*given.words, "a\0b"], counts), matrix)
    fitted = more.with_subwords(buckets=5000)
    save(fitted, tmp_path / "m.ftbin", unwritable="skip")
    again = load(tmp_path / "m.ftbin")
    assert again.words == given.words
    np.testing.assert_allclose(again.matrix, given.matrix, atol=1e-5)
    np.testing.assert_allclose(again.vector(LEFT_OUT), fitted.vector(LEFT_OUT), atol=1e-6)


def test_what_the_ngrams_of_known_words_predict_can_be_mixed_in(vectors):
    given, _ = vectors
    found = given.with_subwords(mix=2)
    mean = np.linalg.norm(given.matrix, axis=1).mean()
    for i in (0, 7):
        own = mean * given.matrix[i] / np.linalg.norm(given.matrix[i])
        predicted = found.subwords.compose_unknown(given.words[i])
        np.testing.assert_allclose(found.matrix[i], own + 2 * predicted, rtol=1e-4, atol=1e-5)
    # Unknown words are composed as without it.
    np.testing.assert_array_equal(found.vector(LEFT_OUT), given.with_subwords().vector(LEFT_OUT))
    with pytest.raises(ConfigError, match="mix: expected a number that is not negative"):
        given.with_subwords(mix=-1)


def test_words_whose_vectors_are_zeros_remain_zeros(vectors):
    given, _ = vectors
    matrix = given.matrix.copy()
    matrix[3] = 0
    found = WordVectors(given.vocabulary, matrix).with_subwords(mix=1)
    np.testing.assert_array_equal(found.matrix[3], np.zeros(20))
    assert found.matrix[4].any()
