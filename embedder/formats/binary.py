"""word2vec's binary format: a line "V D", then each word, a space and D little-endian float32."""

from pathlib import Path
from typing import IO

import numpy as np

from embedder.corpus import Source, open_source
from embedder.errors import FormatError
from embedder.formats.rows import ROWS_A_CHUNK, Rows, check_dimension, progress_bar
from embedder.formats.text import LONGEST_LINE, read_header
from embedder.storage import write_atomically
from embedder.vectors import WordVectors

_LONGEST_WORD = 10_000
_BYTES_A_READ = 1 << 20


def read(path: Path, progress: bool = False) -> WordVectors:
    """Read word2vec's binary format, which may be compressed.

    Raises
    ------
    FormatError
        If the file ends early or a word has no end, with the byte.
    """
    with open_source(Source(str(path), path)) as file:
        first = file.readline(LONGEST_LINE)
        header = read_header(first)
        if header is None:
            raise FormatError(f"{path}, line 1: expected a header 'V D'.")
        promised, dimension = header
        check_dimension(path, dimension)
        cut = f"ends within a vector; the header promises {promised:,} words of {dimension} numbers"
        with Rows(path, dimension, promised, progress, "vector") as rows:
            stream = _Stream(file, path, len(first))
            left = promised
            while left:
                words, chunk = [], bytearray()
                size = min(left, ROWS_A_CHUNK, max(1, _BYTES_A_READ // dimension))
                for _ in range(size):
                    words.append(stream.take_word().lstrip(b"\n"))
                    chunk += stream.take(4 * dimension, cut)
                rows.add(words, np.frombuffer(chunk, "<f4").reshape(size, dimension))
                left -= size
            return rows.finish()


class _Stream:
    """A file read in blocks and taken in pieces."""

    def __init__(self, file: IO[bytes], path: Path, offset: int) -> None:
        self._file = file
        self._path = path
        self._buffer = b""
        self._position = 0
        self._offset = offset  # of the buffer's first byte in the file

    def _refill(self, least: int) -> bool:
        """Read on until `least` bytes are there; say whether they are."""
        if len(self._buffer) - self._position < least:
            parts = [self._buffer[self._position :]]
            size = len(parts[0])
            self._offset += self._position
            self._position = 0
            while size < least and (data := self._file.read(_BYTES_A_READ)):
                parts.append(data)
                size += len(data)
            self._buffer = b"".join(parts)
        return len(self._buffer) - self._position >= least

    def _fail(self, what: str) -> FormatError:
        return FormatError(f"{self._path}, byte {self._offset + self._position:,}: {what}.")

    def take(self, size: int, otherwise: str) -> bytes:
        if not self._refill(size):
            raise self._fail(otherwise)
        self._position += size
        return self._buffer[self._position - size : self._position]

    def take_word(self) -> bytes:
        """Return what is before the next space, and pass over the space."""
        end = self._buffer.find(b" ", self._position, self._position + _LONGEST_WORD)
        if end < 0:
            self._refill(_LONGEST_WORD)
            end = self._buffer.find(b" ", self._position, self._position + _LONGEST_WORD)
            if end < 0:
                raise self._fail("no word followed by a space; cut off, or no such file")
        word = self._buffer[self._position : end]
        self._position = end + 1
        return word


def write(vectors: WordVectors, path: Path, progress: bool = False) -> None:
    """Write the format, with a newline after each vector as word2vec.c does."""

    def write_to(temporary: Path) -> None:
        with (
            temporary.open("wb") as file,
            progress_bar(len(vectors), progress, f"writing {path.name}") as bar,
        ):
            file.write(b"%d %d\n" % vectors.matrix.shape)
            for start in range(0, len(vectors), ROWS_A_CHUNK):
                words = vectors.vocabulary.words[start : start + ROWS_A_CHUNK]
                rows = vectors.matrix[start : start + ROWS_A_CHUNK].astype("<f4", copy=False)
                for word, row in zip(words, rows, strict=True):
                    file.write(word.encode() + b" " + row.tobytes() + b"\n")
                bar.update(len(words))

    write_atomically(path, write_to)
