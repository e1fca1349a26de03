"""Reading of evaluation files, and look-up of their words."""

import csv
import re
from collections.abc import Iterator
from pathlib import Path

from embedder.errors import EvaluationError
from embedder.text.content import describe_foreign
from embedder.text.listing import files_below
from embedder.text.normalisation import any_case
from embedder.vectors.word_vectors import WordVectors

_HEAD = 1 << 10
_LINE_END = re.compile("\r\n|\r|\n")
_QUOTE = '"'
SEPARATORS = "\t", ";", ",", None
"""What may separate fields; white space comes last, since fields may contain spaces."""


def read_lines(path: Path) -> Iterator[str]:
    """Yield the lines of a UTF-8 text file.

    Raises
    ------
    EvaluationError
        If the file is missing or not text.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise EvaluationError(f"{path}: no such file.") from None
    except OSError as error:
        raise EvaluationError(f"{path}: cannot be read ({error.strerror}).") from None
    what = describe_foreign(content[:_HEAD])
    if what is not None:
        raise EvaluationError(f"{path}: {what}.")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise EvaluationError(
            f"{path}: byte {error.start:,} is not UTF-8; expected a UTF-8 text file."
        ) from None
    yield from _LINE_END.split(text)


def numbered_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the number and text of each line, skipping empty lines and those that begin with #.

    Raises
    ------
    EvaluationError
        If the file is missing or not text.
    """
    for number, line in enumerate(read_lines(path), start=1):
        if line.strip() and not line.startswith("#"):
            yield number, line


def split_fields(line: str, separator: str | None) -> list[str]:
    """Return the fields of a line, without quotes and the spaces around them.

    Without a separator, white space separates them.
    """
    if separator is None:
        return [_unquoted(field) for field in line.split()]
    return _quoted_fields(line, separator)


def _quoted_fields(line: str, separator: str) -> list[str]:
    if line.count(_QUOTE) % 2:  # a quote that is a word
        return [field.strip() for field in line.split(separator)]
    (fields,) = csv.reader([line.strip("\r\n")], delimiter=separator, skipinitialspace=True)
    return [field.strip() for field in fields]


def _unquoted(field: str) -> str:
    inside = field[1:-1]
    whole = len(field) > 2 and field[0] == field[-1] == _QUOTE and _QUOTE not in inside
    return inside if whole else field


def files_in(path: Path) -> list[Path]:
    """Return a file, or all .txt files in a folder and its subfolders, sorted by path.

    Raises
    ------
    EvaluationError
        If the folder has none.
    CorpusError
        If there is something in it that may not be read.
    """
    if not is_folder(path):
        return [path]
    files = [file for file in files_below(path) if file.suffix.lower() == ".txt"]
    if not files:
        raise EvaluationError(f"{path}: no .txt files in this folder.")
    return files


def is_folder(path: Path) -> bool:
    """Return whether a path is a folder; not if that is secret, so that reading it says why."""
    try:
        return path.is_dir()
    except OSError:
        return False


def case_insensitive_ids(vectors: WordVectors, restrict_vocab: int | None) -> dict[str, int]:
    """Return the row of every upper-cased word; of two spellings, that of the more frequent."""
    ids: dict[str, int] = {}
    for i, word in enumerate(vectors.vocabulary.words[:restrict_vocab]):
        ids.setdefault(any_case(word), i)
    return ids
