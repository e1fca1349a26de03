"""word2vec's binary format: a line "V D", then each word, a space and D little-endian float32."""

from pathlib import Path

import numpy as np

from embedder.errors import FormatError
from embedder.storage import write_atomically
from embedder.text.sources import Source, open_source
from embedder.vectors.formats.rows import ROWS_A_CHUNK, Rows, check_dimension, progress_bar
from embedder.vectors.formats.stream import Stream
from embedder.vectors.formats.text import LONGEST_LINE, read_header
from embedder.vectors.word_vectors import WordVectors

_LONGEST_WORD = 10_000


_BYTES_A_CHUNK = 1 << 20


_NO_WORD = "no word followed by a space; cut off, or no such file"


def read(path: Path, progress: bool = False) -> WordVectors:
    """Read word2vec's binary format, which may be compressed.

    Raises
    ------
    FormatError
        If the file ends early or a word has no end, with the byte.
    """
    with open_source(Source(str(path), path)) as file:
        stream = Stream(file, path)
        first = stream.take_until(b"\n", LONGEST_LINE, "no line 'V D' to begin with")
        header = read_header(first)
        if header is None:
            raise FormatError(f"{path}, line 1: expected a header 'V D'.")
        promised, dimension = header
        check_dimension(path, dimension)
        cut = f"ends within a vector; the header promises {promised:,} words of {dimension} numbers"
        with Rows(path, dimension, promised, progress, "vector") as rows:
            left = promised
            while left:
                words, chunk = [], bytearray()
                size = min(left, ROWS_A_CHUNK, max(1, _BYTES_A_CHUNK // dimension))
                for _ in range(size):
                    words.append(stream.take_until(b" ", _LONGEST_WORD, _NO_WORD).lstrip(b"\n"))
                    chunk += stream.take(4 * dimension, cut)
                rows.add(words, np.frombuffer(chunk, "<f4").reshape(size, dimension))
                left -= size
            return rows.finish()


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
