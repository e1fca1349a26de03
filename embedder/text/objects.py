"""Python objects as text: iterables of texts or of lists of tokens, and columns of tables."""

import glob
import itertools
import math
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from embedder.config_sections.text import CorpusConfig, Normalisation
from embedder.errors import CorpusError
from embedder.text.corpus import normalised
from embedder.text.listing import matches_files
from embedder.text.normalisation import SPACE_IN_WORD, normalise

_LONGEST_GLOB = 1000
_ROWS_PER_BATCH = 1000
_WORDS_OF_A_NAME = 4
_SHOWN = 60
_NO_TOKEN = frozenset("\t\n\r\v\f\0")
"""They end words, or lines of files of words; spaces do not, as in "New York"."""
NAME = "python:objects"
"""Stands for the text in `corpus.files`."""


class Objects(NamedTuple):
    """Texts or lists of tokens, each a sentence or a document.

    ``items``
        Each with its number, from 1; they can be iterated over once.
    ``are_tokens``
        Whether they are lists of tokens, which are taken as they are.
    """

    items: Iterator[tuple[int, Any]]
    are_tokens: bool


def are_paths(source: Any) -> bool:
    """Return whether an object is a path, URL or glob, or a list with some.

    A text in a list is taken for one only if a file has this name, or if it is one word with the
    marks of a URL, glob or package.
    """
    if isinstance(source, str | Path):
        return True
    if not isinstance(source, list | tuple) or not source:
        return False
    if not all(isinstance(item, str | Path) for item in source):
        return False
    return any(isinstance(item, Path) or _is_path(item) for item in source)


def names_of(source: Any) -> list[str]:
    """Return the names in an object for which `are_paths` is true.

    Raises
    ------
    CorpusError
        If it is one long text instead of a name.
    """
    names = [str(source)] if isinstance(source, str | Path) else [str(name) for name in source]
    if isinstance(source, str) and _is_prose(source) and not _is_path(source):
        shown = " ".join(source[:_SHOWN].split())
        raise CorpusError(
            f"expected a path, or an iterable of texts, got one text ('{shown}…'); put it into a "
            "list."
        )
    return names


def _is_prose(name: str) -> bool:
    return "\n" in name or len(name.split()) > _WORDS_OF_A_NAME


def _is_path(name: str) -> bool:
    if len(name.split()) == 1 and ("://" in name or name.startswith("package:")):
        return True
    try:
        return bool(name) and (Path(name).exists() or (_has_glob(name) and matches_files(name)))
    except PermissionError:  # there is something, and reading it says what is wrong
        return True
    except (OSError, ValueError):  # too long for a name, or with a zero byte
        return False


def _has_glob(name: str) -> bool:
    return len(name.split()) == 1 and len(name) < _LONGEST_GLOB and glob.has_magic(name)


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
    _, example = first
    is_text = isinstance(example, str)
    if not is_text and not _is_list(example):
        raise CorpusError(
            f"item {first[0]}: expected a text or a list of tokens, got {example!r:.80}."
        )
    return Objects(itertools.chain([first], items), not is_text)


def _column_names(source: Any) -> list[Any] | None:
    """Return the names of a table's columns; None if the object is no table."""
    names = getattr(source, "column_names", None)  # Arrow, Hugging Face
    if names is None and type(source).__name__ == "DataFrame":
        names = source.columns
    elif names is None and type(source).__name__ == "LazyFrame":
        names = source.collect_schema().names()
    elif names is None and _is_in_batches(source):
        names = source.schema.names
    return None if names is None or callable(names) else list(names)


def _is_in_batches(source: Any) -> bool:
    """Return whether an object is Arrow's reader of batches, or its dataset of files."""
    if not type(source).__module__.startswith("pyarrow.") or hasattr(source, "column_names"):
        return False
    return hasattr(source, "to_batches") or hasattr(source, "read_next_batch")


def _column(source: Any, names: list[Any], field: str | None) -> Any:
    """Return an iterable over a column; only this one is read, if possible in batches."""
    if field is None and len(names) != 1:
        raise _no_column("has several columns" if names else "has no columns", names)
    wanted = str(names[0]) if field is None else field
    found = [name for name in names if str(name) == wanted]
    if len(found) != 1:
        number = f"{len(found)} columns" if found else "no column"
        raise _no_column(f"has {number} '{wanted}'", names)
    (name,) = found
    if type(source).__name__ == "LazyFrame":
        return source.select(name).collect()[name]
    if hasattr(source, "select_columns"):  # Hugging Face
        batches = source.select_columns([name]).with_format("arrow").iter(_ROWS_PER_BATCH)
    elif _is_in_batches(source):
        to_batches = getattr(source, "to_batches", None)
        batches = source if to_batches is None else to_batches(columns=[name])
    else:
        return source[name]
    return (value for batch in batches for value in batch.column(name))


def _no_column(what: str, names: list[Any]) -> CorpusError:
    there = f", one of: {', '.join(map(str, names))}" if names else ""
    return CorpusError(
        f"the table {what}; set text_field to the one that contains the text{there}."
    )


def _present(items: Iterator[Any], field: str | None) -> Iterator[tuple[int, Any]]:
    """Yield the items that are there, as Python's own objects, with their numbers."""
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
        yield number, item


def blocks_of(
    objects: Objects, config: CorpusConfig, progress: Callable[[int], object] | None = None
) -> Iterator[bytes]:
    """Yield the objects as `embedder.text.corpus.read_text` yields files.

    Raises
    ------
    CorpusError
        For an item that is neither a text nor a list of tokens, as the first one is, or a token
        that is empty, or contains a tab or the end of a line.
    """
    texts = (
        _joined(objects.items, config.normalisation)
        if objects.are_tokens
        else _checked(objects.items)
    )
    yield from normalised(texts, config, "the text", progress)


def _checked(items: Iterable[tuple[int, Any]]) -> Iterator[str]:
    for number, item in items:
        if not isinstance(item, str):
            raise CorpusError(f"item {number}: expected a text like the first, got {item!r:.80}.")
        yield item


def _joined(items: Iterable[tuple[int, Any]], form: Normalisation) -> Iterator[str]:
    for number, item in items:
        if not _is_list(item):
            raise CorpusError(
                f"item {number}: expected a list of tokens like the first, got {item!r:.80}."
            )
        tokens = [token if isinstance(token, str) else _as_text(number, token) for token in item]
        for token in tokens:
            if not token or not _NO_TOKEN.isdisjoint(token):
                raise CorpusError(
                    f"item {number}: the token {token!r} is empty or contains a tab, newline or "
                    "zero byte; expected tokens without, such as 'New York'."
                )
        # NFKC makes spaces of other characters, such as no-break spaces.
        yield " ".join(normalise(token, form).replace(" ", SPACE_IN_WORD) for token in tokens)


def _is_list(item: Any) -> bool:
    return hasattr(item, "__iter__") and not isinstance(item, str | bytes)


def _as_text(number: int, token: Any) -> str:
    if not isinstance(token, int | np.integer):
        raise CorpusError(
            f"item {number}: expected tokens that are texts or integers, got {token!r:.80}."
        )
    return str(token)
