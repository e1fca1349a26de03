"""Text formats: a word and its numbers on each line.

word2vec, fastText's .vec   a first line "V D", then the words
GloVe                       the same without the first line
"""

import warnings
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import IO

import numpy as np

from embedder.arrays import Array
from embedder.errors import FormatError
from embedder.storage import write_atomically
from embedder.text.sources import Source, open_source
from embedder.vectors.formats.rows import ROWS_PER_CHUNK, VectorRows, check_dimension, progress_bar
from embedder.vectors.word_vectors import WordVectors

MAX_LINE_BYTES = 1 << 24
_BYTES_PER_CHUNK = 1 << 23
_ODD_SPACES = (b"  ", b"\t", b"\v", b"\f", b"\r", b"\n")
"""Whitespace that would let numbers shift to another row when many rows are parsed at once."""


def read_header(line: bytes) -> tuple[int, int] | None:
    """Return V and D if a first line consists of two integers, otherwise None."""
    fields = line.split()
    if len(fields) != 2 or not all(field.isdigit() for field in fields):
        return None
    return int(fields[0]), int(fields[1])


def read(path: Path, progress: bool = False) -> WordVectors:
    """Read word2vec's text format, fastText's .vec or GloVe, which may be compressed.

    Raises
    ------
    FormatError
        For a line that is not a word and D numbers.
    """
    with open_source(Source(str(path), path)) as file:
        first = file.readline(MAX_LINE_BYTES)
        header = read_header(first)
        dimension = header[1] if header else count_numbers_at_the_end(first)
        check_dimension(path, dimension)
        with VectorRows(path, dimension, header and header[0], progress) as rows:
            number = 2 if header else 1
            for lines in _chunks(file, [] if header else [first]):
                _add(rows, lines, dimension, path, number)
                number += len(lines)
            return rows.finish()


def count_numbers_at_the_end(line: bytes) -> int:
    """Count the numbers at the end of a line, not including its first field, which is a word."""
    count = 0
    for field in reversed(line.rstrip(b"\r\n ").split(b" ")[1:]):
        try:
            float(field)
        except ValueError:
            break
        count += 1
    return count


def _chunks(file: IO[bytes], lines: list[bytes]) -> Iterator[list[bytes]]:
    size = 0
    while line := file.readline(MAX_LINE_BYTES):
        lines.append(line)
        size += len(line)
        if len(lines) == ROWS_PER_CHUNK or size > _BYTES_PER_CHUNK:
            yield lines
            lines, size = [], 0
    yield lines


def _add(rows: VectorRows, lines: list[bytes], dimension: int, path: Path, number: int) -> None:
    """Add the rows of consecutive lines, beginning with line `number` of the file."""
    plain = _parse_plain([line.rstrip(b"\r\n ") for line in lines], dimension)
    if plain is not None:
        rows.add(*plain)
        return
    parsed = [
        parse_line(line, dimension, f"{path}, line {n:,}")
        for n, line in zip(count(number), lines, strict=False)
        if line.strip()
    ]
    if parsed:
        rows.add([word for word, _ in parsed], np.stack([vector for _, vector in parsed]))


def _parse_plain(lines: list[bytes], dimension: int) -> tuple[list[bytes], Array] | None:
    """Parse all lines at once; None unless each is a word and D numbers between single spaces."""
    fields = [line.partition(b" ") for line in lines]
    if any(rest.count(b" ") != dimension - 1 for _, _, rest in fields):
        return None
    text = b" ".join(rest for _, _, rest in fields)
    if not text or any(spaces in text for spaces in _ODD_SPACES):
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # older NumPy only warns about an invalid number
            numbers = np.fromstring(text, np.float32, sep=" ")
    except (ValueError, DeprecationWarning):
        return None
    if len(numbers) != len(fields) * dimension:
        return None
    return [word for word, _, _ in fields], numbers.reshape(-1, dimension)


def parse_line(line: bytes, dimension: int, where: str) -> tuple[bytes, Array]:
    """Split a line into its word and its numbers, which are the last D fields.

    Raises
    ------
    FormatError
        If the line does not have this form.
    """
    fields = line.rstrip(b"\r\n ").rsplit(b" ", dimension)
    if len(fields) != dimension + 1:
        raise FormatError(f"{where}: expected a word and {dimension} numbers.")
    try:
        with np.errstate(over="ignore"):  # rejected later as not finite
            vector = np.array(fields[1:], np.float32)
    except ValueError:
        raise FormatError(f"{where}: expected a word and {dimension} numbers.") from None
    return fields[0], vector


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
