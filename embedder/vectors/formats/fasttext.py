"""fastText's .bin: settings, dictionary, the rows of words and n-gram buckets, output weights.

Reading covers the words, their counts and the input rows, which are mapped and not copied.
Quantised models (.ftz) are rejected. Written files have no output weights: they provide vectors of
words and n-grams but cannot be trained further. The layout follows fastText's src/fasttext.cc,
args.cc, dictionary.cc and densematrix.cc, version 12, as gensim also reads them.
"""

import struct
from pathlib import Path

import numpy as np

from embedder.errors import FormatError
from embedder.storage import write_atomically
from embedder.text.vocabulary import Vocabulary
from embedder.vectors.formats.byte_reader import ByteReader
from embedder.vectors.formats.rows import (
    ROWS_PER_CHUNK,
    VectorRows,
    check_dimension,
    gather,
    progress_bar,
)
from embedder.vectors.subwords import Subwords
from embedder.vectors.word_vectors import WordVectors

MAGIC = struct.pack("<i", 793712314)
_VERSION = 12
_SETTINGS = "<12id"  # dim ws epoch minCount neg wordNgrams loss model bucket minn maxn rate t
_SKIPGRAM, _SUPERVISED, _NEGATIVE_SAMPLING = 2, 3, 2
_DICTIONARY = "<iiiqq"  # entries, words, labels, tokens, pruned n-grams (-1: not pruned)
_MAX_WORD_BYTES = 1 << 20
_MIN_ENTRY_BYTES = 10
"""A word's terminator, count and type."""


def read(path: Path, progress: bool = False) -> WordVectors:
    """Read a model's words and n-gram buckets.

    Raises
    ------
    FormatError
        If the file is damaged, pruned, quantised, or of an unknown version.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        reader = ByteReader(file, path)
        if reader.read(4) != MAGIC:
            raise reader.fail("not a model of fastText 0.1 or later")
        (version,) = reader.unpack("<i")
        if version not in (11, 12):
            raise reader.fail(f"unknown version {version}; expected 11 or 12")
        settings = reader.unpack(_SETTINGS)
        dimension, buckets, min_n, max_n = settings[0], *settings[8:11]
        if version == 11 and settings[7] == _SUPERVISED:
            max_n = 0  # as in fastText
        check_dimension(path, dimension, "")
        words, counts, entries = _read_dictionary(reader, size)
        (quantised,) = reader.unpack("<?")
        if quantised:
            raise reader.fail("a quantised model; only unquantised models can be read")
        height, width = reader.unpack("<qq")
        start = reader.position
    buckets = buckets if max_n > 0 else 0
    if width != dimension or height < entries or not 0 <= min_n <= max(max_n, min_n):
        raise FormatError(
            f"{path}: {height:,} rows of {width:,} numbers do not match the model's settings."
        )
    if 4 * height * width > size - start:
        raise FormatError(f"{path}, byte {start:,}: the file ends within its vectors.")
    if height < len(words) + buckets:
        raise FormatError(
            f"{path}: {height:,} rows, too few for {len(words):,} words and {buckets:,} buckets."
        )
    rows = np.memmap(path, "<f4", "r", start, (height, width))[: len(words) + buckets]
    subwords = Subwords(rows, min_n, max_n, buckets, len(words))
    return _compose(path, words, counts, subwords, progress)


def _read_dictionary(reader: ByteReader, size: int) -> tuple[list[str], list[int], int]:
    """Return the words, their counts, and the number of entries including labels."""
    entries, expected, _, _, pruned = reader.unpack(_DICTIONARY)
    if not 0 <= expected <= entries or entries * _MIN_ENTRY_BYTES > size:
        raise reader.fail(f"impossible dictionary: {entries:,} entries, {expected:,} words")
    if pruned > 0:
        raise reader.fail("a pruned model; only unpruned models can be read")
    words: list[str] = []
    counts: list[int] = []
    for _ in range(entries):
        word = reader.read_until(b"\0", _MAX_WORD_BYTES, "unterminated word")
        count, kind = reader.unpack("<qb")
        if kind == 0:
            try:
                words.append(word.decode("utf-8"))
            except UnicodeDecodeError:
                raise reader.fail(f"the word {word!r} is not UTF-8") from None
            counts.append(count)
    if len(words) != expected or len(set(words)) != len(words):
        raise reader.fail(f"expected {expected:,} distinct words")
    return words, counts, entries


def _compose(
    path: Path, words: list[str], counts: list[int], subwords: Subwords, progress: bool
) -> WordVectors:
    vocabulary = Vocabulary(words, np.array(counts, np.int64))
    if not subwords.buckets:
        return WordVectors(vocabulary, gather(path, words, subwords.rows, progress).matrix)
    # Rows of n-grams that no word has are checked too, since unknown words may use them.
    for start in range(0, len(subwords.rows), ROWS_PER_CHUNK):
        if not np.isfinite(subwords.rows[start : start + ROWS_PER_CHUNK]).all():
            raise FormatError(f"{path}: a row has a number that is not finite.")
    with VectorRows(path, subwords.rows.shape[1], len(words), progress) as rows:
        for start in range(0, len(words), ROWS_PER_CHUNK):
            some = words[start : start + ROWS_PER_CHUNK]
            rows.add([word.encode() for word in some], subwords.compose(some, start))
        return WordVectors(vocabulary, rows.finish().matrix, (), subwords)


def write(vectors: WordVectors, path: Path, progress: bool = False) -> None:
    """Write a model of these words, and of their n-grams if the vectors have any.

    An unused bucket is a hole in the file, which takes no space on most file systems.
    """
    V, D = vectors.matrix.shape
    subwords = vectors.subwords or Subwords(vectors.matrix, 0, 0, 0, V)
    height = V + subwords.buckets
    counts = np.maximum(vectors.vocabulary.counts, 1)
    settings = [D, 5, 1, 1, 5, 1, _NEGATIVE_SAMPLING, _SKIPGRAM]
    settings += [subwords.buckets, subwords.min_n, subwords.max_n, 100]

    def write_to(temporary: Path) -> None:
        with (
            temporary.open("wb") as file,
            progress_bar(height, progress, f"writing {path.name}") as bar,
        ):
            file.write(MAGIC + struct.pack("<i", _VERSION) + struct.pack(_SETTINGS, *settings, 0.0))
            file.write(struct.pack(_DICTIONARY, V, V, 0, int(counts.sum()), -1))
            for word, count in zip(vectors.vocabulary.words, counts, strict=True):
                file.write(word.encode() + b"\0" + struct.pack("<qb", int(count), 0))
            file.write(struct.pack("<?qq", False, height, D))
            first = file.tell()
            for start in range(0, V, ROWS_PER_CHUNK):
                some = slice(start, start + ROWS_PER_CHUNK)
                rows = subwords.word_rows(
                    vectors.vocabulary.words[some], vectors.matrix[some], start
                )
                file.write(np.ascontiguousarray(rows, "<f4").data)
                bar.update(len(rows))
            for bucket, rows in subwords.ngram_rows(ROWS_PER_CHUNK):
                file.seek(first + 4 * D * (V + bucket))
                file.write(np.ascontiguousarray(rows, "<f4").data)
                bar.update(V + bucket + len(rows) - bar.n)
            file.seek(first + 4 * D * height)
            file.write(struct.pack("<?qq", False, 0, D))

    write_atomically(path, write_to)
