import naive
import numpy as np
import pytest

from embedder.errors import ConfigError, VocabularyError
from embedder.network.composition import OwnRows, compose_words
from embedder.text.vocabulary import Vocabulary
from embedder.text.word_parts import read_word_parts, save_word_parts

WORDS = ["walk", "walked", "talk", "talked", "naïve", "a", "banana", "<unk>"]
LEMMAS = {"walked": ("walk",), "walk": ("walk",), "talked": ("talk", "past"), "ran": ("run",)}


@pytest.fixture
def vocabulary():
    return Vocabulary(WORDS, np.array([90, 80, 70, 60, 50, 40, 30, 20]))


@pytest.fixture
def compose(make_toy_config, vocabulary):
    def make(parts=None, **subwords):
        subwords["mode"] = "joint"
        if parts is not None:
            subwords["parts"] = "lemmas.tsv"
        config = make_toy_config(subwords=subwords, vocabulary={"unknown": "<unk>"})
        return compose_words(config, vocabulary, parts or {})

    return make


def test_without_subwords_each_word_has_one_row(compose):
    assert compose() == OwnRows(len(WORDS))


@pytest.mark.parametrize(("min_n", "max_n"), [(3, 6), (1, 2), (2, 2)])
def test_a_word_has_its_own_row_and_those_of_its_ngrams(compose, min_n, max_n):
    found = compose(min_n=min_n, max_n=max_n, buckets=1000)
    used = set()
    for i, word in enumerate(WORDS):
        rows = found.rows[found.starts[i] : found.starts[i + 1]]
        assert rows[0] == i
        expected = [] if word == "<unk>" else naive.ngram_buckets(word, min_n, max_n, 1000)
        assert found.buckets[rows[1:] - len(WORDS)].tolist() == expected
        used |= set(expected)
    assert found.buckets.tolist() == sorted(used)


def test_buckets_that_no_word_uses_have_no_rows(compose):
    few, many = (compose(max_n=6, buckets=buckets) for buckets in (100_000, 2_000_000_000))
    assert few.height <= many.height < 150


def test_rows_of_parts_follow_those_of_ngrams(compose):
    found = compose(LEMMAS, max_n=4, buckets=50)
    assert found.parts == ["past", "talk", "walk"]  # "ran" is not in the vocabulary
    first = len(WORDS) + len(found.buckets)
    row_of = {name: first + i for i, name in enumerate(found.parts)}
    for i, word in enumerate(WORDS):
        rows = found.rows[found.starts[i] : found.starts[i + 1]].tolist()
        expected = [row_of[part] for part in LEMMAS.get(word, ())]
        assert rows[len(rows) - len(expected) :] == expected
        assert sum(row >= first for row in rows) == len(expected)
    assert found.height == first + 3
    only = compose(LEMMAS)
    assert only.height == len(WORDS) + 3
    assert len(only.buckets) == 0


def test_occurrences_are_summed_over_the_words_of_a_row(compose, vocabulary):
    found = compose(LEMMAS, max_n=3, buckets=60)
    expected = np.zeros(found.height, int)
    for i, count in enumerate(vocabulary.counts):
        for row in found.rows[found.starts[i] : found.starts[i + 1]]:
            expected[row] += count
    np.testing.assert_array_equal(found.occurrences, expected)


def test_fitted_rows_reproduce_vectors_and_share_what_words_have_in_common(rng, compose):
    found = compose(max_n=6)
    frequent = found._replace(occurrences=found.occurrences * 10**7)
    vectors = rng.normal(size=(len(WORDS), 4)).astype(np.float32)
    E = frequent.fit(vectors)
    np.testing.assert_allclose(frequent.vectors(E), vectors, atol=1e-3)
    # walk, walked, talk and talked are alike: their shared rows alone predict talk.
    vectors[:] = 0
    vectors[:4, 0] = 1
    guess = frequent.fit(vectors)
    guess[: len(WORDS)] = 0
    assert frequent.vectors(guess)[2, 0] > 0.5
    assert abs(frequent.vectors(guess)[6]).max() < 0.3


def test_rare_words_start_near_zero(rng, compose):
    found = compose(max_n=6)
    rare = found._replace(occurrences=np.ones_like(found.occurrences))
    vectors = rng.normal(size=(len(WORDS), 4)).astype(np.float32)
    assert np.abs(rare.vectors(rare.fit(vectors))).max() < 0.05


def test_the_digest_depends_on_parts_and_ngrams(compose):
    same = [compose(LEMMAS, max_n=3).digest() for _ in range(2)]
    assert same[0] == same[1]
    assert compose(LEMMAS | {"a": ("walk",)}, max_n=3).digest() != same[0]
    assert compose(LEMMAS, max_n=4).digest() != same[0]


def test_parts_are_read_back_as_saved(write, tmp_path):
    path = write("l.tsv", "walked\twalk\r\n\ntalked\ttalk\tpast\nwalked\tverb\n")
    found = read_word_parts(path)
    assert found == {"walked": ("walk", "verb"), "talked": ("talk", "past")}
    save_word_parts(tmp_path / "again.tsv", found)
    assert read_word_parts(tmp_path / "again.tsv") == found


@pytest.mark.parametrize("line", ["walked", "walked walk", "\twalk", "walked\t", "walked\ta\t\tb"])
def test_a_malformed_line_is_reported_by_its_number(write, line):
    with pytest.raises(VocabularyError, match=r"l\.tsv, line 2: expected 'word<TAB>part"):
        read_word_parts(write("l.tsv", f"a\tb\n{line}\n"))


def test_a_file_without_a_word_of_the_vocabulary_is_an_error(compose):
    with pytest.raises(VocabularyError, match="contains no word of the vocabulary"):
        compose({"Walk": ("walk",)})


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"subwords": {"min_n": 5, "max_n": 4}}, "subwords.min_n: expected at most subwords.max_n"),
        (
            {
                "subwords": {"max_n": 4, "mode": "joint"},
                "network": {"tied": True},
                "examples": {"source": "windows"},
            },
            "network.tied: expected no subwords",
        ),
        ({"subwords": {"max_m": 4}}, "Did you mean 'subwords.max_n'"),
        ({"corpus": {"phrases": {"treshold": 4}}}, "Did you mean 'corpus.phrases.threshold'"),
        ({"corpus": {"phrases": {"scoring": "npmi", "passes": 1}}}, "number from -1 to 1"),
        ({"corpus": {"phrases": {"threshold": 0.0}}}, "expected a number greater than 0"),
        ({"corpus": {"phrases": {"file": "p.tsv", "passes": 2}}}, "passes: has no effect with"),
        (
            {"corpus": {"phrases": {"passes": 1}}, "training": {"engine": "ray"}},
            "phrases are learned on one machine",
        ),
    ],
)  # fmt: skip
def test_incompatible_settings_are_reported(make_toy_config, sections, message):
    with pytest.raises(ConfigError, match=message):
        make_toy_config(**sections)
