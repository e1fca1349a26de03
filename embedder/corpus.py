"""Files, folders, globs, compression and JSON lines, streamed as whitespace-separated words.

Everything downstream sees one form of text: UTF-8 bytes in which ASCII whitespace separates words
and a newline ends a sentence. `read_text` yields it in blocks that end between two words, so that
no file is ever whole in memory and a corpus of one endless line works like any other.
"""

import bz2
import codecs
import functools
import glob
import gzip
import importlib.util
import itertools
import json
import lzma
import queue
import sys
import threading
import unicodedata
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple, cast

import numpy as np

from embedder.arrays import Array
from embedder.config import CorpusConfig
from embedder.errors import CorpusError

BLOCK_BYTES = 1 << 20
LONGEST_WORD_BYTES = 1 << 26
_STANDARD_INPUT = "-"
_WHITESPACE = b" \t\n\r\v\f"


class Source(NamedTuple):
    """One input file: a path, or a URL that fsspec opens; standard input has neither."""

    name: str
    path: Path | None
    url: str | None = None


class Shard(NamedTuple):
    """A part of a file: the lines that begin at bytes ``start`` … ``end`` − 1; None for all."""

    source: Source
    start: int = 0
    end: int | None = None


def find_sources(patterns: Iterable[str]) -> list[Source]:
    """Expand files, folders, globs, `package:` resources, URLs and `-` into input files.

    Folders and globs give their files in the order of their names; hidden files are passed over.

    Raises
    ------
    CorpusError
        For a pattern that matches no file, or a package that is not installed.
    """
    sources = []
    for pattern in patterns:
        if pattern == _STANDARD_INPUT:
            sources.append(Source("standard input", None))
            continue
        if "://" in pattern:
            sources.extend(_remote_sources(pattern))
            continue
        if pattern.startswith("package:"):
            paths = [_package_resource(pattern)]
        elif Path(pattern).exists():
            paths = _files_below(Path(pattern))
        elif glob.has_magic(pattern):
            matches = sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207 - also absolute
            paths = [Path(match) for match in matches if Path(match).is_file()]
        else:
            raise CorpusError(f"{pattern}: no such file or folder; corpus.files names it.")
        if not paths:
            raise CorpusError(f"{pattern}: no file there; corpus.files names it.")
        sources.extend(Source(str(path), path) for path in paths)
    if sum(is_standard_input(source) for source in sources) > 1:
        raise CorpusError("corpus.files: '-' stands more than once; standard input has one end.")
    return sources


def is_standard_input(source: Source) -> bool:
    """Say whether a source can be read only once, and only here."""
    return source.path is None and source.url is None


def _remote_sources(pattern: str) -> list[Source]:
    """List what a URL names: a file, a folder or a glob of any storage that fsspec knows."""
    try:
        import fsspec

        storage, path = fsspec.core.url_to_fs(pattern)
        if glob.has_magic(path):
            found = storage.glob(path)
        else:
            found = storage.find(path) if storage.isdir(path) else [path]
        files = sorted(name for name in found if storage.isfile(name))
        names = [storage.unstrip_protocol(name) for name in files]
    except ImportError as error:
        raise CorpusError(
            f"{pattern}: reading it needs a package ({error}); pip install 'embedder[remote]', "
            "and for s3:// also s3fs, for gs:// gcsfs."
        ) from None
    except Exception as error:  # each storage has errors of its own
        raise CorpusError(f"{pattern}: cannot be listed ({error}).") from None
    if not names:
        raise CorpusError(f"{pattern}: no file there; corpus.files names it.")
    return [Source(name, None, name) for name in names]


def find_shards(patterns: Iterable[str], size: int) -> list[Shard]:
    """Return the input files, those that can be read from any place on cut into parts.

    Parameters
    ----------
    patterns
        As for `find_sources`.
    size
        Bytes of a part, about. A compressed file is one part.

    Raises
    ------
    CorpusError
        As `find_sources` does, and for standard input, which only one process can read.
    """
    shards = []
    for source in find_sources(patterns):
        if is_standard_input(source):
            raise CorpusError(
                "corpus.files: '-' can be read in one process only; write the text to a file."
            )
        if _opener(source) is not None:
            shards.append(Shard(source))
            continue
        with faults_named(source), open_source(source) as stream:
            length = stream.seek(0, 2)
        cuts = [*range(0, length, size), length] if length else [0, 0]
        shards += [Shard(source, *cut) for cut in itertools.pairwise(cuts)]
    return shards


def _package_resource(pattern: str) -> Path:
    package, _, inner = pattern.removeprefix("package:").partition("/")
    spec = importlib.util.find_spec(package) if package.isidentifier() else None
    if spec is None:
        raise CorpusError(
            f"{pattern}: the Python package '{package}' is not installed; install what provides "
            "it (for the quick start: pip install '.[quickstart]')."
        )
    for folder in spec.submodule_search_locations or []:
        path = (Path(folder) / inner).resolve()
        if path.is_file() and path.is_relative_to(Path(folder).resolve()):
            return path
    raise CorpusError(f"{pattern}: the package '{package}' has no file '{inner}'.")


def _files_below(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    return sorted(
        file
        for file in path.rglob("*")
        if file.is_file() and not any(part.startswith(".") for part in file.relative_to(path).parts)
    )


def open_source(source: Source) -> IO[bytes]:
    """Open a source for reading bytes, decompressing by the ending of its name."""
    if is_standard_input(source):
        return sys.stdin.buffer
    file: Any = source.path
    if source.url is not None:
        import fsspec

        file = fsspec.open(source.url, "rb").open()
    opener = _opener(source)
    if opener is None and source.path is not None:
        return source.path.open("rb")
    stream: IO[bytes] = file if opener is None else opener(file)
    return stream


def _opener(source: Source) -> Callable[[Any], Any] | None:
    """Return what decompresses a file by the ending of its name; None for plain text."""
    openers: dict[str, Callable[[Any], Any]] = {
        ".gz": gzip.open,
        ".bz2": bz2.open,
        ".xz": lzma.open,
        ".zst": _open_zstandard,
    }
    return openers.get(Path(source.name).suffix.lower())


@contextmanager
def _open_shard(shard: Shard) -> Iterator[tuple[IO[bytes], int]]:
    """Open a part of a file; give the stream and the byte that it begins at."""
    with open_source(shard.source) as stream:
        if shard.end is None:
            yield stream, 0
            return
        start, end = (_next_line(stream, place) for place in (shard.start, shard.end))
        stream.seek(start)
        yield cast(IO[bytes], _Part(stream, end - start)), start


def _next_line(stream: IO[bytes], place: int) -> int:
    """Return where the first line begins that does so at a byte or after it; or the file's end."""
    if place == 0:
        return 0
    stream.seek(place - 1)
    while data := stream.read(BLOCK_BYTES):
        found = data.find(b"\n")
        if found >= 0:
            return stream.tell() - len(data) + found + 1
    return stream.tell()


class _Part:
    """The next bytes of a stream, so many, as if the file ended there."""

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


def read_text(
    config: CorpusConfig,
    progress: Callable[[int], object] | None = None,
    shards: Iterable[Shard] | None = None,
) -> Iterator[bytes]:
    """Yield the corpus as blocks of UTF-8: words between ASCII whitespace, a sentence a line.

    Files are read and decompressed in a thread of their own. The end of a file ends a sentence.

    Parameters
    ----------
    config
        The files, tokenizer, lower-casing, JSON field and treatment of undecodable bytes.
    progress
        Called with the number of (uncompressed) bytes of each block.
    shards
        Read these instead of all that the configuration names.

    Raises
    ------
    CorpusError
        For a file that cannot be read, is damaged, binary or not UTF-8, or a JSON line without
        the field; the message names the file and the line or byte.
    """
    parts = [Shard(source) for source in find_sources(config.files)] if shards is None else shards
    read = 0
    for source, offset, block in _in_background(_read_blocks(parts, config.text_field)):
        read += len(block)
        if config.limit is not None and read > config.limit:
            raise CorpusError(
                f"{source.name}: with this file the text is longer than corpus.limit, "
                f"{config.limit:,} bytes unpacked; raise it, or give less text."
            )
        if progress:
            progress(len(block))
        yield _normalise(block, config, source, offset)


def _normalise(block: bytes, config: CorpusConfig, source: Source, offset: int) -> bytes:
    if block.isascii():
        block = block.lower() if config.lowercase else block
    else:
        try:
            text = block.decode("utf-8", config.errors)
        except UnicodeDecodeError as error:
            raise CorpusError(
                f"{source.name}: byte {offset + error.start:,} is not UTF-8; convert the file "
                "(iconv -t UTF-8), or set corpus.errors to replace or ignore."
            ) from None
        block = (text.lower() if config.lowercase else text).encode("utf-8")
    return split_words(block) if config.tokenizer == "words" else block


def split_words(text: bytes) -> bytes:
    """Put spaces for everything in UTF-8 text but words and newlines.

    A word is a run of Unicode letters, digits and their combining marks; an apostrophe (' or ’)
    belongs to it between two of these: don't, l’été, rock'n'roll.
    """
    from embedder.kernels.tokens import blank_between_words

    words = np.frombuffer(text, np.uint8).copy()
    blank_between_words(words, _word_characters())
    return words.tobytes()


@functools.cache
def _word_characters() -> Array:
    """Return a table over code points, (0x110000,) bool: letters, marks and numbers."""
    table = np.zeros(0x110000, np.bool_)
    # Beyond plane 3 there are no letters; the variation selectors there are marks.
    for code in (*range(0x32400), *range(0xE0100, 0xE01F0)):
        table[code] = unicodedata.category(chr(code))[0] in "LMN"
    return table


_Block = tuple[Source, int, bytes]


def _read_blocks(shards: Iterable[Shard], text_field: str | None) -> Iterator[_Block]:
    """Yield (source, byte offset, block), each block cut between two words."""
    for shard in shards:
        source = shard.source
        if text_field is None and ".jsonl" in Path(source.name).suffixes:
            raise CorpusError(
                f"{source.name}: JSON lines; set corpus.text_field to the field with the text."
            )
        with faults_named(source), _open_shard(shard) as (stream, start):
            before = _identity(source)
            if text_field is None:
                yield from _cut_between_words(source, stream, start)
            else:
                yield from _texts_of_json_lines(source, stream, text_field)
            if _identity(source) != before:
                raise CorpusError(f"{source.name}: changed while it was read; start again.")


def _identity(source: Source) -> tuple[int, ...] | None:
    """Return what tells a file that was written to from one that was not."""
    if source.path is None or not source.path.is_file():  # standard input, a pipe
        return None
    found = source.path.stat()
    return found.st_ino, found.st_size, found.st_mtime_ns


@contextmanager
def faults_named(source: Source) -> Iterator[None]:
    """Turn what can go wrong in reading a source into one sentence that names it.

    Raises
    ------
    CorpusError
        For a file that cannot be read, or whose compressed data are damaged.
    """
    try:
        yield
    except (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile) as error:
        raise CorpusError(f"{source.name}: damaged compressed file ({error}).") from None
    except OSError as error:
        raise CorpusError(f"{source.name}: cannot be read ({error.strerror or error}).") from None
    except CorpusError:
        raise
    except Exception as error:
        if source.url is not None:  # each storage has errors of its own
            raise CorpusError(f"{source.name}: cannot be read ({error}).") from None
        if type(error).__name__ != "ZstdError":  # naming the class would import zstandard
            raise
        raise CorpusError(f"{source.name}: damaged compressed file ({error}).") from None


def _cut_between_words(source: Source, stream: IO[bytes], offset: int) -> Iterator[_Block]:
    pending = b""
    first = offset == 0
    while data := stream.read(BLOCK_BYTES):
        if first:
            data = _without_byte_order_mark(source, data)
            first = False
        _refuse_binary(source, data, offset + len(pending))
        cut = max(data.rfind(space) for space in (b"\n", b" ", b"\t", b"\r", b"\v", b"\f")) + 1
        if cut == 0:
            pending += data
            if len(pending) > LONGEST_WORD_BYTES:
                raise CorpusError(
                    f"{source.name}: {len(pending):,} bytes without a space from byte {offset:,} "
                    "on; expected text with spaces between its words."
                )
            continue
        yield source, offset, pending + data[:cut]
        offset += len(pending) + cut
        pending = data[cut:]
    yield source, offset, pending + b"\n"


def _without_byte_order_mark(source: Source, data: bytes) -> bytes:
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise CorpusError(
            f"{source.name}: UTF-16 text; convert it to UTF-8 (iconv -f UTF-16 -t UTF-8)."
        )
    return data.removeprefix(codecs.BOM_UTF8)


def _refuse_binary(source: Source, data: bytes, offset: int) -> None:
    position = data.find(b"\0")
    if position >= 0:
        raise CorpusError(
            f"{source.name}: a binary file (byte {offset + position:,} is zero); expected text, "
            "plain or compressed as .gz, .bz2, .xz or .zst."
        )


def _texts_of_json_lines(source: Source, stream: IO[bytes], field: str) -> Iterator[_Block]:
    texts: list[str] = []
    size = 0
    number = 0
    while line := stream.readline(LONGEST_WORD_BYTES):
        number += 1
        if not line.strip(_WHITESPACE):
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise CorpusError(f"{source.name}, line {number}: not JSON ({error}).") from None
        text = record.get(field) if isinstance(record, dict) else None
        if not isinstance(text, str):
            raise CorpusError(
                f"{source.name}, line {number}: no text in the field '{field}'; corpus.text_field "
                f"names it{_fields_of(record)}."
            )
        texts.append(text)
        size += len(text)
        if size >= BLOCK_BYTES:
            yield source, 0, _join(texts)
            texts, size = [], 0
    yield source, 0, _join(texts)


def _fields_of(record: object) -> str:
    return f"; this line has: {', '.join(map(str, record))}" if isinstance(record, dict) else ""


def _join(texts: list[str]) -> bytes:
    # JSON may hold lone surrogates and zeros, which no UTF-8 word can.
    return "".join(f"{text}\n" for text in texts).replace("\0", " ").encode("utf-8", "replace")


_END = None


def _in_background(blocks: Iterator[_Block], depth: int = 4) -> Iterator[_Block]:
    """Run a generator in a thread, at most `depth` blocks ahead; its exception is raised here."""
    waiting: queue.Queue[_Block | BaseException | None] = queue.Queue(maxsize=depth)
    stopped = threading.Event()

    def put(item: _Block | BaseException | None) -> None:
        while not stopped.is_set():
            try:
                waiting.put(item, timeout=0.1)
                return
            except queue.Full:
                continue

    def produce() -> None:
        try:
            for block in blocks:
                put(block)
                if stopped.is_set():
                    return
            put(_END)
        except BaseException as error:
            put(error)

    thread = threading.Thread(target=produce, name="corpus reader", daemon=True)
    thread.start()
    try:
        while True:
            item = waiting.get()
            if item is _END:
                return
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        stopped.set()
