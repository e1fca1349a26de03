"""Products of a sparse matrix, in compressed rows, with a dense one.

Rows are assigned to threads in turn, because frequent words come first and have the longest rows.
"""

from numba import njit, prange

from embedder.kernels.prefetch import prefetch_row

_CELLS_AHEAD = 8
"""How far ahead to prefetch rows of the dense matrix, which are scattered."""


@njit(parallel=True, fastmath={"contract", "nsz"}, error_model="numpy", cache=True)
def sparse_times_dense(offsets, columns, values, dense, threads, out):
    """Compute S X.

    Parameters
    ----------
    offsets : (V + 1,) int64, columns : (cells,) int32, values : (cells,) float32
        S (V × V).
    dense : (V, k) float32
    threads : int
    out : (V, k) float32
    """
    rows = len(offsets) - 1
    for thread in prange(threads):
        for row in range(thread, rows, threads):
            total = out[row]
            total[:] = 0
            end = offsets[row + 1]
            for k in range(offsets[row], end):
                if k + _CELLS_AHEAD < end:
                    prefetch_row(dense, columns[k + _CELLS_AHEAD])
                value = values[k]
                source = dense[columns[k]]
                for j in range(len(total)):
                    total[j] += value * source[j]
