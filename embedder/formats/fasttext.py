"""fastText's .bin: settings, dictionary, the rows of words and n-gram buckets, output weights.

Only what makes vectors is read: words, their counts and the input rows, which are mapped and not
copied. Quantised models (.ftz) are refused. What is written has no output weights: it answers for
words and n-grams, and cannot be trained on. Layout: fastText's src/fasttext.cc, args.cc,
dictionary.cc and densematrix.cc, version 12, and what gensim makes of them.
"""

import struct
import tempfile
from pathlib import Path
from typing import IO

import numpy as np

from embedder.errors import FormatError
from embedder.formats.rows import ROWS_A_CHUNK, check_dimension, gather, progress_bar
from embedder.storage import write_atomically
from embedder.subwords import Subwords
from embedder.vectors import WordVectors

MAGIC = struct.pack("<i", 793712314)
_VERSION = 12
_SETTINGS = "<12id"  # dim ws epoch minCount neg wordNgrams loss model bucket minn maxn rate t
_SKIPGRAM, _NEGATIVE_SAMPLING = 2, 2
_DICTIONARY = "<iiiqq"  # entries, words, labels, tokens, pruned n-grams (-1: not pruned)
_LONGEST_WORD = 1 << 20


class _Reader:
    def __init__(self, file: IO[bytes], path: Path) -> None:
        self._file = file
        self._path = path
        self.size = path.stat().st_size

    def fail(self, what: str) -> FormatError:
        return FormatError(f"{self._path}, byte {self._file.tell():,}: {what}.")

    def take(self, layout: str) -> tuple[int, ...]:
        size = struct.calcsize(layout)
        data = self._file.read(size)
        if len(data) < size:
            raise self.fail("the file ends early")
        return struct.unpack(layout, data)


def read(path: Path, progress: bool = False) -> WordVectors:
    """Read a model's words and n-gram buckets.

    Raises
    ------
    FormatError
        If the file is damaged, of another version, or quantised.
    """
    with path.open("rb") as file:
        reader = _Reader(file, path)
        if file.read(4) != MAGIC:
            raise reader.fail("not the format of fastText 0.1 and later")
        (version,) = reader.take("<i")
        if version not in (11, 12):
            raise reader.fail(f"version {version} is not known, only 11 and 12")
        settings = reader.take(_SETTINGS)
        dimension, buckets, min_n, max_n = settings[0], *settings[8:11]
        supervised = settings[7] == 3
        if version == 11 and supervised:
            max_n = 0  # of that version, as fastText does
        check_dimension(path, dimension, "")
        words, counts, entries = _read_dictionary(reader, file)
        (quantised,) = reader.take("<?")
        if quantised:
            raise reader.fail("a quantised model; only those that are not can be read")
        height, width = reader.take("<qq")
        start = file.tell()
    buckets = buckets if max_n > 0 else 0
    if width != dimension or height < entries or not 0 <= min_n <= max(max_n, min_n):
        raise FormatError(f"{path}: {height:,} rows of {width:,} numbers do not fit its settings.")
    if 4 * height * width > reader.size - start:
        raise FormatError(f"{path}, byte {start:,}: the file ends within its vectors.")
    if height < len(words) + buckets:
        raise FormatError(f"{path}: {height:,} rows for {len(words):,} words, {buckets:,} buckets.")
    rows = np.memmap(path, "<f4", "r", start, (height, width))[: len(words) + buckets]
    return _compose(path, words, counts, Subwords(rows, min_n, max_n, buckets), progress)


def _read_dictionary(reader: _Reader, file: IO[bytes]) -> tuple[list[str], list[int], int]:
    """Return words, counts, and how many entries there are (with labels)."""
    entries, expected, _, _, pruned = reader.take(_DICTIONARY)
    if not 0 <= expected <= entries or 10 * entries > reader.size:
        raise reader.fail(f"{entries:,} entries of which {expected:,} are words cannot be")
    if pruned > 0:
        raise reader.fail("a pruned model; only those that are not can be read")
    words: list[str] = []
    counts: list[int] = []
    for _ in range(entries):
        word = bytearray()
        while (byte := file.read(1)) != b"\0":
            if not byte or len(word) > _LONGEST_WORD:
                raise reader.fail("a word without an end")
            word += byte
        count, kind = reader.take("<qb")
        if kind == 0:
            try:
                words.append(word.decode("utf-8"))
            except UnicodeDecodeError:
                raise reader.fail(f"the word {bytes(word)!r} is not UTF-8") from None
            counts.append(count)
    if len(words) != expected or len(set(words)) != len(words):
        raise reader.fail(f"{expected:,} different words were promised")
    return words, counts, entries


def _compose(
    path: Path, words: list[str], counts: list[int], subwords: Subwords, progress: bool
) -> WordVectors:
    known = np.array(counts, np.int64)
    if not subwords.buckets:
        return gather(path, words, subwords.rows, progress, known)
    # Rows of n-grams that no word has are checked here: they are a new word's vector one day.
    for start in range(0, len(subwords.rows), ROWS_A_CHUNK):
        if not np.isfinite(subwords.rows[start : start + ROWS_A_CHUNK]).all():
            raise FormatError(f"{path}: among its rows is a number that is not finite.")
    with tempfile.TemporaryFile() as file:  # the map of it stays
        matrix = np.memmap(file, "<f4", "w+", shape=(len(words), subwords.rows.shape[1]))
    subwords.compose(words, matrix)
    return gather(path, words, matrix, progress, known, subwords)


def write(vectors: WordVectors, path: Path, progress: bool = False) -> None:
    """Write a model of these words, and of their n-grams if the vectors have some."""
    V, D = vectors.matrix.shape
    subwords = vectors.subwords or Subwords(vectors.matrix, 0, 0, 0)
    counts = np.maximum(vectors.vocabulary.counts, 1)
    settings = [D, 5, 1, 1, 5, 1, _NEGATIVE_SAMPLING, _SKIPGRAM]
    settings += [subwords.buckets, subwords.min_n, subwords.max_n, 100]

    def write_to(temporary: Path) -> None:
        with (
            temporary.open("wb") as file,
            progress_bar(len(subwords.rows), progress, f"writing {path.name}") as bar,
        ):
            file.write(MAGIC + struct.pack("<i", _VERSION) + struct.pack(_SETTINGS, *settings, 0.0))
            file.write(struct.pack(_DICTIONARY, V, V, 0, int(counts.sum()), -1))
            for word, count in zip(vectors.vocabulary.words, counts, strict=True):
                file.write(word.encode() + b"\0" + struct.pack("<qb", int(count), 0))
            file.write(struct.pack("<?qq", False, len(subwords.rows), D))
            for start in range(0, len(subwords.rows), ROWS_A_CHUNK):
                rows = subwords.rows[start : start + ROWS_A_CHUNK]
                file.write(np.ascontiguousarray(rows, "<f4").data)
                bar.update(len(rows))
            file.write(struct.pack("<?qq", False, 0, D))

    write_atomically(path, write_to)
