"""Minibatches: of rows of the co-occurrence matrix, and of windows."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

from embedder.arrays import Array
from embedder.config import Config
from embedder.examples.cooccurrence import Cooccurrences

if TYPE_CHECKING:
    from embedder.kernels.softmax import Targets


class Batch(NamedTuple):
    """What one step trains on.

    ``inputs (B, K) int``
        Words; −1 for none.
    ``targets``
        What they predict.
    ``progress``
        The share of the whole training before this step, for the schedule.
    ``passes``
        How many passes are done after this step: a whole number at the end of each.
    """

    inputs: Array
    targets: "Targets"
    progress: float
    passes: float


class Stream(Protocol):
    """Batches from some position on to the end of the training."""

    words: int
    """In a pass: rows drawn, or words of the text."""
    batch_size: int
    """The most examples in a batch."""
    steps_per_pass: int
    """Batches; of windows, roughly."""

    def batches(self) -> Iterator[Batch]:
        """Yield them."""

    def position(self) -> list[int]:
        """Return where the next batch is, for a checkpoint."""

    def seek(self, position: list[int]) -> None:
        """Go on from there."""


class Draw(NamedTuple):
    """Distinct words, and the factor on each one's loss.

    ``rows (B,) int64``
    ``scales (B,) float64``
        Such that the scaled row totals of a batch are B in the mean.
    """

    rows: Array
    scales: Array


class RowSampler:
    """Draws B distinct words a step, frequent ones more often, with an unbiased gradient.

    Word w is in a batch with probability π_w ∝ n_w^exponent (at most 1), by systematic sampling in
    random order (Madow 1949): exactly B distinct words with exactly these probabilities. Scaling
    its loss by 1/π_w keeps the expected gradient that of the whole corpus, Σ_w n_w ∇J_w.

    Parameters
    ----------
    totals : (V,) float64
        n_w; words without a neighbour are never drawn.
    batch_size
        B; fewer where there are fewer words.
    exponent
        0 draws all words alike, 1 as often as they stand in the corpus.
    seed
        With the step's number it decides the draw, so that a resumed run draws what it would have.
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
        """Steps in which as many rows are drawn as there are words."""
        return -(-len(self.words) // self.batch_size)

    def mean_of(self, values: Array) -> float:
        """Return the expected mean of a word's value (V,) over the words of a batch."""
        return float(self._probabilities @ values[self.words]) / self.batch_size

    def draw(self, step: int) -> Draw:
        """Return the minibatch of a step, counted from 0."""
        rng = np.random.default_rng([self._seed, step])
        order = rng.permutation(len(self.words))
        ends = np.cumsum(self._probabilities[order])
        # The sum is B up to rounding; stretching it to B keeps the last pick in range.
        picks = (rng.random() + np.arange(self.batch_size)) * (ends[-1] / self.batch_size)
        places = order[np.searchsorted(ends, picks, side="right").clip(max=len(order) - 1)]
        return Draw(self.words[places], self._scales[places])


def _inclusion_probabilities(sizes: Array, count: int) -> Array:
    """Return probabilities ∝ size that sum to `count`, those above 1 cut and shared out."""
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
        How many contexts a row has.
    """

    totals: Array
    cells: Array

    def targets(self, rows: Array, scales: Array) -> "Targets":
        """Return some rows (B,) int64, each times a factor (B,) float64."""


class CountedRows:
    """Rows of counts that are all here; see `Rows`.

    Parameters
    ----------
    counts
        C.
    """

    def __init__(self, counts: Cooccurrences) -> None:
        self._counts = counts
        self.totals = counts.row_totals()
        self.cells = np.diff(counts.offsets)

    def targets(self, rows: Array, scales: Array) -> "Targets":
        """See `Rows`."""
        return target_rows(self._counts, self.totals, rows, scales)


class RowStream:
    """Batches of rows of the counts.

    Parameters
    ----------
    rows
        Of C.
    config
        The run: passes, batch size, sampling and seed.
    """

    def __init__(self, rows: Rows, config: Config) -> None:
        training = config.training
        self._rows = rows
        self.sampler = RowSampler(
            rows.totals, training.batch_size, training.row_sampling, training.seed
        )
        self._passes = training.passes
        self._number = 0
        self.batch_size = self.sampler.batch_size
        self.steps_per_pass = self.sampler.steps_per_pass
        self.words = self.steps_per_pass * self.batch_size

    def batches(self) -> Iterator[Batch]:
        """See `Stream`."""
        a_pass = self.steps_per_pass
        steps = a_pass * self._passes
        while self._number < steps:
            number = self._number
            rows, scales = self.sampler.draw(number)
            self._number += 1
            yield Batch(
                rows[:, None],
                self._rows.targets(rows, scales),
                number / max(1, steps - 1),
                self._number / a_pass,
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
        Its row totals.
    rows : (B,) int64
    scales : (B,) float64
        The factor on each row.
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
    """Return one word (B,) int32 an example as targets."""
    from embedder.kernels.softmax import Targets

    places = np.arange(len(words) + 1)
    ones: Array = np.ones(len(words), dtype)
    return Targets(places[:-1], places[1:], words, ones, ones, ones)
