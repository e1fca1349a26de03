"""Word vectors in the files of other programs, read and written.

    word2vec           text: "V D", then a word and its numbers a line; fastText's .vec is the same
    word2vec-binary    "V D", then each word, a space and D little-endian float32
    glove              the text without its first line
    npy                a NumPy matrix beside its words in NAME.vocab.txt
    fasttext           fastText's .bin: words, and n-gram buckets for words not seen
    safetensors        a tensor of vectors and one of words
    finalfusion        .fifu
    projector          TensorBoard's pair NAME.tsv and NAME.metadata.tsv
    static-embedding   a folder for model2vec and sentence-transformers

Files are strangers: a header may claim anything, so memory grows with what was read and not with
what was claimed; what cannot be understood is an error that names the line or byte. Three things
are repaired and reported in `WordVectors.repairs`: bytes that are not UTF-8 are replaced, of a word
that stands twice the first vector is kept, and where header and rows differ the rows are believed.
Nothing is ever unpickled. All formats but finalfusion give back every float32 exactly.
"""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from embedder.config_sections import VectorKind
from embedder.errors import FormatError, VocabularyError
from embedder.text.sources import Source, as_corpus_errors, open_source
from embedder.vectors.formats import (
    binary,
    fasttext,
    finalfusion,
    npy,
    projector,
    static_embedding,
    tensors,
    text,
)
from embedder.vectors.formats.rows import check_dimension
from embedder.vectors.from_run import load_vectors
from embedder.vectors.word_vectors import WordVectors

_RUN = "run"
_PICKLES = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05", b"PK\x03\x04")


class _Format(NamedTuple):
    read: Callable[[Path, bool], WordVectors]
    write: Callable[[WordVectors, Path, bool], None]
    suffixes: tuple[str, ...]
    breaks: str | None
    """Characters that no word may hold in it; None stands for all white space."""


_FORMATS = {
    "word2vec": _Format(text.read, text.write_word2vec, (".txt", ".vec", ""), None),
    "word2vec-binary": _Format(binary.read, binary.write, (".bin",), None),
    "glove": _Format(text.read, text.write_glove, (".glove",), None),
    "npy": _Format(npy.read, npy.write, (".npy",), "\n\r"),
    "fasttext": _Format(fasttext.read, fasttext.write, (".ftbin",), None),
    "safetensors": _Format(tensors.read, tensors.write, (".safetensors",), "\n"),
    "finalfusion": _Format(finalfusion.read, finalfusion.write, (".fifu",), ""),
    "projector": _Format(projector.read, projector.write, (".tsv",), "\t\n\r"),
    "static-embedding": _Format(static_embedding.read, static_embedding.write, (), None),
}
FORMATS = tuple(_FORMATS)
"""The names of the formats."""


def load(path: str | Path, kind: VectorKind | None = None, progress: bool = False) -> WordVectors:
    """Read word vectors: a run's folder, or a file of another program.

    Text and word2vec's binary may be compressed (.gz, .bz2, .xz, .zst).

    Parameters
    ----------
    path
        The folder or file; what it is, is found out.
    kind
        Which vectors of a run.
    progress
        Show a bar on a terminal.

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
    with as_corpus_errors(Source(str(path), path)):
        found = detect(path) if path.exists() else _RUN
        if found == _RUN:
            return load_vectors(path, kind)
        if kind is not None:
            raise FormatError(f"{path}: --vectors is for runs; this has one kind of vectors.")
        return _FORMATS[found].read(path, progress)


def detect(path: Path) -> str:
    """Return the name of the format that a path holds, or "run".

    Raises
    ------
    FormatError
        If a file is none of them.
    """
    if path.is_dir():
        return "static-embedding" if static_embedding.is_static_embedding(path) else _RUN
    if path.suffix == ".tsv":
        return "projector"
    with open_source(Source(str(path), path)) as file:
        first = file.readline(text.MAX_LINE_BYTES)
        second = file.readline(text.MAX_LINE_BYTES)
    magic = _by_first_bytes(path, first)
    if magic is not None:
        return magic
    header = text.read_header(first)
    if header is None:
        if not text.count_numbers_at_the_end(first):
            raise FormatError(f"{path}, line 1: neither a header 'V D' nor a word and its numbers.")
        return "glove"
    check_dimension(path, header[1])
    try:
        text.parse_line(second, header[1], "")
    except FormatError:
        return "word2vec-binary" if b"\0" in second or not _is_utf8(second) else "word2vec"
    return "word2vec"


def _by_first_bytes(path: Path, first: bytes) -> str | None:
    if first.startswith(fasttext.MAGIC):
        return "fasttext"
    if first.startswith(finalfusion.MAGIC):
        return "finalfusion"
    if first.startswith(b"\x93NUMPY") or path.suffix == ".npy":
        return "npy"
    if first[8:10] == b'{"' or path.suffix == ".safetensors":
        return "safetensors"
    if first.startswith(_PICKLES):
        raise FormatError(
            f"{path}: a pickle or an archive, which could run code and is never loaded; save the "
            "vectors from their program in word2vec's format (gensim: save_word2vec_format)."
        )
    return None


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def save(
    vectors: WordVectors,
    path: str | Path,
    file_format: str | None = None,
    progress: bool = False,
    dtype: str = "float32",
) -> None:
    """Write vectors for other tools.

    Parameters
    ----------
    vectors
        What to write.
    path
        The file, or for static-embedding the folder; one that exists is replaced.
    file_format
        One of `FORMATS`; by default the one that the name suggests.
    progress
        Show a bar on a terminal.
    dtype
        float32; npy and safetensors can also have float16, and safetensors int8.

    Raises
    ------
    FormatError
        For a format that is not known or cannot hold the dtype.
    VocabularyError
        For a word that the format cannot hold.
    RunError
        If the file cannot be written.
    """
    path = Path(path)
    name = file_format or format_of(path)
    if name not in _FORMATS:
        raise FormatError(f"{name}: no such format; expected one of {', '.join(FORMATS)}.")
    chosen = _FORMATS[name]
    _check_words(vectors, name, chosen.breaks)
    if dtype == "float32":
        chosen.write(vectors, path, progress)
    elif name == "safetensors":
        tensors.write(vectors, path, progress, dtype)
    elif name == "npy" and dtype == "float16":
        npy.write(vectors, path, progress, dtype)
    else:
        able = "safetensors" if dtype == "int8" else "npy or safetensors"
        raise FormatError(f"{path}: {name} cannot hold {dtype}; expected --format {able}.")


def format_of(path: Path) -> str:
    """Return the format that a file's name suggests, word2vec's text if none."""
    for name, known in _FORMATS.items():
        if path.suffix in known.suffixes:
            return name
    return "word2vec"


def _check_words(vectors: WordVectors, name: str, breaks: str | None) -> None:
    for word in vectors.vocabulary.words:
        broken = (
            any(character.isspace() or character == "\0" for character in word)
            if breaks is None
            else any(character in word for character in breaks)
        )
        if broken or not word:
            raise VocabularyError(
                f"{word!r} has white space that the {name} format cannot hold; "
                "expected another --format, such as safetensors or finalfusion."
            )
