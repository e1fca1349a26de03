"""word2vec's binary format: a line "V D", then each word, a space and D little-endian float32."""

from pathlib import Path

import numpy as np

from embedder.errors import FormatError
from embedder.storage import write_atomically
from embedder.text.sources import Source, open_source
from embedder.vectors.formats.byte_reader import ByteReader
from embedder.vectors.formats.rows import ROWS_PER_CHUNK, VectorRows, check_dimension, progress_bar
from embedder.vectors.formats.text import MAX_LINE_BYTES, read_header
from embedder.vectors.word_vectors import WordVectors

_MAX_WORD_BYTES = 10_000
_BYTES_PER_CHUNK = 1 << 20
_NO_WORD = "no word followed by a space; the file is truncated, or of another format"


def read(path: Path, progress: bool = False) -> WordVectors:
    """Read word2vec's binary format, which may be compressed.

    Raises
    ------
    FormatError
        If the file or a word is truncated; the message states the byte.
    """
    with open_source(Source(str(path), path)) as file:
        reader = ByteReader(file, path)
        first = reader.read_until(b"\n", MAX_LINE_BYTES, "expected a first line 'V D'")
        header = read_header(first)
        if header is None:
            raise FormatError(f"{path}, line 1: expected a header 'V D'.")
        declared, dimension = header
        check_dimension(path, dimension)
        cut = (
            f"the file ends within a vector; the header declares {declared:,} words with "
            f"{dimension} dimensions"
        )
        with VectorRows(path, dimension, declared, progress, "vector") as rows:
            left = declared
            while left:
                words, chunk = [], bytearray()
                size = min(left, ROWS_PER_CHUNK, max(1, _BYTES_PER_CHUNK // dimension))
                for _ in range(size):
                    words.append(reader.read_until(b" ", _MAX_WORD_BYTES, _NO_WORD).lstrip(b"\n"))
                    chunk += reader.read(4 * dimension, cut)
                rows.add(words, np.frombuffer(chunk, "<f4").reshape(size, dimension))
                left -= size
            return rows.finish()


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
