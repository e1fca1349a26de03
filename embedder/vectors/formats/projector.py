"""TensorBoard's embedding projector: vectors in NAME.tsv, words in NAME.metadata.tsv.

https://projector.tensorflow.org and TensorBoard load such a pair. When reading, the words may also
be in metadata.tsv. As in the projector, metadata has a header row only if it has several columns.
"""

from itertools import islice
from pathlib import Path

import numpy as np

from embedder.arrays import Array
from embedder.errors import FormatError
from embedder.storage import write_atomically
from embedder.vectors.formats.npy import read_words_file
from embedder.vectors.formats.rows import ROWS_PER_CHUNK, VectorRows, check_dimension, progress_bar
from embedder.vectors.formats.text import MAX_LINE_BYTES, parse_line, text_rows
from embedder.vectors.word_vectors import WordVectors

_METADATA = ".metadata.tsv"


def read(path: Path, progress: bool = False) -> WordVectors:
    """Read the two files.

    Raises
    ------
    FormatError
        If the two do not match, or a line is not D numbers.
    """
    words = _words(path)
    with path.open("rb") as file:
        dimension = len(file.readline(MAX_LINE_BYTES).split())
        check_dimension(path, dimension)
        file.seek(0)
        lines = iter(lambda: file.readline(MAX_LINE_BYTES), b"")
        numbered = ((number, line) for number, line in enumerate(lines, 1) if line.strip())
        with VectorRows(path, dimension, len(words), progress) as rows:
            done = 0
            while chunk := list(islice(numbered, ROWS_PER_CHUNK)):
                names = words[done : done + len(chunk)]
                done += len(chunk)
                vectors = [_vector(line, dimension, f"{path}, line {n:,}") for n, line in chunk]
                if len(names) == len(chunk):
                    rows.add([name.encode() for name in names], np.stack(vectors))
            if done != len(words):
                raise FormatError(f"{path}: {done:,} vectors, but {len(words):,} words.")
            return rows.finish()


def _vector(line: bytes, dimension: int, where: str) -> Array:
    # With a dummy word in front, it is a line of the text format.
    return parse_line(b"w " + line.replace(b"\t", b" "), dimension, where)[1]


def _words(path: Path) -> list[str]:
    shared = path.with_name("metadata.tsv")
    has_own = path.with_suffix(_METADATA).exists() or not shared.exists()
    lines = read_words_file(path, _METADATA) if has_own else read_words_file(shared, ".tsv")
    if lines and "\t" in lines[0]:
        header = [name.lower() for name in lines[0].split("\t")]
        column = header.index("word") if "word" in header else 0
        return [line.split("\t")[column] if "\t" in line else line for line in lines[1:]]
    return lines


def write(vectors: WordVectors, path: Path, progress: bool = False) -> None:
    """Write the two files."""
    words = "".join(f"{word}\n" for word in vectors.vocabulary.words)
    write_atomically(path.with_suffix(_METADATA), words.encode())

    def write_to(temporary: Path) -> None:
        with (
            temporary.open("w", encoding="ascii", newline="\n") as file,
            progress_bar(len(vectors), progress, f"writing {path.name}") as bar,
        ):
            for words, numbers in text_rows(vectors, "\t"):
                file.writelines(f"{row}\n" for row in numbers)
                bar.update(len(words))

    write_atomically(path, write_to)
