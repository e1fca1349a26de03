import naive
import numpy as np
import pytest

from embedder.arrays import offsets_from_lengths
from embedder.kernels.subwords import compose_words, list_ngrams, ngram_buckets
from embedder.kernels.threads import kernel_threads

LENGTHS = [(1, 1), (1, 6), (2, 2), (3, 6), (9, 12)]
WORDS = ["", "a", "ab", "king", "kingdom", "é", "naïve", "日本語", "𝒜b", "e\u0301", "\u2028", "<>"]


def letters_of(words):
    """ "<word>" after "<word>", nothing for None, and where each begins."""
    texts = [b"" if word is None else f"<{word}>".encode() for word in words]
    starts = offsets_from_lengths(np.array([len(text) for text in texts], np.int64))
    return np.frombuffer(b"".join(texts), np.uint8), starts


@pytest.mark.parametrize("buckets", [1, 50, 2_000_000, 2**31])
@pytest.mark.parametrize(("min_n", "max_n"), LENGTHS)
@pytest.mark.parametrize("word", WORDS)
def test_buckets_are_those_of_a_plain_loop_over_characters(word, min_n, max_n, buckets):
    expected = naive.ngram_buckets(word, min_n, max_n, buckets)
    text, _ = letters_of([word])
    out = np.full(len(text) * max_n, -9)
    assert ngram_buckets(text, min_n, max_n, buckets, out) == len(expected)
    assert out[: len(expected)].tolist() == expected
    assert (out[len(expected) :] == -9).all()
    assert ngram_buckets(text, min_n, max_n, buckets, None) == len(expected)


@pytest.mark.parametrize(("text", "code"), [(b"foobar", 0xBF9CF968), (b"foob", 0x3F5076EF)])
def test_the_hash_is_fnv_1a(text, code):
    out = np.empty(1, np.int64)
    n = len(text)
    assert ngram_buckets(np.frombuffer(text, np.uint8), n, n, 2**32 - 1, out) == 1
    assert out[0] == code  # as its authors publish it


def test_an_empty_text_has_no_ngrams():
    text, _ = letters_of([None])
    assert ngram_buckets(text, 1, 6, 50, np.empty(0, np.int64)) == 0
    assert ngram_buckets(text, 1, 6, 50, None) == 0


@pytest.mark.parametrize(("min_n", "max_n"), LENGTHS)
@pytest.mark.parametrize(
    "words", [[], ["king"], [None], [None, "king", None, None, "日本語", None], WORDS]
)
def test_many_words_are_listed_one_after_the_other(words, min_n, max_n):
    letters, starts = letters_of(words)
    counts = np.full(len(words), -9)
    out = np.full(len(letters) * (max_n - min_n + 1), -9)
    total = list_ngrams(letters, starts, min_n, max_n, 50, counts, out)
    expected = [[] if w is None else naive.ngram_buckets(w, min_n, max_n, 50) for w in words]
    assert counts.tolist() == [len(own) for own in expected]
    assert out[:total].tolist() == [bucket for own in expected for bucket in own]


def compose(words, rows, first, lengths, buckets):
    out = np.full((len(words), rows.shape[1]), np.nan, np.float32)
    compose_words(*letters_of(words), rows, first, (*lengths, buckets), out)
    return out


@pytest.mark.parametrize("lengths", LENGTHS)
@pytest.mark.parametrize("D", [1, 15, 17])
@pytest.mark.parametrize("buckets", [0, 1, 50])
def test_vectors_are_means_of_the_words_row_and_its_ngrams(rng, buckets, D, lengths):
    words = [*WORDS, None]
    # Sums of whole numbers are exact, in float32 too.
    rows = rng.integers(-99, 99, (len(words) + buckets, D)).astype(np.float32)
    listed = words if buckets else [None] * len(words)
    expected = naive.compose_words(listed, rows.astype(float), 0, *lengths, buckets)
    found = compose(words, rows, 0, lengths, buckets)
    np.testing.assert_allclose(found, expected, rtol=1e-7)
    assert (found[-1] == rows[len(words) - 1]).all()


def test_words_further_on_in_the_vocabulary_have_their_own_rows(rng):
    rows = rng.normal(size=(len(WORDS) + 50, 4)).astype(np.float32)
    whole = compose(WORDS, rows, 0, (3, 6), 50)
    for first in range(len(WORDS) + 1):
        part = compose(WORDS[first:], rows, first, (3, 6), 50)
        np.testing.assert_array_equal(part, whole[first:])


def test_vectors_have_the_same_bits_for_any_number_of_threads(rng):
    words = ["".join(rng.choice(list("abcdé日"), rng.integers(0, 12))) for _ in range(200)]
    rows = rng.normal(size=(len(words) + 50, 17)).astype(np.float32)
    runs = []
    for threads in (1, 2, 7):
        with kernel_threads(threads):
            runs.append(compose(words, rows, 0, (3, 6), 50))
    np.testing.assert_array_equal(runs[0], runs[1])
    np.testing.assert_array_equal(runs[0], runs[2])
