"""Rows from an untrusted file: checked, repaired, and written to disk as they arrive.

Memory holds the words and one chunk of vectors; the matrix is an unnamed temporary file, mapped
read-only, so files larger than memory can be read and converted.
"""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Never, Self

import numpy as np
from tqdm import tqdm

from embedder.arrays import Array
from embedder.errors import FormatError
from embedder.storage import describe_write_error
from embedder.text.vocabulary import Vocabulary
from embedder.training import progress as bars
from embedder.vectors.word_vectors import WordVectors

ROWS_PER_CHUNK = 4096
MAX_DIMENSION = 100_000


def progress_bar(total: int | None, wanted: bool, what: str) -> "tqdm[Never]":
    """Return a progress bar that counts vectors; it shows on a terminal, after half a second."""
    return bars.progress_bar(
        not wanted,
        total=total,
        desc=what,
        unit=" vectors",
        unit_scale=True,
        delay=0.5,
        leave=False,
    )


def check_dimension(path: Path, dimension: int, where: str = ", line 1") -> None:
    """Reject an implausible dimension.

    Raises
    ------
    FormatError
        For fewer than 1 or more than 100,000.
    """
    if not 0 < dimension <= MAX_DIMENSION:
        raise FormatError(
            f"{path}{where}: vectors of {dimension:,} dimensions; expected 1 to {MAX_DIMENSION:,}."
        )


def _first_not_finite(matrix: Array) -> int | None:
    """Return the index of the first row with a number that is not finite; None if there is none."""
    finite = np.isfinite(matrix)
    return None if finite.all() else int(np.flatnonzero(~finite.all(axis=1))[0])


@contextmanager
def _as_format_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        folder = Path(tempfile.gettempdir())
        raise FormatError(describe_write_error(folder, error, "set TMPDIR")) from None


class VectorRows:
    """Collects words and vectors from a file; use it in a `with` statement.

    Invalid bytes in words are replaced, and only the first vector of a duplicate word is kept; both
    are counted and reported in the `repairs` of the result.

    Parameters
    ----------
    path
        The file, for error messages.
    dimension
        D.
    promised
        Number of rows declared by the file; None if it declares none.
    progress
        Show a progress bar on a terminal.
    what
        Name of a row in error messages.
    """

    def __init__(
        self,
        path: Path,
        dimension: int,
        promised: int | None = None,
        progress: bool = False,
        what: str = "row",
    ) -> None:
        self._path = path
        self._dimension = dimension
        self._promised = promised
        self._what = what
        self._bar = progress_bar(promised, progress, f"reading {path.name}")
        self._words: dict[str, None] = {}
        with _as_format_errors():
            self._file = tempfile.TemporaryFile()  # noqa: SIM115 - closed by __exit__
        self._read = self._replaced = self._duplicates = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()
        self._file.close()  # memory maps of it remain valid

    def add(self, words: Sequence[bytes], matrix: Array) -> None:
        """Add rows.

        Parameters
        ----------
        words
            Their words, expected to be UTF-8.
        matrix : (n, D) float32
            Their vectors.

        Raises
        ------
        FormatError
            For a number that is not finite; the message states the row.
        """
        row = _first_not_finite(matrix)
        if row is not None:
            raise FormatError(
                f"{self._path}, {self._what} {self._read + row + 1:,} "
                f"('{words[row].decode('utf-8', 'replace')}'): a number is not finite."
            )
        kept = np.ones(len(words), np.bool_)
        for i, raw in enumerate(words):
            try:
                word = raw.decode("utf-8")
            except UnicodeDecodeError:
                word = raw.decode("utf-8", "replace")
                self._replaced += 1
            if word in self._words:
                kept[i] = False
            else:
                self._words[word] = None
        self._read += len(words)
        self._duplicates += int((~kept).sum())
        self._bar.update(len(words))
        rows = matrix if kept.all() else matrix[kept]
        with _as_format_errors():
            self._file.write(np.ascontiguousarray(rows, "<f4").data)

    def finish(self) -> WordVectors:
        """Return the collected vectors.

        Raises
        ------
        FormatError
            If there are none.
        """
        if not self._words:
            raise FormatError(f"{self._path}: has no vectors.")
        repairs = []
        if self._promised is not None and self._promised != self._read:
            repairs.append(
                f"the header declares {self._promised:,} words, but the file has {self._read:,}"
            )
        if self._replaced:
            repairs.append(f"{self._replaced:,} words are not UTF-8; invalid bytes were replaced")
        if self._duplicates:
            repairs.append(
                f"{self._duplicates:,} duplicate words were dropped; their first vectors were kept"
            )
        with _as_format_errors():
            self._file.flush()
        matrix = np.memmap(self._file, "<f4", "r", shape=(len(self._words), self._dimension))
        words = list(self._words)
        return WordVectors(
            Vocabulary(words, np.zeros(len(words), np.int64)), matrix, tuple(repairs)
        )


def gather(
    path: Path,
    words: Sequence[str],
    matrix: Array,
    progress: bool,
    scales: Array | None = None,
) -> WordVectors:
    """Check a complete matrix and return it as vectors, without copying if it needs no changes.

    Parameters
    ----------
    path
        The file, for error messages.
    words
        The words in the order of the rows.
    matrix : (V, D)
        float32, memory-mapped or not, is used as it is; other dtypes are converted.
    progress
        Show a progress bar on a terminal if rows must be copied.
    scales : (D,) float32
        Factors for the columns of an integer matrix.

    Raises
    ------
    FormatError
        For a matrix of another shape or dtype, or numbers that are not finite.
    """
    kind, name = ("f", "floats") if scales is None else ("i", "integers")
    if matrix.ndim != 2 or matrix.dtype.kind != kind or len(matrix) != len(words):
        raise FormatError(
            f"{path}: a matrix of shape {matrix.shape} and dtype {matrix.dtype}; expected {name} "
            f"and one row for each of the {len(words):,} words."
        )
    check_dimension(path, matrix.shape[1], "")
    if matrix.dtype == np.float32 and len(set(words)) == len(words) and len(words):
        for start in range(0, len(matrix), ROWS_PER_CHUNK):
            row = _first_not_finite(matrix[start : start + ROWS_PER_CHUNK])
            if row is not None:
                raise FormatError(
                    f"{path}, row {start + row + 1:,} ('{words[start + row]}'): a number is not "
                    "finite."
                )
        return WordVectors(Vocabulary(list(words), np.zeros(len(words), np.int64)), matrix)
    with VectorRows(path, matrix.shape[1], progress=progress) as rows:
        for start in range(0, len(matrix), ROWS_PER_CHUNK):
            chunk = matrix[start : start + ROWS_PER_CHUNK].astype("<f4")
            if scales is not None:
                with np.errstate(over="ignore", invalid="ignore"):  # rejected below as not finite
                    chunk *= scales
            rows.add([word.encode() for word in words[start : start + ROWS_PER_CHUNK]], chunk)
        return rows.finish()
