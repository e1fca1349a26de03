"""Read and write word vectors in the file formats of other programs.

    word2vec           text: "V D", then one line per word with its numbers; also fastText's .vec
    word2vec-binary    "V D", then each word, a space and D little-endian float32
    glove              word2vec's text without its first line
    npy                a NumPy matrix, with its words in NAME.vocab.txt
    fasttext           fastText's .bin: words, and n-gram buckets for unknown words
    safetensors        a tensor of vectors and a tensor of words
    finalfusion        .fifu
    projector          TensorBoard's pair NAME.tsv and NAME.metadata.tsv
    static-embedding   a folder for model2vec and sentence-transformers

Files are untrusted: memory grows with the data read, not with the size that a header declares, and
an error states the line or byte that cannot be parsed. Three problems are fixed and reported in
`WordVectors.repairs`: bytes that are not UTF-8 are replaced, only the first vector of a duplicate
word is kept, and the number of rows overrides a different number in the header. Nothing is ever
unpickled. All formats except finalfusion store every float32 exactly.
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
    """Characters that no word may contain; None means whitespace and the null character."""


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
    """Load word vectors from a run folder or from a file of another program.

    Text and word2vec's binary format may be compressed (.gz, .bz2, .xz, .zst).

    Parameters
    ----------
    path
        The folder or file; the format is detected.
    kind
        Which vectors of a run.
    progress
        Show a progress bar on a terminal.

    Raises
    ------
    RunError
        If a run is missing, unfinished or damaged.
    FormatError
        If a file cannot be parsed; the message states the line or byte.
    CorpusError
        If a file cannot be read or decompressed.
    """
    path = Path(path)
    with as_corpus_errors(Source(str(path), path)):
        found = detect(path) if path.exists() else _RUN
        if found == _RUN:
            return load_vectors(path, kind)
        if kind is not None:
            raise FormatError(f"{path}: --vectors is for runs; a file has one kind of vectors.")
        return _FORMATS[found].read(path, progress)


def detect(path: Path) -> str:
    """Return the name of a path's format, or "run".

    Raises
    ------
    FormatError
        If the format of a file is unknown.
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
            raise FormatError(
                f"{path}, line 1: neither a header 'V D' nor a word followed by its numbers."
            )
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
            f"{path}: a pickle or an archive, which could run code and is never loaded; export the "
            "vectors from the original program in word2vec's format (gensim: save_word2vec_format)."
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
    """Write vectors in a format of another tool.

    Parameters
    ----------
    vectors
        The vectors to write.
    path
        The file, or the folder for static-embedding; existing files are replaced.
    file_format
        One of `FORMATS`; by default chosen by the file name.
    progress
        Show a progress bar on a terminal.
    dtype
        float32; npy and safetensors also support float16, and safetensors int8.

    Raises
    ------
    FormatError
        For an unknown format, or one that cannot store the dtype.
    VocabularyError
        For a word that the format cannot store.
    RunError
        If the file cannot be written.
    """
    path = Path(path)
    name = file_format or format_of(path)
    if name not in _FORMATS:
        raise FormatError(f"{name}: unknown format; expected one of {', '.join(FORMATS)}.")
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
        raise FormatError(f"{path}: {name} cannot store {dtype}; expected --format {able}.")


def format_of(path: Path) -> str:
    """Return the format for a file's extension; word2vec if it is unknown."""
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
                f"{word!r} is empty or contains whitespace, which the {name} format cannot store; "
                "choose another --format, such as safetensors or finalfusion."
            )
