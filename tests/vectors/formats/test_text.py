import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from embedder.errors import FormatError
from embedder.vectors.formats import detect, load

ROWS = "the 0.1 0.2 0.3 0.4\nof 0.5 0.6 0.7 0.8\nking 0.9 1.0 1.1 1.2\n"
MATRIX = np.arange(1, 13, dtype=np.float32).reshape(3, 4) / 10
SPACES = [" ", "  ", "\t", " \t ", "\v", "\f"]
ENDS = ["\n", "\r\n", "\r"]
MARK = "\ufeff"

words = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters=" \t\n\r\v\f\0"), min_size=1
).filter(lambda word: not word.startswith(MARK))
numbers = st.floats(width=32, allow_nan=False, allow_infinity=False)
styles = st.sampled_from([repr, "{:.3e}".format, "{:+.9g}".format, "{:f}".format])


@st.composite
def tables(draw, most_words=5):
    """Words, and their numbers as text."""
    dimension = draw(st.integers(2, 4))
    style = draw(styles)
    vocabulary = draw(st.lists(words, min_size=1, max_size=most_words, unique=True))
    row = st.lists(numbers.map(style), min_size=dimension, max_size=dimension)
    return vocabulary, [draw(row) for _ in vocabulary]


def assert_read(path, vocabulary, texts):
    found = load(path)
    assert found.words == vocabulary
    np.testing.assert_array_equal(found.matrix, np.array(texts, np.float32))
    assert found.repairs == ()


@given(
    table=tables(),
    mark=st.sampled_from(["", MARK]),
    end=st.sampled_from(ENDS),
    header=st.booleans(),
    data=st.data(),
)
def test_words_are_read_with_any_separator_line_end_and_mark(write, table, mark, end, header, data):
    vocabulary, texts = table
    with np.errstate(over="ignore"):
        assume(np.isfinite(np.array(texts, np.float32)).all())
    separator, edge = st.sampled_from(SPACES), st.sampled_from(["", *SPACES])
    lines = [f"{len(texts)}{data.draw(separator)}{len(texts[0])}"] if header else []
    for word, row in zip(vocabulary, texts, strict=True):
        line = word + "".join(data.draw(separator) + number for number in row)
        lines += [data.draw(edge) + line + data.draw(edge), *data.draw(st.sampled_from([[], [""]]))]
    content = mark + end.join(lines) + data.draw(st.sampled_from(["", end]))
    path = write("v.txt", content.encode())
    try:
        assert_read(path, vocabulary, texts)
    except FormatError as error:
        # Words that are all numbers are taken for a matrix without words.
        digits = all(any(letter.isdigit() for letter in word) for word in vocabulary)
        if "every line begins with a number" not in str(error) or not digits:
            raise


@given(table=tables(), change=st.sampled_from(["more", "fewer", "merged"]), data=st.data())
def test_a_row_with_other_numbers_is_an_error_that_names_its_line(write, table, change, data):
    vocabulary, texts = table
    assume(len(vocabulary) > 2)
    rows = [[word, *row] for word, row in zip(vocabulary, texts, strict=True)]
    i = data.draw(st.integers(0, len(rows) - 2))
    if change == "merged":
        rows[i] += rows.pop(i + 1)
    else:
        rows[i] = rows[i] + ["1.5"] if change == "more" else rows[i][:-1]
    header = f"{len(vocabulary)} {len(texts[0])}\n"
    path = write("v.txt", header + "".join(" ".join(row) + "\n" for row in rows))
    with pytest.raises(FormatError, match=rf"line {i + 2}: expected|every line begins|not finite"):
        load(path)


@pytest.mark.parametrize("head", ["", "3 4\n", f"{MARK}3 4\n", "\n\n3\t4\n", " 3  4 \n", MARK])
@pytest.mark.parametrize("end", ENDS)
def test_marks_blank_lines_and_spaces_around_a_header_do_not_count(write, head, end):
    path = write("v.vec", (head + ROWS).replace("\n", end).encode())
    assert_read(path, ["the", "of", "king"], MATRIX)


@pytest.mark.parametrize("header", ["4 3", "3 5", "9 1", "3 9"])
def test_most_rows_decide_the_dimension_and_a_wrong_header_is_reported(write, header):
    found = load(write("v.vec", f"{header}\n{ROWS}"))
    assert found.matrix.shape == (3, 4)
    rows, dimension = header.split()
    message = f"declares {rows} words of {dimension} dimensions, but the file has 3 of 4"
    assert message in found.repairs[0]


@pytest.mark.parametrize(
    "first",
    ["# my vectors 4", "words: 3", "3,4", "3 4.0", "word d1 d2 d3 d4", "3 4 the 0.1 0.2 0.3 0.4"],
)
def test_a_first_line_that_is_neither_header_nor_row_is_quoted(write, first):
    with pytest.raises(FormatError, match=f"line 1: .* a word .* 4 numbers.*{first[:5]}"):
        load(write("v.vec", f"{first}\n{ROWS}"))


def test_a_single_number_per_word_needs_a_header_or_the_users_word(write):
    path = write("counts.txt", "the 120\nof 80\n")
    with pytest.raises(FormatError, match=r"line 1: a single number per word.*--from glove"):
        load(path)
    assert load(path, file_format="glove").matrix.tolist() == [[120], [80]]
    assert load(write("v.vec", "2 1\nthe 120\nof 80\n")).matrix.tolist() == [[120], [80]]


def test_a_matrix_without_words_is_no_vectors(write):
    with pytest.raises(FormatError, match="every line begins with a number"):
        load(write("matrix.txt", "1 0.5 0.25\n0.5 1 0.125\n"))
    with pytest.raises(FormatError, match="every line begins with a number"):
        load(write("matrix.txt", "1 0.5 0.25\n0 1 0.125\n0 0 1\n"))
    # As in node2vec, whose words are the numbers of nodes.
    assert load(write("nodes.emb", "2 2\n7 0.5 0.25\n8 0.5 1\n")).words == ["7", "8"]


def test_few_rows_with_too_many_numbers_are_left_out_and_counted(write):
    rows = [f"w{i} {i} 0.5\n" for i in range(400)]
    rows[7] = "w7 7 0.5 9\n"
    found = load(write("v.vec", f"400 2\n{''.join(rows)}"))
    assert len(found) == 399
    assert "w7" not in found
    assert "1 rows with too many numbers were left out; the first is line 9" in found.repairs[1]
    rows[100:110] = ["x 1 2 3\n"] * 10
    with pytest.raises(FormatError, match="line 9: expected a word and 2 numbers, but more"):
        load(write("v.vec", f"400 2\n{''.join(rows)}"))


def test_spaces_in_words_and_empty_words_are_read_and_counted(write):
    found = load(write("v.txt", "3 2\n. . . 1 2\nnew  york 3 4\n\t5 6\n"))
    assert found.words == [". . .", "new  york", ""]
    assert found.repairs == ("2 words contain spaces", "1 words are empty")


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("the,0.1,0.2", "separated by commas"),
        ('"the", 0.1, 0.2', "separated by commas"),
        ("the;0,1;0,2", "separated by semicolons"),
        ("the|0.1|0.2", "separated by vertical bars"),
        ("the 0,1 0,2", "decimal commas, not points"),
    ],
)
@pytest.mark.parametrize("header", ["", "1 2\n"])
def test_other_separators_are_named(write, header, row, reason):
    number = 2 if header else 1
    with pytest.raises(FormatError, match=f"line {number}: .*{reason}"):
        load(write("v.csv", f"{header}{row}\n"))


def test_a_header_decides_between_word2vec_and_glove_unless_the_user_does(write):
    path = write("v.txt", "2 1\n7 2\n")
    assert detect(path) == "word2vec"
    assert load(path, file_format="glove").words == ["2", "7"]
    with pytest.raises(FormatError, match="line 1: expected a header 'V D'"):
        load(write("v.vec", ROWS), file_format="word2vec")


def test_a_line_that_ends_nowhere_is_rejected(write, monkeypatch):
    monkeypatch.setattr("embedder.vectors.formats.text.MAX_LINE_BYTES", 1 << 20)
    path = write("v.txt", "a 1 2\nb 3 4\n" + "x" * (3 << 20))
    with pytest.raises(FormatError, match="line 3: longer than 1,048,576 bytes"):
        load(path)
