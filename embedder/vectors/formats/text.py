"""Text formats: a word and its numbers on each line.

word2vec, fastText's .vec   a first line "V D", then the words
GloVe                       the same without the first line

Runs of spaces and tabs separate, and those at the edges of a line count for nothing; a line ends
with LF, CR LF or CR, and a byte-order mark is dropped. D is what most rows have: the last D fields
of a line are its numbers, and what precedes them is its word, in which spaces may remain. A word
with further numbers after its first field is none: its row has too many, or is two rows in one.
"""

import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np

from embedder.arrays import Array
from embedder.errors import FormatError
from embedder.storage import write_atomically
from embedder.vectors.formats.complaints import complaint_about, is_float, quoted, reads_as_number
from embedder.vectors.formats.opening import InputFile
from embedder.vectors.formats.rows import ROWS_PER_CHUNK, VectorRows, check_dimension, progress_bar
from embedder.vectors.word_vectors import WordVectors

MAX_LINE_BYTES = 1 << 24
MARK = b"\xef\xbb\xbf"
"""UTF-8's byte-order mark."""
_BYTES_PER_BLOCK = 1 << 20
_MAX_HEADER_DIGITS = 100
_LINES_SURVEYED = 1000
_FEW = 0.01
"""The part of the rows that may have too many numbers, and are then left out and counted."""
_OTHER_SPACES = (b"\t", b"\v", b"\f")
_AS_SPACES = bytes.maketrans(b"\t\v\f", b"   ")
_ODD = (b"  ", b"\0")
"""What would let numbers shift to another row, or be lost, when many rows are parsed at once."""


class Layout(NamedTuple):
    """What the beginning of a text file says about the rest.

    ``declared``
        V and D in the first line; None if it is not a header.
    ``dimension``
        D, as most rows have it; 0 if it is unknown.
    ``rows, numeric``
        How many rows were looked at, and how many of them end in numbers.
    ``wordless``
        Whether all of them begin with a number, and some with a decimal one or with the same one,
        as a matrix without words does.
    ``first``
        The number of the first line that is not blank, from 1.
    """

    declared: tuple[int, int] | None
    dimension: int
    rows: int
    numeric: int
    wordless: bool
    first: int

    @property
    def is_text(self) -> bool:
        """Whether most rows end in numbers."""
        return self.numeric * 2 > self.rows


def read_header(line: bytes) -> tuple[int, int] | None:
    """Return V and D if a first line consists of two integers, otherwise None."""
    fields = line.split()
    if len(fields) != 2 or not all(field.isdigit() for field in fields):
        return None
    if max(map(len, fields)) > _MAX_HEADER_DIGITS:
        return None
    return int(fields[0]), int(fields[1])


def survey(head: bytes, whole: bool, has_header: bool | None = None) -> Layout:
    """Find out how the rows of a text file are laid out.

    Parameters
    ----------
    head
        The first bytes of the file.
    whole
        Whether this is all.
    has_header
        Whether the first line is a header; None if its form decides.
    """
    every = split_lines(head.removeprefix(MARK))
    lines = [line for line in (every if whole else every[:-1]) if line.strip()]
    declared = read_header(lines[0]) if lines and has_header is not False else None
    rows = lines[declared is not None :][:_LINES_SURVEYED]
    counts = [_count_numbers(row) for row in rows]
    first = [row.split(None, 1)[0] for row in rows]
    wordless = all(map(reads_as_number, first)) and (
        len(set(first)) < len(first) or any(b"." in field for field in first)
    )
    return Layout(
        declared,
        _dimension(declared, counts),
        len(rows),
        sum(map(bool, counts)),
        wordless,
        next((number for number, line in enumerate(every, 1) if line.strip()), 1),
    )


def _dimension(declared: tuple[int, int] | None, counts: list[int]) -> int:
    if not counts:
        return declared[1] if declared else 0
    most, votes = Counter(counts).most_common(1)[0]
    if declared is None:
        return most
    # One number per row is what prose with a year has; only a header makes it a dimension.
    return most if most > 1 and votes * 2 > len(counts) else declared[1]


def split_lines(content: bytes) -> list[bytes]:
    """Split at LF, CR LF and CR."""
    if b"\r" in content:
        content = content.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    return content.split(b"\n")


def numbered_lines(stream: IO[bytes], path: Path) -> Iterator[tuple[int, list[bytes]]]:
    """Yield blocks of lines without their ends, and the number of each block's first line.

    All spaces within them are ASCII's first.

    Raises
    ------
    FormatError
        For a line of more than 16 MiB.
    """
    number, rest = 1, b""
    first = True
    while block := stream.read(_BYTES_PER_BLOCK):
        if first:
            block, first = block.removeprefix(MARK), False
        block = rest + block
        if any(space in block for space in _OTHER_SPACES):
            block = block.translate(_AS_SPACES)
        # CR and LF may be in two blocks.
        half = b"\r" if block.endswith(b"\r") else b""
        lines = split_lines(block.removesuffix(half))
        rest = lines.pop() + half
        if len(rest) > MAX_LINE_BYTES:
            raise FormatError(
                f"{path}, line {number + len(lines):,}: longer than {MAX_LINE_BYTES:,} bytes."
            )
        yield number, lines
        number += len(lines)
    yield number, split_lines(rest)


def split_row(line: bytes, dimension: int) -> tuple[bytes, list[bytes]] | None:
    """Split a line into its word and its last D fields; None if there are too few fields.

    Of D fields after a separator at the beginning of the line, the word is empty.
    """
    fields = line.rsplit(None, dimension)
    if len(fields) > dimension:
        return fields[0].strip(), fields[1:]
    if len(fields) == dimension and line[:1].isspace():
        return b"", fields
    return None


def parse_numbers(text: bytes, count: int) -> Array | None:
    """Parse numbers between single spaces, (count,) float32; None if they are not this many."""
    try:
        with warnings.catch_warnings(), np.errstate(over="ignore"):  # rejected later as not finite
            warnings.simplefilter("error", DeprecationWarning)  # older NumPy warns of no number
            numbers = np.fromstring(text, np.float32, sep=" ") if count else np.empty(0, "f4")
    except (ValueError, DeprecationWarning):
        return None
    return numbers if len(numbers) == count else None


def _count_numbers(line: bytes) -> int:
    """Count the numbers at the end of a line, not including its first field, which is a word."""
    fields = line.split()[1:]
    return next((i for i, f in enumerate(reversed(fields)) if not reads_as_number(f)), len(fields))


def read_word2vec(file: InputFile, progress: bool = False) -> WordVectors:
    """Read word2vec's text format or fastText's .vec.

    Raises
    ------
    FormatError
        If there is no header, or for a line that is not a word and D numbers.
    """
    layout = survey(file.head, file.is_in_head)
    if layout.declared is None:
        raise FormatError(f"{file.path}, line 1: expected a header 'V D', two whole numbers.")
    return _read(file, layout, progress)


def read_glove(file: InputFile, progress: bool = False) -> WordVectors:
    """Read GloVe's text format: even a first line of two numbers is a row.

    Raises
    ------
    FormatError
        For a line that is not a word and D numbers.
    """
    return _read(file, survey(file.head, file.is_in_head, has_header=False), progress)


def _read(file: InputFile, layout: Layout, progress: bool) -> WordVectors:
    check_dimension(file.path, layout.dimension)
    parser = _Parser(file.path, layout)
    with (
        file.open() as stream,
        VectorRows(file.path, layout.dimension, layout.declared, progress, "line") as rows,
    ):
        for number, lines in numbered_lines(stream, file.path):
            rows.add(*parser.parse(lines, number))
        return rows.finish(parser.repairs())


class _Parser:
    """Parses blocks of lines, and counts what is odd about them."""

    def __init__(self, path: Path, layout: Layout) -> None:
        self._path = path
        self._dimension = layout.dimension
        self._header_is_due = layout.declared is not None
        self._first = 0 if self._header_is_due else layout.first
        self._rows = self._surplus = self._spaced = self._empty = 0
        self._first_surplus = ""

    def parse(
        self, lines: list[bytes], number: int
    ) -> tuple[Sequence[bytes], Array, Sequence[int]]:
        """Return the words, the numbers (n, D) and the line numbers of a block's rows.

        Raises
        ------
        FormatError
            For a line that is not a word and D numbers.
        """
        if self._header_is_due:
            header = next((i for i, line in enumerate(lines) if line.strip()), None)
            self._header_is_due = header is None
            start = len(lines) if header is None else header + 1
            lines, number = lines[start:], number + start
        numbers = range(number, number + len(lines))
        plain = self._parse_plain(lines)
        found = (*plain, numbers) if plain else self._parse_each(lines, numbers)
        self._rows += len(found[0])
        return found

    def _parse_plain(self, lines: list[bytes]) -> tuple[list[bytes], Array] | None:
        """Parse all lines at once; None unless each is a word and D numbers, with single spaces."""
        fields = [line.rstrip(b" ").partition(b" ") for line in lines]
        if any(rest.count(b" ") != self._dimension - 1 for _, _, rest in fields):
            return None
        words, text = [word for word, _, _ in fields], b" ".join(rest for _, _, rest in fields)
        if not all(words) or not text or any(odd in text for odd in _ODD):
            return None
        numbers = parse_numbers(text, len(fields) * self._dimension)
        return None if numbers is None else (words, numbers.reshape(-1, self._dimension))

    def _parse_each(
        self, lines: list[bytes], numbers: Sequence[int]
    ) -> tuple[list[bytes], Array, list[int]]:
        rows = []
        for line, number in zip(lines, numbers, strict=True):
            if not line.strip():
                continue
            row = split_row(line, self._dimension)
            if row is None:
                raise self._error(line, number)
            if self._is_proper(row[0], number):
                rows.append((*row, number))
        words, found = [word for word, _, _ in rows], [fields for _, fields, _ in rows]
        text = b" ".join(field for fields in found for field in fields)
        matrix = None if b"\0" in text else parse_numbers(text, len(rows) * self._dimension)
        if matrix is None:
            for _, fields, number in rows:
                if not all(map(is_float, fields)):
                    raise self._error(lines[number - numbers[0]], number)
            matrix = np.array(found, np.float32)
        return words, matrix.reshape(-1, self._dimension), [number for _, _, number in rows]

    def _is_proper(self, word: bytes, number: int) -> bool:
        """Return whether a word is not followed by numbers; count odd words."""
        if not word:
            self._empty += 1
            return True
        _, *others = word.split()
        if any(map(reads_as_number, others)):
            self._surplus += 1
            self._first_surplus = self._first_surplus or (
                f"{self._path}, line {number:,}: expected a word and {self._dimension} numbers, "
                f"but more numbers precede them: {quoted(word)}"
            )
            return False
        self._spaced += bool(others)
        return True

    def _error(self, line: bytes, number: int) -> FormatError:
        complaint = complaint_about(line, self._dimension, number == self._first)
        return FormatError(f"{self._path}, line {number:,}: {complaint}")

    def repairs(self) -> list[str]:
        """Return what was odd about the lines.

        Raises
        ------
        FormatError
            If more than few had too many numbers.
        """
        if self._surplus > _FEW * (self._rows + self._surplus):
            raise FormatError(f"{self._first_surplus}.")
        found = []
        if self._surplus:
            first = self._first_surplus.removeprefix(f"{self._path}, ")
            found.append(
                f"{self._surplus:,} rows with too many numbers were left out; the first is {first}"
            )
        if self._spaced:
            found.append(f"{self._spaced:,} words contain spaces")
        if self._empty:
            found.append(f"{self._empty:,} words are empty")
        return found


def write_word2vec(vectors: WordVectors, path: Path, progress: bool = False) -> None:
    """Write word2vec's text format: "V D", then the rows."""
    _write(vectors, path, progress, b"%d %d\n" % vectors.matrix.shape)


def write_glove(vectors: WordVectors, path: Path, progress: bool = False) -> None:
    """Write GloVe's text format: the rows only."""
    _write(vectors, path, progress, b"")


def _write(vectors: WordVectors, path: Path, progress: bool, header: bytes) -> None:
    def write_to(temporary: Path) -> None:
        with (
            temporary.open("wb") as file,
            progress_bar(len(vectors), progress, f"writing {path.name}") as bar,
        ):
            file.write(header)
            for words, numbers in text_rows(vectors, " "):
                lines = (f"{word} {row}\n" for word, row in zip(words, numbers, strict=True))
                file.write("".join(lines).encode())
                bar.update(len(words))

    write_atomically(path, write_to)


def text_rows(vectors: WordVectors, separator: str) -> Iterator[tuple[list[str], list[str]]]:
    """Yield chunks of words and of their numbers as text.

    Each number is the shortest decimal that parses to the same float32.
    """
    for start in range(0, len(vectors), ROWS_PER_CHUNK):
        texts = vectors.matrix[start : start + ROWS_PER_CHUNK].astype(str)
        words = vectors.vocabulary.words[start : start + ROWS_PER_CHUNK]
        yield words, [separator.join(row) for row in texts]
