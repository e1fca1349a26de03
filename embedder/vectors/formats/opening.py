"""A file of vectors as bytes: without its compression, and of a pipe as well.

What a file contains decides how it is decompressed, whatever its name. A pipe can be read only once
and not be mapped, so it is copied to a temporary file first.
"""

import contextlib
import io
import sys
import tempfile
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import IO, Any, Self, cast

from embedder.errors import FormatError
from embedder.storage import describe_write_error
from embedder.text.sources import COMPRESSED

HEAD_BYTES = 1 << 22
"""How much of a file is looked at before it is read: at least two rows of 100,000 numbers."""
STANDARD_INPUT = "-"
_BYTES_PER_BLOCK = 1 << 20
_MAGIC = {
    b"\x1f\x8b\x08": ".gz",
    b"BZh": ".bz2",
    b"\xfd7zXZ\0": ".xz",
    b"\x28\xb5\x2f\xfd": ".zst",
}
_BZIP2_BLOCK = b"1AY&SY"
"""Follows bzip2's magic and a digit; a word may begin with BZh, too."""


@contextlib.contextmanager
def as_temporary_file_errors() -> Iterator[None]:
    """Turn errors from writing a temporary file into one sentence.

    Raises
    ------
    FormatError
        If the folder of temporary files is missing, full or not writable.
    """
    try:
        yield
    except OSError as error:
        folder = Path(tempfile.gettempdir())
        raise FormatError(describe_write_error(folder, error, "set TMPDIR")) from None


class InputFile:
    """A file to read vectors from; use it in a `with` statement.

    Parameters
    ----------
    path
        A regular file, a pipe, or ``-`` for standard input.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._packed = path
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def __enter__(self) -> Self:
        if not self.path.is_file():
            with self._open_pipe() as pipe:
                self._packed = self._temporary("copy")
                try:
                    _copy(pipe, self._packed)
                except BaseException:
                    self.__exit__()
                    raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._folder is not None:
            self._folder.cleanup()  # memory maps of its files remain valid

    @cached_property
    def head(self) -> bytes:
        """The first 4 MiB of the decompressed content."""
        with self.open() as stream:
            return stream.read(HEAD_BYTES)

    @property
    def is_in_head(self) -> bool:
        """Whether `head` is the whole content."""
        return len(self.head) < HEAD_BYTES

    @cached_property
    def compression(self) -> str:
        """The file name extension of the content's compression; empty for none."""
        with self._packed.open("rb") as stream:
            first = stream.read(10)
        found = next((suffix for magic, suffix in _MAGIC.items() if first.startswith(magic)), "")
        return "" if found == ".bz2" and first[4:] != _BZIP2_BLOCK else found

    def open(self) -> IO[bytes]:
        """Open the decompressed content at its beginning."""
        if not self.compression:
            return self._packed.open("rb")
        opened: Any = COMPRESSED[self.compression](self._packed)
        return cast(IO[bytes], io.BufferedReader(opened))

    @cached_property
    def plain(self) -> Path:
        """A regular file with the decompressed content, to map or to seek in."""
        if not self.compression:
            return self._packed
        path = self._temporary("plain")
        with self.open() as stream:
            _copy(stream, path)
        return path

    @property
    def suffix(self) -> str:
        """The ending of the name in lower case, without that of a compression."""
        return without_compression(self.path).suffix.lower()

    def beside(self, suffix: str) -> Path:
        """Return the path of the file's companion: its name with another suffix."""
        return without_compression(self.path).with_suffix(suffix)

    def _temporary(self, name: str) -> Path:
        if self._folder is None:
            with as_temporary_file_errors():
                self._folder = tempfile.TemporaryDirectory(prefix="embedder-")
        return Path(self._folder.name) / name

    def _open_pipe(self) -> Any:
        if str(self.path) != STANDARD_INPUT:
            return self.path.open("rb")
        if sys.stdin is None:
            raise FormatError("-: standard input is closed; name a file, or pipe one into it.")
        return contextlib.nullcontext(sys.stdin.buffer)


def without_compression(path: Path) -> Path:
    """Return a path without the ending of a compression, such as .gz."""
    return path.with_suffix("") if path.suffix.lower() in COMPRESSED else path


def _copy(stream: IO[bytes], path: Path) -> None:
    with as_temporary_file_errors():
        file = path.open("wb")
    with file:
        while block := stream.read(_BYTES_PER_BLOCK):
            with as_temporary_file_errors():
                file.write(block)
