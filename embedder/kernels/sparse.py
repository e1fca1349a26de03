"""Products of a sparse matrix, in compressed rows, with a dense one.

Rows are assigned to threads in turn, because frequent words come first and have the longest rows.
"""

import numpy as np
from numba import njit, prange


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
            for k in range(offsets[row], offsets[row + 1]):
                value = values[k]
                source = dense[columns[k]]
                for j in range(len(total)):
                    total[j] += value * source[j]


@njit(parallel=True, error_model="numpy", cache=True)
def positive_pmi(offsets, columns, weights, log_shares, total, threads, out):
    """Compute max(0, log(C[w, c] N / (n_w n_c))) for every cell.

    Parameters
    ----------
    offsets, columns, weights
        The counts C.
    log_shares : (V,) float64
        log(n_w / N).
    total : float
        N.
    threads : int
    out : (cells,) float32
    """
    rows = len(offsets) - 1
    for thread in prange(threads):
        for row in range(thread, rows, threads):
            for k in range(offsets[row], offsets[row + 1]):
                pmi = np.log(weights[k] / total) - log_shares[row] - log_shares[columns[k]]
                out[k] = max(pmi, 0.0)
