import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedder.errors import FormatError, VocabularyError
from embedder.text.vocabulary import Vocabulary
from embedder.vectors.formats import FORMATS, load, save
from embedder.vectors.subwords import Subwords
from embedder.vectors.word_vectors import WordVectors

UNICODE_SPACES = ["new\u00a0york", "a\u2028b", "\u3000", "x\u0085", "ab\u200dc", "\u2009d"]
ASCII_SPACES = ["new york", "a\tb", "c\nd", "e\rf", "g\x0bh", "i\x0cj"]
BREAKS = {
    # What a word may not have, in each format.
    "word2vec": ["", "\0", *ASCII_SPACES],
    "word2vec-binary": ["", "\0", "new york", "c\nd"],
    "glove": ["", "\0", "\ufeffa", *ASCII_SPACES],
    "npy": ["c\nd", "e\rf", "\ufeffa"],
    "fasttext": ["\0"],
    "safetensors": ["c\nd"],
    "finalfusion": [],
    "projector": ["", "a\tb", "c\nd", "e\rf", "\ufeffa"],
    "static-embedding": [],
}
ALL = list(dict.fromkeys(["plain", *UNICODE_SPACES, *ASCII_SPACES, "", "\0", "\ufeffa"]))
ENDINGS = {"npy": "v.npy", "projector": "v.tsv", "safetensors": "v.safetensors"}


def of(words):
    matrix = np.arange(2 * len(words), dtype=np.float32).reshape(-1, 2) + 1
    return WordVectors(Vocabulary(words, np.arange(len(words), 0, -1)), matrix)


@pytest.mark.parametrize("name", FORMATS)
def test_only_what_breaks_a_format_is_rejected(tmp_path, name):
    path = tmp_path / ENDINGS.get(name, "v")
    for word in BREAKS[name] + ["\ud800"]:
        with pytest.raises(VocabularyError, match=f"the {name} format cannot store.*--unwritable"):
            save(of(["plain", word]), path, name)
    fine = [word for word in ALL if word not in BREAKS[name]]
    save(of(fine), path, name)
    found = load(path)
    assert found.words == fine
    np.testing.assert_allclose(found.matrix, of(fine).matrix, rtol=1e-6)


@pytest.mark.parametrize("name", [name for name in FORMATS if BREAKS[name]])
def test_words_that_a_format_cannot_store_are_left_out_on_demand(tmp_path, name):
    path = tmp_path / ENDINGS.get(name, "v")
    saved = save(of(ALL), path, name, unwritable="skip")
    kept = [word for word in ALL if word not in BREAKS[name]]
    assert saved.words == len(kept)
    assert f"{len(BREAKS[name]):,} words that {name} cannot store were left out" in saved.remarks[0]
    found = load(path)
    assert found.words == kept
    np.testing.assert_array_equal(
        found.matrix, of(ALL).matrix[[word not in BREAKS[name] for word in ALL]]
    )


def test_words_are_replaced_on_demand_unless_the_result_is_there_already(tmp_path):
    words = ["new york", "new_york", "a\tb", "", "a b", "c"]
    saved = save(of(words), tmp_path / "v.txt", unwritable="replace")
    assert load(tmp_path / "v.txt").words == ["new_york", "a_b", "_", "c"]
    assert saved.remarks == (
        "2 words that word2vec cannot store were left out, such as 'new york'",
        "2 words were written with _ for what word2vec cannot store, such as 'a\\tb' as 'a_b'",
    )
    with pytest.raises(VocabularyError, match="can store none of the words"):
        save(of([""]), tmp_path / "v.txt", unwritable="skip")


def test_the_ngrams_of_a_model_survive_a_word_that_is_left_out(rng, tmp_path):
    words = ["king", "no\0word", "kingdom"]
    rows = rng.normal(size=(3 + 20, 4)).astype(np.float32)
    subwords = Subwords(rows, 2, 4, 20, 3)
    vectors = WordVectors(Vocabulary(words, np.ones(3)), subwords.compose(words), (), subwords)
    save(vectors, tmp_path / "v.ftbin", unwritable="skip")
    found = load(tmp_path / "v.ftbin")
    assert found.words == ["king", "kingdom"]
    for word in ("king", "kingdom", "kings"):
        np.testing.assert_allclose(found.vector(word), vectors.vector(word), rtol=1e-5)


def test_halves_of_pairs_in_a_tokenizer_are_replaced_and_reported(tmp_path):
    save(of(["plain", "other"]), tmp_path / "m", "static-embedding")
    tokenizer = tmp_path / "m" / "tokenizer.json"
    tokenizer.write_text(tokenizer.read_text().replace("other", "\\ud83d"))
    found = load(tmp_path / "m")
    assert found.words[0] == "plain"
    assert set(found.words[1]) == {"\ufffd"}
    assert found.repairs == ("1 words are not UTF-8; invalid bytes were replaced",)


@given(words=st.lists(st.text(max_size=4), min_size=1, unique=True), name=st.sampled_from(FORMATS))
def test_any_words_are_written_and_read_back_or_rejected(tmp_path_factory, words, name):
    path = tmp_path_factory.mktemp("any") / ENDINGS.get(name, "v")
    vectors, unwritable = of(words), None
    try:
        save(vectors, path, name)
    except VocabularyError:
        unwritable = "replace"
        assert save(vectors, path, name, unwritable=unwritable).remarks
    try:
        found = load(path)
    except FormatError as error:
        if "every line begins with a number" not in str(error):
            raise
        return
    assert found.repairs == ()
    rows = ((found.matrix[:, 0] - 1) / 2).round().astype(int)
    np.testing.assert_allclose(found.matrix, vectors.matrix[rows], rtol=1e-6)
    if unwritable is None:
        assert found.words == words
    else:
        written = dict(zip(rows, found.words, strict=True))
        same = [word == words[i] for i, word in written.items()]
        changed = [word for i, word in written.items() if word != words[i]]
        assert any(same) or changed
        assert all("_" in word for word in changed)


@pytest.mark.parametrize("binary", [False, True])
def test_gensim_reads_words_with_unicode_spaces_as_they_are(tmp_path, binary):
    models = pytest.importorskip("gensim.models", reason="gensim is not installed")
    path = tmp_path / "v"
    words = ["plain", *UNICODE_SPACES]
    save(of(words), path, "word2vec-binary" if binary else "word2vec")
    theirs = models.KeyedVectors.load_word2vec_format(str(path), binary=binary)
    assert theirs.index_to_key == words
    np.testing.assert_array_equal(theirs.vectors, of(words).matrix)
    theirs.save_word2vec_format(str(path), binary=binary)
    assert load(path).words == words


def test_from_python_the_advice_is_an_argument_that_helps(tmp_path):
    vectors = of(["plain", "new york"])
    with pytest.raises(VocabularyError, match=r"leave them out \(unwritable='skip'\)"):
        vectors.save(tmp_path / "v.txt")
    with pytest.raises(FormatError, match=r"or give file_format \(word2vec, "):
        vectors.save(tmp_path / "v.foo")
    vectors.save(tmp_path / "v.txt", unwritable="replace")
    assert load(tmp_path / "v.txt").words == ["plain", "new_york"]
