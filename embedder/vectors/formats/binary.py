"""word2vec's binary format: a line "V D", then each word, a space and D little-endian float32.

Nothing but a newline that some programs write separates a row from the next, so every byte is
accounted for: a row too many or too few, a space in a word or numbers of float64 would otherwise
yield other words and numbers than were written.
"""

import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from embedder.arrays import Array
from embedder.errors import FormatError
from embedder.storage import write_atomically
from embedder.vectors.formats.byte_reader import ByteReader
from embedder.vectors.formats.opening import InputFile
from embedder.vectors.formats.rows import ROWS_PER_CHUNK, VectorRows, check_dimension, progress_bar
from embedder.vectors.formats.text import MAX_LINE_BYTES, read_header
from embedder.vectors.word_vectors import WordVectors

Dtype: TypeAlias = "np.dtype[np.floating[Any]]"
_TYPES: tuple[Dtype, ...] = (np.dtype("<f4"), np.dtype("<f8"))
_MAX_WORD_BYTES = 10_000
_BYTES_PER_CHUNK = 1 << 20
_ROWS_TRIED = 1000
_LONGEST_REST = 100
"""How many bytes of a word may follow its first space."""
_BITS = 10
"""How much more than twice another range of exponents that of misread bytes is."""
_CONTROL = re.compile(r"[\0-\x1f]")
_NO_WORD = "no word followed by a space; the file is truncated, or of another format"


def read(file: InputFile, progress: bool = False) -> WordVectors:
    """Read word2vec's binary format.

    Raises
    ------
    FormatError
        If the file or a word is truncated, or bytes are left over; the message states the byte.
    """
    path = file.path
    with file.open() as stream:
        reader = ByteReader(stream, path)
        first = reader.read_until(b"\n", MAX_LINE_BYTES, "expected a first line 'V D'")
        declared = read_header(first)
        if declared is None:
            raise FormatError(f"{path}, line 1: expected a header 'V D', two whole numbers.")
        dimension = declared[1]
        check_dimension(path, dimension)
        source = _Rows(reader, declared, _number_type(file, len(first) + 1, declared))
        remaining = iter(source)
        size = min(ROWS_PER_CHUNK, max(1, _BYTES_PER_CHUNK // dimension))
        with VectorRows(path, dimension, declared, progress, "vector") as rows:
            while some := list(islice(remaining, size)):
                rows.add([word for word, _ in some], source.matrix([row for _, row in some]))
            return rows.finish(source.repairs())


def fits(file: InputFile) -> bool:
    """Return whether a file is words and vectors up to its end, or as far as its head reaches."""
    first, newline, _ = file.head.partition(b"\n")
    declared = read_header(first)
    if not newline or declared is None or declared[1] < 1:
        return False
    return any(_fits(file, len(first) + 1, declared, dtype) for dtype in _TYPES)


def _number_type(file: InputFile, start: int, declared: tuple[int, int]) -> Dtype:
    """Return the first type whose rows follow each other without a gap, by default float32.

    gensim writes and reads float64 if told so.
    """
    return next((kind for kind in _TYPES if _fits(file, start, declared, kind)), _TYPES[0])


def _fits(file: InputFile, start: int, declared: tuple[int, int], dtype: Dtype) -> bool:
    head, (rows, dimension) = file.head, declared
    for _ in range(min(rows, _ROWS_TRIED)):
        space = head.find(b" ", start, start + _MAX_WORD_BYTES)
        if space < 0:
            return not file.is_in_head and len(head) - start < _MAX_WORD_BYTES
        if not _is_clean(head[start:space]):
            return False
        start = space + 1 + dtype.itemsize * dimension
        if start > len(head):
            return not file.is_in_head
    return rows > _ROWS_TRIED or not file.is_in_head or not head[start:].strip(b"\r\n")


def _is_clean(word: bytes) -> bool:
    """Return whether bytes are text without control characters, but for newlines before it."""
    try:
        return _CONTROL.search(word.lstrip(b"\n").decode("utf-8")) is None
    except UnicodeDecodeError:
        return False


def _spread(vector: bytes, dtype: Dtype) -> float:
    """Return the range of the numbers' binary exponents; that of misread bytes is wide."""
    sizes = np.abs(np.frombuffer(vector, dtype))
    sizes = sizes[sizes != 0]
    if not np.isfinite(sizes).all():
        return np.inf
    return float(np.ptp(np.frexp(sizes)[1])) if len(sizes) else 0.0


class _Rows:
    """The words of a file and the bytes of their vectors.

    Read naively, a word ends at its first space, and its vector begins with the rest of the word;
    the vector's own end is then before the next word.
    """

    def __init__(self, reader: ByteReader, declared: tuple[int, int], dtype: Dtype) -> None:
        self._reader = reader
        self._declared = declared[0]
        self._dtype = dtype
        self._size = declared[1] * dtype.itemsize
        self._cut = (
            f"the file ends within a vector; the header declares {declared[0]:,} words with "
            f"{declared[1]} dimensions"
        )
        self._spaced = 0

    def __iter__(self) -> Iterator[tuple[bytes, bytes]]:
        number = 0
        while (word := self._next_word(number)) is not None:
            vector = self._reader.read(self._size, self._cut)
            space = vector.find(b" ", 0, _LONGEST_REST)
            if space >= 0 and (rest := self._rest_of_word(vector, space)):
                self._spaced += 1
                word += b" " + vector[: rest - 1]
                vector = vector[rest:] + self._reader.read(rest)
            yield word.lstrip(b"\n"), vector
            number += 1

    def matrix(self, vectors: list[bytes]) -> Array:
        """Return the numbers of rows, (n, D) float32."""
        numbers = np.frombuffer(b"".join(vectors), self._dtype)
        with np.errstate(over="ignore"):  # rejected later as not finite
            return numbers.reshape(len(vectors), -1).astype("<f4", copy=False)

    def repairs(self) -> list[str]:
        """Return what was odd about the rows."""
        found = [f"{self._spaced:,} words contain spaces"] if self._spaced else []
        if self._dtype.itemsize > 4:
            found.append("its numbers are float64 and were rounded to float32")
        return found

    def _next_word(self, number: int) -> bytes | None:
        """Return the word after a number of rows; None at the end.

        Raises
        ------
        FormatError
            For bytes that are neither.
        """
        word = self._reader.find(b" ", _MAX_WORD_BYTES)
        if number < self._declared:
            if word is None:
                raise self._reader.fail(_NO_WORD)
            if b"\0" not in word:
                return word
        elif word is None and not self._reader.peek(_MAX_WORD_BYTES).strip(b"\r\n"):
            return None
        elif word is not None and _is_clean(word):
            return word
        raise self._reader.fail(
            f"what follows vector {number:,} is no word and its numbers; the header declares "
            f"{self._declared:,} words, some of which may contain spaces, or its D is wrong"
        )

    def _rest_of_word(self, vector: bytes, space: int) -> int:
        """Return how many bytes of a vector belong to its word; 0 unless the word has a space.

        Parameters
        ----------
        vector
            The bytes after the word's first space.
        space
            Where the first space is among them.
        """
        if not _is_clean(vector[:space]):
            return 0
        ahead = self._reader.peek(_MAX_WORD_BYTES)
        while 0 <= space < len(ahead) and _is_clean(vector[:space]):
            size = space + 1
            following = ahead[size:].partition(b" ")[0]
            shifted = vector[size:] + ahead[:size]
            if _is_clean(following) and self._is_better(shifted, vector, ahead):
                return size
            space = vector.find(b" ", size, _LONGEST_REST)
        return 0

    def _is_better(self, shifted: bytes, vector: bytes, ahead: bytes) -> bool:
        """Return whether shifted bytes rather than a vector are the numbers of a row."""
        one, other = _spread(shifted, self._dtype), _spread(vector, self._dtype)
        if _is_clean(ahead.partition(b" ")[0]):
            return 2 * one + _BITS < other
        # The end of a vector before the next word is hardly ever text.
        return one <= other and len(vector) > self._dtype.itemsize


def write(vectors: WordVectors, path: Path, progress: bool = False) -> None:
    """Write word2vec's binary format, with a newline after each vector, as word2vec.c does."""

    def write_to(temporary: Path) -> None:
        with (
            temporary.open("wb") as file,
            progress_bar(len(vectors), progress, f"writing {path.name}") as bar,
        ):
            file.write(b"%d %d\n" % vectors.matrix.shape)
            for start in range(0, len(vectors), ROWS_PER_CHUNK):
                words = vectors.vocabulary.words[start : start + ROWS_PER_CHUNK]
                rows = vectors.matrix[start : start + ROWS_PER_CHUNK].astype("<f4", copy=False)
                for word, row in zip(words, rows, strict=True):
                    file.write(word.encode() + b" " + row.tobytes() + b"\n")
                bar.update(len(words))

    write_atomically(path, write_to)
