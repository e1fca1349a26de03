"""Significance of the difference of two models: the paired bootstrap (Efron, Tibshirani 1993).

Both models answer the same questions, which are resampled with replacement many times. The score
differences of the resamples give an interval, and the share of them on the wrong side of zero a
p-value.
"""

from typing import NamedTuple

import numpy as np

from embedder.arrays import Array
from embedder.evaluation.similarity import spearman

_RESAMPLES = 10_000
_RANK_RESAMPLES = 2_000


class Difference(NamedTuple):
    """The difference of two models' scores.

    ``first, second``
        The scores on the items that both know.
    ``interval``
        95 % percentile-bootstrap interval of second − first.
    ``p``
        Two-sided p-value: twice the share of resamples that do not favour the better model.
    ``items``
        Number of questions or pairs that both know.
    """

    first: float
    second: float
    interval: tuple[float, float]
    p: float
    items: int

    @property
    def difference(self) -> float:
        """The second score minus the first."""
        return self.second - self.first


def compare_answers(first: Array, second: Array, seed: int = 0) -> Difference | None:
    """Compare two models' accuracies on the same questions.

    Parameters
    ----------
    first, second : (n,) bool
        Whether each question was answered correctly.
    seed
        Seed of the resampling.

    Returns
    -------
    Difference or None
        None if there are no questions.
    """
    n = len(first)
    if not n:
        return None
    better, worse = int((second & ~first).sum()), int((first & ~second).sum())
    # Resampling questions amounts to drawing how many of them favour either model.
    shares = np.array([better, worse, n - better - worse]) / n
    draws = np.random.default_rng(seed).multinomial(n, shares, _RESAMPLES)
    differences = (draws[:, 0] - draws[:, 1]) / n
    return _summary(float(first.mean()), float(second.mean()), differences, n)


def compare_correlations(
    first: Array, second: Array, scores: Array, seed: int = 0
) -> Difference | None:
    """Compare the Spearman correlations of two models' cosines with human ratings.

    Parameters
    ----------
    first, second, scores : (n,) float64
        The models' cosines of the same pairs, and the human ratings.
    seed
        Seed of the resampling.

    Returns
    -------
    Difference or None
        None if a correlation is undefined.
    """
    one, two = spearman(first, scores), spearman(second, scores)
    if one is None or two is None:
        return None
    n = len(scores)
    rng = np.random.default_rng(seed)
    differences = []
    for _ in range(_RANK_RESAMPLES):
        drawn = rng.integers(0, n, n)
        pair = spearman(first[drawn], scores[drawn]), spearman(second[drawn], scores[drawn])
        if pair[0] is not None and pair[1] is not None:
            differences.append(pair[1] - pair[0])
    return _summary(one, two, np.array(differences), n) if differences else None


def _summary(first: float, second: float, differences: Array, n: int) -> Difference:
    low, high = np.quantile(differences, [0.025, 0.975])
    p = min(1.0, 2 * min(float((differences <= 0).mean()), float((differences >= 0).mean())))
    return Difference(first, second, (float(low), float(high)), p, n)
