"""TensorBoard's embedding projector: vectors in NAME.tsv, words in NAME.metadata.tsv.

https://projector.tensorflow.org and TensorBoard load such a pair. When reading, the words may also
be in metadata.tsv. As in the projector, metadata has a header row only if it has several columns.
"""

from pathlib import Path

import numpy as np

from embedder.arrays import Array
from embedder.errors import FormatError
from embedder.storage import write_atomically
from embedder.vectors.formats.complaints import is_float, quoted
from embedder.vectors.formats.npy import read_words_file
from embedder.vectors.formats.opening import InputFile
from embedder.vectors.formats.rows import VectorRows, check_dimension, progress_bar
from embedder.vectors.formats.text import (
    numbered_lines,
    parse_numbers,
    split_lines,
    text_rows,
)
from embedder.vectors.word_vectors import WordVectors

_METADATA, _SHARED = ".metadata.tsv", "metadata.tsv"


def has_metadata(file: InputFile) -> bool:
    """Return whether a .tsv file has words in another file."""
    names = file.beside(_METADATA), file.path.with_name(_SHARED)
    return file.suffix == ".tsv" and any(name.exists() for name in names)


def read(file: InputFile, progress: bool = False) -> WordVectors:
    """Read the two files.

    Raises
    ------
    FormatError
        If the two do not match, or a line is not D numbers.
    """
    path, words = file.path, _words(file)
    dimension = len(next((line for line in split_lines(file.head) if line.strip()), b"").split())
    check_dimension(path, dimension)
    done = 0
    with (
        file.open() as stream,
        VectorRows(path, dimension, (len(words), dimension), progress, "line") as rows,
    ):
        for number, lines in numbered_lines(stream, path):
            filled = [(n, line) for n, line in enumerate(lines, number) if line.strip()]
            names = words[done : done + len(filled)]
            done += len(filled)
            vectors = [_vector(line, dimension, f"{path}, line {n:,}") for n, line in filled]
            if vectors and len(names) == len(filled):
                encoded = [name.encode() for name in names]
                rows.add(encoded, np.stack(vectors), [n for n, _ in filled])
        if done != len(words):
            raise FormatError(f"{path}: {done:,} vectors, but {len(words):,} words.")
        return rows.finish()


def _vector(line: bytes, dimension: int, where: str) -> Array:
    fields = line.split()
    vector = parse_numbers(b" ".join(fields), dimension) if len(fields) == dimension else None
    if vector is None or not all(map(is_float, fields)):
        raise FormatError(f"{where}: expected {dimension} numbers: {quoted(line)}.")
    return vector


def _words(file: InputFile) -> list[str]:
    own, shared = file.beside(_METADATA), file.path.with_name(_SHARED)
    lines = read_words_file(own if own.exists() or not shared.exists() else shared, file.path)
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
