"""Exact nearest-neighbour search, block by block.

A block of unit rows and its similarities fit the cache, threads share the blocks, and memory does
not grow with the number of rows. Each product is a BLAS call on one thread.
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
        Their cosines; −∞ where there is no row.
    """

    ids: Array
    scores: Array


def over_blocks(
    matrix: Array, lengths: Array, work: Callable[[int, Array], None], first: int = 0
) -> None:
    """Call `work(start, unit_rows)` for each block of a matrix, with one thread per core.

    Parameters
    ----------
    matrix : (V, D) float32
        The rows.
    lengths : (V,) float32
        Row lengths from `embedder.arrays.row_lengths`.
    work
        Called with the index of a block's first row and the block's unit rows.
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
        for _ in pool.map(visit, starts):  # re-raises exceptions
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
        Non-zero vectors of any length.
    matrix : (V, D) float32
        The rows.
    lengths : (V,) float32
        Row lengths from `embedder.arrays.row_lengths`.
    count
        k.
    excluded
        The rows to exclude, for each query.

    Returns
    -------
    Found
        Up to k rows per query.
    """
    batches = [
        _nearest(
            queries[start : start + _QUERIES_PER_BATCH],
            matrix,
            lengths,
            count,
            excluded[start : start + _QUERIES_PER_BATCH],
        )
        for start in range(0, len(queries), _QUERIES_PER_BATCH)
    ]
    return Found(*(np.concatenate(column) for column in zip(*batches, strict=True)))


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
        which, columns = np.nonzero(chosen > bound)
        if len(which) > 2 * count * len(promising):
            # At most the block's best `count` rows can be among the results.
            best_columns = np.argpartition(-chosen, count - 1, axis=1)[:, :count]
            which, columns = np.repeat(np.arange(len(promising)), count), best_columns.ravel()
        hits.append((promising[which], columns + start, chosen[which, columns]))

    best = Found(np.full((Q, count), -1, np.int64), np.full((Q, count), -np.inf, np.float32))
    done, size = 0, _BLOCKS_FIRST * _ROWS_PER_BLOCK
    while done < len(matrix):
        # Rounds of growing size: each tightens the lower bound for the scores of the next.
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
    ranks = np.arange(len(queries)) - np.searchsorted(queries, queries)
    kept = (ranks < count) & (scores > -np.inf)  # excluded rows have a score of -inf
    found.ids[queries[kept], ranks[kept]] = rows[kept]
    found.scores[queries[kept], ranks[kept]] = scores[kept]
    return found
