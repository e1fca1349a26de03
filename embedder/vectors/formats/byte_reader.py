"""A binary file of a stranger, taken in pieces that are checked to be there."""

import struct
from pathlib import Path
from typing import IO, Any

from embedder.errors import FormatError

_BYTES_PER_READ = 1 << 20
_ENDS = "the file ends early"


class ByteReader:
    """A file read in blocks; what it lacks is a `FormatError` that names the byte.

    Parameters
    ----------
    file
        Opened for reading bytes, at its beginning.
    path
        For messages.
    """

    def __init__(self, file: IO[bytes], path: Path) -> None:
        self._file = file
        self._path = path
        self._buffer = b""
        self._taken = 0
        self._start = 0  # of the buffer in the file

    @property
    def position(self) -> int:
        """The byte of the file that is next."""
        return self._start + self._taken

    def fail(self, what: str) -> FormatError:
        """Return an error at this place."""
        return FormatError(f"{self._path}, byte {self.position:,}: {what}.")

    def seek(self, position: int) -> None:
        """Go on at a byte of the file."""
        self._file.seek(position)
        self._buffer, self._taken, self._start = b"", 0, position

    def read(self, size: int, otherwise: str = _ENDS) -> bytes:
        """Return the next bytes; `otherwise` is the complaint if there are too few."""
        if not self._fill_buffer(size):
            raise self.fail(otherwise)
        self._taken += size
        return self._buffer[self._taken - size : self._taken]

    def unpack(self, layout: str) -> tuple[Any, ...]:
        """Return the next numbers, as `struct.unpack` has them."""
        return struct.unpack(layout, self.read(struct.calcsize(layout)))

    def read_until(self, mark: bytes, longest: int, otherwise: str) -> bytes:
        """Return what is before the next mark, and pass over the mark."""
        end = self._buffer.find(mark, self._taken, self._taken + longest)
        if end < 0:
            self._fill_buffer(longest)
            end = self._buffer.find(mark, self._taken, self._taken + longest)
            if end < 0:
                raise self.fail(otherwise)
        found = self._buffer[self._taken : end]
        self._taken = end + len(mark)
        return found

    def _fill_buffer(self, size: int) -> bool:
        """Read on until so many bytes are there; say whether they are."""
        if len(self._buffer) - self._taken < size:
            parts = [self._buffer[self._taken :]]
            length = len(parts[0])
            self._start += self._taken
            self._taken = 0
            while length < size and (data := self._file.read(_BYTES_PER_READ)):
                parts.append(data)
                length += len(data)
            self._buffer = b"".join(parts)
        return len(self._buffer) - self._taken >= size
