"""Standard streams that nobody reads, or that cannot be written, do not end a command's work.

What a command prints is the least of its results: the first failure of stdout is remembered for the
exit code, and what follows is dropped, so that files are still written and runs completed.
"""

import errno
import io
import os
import select
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

_BROKEN_PIPE = 141
"""The exit code of programs that end because nobody reads on, 128 + SIGPIPE."""


class _Output(io.FileIO):
    """A file descriptor that accepts everything after the first failure.

    Attributes
    ----------
    failure
        The first error; None if there was none.
    """

    failure: OSError | None = None

    def write(self, data: Any) -> int:
        """Write as `io.FileIO` does, but wait where the reader is slow, and never fail."""
        while self.failure is None:
            try:
                written: int | None = super().write(data)
                if written is not None:
                    return written
                select.select([], [self], [])  # somebody made it non-blocking
            except OSError as error:
                self.failure = error
        return memoryview(data).nbytes


@contextmanager
def lenient_streams() -> Iterator[None]:
    """Make stdout and stderr accept everything, in the block.

    Raises
    ------
    SystemExit
        At the end of a block that succeeds, if something could not be written to stdout.
    """
    _occupy_closed_descriptors()
    streams = {name: _lenient(name) for name in ("stdout", "stderr")}
    before = {name: getattr(sys, name) for name, stream in streams.items() if stream is not None}
    for name in before:
        setattr(sys, name, streams[name])
    try:
        yield
    except SystemExit as end:
        if end.code not in (None, 0):
            raise
        _raise_failure(streams["stdout"])
        raise
    else:
        _raise_failure(streams["stdout"])
    finally:
        for name, stream in before.items():
            getattr(sys, name).flush()
            setattr(sys, name, stream)


def _occupy_closed_descriptors() -> None:
    """Open the closed ones of the three, lest a file of vectors becomes stderr."""
    for number, mode in enumerate((os.O_RDONLY, os.O_RDONLY, os.O_WRONLY)):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, mode)  # takes the lowest free number; writing to stdout still fails


def _lenient(name: str) -> io.TextIOWrapper | None:
    """Return a lenient stream in place of that of the process; None if that is replaced already."""
    stream = getattr(sys, name)
    if stream is not getattr(sys, f"__{name}__"):
        return None
    number = 1 if name == "stdout" else 2
    buffer = getattr(stream, "buffer", None)
    if stream is None:
        encoding = "utf-8"
    elif isinstance(getattr(buffer, "raw", buffer), io.FileIO):  # PYTHONUNBUFFERED leaves no buffer
        encoding = stream.encoding
        with suppress(OSError):
            stream.flush()
    else:
        return None  # a console of Windows
    raw = _Output(number, "wb", closefd=False)
    # A word that the encoding lacks is better escaped than an error.
    return io.TextIOWrapper(
        io.BufferedWriter(raw), encoding, "backslashreplace", line_buffering=True
    )


def _raise_failure(stdout: io.TextIOWrapper | None) -> None:
    if stdout is None:
        return
    stdout.flush()
    failure = stdout.buffer.raw.failure  # type: ignore[attr-defined]
    if failure is None:
        return
    if failure.errno == errno.EPIPE:
        raise SystemExit(_BROKEN_PIPE) from None
    print(f"Error: standard output cannot be written ({failure.strerror}).", file=sys.stderr)
    raise SystemExit(1) from None
