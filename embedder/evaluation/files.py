"""Reading evaluation files."""

from collections.abc import Iterator
from pathlib import Path

from embedder.errors import EvaluationError


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
