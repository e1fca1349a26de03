"""The nearest of many centroids for each of many vectors, by blocks of products that stay in cache.

A block of vectors belongs to one thread, so the result does not depend on the number of threads.
"""

import numpy as np
from numba import njit, prange

_VECTORS_PER_BLOCK = 256
_CENTROIDS_PER_BLOCK = 512


@njit(parallel=True, error_model="numpy", cache=True)
def nearest_centroids(vectors, centroids, threads, nearest, similarities):
    """Find the centroid with the largest dot product for every vector; the first of equal ones.

    Parameters
    ----------
    vectors : (n, k) float32, centroids : (classes, k) float32
    threads : int
    nearest : (n,) int64, similarities : (n,) float32
        Receive its number, and the dot product.
    """
    n = len(vectors)
    blocks = (n + _VECTORS_PER_BLOCK - 1) // _VECTORS_PER_BLOCK
    for thread in prange(threads):
        for block in range(thread, blocks, threads):
            low = block * _VECTORS_PER_BLOCK
            high = min(n, low + _VECTORS_PER_BLOCK)
            transposed = vectors[low:high].T.copy()
            best = similarities[low:high]
            own = nearest[low:high]
            best[:] = -np.inf
            own[:] = 0
            for first in range(0, len(centroids), _CENTROIDS_PER_BLOCK):
                last = min(len(centroids), first + _CENTROIDS_PER_BLOCK)
                found = np.dot(centroids[first:last], transposed)
                for c in range(last - first):
                    row = found[c]
                    for i in range(high - low):
                        if row[i] > best[i]:
                            best[i] = row[i]
                            own[i] = first + c
