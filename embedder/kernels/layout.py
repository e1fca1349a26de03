"""Points in the plane by attraction along the edges of a graph and repulsion from random points.

The objective of LargeVis (Tang et al. 2016) and UMAP (McInnes et al. 2018), for the similarity
1/(1 + d²) of two points at distance d: an edge i–j draws both ends together, and every random point
k pushes i away. The gradients of log 1/(1 + d²) and log (1 − 1/(1 + d²)) with respect to y_i are

    −2 (y_i − y_j)/(1 + d²)          2 (y_i − y_k)/(d² (1 + d²))

Steps are sequential: each sees the places that those before it left, and the result has the same
bits on every run.
"""

from numba import njit

from embedder.kernels.counts import uniform

_LARGEST_STEP = 4.0
_SOFTENING = 1e-3
"""Keeps the repulsion of points that coincide finite, as in UMAP."""


@njit(cache=True)
def _clipped(value):
    return min(_LARGEST_STEP, max(-_LARGEST_STEP, value))


@njit(nogil=True, error_model="numpy", cache=True)
def lay_out(places, edges, periods, epochs, negatives, repulsion, seed):
    """Move points in the plane, in place.

    Parameters
    ----------
    places : (n, 2) float64
        Where the points start, and then are.
    edges : (m, 2) int32
        Both ends of each edge; only points with an edge are moved.
    periods : (m,) float64
        An edge takes a step in every this many epochs, at least 1: the largest weight over its own.
    epochs : int
        Passes over the edges; the size of the steps falls linearly to 0.
    negatives : int
        Random points that push the first end away, for each step of an edge.
    repulsion : float
        How strongly they push. Less makes clumps, more shows which words are nearest to which.
    seed : int
    """
    n, drawn = len(places), 0
    due = periods.copy()
    for epoch in range(epochs):
        rate = 1.0 - epoch / epochs
        for e in range(len(edges)):
            if due[e] > epoch + 1:
                continue
            due[e] += periods[e]
            i, j = edges[e, 0], edges[e, 1]
            dx, dy = places[i, 0] - places[j, 0], places[i, 1] - places[j, 1]
            pull = -2.0 / (1.0 + dx * dx + dy * dy)
            step_x, step_y = rate * _clipped(pull * dx), rate * _clipped(pull * dy)
            places[i, 0] += step_x
            places[i, 1] += step_y
            places[j, 0] -= step_x
            places[j, 1] -= step_y
            for _ in range(negatives):
                k = int(uniform(seed, drawn) * n)
                drawn += 1
                if k == i:
                    continue
                dx, dy = places[i, 0] - places[k, 0], places[i, 1] - places[k, 1]
                squared = dx * dx + dy * dy
                push = 2.0 * repulsion / ((_SOFTENING + squared) * (1.0 + squared))
                places[i, 0] += rate * _clipped(push * dx)
                places[i, 1] += rate * _clipped(push * dy)
