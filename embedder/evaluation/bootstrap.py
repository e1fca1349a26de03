"""Whether one model is better or only luckier: the paired bootstrap (Efron, Tibshirani 1993).

Both models answer the same questions. Questions are drawn anew with replacement, many times; the
difference of the two scores on each draw gives an interval, and the share of draws on the wrong
side of zero a p-value.
"""

from typing import NamedTuple

import numpy as np

from embedder.arrays import Array
from embedder.evaluation.similarity import spearman

_DRAWS = 10_000
_DRAWS_OF_RANKS = 2_000


class Difference(NamedTuple):
    """How much better the second of two models is than the first.

    ``first, second``
        Their scores on what both know.
    ``interval``
        95 % percentile-bootstrap interval of second − first.
    ``p``
        Two-sided: twice the share of draws that do not favour the better one.
    ``items``
        How many questions or pairs both know.
    """

    first: float
    second: float
    interval: tuple[float, float]
    p: float
    items: int

    @property
    def difference(self) -> float:
        """The second's score less the first's."""
        return self.second - self.first


def compare_answers(first: Array, second: Array, seed: int = 0) -> Difference | None:
    """Compare the accuracies of right and wrong answers to the same questions.

    Parameters
    ----------
    first, second : (n,) bool
        Whether each question was answered rightly.
    seed
        Of the draws.

    Returns
    -------
    Difference or None
        None without questions.
    """
    n = len(first)
    if not n:
        return None
    better, worse = int((second & ~first).sum()), int((first & ~second).sum())
    # Drawing questions is drawing how many of them favour either.
    shares = np.array([better, worse, n - better - worse]) / n
    draws = np.random.default_rng(seed).multinomial(n, shares, _DRAWS)
    differences = (draws[:, 0] - draws[:, 1]) / n
    return _summary(float(first.mean()), float(second.mean()), differences, n)


def compare_correlations(
    first: Array, second: Array, scores: Array, seed: int = 0
) -> Difference | None:
    """Compare Spearman's correlations of two models' cosines with people's scores.

    Parameters
    ----------
    first, second, scores : (n,) float64
        Of the same pairs.
    seed
        Of the draws.

    Returns
    -------
    Difference or None
        None if a correlation is not defined.
    """
    one, two = spearman(first, scores), spearman(second, scores)
    if one is None or two is None:
        return None
    n = len(scores)
    rng = np.random.default_rng(seed)
    differences = []
    for _ in range(_DRAWS_OF_RANKS):
        drawn = rng.integers(0, n, n)
        pair = spearman(first[drawn], scores[drawn]), spearman(second[drawn], scores[drawn])
        if pair[0] is not None and pair[1] is not None:
            differences.append(pair[1] - pair[0])
    return _summary(one, two, np.array(differences), n) if differences else None


def _summary(first: float, second: float, differences: Array, n: int) -> Difference:
    low, high = np.quantile(differences, [0.025, 0.975])
    p = min(1.0, 2 * min(float((differences <= 0).mean()), float((differences >= 0).mean())))
    return Difference(first, second, (float(low), float(high)), p, n)
