"""Steps of SGD, Adagrad, Adam and Adafactor, for use inside other kernels.

With g the gradient, at step t:

    SGD       p ← p − α g
    Adagrad   s ← s + g²;  p ← p − α g / (√s + ε)                     Duchi et al. 2011, section 1.3
    Adam      m ← β₁ m + (1 − β₁) g;  s ← β₂ s + (1 − β₂) g²          Kingma and Ba 2015,
              p ← p − α √(1 − β₂ᵗ)/(1 − β₁ᵗ) · m / (√s + ε)           section 2, last paragraph
    Adafactor r ← β₂ r + (1 − β₂) q,  q = mean_j g_j²/c_j             for rows of tables only
              p_j ← p_j − α √(1 − β₂ᵗ) g_j / ((√r + ε) √c_j)
    Gradient  m ← g;  p unchanged                                     for checks

Each but the last is preceded by p ← (1 − κ) p: decoupled weight decay (Loshchilov and Hutter 2019),
with κ the step's learning rate times the decay. With clipping, each entry of g is first limited to
±clip.

Adafactor (Shazeer and Stern 2018, section 3) is Adam without momentum whose second moment of an
entry is a product of one number of its row, r, and one of its column, c_j. A table's c is an
average over its steps of g_j²/q, itself averaged over the rows of a step, and its mean is 1:

    c ← β₁ c + (1 − β₁) mean_rows (g²/q)
"""

from typing import NamedTuple

import numpy as np
from numba import njit

from embedder.arrays import Array

SGD, ADAGRAD, ADAM, GRADIENT, ADAFACTOR = range(5)
_LEAST_COLUMN = 1e-8
"""The least c_j: a column without any gradient so far must not get steps without bounds."""
_LEAST_SQUARE = 1e-30
"""The least q whose reciprocal is used: g²/q must be finite in single precision."""


class Rule(NamedTuple):
    """One optimizer step's constants; `rate` includes Adam's bias correction, `shrink` is κ.

    ``clip``
        The largest absolute value of a gradient's entry; infinity for no clipping.
    """

    kind: int
    rate: float
    decay1: float
    decay2: float
    epsilon: float
    shrink: float = 0.0
    clip: float = np.inf


class Moments(NamedTuple):
    """Running averages of a parameter's gradient and its square; empty if the rule uses none.

    With Adafactor, those of the square are (V, 1), one for each row.
    """

    first: Array
    second: Array


@njit(inline="always")
def rule_of_row(rule, visits, corrections, factor=1.0):
    """Return a rule with Adam's or Adafactor's bias correction for a row's own number of steps.

    Parameters
    ----------
    rule : Rule
        The rule, with a rate without bias correction.
    visits : int
        The number of updates of the row, this one included.
    corrections : (n,) float64
        The corrections of a row's first n updates; later updates use the last one.
    factor : float
        A factor on the rate.
    """
    rate = rule.rate * factor
    if rule.kind == ADAM or rule.kind == ADAFACTOR:
        rate *= corrections[min(visits, len(corrections)) - 1]
    return Rule(rule.kind, rate, rule.decay1, rule.decay2, rule.epsilon, rule.shrink, rule.clip)


@njit(inline="always")
def flat_rows(array, low, high):
    """Return rows low … high − 1 as a flat view; an empty array stays empty."""
    return array[low:high].reshape(-1)


@njit(inline="always")
def step_row(table, row, gradient, first, second, rule):
    """Update a row of parameters (V, n) by a gradient (n,), in place; see the module's formulas.

    Takes no slice of any array and is inlined; otherwise, preparing the update of a row would take
    as long as the update itself.

    Parameters
    ----------
    table : (V, n)
    row : int
    gradient : (n,)
    first, second : (V, n)
        The moments of the table, empty if the rule uses none.
    rule : Rule
    """
    number = table.dtype.type
    rate = number(rule.rate)
    epsilon = number(rule.epsilon)
    clip = number(rule.clip)
    if rule.shrink > 0.0 and rule.kind != GRADIENT:
        kept = number(1.0 - rule.shrink)
        for i in range(len(gradient)):
            table[row, i] *= kept
    if rule.kind == ADAM:
        decay1 = number(rule.decay1)
        decay2 = number(rule.decay2)
        one = number(1.0)
        for i in range(len(gradient)):
            g = min(max(gradient[i], -clip), clip)
            m = decay1 * first[row, i] + (one - decay1) * g
            s = decay2 * second[row, i] + (one - decay2) * g * g
            first[row, i] = m
            second[row, i] = s
            table[row, i] -= rate * m / (np.sqrt(s) + epsilon)
    elif rule.kind == ADAGRAD:
        for i in range(len(gradient)):
            g = min(max(gradient[i], -clip), clip)
            s = second[row, i] + g * g
            second[row, i] = s
            table[row, i] -= rate * g / (np.sqrt(s) + epsilon)
    elif rule.kind == SGD:
        for i in range(len(gradient)):
            table[row, i] -= rate * min(max(gradient[i], -clip), clip)
    else:
        for i in range(len(gradient)):
            first[row, i] = gradient[i]


@njit(fastmath={"contract", "nsz", "reassoc"}, error_model="numpy", cache=True)
def _mean_square(gradient, scales):
    total = gradient.dtype.type(0.0)
    for i in range(len(gradient)):
        scaled = gradient[i] * scales[i]
        total += scaled * scaled
    return total / gradient.dtype.type(len(gradient))


@njit(inline="always")
def step_row_by_factors(table, row, gradient, second, scales, squares, rule):
    """Update a row of parameters (V, n) by Adafactor; otherwise as `step_row`.

    Parameters
    ----------
    table : (V, n)
    row : int
    gradient : (n,)
        Clipped in place.
    second : (V, 1)
        r of every row.
    scales : (n,)
        1/√c_j.
    squares : (n + 1,)
        g²/q is added to it, and the number of rows to its last entry; empty if c never changes.
    rule : Rule
    """
    number = table.dtype.type
    if rule.clip < np.inf:
        clip = number(rule.clip)
        for i in range(len(gradient)):
            gradient[i] = min(max(gradient[i], -clip), clip)
    if rule.shrink > 0.0:
        kept = number(1.0 - rule.shrink)
        for i in range(len(gradient)):
            table[row, i] *= kept
    decay = number(rule.decay2)
    q = _mean_square(gradient, scales)
    r = decay * second[row, 0] + (number(1.0) - decay) * q
    second[row, 0] = r
    rate = number(rule.rate) / (np.sqrt(r) + number(rule.epsilon))
    for i in range(len(gradient)):
        table[row, i] -= rate * (gradient[i] * scales[i])
    if len(squares) and q > _LEAST_SQUARE:
        share_of_row = number(1.0) / q
        for i in range(len(gradient)):
            squares[i] += gradient[i] * gradient[i] * share_of_row
        squares[len(gradient)] += number(1.0)


@njit(error_model="numpy", cache=True)
def average_columns(columns, squares, decay):
    """Take what the rows of a step have contributed into c, in the order of its parts.

    Parameters
    ----------
    columns : (n,)
        c, changed in place.
    squares : (parts, n + 1)
        From `step_row_by_factors`; the first one is overwritten.
    decay : float
        β₁.
    """
    total = squares[0]
    for part in range(1, len(squares)):
        total += squares[part]
    n = len(columns)
    rows = total[n]
    if rows == 0:
        return
    number = columns.dtype.type
    kept = number(decay)
    mean = number(0.0)
    for i in range(n):
        columns[i] = max(
            kept * columns[i] + (number(1.0) - kept) * (total[i] / rows), number(_LEAST_COLUMN)
        )
        mean += columns[i]
    mean /= number(n)
    for i in range(n):
        columns[i] /= mean


@njit(fastmath={"contract", "nsz"}, error_model="numpy", cache=True)
def step(parameters, gradient, first, second, rule):
    """Update flat parameters (n,) by a gradient (n,), in place; see `step_row`."""
    parameters, first, second = (
        parameters.reshape(1, len(parameters)),
        first.reshape(1, len(first)),
        second.reshape(1, len(second)),
    )
    step_row(parameters, 0, gradient, first, second, rule)
