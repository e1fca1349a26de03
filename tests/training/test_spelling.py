import numpy as np
import pytest

from embedder.training.spelling import SpelledRows

STEMS = ["walk", "talk", "jump", "look", "cook", "work", "park", "pack"]
ENDINGS = ["", "s", "ed", "ing", "er"]
RARE = ["cooked", "日本", "ab", "talkers"]


@pytest.fixture
def spelt(rng):
    """Rows that are sums of a stem's and an ending's; the last words' are unknown."""
    stems, endings = rng.normal(size=(len(STEMS), 20)), rng.normal(size=(len(ENDINGS), 20))
    rows = {
        stem + ending: stems[i] + endings[j]
        for i, stem in enumerate(STEMS)
        for j, ending in enumerate(ENDINGS)
    }
    truth = rows.pop("cooked")
    words = [*rows, *RARE]
    E = np.full((len(words), 20), np.nan, np.float32)
    E[: len(rows)] = np.stack(list(rows.values()))
    return SpelledRows(words, E, len(rows), None), truth, len(rows)


def test_a_rare_words_row_is_what_frequent_words_with_its_ngrams_share(spelt):
    rows, truth, joint = spelt
    found = rows(joint, joint + len(RARE))
    assert found.dtype == np.float64
    assert found[0] @ truth / np.linalg.norm(found[0]) / np.linalg.norm(truth) > 0.8
    assert found[3].any()


def test_words_without_a_known_ngram_have_zeros(spelt):
    rows, _, joint = spelt
    np.testing.assert_array_equal(rows(joint + 1, joint + 3), np.zeros((2, 20)))


def test_a_words_row_does_not_depend_on_the_range_that_is_asked_for(spelt):
    rows, _, joint = spelt
    whole = rows(joint, joint + 4)
    np.testing.assert_array_equal(rows(joint + 3, joint + 4), whole[3:])
    np.testing.assert_array_equal(rows(joint, joint + 1), whole[:1])


def test_the_symbol_for_unknown_words_is_not_spelt(rng):
    E = rng.normal(size=(4, 3)).astype(np.float32)
    rows = SpelledRows(["unk>", "<unk", "<unk>", "<unk>s"], E, 2, "<unk>")
    assert not rows(2, 3).any()
    assert rows(3, 4).any()


def test_frequent_words_without_ngrams_say_nothing(rng):
    rows = SpelledRows(["</s>", "walked"], rng.normal(size=(2, 3)).astype(np.float32), 1, None)
    np.testing.assert_array_equal(rows(1, 2), np.zeros((1, 3)))
