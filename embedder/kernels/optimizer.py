"""Steps of SGD, Adagrad and Adam on flat arrays, for use inside other kernels.

With g the gradient, at step t:

    SGD       p ← p − α g
    Adagrad   s ← s + g²;  p ← p − α g / (√s + ε)                     Duchi et al. 2011, section 1.3
    Adam      m ← β₁ m + (1 − β₁) g;  s ← β₂ s + (1 − β₂) g²          Kingma and Ba 2015,
              p ← p − α √(1 − β₂ᵗ)/(1 − β₁ᵗ) · m / (√s + ε)           section 2, last paragraph
    Gradient  m ← g;  p unchanged                                     for checks

Each but the last is preceded by p ← (1 − κ) p: decoupled weight decay (Loshchilov and Hutter 2019),
with κ the step's learning rate times the decay. With clipping, each entry of g is first limited to
±clip.
"""

from typing import NamedTuple

import numpy as np
from numba import njit

from embedder.arrays import Array

SGD, ADAGRAD, ADAM, GRADIENT = range(4)


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
    """Running averages of a parameter's gradient and its square; empty if the rule uses none."""

    first: Array
    second: Array


@njit(inline="always")
def rule_of_row(rule, visits, corrections, factor=1.0):
    """Return a rule with Adam's bias correction for a row's own number of steps.

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
    if rule.kind == ADAM:
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


@njit(fastmath={"contract", "nsz"}, error_model="numpy", cache=True)
def step(parameters, gradient, first, second, rule):
    """Update flat parameters (n,) by a gradient (n,), in place; see `step_row`."""
    parameters, first, second = (
        parameters.reshape(1, len(parameters)),
        first.reshape(1, len(first)),
        second.reshape(1, len(second)),
    )
    step_row(parameters, 0, gradient, first, second, rule)
