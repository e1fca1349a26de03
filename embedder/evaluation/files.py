"""Reading evaluation files, and finding their words."""

from collections.abc import Iterator
from pathlib import Path

from embedder.errors import EvaluationError
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
            f"{path}: byte {error.start:,} is not UTF-8; expected a text file."
        ) from None
    yield from text.split("\n")


def numbered_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the number and text of each line that is neither empty nor begins with #.

    Raises
    ------
    EvaluationError
        If the file is missing or not text.
    """
    for number, line in enumerate(read_lines(path), start=1):
        if line.strip() and not line.startswith("#"):
            yield number, line


def files_in(path: Path) -> list[Path]:
    """Return a file, or the files NAME.txt in a folder and its folders, in the order of names.

    Raises
    ------
    EvaluationError
        For a folder without any.
    """
    if not path.is_dir():
        return [path]
    files = sorted(path.rglob("*.txt"))
    if not files:
        raise EvaluationError(f"{path}: no files NAME.txt in this folder.")
    return files


def case_insensitive_ids(vectors: WordVectors, restrict_vocab: int | None) -> dict[str, int]:
    """Return the row of every word in upper case; of two spellings that of the more frequent."""
    ids: dict[str, int] = {}
    for i, word in enumerate(vectors.vocabulary.words[:restrict_vocab]):
        ids.setdefault(word.upper(), i)
    return ids
