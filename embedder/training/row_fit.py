"""Fitting the row of E of each word by itself, with all other layers frozen.

When W1, b1, W2 and b2 are frozen, the loss is a sum over words, and the row x of word w minimises

    J_w(x) = n_w CE_w(x) + ½ (x − x0_w)ᵀ (m_w P + λ I) (x − x0_w)

where CE_w(x) = CE(y_w, softmax(θ(x))), and P is the curvature that all words nearly share (see
`embedder.training.frozen_layers`), so that a few steps of `embedder.training.descent` suffice. The
fit needs no state for the optimizer, and words are independent of each other: it runs in any order.

In a training, there is no prior but λ/2 |x|². The rows trained jointly with the other layers are
near their minimum, and get a fixed number of steps. The other rows start at 0, where all words
share their predictions, so that the first step needs no evaluation of J_w; they are fitted until
they converge: until the next step promises to lower J_w by less than `TOLERANCE` nats per neighbour
of the word, n_w in all. If the training started from given vectors, these are the other rows' x0,
and where they start. With a prior from earlier text (`fit_with_prior`), rows start at x0.
"""

import itertools
from collections.abc import Callable

import numpy as np

from embedder.arrays import Array
from embedder.config import Config
from embedder.config_automatic import closing_steps, joint_rows
from embedder.examples.batches import CountedRows
from embedder.network.parameters import Parameters
from embedder.training.descent import Descent, Prior
from embedder.training.frozen_layers import FrozenLayers, Targets

TOLERANCE = 3e-3
"""Nats per neighbour."""
_FINE_TOLERANCE = 1e-4
"""The same for rows with a prior, which may move by little."""
_MAX_STEPS = 20
_EXPECTED_EVALUATIONS = 2.6
"""For forecasts: how many evaluations a row takes to converge."""
_ROWS_AT_ONCE = 1 << 12


def cost_in_passes(config: Config, vocabulary: int) -> float:
    """Return the time of the fit in passes of the training.

    An evaluation costs 4 C F floating-point operations per word, forward and back to x; a pass
    costs 6 C F for each of the rows trained jointly.
    """
    steps, joint = closing_steps(config), joint_rows(config, vocabulary)
    evaluations: float = (steps + 1 if steps else 0) * joint
    evaluations += _EXPECTED_EVALUATIONS * (vocabulary - joint)
    return evaluations / joint * 2 / 3


class RowFit:
    """Fits rows of E to the counts.

    Parameters
    ----------
    config
        The run: the activation, how many rows were trained jointly, the number of steps for these,
        and λ.
    parameters
        E is changed in place by `fit`; the other layers are frozen.
    rows
        The rows of the counts, one per word, and their totals n_w.
    """

    def __init__(self, config: Config, parameters: Parameters, rows: CountedRows) -> None:
        self._parameters = parameters
        self._layers = FrozenLayers(config.network.activation, parameters)
        self._rows = rows
        self._joint = joint_rows(config, len(parameters.E))
        self._steps = closing_steps(config)
        self._prior = Prior(config.training.prior_strength)
        self._starts_are_known = config.training.start is not None

    def ranges(self, first: int) -> list[tuple[int, int]]:
        """Return the ranges of words to fit one after the other, from a word on."""
        V, joint = len(self._parameters.E), self._joint
        starts = [*range(0, joint, _ROWS_AT_ONCE), *range(joint, V, _ROWS_AT_ONCE), V]
        if self._steps == 0:
            starts = [start for start in starts if start >= joint]
        return [(a, b) for a, b in itertools.pairwise(starts) if a >= first]

    def fit(self, first: int, last: int) -> int:
        """Fit the rows of words first … last − 1; words without a neighbour keep theirs.

        Returns
        -------
        int
            The number of evaluations of a row's loss.
        """
        counted, totals, targets = _counted(self._layers, self._rows, first, last)
        x = self._parameters.E[first:last][counted]
        steps, tolerances = self._steps, np.full(len(counted), -np.inf)
        prior, from_zero = self._prior, False
        if first >= self._joint:
            steps, tolerances = _MAX_STEPS, TOLERANCE * totals
            from_zero = not self._starts_are_known
            if from_zero:
                x[:] = 0
            else:
                prior = prior._replace(means=x.astype(np.float64))
        descent = Descent(x, totals, prior, self._layers.curvature)
        if from_zero:
            everywhere = np.arange(len(counted))
            descent.accept(everywhere, *self._layers.evaluate_at_origin(targets))
            descent.propose(everywhere)
        evaluations = self._layers.minimise(descent, targets, steps, tolerances)
        self._parameters.E[first + counted] = descent.best
        return evaluations


def fit_with_prior(
    layers: FrozenLayers,
    E: Array,
    rows: CountedRows,
    prior: Prior,
    progress: Callable[[int], object] | None = None,
) -> None:
    """Fit rows to counts, starting at the prior's means; words without a neighbour keep theirs.

    Parameters
    ----------
    layers
        The frozen layers.
    E : (V, D)
        Receives the rows.
    rows
        The counts of all words.
    prior
        Of all words, with means.
    progress
        Called with the number of words in each range that is fitted.
    """
    for first in range(0, len(E), _ROWS_AT_ONCE):
        last = min(len(E), first + _ROWS_AT_ONCE)
        counted, totals, targets = _counted(layers, rows, first, last)
        own = prior.of(first + counted)
        assert own.means is not None
        descent = Descent(own.means.astype(E.dtype), totals, own, layers.curvature)
        layers.minimise(descent, targets, _MAX_STEPS, _FINE_TOLERANCE * totals)
        E[first + counted] = descent.best
        if progress is not None:
            progress(last - first)


def _counted(
    layers: FrozenLayers, rows: CountedRows, first: int, last: int
) -> tuple[Array, Array, Targets]:
    """Return which of words first … last − 1 have neighbours, and their totals and targets."""
    totals = rows.totals[first:last]
    counts = rows.counts._replace(offsets=rows.counts.offsets[first : last + 1])
    counted = np.flatnonzero(totals > 0)
    return counted, totals[counted], layers.targets(counts, totals).of(counted)
