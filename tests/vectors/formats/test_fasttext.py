import struct

import naive
import numpy as np
import pytest

from embedder.errors import FormatError, VocabularyError
from embedder.text.vocabulary import Vocabulary
from embedder.vectors.formats import load, save
from embedder.vectors.formats.fasttext import MAGIC
from embedder.vectors.subwords import Subwords
from embedder.vectors.word_vectors import WordVectors

WORDS = ["</s>", "king", "naïve", "日本語", "a", "kingdom"]
BUCKETS = 50


@pytest.fixture
def subwords(rng):
    rows = rng.normal(size=(len(WORDS) + BUCKETS, 5)).astype(np.float32)
    return Subwords(rows, 3, 6, BUCKETS, len(WORDS))


@pytest.fixture
def vectors(subwords):
    vocabulary = Vocabulary(WORDS, np.arange(6, 0, -1))
    return WordVectors(vocabulary, subwords.compose(WORDS), subwords=subwords)


@pytest.mark.parametrize(("min_n", "max_n"), [(3, 6), (1, 2), (2, 2), (1, 12)])
def test_ngrams_and_vectors_agree_with_a_plain_loop(rng, min_n, max_n):
    rows = rng.normal(size=(len(WORDS) + BUCKETS, 5)).astype(np.float32)
    subwords = Subwords(rows, min_n, max_n, BUCKETS, len(WORDS))
    for word in WORDS:
        expected = [] if word == "</s>" else naive.ngram_buckets(word, min_n, max_n, BUCKETS)
        assert subwords.ngrams(word).tolist() == expected
    composed = subwords.compose(WORDS)
    np.testing.assert_array_equal(subwords.compose(WORDS[2:], 2), composed[2:])
    for i, word in enumerate(WORDS):
        ngrams = [] if word == "</s>" else naive.ngram_buckets(word, min_n, max_n, BUCKETS)
        parts = rows[[i, *(len(WORDS) + bucket for bucket in ngrams)]].astype(np.float64)
        np.testing.assert_allclose(composed[i], parts.mean(axis=0), rtol=1e-5, atol=1e-6)


def test_words_counts_and_buckets_load_exactly(vectors, tmp_path):
    path = tmp_path / "m.bin"
    save(vectors, path, "fasttext")
    found = load(path)
    assert found.vocabulary.words == WORDS
    np.testing.assert_array_equal(found.vocabulary.counts, vectors.vocabulary.counts)
    np.testing.assert_array_equal(found.matrix, vectors.matrix)
    np.testing.assert_array_equal(found.subwords.rows, vectors.subwords.rows)
    assert found.subwords[1:] == vectors.subwords[1:]


def test_an_unknown_word_is_composed_and_reported_as_such(vectors):
    assert "kingly" not in vectors
    assert vectors.is_composed("kingly")
    ngrams = naive.ngram_buckets("kingly", 3, 6, BUCKETS)
    expected = vectors.subwords.rows[np.array(ngrams) + len(WORDS)].mean(axis=0)
    np.testing.assert_allclose(vectors.vector("kingly"), expected, rtol=1e-5)
    assert len(vectors.neighbors("kingly", 3)) == 3
    assert not vectors.is_composed("king")


def test_a_word_without_ngrams_is_unknown_and_not_zero(rng):
    subwords = Subwords(rng.normal(size=(1 + 4, 2)).astype(np.float32), 6, 6, 4, 1)
    vectors = WordVectors(
        Vocabulary(["kingdom"], np.ones(1)), np.ones((1, 2), np.float32), (), subwords
    )
    with pytest.raises(VocabularyError, match="'b' is not in the vocabulary"):
        vectors["b"]


def damaged(path, change):
    data = bytearray(path.read_bytes())
    change(data)
    path.write_bytes(data)


def test_damaged_models_raise_errors_that_state_the_problem(vectors, tmp_path):
    path = tmp_path / "m.bin"

    def expect_error(message, change):
        save(vectors, path, "fasttext")
        damaged(path, change)
        with pytest.raises(FormatError, match=message):
            load(path)

    def put(offset, layout, *values):
        return lambda data: struct.pack_into(layout, data, offset, *values)

    dictionary = 8 + struct.calcsize("<12id")
    expect_error("unknown version 3", put(4, "<i", 3))
    expect_error("2,000,000,000 entries", put(dictionary, "<i", 2_000_000_000))
    expect_error("pruned model", put(dictionary + 20, "<q", 7))
    expect_error("vectors of 0 dimensions", put(8, "<i", 0))
    expect_error(
        "the file ends within its vectors", lambda data: data.__delitem__(slice(-200, None))
    )
    after_words = dictionary + 28 + sum(len(word.encode()) + 10 for word in WORDS)
    expect_error("quantised model", put(after_words, "<?", True))
    expect_error("do not match the model's settings", put(after_words + 9, "<q", 6))
    expect_error("ends within its vectors", put(after_words + 1, "<q", 10**12))


def test_a_file_with_only_a_header_is_rejected(tmp_path):
    path = tmp_path / "m.bin"
    path.write_bytes(MAGIC + b"\x0c\0\0\0")
    with pytest.raises(FormatError, match="byte 8: the file ends early"):
        load(path)


@pytest.mark.slow
def test_vectors_of_known_and_unknown_words_agree_with_fasttext(toy_files, tmp_path):
    fasttext = pytest.importorskip("fasttext", reason="fasttext is not installed")
    theirs = fasttext.train_unsupervised(
        str(toy_files[0]), dim=12, epoch=1, minn=2, maxn=4, bucket=2000, thread=1, verbose=0
    )
    theirs.save_model(str(tmp_path / "m.bin"))
    ours = load(tmp_path / "m.bin")
    words = theirs.get_words()
    assert ours.vocabulary.words == words
    for word in [*words, "neverseen", "日本", "naïveté"]:
        np.testing.assert_allclose(
            ours.vector(word), theirs.get_word_vector(word), rtol=2e-5, atol=1e-6, err_msg=word
        )
    save(ours, tmp_path / "again.bin", "fasttext")
    again = fasttext.load_model(str(tmp_path / "again.bin"))
    for word in [*words, "neverseen"]:
        np.testing.assert_array_equal(again.get_word_vector(word), theirs.get_word_vector(word))


def test_vectors_of_known_and_unknown_words_agree_with_gensim(vectors, tmp_path):
    models = pytest.importorskip("gensim.models.fasttext", reason="gensim is not installed")
    save(vectors, tmp_path / "m.bin", "fasttext")
    theirs = models.load_facebook_vectors(str(tmp_path / "m.bin"))
    assert theirs.index_to_key == WORDS
    for word in [*WORDS[1:], "kingly", "日本"]:
        np.testing.assert_allclose(theirs[word], vectors.vector(word), rtol=1e-5, atol=1e-6)
    plain = WordVectors(vectors.vocabulary, vectors.matrix)
    save(plain, tmp_path / "p.bin", "fasttext")
    theirs = models.load_facebook_vectors(str(tmp_path / "p.bin"))
    np.testing.assert_array_equal(theirs.vectors, plain.matrix)
