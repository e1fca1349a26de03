"""Fitting the row of E of each word by itself, with all other layers frozen.

When W1, b1, W2 and b2 are frozen, the loss is a sum over words, and the row x of word w minimises

    J_w(x) = n_w CE_w(x) + ½ (x − x0_w)ᵀ (m_w P + λ I) (x − x0_w)

where CE_w(x) = CE(y_w, softmax(θ(x))), and P is the curvature that all words nearly share (see
`embedder.training.frozen_layers`), so that a few steps of `embedder.training.descent` suffice. The
fit needs no state for the optimizer, and words are independent of each other: it runs in any order.

In a training, m_w is 0. The rows trained jointly with the other layers are near their minimum, and
get a fixed number of steps; their x0 is 0. The other rows start at their x0: what the spelling of
the words says (`embedder.training.spelling`), or given vectors if the training started from these,
or 0, where all words share their predictions, so that the first step needs no evaluation of J_w.
They are fitted until they converge: until the next step promises to lower J_w by less than
`TOLERANCE` nats per neighbour of the word, n_w in all. With a prior from earlier text
(`fits_with_prior`), rows start at x0, too.

Words are fitted in ranges of consecutive ones. A range is a pure function of the frozen layers, of
its counts, and of a `Fit`: a `RowMap` applies the function to many, in this process or, see
`embedder.training.distributed`, on a cluster, with the same bits.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple, Protocol

import numpy as np

from embedder.arrays import Array
from embedder.config import Config
from embedder.config_automatic import closing_steps, joint_rows
from embedder.examples.cells import Cooccurrences
from embedder.examples.prepare import RangedCounts
from embedder.training.descent import Descent, Prior
from embedder.training.frozen_layers import FrozenLayers

TOLERANCE = 3e-3
"""Nats per neighbour."""
_FINE_TOLERANCE = 1e-4
"""The same for rows with a prior, which may move by little."""
_MAX_STEPS = 20
_EXPECTED_EVALUATIONS = 2.6
"""For forecasts: how many evaluations a row takes to converge."""
ROWS_AT_ONCE = 1 << 11


def cost_in_passes(config: Config, vocabulary: int) -> float:
    """Return the time of the fit in passes of the training.

    An evaluation costs 4 C F floating-point operations per word, forward and back to x; a pass
    costs 6 C F for each of the rows trained jointly.
    """
    steps, joint = closing_steps(config), joint_rows(config, vocabulary)
    evaluations: float = (steps + 1 if steps else 0) * joint
    evaluations += _EXPECTED_EVALUATIONS * (vocabulary - joint)
    return evaluations / joint * 2 / 3


class Fit(NamedTuple):
    """How the rows of words first … first + n − 1 are fitted.

    ``first``
    ``x (n, D)``
        The rows of E as they are; words without a neighbour keep theirs.
    ``prior``
        Of these rows. If it has means, rows start there, otherwise at x.
    ``steps``
        The maximum number.
    ``tolerance``
        In nats per neighbour; −∞ takes all steps.
    ``from_zero``
        Start at 0 instead.
    """

    first: int
    x: Array
    prior: Prior
    steps: int = _MAX_STEPS
    tolerance: float = TOLERANCE
    from_zero: bool = False

    @property
    def last(self) -> int:
        """The word after the last one."""
        return self.first + len(self.x)


class RowMap(Protocol):
    """Fits ranges of rows."""

    def __call__(
        self, layers: FrozenLayers, work: Iterable[tuple[Fit, Any]]
    ) -> Iterator[tuple[int, Array]]:
        """Yield the first word and the rows of each range, in any order.

        Parameters
        ----------
        layers
            The frozen layers.
        work
            What to fit, and to which counts; taken when it is needed.
        """


def fit_here(
    layers: FrozenLayers, work: Iterable[tuple[Fit, Cooccurrences]]
) -> Iterator[tuple[int, Array]]:
    """Fit ranges in this process, one after the other; a `RowMap`."""
    for fit, counts in work:
        yield fit.first, fit_rows(layers, fit, counts)[0]


def fit_rows(layers: FrozenLayers, fit: Fit, counts: Cooccurrences) -> tuple[Array, int]:
    """Fit one range.

    Parameters
    ----------
    layers
        The frozen layers.
    fit
        The rows of n words, and how to fit them.
    counts
        Of these words.

    Returns
    -------
    (n, D)
        The rows.
    int
        The number of evaluations of a row's loss.
    """
    all_totals = counts.row_totals()
    counted = np.flatnonzero(all_totals > 0)
    totals, targets = all_totals[counted], layers.targets(counts, all_totals).of(counted)
    prior = fit.prior.of(counted)
    x = fit.x[counted] if prior.means is None else prior.means.astype(fit.x.dtype)
    if fit.from_zero:
        x[:] = 0
    descent = Descent(x, totals, prior, layers.curvature)
    if fit.from_zero:
        everywhere = np.arange(len(counted))
        descent.accept(everywhere, *layers.evaluate_at_origin(targets))
        descent.propose(everywhere)
    evaluations = layers.minimise(descent, targets, fit.steps, fit.tolerance * totals)
    rows = fit.x.copy()
    rows[counted] = descent.best
    return rows, evaluations


def ranges_to_fit(config: Config, vocabulary: int) -> list[tuple[int, int]]:
    """Return the ranges of words that a training fits, first and last + 1."""
    joint = joint_rows(config, vocabulary)
    ranges = _cut(joint, vocabulary)
    return ranges if closing_steps(config) == 0 else [*_cut(0, joint), *ranges]


def _cut(first: int, last: int) -> list[tuple[int, int]]:
    return [(start, min(start + ROWS_AT_ONCE, last)) for start in range(first, last, ROWS_AT_ONCE)]


def fit_of_range(
    config: Config,
    E: Array,
    first: int,
    last: int,
    spelled: Callable[[int, int], Array] | None = None,
) -> Fit:
    """Return how a training fits one of its ranges.

    Parameters
    ----------
    config
        The run: how many rows were trained jointly, the number of steps for these, and λ.
    E : (V, D)
    first, last
        From `ranges_to_fit`.
    spelled
        Returns what spelling says about rows that were not trained jointly, if their x0 is that.
    """
    x, prior = E[first:last], Prior(config.training.prior_strength)
    if first < joint_rows(config, len(E)):
        return Fit(first, x, prior, closing_steps(config), -np.inf)
    if config.training.start is not None:
        return Fit(first, x, prior._replace(means=x.astype(np.float64)))
    if spelled is not None:
        return Fit(first, x, prior._replace(means=spelled(first, last)))
    return Fit(first, x, prior, from_zero=True)


def fits_with_prior(
    E: Array, counts: RangedCounts, prior: Prior, first: int = 0
) -> Iterator[tuple[Fit, Any]]:
    """Yield the work of fitting rows that start at the means of their prior.

    Parameters
    ----------
    E : (n, D)
        The rows of words first … first + n − 1.
    counts
        Of all words.
    prior
        Of the n words, with means.
    first
        The first of the words.
    """
    for low, high in _cut(0, len(E)):
        own = prior.of(np.arange(low, high))
        fit = Fit(first + low, E[low:high], own, tolerance=_FINE_TOLERANCE)
        yield fit, counts.rows(first + low, first + high)
