"""Where vectors are written: what is in the way there, and compression."""

import bz2
import gzip
import lzma
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from embedder.errors import RunError
from embedder.runs.run_folder import RunFolder
from embedder.storage import describe_write_error, is_stream, write_atomically
from embedder.vectors.formats.opening import as_temporary_file_errors, without_compression
from embedder.vectors.formats.static_embedding import FILES
from embedder.vectors.word_vectors import WordVectors


class Target(NamedTuple):
    """What is to be written.

    ``path``
        The file or folder.
    ``format``
        The name of its format.
    ``compression``
        The ending of its compression; empty for none.
    ``companion``
        The second file; None if there is none.
    ``is_folder``
        Whether the format is a folder.
    """

    path: Path
    format: str
    compression: str = ""
    companion: Path | None = None
    is_folder: bool = False


def reject_occupied(target: Target, overwrite: bool) -> None:
    """Reject to write where something else is.

    Raises
    ------
    RunError
        For the files of a run and for a folder with other files, always; for what `overwrite`
        would replace, without it.
    """
    try:
        if target.is_folder:
            _reject_folder(target.path, overwrite)
        else:
            _reject_files(target, overwrite)
    except OSError as error:
        raise RunError(describe_write_error(target.path, error)) from None


def _reject_files(target: Target, overwrite: bool) -> None:
    if target.path.is_dir():
        raise RunError(
            f"{target.path}: a folder; expected a file, or --format static-embedding, which is one."
        )
    for path in filter(None, (target.path, target.companion)):
        for folder in (path.parent, path.parent.parent):
            if RunFolder(folder).owns(path):
                raise RunError(
                    f"{path}: belongs to the run in {folder}, and is never replaced; choose "
                    "another name."
                )
        if not overwrite and not is_stream(path) and path.exists():
            raise RunError(f"{path}: exists; choose another name, or replace it: --overwrite.")


def _reject_folder(path: Path, overwrite: bool) -> None:
    if path.exists() and not path.is_dir():
        raise RunError(f"{path}: a file is in the way of the folder; choose another name.")
    found = {entry.name for entry in path.iterdir()} if path.exists() else set()
    foreign = sorted(found - set(FILES))
    if foreign:
        raise RunError(
            f"{path}: the folder contains something else ({foreign[0]}), and is never replaced; "
            "choose another name."
        )
    if found and not overwrite:
        raise RunError(f"{path}: exists; choose another name, or replace it: --overwrite.")


def write_compressed(
    write: Callable[[WordVectors, Path, bool], None],
    vectors: WordVectors,
    target: Target,
    progress: bool,
) -> None:
    """Write a temporary file in a format, and compress it.

    Raises
    ------
    RunError
        If a file cannot be written.
    """

    def write_to(temporary: Path) -> None:
        with as_temporary_file_errors():
            folder = tempfile.TemporaryDirectory(prefix="embedder-")
        with folder as name:
            plain = Path(name) / without_compression(target.path).name
            write(vectors, plain, progress)
            with (
                plain.open("rb") as source,
                temporary.open("wb") as file,
                _compressor(file, target.compression) as packed,
            ):
                shutil.copyfileobj(source, packed, 1 << 20)

    write_atomically(target.path, write_to)


def _compressor(file: Any, compression: str) -> Any:
    """Return a file that compresses into another; the same content always gives the same bytes."""
    if compression == ".gz":
        return gzip.GzipFile("", "wb", fileobj=file, mtime=0)
    if compression == ".bz2":
        return bz2.BZ2File(file, "wb")
    if compression == ".xz":
        return lzma.LZMAFile(file, "wb")
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd
    return zstd.ZstdFile(file, "wb")
