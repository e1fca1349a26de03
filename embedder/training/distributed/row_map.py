"""Fitting ranges of rows as tasks of a cluster.

A task is a pure function of the frozen layers, which are in the object store once, of the counts of
its range, and of how to fit it: it runs on any machine, again if that is lost, with the same bits.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from embedder.arrays import Array
from embedder.config import Config
from embedder.examples.cells import Cooccurrences, stack_rows
from embedder.training.distributed.cluster import Cluster, Reference
from embedder.training.frozen_layers import FrozenLayers
from embedder.training.row_fit import Fit, RowMap, fit_rows

_TASKS_PER_CPU = 2
"""At a time, so that a machine that is ready has the next one at hand."""


class SpreadRows(NamedTuple):
    """Rows of the counts that are on other machines.

    ``parts``
        References to counts of consecutive words.
    ``first``, ``last``
        Which of their rows.
    """

    parts: tuple[Reference, ...]
    first: int
    last: int


class SpreadCounts(NamedTuple):
    """The counts of all words, by ranges that are on other machines.

    ``cuts (ranges + 1,) int64``
        Where the ranges start, and V.
    ``ranges``
        References to the counts of each.
    """

    cuts: Array
    ranges: list[Reference]

    def rows(self, first: int, last: int) -> SpreadRows:
        """Return where the counts of words first … last − 1 are."""
        low = int(np.searchsorted(self.cuts, first, "right")) - 1
        high = int(np.searchsorted(self.cuts, last, "left"))
        start = int(self.cuts[low])
        return SpreadRows(tuple(self.ranges[low:high]), first - start, last - start)

    def spans(self) -> Iterator[tuple[int, int, Reference]]:
        """Yield the first word, the last + 1, and the counts of each range."""
        for (first, last), counts in zip(pairwise(self.cuts.tolist()), self.ranges, strict=True):
            yield first, last, counts


def fit_range(
    layers: FrozenLayers, fit: Fit, first: int, last: int, *parts: Cooccurrences
) -> Array:
    """Fit a range to rows first … last − 1 of some counts; see `embedder.training.row_fit`."""
    return fit_rows(layers.writable(), fit, stack_rows(parts).rows(first, last))[0]


class ClusterRowMap:
    """Fits ranges of rows on a cluster; see `embedder.training.row_fit.RowMap`.

    Parameters
    ----------
    cluster
        The cluster.
    """

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    def __call__(
        self, layers: FrozenLayers, work: Iterable[tuple[Fit, Any]]
    ) -> Iterator[tuple[int, Array]]:
        """Yield the first word and the rows of each range, as they are fitted."""
        cluster, frozen = self._cluster, self._cluster.put(layers.without_rows())
        waiting: dict[Reference, int] = {}
        for fit, counts in work:
            while len(waiting) >= _TASKS_PER_CPU * max(1, cluster.cpus()):
                yield self._next(waiting)
            if isinstance(counts, Cooccurrences):
                counts = SpreadRows((counts,), 0, len(fit.x))
            task = cluster.run(fit_range, frozen, fit, counts.first, counts.last, *counts.parts)
            waiting[task] = fit.first
        while waiting:
            yield self._next(waiting)

    def _next(self, waiting: dict[Reference, int]) -> tuple[int, Array]:
        task = next(self._cluster.as_completed(list(waiting)))
        return waiting.pop(task), self._cluster.fetch(task)


@contextmanager
def open_cluster_map(config: Config) -> Iterator[RowMap]:
    """Join or start the cluster of a configuration, to fit rows there."""
    from embedder.kernels.threads import available_threads

    cluster = Cluster(config.cluster, config.training.threads or available_threads())
    try:
        yield ClusterRowMap(cluster)
    finally:
        cluster.close()
