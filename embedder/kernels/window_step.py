"""A training step on windows with a sampled loss, in one kernel.

Such a step has little work, a few hundred operations per example and weight, so that handing it to
the threads kernel by kernel would take as long as the work itself. Its phases (see
`embedder.kernels.phases`):

1. The positions of the batch are grouped by row of E, and by row of W2 and b2 (a task each). The
   other tasks each take some examples from the rows of their windows through the hidden layer and
   the loss back to ∂J/∂x.
2. What these tasks have contributed to the gradients of the candidates, of W1 and of b1 is added in
   the order of the tasks, and W1 and b1 are updated.
3. The rows of E, W2 and b2 that occur in the batch are updated.

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
from embedder.kernels.hidden import (
    EXAMPLES_PER_PART,
    differentiate_examples,
    forward_examples,
)
from embedder.kernels.optimizer import Moments, Rule, step
from embedder.kernels.phases import complete_task, may_begin, take_task
from embedder.kernels.sampled import Sample, SampledGradients, candidate_rows, score_examples
from embedder.kernels.threads import share_phases

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


class WindowSteps(NamedTuple):
    """How each parameter is updated.

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
    ``candidates_by_task (tasks, S, F)``, ``shifts_by_task (tasks, S)``, ``losses (tasks,)``
    ``input_groups``, ``output_groups``
        Positions by row of E, and targets and candidates by row of W2.
    ``found (2,) int64``
        The numbers of these groups.
    """

    x: Array
    d_x: Array
    features: Array
    gradients: SampledGradients
    W1_by_task: Array
    b1_by_task: Array
    candidates_by_task: Array
    shifts_by_task: Array
    losses: Array
    input_groups: Groups
    output_groups: Groups
    found: Array


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
        losses=np.empty(tasks),
        input_groups=new_groups(len(E), batch * width),
        output_groups=new_groups(len(W2), batch + samples),
        found=np.zeros(2, np.int64),
    )


def window_step(
    loss: tuple[int, float],
    activation: int,
    weights: Weights,
    ids: Array,
    sample: Sample,
    steps: WindowSteps,
    buffers: WindowBuffers,
) -> float:
    """Take a training step, and return the loss before it, summed over the batch.

    Parameters
    ----------
    loss
        Its kind and the weight of a noise word, as for `embedder.kernels.sampled`.
    activation
        See `embedder.kernels.hidden`.
    weights : Weights
        Changed in place.
    ids : (B, K) int32
        The words of every window, −1 for none; x is the mean of their vectors.
    sample : Sample
        The targets (B,) and the candidates.
    steps : WindowSteps
    buffers : WindowBuffers
        For at least B examples and as many candidates.
    """
    batch, samples = len(ids), len(sample.candidates)
    words = np.concatenate([sample.targets, sample.candidates])
    rows = buffers.gradients.rows[: batch + samples]
    bias = buffers.gradients.bias[: batch + samples]
    gradients = SampledGradients(buffers.gradients.features[:batch], rows, bias)
    examples = -(-batch // EXAMPLES_PER_PART)
    tasks = _GROUPINGS + examples + _CANDIDATE_TASKS + _WEIGHT_TASKS + _INPUT_TASKS + _OUTPUT_TASKS
    candidates = candidate_rows(weights.W2, weights.b2, sample)
    own = buffers._replace(gradients=gradients)
    network = loss, activation, weights
    share_phases(_run_tasks, tasks, *network, ids, (words, sample), candidates, steps, own)
    return float(buffers.losses[:examples].sum())


@njit(nogil=True, error_model="numpy", cache=True)
def _run_tasks(phases, loss, activation, weights, ids, words, candidates, steps, buffers):
    """Run tasks until none is left, and return False; or True, to be called again."""
    batch = len(ids)
    examples = (batch + EXAMPLES_PER_PART - 1) // EXAMPLES_PER_PART
    sums = _GROUPINGS + examples
    updates = sums + _CANDIDATE_TASKS + _WEIGHT_TASKS
    while True:
        task = take_task(phases)
        if task < 0:
            return False
        before = updates if task >= updates else sums if task >= sums else 0
        if not may_begin(phases, task, before):
            return True
        if task < _GROUPINGS:
            _group(task, ids, words[0], steps, buffers)
        elif task < sums:
            part = task - _GROUPINGS
            low = part * EXAMPLES_PER_PART
            high = min(batch, low + EXAMPLES_PER_PART)
            _differentiate(
                part, low, high, loss, activation, weights, ids, words[1], candidates, buffers
            )
        elif task < sums + _CANDIDATE_TASKS:
            _add_candidates(task - sums, examples, batch, buffers)
        elif task < updates:
            _step_weights(task - sums - _CANDIDATE_TASKS, examples, weights, steps, buffers)
        else:
            _step_rows(task - updates, weights, ids.shape[1], steps, buffers)
        complete_task(phases)


@njit(error_model="numpy", cache=True)
def _group(task, ids, words, steps, buffers):
    if task == 0:
        groups = buffers.input_groups
        found = group_places(ids.reshape(-1), groups)
        count_visits(groups, found, steps.E.visits)
    else:
        groups = buffers.output_groups
        found = group_places(words, groups)
        count_visits(groups, found, steps.W2.visits)
    buffers.found[task] = found


@njit(error_model="numpy", cache=True)
def _differentiate(part, low, high, loss, activation, weights, ids, sample, candidates, buffers):
    """Take some examples through the network and back."""
    E, W1, b1, W2, b2 = weights
    x, features = buffers.x, buffers.features
    gather_means(low, high, E, ids, x)
    forward_examples(low, high, x, W1, b1, activation, features)
    sums = buffers.candidates_by_task[part], buffers.shifts_by_task[part]
    buffers.losses[part] = score_examples(
        low, high, loss[0], loss[1], (features, W2, b2), candidates, sample, buffers.gradients, sums
    )
    layer = x, W1, features
    d_W1, d_b1 = buffers.W1_by_task[part], buffers.b1_by_task[part]
    d_features = buffers.gradients.features
    differentiate_examples(low, high, layer, d_features, activation, buffers.d_x, d_W1, d_b1)
    divide_by_window_sizes(ids[low:high], buffers.d_x[low:high])


@njit(error_model="numpy", cache=True)
def _add_candidates(task, examples, batch, buffers):
    """Add up the gradients of some candidates."""
    _, rows, bias = buffers.gradients
    samples = len(rows) - batch
    for s in range(task * samples // _CANDIDATE_TASKS, (task + 1) * samples // _CANDIDATE_TASKS):
        total = rows[batch + s]
        total[:] = buffers.candidates_by_task[0, s]
        shift = buffers.shifts_by_task[0, s]
        for part in range(1, examples):
            total += buffers.candidates_by_task[part, s]
            shift += buffers.shifts_by_task[part, s]
        bias[batch + s, 0] = shift


@njit(error_model="numpy", cache=True)
def _step_weights(task, examples, weights, steps, buffers):
    """Add up the gradients of some rows of W1, and in the first task of b1, and update them."""
    W1, b1 = weights.W1, weights.b1
    D = len(W1)
    low, high = task * D // _WEIGHT_TASKS, (task + 1) * D // _WEIGHT_TASKS
    total = buffers.W1_by_task[0, low:high]
    for part in range(1, examples):
        total += buffers.W1_by_task[part, low:high]
    first, second = steps.W1_moments
    step(
        W1[low:high].reshape(-1),
        total.reshape(-1),
        first[low:high].reshape(-1),
        second[low:high].reshape(-1),
        steps.W1_rule,
    )
    if task == 0:
        total_b1 = buffers.b1_by_task[0]
        for part in range(1, examples):
            total_b1 += buffers.b1_by_task[part]
        step(b1, total_b1, steps.b1_moments.first, steps.b1_moments.second, steps.b1_rule)


@njit(error_model="numpy", cache=True)
def _step_rows(task, weights, width, steps, buffers):
    """Update some rows of E, or of W2 and b2."""
    if task < _INPUT_TASKS:
        found = buffers.found[0]
        low, high = task * found // _INPUT_TASKS, (task + 1) * found // _INPUT_TASKS
        groups = buffers.input_groups
        step_groups(low, high, weights.E, groups, found, buffers.d_x, width, steps.E)
        return
    task -= _INPUT_TASKS
    found = buffers.found[1]
    low, high = task * found // _OUTPUT_TASKS, (task + 1) * found // _OUTPUT_TASKS
    groups = buffers.output_groups
    _, rows, bias = buffers.gradients
    step_groups(low, high, weights.W2, groups, found, rows, 1, steps.W2)
    b2 = weights.b2.reshape(-1, 1)
    step_groups(low, high, b2, groups, found, bias, 1, steps.b2)
