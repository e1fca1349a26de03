"""Rows from an untrusted file: checked, repaired, and written to disk as they arrive.

Memory holds the words and one chunk of vectors; the matrix is an unnamed temporary file, mapped
read-only, so files larger than memory can be read and converted.
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Never, Self

import numpy as np
from tqdm import tqdm

from embedder.arrays import Array
from embedder.errors import FormatError
from embedder.runs import progress as bars
from embedder.text.vocabulary import Vocabulary
from embedder.vectors.formats.complaints import quoted
from embedder.vectors.formats.opening import as_temporary_file_errors
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
    declared
        V and D as the file declares them; None if it does not.
    progress
        Show a progress bar on a terminal.
    what
        Name of a row in error messages, of which the first has number 1.
    """

    def __init__(
        self,
        path: Path,
        dimension: int,
        declared: tuple[int, int] | None = None,
        progress: bool = False,
        what: str = "row",
    ) -> None:
        self._path = path
        self._dimension = dimension
        self._declared = declared
        self._what = what
        self._bar = progress_bar(declared and declared[0], progress, f"reading {path.name}")
        self._words: dict[str, None] = {}
        with as_temporary_file_errors():
            self._file = tempfile.TemporaryFile()  # noqa: SIM115 - closed by __exit__
        self._read = self._replaced = self._duplicates = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()
        self._file.close()  # memory maps of it remain valid

    def add(
        self, words: Sequence[bytes], matrix: Array, numbers: Sequence[int] | None = None
    ) -> None:
        """Add rows.

        Parameters
        ----------
        words
            Their words, expected to be UTF-8.
        matrix : (n, D) float32
            Their vectors.
        numbers
            What errors call them; by default they are counted.

        Raises
        ------
        FormatError
            For a number that is not finite; the message states the row.
        """
        row = _first_not_finite(matrix)
        if row is not None:
            number = self._read + row + 1 if numbers is None else numbers[row]
            raise FormatError(
                f"{self._path}, {self._what} {number:,} "
                f"({quoted(words[row])}): a number is not finite."
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
        with as_temporary_file_errors():
            self._file.write(np.ascontiguousarray(rows, "<f4").data)

    def finish(self, repairs: Sequence[str] = ()) -> WordVectors:
        """Return the collected vectors.

        Parameters
        ----------
        repairs
            What else was repaired.

        Raises
        ------
        FormatError
            If there are none.
        """
        if not self._words:
            raise FormatError(f"{self._path}: has no vectors.")
        repairs = [*self._wrong_header(), *repairs]
        if self._replaced:
            repairs.append(f"{self._replaced:,} words are not UTF-8; invalid bytes were replaced")
        if self._duplicates:
            repairs.append(
                f"{self._duplicates:,} duplicate words were dropped; their first vectors were kept"
            )
        with as_temporary_file_errors():
            self._file.flush()
        matrix = np.memmap(self._file, "<f4", "r", shape=(len(self._words), self._dimension))
        words = list(self._words)
        return WordVectors(
            Vocabulary(words, np.zeros(len(words), np.int64)), matrix, tuple(repairs)
        )

    def _wrong_header(self) -> list[str]:
        rows, dimension = self._declared or (self._read, self._dimension)
        if dimension != self._dimension:
            return [
                f"the header declares {rows:,} words of {dimension:,} dimensions, but the file has "
                f"{self._read:,} of {self._dimension:,}"
            ]
        if rows != self._read:
            return [f"the header declares {rows:,} words, but the file has {self._read:,}"]
        return []


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
    distinct = len(set(words)) == len(words) > 0
    if matrix.dtype == np.float32 and distinct and _are_unicode(words):
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
            some = words[start : start + ROWS_PER_CHUNK]
            rows.add([word.encode("utf-8", "surrogatepass") for word in some], chunk)
        return rows.finish()


def _are_unicode(words: Sequence[str]) -> bool:
    """Return whether no word has half a pair of surrogates, as JSON may have."""
    try:
        return "".join(words).encode() is not None
    except UnicodeEncodeError:
        return False
