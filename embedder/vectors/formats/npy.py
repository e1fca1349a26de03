"""A NumPy matrix (V, D) in NAME.npy and its words, one per line, in NAME.vocab.txt."""

import warnings
from pathlib import Path
from tokenize import TokenError

import numpy as np

from embedder.errors import FormatError
from embedder.storage import write_atomically
from embedder.vectors.formats.opening import InputFile
from embedder.vectors.formats.rows import gather
from embedder.vectors.word_vectors import WordVectors


def read_words_file(names: Path, of: Path) -> list[str]:
    """Return the lines of a file that has the words of another.

    Raises
    ------
    FormatError
        If the file is missing or not UTF-8.
    """
    try:
        lines = names.read_bytes().decode("utf-8").removeprefix("\ufeff").split("\n")
    except FileNotFoundError:
        raise FormatError(f"{names}: no such file; expected the words of {of}.") from None
    except UnicodeDecodeError as error:
        raise FormatError(f"{names}, byte {error.start:,}: not UTF-8.") from None
    return [line.rstrip("\r") for line in (lines[:-1] if lines[-1] == "" else lines)]


def read(file: InputFile, progress: bool = False) -> WordVectors:
    """Read the two files; float32 is mapped from its file, not copied.

    Raises
    ------
    FormatError
        If a file is damaged, or the two do not match.
    """
    path = file.path
    try:
        # Not np.load, which would also open archives.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about headers written by Python 2
            matrix = np.lib.format.open_memmap(file.plain, "r")
    except (ValueError, EOFError, SyntaxError, TokenError) as error:
        raise FormatError(f"{path}: not a matrix in NumPy's format ({error}).") from None
    left = file.plain.stat().st_size - matrix.offset - matrix.nbytes
    if left:
        raise FormatError(f"{path}: {left:,} bytes are left after the matrix; the file is damaged.")
    return gather(path, read_words_file(file.beside(".vocab.txt"), path), matrix, progress)


def write(vectors: WordVectors, path: Path, progress: bool = False, dtype: str = "float32") -> None:
    """Write the two files."""
    words = "".join(f"{word}\n" for word in vectors.vocabulary.words)
    write_atomically(path.with_suffix(".vocab.txt"), words.encode())

    def write_to(temporary: Path) -> None:
        with temporary.open("wb") as file:  # np.save would append .npy to a path
            np.save(file, np.ascontiguousarray(vectors.matrix, dtype), allow_pickle=False)

    write_atomically(path, write_to)
