"""Text sources as byte streams: files, resources of packages, URLs and standard input.

The file name extension selects the decompressor.
"""

import bz2
import glob
import gzip
import importlib.util
import io
import lzma
import re
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Literal, NamedTuple, cast

from embedder.errors import CorpusError
from embedder.resources import PACKAGE, resource
from embedder.text.content import compression_of, describe_foreign, table_of

BLOCK_BYTES = 1 << 20
STANDARD_INPUT = "-"
"""The name of standard input among files."""
Kind = Literal["json lines", "json", "csv", "tsv", "parquet", "arrow"]
_MAGIC = {b"PAR1": "parquet", b"ARROW1": "arrow", b"\xff\xff\xff\xff": "arrow"}
_SUFFIXES = {
    ".jsonl": "json lines",
    ".ndjson": "json lines",
    ".jsonlines": "json lines",
    ".jl": "json lines",
    ".csv": "csv",
    ".tsv": "tsv",
    ".parquet": "parquet",
    ".arrow": "arrow",
    ".feather": "arrow",
}
_PEEKED = 1 << 12
_WHITESPACE = b" \t\n\r\v\f"


class Source(NamedTuple):
    """An input file: a path, or a URL that fsspec opens; standard input has neither."""

    name: str
    path: Path | None
    url: str | None = None


class Shard(NamedTuple):
    """The lines of a file that begin at bytes ``start`` … ``end`` − 1; all if ``end`` is None.

    ``kind``
        That of the whole file, if it is cut.
    """

    source: Source
    start: int = 0
    end: int | None = None
    kind: Kind | None = None


def name_of(pattern: str) -> str:
    """Return a name for what is made of a text: that of its file or folder, without suffixes."""
    if pattern == STANDARD_INPUT:
        return "stdin"
    path = pattern.split("://")[-1].removeprefix("package:")
    parts = [part for part in Path(path).parts if not glob.has_magic(part)]
    stem = (parts[-1] if parts else "").split(".")[0] if parts else ""
    return re.sub(r"[^\w-]+", "-", stem).strip("-") or "text"


def is_standard_input(source: Source) -> bool:
    """Return whether a source is standard input, which only this process can read, and once."""
    return source.path is None and source.url is None


def kind_of(source: Source, head: bytes = b"") -> Kind | None:
    """Return which records a file contains, by its name and first bytes; None for plain text."""
    for magic, kind in _MAGIC.items():
        if head.startswith(magic):
            return cast(Kind, kind)
    suffix = _suffix(source)
    if suffix in _SUFFIXES:
        return cast(Kind, _SUFFIXES[suffix])
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip(_WHITESPACE)
    following = start[1:].lstrip(_WHITESPACE)
    if start.startswith(b"[") and (suffix == ".json" or following[:1] in (b"{", b'"')):
        return "json"
    if (start.startswith(b"{") and following[:1] == b'"') or (start and suffix == ".json"):
        return "json lines"
    return table_of(head)


def _suffix(source: Source) -> str:
    """Return the suffix of a file's name before that of its compression, in lower case."""
    path = Path(source.name)
    if path.suffix.lower() in COMPRESSED:
        path = path.with_suffix("")
    return path.suffix.lower()


def peek(stream: IO[bytes]) -> bytes:
    """Return the first bytes of a stream without consuming them; none if that is impossible."""
    look = getattr(stream, "peek", None)
    return look(_PEEKED)[:_PEEKED] if look is not None else b""


def package_resource(pattern: str) -> Path:
    """Return the file that `package:NAME/PATH` names, without importing the package.

    Raises
    ------
    CorpusError
        If the package is not installed or has no such file.
    """
    package, _, inner = pattern.removeprefix("package:").partition("/")
    if package == PACKAGE.name and (own := resource(inner)) is not None:
        return own
    spec = importlib.util.find_spec(package) if package.isidentifier() else None
    if spec is None:
        raise CorpusError(
            f"{pattern}: the Python package '{package}' is not installed; install the "
            "distribution that provides it (for the quick start: pip install "
            "'exact-embedder[quickstart]')."
        )
    for folder in spec.submodule_search_locations or []:
        path = (Path(folder) / inner).resolve()
        if path.is_file() and path.is_relative_to(Path(folder).resolve()):
            return path
    raise CorpusError(f"{pattern}: the package '{package}' has no file '{inner}'.")


def path_of(name: str) -> Path:
    """Return the path of a file that may be `package:NAME/PATH`."""
    return package_resource(name) if name.startswith("package:") else Path(name)


def open_source(source: Source) -> IO[bytes]:
    """Open a source for reading bytes; the file name extension selects the decompressor.

    Raises
    ------
    CorpusError
        For a standard input that is closed.
    """
    if is_standard_input(source):
        if sys.stdin is None:
            raise CorpusError("-: standard input is closed; name a file, or pipe text into it.")
        # A program that a signal ends closes `sys.stdin`, and would wait for the thread that reads.
        return sys.stdin.detach() if isinstance(sys.stdin, io.TextIOWrapper) else sys.stdin.buffer
    file: Any = source.path
    if source.url is not None:
        import fsspec

        file = fsspec.open(source.url, "rb").open()
    opener = COMPRESSED.get(_ending(source))
    if opener is None and source.path is not None:
        return source.path.open("rb")
    stream: IO[bytes] = io.BufferedReader(file) if opener is None else opener(file)
    return stream


def is_compressed(source: Source) -> bool:
    """Return whether a source is decompressed, by its file name extension."""
    return _ending(source) in COMPRESSED


def _ending(source: Source) -> str:
    return Path(source.name).suffix.lower()


@contextmanager
def open_shard(shard: Shard) -> Iterator[tuple[IO[bytes], int]]:
    """Open a shard; yield the stream and the byte offset at which it begins."""
    with open_source(shard.source) as stream:
        if shard.end is None:
            yield stream, 0
            return
        start, end = (_next_line(stream, offset) for offset in (shard.start, shard.end))
        stream.seek(start)
        yield cast(IO[bytes], _LimitedStream(stream, end - start)), start


def _next_line(stream: IO[bytes], offset: int) -> int:
    """Return the start of the first line at or after an offset; the end of the file if none."""
    if offset == 0:
        return 0
    stream.seek(offset - 1)
    while data := stream.read(BLOCK_BYTES):
        found = data.find(b"\n")
        if found >= 0:
            return stream.tell() - len(data) + found + 1
    return stream.tell()


class _LimitedStream:
    """The next `length` bytes of a stream, as if the file ended after them."""

    def __init__(self, stream: IO[bytes], length: int) -> None:
        self._stream = stream
        self._left = length

    def read(self, count: int) -> bytes:
        return self._take(self._stream.read(min(count, self._left)))

    def readline(self, count: int) -> bytes:
        return self._take(self._stream.readline(min(count, self._left)))

    def _take(self, data: bytes) -> bytes:
        self._left -= len(data)
        return data


def _open_zstandard(path: Any) -> Any:
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd
    return zstd.open(path)


COMPRESSED: dict[str, Callable[[Any], Any]] = {
    ".gz": gzip.open,
    ".bz2": bz2.open,
    ".xz": lzma.open,
    ".zst": _open_zstandard,
}
"""The decompressor for each file name extension."""


@contextmanager
def as_corpus_errors(source: Source) -> Iterator[None]:
    """Turn errors from reading a source into one sentence that names the source.

    Raises
    ------
    CorpusError
        For a file that cannot be read or whose compressed data is damaged.
    """
    try:
        yield
    except (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile) as error:
        raise _damaged(source, error) from None
    except OSError as error:
        if error.errno is None and is_compressed(source):  # bzip2's own complaint
            raise _damaged(source, error) from None
        raise CorpusError(f"{source.name}: cannot be read ({error.strerror or error}).") from None
    except CorpusError:
        raise
    except Exception as error:
        if source.url is not None:  # each storage raises its own errors
            raise CorpusError(f"{source.name}: cannot be read ({error}).") from None
        if type(error).__name__ != "ZstdError":  # naming the class would import zstandard
            raise
        raise _damaged(source, error) from None


def _damaged(source: Source, error: Exception) -> CorpusError:
    """Return the error for content that cannot be decompressed, or never was compressed."""
    head = b""
    if source.path is not None and source.path.is_file():
        with suppress(OSError), source.path.open("rb") as file:
            head = file.read(_PEEKED)
    if head and is_compressed(source) and compression_of(head) != _ending(source):
        what = describe_foreign(head) or "not compressed, whatever its name says; rename it"
        return CorpusError(f"{source.name}: {what}.")
    return CorpusError(f"{source.name}: damaged compressed file ({error}).")
