"""Checked reads from an untrusted binary file."""

import struct
from pathlib import Path
from typing import IO, Any

from embedder.errors import FormatError

_BYTES_PER_READ = 1 << 20
_ENDS = "the file ends early"


class ByteReader:
    """A file read in blocks; missing data raises a `FormatError` that states the byte.

    Parameters
    ----------
    file
        The file, opened for reading bytes, at its beginning.
    path
        Its path, for error messages.
    """

    def __init__(self, file: IO[bytes], path: Path) -> None:
        self._file = file
        self._path = path
        self._buffer = b""
        self._used = 0
        self._start = 0  # position of the buffer in the file

    @property
    def position(self) -> int:
        """The position of the next byte in the file."""
        return self._start + self._used

    def fail(self, what: str) -> FormatError:
        """Return an error that states the current position."""
        return FormatError(f"{self._path}, byte {self.position:,}: {what}.")

    def seek(self, position: int) -> None:
        """Continue at a position in the file."""
        self._file.seek(position)
        self._buffer, self._used, self._start = b"", 0, position

    def read(self, size: int, otherwise: str = _ENDS) -> bytes:
        """Return the next bytes; `otherwise` is the error message if there are too few."""
        if not self._fill_buffer(size):
            raise self.fail(otherwise)
        self._used += size
        return self._buffer[self._used - size : self._used]

    def unpack(self, layout: str) -> tuple[Any, ...]:
        """Return the next values, unpacked as by `struct.unpack`."""
        return struct.unpack(layout, self.read(struct.calcsize(layout)))

    def read_until(self, mark: bytes, longest: int, otherwise: str) -> bytes:
        """Return the bytes before the next mark, and skip the mark."""
        found = self.find(mark, longest)
        if found is None:
            raise self.fail(otherwise)
        return found

    def find(self, mark: bytes, longest: int) -> bytes | None:
        """Return the bytes before the next mark, and skip the mark; None if there is none."""
        end = self._buffer.find(mark, self._used, self._used + longest)
        if end < 0:
            self._fill_buffer(longest)
            end = self._buffer.find(mark, self._used, self._used + longest)
            if end < 0:
                return None
        found = self._buffer[self._used : end]
        self._used = end + len(mark)
        return found

    def peek(self, longest: int) -> bytes:
        """Return the next bytes, as many as there are, without consuming them."""
        self._fill_buffer(longest)
        return self._buffer[self._used : self._used + longest]

    def _fill_buffer(self, size: int) -> bool:
        """Read until the buffer has `size` bytes left; return whether the file has that many."""
        if len(self._buffer) - self._used < size:
            pieces = [self._buffer[self._used :]]
            length = len(pieces[0])
            self._start += self._used
            self._used = 0
            while length < size and (data := self._file.read(_BYTES_PER_READ)):
                pieces.append(data)
                length += len(data)
            self._buffer = b"".join(pieces)
        return len(self._buffer) - self._used >= size
