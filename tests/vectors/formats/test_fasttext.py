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


@pytest.mark.parametrize("options", [{}, {"minn": 2, "maxn": 3}, {"wordNgrams": 2}])
def test_vectors_of_a_classifier_agree_with_fasttext(tmp_path, options):
    fasttext = pytest.importorskip("fasttext", reason="fasttext is not installed")
    lines = [f"__label__{i % 3} king naïve word{i % 7} of" for i in range(60)]
    (tmp_path / "t.txt").write_text("\n".join(lines))
    theirs = fasttext.train_supervised(
        str(tmp_path / "t.txt"), dim=4, epoch=1, bucket=50, thread=1, verbose=0, **options
    )
    theirs.save_model(str(tmp_path / "m.bin"))
    ours = load(tmp_path / "m.bin")
    assert ours.words == theirs.get_words()
    for word in ours.words:
        expected = theirs.get_word_vector(word)
        np.testing.assert_allclose(ours[word], expected, rtol=2e-5, atol=1e-7, err_msg=word)


def labelled(path, words, labels, rows, buckets=0, max_n=0, settings_more=b"", version=12):
    """Write a supervised model; its rows are those of words and buckets, none those of labels."""
    dimension = rows.shape[1]
    settings = [dimension, 5, 1, 1, 5, 1, 3, 3, buckets, min(2, max_n), max_n]
    oldest = version < 11
    data = b"" if oldest else MAGIC + struct.pack("<i", version)
    data += struct.pack("<11i", *settings) + settings_more + struct.pack("<id", 100, 1e-4)
    entries = len(words) + len(labels)
    data += struct.pack("<iiiq", entries, len(words), len(labels), 99)
    data += b"" if oldest else struct.pack("<q", -1)
    for kind, some in enumerate((words, labels)):
        for word in some:
            data += word + b"\0" + struct.pack("<qb", 7, kind)
    flag = b"" if oldest else b"\0"
    data += flag + struct.pack("<qq", *rows.shape) + rows.astype("<f4").tobytes()
    output = np.ones((len(labels), dimension), "<f4")
    data += flag + struct.pack("<qq", *output.shape) + output.tobytes()
    path.write_bytes(data)


LABELS = [b"__label__a", b"__label__b", b"__label__c"]


@pytest.mark.parametrize("version", [10, 11, 12])
def test_labels_are_entries_without_rows(rng, tmp_path, version):
    rows = rng.normal(size=(2, 3)).astype(np.float32)
    labelled(tmp_path / "m.bin", [b"king", b"of"], LABELS, rows, version=version)
    found = load(tmp_path / "m.bin")
    assert found.words == ["king", "of"]
    np.testing.assert_array_equal(found.matrix, rows)
    np.testing.assert_array_equal(found.vocabulary.counts, [7, 7])
    assert found.subwords is None
    assert found.repairs == ()


def test_the_bytes_of_a_word_that_is_not_utf8_make_its_ngrams(rng, tmp_path):
    rows = rng.normal(size=(2 + 20, 3)).astype(np.float32)
    path = tmp_path / "m.bin"
    labelled(path, [b"caf\xe9", b"of"], LABELS, rows, 20, 3)
    found = load(path)
    assert found.words == ["caf\ufffd", "of"]
    assert found.repairs == ("1 words are not UTF-8; invalid bytes were replaced",)
    exact = naive.ngram_buckets("caf\udce9", 2, 3, 20)
    expected = rows[[0, *(2 + bucket for bucket in exact)]].mean(axis=0)
    np.testing.assert_allclose(found["caf\ufffd"], expected, rtol=1e-5)


@pytest.mark.parametrize("max_n", [0, 3])
def test_words_that_are_the_same_after_the_repair_are_duplicates(rng, tmp_path, max_n):
    buckets = 20 if max_n else 0
    rows = rng.normal(size=(4 + buckets, 3)).astype(np.float32)
    path = tmp_path / "m.bin"
    labelled(path, [b"a\xe9", b"of", b"a\xe8", b"the"], [], rows, buckets, max_n)
    found = load(path)
    assert found.words == ["a\ufffd", "of", "the"]
    assert "1 duplicate words were dropped" in found.repairs[1]
    if max_n:
        ngrams = naive.ngram_buckets("these", 2, 3, 20)
        expected = rows[[4 + bucket for bucket in ngrams]].mean(axis=0)
        np.testing.assert_allclose(found.vector("these"), expected, rtol=1e-5)
    else:
        np.testing.assert_array_equal(found.matrix, rows[[0, 1, 3]])
    save(found, tmp_path / "again.ftbin")
    np.testing.assert_allclose(load(tmp_path / "again.ftbin").matrix, found.matrix, rtol=1e-5)


def test_models_of_floret_are_told_from_those_of_fasttext(rng, tmp_path):
    rows = rng.normal(size=(2 + 20, 3)).astype(np.float32)
    path = tmp_path / "m.bin"
    labelled(path, [b"king", b"of"], [], rows, 20, 3, struct.pack("<ii", 1, 1))
    np.testing.assert_array_equal(load(path).subwords.rows, rows)
    labelled(path, [b"king", b"of"], [], rows, 20, 3, struct.pack("<ii", 2, 2))
    with pytest.raises(FormatError, match=r"a model of floret.*save_vectors"):
        load(path)


def test_what_is_missing_or_left_after_the_vectors_is_reported(rng, tmp_path):
    path = tmp_path / "m.bin"
    labelled(path, [b"king", b"of"], LABELS, rng.normal(size=(2, 3)).astype(np.float32))
    whole = path.read_bytes()
    for content, repair in {
        whole + b"more": "4 bytes after its output weights were not read",
        whole[:-4]: "the file ends within its output weights",
        whole[:-50]: "the file ends before its output weights",
    }.items():
        path.write_bytes(content)
        assert load(path).repairs == (repair,)


def test_labels_before_words_are_rejected(rng, tmp_path):
    path = tmp_path / "m.bin"
    labelled(path, [b"king"], [b"x"], rng.normal(size=(2, 3)).astype(np.float32))
    whole = path.read_bytes()
    swapped = whole.replace(
        b"king\0" + struct.pack("<qb", 7, 0), b"king\0" + struct.pack("<qb", 7, 1)
    )
    path.write_bytes(
        swapped.replace(b"x\0" + struct.pack("<qb", 7, 1), b"x\0" + struct.pack("<qb", 7, 0))
    )
    with pytest.raises(FormatError, match="a word after labels"):
        load(path)
