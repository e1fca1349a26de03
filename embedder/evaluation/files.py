"""Reading of evaluation files, and look-up of their words."""

from collections.abc import Iterator
from pathlib import Path

from embedder.errors import EvaluationError
from embedder.text.listing import files_below
from embedder.text.normalisation import any_case
from embedder.vectors.word_vectors import WordVectors


def read_lines(path: Path) -> Iterator[str]:
    """Yield the lines of a UTF-8 text file.

    Raises
    ------
    EvaluationError
        If the file is missing or not text.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise EvaluationError(f"{path}: no such file.") from None
    except OSError as error:
        raise EvaluationError(f"{path}: cannot be read ({error.strerror}).") from None
    except UnicodeDecodeError as error:
        raise EvaluationError(
            f"{path}: byte {error.start:,} is not UTF-8; expected a UTF-8 text file."
        ) from None
    yield from text.split("\n")


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
