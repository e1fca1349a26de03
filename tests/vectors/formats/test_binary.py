import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedder.errors import FormatError
from embedder.vectors.formats import detect, load

WORDS = ["the", "of", "king", "naïve"]
MATRIX = np.array([[0.01, 0.2, -0.3, 0.4], [0.5, 0.6, 0.7, -0.8], [0.9, 1, 1.1, 1.2], [0, 2, 3, 4]])
words = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters=" "), min_size=1, max_size=8
)


def content(vocabulary, matrix, declared=None, end=b"", dtype="<f4"):
    """Return a file; gensim writes no newline after a vector, and word2vec.c does."""
    matrix = np.asarray(matrix, dtype)
    rows, dimension = declared or matrix.shape
    whole = b"%d %d\n" % (rows, dimension)
    for word, row in zip(vocabulary, matrix, strict=True):
        whole += word.encode() + b" " + row.tobytes() + end
    return whole


@given(
    vocabulary=st.lists(words, min_size=1, max_size=5, unique=True),
    dimension=st.integers(1, 4),
    end=st.sampled_from([b"", b"\n"]),
    missing=st.integers(0, 2),
    data=st.data(),
)
def test_words_and_numbers_are_read_and_what_the_header_misses_is_reported(
    write, vocabulary, dimension, end, missing, data
):
    number = st.floats(2**-20, 1e3, width=32) | st.floats(-1e3, -(2**-20), width=32) | st.just(0.0)
    row = st.lists(number, min_size=dimension, max_size=dimension)
    matrix = np.array([data.draw(row) for _ in vocabulary], np.float32)
    declared = max(1, len(vocabulary) - missing)
    path = write("v.bin", content(vocabulary, matrix, (declared, dimension), end))
    found = load(path)
    assert found.words == vocabulary
    np.testing.assert_array_equal(found.matrix, matrix)
    assert bool(found.repairs) == (declared < len(vocabulary))


@pytest.mark.parametrize("end", [b"", b"\n"])
def test_numbers_with_the_bytes_of_line_feeds_are_binary(write, end):
    for first in (0.01, *struct.unpack("<3f", b"\n\n\n\x3d\x0a 1\x3e\n1 \x3f")):
        matrix = MATRIX.copy()
        matrix[0, 0] = first
        path = write("v.txt", content(WORDS, matrix, end=end))
        assert detect(path) == "word2vec-binary"
        assert load(path).words == WORDS


@pytest.mark.parametrize("numbers", [[0.7], [0.32], [0.02, 0.02], [-0.42, 0.7], [0.7, 0.7, 0.7]])
def test_numbers_whose_bytes_are_letters_are_binary(write, numbers):
    path = write("v", content(["w"], [numbers]))
    assert detect(path) == "word2vec-binary"
    np.testing.assert_array_equal(load(path).matrix, np.array([numbers], np.float32))


@pytest.mark.parametrize("row", [b"the 0,1 0,2\n", b"the 0.1 0.x\n", b"the 0;1;0;2\n"])
def test_text_of_the_size_of_binary_numbers_is_text(write, row):
    with pytest.raises(FormatError, match="line 2: expected a word and 2 numbers"):
        load(write("v.bin", b"1 2\n" + row))


def test_rows_beyond_those_declared_are_read_and_reported(write):
    found = load(write("v.bin", content(WORDS, MATRIX, (2, 4))))
    assert found.words == WORDS
    assert found.repairs == ("the header declares 2 words, but the file has 4",)


@pytest.mark.parametrize("rest", [b"\0\0\0", b"x", b"more \1\2", b"\xff\xfe " + bytes(16)])
def test_bytes_that_are_no_row_are_an_error_that_names_the_byte(write, rest):
    whole = content(WORDS, MATRIX)
    with pytest.raises(FormatError, match=r"byte \d+: (what follows vector 4|the file ends)"):
        load(write("v.bin", whole + rest))
    with pytest.raises(FormatError, match=r"byte \d+: no word followed by a space"):
        load(write("v.bin", content(WORDS, MATRIX, (5, 4))))


@pytest.mark.parametrize("end", [b"", b"\n"])
@pytest.mark.parametrize("name", ["new york", "new york city", "a b"])
@pytest.mark.parametrize("place", range(4))
def test_spaces_in_words_are_read_and_reported(write, place, name, end):
    vocabulary = [*WORDS[:place], name, *WORDS[place + 1 :]]
    found = load(write("v.bin", content(vocabulary, MATRIX, end=end)))
    assert found.words == vocabulary
    np.testing.assert_array_equal(found.matrix, MATRIX.astype(np.float32))
    assert found.repairs == ("1 words contain spaces",)


@pytest.mark.parametrize("end", [b"", b"\n"])
@pytest.mark.parametrize("count", [1, 2, 4])
def test_float64_is_recognised_by_where_its_rows_end(write, end, count):
    path = write("v.bin", content(WORDS[:count], MATRIX[:count], end=end, dtype="<f8"))
    found = load(path)
    assert found.words == WORDS[:count]
    np.testing.assert_array_equal(found.matrix, MATRIX[:count].astype(np.float32))
    assert found.repairs == ("its numbers are float64 and were rounded to float32",)


@pytest.mark.parametrize("dimension", [3, 5, 8])
def test_a_header_with_another_dimension_is_an_error(write, dimension):
    path = write("v.bin", content(WORDS, MATRIX, (4, dimension)))
    with pytest.raises(FormatError, match=r"byte \d+|not finite"):
        load(path)


def test_words_that_are_not_utf8_are_repaired_in_binary_files_too(write):
    whole = content(WORDS, MATRIX).replace("naïve".encode(), "naïve".encode("latin-1"))
    found = load(write("v.bin", whole))
    assert found.words[3] == "na\ufffdve"
    np.testing.assert_array_equal(found.matrix, MATRIX.astype(np.float32))
