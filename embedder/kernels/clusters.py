"""The nearest of many centroids for each of many vectors, by blocks of products in the cache."""

import numpy as np
from numba import njit

from embedder.arrays import Array
from embedder.kernels.parts import take
from embedder.kernels.threads import share

_VECTORS_PER_BLOCK = 256
_CENTROIDS_PER_BLOCK = 512


@njit(nogil=True, error_model="numpy", cache=True)
def _nearest_parts(parts, vectors, centroids, nearest, similarities):
    while True:
        block = take(parts)
        if block < 0:
            break
        low = block * _VECTORS_PER_BLOCK
        high = min(len(vectors), low + _VECTORS_PER_BLOCK)
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


def nearest_centroids(
    vectors: Array, centroids: Array, nearest: Array, similarities: Array
) -> None:
    """Find the centroid with the largest dot product for every vector; the first of equal ones.

    Parameters
    ----------
    vectors : (n, k) float32, centroids : (classes, k) float32
    nearest : (n,) int64, similarities : (n,) float32
        Receive its number, and the dot product.
    """
    parts = -(-len(vectors) // _VECTORS_PER_BLOCK)
    share(_nearest_parts, parts, vectors, centroids, nearest, similarities)
