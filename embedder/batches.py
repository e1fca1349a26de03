"""Which rows of the co-occurrence matrix make the minibatch of each step."""

from typing import NamedTuple

import numpy as np

from embedder.arrays import Array


class Batch(NamedTuple):
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
    def steps_a_pass(self) -> int:
        """Steps in which as many rows are drawn as there are words."""
        return -(-len(self.words) // self.batch_size)

    def mean_of(self, values: Array) -> float:
        """Return the expected mean of a word's value (V,) over the words of a batch."""
        return float(self._probabilities @ values[self.words]) / self.batch_size

    def draw(self, step: int) -> Batch:
        """Return the minibatch of a step, counted from 0."""
        rng = np.random.default_rng([self._seed, step])
        order = rng.permutation(len(self.words))
        ends = np.cumsum(self._probabilities[order])
        # The sum is B up to rounding; stretching it to B keeps the last pick in range.
        picks = (rng.random() + np.arange(self.batch_size)) * (ends[-1] / self.batch_size)
        places = order[np.searchsorted(ends, picks, side="right").clip(max=len(order) - 1)]
        return Batch(self.words[places], self._scales[places])


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
