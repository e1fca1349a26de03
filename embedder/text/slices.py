"""Cut records into slices: the texts of each value of a field, such as a year."""

import contextlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from embedder.config_sections.comparisons import SLICE_NAME
from embedder.config_sections.text import CorpusConfig
from embedder.errors import CorpusError
from embedder.text import records
from embedder.text.listing import find_sources
from embedder.text.sources import Source, as_corpus_errors, kind_of, open_source, peek

TEXT_FIELD = "text"
"""The field of the text in the files that are written."""
_MOST_SLICES = 200


def split_by_field(config: CorpusConfig, field: str, folder: Path) -> dict[str, list[str]]:
    """Write the texts of each value of a field to a file of JSON Lines.

    Parameters
    ----------
    config
        Names the records and the field of the text.
    field
        The field or column that names the slice of each record; records without it are left out.
    folder
        Receives the files.

    Returns
    -------
    dict
        The file of each slice, in the order of the numbers or names that the slices have.

    Raises
    ------
    CorpusError
        For plain text, or if the field is missing, or has one value or very many.
    """
    files: dict[str, Path] = {}
    with contextlib.ExitStack() as stack:
        opened: dict[str, IO[str]] = {}
        for source in find_sources(config.files, config.unreadable):
            for text, label in _labelled(source, config, field):
                if not label or not text:
                    continue
                if label not in opened:
                    files[label] = folder / f"slice-{len(files)}.jsonl"
                    _check(source, label, field, len(files))
                    file = files[label].open("w", encoding="utf-8")
                    opened[label] = stack.enter_context(file)
                opened[label].write(json.dumps({TEXT_FIELD: text}) + "\n")
    if len(files) < 2:
        raise CorpusError(
            f"slices.field: '{field}' has {len(files)} values in all records; expected at least 2."
        )
    return {name: [str(files[name])] for name in sorted(files, key=_place)}


def _labelled(source: Source, config: CorpusConfig, field: str) -> "zip[tuple[str, str]]":
    """Return pairs of the text and the label of each record."""
    with as_corpus_errors(source), open_source(source) as stream:
        kind = kind_of(source, peek(stream))
    if source.path is None and source.url is None:
        raise CorpusError("slices.field: standard input can be read once only; name a file.")
    if kind is None:
        raise CorpusError(
            f"{source.name}: plain text has no field '{field}', which is set by slices.field; "
            "expected JSON Lines, JSON, CSV, TSV, Parquet or Arrow."
        )

    def values(name: str | None) -> Iterator[str]:
        with as_corpus_errors(source), open_source(source) as stream:
            yield from records.texts(source, kind, stream, name, config.errors, every=True)

    return zip(values(config.text_field), values(field), strict=True)


def _check(source: Source, label: str, field: str, number: int) -> None:
    if not re.fullmatch(SLICE_NAME, label):
        raise CorpusError(
            f"{source.name}: {label!r:.60} in the field '{field}', which is set by slices.field, "
            "cannot be the name of a slice; expected letters, digits, spaces, and any of . , + - _"
        )
    if number > _MOST_SLICES:
        raise CorpusError(
            f"slices.field: '{field}' has more than {_MOST_SLICES} values; expected one with few, "
            "such as a decade."
        )


def _place(name: str) -> tuple[float, str]:
    """Return what slices are sorted by: numbers first, by size."""
    try:
        return float(name), name
    except ValueError:
        return float("inf"), name
