import unicodedata

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embedder.config import Config
from embedder.config_sections.text import CorpusConfig, PhrasesConfig
from embedder.errors import UnknownWordError
from embedder.text.corpus import normalised, read_text, words_of
from embedder.text.normalisation import any_case, find_in_other_form, lower_case, normalise
from embedder.text.phrases import Phrase, PhraseJoiner, Phrases
from embedder.text.vocabulary import Vocabulary
from embedder.text.word_parts import load_word_parts

NFC, NFD = "café", "cafe\u0301"


def words(text, **options):
    config = CorpusConfig(files=["unused"], **options)
    return b"".join(normalised([text], config, "text")).decode().split()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"{NFC} {NFD}", [NFC, NFC]),
        ("co\u00adop\u00aderate cooperate", ["cooperate", "cooperate"]),
        ("می\u200cخواهم", ["می\u200cخواهم"]),
        ("می\u200c خواهم\u200c.", ["می", "خواهم"]),
        ("\u200cخواهم", ["خواهم"]),
        ("क्\u200dष क्ष", ["क्\u200dष", "क्ष"]),
        ("İstanbul istanbul I\u0307stanbul", ["istanbul"] * 3),
        ("\ufeffword\u200e \u202aword\u202c wo\u2060rd", ["word"] * 3),
        ("one\u200btwo", ["one", "two"]),
        ("col·lecció צה״ל ג׳ Հայաստա՞ն", ["col·lecció", "צה״ל", "ג׳", "հայաստա՞ն"]),
        ("Hawai‘i rock’n’roll ‘quoted’", ["hawai‘i", "rock’n’roll", "quoted"]),
        ("I ❤\ufe0f you", ["i", "you"]),
        ("T\u0308", ["\u1e97"]),  # the capital letter has no composed form, the small one has
        ("end.Next 3.14 a:b new_york", ["end", "next", "3", "14", "a", "b", "new", "york"]),
        ("ﬁne １２", ["ﬁne", "１２"]),
    ],
)
def test_words_are_one_whatever_encodes_them(text, expected):
    assert words(text) == expected
    assert words_of(text, "nfc") == expected


def test_compatibility_characters_are_replaced_on_demand():
    assert words("ﬁne １２ Ｃafé", normalisation="nfkc") == ["fine", "12", "café"]


def test_text_may_stay_as_it_is():
    kept = words(f"{NFD} {NFC} co\u00adop", normalisation="none", lowercase=False)
    assert kept == [NFD, NFC, "co\u00adop"]


def test_tokens_between_white_space_are_normalised_too():
    assert words(f"{NFD} co\u00adop !", tokenizer="whitespace") == [NFC, "coop", "!"]


@pytest.mark.parametrize("form", ["nfc", "nfkc"])
@settings(max_examples=200, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=30))
def test_normal_forms_are_those_of_unicode_and_are_final(form, text):
    found = normalise(text, form)
    assert unicodedata.is_normalized(form.upper(), found)
    assert normalise(found, form) == found
    assert unicodedata.is_normalized(form.upper(), lower_case(text, form))
    assert normalise(text, "none") == text


def test_a_text_in_blocks_is_normalised_like_a_whole_one(write, monkeypatch):
    monkeypatch.setattr("embedder.text.corpus.BLOCK_BYTES", 7)
    text = f"{NFD} é ΟΔΟΣ I\u0307stanbul Σ " * 9
    path = write("a.txt", text)
    found = b"".join(read_text(CorpusConfig(files=[str(path)]))).decode().split()
    assert found == words(text)


def test_words_are_found_in_the_normal_form_of_their_text():
    vocabulary = Vocabulary([NFC, "cooperate", "می\u200cخواهم"], np.array([3, 2, 1]), "nfc")
    assert vocabulary.id_of(NFD) == vocabulary.ids[NFD] == vocabulary.ids.get(NFD) == 0
    assert NFD in vocabulary.ids
    assert vocabulary.ids["co\u00adoperate"] == 1
    assert "other" not in vocabulary.ids
    assert 7 not in vocabulary.ids
    assert vocabulary.ids.get("other", -1) == -1
    with pytest.raises(KeyError):
        vocabulary.ids["other"]
    with pytest.raises(UnknownWordError):
        vocabulary.id_of("Café")


def test_a_run_remembers_the_form_of_its_text(toy_run):
    from embedder.vectors.from_run import load_vectors

    vectors = load_vectors(toy_run)
    word = vectors.words[0]
    assert vectors.vocabulary.normalisation == "nfc"
    assert f"{word}\u00ad" in vectors
    assert (vectors[f"{word}\u00ad"] == vectors[word]).all()
    assert (vectors.sentence(f"{word[0]}\u00ad{word[1:]}") == vectors.sentence(word)).all()


@pytest.mark.parametrize(
    ("word", "known", "difference"),
    [
        (NFD, NFC, r"Unicode normal form \(NFD, not NFC\)"),
        (NFC, NFD, r"Unicode normal form \(NFC, not NFD\)"),
        ("Cafe\u0301", NFC, "normal form .* and case"),
        ("Paris", "paris", "only in case"),
        ("paris", "PARIS", "only in case"),
        ("İstanbul", "istanbul", "only in case"),
        ("co\u00adop", "coop", r"only in invisible characters \(U\+00AD\)"),
        ("میخواهم", "می\u200cخواهم", r"only in invisible characters \(U\+200C\)"),
        ("ﬁne", "fine", "only in compatibility characters, which NFKC replaces"),
        ("ＰＡＲＩＳ", "paris", "compatibility characters.* and case"),
        ("Straße", "STRASSE", "only in case"),
    ],
)
def test_the_error_for_an_unknown_word_says_which_known_one_differs_only_in_form(
    word, known, difference
):
    vocabulary = Vocabulary(["other", known], np.array([2, 1]))
    with pytest.raises(UnknownWordError, match=f"'{known}' is, and differs .*{difference}"):
        vocabulary.id_of(word)
    assert find_in_other_form(word, ["other"]) is None


def test_evaluations_compare_words_in_any_case_and_form():
    assert any_case("İSTANBUL") == any_case("istanbul") == any_case("Istanbul")
    assert any_case(NFD) == any_case("CAFÉ") == any_case("ca\u00adfé")
    assert any_case("cafe") != any_case("café")


def test_phrases_and_parts_are_in_the_form_of_the_text(tmp_path, write):
    learned = Phrases([[Phrase(("grand", NFD), f"grand_{NFD}", 9.0, 5)]])
    learned.save(tmp_path / "p.tsv")
    corpus = CorpusConfig(files=["a"], phrases=PhrasesConfig(file=str(tmp_path / "p.tsv")))
    assert PhraseJoiner(corpus).phrases.join(["grand", NFC]) == [f"grand_{NFC}"]
    parts = write("parts.tsv", f"{NFD}\tlemma:{NFD}\n")
    tree = {"corpus": {"files": ["a"]}, "subwords": {"parts": str(parts)}}
    assert load_word_parts(Config.model_validate(tree)) == {NFC: (f"lemma:{NFC}",)}


def test_lists_of_tokens_stay_as_they_are():
    import embedder

    vectors = embedder.train(
        [[NFD, NFC, "a", "b"]] * 30, min_count=1, dimension=2, passes=1, progress=False
    )
    assert {NFD, NFC} <= set(vectors.words)
