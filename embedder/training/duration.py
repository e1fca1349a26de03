"""Estimates of the time that a run will take, before it starts.

A few steps are timed; all other work is estimated in multiples of a step's operations, as measured
where scripts/benchmark.py was: these ratios differ less between machines than their speeds do.
"""

import statistics
import time
from typing import NamedTuple

import numpy as np

from embedder.arrays import Array, offsets_from_lengths
from embedder.config import Config
from embedder.config_automatic import context_classes, joint_rows, own_contexts, passes
from embedder.examples.batches import target_rows
from embedder.examples.cells import Cooccurrences
from embedder.examples.columns import compared_words, count_near
from embedder.examples.prepare import Examples
from embedder.examples.windows import vectors_per_input, window_width
from embedder.network.composition import Composition, OwnRows, SharedRows
from embedder.network.losses import make_loss
from embedder.network.losses.classes import with_class_rows
from embedder.network.network import Network
from embedder.network.optimizer import Optimizer
from embedder.network.parameters import Start, initial_parameters
from embedder.text.vocabulary import Vocabulary
from embedder.training.forecast import count_contexts
from embedder.training.row_fit import cost_in_passes

_TIMED_CONTEXTS = 1 << 14
_TIMED_STEPS = 3
_EXP = 450.0
"""What a logit costs beside its 6 H operations: its exponential, and its way through memory."""
_NEIGHBOUR, _CELL, _CELL_PER_DIMENSION, _CLASS = 900.0, 23_000.0, 38.0, 2.3
"""Operations: to count a neighbour; to write, weigh and group a cell; to multiply it by a row of
one entry, in all products of a factorisation; to compare an entry of a word with one of a class."""
_REPEATED = 0.74
"""Cells per cell of a text whose words are drawn independently of each other."""
_GROUPS_PER_OCTAVE = 8


class Durations(NamedTuple):
    """Seconds: ``before`` the first step, of all ``passes``, and of the ``fit`` of rows."""

    before: float
    passes: float
    fit: float

    def describe(self) -> str:
        """Return one line for users."""
        fit = f", {_duration(self.fit)} of fitting rows" if self.fit else ""
        return (
            f"time: about {_duration(sum(self))} in all: {_duration(self.before)} before training, "
            f"{_duration(self.passes)} of passes{fit}"
        )


def estimate_durations(
    config: Config, vocabulary: Vocabulary, composition: Composition
) -> Durations:
    """Estimate how long a training on counts will take once the text is read.

    Parameters
    ----------
    config
        The run.
    vocabulary
        The words and their counts.
    composition
        Which rows of E make up each word's vector.
    """
    V = len(vocabulary)
    kept = vocabulary.counts * vocabulary.keep_probabilities(config.vocabulary.subsample)
    cells = _REPEATED * expected_cells(kept, config)
    C = count_contexts(config, V)
    B = min(config.training.batch_size, joint_rows(config, V))
    step = time_step(config, C, min(cells / V, C), B, composition)
    network = config.network
    rank = max(network.dimension, network.hidden)
    unit = step / (C * B * (6 * network.hidden + _EXP))
    classes, grouped = context_classes(config, V), V - own_contexts(config, V)
    work = _NEIGHBOUR * 2 * config.examples.reach * kept.sum() + _CELL * cells
    if classes or network.initialisation == "spectral":
        work += _CELL_PER_DIMENSION * rank * cells
        work += _CLASS * compared_words(grouped, classes) * classes * rank
    a_pass = step * -(-joint_rows(config, V) // B)
    return Durations(unit * work, a_pass * passes(config, V), a_pass * cost_in_passes(config, V))


def expected_cells(kept: Array, config: Config) -> float:
    """Return the expected number of cells if words were independent of each other.

    Word i is then a neighbour of word j λ = (slots of a window) n_i n_j / n times, and their cell
    exists with probability 1 − exp(−λ). Words of similar frequency are taken together.

    Parameters
    ----------
    kept : (V,)
        How often each word is expected in the sampled text.
    config
        The window, and which words have position-specific contexts.
    """
    window, near = config.examples.reach, count_near(config, len(kept))
    distance = min(config.examples.near, window) if near else 0
    apart = np.arange(len(kept)) < near
    groups = 2 * np.round(_GROUPS_PER_OCTAVE * np.log2(kept)).astype(np.int64) + apart
    _, group = np.unique(groups, return_inverse=True)
    sizes = np.bincount(group)
    means = np.bincount(group, kept) / sizes
    apart = np.bincount(group, apart) > 0
    rates = np.outer(means, means) / kept.sum()
    cells = -np.expm1(-rates * np.where(apart, 2 * (window - distance), 2 * window))
    cells -= np.where(apart, 2, 0) * np.expm1(-rates * distance)
    return float(sizes @ cells @ sizes)


def time_step(
    config: Config,
    contexts: int,
    cells_per_row: float,
    B: int,
    composition: Composition,
) -> float:
    """Return an estimate of the seconds per training step.

    Times a few steps of a network with the run's sizes but fewer contexts, synthetic parameters and
    synthetic targets, and extrapolates: the cost of the softmax is proportional to the number of
    contexts, that of the class softmax to its square root, and that of sampled losses independent
    of it.

    Parameters
    ----------
    config
        The run.
    contexts
        C.
    cells_per_row
        The mean number of targets per example.
    B
        Examples per step.
    composition
        Which rows of E make up each word's vector.
    """
    rng = np.random.default_rng(0)
    timed = min(contexts, max(_TIMED_CONTEXTS, B))
    cells = max(1, round(cells_per_row * timed / contexts))
    columns = np.sort(rng.integers(0, timed, (B, cells), np.int32)).reshape(-1)
    counts = Cooccurrences(np.arange(B + 1) * cells, columns, np.ones(B * cells, np.float32))
    rows = np.arange(B)
    targets = target_rows(counts, counts.row_totals(), rows, np.ones(B))
    K = window_width(config.examples, config.network)
    inputs = rows[:, None] % timed if K == 1 else rng.integers(0, timed, (B, K), np.int32)
    vectors = vectors_per_input(config.examples, config.network)
    ones, words = np.ones(timed), np.arange(timed)
    like = _scaled_down(composition, timed, rng)
    start = Start(ones, words, OwnRows(timed), vectors_per_input=vectors)
    parameters = initial_parameters(config.network, start, rng)
    parameters = with_class_rows(config.loss, ones, parameters)
    loss = make_loss(config.loss, ones, parameters, B, 0)
    network = Network(config.network, parameters, B, loss, composition=like)
    optimizer = Optimizer(parameters, config.training, config.examples.source)
    seconds = []
    for number in range(1 + _TIMED_STEPS):  # the first compiles, and touches new memory
        started = time.perf_counter()
        network.step(inputs, targets, optimizer, number, 1e-3)
        seconds.append(time.perf_counter() - started)
    power = {"softmax": 1.0, "class-softmax": 0.5}.get(config.loss.name, 0.0)
    return float(statistics.median(seconds[1:]) * (contexts / timed) ** power)


def _scaled_down(composition: Composition, words: int, rng: np.random.Generator) -> Composition:
    """Return a composition of fewer words, with as many rows each, and one row of E per word."""
    if not isinstance(composition, SharedRows):
        return OwnRows(words)
    sizes = np.diff(composition.starts)[np.arange(words) % composition.words]
    starts = offsets_from_lengths(sizes)
    rows = rng.integers(0, words, starts[-1], np.int32)
    rows[starts[:-1]] = np.arange(words)
    return SharedRows(starts, rows, rows[:0], [], np.ones(words, np.int64))


def describe_time(
    config: Config,
    examples: Examples,
    contexts: int,
    to_go: float,
    composition: Composition,
) -> str:
    """Return one line for users on how long what is to go will take.

    `to_go` is in passes.
    """
    stream = examples.stream
    step = time_step(config, contexts, examples.targets, stream.batch_size, composition)
    per_pass = step * stream.steps_per_pass
    limit = config.training.max_minutes
    ends = f", at most {limit:g} min in total" if limit is not None else ""
    return (
        f"time: about {_duration(per_pass)} per pass ({stream.steps_per_pass:,} steps), "
        f"{_duration(per_pass * to_go)} of training to go{ends}"
    )


def _duration(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 100 else f"{seconds / 60:.1f} min"
