"""From word ids to the network's input x, and from ∂J/∂x back to the rows of E behind it."""

from typing import TYPE_CHECKING

import numpy as np

from embedder.arrays import Array
from embedder.network.composition import Composition, SharedRows
from embedder.network.optimizer import StepContext

if TYPE_CHECKING:
    from embedder.kernels.gather import Groups


class Inputs:
    """The embedding table and the buffers to train it.

    Parameters
    ----------
    E : (R, D)
        Changed in place by `step`.
    concat
        Whether x concatenates a window's vectors instead of averaging them.
    batch_size
        The largest B.
    composition
        Which rows of E make up each word's vector.
    """

    def __init__(self, E: Array, concat: bool, batch_size: int, composition: Composition) -> None:
        self._E = E
        self._concat = concat
        self._batch_size = batch_size
        self._words = composition.words
        self._shared = composition if isinstance(composition, SharedRows) else None
        self._rates = composition.rates()
        self._row_groups: Groups | None = None
        self._allocate(batch_size)

    def _allocate(self, positions: int) -> None:
        """Allocate for batches of up to this many ids, repetitions included."""
        from embedder.kernels.gather import new_groups

        self._groups = new_groups(self._words, positions)
        if self._shared is not None:
            distinct = min(positions, self._words)
            self._vectors = np.empty((distinct, self._E.shape[1]), self._E.dtype)
            self._gradients = np.empty_like(self._vectors)
            self._local = np.empty(positions, np.int32)

    def _group(self, ids: Array) -> int:
        """Group the positions in ids (B, K) by word; return the number of distinct words."""
        from embedder.kernels.gather import group_places

        if len(self._groups.order) < ids.size:
            self._allocate(self._batch_size * ids.shape[1])
        return int(group_places(ids.reshape(-1), self._groups))

    def gather(self, ids: Array, x: Array) -> None:
        """Set x (B, I) to the input for word ids (B, K), −1 for none."""
        from embedder.kernels.gather import gather_concat, gather_mean

        table = self._E
        if self._shared is not None:
            table, ids = self._compose(self._shared, ids)
        gather = gather_concat if self._concat else gather_mean
        gather(table, ids, x)

    def _compose(self, shared: SharedRows, ids: Array) -> tuple[Array, Array]:
        """Return the vectors of the distinct words in ids (B, K), and indexes into them (B, K)."""
        from embedder.kernels.composition import compose, number_places

        found = self._group(ids)
        words = self._groups.rows[:found]
        compose(self._E, shared.starts, shared.rows, words, self._vectors)
        local = self._local[: ids.size]
        number_places(self._groups, found, local)
        return self._vectors, local.reshape(ids.shape)

    def step(self, ids: Array, d_x: Array, context: StepContext) -> None:
        """Update the rows of E that x was formed from.

        Parameters
        ----------
        ids : (B, K)
            As for `gather`.
        d_x : (B, I)
            ∂J/∂x; overwritten.
        context
            The optimizer and its rules for this step.
        """
        from embedder.kernels.gather import count_visits, divide_by_window_sizes, step_rows

        found = self._group(ids)
        if not self._concat:
            divide_by_window_sizes(ids, d_x)
        groups, gradient = self._groups, d_x.reshape(-1, self._E.shape[1])
        places_per_row = 1 if self._concat else ids.shape[1]
        if self._shared is not None:
            groups, found, gradient = self._backpropagate_to_rows(
                self._shared, found, gradient, places_per_row
            )
            places_per_row = 1
        count_visits(0, found, groups, context.optimizer.visits["E"])
        steps = context.row_steps("E", self._rates)
        step_rows(self._E, groups, found, gradient, places_per_row, steps)

    def _backpropagate_to_rows(
        self, shared: SharedRows, found: int, gradient: Array, places_per_row: int
    ) -> tuple["Groups", int, Array]:
        """Sum the gradients by word; return groups of their rows, how many, and the sums."""
        from embedder.kernels.composition import count_rows, divide_by_row_counts, group_rows
        from embedder.kernels.gather import new_groups, sum_groups

        starts, rows = shared.starts, shared.rows
        words, summed = self._groups.rows[:found], self._gradients[:found]
        sum_groups(self._groups, found, gradient, places_per_row, summed)
        divide_by_row_counts(starts, words, summed)
        needed = count_rows(starts, words)
        if self._row_groups is None or len(self._row_groups.order) < needed:
            self._row_groups = new_groups(len(self._E), needed + needed // 2)
        return self._row_groups, group_rows(starts, rows, words, self._row_groups), summed
