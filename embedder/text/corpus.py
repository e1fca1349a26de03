"""Stream files, folders, globs, compressed files and JSON Lines as whitespace-separated words.

Everything downstream sees the same form of text: UTF-8 bytes in which ASCII whitespace separates
words and a newline ends a sentence. `read_text` yields it in blocks that end between two words, so
no file is ever held in memory as a whole, even if it is a single endless line.
"""

import codecs
import functools
import queue
import threading
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from typing import IO

import numpy as np

from embedder.arrays import Array
from embedder.config_sections.text import CorpusConfig, Normalisation
from embedder.errors import CorpusError
from embedder.text import records
from embedder.text.content import describe_foreign
from embedder.text.listing import find_sources
from embedder.text.normalisation import INVISIBLES, lower_case, normalise
from embedder.text.sources import (
    BLOCK_BYTES,
    Shard,
    Source,
    as_corpus_errors,
    kind_of,
    open_shard,
    peek,
)

MAX_WORD_BYTES = 1 << 26
_HEAD = 1 << 10
INNER_CHARACTERS = "'\u2018\u2019\uff07\u00b7\u0387\u2027\u055a\u055b\u055c\u055e\u055f\u05f4"
"""Apostrophes, Catalan's middle dot, Armenian's signs above vowels and Hebrew's gershayim. Full
stops, colons and commas, which UAX #29 has as well, mostly end words whose space is missing."""
_GERESH = "\u05f3"


def read_text(
    config: CorpusConfig,
    progress: Callable[[int], object] | None = None,
    shards: Iterable[Shard] | None = None,
) -> Iterator[bytes]:
    """Yield the corpus as UTF-8 blocks: words between ASCII whitespace, one sentence per line.

    A background thread reads and decompresses the files. The end of a file ends a sentence.

    Parameters
    ----------
    config
        The files, tokenizer, normal form, case, JSON field and handling of undecodable bytes.
    progress
        Called with the number of uncompressed bytes in each block.
    shards
        Read these instead of all configured files.

    Raises
    ------
    CorpusError
        For a file that cannot be read, is damaged, binary or not UTF-8, or a record without
        the field; the message states the file and the line or byte.
    """
    if shards is None:
        shards = map(Shard, find_sources(config.files, config.unreadable))
    yield from _normalised(_in_background(_read_blocks(shards, config)), config, progress)


def _normalised(
    blocks: Iterable["_Block"], config: CorpusConfig, progress: Callable[[int], object] | None
) -> Iterator[bytes]:
    """Yield blocks normalised and tokenised as configured, up to the limit."""
    read = 0
    for source, offset, block in blocks:
        read += len(block)
        if config.limit is not None and read > config.limit:
            raise CorpusError(
                f"{source.name}: with this file, the uncompressed text exceeds corpus.limit "
                f"({config.limit:,} bytes); raise the limit or use less text."
            )
        if progress:
            progress(len(block))
        yield _normalise(block, config, source, offset)


def normalised(
    texts: Iterable[str],
    config: CorpusConfig,
    name: str,
    progress: Callable[[int], object] | None = None,
) -> Iterator[bytes]:
    """Yield texts in memory as `read_text` yields those of files; each ends a sentence.

    Parameters
    ----------
    texts
        The texts.
    config
        The tokenizer, normal form, case and limit.
    name
        What to call them in errors.
    progress
        Called with the number of bytes in each block.
    """
    source = Source(name, None)
    blocks = ((source, 0, block) for block in _blocks_of_texts(texts))
    yield from _normalised(blocks, config, progress)


def _normalise(block: bytes, config: CorpusConfig, source: Source, offset: int) -> bytes:
    if block.isascii():
        block = block.lower() if config.lowercase else block
    else:
        try:
            text = block.decode("utf-8", config.errors)
        except UnicodeDecodeError as error:
            raise CorpusError(
                f"{source.name}: byte {offset + error.start:,} is not UTF-8; convert the file "
                "(iconv -f ENCODING -t UTF-8), or set corpus.errors to 'replace' or 'ignore'."
            ) from None
        # A block ends after whitespace, which no normal form joins to what follows.
        text = normalise(text, config.normalisation)
        text = lower_case(text, config.normalisation) if config.lowercase else text
        block = text.encode("utf-8")
    return split_words(block) if config.tokenizer == "words" else block


def split_words(text: bytes) -> bytes:
    """Replace everything in UTF-8 text except words and newlines with spaces.

    A word begins with a letter or digit and contains letters, digits and combining marks; between
    two of these, also an apostrophe (don't, l’été, rock'n'roll) or another sign of UAX #29 that is
    only used inside words, and the zero-width joiners of Persian or Hindi.
    """
    from embedder.kernels.tokens import blank_between_words

    words = np.frombuffer(text, np.uint8).copy()
    blank_between_words(words, _kinds_of_characters())
    return words.tobytes()


def words_of(text: str, normalisation: Normalisation) -> list[str]:
    """Return the words of a text as `corpus.tokenizer: words` finds them, in lower case."""
    text = lower_case(normalise(text, normalisation), normalisation)
    return split_words(text.encode("utf-8", "replace")).decode().split()


@functools.cache
def _kinds_of_characters() -> Array:
    """Return what each code point is to the tokenizer, (0x110000,) uint8."""
    from embedder.kernels.tokens import INNER, INVISIBLE, LETTER, MARK

    table = np.zeros(0x110000, np.uint8)
    kinds = {"L": LETTER, "N": LETTER, "M": MARK}
    # There are no letters above plane 3; the variation selectors at U+E0100 are marks.
    for code in (*range(0x32400), *range(0xE0100, 0xE01F0)):
        table[code] = kinds.get(unicodedata.category(chr(code))[0], 0)
    for kind, characters in ((INNER, INNER_CHARACTERS), (INVISIBLE, INVISIBLES), (MARK, _GERESH)):
        table[[ord(character) for character in characters]] = kind
    return table


_Block = tuple[Source, int, bytes]


def _read_blocks(shards: Iterable[Shard], config: CorpusConfig) -> Iterator[_Block]:
    """Yield (source, byte offset, block); each block ends between two words."""
    for shard in shards:
        source = shard.source
        with as_corpus_errors(source), open_shard(shard) as (stream, start):
            before = _identity(source)
            head = peek(stream)
            kind = shard.kind if shard.end is not None else kind_of(source, head)
            _refuse_foreign(source, head)
            if kind is None:
                yield from _cut_between_words(source, stream, start)
            else:
                texts = records.texts(source, kind, stream, config.text_field, config.errors)
                for block in _blocks_of_texts(texts):
                    yield source, 0, block
            if _identity(source) != before:
                raise CorpusError(f"{source.name}: changed while it was being read; start again.")


def _identity(source: Source) -> tuple[int, ...] | None:
    """Return values that change when the file is written to; None if there is no file."""
    if source.path is None or not source.path.is_file():  # standard input, a pipe
        return None
    found = source.path.stat()
    return found.st_ino, found.st_size, found.st_mtime_ns


def _cut_between_words(source: Source, stream: IO[bytes], offset: int) -> Iterator[_Block]:
    pending = b""
    first = offset == 0
    while data := stream.read(BLOCK_BYTES):
        if first:
            _refuse_foreign(source, data)
            data = data.removeprefix(codecs.BOM_UTF8)
            first = False
        _refuse_binary(source, data, offset + len(pending))
        cut = max(data.rfind(space) for space in (b"\n", b" ", b"\t", b"\r", b"\v", b"\f")) + 1
        if cut == 0:
            pending += data
            if len(pending) > MAX_WORD_BYTES:
                raise CorpusError(
                    f"{source.name}: {len(pending):,} bytes without a space, starting at byte "
                    f"{offset:,}; expected words separated by spaces."
                )
            continue
        yield source, offset, pending + data[:cut]
        offset += len(pending) + cut
        pending = data[cut:]
    yield source, offset, pending + b"\n"


def _refuse_foreign(source: Source, head: bytes) -> None:
    what = describe_foreign(head[:_HEAD])
    if what is not None:
        raise CorpusError(f"{source.name}: {what}.")


def _refuse_binary(source: Source, data: bytes, offset: int) -> None:
    position = data.find(b"\0")
    if position >= 0:
        raise CorpusError(
            f"{source.name}: a binary file (byte {offset + position:,} is zero); expected text, "
            "plain or compressed as .gz, .bz2, .xz or .zst."
        )


def _blocks_of_texts(texts: Iterable[str]) -> Iterator[bytes]:
    """Yield texts as UTF-8, a line each, in blocks."""
    waiting: list[str] = []
    size = 0
    for text in texts:
        waiting.append(text)
        size += len(text)
        if size >= BLOCK_BYTES:
            yield _join(waiting)
            waiting, size = [], 0
    yield _join(waiting)


def _join(texts: list[str]) -> bytes:
    # JSON may contain lone surrogates and zeros, which a UTF-8 word cannot.
    return "".join(f"{text}\n" for text in texts).replace("\0", " ").encode("utf-8", "replace")


_END = None


def _in_background(blocks: Iterator[_Block], depth: int = 4) -> Iterator[_Block]:
    """Run a generator in a thread, at most `depth` blocks ahead, and re-raise its exceptions."""
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
