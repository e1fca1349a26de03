"""Exact search: the rows of a matrix that are most similar to queries, block by block.

A block of unit rows and its similarities stay in the cache, blocks go round the threads, and memory
does not grow with the number of rows. The products are BLAS, on one thread each.
"""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

from embedder.arrays import Array, unit_rows

_ROWS_PER_BLOCK = 1024
_QUERIES_PER_BATCH = 1024
_BLOCKS_FIRST = 16
_GROWTH = 7


class Found(NamedTuple):
    """The best rows for each query, best first.

    ``ids (Q, k) int64``
        −1 where a query has fewer than k.
    ``scores (Q, k) float32``
        Their cosines.
    """

    ids: Array
    scores: Array


def over_blocks(
    matrix: Array, lengths: Array, work: Callable[[int, Array], None], first: int = 0
) -> None:
    """Call `work(start, unit_rows)` for each block of a matrix, on as many threads as cores.

    Parameters
    ----------
    matrix : (V, D) float32
        The rows.
    lengths : (V,) float32
        From `embedder.arrays.row_lengths`.
    work
        What is done with the unit rows from `start` on.
    first
        The row to begin at.
    """

    def visit(start: int) -> None:
        stop = start + _ROWS_PER_BLOCK
        work(start, unit_rows(matrix[start:stop], lengths[start:stop]))

    starts = range(first, len(matrix), _ROWS_PER_BLOCK)
    if len(starts) == 1:
        visit(starts[0])
        return
    with threadpool_limits(1, "blas"), ThreadPoolExecutor(_cores()) as pool:
        for _ in pool.map(visit, starts):  # raises what a visit raised
            pass


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def nearest(
    queries: Array, matrix: Array, lengths: Array, count: int, excluded: list[set[int]]
) -> Found:
    """Find the rows with the largest cosine to each query.

    Parameters
    ----------
    queries : (Q, D) float32
        Of any length but 0.
    matrix : (V, D) float32
        The rows.
    lengths : (V,) float32
        From `embedder.arrays.row_lengths`.
    count
        k.
    excluded
        For each query the rows that may not be found.

    Returns
    -------
    Found
        Up to k rows a query.
    """
    parts = [
        _nearest(
            queries[start : start + _QUERIES_PER_BATCH],
            matrix,
            lengths,
            count,
            excluded[start : start + _QUERIES_PER_BATCH],
        )
        for start in range(0, len(queries), _QUERIES_PER_BATCH)
    ]
    return Found(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _nearest(
    queries: Array, matrix: Array, lengths: Array, count: int, excluded: list[set[int]]
) -> Found:
    Q = len(queries)
    queries = unit_rows(queries)
    pairs = [(query, row) for query, rows in enumerate(excluded) for row in rows]
    without = np.array(sorted(pairs, key=lambda pair: pair[1]), np.int64).reshape(-1, 2)
    least = np.full(Q, -np.inf, np.float32)
    hits: list[tuple[Array, Array, Array]] = []  # queries, rows, scores

    def visit(start: int, block: Array) -> None:
        scores = queries @ block.T
        low, high = np.searchsorted(without[:, 1], [start, start + len(block)])
        if high > low:
            scores[without[low:high, 0], without[low:high, 1] - start] = -np.inf
        promising = np.flatnonzero(scores.max(axis=1) > least)
        chosen, bound = scores[promising], least[promising, None]
        which, places = np.nonzero(chosen > bound)
        if len(which) > 2 * count * len(promising):
            # No more than the block's best `count` can be wanted.
            columns = np.argpartition(-chosen, count - 1, axis=1)[:, :count]
            which, places = np.repeat(np.arange(len(promising)), count), columns.ravel()
        hits.append((promising[which], places + start, chosen[which, places]))

    best = Found(np.full((Q, count), -1, np.int64), np.full((Q, count), -np.inf, np.float32))
    done, size = 0, _BLOCKS_FIRST * _ROWS_PER_BLOCK
    while done < len(matrix):
        # In rounds of growing size: what a row must have at least is known better in each.
        over_blocks(matrix[: done + size], lengths, visit, done)
        done, size = done + size, _GROWTH * (done + size)
        best = _best(Q, count, [_hits_of(best), *hits])
        hits.clear()
        full = best.ids[:, -1] >= 0
        least[full] = best.scores[full, -1]
    return best


def _hits_of(best: Found) -> tuple[Array, Array, Array]:
    queries = np.broadcast_to(np.arange(len(best.ids))[:, None], best.ids.shape)
    known = best.ids >= 0
    return queries[known], best.ids[known], best.scores[known]


def _best(Q: int, count: int, hits: list[tuple[Array, Array, Array]]) -> Found:
    found = Found(np.full((Q, count), -1, np.int64), np.full((Q, count), -np.inf, np.float32))
    queries, rows, scores = (np.concatenate(column) for column in zip(*hits, strict=True))
    order = np.lexsort((rows, -scores, queries))
    queries, rows, scores = queries[order], rows[order], scores[order]
    places = np.arange(len(queries)) - np.searchsorted(queries, queries)
    kept = (places < count) & (scores > -np.inf)  # which is what is excluded
    found.ids[queries[kept], places[kept]] = rows[kept]
    found.scores[queries[kept], places[kept]] = scores[kept]
    return found
