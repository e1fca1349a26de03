"""Products of a sparse matrix, in compressed rows, with a dense one."""

from numba import njit

from embedder.arrays import Array, read_only
from embedder.kernels.parts import take
from embedder.kernels.prefetch import prefetch_row
from embedder.kernels.threads import share

_ROWS_PER_PART = 64
_CELLS_AHEAD = 8
"""How far ahead to prefetch rows of the dense matrix, which are scattered."""


@njit(nogil=True, fastmath={"contract", "nsz"}, error_model="numpy", cache=True)
def _multiply_parts(parts, offsets, columns, values, dense, out):
    rows = len(offsets) - 1
    count = (rows + _ROWS_PER_PART - 1) // _ROWS_PER_PART
    while True:
        part = take(parts)
        if part < 0:
            break
        for row in range(part, rows, count):  # frequent words, which come first, are long
            for j in range(out.shape[1]):
                out[row, j] = 0
            end = offsets[row + 1]
            for k in range(offsets[row], end):
                if k + _CELLS_AHEAD < end:
                    prefetch_row(dense, columns[k + _CELLS_AHEAD])
                value, source = values[k], columns[k]
                for j in range(out.shape[1]):
                    out[row, j] += value * dense[source, j]


def sparse_times_dense(
    offsets: Array, columns: Array, values: Array, dense: Array, out: Array
) -> None:
    """Compute S X.

    Parameters
    ----------
    offsets : (V + 1,) int64, columns : (cells,) int32, values : (cells,) float32
        S (V × V).
    dense : (V, k) float32
    out : (V, k) float32
    """
    parts = -(-(len(offsets) - 1) // _ROWS_PER_PART)
    share(_multiply_parts, parts, *read_only(offsets, columns, values), dense, out)
