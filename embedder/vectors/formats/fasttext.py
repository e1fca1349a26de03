"""fastText's .bin: settings, dictionary, the rows of words and n-gram buckets, output weights.

Reading covers the words, their counts and the input rows, which are mapped and not copied; labels
are entries of the dictionary without input rows. Quantised models (.ftz) and floret's hash tables
are rejected. Written files have no output weights: they provide vectors of words and n-grams but
cannot be trained further. The layout follows fastText's src/fasttext.cc, args.cc, dictionary.cc and
densematrix.cc, version 12, as gensim also reads them; floret's differs by two settings, and the
oldest files have neither magic nor version.
"""

import struct
from pathlib import Path
from typing import Any

import numpy as np

from embedder.arrays import Array
from embedder.errors import FormatError
from embedder.storage import write_atomically
from embedder.text.vocabulary import Vocabulary
from embedder.vectors.formats.byte_reader import ByteReader
from embedder.vectors.formats.opening import InputFile
from embedder.vectors.formats.rows import (
    MAX_DIMENSION,
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
_FLORET_MODES = _OF_FASTTEXT, _HASHED = 1, 2
_MAX_FLORET_HASHES = 4
_OUTPUT = "<?qq"  # quantised, rows, columns
_WITHOUT_MAGIC = 10
"""The layout before fastText's version 11, without magic, version, pruning and quantisation."""
_OLD_DICTIONARY, _OLD_OUTPUT = "<iiiq", "<qq"
_LOSSES, _MODELS = range(1, 5), range(1, 4)
_LONGEST_NGRAM = 1000
_DICTIONARY = "<iiiqq"  # entries, words, labels, tokens, pruned n-grams (-1: not pruned)
_INSTEAD = (
    ", which stores approximations of vectors; expected the model before that (.bin), or the "
    "vectors of its words as text (fasttext print-word-vectors)"
)
_MAX_WORD_BYTES = 1 << 20
_MIN_ENTRY_BYTES = 10
"""A word's terminator, count and type."""


def read(file: InputFile, progress: bool = False) -> WordVectors:
    """Read a model's words and n-gram buckets.

    Raises
    ------
    FormatError
        If the file is damaged, pruned, quantised, hashed, or of an unknown version.
    """
    path, size = file.path, file.plain.stat().st_size
    with file.plain.open("rb") as stream:
        reader = ByteReader(stream, path)
        version = _read_version(reader, file.head)
        settings = _read_settings(reader)
        dimension, buckets, min_n, max_n = settings[0], *settings[8:11]
        if version < _VERSION and settings[7] == _SUPERVISED:
            max_n = 0  # as in fastText
        check_dimension(path, dimension, "")
        words, counts = _read_dictionary(reader, size, version)
        if version > _WITHOUT_MAGIC and reader.read(1) != b"\0":
            raise reader.fail(f"a quantised model (.ftz){_INSTEAD}")
        height, width = reader.unpack("<qq")
        start = reader.position
        buckets = buckets if max_n > 0 else 0
        if width != dimension or height < 0 or not 0 <= min_n <= max(max_n, min_n):
            raise FormatError(
                f"{path}: {height:,} rows of {width:,} numbers do not match the model's settings."
            )
        if 4 * height * width > size - start:
            raise FormatError(f"{path}, byte {start:,}: the file ends within its vectors.")
        if height < len(words) + buckets:
            raise FormatError(
                f"{path}: {height:,} rows, too few for {len(words):,} words and {buckets:,} "
                "buckets."
            )
        reader.seek(start + 4 * height * width)
        repairs = _check_output(reader, size, version)
    rows = np.memmap(file.plain, "<f4", "r", start, (height, width))[: len(words) + buckets]
    subwords = Subwords(rows, min_n, max_n, buckets, len(words))
    return _compose(path, (words, np.array(counts, np.int64)), subwords, progress, repairs)


def is_oldest(head: bytes) -> bool:
    """Return whether a file begins with the plausible settings of a model without magic."""
    size = struct.calcsize(_SETTINGS)
    if len(head) < size + struct.calcsize(_OLD_DICTIONARY):
        return False
    settings = struct.unpack_from(_SETTINGS, head)
    dimension, window, epochs, _, _, _, loss, model, buckets, min_n, max_n, _, rate = settings
    entries, words, labels, _ = struct.unpack_from(_OLD_DICTIONARY, head, size)
    return (
        0 < dimension <= MAX_DIMENSION
        and min(window, epochs, buckets, words, labels) >= 0
        and loss in _LOSSES
        and model in _MODELS
        and 0 <= min_n <= max(max_n, min_n) < _LONGEST_NGRAM
        and 0 <= rate <= 1
        and entries == words + labels > 0
    )


def _read_version(reader: ByteReader, head: bytes) -> int:
    """Return the version of the layout, and continue behind it."""
    if reader.read(4) != MAGIC:
        if not is_oldest(head):
            raise reader.fail("not a model of fastText")
        reader.seek(0)
        return _WITHOUT_MAGIC
    version: int = reader.unpack("<i")[0]
    if version not in (11, _VERSION):
        raise reader.fail(f"unknown version {version}; expected 11 or {_VERSION}")
    return version


def _read_settings(reader: ByteReader) -> tuple[Any, ...]:
    size = struct.calcsize(_SETTINGS)
    raw = reader.read(size)
    settings = struct.unpack(_SETTINGS, raw)
    # floret has two settings more in the place of the last two, its mode and number of hashes.
    mode, hashes = struct.unpack("<ii", raw[size - 12 : size - 4])
    if mode in _FLORET_MODES and 1 <= hashes <= _MAX_FLORET_HASHES:
        if mode == _HASHED:
            raise reader.fail(
                "a model of floret, whose words share hashed rows; write its words' vectors with "
                "floret's save_vectors, and read these"
            )
        reader.read(8)
    return settings


def _read_dictionary(reader: ByteReader, size: int, version: int) -> tuple[list[bytes], list[int]]:
    """Return the words, without labels, and their counts."""
    if version == _WITHOUT_MAGIC:
        entries, expected, _, _ = reader.unpack(_OLD_DICTIONARY)
        pruned = -1
    else:
        entries, expected, _, _, pruned = reader.unpack(_DICTIONARY)
    if not 0 <= expected <= entries or entries * _MIN_ENTRY_BYTES > size:
        raise reader.fail(f"impossible dictionary: {entries:,} entries, {expected:,} words")
    if pruned > 0:
        raise reader.fail(f"a pruned model (.ftz){_INSTEAD}")
    words: list[bytes] = []
    counts: list[int] = []
    for number in range(entries):
        word = reader.read_until(b"\0", _MAX_WORD_BYTES, "unterminated word")
        count, kind = reader.unpack("<qb")
        if kind == 0:
            if len(words) < number:
                raise reader.fail("a word after labels; expected all words first")
            words.append(word)
            counts.append(count)
    if len(words) != expected:
        raise reader.fail(f"expected {expected:,} words, found {len(words):,}")
    return words, counts


def _check_output(reader: ByteReader, size: int, version: int) -> list[str]:
    """Return what is odd about the output weights, which are not read, and about what follows."""
    left = size - reader.position
    layout = _OUTPUT if version > _WITHOUT_MAGIC else _OLD_OUTPUT
    header = struct.calcsize(layout)
    if left < header:
        return ["the file ends before its output weights"]
    *quantised, height, width = reader.unpack(layout)
    expected = header + 4 * height * width
    if any(quantised) or left == expected:
        return []
    if left < expected:
        return ["the file ends within its output weights"]
    return [f"{left - expected:,} bytes after its output weights were not read"]


def _compose(
    path: Path,
    dictionary: tuple[list[bytes], Array],
    subwords: Subwords,
    progress: bool,
    repairs: list[str],
) -> WordVectors:
    raw, counts = dictionary
    # Rows of n-grams that no word has are checked too, since unknown words may use them.
    for start in range(len(raw), len(subwords.rows), ROWS_PER_CHUNK):
        if not np.isfinite(subwords.rows[start : start + ROWS_PER_CHUNK]).all():
            raise FormatError(f"{path}: a row of n-grams has a number that is not finite.")
    # Of a word that is not UTF-8, fastText hashes the bytes as they are.
    exact = [word.decode("utf-8", "surrogateescape") for word in raw]
    shown = list(dict.fromkeys(word.decode("utf-8", "replace") for word in raw))
    if len(shown) == len(raw) and not subwords.buckets and exact == shown:
        found = gather(path, shown, subwords.rows, progress)
    else:
        with VectorRows(path, subwords.rows.shape[1], None, progress) as rows:
            for start in range(0, len(raw), ROWS_PER_CHUNK):
                some = slice(start, start + ROWS_PER_CHUNK)
                composed = (
                    subwords.compose(exact[some], start)
                    if subwords.buckets
                    else subwords.rows[some]
                )
                rows.add(raw[some], composed)
            found = rows.finish()
    if len(shown) < len(raw):
        subwords, counts = _without_duplicates(raw, counts, subwords)
    vocabulary = Vocabulary(found.vocabulary.words, counts)
    own = subwords if subwords.buckets else None
    return WordVectors(vocabulary, found.matrix, (*found.repairs, *repairs), own)


def _without_duplicates(
    raw: list[bytes], counts: Array, subwords: Subwords
) -> tuple[Subwords, Array]:
    """Keep the first of words that are the same once invalid bytes are replaced."""
    first: dict[str, int] = {}
    for i, word in enumerate(raw):
        first.setdefault(word.decode("utf-8", "replace"), i)
    kept = np.array(list(first.values()), np.int64)
    rows = np.concatenate([subwords.rows[kept], subwords.rows[len(raw) :]])
    return subwords._replace(rows=rows, words=len(kept)), counts[kept]


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
            file.write(struct.pack(_OUTPUT, False, 0, D))

    write_atomically(path, write_to)
