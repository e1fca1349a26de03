"""Training steps on windows with a sampled loss, several in one kernel.

Such a step has little work, a few hundred operations per example and weight, so that handing it to
the threads layer by layer, or even step by step, would take as long as the work itself. A step's
phases (see `embedder.kernels.phases`):

1. The positions of the batch are grouped by row of E, and by row of W2 and b2 (a task each). The
   other tasks each take some examples from the rows of their windows through the hidden layer and
   the loss back to ∂J/∂x.
2. What these tasks have contributed to the gradients of the candidates, of W1 and of b1 is added in
   the order of the tasks, and W1 and b1 are updated.
3. The rows of E, W2 and b2 that occur in the batch are updated. What they contribute to Adafactor's
   factors of the columns is added up before the next step's rows are updated.

Where the hidden layer passes x through unchanged (`PASS_THROUGH`), as in word2vec, ∂J/∂h is ∂J/∂x,
and there is nothing to do for W1 and b1.

The functions for each layer are those of `embedder.kernels.gather`, `hidden` and `sampled`.
"""

from typing import NamedTuple

import numpy as np
from numba import njit

from embedder.arrays import Array
from embedder.kernels.gather import (
    Groups,
    RowSteps,
    count_visits,
    divide_by_window_sizes,
    gather_means,
    group_places,
    new_groups,
    step_groups,
)
from embedder.kernels.hidden import EXAMPLES_PER_PART, differentiate_examples, forward_examples
from embedder.kernels.optimizer import ADAFACTOR, Moments, Rule, average_columns, step
from embedder.kernels.phases import complete_task, may_begin, take_task
from embedder.kernels.sampled import Sample, SampledGradients, candidate_rows, score_examples
from embedder.kernels.threads import share_phases

PASS_THROUGH = -1
"""Instead of an activation: h = x, because W1 is the identity and b1 zero, and both stay so."""
_GROUPINGS = 2
_CANDIDATE_TASKS, _WEIGHT_TASKS = 8, 8
_INPUT_TASKS, _OUTPUT_TASKS = 48, 16
"""Tasks that rows are distributed to."""


class Weights(NamedTuple):
    """The parameters: ``E (V, D)``, ``W1 (D, H)``, ``b1 (H,)``, ``W2 (V, F)``, ``b2 (V,)``.

    F is H, or H + D with direct connections.
    """

    E: Array
    W1: Array
    b1: Array
    W2: Array
    b2: Array


class Bundle(NamedTuple):
    """Some batches, n, of examples; N in all.

    ``ends (n + 1,) int64``
        Examples ``ends[i] … ends[i + 1] − 1`` are batch i.
    ``ids (N, K) int32``
        The words of every window, −1 for none; x is the mean of their vectors.
    ``sample``
        The targets of the N examples; its candidates and their corrections are (n, S), a row for
        each batch.
    ``rates``, ``shrinks (n, 5)``
        Each batch's entries of the rules for E, W1, b1, W2 and b2.
    """

    ends: Array
    ids: Array
    sample: Sample
    rates: Array
    shrinks: Array


class WindowSteps(NamedTuple):
    """How each parameter is updated, but for the rules' entries in `Bundle`.

    ``E``, ``W2``, ``b2``
        By row; b2 has a row for each entry.
    ``W1_moments``, ``b1_moments``, ``W1_rule``, ``b1_rule``
    """

    E: RowSteps
    W2: RowSteps
    b2: RowSteps
    W1_moments: Moments
    b1_moments: Moments
    W1_rule: Rule
    b1_rule: Rule


class WindowBuffers(NamedTuple):
    """What the phases of a step leave for each other; see `new_buffers`.

    ``x, d_x (B, D)``, ``features (B, F)``
    ``gradients``
        `SampledGradients` of the loss.
    ``W1_by_task (tasks, D, H)``, ``b1_by_task (tasks, H)``
    ``candidates_by_task (tasks, S, F)``, ``shifts_by_task (tasks, S)``
    ``input_groups``, ``output_groups``
        Positions by row of E, and targets and candidates by row of W2.
    ``found (2,) int64``
        The numbers of these groups.
    ``input_squares (tasks, D + 1)``, ``output_squares (tasks, F + 1)``
        What the rows of E and W2 contribute to Adafactor's factors of the columns.
    """

    x: Array
    d_x: Array
    features: Array
    gradients: SampledGradients
    W1_by_task: Array
    b1_by_task: Array
    candidates_by_task: Array
    shifts_by_task: Array
    input_groups: Groups
    output_groups: Groups
    found: Array
    input_squares: Array
    output_squares: Array


def new_buffers(weights: Weights, batch: int, samples: int, width: int) -> WindowBuffers:
    """Allocate the buffers for B examples with windows of `width` words, and S candidates."""
    E, W1, _, W2, _ = weights
    (D, H), F, dtype = W1.shape, W2.shape[1], E.dtype
    tasks = -(-batch // EXAMPLES_PER_PART)

    def empty(*shape: int) -> Array:
        return np.empty(shape, dtype)

    return WindowBuffers(
        x=empty(batch, D),
        d_x=empty(batch, D),
        features=empty(batch, F),
        gradients=SampledGradients(
            empty(batch, F), empty(batch + samples, F), empty(batch + samples, 1)
        ),
        W1_by_task=empty(tasks, D, H),
        b1_by_task=empty(tasks, H),
        candidates_by_task=empty(tasks, samples, F),
        shifts_by_task=empty(tasks, samples),
        input_groups=new_groups(len(E), batch * width),
        output_groups=new_groups(len(W2), batch + samples),
        found=np.zeros(2, np.int64),
        input_squares=empty(_INPUT_TASKS, D + 1),
        output_squares=empty(_OUTPUT_TASKS, F + 1),
    )


def window_steps(
    loss: tuple[int, float],
    activation: int,
    weights: Weights,
    bundle: Bundle,
    steps: WindowSteps,
    buffers: WindowBuffers,
) -> Array:
    """Take a training step on each batch; return the loss before it, summed over it, (n,) float64.

    Parameters
    ----------
    loss
        Its kind and the weight of a noise word, as for `embedder.kernels.sampled`.
    activation
        See `embedder.kernels.hidden`; or `PASS_THROUGH`.
    weights : Weights
        Changed in place.
    bundle : Bundle
    steps : WindowSteps
    buffers : WindowBuffers
        For at least as many examples as the largest batch has, and as many candidates.
    """
    batches = len(bundle.ends) - 1
    tasks = _tasks_of_batch(buffers)
    width = len(buffers.W1_by_task)
    losses = np.zeros((batches, width))
    arguments = loss, activation, weights, bundle, steps, buffers, losses
    share_phases(_run_tasks, batches * tasks, width, *arguments)
    for own, squares in ((steps.E, buffers.input_squares), (steps.W2, buffers.output_squares)):
        if own.rule.kind == ADAFACTOR:
            average_columns(own.columns, squares, own.rule.decay1)
    return np.asarray(losses.sum(axis=1))


@njit(inline="always")
def _tasks_of_batch(buffers):
    """Return the number of tasks of a full batch; in smaller ones, some have nothing to do."""
    examples = len(buffers.W1_by_task)
    return _GROUPINGS + examples + _CANDIDATE_TASKS + _WEIGHT_TASKS + _INPUT_TASKS + _OUTPUT_TASKS


@njit(nogil=True, error_model="numpy", cache=True)
def _run_tasks(phases, loss, activation, weights, bundle, steps, buffers, losses):
    """Run tasks until none is left, and return False; or True, to be called again."""
    tasks = _tasks_of_batch(buffers)
    sums = _GROUPINGS + len(buffers.W1_by_task)
    updates = sums + _CANDIDATE_TASKS + _WEIGHT_TASKS
    while True:
        task = take_task(phases)
        if task < 0:
            return False
        i = task // tasks
        own = task - i * tasks
        phase = updates if own >= updates else sums if own >= sums else 0
        if not may_begin(phases, task, i * tasks + phase):
            return True
        ids, sample = _batch(bundle, i)
        parts = (len(ids) + EXAMPLES_PER_PART - 1) // EXAMPLES_PER_PART
        if own < _GROUPINGS:
            _group(own, ids, sample, buffers)
        elif own < sums:
            part = own - _GROUPINGS
            if part < parts:
                losses[i, part] = _differentiate(
                    part, loss, activation, weights, ids, sample, buffers
                )
        elif own < sums + _CANDIDATE_TASKS:
            if i > 0:
                _average_columns(own - sums, steps, buffers)
            _add_candidates(own - sums, parts, len(ids), buffers)
        elif own < updates:
            if activation != PASS_THROUGH:
                rules = _rules(steps, bundle, i)
                _step_weights(own - sums - _CANDIDATE_TASKS, parts, weights, steps, rules, buffers)
        else:
            rules = _rules(steps, bundle, i)
            d_x = buffers.gradients.features if activation == PASS_THROUGH else buffers.d_x
            _step_rows(own - updates, weights, d_x, ids.shape, steps, rules, buffers)
        complete_task(phases)


@njit(inline="always")
def _batch(bundle, i):
    """Return the windows of a batch, and its targets and candidates."""
    low, high = bundle.ends[i], bundle.ends[i + 1]
    targets, weights, candidates, target_corrections, corrections = bundle.sample
    sample = Sample(
        targets[low:high],
        weights[low:high],
        candidates[i],
        target_corrections[low:high],
        corrections[i],
    )
    return bundle.ids[low:high], sample


@njit(inline="always")
def _rules(steps, bundle, i):
    """Return the rules of a batch for E, W1, b1, W2 and b2."""
    rates, shrinks = bundle.rates[i], bundle.shrinks[i]
    return (
        _with_rate(steps.E.rule, rates[0], shrinks[0]),
        _with_rate(steps.W1_rule, rates[1], shrinks[1]),
        _with_rate(steps.b1_rule, rates[2], shrinks[2]),
        _with_rate(steps.W2.rule, rates[3], shrinks[3]),
        _with_rate(steps.b2.rule, rates[4], shrinks[4]),
    )


@njit(inline="always")
def _with_rate(rule, rate, shrink):
    return Rule(rule.kind, rate, rule.decay1, rule.decay2, rule.epsilon, shrink, rule.clip)


@njit(error_model="numpy", cache=True)
def _group(task, ids, sample, buffers):
    if task == 0:
        buffers.found[0] = group_places(ids.reshape(-1), buffers.input_groups)
    else:
        words = np.concatenate((sample.targets, sample.candidates))
        buffers.found[1] = group_places(words, buffers.output_groups)


@njit(error_model="numpy", cache=True)
def _differentiate(part, loss, activation, weights, ids, sample, buffers):
    """Take some examples through the network and back, and return their loss."""
    E, W1, b1, W2, b2 = weights
    x, features = buffers.x, buffers.features
    low = part * EXAMPLES_PER_PART
    high = min(len(ids), low + EXAMPLES_PER_PART)
    if activation == PASS_THROUGH:
        gather_means(low, high, E, ids, features)
    else:
        gather_means(low, high, E, ids, x)
        forward_examples(low, high, x, W1, b1, activation, features)
    gradients = _of_batch(buffers.gradients, len(ids), len(sample.candidates))
    candidates = candidate_rows(W2, b2, sample)
    sums = buffers.candidates_by_task[part], buffers.shifts_by_task[part]
    layer = features, W2, b2
    kind, noise = loss
    found = score_examples(low, high, kind, noise, layer, candidates, sample, gradients, sums)
    if activation == PASS_THROUGH:
        divide_by_window_sizes(ids[low:high], gradients.features[low:high])
        return found
    layer_below = x, W1, features
    d_W1, d_b1 = buffers.W1_by_task[part], buffers.b1_by_task[part]
    d_features, d_x = gradients.features, buffers.d_x
    differentiate_examples(low, high, layer_below, d_features, activation, d_x, d_W1, d_b1)
    divide_by_window_sizes(ids[low:high], d_x[low:high])
    return found


@njit(inline="always")
def _of_batch(gradients, batch, samples):
    """Return those entries of the gradients that belong to a batch of this size."""
    rows = gradients.rows[: batch + samples]
    return SampledGradients(gradients.features[:batch], rows, gradients.bias[: batch + samples])


@njit(error_model="numpy", cache=True)
def _average_columns(task, steps, buffers):
    """Take the squares of the step before into the factors of the columns of E, or of W2."""
    if task == 0 and steps.E.rule.kind == ADAFACTOR:
        average_columns(steps.E.columns, buffers.input_squares, steps.E.rule.decay1)
    if task == 1 and steps.W2.rule.kind == ADAFACTOR:
        average_columns(steps.W2.columns, buffers.output_squares, steps.W2.rule.decay1)


@njit(error_model="numpy", cache=True)
def _add_candidates(task, parts, batch, buffers):
    """Add up the gradients of some candidates."""
    _, rows, bias = buffers.gradients
    samples = buffers.shifts_by_task.shape[1]
    for s in range(task * samples // _CANDIDATE_TASKS, (task + 1) * samples // _CANDIDATE_TASKS):
        total = rows[batch + s]
        total[:] = buffers.candidates_by_task[0, s]
        shift = buffers.shifts_by_task[0, s]
        for part in range(1, parts):
            total += buffers.candidates_by_task[part, s]
            shift += buffers.shifts_by_task[part, s]
        bias[batch + s, 0] = shift


@njit(error_model="numpy", cache=True)
def _step_weights(task, parts, weights, steps, rules, buffers):
    """Add up the gradients of some rows of W1, and in the first task of b1, and update them."""
    W1, b1 = weights.W1, weights.b1
    D = len(W1)
    low, high = task * D // _WEIGHT_TASKS, (task + 1) * D // _WEIGHT_TASKS
    total = buffers.W1_by_task[0, low:high]
    for i in range(high - low):
        row = total[i]
        for part in range(1, parts):
            row += buffers.W1_by_task[part, low + i]
    first, second = steps.W1_moments
    step(
        W1[low:high].reshape(-1),
        total.reshape(-1),
        first[low:high].reshape(-1),
        second[low:high].reshape(-1),
        rules[1],
    )
    if task == 0:
        total_b1 = buffers.b1_by_task[0]
        for part in range(1, parts):
            total_b1 += buffers.b1_by_task[part]
        step(b1, total_b1, steps.b1_moments.first, steps.b1_moments.second, rules[2])


@njit(error_model="numpy", cache=True)
def _step_rows(task, weights, d_x, shape, steps, rules, buffers):
    """Update some rows of E, or of W2 and b2; `shape` is (B, K)."""
    batch, width = shape
    if task < _INPUT_TASKS:
        found, groups, own = buffers.found[0], buffers.input_groups, steps.E
        low, high = task * found // _INPUT_TASKS, (task + 1) * found // _INPUT_TASKS
        count_visits(low, high, groups, own.visits)
        own = _with_rule(own, rules[0])
        squares = buffers.input_squares[task]
        step_groups(low, high, weights.E, groups, found, d_x, width, own, squares)
        return
    task -= _INPUT_TASKS
    found, groups = buffers.found[1], buffers.output_groups
    low, high = task * found // _OUTPUT_TASKS, (task + 1) * found // _OUTPUT_TASKS
    _, rows, bias = _of_batch(buffers.gradients, batch, buffers.shifts_by_task.shape[1])
    count_visits(low, high, groups, steps.W2.visits)
    squares = buffers.output_squares[task]
    own = _with_rule(steps.W2, rules[3])
    one = np.int64(1)  # a literal would compile the function again
    step_groups(low, high, weights.W2, groups, found, rows, one, own, squares)
    b2, own = weights.b2.reshape(-1, 1), _with_rule(steps.b2, rules[4])
    step_groups(low, high, b2, groups, found, bias, one, own, squares[:0])


@njit(inline="always")
def _with_rule(steps, rule):
    moments, columns, visits, rates, _, corrections = steps
    return RowSteps(moments, columns, visits, rates, rule, corrections)
