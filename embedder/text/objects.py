"""Python objects as text: iterables of texts or of lists of tokens, and columns of tables."""

import itertools
import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from embedder.config_sections import CorpusConfig
from embedder.errors import CorpusError
from embedder.text.corpus import normalised

NAME = "python:objects"
"""Stands for the text in `corpus.files`."""


class Objects(NamedTuple):
    """Texts or lists of tokens, each a sentence or a document.

    ``items``
        They can be iterated over once.
    ``are_tokens``
        Whether they are lists of tokens, which are taken as they are.
    """

    items: Iterator[Any]
    are_tokens: bool


def are_paths(source: Any) -> bool:
    """Return whether an object is a path, URL or glob, or a list of existing ones."""
    if isinstance(source, str | Path):
        return True
    if not isinstance(source, list | tuple) or not source:
        return False
    return all(
        isinstance(item, Path) or (isinstance(item, str) and _exists(item)) for item in source
    )


def _exists(name: str) -> bool:
    if "://" in name:
        return len(name.split()) == 1
    try:
        return Path(name).exists()
    except (OSError, ValueError):  # too long for a name, or with a zero byte
        return False


def objects_of(source: Any, field: str | None = None) -> Objects:
    """Return the texts or lists of tokens in an object.

    Parameters
    ----------
    source
        An iterable of texts; of lists of tokens, strings or integers; of dictionaries with a text
        in a field; a column of pandas, polars, Arrow or Hugging Face datasets; or a table of these.
    field
        The column of a table, or the field of dictionaries.

    Raises
    ------
    CorpusError
        If it is something else, or empty, or the column is not there.
    """
    names = _column_names(source)
    if names is not None:
        source = _column(source, names, field)
    try:
        items = iter(source)
    except TypeError:
        raise CorpusError(
            f"expected a path, or an iterable of texts or of lists of tokens, got {source!r:.80}."
        ) from None
    items = _present(items, field)
    first = next(items, None)
    if first is None:
        raise CorpusError("the iterable of texts is empty.")
    return Objects(itertools.chain([first], items), not isinstance(first, str))


def _column_names(source: Any) -> list[str] | None:
    """Return the names of a table's columns; None if the object is no table."""
    names = getattr(source, "column_names", None)  # Arrow, Hugging Face
    if names is None and type(source).__name__ == "DataFrame":
        names = source.columns
    return None if names is None or callable(names) else [str(name) for name in names]


def _column(source: Any, names: list[str], field: str | None) -> Any:
    if field is None and len(names) == 1:
        (field,) = names
    if field is None or field not in names:
        what = "has several columns" if field is None else f"has no column '{field}'"
        raise CorpusError(
            f"the table {what}; set text_field to the one that contains the text, one of: "
            f"{', '.join(names)}."
        )
    if hasattr(source, "take") and hasattr(source, "features"):  # Hugging Face, row by row
        return (row[field] for row in source)
    return source[field]


def _present(items: Iterator[Any], field: str | None) -> Iterator[Any]:
    """Yield the items that are there, as Python's own objects."""
    for number, item in enumerate(items, 1):
        if hasattr(item, "as_py"):  # a scalar of Arrow
            item = item.as_py()
        if isinstance(item, dict):
            if field is None or field not in item:
                raise CorpusError(
                    f"item {number} is a dictionary; set text_field to the field that contains the "
                    f"text, one of: {', '.join(map(str, item))}."
                )
            item = item[field]
        missing = item is None or type(item).__name__ == "NAType"
        if missing or (isinstance(item, float) and math.isnan(item)):
            continue
        yield item


def blocks_of(objects: Objects, config: CorpusConfig, progress: Any = None) -> Iterator[bytes]:
    """Yield the objects as `embedder.text.corpus.read_text` yields files.

    Raises
    ------
    CorpusError
        For an item that is neither a text nor a list of tokens, as the first one is, or a token
        that contains white space.
    """
    texts = _joined(objects.items) if objects.are_tokens else _checked(objects.items)
    yield from normalised(texts, config, "the text", progress)


def _checked(items: Iterable[Any]) -> Iterator[str]:
    for number, item in enumerate(items, 1):
        if not isinstance(item, str):
            raise CorpusError(f"item {number}: expected a text like the first, got {item!r:.80}.")
        yield item


def _joined(items: Iterable[Any]) -> Iterator[str]:
    for number, item in enumerate(items, 1):
        try:
            tokens = [] if isinstance(item, str) else [str(token) for token in item]
        except TypeError:
            tokens = []
        if isinstance(item, str) or (not tokens and not hasattr(item, "__len__")):
            raise CorpusError(
                f"item {number}: expected a list of tokens like the first, got {item!r:.80}."
            )
        text = " ".join(tokens)
        if len(text.encode("utf-8", "replace").split()) != len(tokens):
            token = next(token for token in tokens if len(token.encode().split()) != 1)
            raise CorpusError(
                f"item {number}: the token {token!r} is empty or contains white space; expected "
                "tokens without, such as new_york."
            )
        yield text
