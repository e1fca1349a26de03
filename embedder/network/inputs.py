"""From words to x, the network's input, and from ∂J/∂x back to the rows of E that made it."""

from typing import TYPE_CHECKING

import numpy as np

from embedder.arrays import Array
from embedder.network.composition import Composition
from embedder.network.optimizer import Optimizer

if TYPE_CHECKING:
    from embedder.kernels.gather import Groups
    from embedder.kernels.optimizer import Rule


class Inputs:
    """The embedding table and the memory to train it.

    Parameters
    ----------
    E : (R, D)
        Changed in place by `step`.
    concat
        Whether a window's vectors stand side by side in x, instead of their mean.
    batch_size
        The largest B.
    parts
        How many threads share the work.
    composition
        What words' vectors are the means of; None for a row each.
    """

    def __init__(
        self,
        E: Array,
        concat: bool,
        batch_size: int,
        parts: int,
        composition: Composition | None = None,
    ) -> None:
        self._E = E
        self._concat = concat
        self._batch_size = batch_size
        self._parts = parts
        self._composition = composition
        self._words = len(E) if composition is None else composition.words
        self._make_room(batch_size)
        self._row_groups: Groups | None = None
        alike = np.empty(0, np.float32)
        self._rates = alike if composition is None else composition.rates()

    def _make_room(self, places: int) -> None:
        from embedder.kernels.gather import new_groups

        self._groups = new_groups(self._words, places)
        if self._composition is not None:
            distinct = min(places, self._words)
            self._vectors = np.empty((distinct, self._E.shape[1]), self._E.dtype)
            self._gradients = np.empty_like(self._vectors)
            self._local = np.empty(places, np.int32)

    def _group(self, ids: Array) -> int:
        """Group the places of ids (B, K) by word; return how many words there are."""
        from embedder.kernels.gather import group_places

        if len(self._groups.order) < ids.size:
            self._make_room(self._batch_size * ids.shape[1])
        return int(group_places(ids.reshape(-1), self._groups))

    def gather(self, ids: Array, x: Array) -> None:
        """Set x (B, I) to what words' ids (B, K), −1 for none, stand for."""
        from embedder.kernels.gather import gather_concat, gather_mean

        table = self._E
        if self._composition is not None:
            table, ids = self._compose(ids)
        gather = gather_concat if self._concat else gather_mean
        gather(table, ids, self._parts, x)

    def _compose(self, ids: Array) -> tuple[Array, Array]:
        """Return the vectors of the words among ids (B, K), once each, and their numbers there."""
        from embedder.kernels.composition import compose, name_places

        assert self._composition is not None
        found = self._group(ids)
        starts, rows, *_ = self._composition
        words = self._groups.rows[:found]
        compose(self._E, starts, rows, words, self._parts, self._vectors)
        local = self._local[: ids.size]
        name_places(self._groups, found, local)
        return self._vectors, local.reshape(ids.shape)

    def step(self, ids: Array, d_x: Array, optimizer: Optimizer, rule: "Rule") -> None:
        """Move the rows that made x.

        Parameters
        ----------
        ids : (B, K)
            As for `gather`.
        d_x : (B, I)
            ∂J/∂x; overwritten.
        optimizer
            Holds the moments.
        rule
            Of E at this step.
        """
        from embedder.kernels.gather import count_visits, divide_by_window_sizes, step_rows
        from embedder.kernels.optimizer import Moments

        found = self._group(ids)
        if not self._concat:
            divide_by_window_sizes(ids, self._parts, d_x)
        groups, gradient = self._groups, d_x.reshape(-1, self._E.shape[1])
        places_a_row = 1 if self._concat else ids.shape[1]
        if self._composition is not None:
            groups, found, gradient = self._hand_on(found, gradient, places_a_row)
            places_a_row = 1
        count_visits(groups, found, optimizer.visits["E"])
        step_rows(
            self._E,
            groups,
            found,
            gradient,
            places_a_row,
            Moments(optimizer.first["E"], optimizer.second["E"]),
            optimizer.visits["E"],
            self._rates,
            rule,
            optimizer.corrections["E"],
            self._parts,
        )

    def _hand_on(
        self, found: int, gradient: Array, places_a_row: int
    ) -> tuple["Groups", int, Array]:
        """Add up words' gradients; return the groups of the rows that words are composed of."""
        from embedder.kernels.composition import count_rows, group_rows, share_out
        from embedder.kernels.gather import new_groups, sum_groups

        assert self._composition is not None
        starts, rows, *_ = self._composition
        words, summed = self._groups.rows[:found], self._gradients[:found]
        sum_groups(self._groups, found, gradient, places_a_row, self._parts, summed)
        share_out(starts, words, self._parts, summed)
        needed = count_rows(starts, words)
        if self._row_groups is None or len(self._row_groups.order) < needed:
            self._row_groups = new_groups(len(self._E), needed + needed // 2)
        return self._row_groups, group_rows(starts, rows, words, self._row_groups), summed
