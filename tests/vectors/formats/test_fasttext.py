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
def test_ngrams_and_vectors_are_those_of_a_plain_loop(rng, min_n, max_n):
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


def test_words_counts_and_buckets_read_back_exactly(vectors, tmp_path):
    path = tmp_path / "m.bin"
    save(vectors, path, "fasttext")
    found = load(path)
    assert found.vocabulary.words == WORDS
    np.testing.assert_array_equal(found.vocabulary.counts, vectors.vocabulary.counts)
    np.testing.assert_array_equal(found.matrix, vectors.matrix)
    np.testing.assert_array_equal(found.subwords.rows, vectors.subwords.rows)
    assert found.subwords[1:] == vectors.subwords[1:]


def test_an_unknown_word_is_composed_and_says_so(vectors):
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


def test_what_cannot_be_read_is_an_error_with_its_place(vectors, tmp_path):
    path = tmp_path / "m.bin"

    def refuse(said, change):
        save(vectors, path, "fasttext")
        damaged(path, change)
        with pytest.raises(FormatError, match=said):
            load(path)

    def put(place, layout, *values):
        return lambda data: struct.pack_into(layout, data, place, *values)

    dictionary = 8 + struct.calcsize("<12id")
    refuse("version 3 is not known", put(4, "<i", 3))
    refuse("2,000,000,000 entries", put(dictionary, "<i", 2_000_000_000))
    refuse("pruned model", put(dictionary + 20, "<q", 7))
    refuse("vectors of 0 numbers", put(8, "<i", 0))
    refuse("the file ends within its vectors", lambda data: data.__delitem__(slice(-200, None)))
    after_words = dictionary + 28 + sum(len(word.encode()) + 10 for word in WORDS)
    refuse("quantised model", put(after_words, "<?", True))
    refuse("do not fit its settings", put(after_words + 9, "<q", 6))
    refuse("ends within its vectors", put(after_words + 1, "<q", 10**12))


def test_a_file_of_only_a_beginning_is_refused(tmp_path):
    path = tmp_path / "m.bin"
    path.write_bytes(MAGIC + b"\x0c\0\0\0")
    with pytest.raises(FormatError, match="byte 8: the file ends early"):
        load(path)


@pytest.mark.slow
def test_fasttext_gives_the_same_vectors_to_known_and_unknown_words(toy_files, tmp_path):
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


def test_gensim_gives_the_same_vectors_to_known_and_unknown_words(vectors, tmp_path):
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
