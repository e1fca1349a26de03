"""Files whose text is in a field of records: JSON Lines, JSON arrays, CSV, TSV, Parquet and Arrow.

Records are streamed; Parquet and Arrow are read by pyarrow.
"""

import csv
import io
import itertools
import json
import re
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import IO, Any, Literal, cast

from embedder.errors import CorpusError, CorpusWarning
from embedder.text.normalisation import SPACE_IN_WORD
from embedder.text.sources import Kind, Source, is_standard_input, peek

MAX_RECORD_BYTES = 1 << 26
_SHOWN = 60
_CHARACTERS_PER_READ = 1 << 20
_WHITESPACE = b" \t\n\r\v\f"
_JSON_SPACE = " \t\n\r"
_NEXT = re.compile(rf"[{_JSON_SPACE},]*")
_NAMES = {
    "json lines": "JSON Lines",
    "json": "JSON",
    "csv": "CSV",
    "tsv": "TSV",
    "parquet": "Parquet",
    "arrow": "Arrow",
}


def texts(
    source: Source,
    kind: Kind,
    stream: IO[bytes],
    field: str | None,
    errors: str,
    every: bool = False,
) -> Iterator[str]:
    """Yield the text of each record.

    Parameters
    ----------
    source
        Names the file in errors.
    kind
        From `kind_of`.
    stream
        Its content.
    field
        The field that contains the text, or the column.
    errors
        What to do with bytes that are not UTF-8, as for `bytes.decode`.
    every
        Whether to yield a text for every record: an empty one for null, and one for a number.

    Raises
    ------
    CorpusError
        Without a field, or if a record does not have it; the message names the fields there are.
    """
    readers: dict[str, Callable[[], Iterator[str | None]]] = {
        "json lines": lambda: _of_json_lines(source, stream, field, errors, every),
        "json": lambda: decoded(lambda text: _of_json_array(source, text, field, every)),
        "csv": lambda: decoded(lambda text: _of_csv(source, text, None, field)),
        "tsv": lambda: decoded(lambda text: _of_csv(source, text, "\t", field)),
        "parquet": lambda: _of_columns(source, "parquet", stream, field, every),
        "arrow": lambda: _of_columns(source, "arrow", stream, field, every),
    }

    def decoded(read: Callable[[IO[str]], Iterator[str | None]]) -> Iterator[str | None]:
        text = io.TextIOWrapper(cast(Any, stream), "utf-8-sig", errors, newline="")
        try:
            yield from read(text)
        finally:
            text.detach()  # the stream is closed by who opened it

    try:
        yield from _without_nulls(source, field, readers[kind]())
    except UnicodeDecodeError as error:
        raise CorpusError(
            f"{source.name}: not UTF-8 ({error.reason}); convert the file (iconv -f ENCODING -t "
            "UTF-8), or set corpus.errors to 'replace' or 'ignore'."
        ) from None


def _missing(
    source: Source, where: str, kind: Kind, field: str | None, there: Iterable[str]
) -> CorpusError:
    """Return the error for a record without the field, or for a file whose field is not named."""
    names = ", ".join(map(str, there))
    what = "column" if kind in ("csv", "tsv", "parquet", "arrow") else "field"
    if field is None:
        article = "an" if kind == "arrow" else "a"
        return CorpusError(
            f"{source.name}: {article} {_NAMES[kind]} file; set corpus.text_field to the {what} "
            f"that contains the text{f', one of: {names}' if names else ''}."
        )
    return CorpusError(
        f"{source.name}{where}: no text in the {what} '{field}', which is set by corpus.text_field"
        + (f"; its {what}s are: {names}." if names else ".")
    )


def _text_of(
    source: Source, number: int, kind: Kind, record: object, field: str | None, every: bool
) -> str | None:
    """Return the text of a JSON record; None if it is null, unless every record has one."""
    place = f", line {number}" if kind == "json lines" else f", record {number}"
    if not isinstance(record, dict):
        wanted = f"'{field}'" if field else "for the text, which corpus.text_field names"
        raise CorpusError(
            f"{source.name}{place}: {_describe(record)}; expected an object with a field {wanted}."
        )
    if field is None or field not in record:
        raise _missing(source, place, kind, field, record)
    text = _as_text(record[field]) if every else _with_words_joined(record[field])
    if text is None or isinstance(text, str):
        return text
    raise CorpusError(
        f"{source.name}{place}: the field '{field}' contains {_describe(text)}; expected text, or "
        "a list of words."
    )


def _describe(value: object) -> str:
    """Return what a JSON value is, and the value itself, shortened."""
    shown = json.dumps(value, ensure_ascii=False, default=str)
    shown = shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}…"
    if value is None or isinstance(value, bool):
        return shown
    if isinstance(value, list):
        return f"a list with other values than words, {shown}"
    if isinstance(value, dict):
        return f"an object, {shown}"
    return f"{'the text' if isinstance(value, str) else 'the number'} {shown}"


def _without_nulls(source: Source, field: str | None, found: Iterable[str | None]) -> Iterator[str]:
    """Yield the texts that are there, and warn of records whose text is null."""
    total = missing = 0
    for text in found:
        total += 1
        if text is None:
            missing += 1
        else:
            yield text
    if missing:
        warnings.warn(
            f"{source.name}: '{field}' is null in {missing:,} of {total:,} records, which have no "
            "text.",
            CorpusWarning,
            stacklevel=2,
        )


def _with_words_joined(value: Any) -> Any:
    """Return a list of words as a text, and anything else as it is.

    With `corpus.tokenizer: whitespace`, a word may have spaces.
    """
    if isinstance(value, list) and all(isinstance(word, str) for word in value):
        return " ".join(word.replace(" ", SPACE_IN_WORD) for word in value)
    return value


def _as_text(value: Any) -> Any:
    """Return a value as a text: a number as it is written, null as an empty one."""
    value = _with_words_joined(value)
    if value is None:
        return ""
    return str(value) if isinstance(value, int | float) else value


def _of_json_lines(
    source: Source, stream: IO[bytes], field: str | None, errors: str, every: bool
) -> Iterator[str | None]:
    number = 0
    while line := stream.readline(MAX_RECORD_BYTES):
        number += 1
        if not line.strip(_WHITESPACE):
            continue
        try:
            record = json.loads(line.decode("utf-8-sig", errors))
        except UnicodeDecodeError:
            raise
        except (ValueError, RecursionError) as error:
            raise CorpusError(
                f"{source.name}, line {number}: not JSON ({error}); expected one object per line, "
                "or an array of objects."
            ) from None
        yield _text_of(source, number, "json lines", record, field, every)


def _of_json_array(
    source: Source, stream: IO[str], field: str | None, every: bool
) -> Iterator[str | None]:
    """Yield the texts of an array of objects, or of texts, which is decoded one at a time."""
    decoder = json.JSONDecoder()
    pending = stream.read(_CHARACTERS_PER_READ).lstrip(_JSON_SPACE).removeprefix("[")
    place, number, ended = 0, 0, False
    while True:
        found = _NEXT.match(pending, place)
        place = found.end() if found else place
        if pending.startswith("]", place):
            return
        try:
            record, end = decoder.raw_decode(pending, place)
            # A number or word may go on in what is not yet read.
            complete = end < len(pending) or ended
        except (ValueError, RecursionError) as error:
            if ended or len(pending) - place > MAX_RECORD_BYTES:
                raise CorpusError(
                    f"{source.name}, record {number + 1}: not JSON ({error.args[0]})."
                ) from None
            complete = False
        if not complete:
            more = stream.read(_CHARACTERS_PER_READ)
            pending, place, ended = pending[place:] + more, 0, not more
            continue
        place = end
        number += 1
        is_text = isinstance(record, str)
        yield record if is_text else _text_of(source, number, "json", record, field, every)


def _of_csv(
    source: Source, stream: IO[str], delimiter: str | None, field: str | None
) -> Iterator[str]:
    """Yield a column of a table with a heading; TSV has no quotes."""
    kind: Kind = "csv" if delimiter is None else "tsv"
    heading = stream.readline()
    if delimiter is None:
        delimiter = max(",;\t|", key=heading.count)
    quoting: Literal[0, 3] = csv.QUOTE_MINIMAL if kind == "csv" else csv.QUOTE_NONE
    csv.field_size_limit(MAX_RECORD_BYTES)
    rows = csv.reader(
        itertools.chain([heading], stream), delimiter=delimiter, quoting=quoting, strict=False
    )
    try:
        columns = next(rows, [])
        if field is None or field not in columns:
            raise _missing(source, "", kind, field, columns)
        place = columns.index(field)
        for row in rows:
            if not row:
                continue
            if len(row) != len(columns):
                raise CorpusError(
                    f"{source.name}, line {rows.line_num}: {len(row)} columns, but the heading has "
                    f"{len(columns)}; a text with {delimiter!r} needs quotes."
                )
            yield row[place]
    except csv.Error as error:
        raise CorpusError(
            f"{source.name}, line {rows.line_num}: not {kind.upper()} ({error})."
        ) from None


def _of_columns(
    source: Source,
    kind: Literal["parquet", "arrow"],
    stream: IO[bytes],
    field: str | None,
    every: bool,
) -> Iterator[str | None]:
    """Yield a column of a Parquet or Arrow file."""
    try:
        import pyarrow as pa
    except ImportError:
        raise CorpusError(
            f"{source.name}: reading {_NAMES[kind]} requires pyarrow, which is not installed; pip "
            "install 'exact-embedder[tables]'."
        ) from None
    if is_standard_input(source):
        stream = io.BytesIO(stream.read())  # their index is at the end
    try:
        columns, batches = _open_columns(kind, stream, field)
        if field is None or field not in columns:
            raise _missing(source, "", kind, field, columns)
        for batch in batches:
            yield from _texts_of_column(source, batch.column(field), field, every)
    except pa.ArrowException as error:
        raise CorpusError(f"{source.name}: damaged {_NAMES[kind]} file ({error}).") from None


def _open_columns(
    kind: Literal["parquet", "arrow"], stream: IO[bytes], field: str | None
) -> tuple[list[str], Iterable[Any]]:
    """Return the names of the columns, and an iterator over batches of rows."""
    import pyarrow as pa

    if kind == "parquet":
        from pyarrow import parquet

        file = parquet.ParquetFile(stream)
        return file.schema_arrow.names, file.iter_batches(columns=[field] if field else [])
    if peek(stream).startswith(b"ARROW1"):
        opened = pa.ipc.open_file(stream)
        numbers = range(opened.num_record_batches)
        return opened.schema.names, map(opened.get_batch, numbers)
    reader = pa.ipc.open_stream(stream)
    return reader.schema.names, reader


def _texts_of_column(source: Source, column: Any, field: str, every: bool) -> Iterator[str | None]:
    """Yield the texts of an Arrow array of strings, or of lists of words."""
    for value in column.to_pylist():
        value = _as_text(value) if every else _with_words_joined(value)
        if value is not None and not isinstance(value, str):
            raise CorpusError(
                f"{source.name}: the column '{field}', which is set by corpus.text_field, contains "
                f"{column.type}, not text."
            )
        yield value
