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

Files are untrusted: memory grows with the data read, not with the size that a header declares;
every byte of a binary file is accounted for; an error states the line or byte that is wrong.
What is repaired is reported in `WordVectors.repairs`; docs/formats.md lists it. Nothing is ever
unpickled. All formats except finalfusion store every float32 exactly.
"""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from embedder.config_sections.network import VectorKind
from embedder.errors import FormatError, RunError
from embedder.storage import is_stream
from embedder.text.sources import Source, as_corpus_errors
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
from embedder.vectors.formats.detection import detect_content
from embedder.vectors.formats.opening import STANDARD_INPUT, InputFile, without_compression
from embedder.vectors.formats.targets import Target, reject_occupied, write_compressed
from embedder.vectors.formats.words import Rule, writable
from embedder.vectors.from_run import load_vectors
from embedder.vectors.word_vectors import Unwritable, WordVectors

_RUN = "run"
_FOLDER = "static-embedding"
_ASCII_WHITESPACE = " \t\n\r\v\f"


class _Format(NamedTuple):
    read: Callable[[InputFile, bool], WordVectors]
    write: Callable[[WordVectors, Path, bool], None]
    suffixes: tuple[str, ...]
    words: Rule
    companion: str = ""
    """The ending of a second file."""


def _reject_file(file: InputFile, progress: bool) -> WordVectors:
    raise FormatError(f"{file.path}: a file; expected a folder with a {_FOLDER}.")


class Saved(NamedTuple):
    """What was written: the number of words, and what became of those the format cannot store."""

    words: int
    remarks: tuple[str, ...]


_TEXT = Rule(_ASCII_WHITESPACE + "\0", empty=False)
_FORMATS = {
    "word2vec": _Format(text.read_word2vec, text.write_word2vec, (".txt", ".vec", ""), _TEXT),
    "word2vec-binary": _Format(binary.read, binary.write, (".bin",), Rule(" \n\0", empty=False)),
    # A mark before the first word would be dropped.
    "glove": _Format(
        text.read_glove, text.write_glove, (".glove",), _TEXT._replace(first="\ufeff")
    ),
    "npy": _Format(npy.read, npy.write, (".npy",), Rule("\n\r", first="\ufeff"), ".vocab.txt"),
    "fasttext": _Format(fasttext.read, fasttext.write, (".ftbin",), Rule("\0", subwords=True)),
    "safetensors": _Format(tensors.read, tensors.write, (".safetensors",), Rule("\n")),
    "finalfusion": _Format(finalfusion.read, finalfusion.write, (".fifu",), Rule("")),
    "projector": _Format(
        projector.read,
        projector.write,
        (".tsv",),
        Rule("\t\n\r", empty=False, first="\ufeff"),
        ".metadata.tsv",
    ),
    _FOLDER: _Format(_reject_file, static_embedding.write, (), Rule("")),
}
FORMATS = tuple(_FORMATS)
"""The names of the formats."""


def load(
    path: str | Path,
    kind: VectorKind | None = None,
    progress: bool = False,
    file_format: str | None = None,
) -> WordVectors:
    """Load word vectors from a run folder or from a file of another program.

    Files may be compressed (gzip, bzip2, xz, zstd) under any name, or pipes.

    Parameters
    ----------
    path
        The folder or file, or ``-`` for standard input.
    kind
        Which vectors of a run.
    progress
        Show a progress bar on a terminal.
    file_format
        One of `FORMATS`; by default, what the file contains decides.

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
    if file_format is not None:
        _check_name(file_format)
    with as_corpus_errors(Source(str(path), path)):
        if str(path) != STANDARD_INPUT and not path.exists():
            raise RunError(f"{path}: no such file or folder; expected a run or a file of vectors.")
        if path.is_dir():
            return _load_folder(path, kind, progress, file_format)
        _reject_kind(path, kind)
        with InputFile(path) as file:
            return _FORMATS[file_format or detect_content(file)].read(file, progress)


def _load_folder(
    path: Path, kind: VectorKind | None, progress: bool, file_format: str | None
) -> WordVectors:
    found = detect(path)
    if file_format not in (None, found):
        raise FormatError(
            f"{path}: a folder with a {found}; expected a file of the format {file_format}."
        )
    if found == _RUN:
        return load_vectors(path, kind)
    _reject_kind(path, kind)
    return static_embedding.read(path, progress)


def _reject_kind(path: Path, kind: VectorKind | None) -> None:
    if kind is not None:
        raise FormatError(f"{path}: --vectors is for runs; a file has one kind of vectors.")


def detect(path: Path) -> str:
    """Return the name of a path's format, or "run".

    Raises
    ------
    FormatError
        If the format of a file is unknown.
    """
    if path.is_dir():
        return _FOLDER if static_embedding.is_static_embedding(path) else _RUN
    with InputFile(path) as file:
        return detect_content(file)


def save(
    vectors: WordVectors,
    path: str | Path,
    file_format: str | None = None,
    progress: bool = False,
    dtype: str = "float32",
    unwritable: Unwritable | None = None,
    overwrite: bool = True,
) -> Saved:
    """Write vectors in a format of another tool.

    Parameters
    ----------
    vectors
        The vectors to write.
    path
        The file, or the folder for static-embedding. A name that ends in .gz, .bz2, .xz or .zst is
        compressed.
    file_format
        One of `FORMATS`; by default chosen by the file name.
    progress
        Show a progress bar on a terminal.
    dtype
        float32; npy and safetensors also support float16, and safetensors int8.
    unwritable
        What becomes of words that the format cannot store: ``skip`` leaves them out, ``replace``
        puts ``_`` for what the format forbids; by default, they are an error.
    overwrite
        Replace existing files, but never those of a run, nor a folder with anything else in it.

    Raises
    ------
    FormatError
        For an unknown format or ending, or a format that cannot store the dtype.
    VocabularyError
        For a word that the format cannot store.
    RunError
        If a file is in the way, or cannot be written.
    """
    path = Path(path)
    check_target(path, file_format, dtype, overwrite)
    target = _target(path, file_format)
    vectors, remarks = writable(vectors, target.format, _FORMATS[target.format].words, unwritable)
    write = _writer(target, dtype)
    if target.compression:
        write_compressed(write, vectors, target, progress)
    else:
        write(vectors, target.path, progress)
    return Saved(len(vectors), remarks)


def check_target(
    path: Path, file_format: str | None = None, dtype: str = "float32", overwrite: bool = True
) -> None:
    """Check that vectors can be written, before they are read or computed; see `save`.

    Raises
    ------
    FormatError, RunError
        As `save` does, but for words.
    """
    target = _target(path, file_format)
    _writer(target, dtype)
    reject_occupied(target, overwrite)


def require_subwords(path: Path, file_format: str | None = None) -> None:
    """Check that a file can store the vectors of n-grams.

    Raises
    ------
    FormatError
        If it cannot, or is unknown.
    """
    target = _target(path, file_format)
    if not _FORMATS[target.format].words.subwords:
        raise FormatError(
            f"{path}: {target.format} cannot store vectors of n-grams; expected --format fasttext."
        )


def _writer(target: Target, dtype: str) -> Callable[[WordVectors, Path, bool], None]:
    if dtype == "float32":
        return _FORMATS[target.format].write
    if target.format == "safetensors":
        return lambda vectors, path, progress: tensors.write(vectors, path, progress, dtype)
    if target.format == "npy" and dtype == "float16":
        return lambda vectors, path, progress: npy.write(vectors, path, progress, dtype)
    able = "safetensors" if dtype == "int8" else "npy or safetensors"
    raise FormatError(
        f"{target.path}: {target.format} cannot store {dtype}; expected --format {able}."
    )


def _check_name(name: str) -> None:
    if name not in _FORMATS:
        raise FormatError(f"{name}: unknown format; expected one of {', '.join(FORMATS)}.")


def _target(path: Path, file_format: str | None) -> Target:
    """Return what a name and a format ask for.

    Raises
    ------
    FormatError
        For an unknown format or ending, or compression of what has several files.
    """
    if file_format is not None:
        _check_name(file_format)
    name = file_format or format_of(path)
    plain = without_compression(path)
    compression = path.suffix.lower() if plain != path else ""
    companion = _FORMATS[name].companion
    several = bool(companion) or name == _FOLDER
    if several and is_stream(path):
        raise FormatError(
            f"{path}: {name} has several files, which cannot be written to a pipe or device; "
            "choose another --format, such as safetensors."
        )
    if several and compression:
        raise FormatError(
            f"{path}: {name} has several files, which are not compressed; choose {plain}."
        )
    second = path.with_suffix(companion) if companion else None
    return Target(path, name, compression, second, name == _FOLDER)


def format_of(path: Path) -> str:
    """Return the format for a file's extension, in upper or lower case.

    Raises
    ------
    FormatError
        If it is unknown.
    """
    suffix = without_compression(path).suffix.lower()
    for name, known in _FORMATS.items():
        if suffix in known.suffixes:
            return name
    if is_stream(path):
        return "word2vec"
    endings = sorted(ending for known in _FORMATS.values() for ending in known.suffixes if ending)
    raise FormatError(
        f"{path}: no format is written to files that end in '{suffix}'; expected one of "
        f"{', '.join(endings)}, or give --format ({', '.join(FORMATS)})."
    )
