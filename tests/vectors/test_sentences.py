import numpy as np
import pytest

import embedder
from embedder.text.vocabulary import Vocabulary
from embedder.vectors.sentences import sentence_vectors
from embedder.vectors.word_vectors import WordVectors

WORDS = ["the", "cat", "dog", "sat", "don't"]
COUNTS = np.array([900, 50, 30, 15, 5])


@pytest.fixture
def vectors(rng):
    return WordVectors(Vocabulary(WORDS, COUNTS), rng.normal(size=(5, 4)).astype(np.float32))


def test_a_text_is_the_weighted_mean_of_its_words(vectors):
    a = 0.01
    found = sentence_vectors(vectors, ["The cat, the UNKNOWN dog!"], a)
    weights = a / (a + COUNTS / 1000)
    expected = (2 * weights[0] * vectors["the"] + weights[1] * vectors["cat"]
                + weights[2] * vectors["dog"]) / 4  # fmt: skip
    np.testing.assert_allclose(found[0], expected, rtol=1e-5)
    np.testing.assert_array_equal(vectors.sentence("Don't sat"), vectors.sentence(["don't", "sat"]))
    assert not vectors.sentence("nothing known").any()
    assert not vectors.sentence("").any()
    assert vectors.sentence("cat").dtype == np.float32


def test_files_without_counts_have_sentences_too(vectors, tmp_path):
    vectors.save(tmp_path / "v.bin")
    loaded = embedder.load(tmp_path / "v.bin")
    shares = 1 / np.arange(1, 6) / (1 / np.arange(1, 6)).sum()
    weights = 1e-3 / (1e-3 + shares)
    expected = (weights[0] * vectors["the"] + weights[2] * vectors["dog"]) / 2
    np.testing.assert_allclose(loaded.sentence("the dog"), expected, rtol=1e-5)


def test_the_encoder_refuses_what_is_no_list_of_texts(vectors):
    pytest.importorskip("sklearn")
    from embedder.vectors.encoder import SentenceEncoder

    for wrong in ("one text", ["a", None]):
        with pytest.raises(ValueError, match="expected texts or lists of words"):
            SentenceEncoder(vectors).fit(wrong)


def test_the_encoder_removes_what_all_texts_share(vectors):
    pytest.importorskip("sklearn")
    from embedder.vectors.encoder import SentenceEncoder

    texts = ["the cat sat", "the dog sat", "cat dog", "don't the cat", "sat sat the"]
    encoder = SentenceEncoder(vectors)
    found = encoder.fit_transform(texts)
    means = sentence_vectors(vectors, texts)
    _, _, directions = np.linalg.svd(means)
    expected = means - means @ directions[:1].T @ directions[:1]
    np.testing.assert_allclose(found, expected, atol=1e-5)
    np.testing.assert_allclose(found @ directions[0], 0, atol=1e-5)
    plain = SentenceEncoder(vectors, components=0).fit_transform(texts)
    np.testing.assert_array_equal(plain, means)
    assert list(encoder.get_feature_names_out()) == [f"embedder{i}" for i in range(4)]


def test_the_encoder_works_in_a_pipeline(vectors):
    pytest.importorskip("sklearn")
    from sklearn.base import clone
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV
    from sklearn.pipeline import make_pipeline

    from embedder.vectors.encoder import SentenceEncoder

    texts = ["the cat", "cat cat", "a cat sat", "the dog", "dog dog", "a dog sat"] * 4
    labels = [0, 0, 0, 1, 1, 1] * 4
    pipeline = make_pipeline(SentenceEncoder(vectors), LogisticRegression(C=100))
    search = GridSearchCV(pipeline, {"sentenceencoder__components": [0, 1]}, cv=2)
    assert search.fit(texts, labels).score(texts, labels) == 1.0
    assert clone(SentenceEncoder(vectors, 0.5, 2)).get_params()["components"] == 2
