from collections import Counter

import naive
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embedder.config_sections.text import VocabularyConfig
from embedder.errors import RunError, VocabularyError
from embedder.kernels import tokens
from embedder.text.vocabulary import Vocabulary, encode_corpus


def encode(text, folder, blocks=None, **options):
    return encode_corpus(blocks or [text], VocabularyConfig(**({"min_count": 1} | options)), folder)


def test_words_are_ordered_by_count_then_code_points(tmp_path):
    vocabulary, _ = encode(b"b a c a b Z zz\n", tmp_path)
    assert vocabulary.words == ["a", "b", "Z", "c", "zz"]
    assert vocabulary.counts.tolist() == [2, 2, 1, 1, 1]


def test_ids_follow_the_text_with_sentence_ends(tmp_path):
    vocabulary, corpus = encode(b"b a\n\n\nrare\na c a\n", tmp_path, min_count=1, max_size=2)
    assert vocabulary.words == ["a", "b"]
    assert corpus.ids.tolist() == [1, 0, -1, 0, 0, -1]
    assert corpus.tokens == 6


def test_min_count_and_max_size_prune(tmp_path):
    text = b"a a a b b c\n"
    assert encode(text, tmp_path, min_count=2)[0].words == ["a", "b"]
    assert encode(text, tmp_path, max_size=2)[0].words == ["a", "b"]


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        (b"", {}, "no words"),
        (b" \n \n", {}, "no words"),
        (b"a b c\n", {"min_count": 5}, r"lower vocabulary\.min_count"),
        (b"a a a b\n", {"min_count": 2}, "most frequent word occurs 3 times"),
        (b"a b\n", {"min_count": 2}, r"most frequent word occurs 1 time\)"),
        (b"a a a\n", {}, "one distinct word, 'a', .* put spaces between its words"),
        ("語".encode() * 100 + b"\n", {}, "one distinct word, '語{40}',"),
        (b"a b c\n", {"max_size": 1}, r"raise vocabulary\.max_size"),
    ],
)
def test_the_error_for_a_small_vocabulary_suggests_what_to_change(tmp_path, text, options, message):
    with pytest.raises(VocabularyError, match=message):
        encode(text, tmp_path, **options)


words = st.text("abé", min_size=1, max_size=3)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(words, max_size=8), min_size=1, max_size=8), st.integers(1, 3), st.data())
def test_counts_and_ids_agree_with_a_dictionary(tmp_path_factory, sentences, min_count, data):
    text = "".join(" ".join(sentence) + "\n" for sentence in sentences).encode()
    counts = naive.count_words(text)
    kept = {word: n for word, n in counts.items() if n >= min_count}
    folder = tmp_path_factory.mktemp("ids")
    # A block may end between any two words.
    cuts = [i + 1 for i, byte in enumerate(text) if byte in b" \n"]
    cut = data.draw(st.sampled_from(cuts))
    blocks = [text[:cut], text[cut:]]
    if len(kept) < 2:
        with pytest.raises(VocabularyError):
            encode(text, folder, blocks, min_count=min_count)
        return
    vocabulary, corpus = encode(text, folder, blocks, min_count=min_count)
    assert vocabulary.words == [
        w.decode() for w, _ in sorted(kept.items(), key=lambda item: (-item[1], item[0]))
    ]
    back = " ".join("\n" if i < 0 else vocabulary.words[i] for i in corpus.ids)
    expected = [[w for w in sentence if w.encode() in kept] for sentence in sentences]
    assert [line.split() for line in back.split("\n") if line.split()] == [s for s in expected if s]


def test_a_lexicon_grows_without_losing_words(tmp_path, monkeypatch):
    monkeypatch.setattr(tokens.new_lexicon, "__defaults__", (2, 4))
    text = " ".join(f"w{i % 700}" for i in range(5000)).encode() + b"\n"
    vocabulary, corpus = encode(text, tmp_path)
    assert Counter(text.decode().split()) == dict(
        zip(vocabulary.words, vocabulary.counts.tolist(), strict=True)
    )
    assert [vocabulary.words[i] for i in corpus.ids[:-1]] == text.decode().split()


def test_saved_vocabularies_load_unchanged(tmp_path):
    vocabulary = Vocabulary(["the", "naïve", "\u2028x", "word"], np.array([9, 3, 2, 1]))
    vocabulary.save(tmp_path / "v.tsv")
    loaded = Vocabulary.load(tmp_path / "v.tsv")
    assert (loaded.words, loaded.counts.tolist()) == (vocabulary.words, [9, 3, 2, 1])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("the\t5\n", "line 1"),
        ("word\tcount\nthe 5\n", "line 2"),
        ("word\tcount\nthe\tfive\n", "line 2"),
        ("word\tcount\nthe\t5\nof\t4", "truncated"),
        ("word\tcount\nthe\t5\nthe\t4\n", "twice"),
        (b"\xff", "cannot be read"),
    ],
)
def test_a_damaged_vocabulary_file_raises_an_error(write, content, message):
    with pytest.raises(RunError, match=message):
        Vocabulary.load(write("v.tsv", content))


def test_the_error_for_an_unknown_word_suggests_similar_spellings():
    vocabulary = Vocabulary(["paris", "london", "berlin"], np.array([3, 2, 1]))
    with pytest.raises(VocabularyError, match="similar spellings: london"):
        vocabulary.id_of("londno")
    with pytest.raises(VocabularyError, match="'paris' is"):
        vocabulary.id_of("Paris")


def test_keep_probabilities_agree_with_word2vec():
    vocabulary = Vocabulary(["a", "b"], np.array([900_000, 100]))
    keep = vocabulary.keep_probabilities(1e-3)
    share = 900_000 / 900_100
    assert keep[0] == pytest.approx((np.sqrt(share / 1e-3) + 1) * 1e-3 / share)
    assert keep[1] == 1.0
    assert vocabulary.keep_probabilities(0.0).tolist() == [1.0, 1.0]


def test_counts_beyond_four_bytes_are_counts(tmp_path):
    vocabulary = Vocabulary(["a", "b"], np.array([2**45, 2**33]))
    keep = vocabulary.keep_probabilities(1e-3)
    shares = np.array([2.0**45, 2.0**33]) / (2.0**45 + 2.0**33) / 1e-3
    np.testing.assert_allclose(keep, np.minimum(1, (np.sqrt(shares) + 1) / shares))
    vocabulary.save(tmp_path / "v.tsv")
    assert Vocabulary.load(tmp_path / "v.tsv").counts.tolist() == [2**45, 2**33]
