"""Counts in compressed sparse rows, computed in slabs, then kept, or written to disk and mapped.

A slab is a range of rows that fits in memory. Its cells are computed into buffers with room for all
of them, and moved together. If each slab is written to disk before the next one is computed, memory
depends on the size of a slab only.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from embedder.arrays import Array, offsets_from_lengths

if TYPE_CHECKING:
    from embedder.kernels.counts import RowBuffers

CELLS_PER_SLAB = 1 << 25
"""Maximum number of cells computed between two writes to disk: 256 MB."""
BYTES_PER_CELL = 8
_CELLS_PER_SUM = 1 << 20


class Cooccurrences(NamedTuple):
    """Counts in compressed sparse rows: one row per word, one column per context.

    ``offsets (V + 1,) int64``
    ``columns (cells,) int32``
        Context numbers, ascending within a row.
    ``weights (cells,) float32``
    """

    offsets: Array
    columns: Array
    weights: Array

    def rows(self, first: int, last: int) -> "Cooccurrences":
        """Return rows first … last − 1 by themselves."""
        own = slice(self.offsets[first], self.offsets[last])
        offsets = self.offsets[first : last + 1] - self.offsets[first]
        return Cooccurrences(offsets, self.columns[own], self.weights[own])

    def row_totals(self) -> Array:
        """Return n_w = Σ_c C[w, c], (V,) float64."""
        return np.array(
            [
                self.weights[start:end].sum(dtype=np.float64)
                for start, end in zip(self.offsets[:-1], self.offsets[1:], strict=True)
            ]
        )

    def column_totals(self, contexts: int) -> Array:
        """Return Σ_w C[w, c] for every context, (C,) float64."""
        totals = np.zeros(contexts)
        # In pieces, because bincount makes int64 and float64 copies of its arguments.
        for start in range(0, len(self.columns), _CELLS_PER_SUM):
            piece = slice(start, start + _CELLS_PER_SUM)
            totals += np.bincount(self.columns[piece], self.weights[piece], contexts)
        return totals


def stack_rows(parts: Sequence[Cooccurrences]) -> Cooccurrences:
    """Return the rows of several counts, one after the other."""
    if len(parts) == 1:
        return parts[0]
    lengths = np.concatenate([np.diff(part.offsets) for part in parts])
    columns, weights = (np.concatenate([part[i] for part in parts]) for i in (1, 2))
    return Cooccurrences(offsets_from_lengths(lengths), columns, weights)


def cells_per_slab(memory_limit: int | None) -> int:
    """Return the maximum number of cells of a slab, half of a memory limit in bytes at most."""
    if memory_limit is None:
        return CELLS_PER_SLAB
    return min(CELLS_PER_SLAB, memory_limit // 2 // BYTES_PER_CELL)


def cut_rows(offsets: Array, most: int) -> Iterator[tuple[int, int]]:
    """Yield ranges of rows, first and last + 1, that have at most so many cells, or one row.

    Parameters
    ----------
    offsets : (V + 1,) int64
        Offsets of the rows' cells.
    most
        The maximum number of cells of a range.
    """
    rows = len(offsets) - 1
    first = 0
    while first < rows:
        last = int(np.searchsorted(offsets, offsets[first] + most, side="right")) - 1
        last = max(first + 1, last)
        yield first, last
        first = last


def fill_rows(
    room: Array,
    slabs: Iterable[tuple[int, int]],
    fill: "Callable[[int, int, RowBuffers], None]",
    dtype: type = np.float32,
) -> Iterator[Cooccurrences]:
    """Compute rows of cells, and yield them a slab at a time.

    Parameters
    ----------
    room : (V + 1,) int64
        Offsets of the rows if each has the maximum number of cells.
    slabs
        Consecutive ranges of rows, from `cut_rows`.
    fill
        Sets the cells of rows first … last − 1.
    dtype
        The dtype of the weights.
    """
    from embedder.kernels.counts import RowBuffers, close_gaps

    for first, last in slabs:
        own_room = room[first : last + 1] - room[first]
        rows = RowBuffers(
            own_room,
            np.empty(own_room[-1], np.int32),
            np.empty(own_room[-1], dtype),
            np.zeros(last - first, np.int64),
        )
        fill(first, last, rows)
        cells = close_gaps(rows.columns, rows.weights, own_room, rows.used)
        offsets = offsets_from_lengths(rows.used)
        yield Cooccurrences(offsets, rows.columns[:cells], rows.weights[:cells])


def store_rows(parts: Iterable[Cooccurrences], path: Path | None) -> Cooccurrences:
    """Return consecutive rows, written to disk one part after the other and memory-mapped.

    Parameters
    ----------
    parts
        The rows.
    path
        The path of the files, without their suffixes; None to keep the rows in memory.
    """
    if path is None:
        return stack_rows(list(parts))
    lengths, paths = [], (path.with_suffix(".columns"), path.with_suffix(".weights"))
    with paths[0].open("wb") as columns_file, paths[1].open("wb") as weights_file:
        for part in parts:
            lengths.append(np.diff(part.offsets))
            columns_file.write(np.ascontiguousarray(part.columns).data)
            weights_file.write(np.ascontiguousarray(part.weights).data)
    offsets = offsets_from_lengths(np.concatenate(lengths))
    if offsets[-1] == 0:  # an empty file cannot be mapped
        return Cooccurrences(offsets, np.empty(0, np.int32), np.empty(0, np.float32))
    columns, weights = (
        np.asarray(np.memmap(path, dtype, mode="r"))
        for path, dtype in zip(paths, (np.int32, np.float32), strict=True)
    )
    return Cooccurrences(offsets, columns, weights)
