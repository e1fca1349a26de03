import naive
import numpy as np
import pytest

from embedder.kernels.tokens import (
    INNER,
    INVISIBLE,
    LETTER,
    MARK,
    blank_between_words,
    encode_block,
    grown_lexicon,
    new_lexicon,
    renumber,
)


def random_text(rng, words, n=400):
    """Words, UTF-8 ones among them, between whitespace of all kinds."""
    blanks = [b" ", b"\n", b"\t", b"\r\n", b"\v\f", b"  \n\n "]
    return b"".join(
        f"w{rng.integers(0, words)}é".encode() + blanks[rng.integers(0, len(blanks))]
        for _ in range(n)
    )


def encode(blocks, lexicon):
    """Ids of all blocks, the lexicon at the end, and how often it had to grow."""
    ids, grown = [], 0
    for block in blocks:
        text = np.frombuffer(block, np.uint8)
        out = np.empty(len(text) + 1, np.int32)
        position, written = encode_block(text, 0, lexicon, out)
        ids += out[:written].tolist()
        while position < len(text):
            lexicon = grown_lexicon(lexicon, len(text))
            grown += 1
            position, written = encode_block(text, position, lexicon, out)
            ids += out[:written].tolist()
    return ids, lexicon, grown


def words_of(lexicon):
    n, letters = int(lexicon.used[0]), lexicon.letters.tobytes()
    return [letters[lexicon.starts[i] : lexicon.starts[i + 1]] for i in range(n)]


def assert_encoded(text, ids, lexicon):
    numbers = {}
    expected = naive.encode(text, numbers)
    assert ids == expected
    assert words_of(lexicon) == list(numbers)
    assert lexicon.counts[: len(numbers)].tolist() == naive.count_ids(expected, len(numbers))
    assert not lexicon.counts[len(numbers) :].any()


@pytest.mark.parametrize(
    "text", [b"", b" ", b"\n", b"\n\n", b"a", b" a", b"a ", b"a\nb a\n", b"aa a"]
)
def test_short_texts_are_encoded(text):
    ids, lexicon, _ = encode([text], new_lexicon(4, 16))
    assert_encoded(text, ids, lexicon)


@pytest.mark.parametrize("words", [1, 15, 16, 17, 300])
def test_words_are_numbered_and_counted_in_the_order_of_their_appearance(rng, words):
    text = random_text(rng, words)
    ids, lexicon, grown = encode([text], new_lexicon(16, 4096))
    assert_encoded(text, ids, lexicon)
    assert (grown > 0) == (lexicon.used[0] > 16)


def test_words_keep_their_numbers_from_block_to_block(rng):
    text = random_text(rng, 50)
    ends = [i + 1 for i, byte in enumerate(text) if byte == 32]
    for cut in ends[::40]:
        ids, lexicon, _ = encode([text[:cut], b"", text[cut:]], new_lexicon(64, 4096))
        assert_encoded(text, ids, lexicon)


@pytest.mark.parametrize("room", [(1, 4096), (1024, 1), (1, 1), (2, 7)])
def test_a_lexicon_grows_without_losing_a_word(rng, room):
    text = random_text(rng, 90)
    cut = text.index(b" ", len(text) // 2)
    ids, lexicon, grown = encode([text[:cut], text[cut:]], new_lexicon(*room))
    assert_encoded(text, ids, lexicon)
    assert grown > 0


@pytest.mark.parametrize("room", [(2, 64), (64, 6), (64, 10)])  # of words, of letters
def test_encoding_stops_before_the_word_that_has_no_room(room):
    text = np.frombuffer(b"one two\none three one", np.uint8)
    lexicon, ids = new_lexicon(*room), np.full(len(text) + 1, -9, np.int32)
    assert encode_block(text, 0, lexicon, ids) == (12, 4)
    assert ids[:5].tolist() == [0, 1, -1, 0, -9]
    assert words_of(lexicon) == [b"one", b"two"]
    assert lexicon.counts[:2].tolist() == [2, 1]
    lexicon = grown_lexicon(lexicon, len(text))
    assert encode_block(text, 12, lexicon, ids) == (len(text), 2)
    assert ids[:2].tolist() == [2, 0]
    assert lexicon.counts[:3].tolist() == [3, 1, 1]


def test_words_of_one_hash_are_told_apart_by_their_letters():
    lexicon, ids = new_lexicon(4, 16), np.empty(3, np.int32)
    encode_block(np.frombuffer(b"ab", np.uint8), 0, lexicon, ids)
    lexicon.letters[:2] = np.frombuffer(b"xy", np.uint8)  # as if this word had the hash of "ab"
    assert encode_block(np.frombuffer(b"ab", np.uint8), 0, lexicon, ids) == (2, 1)
    assert ids[0] == 1
    assert words_of(lexicon) == [b"xy", b"ab"]
    assert lexicon.hashes[0] == lexicon.hashes[1]


def random_ids(rng, n=300, words=9):
    ids = rng.integers(0, words, n).astype(np.int32)
    ids[rng.random(n) < 0.4] = -1
    return ids


@pytest.mark.parametrize("previous", [-1, 3])
@pytest.mark.parametrize("n", [0, 1, 300])
def test_ids_are_renumbered_and_empty_sentences_left_out(rng, n, previous):
    old = random_ids(rng, n)
    new_ids = np.array([4, -1, 0, 2, -1, -1, 1, 3, -1], np.int32)
    out = np.full(n + 2, -9, np.int32)
    written = renumber(old, new_ids, out, previous)
    assert out[:written].tolist() == naive.renumber(old, new_ids, previous)
    assert (out[written:] == -9).all()


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_ids_are_renumbered_in_place_and_in_parts(rng, size):
    ids = random_ids(rng)
    new_ids = np.array([4, -1, 0, 2, -1, -1, 1, 3, -1], np.int32)
    expected = naive.renumber(ids, new_ids)
    kept = 0
    for start in range(0, len(ids), size):
        previous = int(ids[kept - 1]) if kept else -1
        kept += renumber(ids[start : start + size], new_ids, ids[kept:], previous)
    assert ids[:kept].tolist() == expected


CHARACTERS = "aZ9é\u0301\u093f日𝒜 \n\t.-'’«\u2028😀\u200d\u200c\xad\U0010ffff"
KINDS = {"'": INNER, "’": INNER, "\u200d": INVISIBLE, "\u200c": INVISIBLE, "\xad": INVISIBLE}
KINDS |= {"\u0301": MARK, "\u093f": MARK, **dict.fromkeys("aZ9é日𝒜", LETTER)}
NAMES = {LETTER: "l", MARK: "m", INNER: "'", INVISIBLE: "i"}


@pytest.fixture(scope="module")
def kinds():
    table = np.zeros(0x110000, np.uint8)
    table[[ord(character) for character in KINDS]] = list(KINDS.values())
    return table


def blanked(text, kinds):
    letters = np.frombuffer(text.encode(), np.uint8).copy()
    blank_between_words(letters, kinds)
    return letters.tobytes().decode()


def naively_blanked(text):
    return naive.blank_between_words(text, {c: NAMES[kind] for c, kind in KINDS.items()})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        ("'", " "),
        ("a'", "a "),
        ("'a", " a"),
        ("a'a’a", "a'a’a"),
        ("a''a", "a  a"),
        ("a'\na", "a \na"),
        ("日😀𝒜", "日    𝒜"),
        ("𝒜’日", "𝒜’日"),
        ("a’", "a   "),
        ("\n.\n", "\n \n"),
        ("a\u200ca", "a\u200ca"),
        ("a\u200c\u200d\xada", "a\u200c\u200d\xada"),
        ("a\u200c", "a   "),
        ("a\u200c\na", "a   \na"),
        ("\u200ca", "   a"),
        ("a\u200c a", "a    a"),
        ("a\xad'\u200da", "a\xad'\u200da"),
        ("a'\xad'a", "a    a"),
        ("a\u200d\u093f", "a\u200d\u093f"),
        ("a'\u0301a", "a'\u0301a"),
        ("\u0301a", "  a"),
        (".\u0301\u0301", "     "),
        ("a.\u0301", "a   "),
        ("a\u0301\u093f", "a\u0301\u093f"),
    ],
)
def test_what_is_no_word_becomes_as_many_spaces_as_it_has_bytes(kinds, text, expected):
    assert blanked(text, kinds) == expected
    assert naively_blanked(text) == expected


def test_blanked_texts_are_those_of_a_regular_expression(rng, kinds):
    for _ in range(1000):
        text = "".join(rng.choice(list(CHARACTERS), rng.integers(0, 30)))
        assert blanked(text, kinds) == naively_blanked(text)
