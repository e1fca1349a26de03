"""Word vectors from files of other programs.

    word2vec, .vec   "V D", then on each line a word and D numbers (fastText's .vec is the same)
    binary           "V D", then each word, a space and D little-endian float32
    GloVe            the lines without the first one
    .npy             a matrix (V, D) beside NAME.vocab.txt, a word a line

Files are strangers: a header may claim anything, so memory grows with what was read and not with
what was claimed; what cannot be understood is an error that names the line or byte. Three things
are repaired and reported in `WordVectors.repairs`: bytes that are not UTF-8 are replaced, of a word
that stands twice the first vector is kept, and where header and rows differ the rows are believed.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Literal, NamedTuple

import numpy as np

from embedder.arrays import Array
from embedder.config import VectorKind
from embedder.corpus import Source, faults_named, open_source
from embedder.errors import FormatError
from embedder.vectors import WordVectors, load_vectors
from embedder.vocabulary import Vocabulary

Format = Literal["run", "word2vec", "word2vec-binary", "glove", "npy"]
_ROWS_A_CHUNK = 4096
_LONGEST_WORD = 10_000
_LARGEST_DIMENSION = 100_000
_LONGEST_LINE = 1 << 24


class _Row(NamedTuple):
    word: bytes
    vector: Array


def load(path: str | Path, kind: VectorKind | None = None) -> WordVectors:
    """Read word vectors: a run's folder, or a file of another program, which may be compressed.

    Parameters
    ----------
    path
        The folder or file; what it is, is found out.
    kind
        Which vectors of a run.

    Raises
    ------
    RunError
        If a run is missing, unfinished or damaged.
    FormatError
        If a file cannot be understood, with the line or byte.
    CorpusError
        If it cannot be read, or is damaged where it is compressed.
    """
    path = Path(path)
    if path.is_dir() or not path.exists():
        return load_vectors(path, kind)
    if kind is not None:
        raise FormatError(f"{path}: --vectors is for runs; this file has one kind of vectors.")
    readers: dict[str, Callable[[Path], WordVectors]] = {
        "word2vec": _read_text,
        "glove": _read_text,
        "word2vec-binary": _read_binary,
        "npy": _read_npy,
    }
    with faults_named(Source(str(path), path)):
        return readers[detect(path)](path)


def detect(path: Path) -> Format:
    """Return what kind of vectors a path holds.

    Raises
    ------
    FormatError
        If a file is none of them.
    """
    if path.is_dir():
        return "run"
    if path.suffix == ".npy":
        return "npy"
    with _open(path) as file:
        first = file.readline(_LONGEST_LINE)
        header = _header(first)
        if header is None:
            if len(first.split()) < 2:
                raise FormatError(
                    f"{path}, line 1: neither a header 'V D' nor a word and its numbers."
                )
            return "glove"
        second = file.readline(_LONGEST_LINE)
    try:
        _parse_line(second, header[1], "")
    except FormatError:
        return "word2vec-binary" if b"\0" in second or not _is_text(second) else "word2vec"
    return "word2vec"


def _is_text(line: bytes) -> bool:
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _open(path: Path) -> IO[bytes]:
    return open_source(Source(str(path), path))


def _header(line: bytes) -> tuple[int, int] | None:
    """Return V and D of a first line that is nothing but two whole numbers."""
    fields = line.split()
    if len(fields) != 2 or not all(field.isdigit() for field in fields):
        return None
    return int(fields[0]), int(fields[1])


def _parse_line(line: bytes, dimension: int, where: str) -> _Row:
    """Take a line apart: the last D fields are numbers, what is before them is the word."""
    fields = line.rstrip(b"\r\n ").rsplit(b" ", dimension)
    if len(fields) != dimension + 1:
        raise FormatError(f"{where}: expected a word and {dimension} numbers.")
    try:
        vector = np.array(fields[1:], np.float32)
    except ValueError:
        raise FormatError(f"{where}: expected a word and {dimension} numbers.") from None
    return _Row(fields[0], vector)


def _read_text(path: Path) -> WordVectors:
    with _open(path) as file:
        first = file.readline(_LONGEST_LINE)
        header = _header(first)
        # Without a header the first line tells the dimension: all its fields but the word.
        dimension = header[1] if header else len(first.rstrip(b"\r\n ").split(b" ")) - 1
        _check_dimension(path, dimension)

        def rows() -> Iterator[_Row]:
            number = 1
            if header is None:
                yield _parse_line(first, dimension, f"{path}, line 1")
            while line := file.readline(_LONGEST_LINE):
                number += 1
                if line.strip():
                    yield _parse_line(line, dimension, f"{path}, line {number:,}")

        return _collect(path, rows(), dimension, header and header[0], "row")


def _read_binary(path: Path) -> WordVectors:
    with _open(path) as file:
        first = file.readline(_LONGEST_LINE)
        header = _header(first)
        assert header is not None  # `detect` has seen it
        count, dimension = header
        _check_dimension(path, dimension)

        def rows() -> Iterator[_Row]:
            offset = len(first)
            for _ in range(count):
                word = _read_word(file, f"{path}, byte {offset:,}")
                offset += len(word) + 1
                data = file.read(4 * dimension)
                if len(data) < 4 * dimension:
                    raise FormatError(
                        f"{path}, byte {offset:,}: ends within a vector; the header promises "
                        f"{count:,} words of {dimension} numbers."
                    )
                offset += len(data)
                yield _Row(word.lstrip(b"\n"), np.frombuffer(data, "<f4"))

        return _collect(path, rows(), dimension, count, "vector")


def _read_word(file: IO[bytes], where: str) -> bytes:
    """Read up to a space, which is taken as well."""
    word = bytearray()
    while (byte := file.read(1)) != b" ":
        if not byte or len(word) > _LONGEST_WORD:
            raise FormatError(f"{where}: no word followed by a space; cut off, or no such file.")
        word += byte
    return bytes(word)


def _check_dimension(path: Path, dimension: int) -> None:
    if not 0 < dimension <= _LARGEST_DIMENSION:
        raise FormatError(
            f"{path}, line 1: vectors of {dimension:,} numbers; expected 1 to "
            f"{_LARGEST_DIMENSION:,}."
        )


def _collect(
    path: Path, rows: Iterator[_Row], dimension: int, promised: int | None, what: str
) -> WordVectors:
    words: dict[str, None] = {}
    chunks: list[Array] = []
    chunk = np.empty((_ROWS_A_CHUNK, dimension), np.float32)
    used = read = replaced = twice = 0
    for row in rows:
        read += 1
        try:
            word = row.word.decode("utf-8")
        except UnicodeDecodeError:
            word = row.word.decode("utf-8", "replace")
            replaced += 1
        if not np.isfinite(row.vector).all():
            raise FormatError(f"{path}, {what} {read:,} ('{word}'): a number is not finite.")
        if word in words:
            twice += 1
            continue
        words[word] = None
        if used == len(chunk):
            chunks.append(chunk)
            chunk = np.empty_like(chunk)
            used = 0
        chunk[used] = row.vector
        used += 1
    if not words:
        raise FormatError(f"{path}: has no vectors.")
    repairs = []
    if promised is not None and promised != read:
        repairs.append(f"the header promises {promised:,} words, {read:,} are there")
    if replaced:
        repairs.append(f"{replaced:,} words are not UTF-8; their wrong bytes were replaced")
    if twice:
        repairs.append(f"{twice:,} words stand twice; their first vectors were kept")
    matrix = np.concatenate([*chunks, chunk[:used]])
    vocabulary = Vocabulary(list(words), np.zeros(len(words), np.int64))
    return WordVectors(vocabulary, matrix, tuple(repairs))


def _read_npy(path: Path) -> WordVectors:
    names = path.with_suffix(".vocab.txt")
    try:
        matrix = np.load(path, mmap_mode="r", allow_pickle=False)
        words = names.read_bytes().decode("utf-8").split("\n")
    except FileNotFoundError:
        raise FormatError(f"{names}: no such file; {path} needs its words there.") from None
    except (OSError, ValueError) as error:
        raise FormatError(f"{path}: no matrix and words in UTF-8 ({error}).") from None
    words = [word.rstrip("\r") for word in (words[:-1] if words[-1] == "" else words)]
    if matrix.ndim != 2 or matrix.dtype != np.float32 or len(matrix) != len(words):
        raise FormatError(
            f"{path}: a matrix {matrix.shape} of {matrix.dtype}; expected float32 with a row for "
            f"each of the {len(words):,} words of {names.name}."
        )
    if len(set(words)) != len(words):
        raise FormatError(f"{names}: a word stands twice.")
    if not all(
        np.isfinite(matrix[start : start + _ROWS_A_CHUNK]).all()
        for start in range(0, len(matrix), _ROWS_A_CHUNK)
    ):
        raise FormatError(f"{path}: holds numbers that are not finite.")
    return WordVectors(Vocabulary(words, np.zeros(len(words), np.int64)), matrix)
