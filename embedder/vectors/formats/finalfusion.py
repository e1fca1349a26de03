"""finalfusion (.fifu): chunks with a vocabulary, a matrix of unit vectors and their norms.

The format stores unit vectors and their norms separately, so a float32 read back may differ by one
unit in the last place. Subwords in a file are not read, which is reported.
Layout: https://finalfusion.github.io/spec
"""

import math
import struct
from pathlib import Path
from typing import IO

import numpy as np

from embedder.arrays import Array
from embedder.errors import FormatError
from embedder.storage import write_atomically
from embedder.vectors.formats.byte_reader import ByteReader
from embedder.vectors.formats.opening import InputFile
from embedder.vectors.formats.rows import ROWS_PER_CHUNK, VectorRows, check_dimension, progress_bar
from embedder.vectors.word_vectors import WordVectors

MAGIC = b"FiFu"
_SIMPLE_VOCAB, _NDARRAY, _BUCKET_VOCAB, _QUANTIZED, _METADATA, _NORMS = range(1, 7)
_FASTTEXT_VOCAB, _EXPLICIT_VOCAB, _FLORET_VOCAB = range(7, 10)
_VOCABULARIES = {
    # The fields between the number of words and the words.
    _SIMPLE_VOCAB: "",
    _BUCKET_VOCAB: "<III",
    _FASTTEXT_VOCAB: "<III",
    _EXPLICIT_VOCAB: "<QII",
}
_FLOAT32 = 10
_MAX_WORD_BYTES = 1 << 20


def read(source: InputFile, progress: bool = False) -> WordVectors:
    """Read words and vectors, scaled back to their original lengths.

    Raises
    ------
    FormatError
        If the file is damaged, or its vectors are quantised.
    """
    words: list[bytes] | None = None
    matrix = norms = None
    repairs: list[str] = []
    path, plain = source.path, source.plain
    size = plain.stat().st_size
    with plain.open("rb") as file:
        reader = ByteReader(file, path)
        if reader.read(4) != MAGIC:
            raise reader.fail("not a finalfusion file")
        version, chunks = reader.unpack("<II")
        if version != 0:
            raise reader.fail(f"unknown version {version}; expected 0")
        reader.read(4 * chunks)
        while reader.position < size:
            kind, length = reader.unpack("<IQ")
            end = reader.position + length
            if end > size:
                raise reader.fail("the file ends early")
            if kind in _VOCABULARIES:
                words = _read_words(reader, kind)
                if kind != _SIMPLE_VOCAB:
                    repairs.append("its subwords were not read")
            elif kind == _NDARRAY:
                matrix = _map_floats(reader, "<QI", plain, end)
            elif kind == _NORMS:
                norms = _map_floats(reader, "<Q", plain, end)
            elif kind in (_QUANTIZED, _FLORET_VOCAB):
                raise reader.fail("quantised vectors and floret subwords cannot be read")
            elif kind != _METADATA:
                raise reader.fail(f"unknown chunk type {kind}")
            reader.seek(end)
    if words is None or matrix is None:
        raise FormatError(f"{path}: words or vectors are missing.")
    # Rows after those of the words belong to n-grams.
    if len(words) != min(len(matrix), len(words) if repairs else len(matrix)):
        raise FormatError(f"{path}: {len(words):,} words, but {len(matrix):,} vectors.")
    if norms is not None and len(norms) < len(words):
        raise FormatError(f"{path}: {len(words):,} words, but {len(norms):,} norms.")
    check_dimension(path, matrix.shape[1], "")
    with VectorRows(path, matrix.shape[1], progress=progress) as rows:
        for start in range(0, len(words), ROWS_PER_CHUNK):
            stop = min(start + ROWS_PER_CHUNK, len(words))
            chunk = np.asarray(matrix[start:stop])
            if norms is not None:
                with np.errstate(over="ignore", invalid="ignore"):  # rejected below as not finite
                    chunk = chunk * norms[start:stop, None]
            rows.add(words[start:stop], chunk)
        found = rows.finish()
    return WordVectors(found.vocabulary, found.matrix, (*found.repairs, *repairs))


def _read_words(reader: ByteReader, kind: int) -> list[bytes]:
    (count,) = reader.unpack("<Q")
    reader.unpack(_VOCABULARIES[kind])
    words = []
    for _ in range(count):
        (length,) = reader.unpack("<I")
        if length > _MAX_WORD_BYTES:
            raise reader.fail(f"a word of {length:,} bytes; expected at most {_MAX_WORD_BYTES:,}")
        words.append(reader.read(length))
    return words


def _map_floats(reader: ByteReader, layout: str, path: Path, end: int) -> Array:
    """Map the float32 array of a chunk that ends at `end`; 1 to 4 bytes of padding precede it."""
    shape = reader.unpack(layout)
    (kind,) = reader.unpack("<I")
    if kind != _FLOAT32:
        raise reader.fail(f"numbers of type {kind}; only float32 ({_FLOAT32}) can be read")
    start = reader.position + 4 - reader.position % 4
    if start + 4 * math.prod(shape) > end:
        raise reader.fail("the chunk ends within its numbers")
    return np.memmap(path, "<f4", "r", start, shape)


def write(vectors: WordVectors, path: Path, progress: bool = False) -> None:
    """Write unit vectors and norms; a zero vector stays zero, with norm 0."""
    words = [word.encode() for word in vectors.vocabulary.words]
    V, D = vectors.matrix.shape
    norms = np.empty(V, "<f4")

    def write_to(temporary: Path) -> None:
        with (
            temporary.open("wb") as file,
            progress_bar(V, progress, f"writing {path.name}") as bar,
        ):
            chunks = (_SIMPLE_VOCAB, _NDARRAY, _NORMS)
            file.write(MAGIC + struct.pack(f"<II{len(chunks)}I", 0, len(chunks), *chunks))
            size = 8 + sum(4 + len(word) for word in words)
            file.write(struct.pack("<IQQ", _SIMPLE_VOCAB, size, V))
            for word in words:
                file.write(struct.pack("<I", len(word)) + word)
            _begin_floats(file, _NDARRAY, struct.pack("<QI", V, D), 4 * V * D)
            for start in range(0, V, ROWS_PER_CHUNK):
                rows = np.asarray(vectors.matrix[start : start + ROWS_PER_CHUNK], np.float64)
                lengths = np.linalg.norm(rows, axis=1)
                norms[start : start + ROWS_PER_CHUNK] = lengths
                rows /= np.where(lengths > 0, lengths, 1)[:, None]
                file.write(rows.astype("<f4").tobytes())
                bar.update(len(rows))
            _begin_floats(file, _NORMS, struct.pack("<Q", V), 4 * V)
            file.write(norms.tobytes())

    write_atomically(path, write_to)


def _begin_floats(file: IO[bytes], kind: int, shape: bytes, size: int) -> None:
    """Write a chunk's header, including the padding before its float32 array."""
    file.write(struct.pack("<I", kind))
    padding = 4 - file.tell() % 4
    file.write(struct.pack("<Q", len(shape) + 4 + padding + size))
    file.write(shape + struct.pack("<I", _FLOAT32) + bytes(padding))
