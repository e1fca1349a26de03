"""Minibatches: their interface, and minibatches of rows of the co-occurrence matrix."""

from collections.abc import Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

from embedder.arrays import Array
from embedder.config import Config
from embedder.config_automatic import joint_rows, passes
from embedder.examples.cells import Cooccurrences

if TYPE_CHECKING:
    from embedder.kernels.softmax import Targets


class Batch(NamedTuple):
    """The examples of one training step.

    ``inputs (B, K) int``
        Word ids; −1 for none.
    ``targets``
        The words or contexts to predict.
    ``progress``
        The fraction of the whole training completed before this step, for the schedule.
    ``passes``
        The number of passes completed after this step; an integer at the end of each pass.
    ``constant``
        Nats to add to the cross-entropy of the targets, for words within classes (see
        `embedder.examples.columns`).
    """

    inputs: Array
    targets: "Targets"
    progress: float
    passes: float
    constant: float = 0.0


class Stream(Protocol):
    """Batches from a position to the end of the training."""

    words: int
    """Words per pass: rows drawn, or words of the text."""
    batch_size: int
    """The maximum number of examples in a batch."""
    steps_per_pass: int
    """Batches per pass; for windows, an estimate."""

    def batches(self) -> Iterator[Batch]:
        """Yield the remaining batches."""

    def position(self) -> list[int]:
        """Return the position of the next batch, for a checkpoint."""

    def seek(self, position: list[int]) -> None:
        """Continue from a position."""


class Draw(NamedTuple):
    """Distinct words, and a factor on the loss of each.

    ``rows (B,) int64``
    ``scales (B,) float64``
        Chosen so that a batch's scaled row totals sum to B on average.
    """

    rows: Array
    scales: Array


class RowSampler:
    """Draws B distinct words per step, frequent ones more often, with an unbiased gradient.

    Word w is in a batch with probability π_w ∝ n_w^exponent (at most 1), by systematic sampling in
    random order (Madow 1949): exactly B distinct words with exactly these probabilities. Scaling
    its loss by 1/π_w keeps the expected gradient equal to that of the whole corpus, Σ_w n_w ∇J_w.

    Parameters
    ----------
    totals : (R,) float64
        n_w of the words to draw; words without a neighbour are never drawn.
    batch_size
        B; reduced if there are fewer words.
    exponent
        0 draws all words equally often, 1 in proportion to their occurrences in the corpus.
    seed
        Determines the draw, together with the step's number, so that a resumed run draws the same
        words.
    """

    def __init__(self, totals: Array, batch_size: int, exponent: float, seed: int) -> None:
        self.words = np.flatnonzero(totals > 0)
        self.batch_size = min(batch_size, len(self.words))
        self._seed = seed
        self._probabilities = _inclusion_probabilities(
            totals[self.words] ** exponent, self.batch_size
        )
        self._scales = self.batch_size / (self._probabilities * totals.sum())

    @property
    def steps_per_pass(self) -> int:
        """Steps after which as many rows have been drawn as there are words."""
        return -(-len(self.words) // self.batch_size)

    def mean_of(self, values: Array) -> float:
        """Return the expected mean over a batch of values (V,), one per word."""
        return float(self._probabilities @ values[self.words]) / self.batch_size

    def draw(self, step: int) -> Draw:
        """Return the minibatch of a step, counted from 0."""
        rng = np.random.default_rng([self._seed, step])
        order = rng.permutation(len(self.words))
        ends = np.cumsum(self._probabilities[order])
        # The sum is B up to rounding; rescaling keeps the last pick in range.
        picks = (rng.random() + np.arange(self.batch_size)) * (ends[-1] / self.batch_size)
        drawn = order[np.searchsorted(ends, picks, side="right").clip(max=len(order) - 1)]
        return Draw(self.words[drawn], self._scales[drawn])


def _inclusion_probabilities(sizes: Array, count: int) -> Array:
    """Return probabilities ∝ size that sum to `count`, capped at 1 and the excess redistributed."""
    certain = np.zeros(len(sizes), bool)
    while True:
        free = count - certain.sum()
        rest = sizes[~certain].sum()
        probabilities = np.where(certain, 1.0, sizes * (free / rest if rest > 0 else 0.0))
        above = (probabilities >= 1.0) & ~certain
        if not above.any():
            return probabilities
        certain |= above


class Rows(Protocol):
    """Rows of the counts as targets.

    ``totals (V,) float64``
        n_w.
    ``cells (V,) int64``
        The number of columns in each row.
    ``constants (V,) float64``
        What the loss of a row has in addition to the cross-entropy of its columns, in nats.
    """

    totals: Array
    cells: Array
    constants: Array

    def targets(self, rows: Array, scales: Array) -> "Targets":
        """Return the targets for rows (B,) int64, each scaled by a factor (B,) float64."""


class CountedRows:
    """Rows of counts that this process holds completely; see `Rows`.

    Parameters
    ----------
    counts
        C.
    constants : (V,) float64
        See `Rows`; by default 0.
    totals : (V,) float64
        Those of all words, if the counts are only of the first ones, as on a cluster.
    """

    def __init__(
        self,
        counts: Cooccurrences,
        constants: Array | None = None,
        totals: Array | None = None,
    ) -> None:
        self.counts = counts
        self.totals = counts.row_totals() if totals is None else totals
        self.cells = np.diff(counts.offsets)
        self.constants = np.zeros(len(self.cells)) if constants is None else constants

    def rows(self, first: int, last: int) -> Cooccurrences:
        """Return the counts of words first … last − 1."""
        return self.counts.rows(first, last)

    def targets(self, rows: Array, scales: Array) -> "Targets":
        """See `Rows`."""
        return target_rows(self.counts, self.totals, rows, scales)


class RowStream:
    """Batches of rows of the counts.

    Parameters
    ----------
    rows
        The rows of C.
    config
        The run: passes, batch size, sampling and seed, and how many rows are trained jointly.
    """

    def __init__(self, rows: Rows, config: Config) -> None:
        training = config.training
        self._rows = rows
        joint = joint_rows(config, len(rows.totals))
        self.sampler = RowSampler(
            rows.totals[:joint], training.batch_size, training.row_sampling, training.seed
        )
        self._passes = passes(config, len(rows.totals))
        self._number = 0
        self.batch_size = self.sampler.batch_size
        self.steps_per_pass = self.sampler.steps_per_pass
        self.words = self.steps_per_pass * self.batch_size

    def batches(self) -> Iterator[Batch]:
        """See `Stream`."""
        steps = self.steps_per_pass * self._passes
        while self._number < steps:
            number = self._number
            rows, scales = self.sampler.draw(number)
            self._number += 1
            yield Batch(
                rows[:, None],
                self._rows.targets(rows, scales),
                number / max(1, steps - 1),
                self._number / self.steps_per_pass,
                float(self._rows.constants[rows] @ scales),
            )

    def position(self) -> list[int]:
        """See `Stream`."""
        return [self._number]

    def seek(self, position: list[int]) -> None:
        """See `Stream`."""
        (self._number,) = position


def target_rows(counts: Cooccurrences, totals: Array, rows: Array, scales: Array) -> "Targets":
    """Return rows of the counts as targets for float32 parameters.

    Parameters
    ----------
    counts
        C.
    totals : (V,) float64
        Row totals of C.
    rows : (B,) int64
    scales : (B,) float64
        A factor on each row.
    """
    from embedder.kernels.softmax import Targets

    return Targets(
        counts.offsets[rows],
        counts.offsets[rows + 1],
        counts.columns,
        counts.weights,
        scales.astype(np.float32),
        (totals[rows] * scales).astype(np.float32),
    )


def one_hot(words: Array, dtype: type = np.float32) -> "Targets":
    """Return one word per example, (B,) int32, as targets."""
    from embedder.kernels.softmax import Targets

    offsets, ones = _offsets_and_ones(len(words), dtype)
    return Targets(offsets[:-1], offsets[1:], words, ones, ones, ones)


@lru_cache(maxsize=8)
def _offsets_and_ones(number: int, dtype: type) -> tuple[Array, Array]:
    """Return what `one_hot` needs for every batch of a size; not to be changed."""
    return np.arange(number + 1), np.ones(number, dtype)
