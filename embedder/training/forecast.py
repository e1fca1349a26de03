"""Estimates of the memory that a run will need, before it starts."""

import shutil
from pathlib import Path
from typing import NamedTuple

import numpy as np
import psutil

from embedder.config import Config
from embedder.config_automatic import context_classes, joint_rows, own_contexts, passes
from embedder.errors import RunError
from embedder.examples.cells import BYTES_PER_CELL, CELLS_PER_SLAB
from embedder.examples.columns import count_near
from embedder.examples.spectral import start_bytes
from embedder.examples.windows import vectors_per_input
from embedder.network.composition import Composition
from embedder.runs.replicate_folder import DTYPE, missing_replicates

_FLOAT = 4
_MOMENTS = {"adam": 2, "adagrad": 1, "sgd": 0}
_RESERVED_SHARE = 0.05
"""Share of the available memory that a run leaves unused."""


class Needs(NamedTuple):
    """Memory and disk space in bytes.

    ``parameters``
        E, W1, b1, W2, b2 and the optimizer's moments.
    ``batch``
        The exponentials of a batch, C × B, and its hidden vectors and gradients.
    ``counting``
        Positions of words and cells not yet on disk, freed before training; for windows, the
        tokens being shuffled.
    ``start``
        The factors of a spectral start and of classes of contexts, freed before training.
    ``ids``, ``cells``
        On disk, memory-mapped: the encoded corpus, and an upper bound for the counts.
    """

    parameters: int
    batch: int
    counting: int
    start: int
    ids: int
    cells: int

    def describe(self) -> str:
        """Return one line for users."""
        on_disk = f"corpus {_size(self.ids)}"
        if self.cells:
            on_disk += f", counts at most {_size(self.cells)}"
        return (
            f"memory: parameters and optimizer {_size(self.parameters)}, "
            f"batch {_size(self.batch)}, before training {_size(max(self.counting, self.start))}; "
            f"on disk: {on_disk}"
        )


def count_contexts(config: Config, vocabulary: int) -> int:
    """Return C, the rows of W2: words, classes of words, and position-specific contexts."""
    own = own_contexts(config, vocabulary)
    return own + context_classes(config, vocabulary) + 2 * count_near(config, vocabulary)


def describe_sizes(config: Config, vocabulary: int) -> str:
    """Return one line for users on what is trained for a vocabulary, and how."""
    own, classes = own_contexts(config, vocabulary), context_classes(config, vocabulary)
    near, joint = count_near(config, vocabulary), joint_rows(config, vocabulary)
    outputs = f"{own:,}"
    if classes:
        outputs += f", {classes:,} classes of the others"
    if near:
        outputs += f", {near:,} just before and {near:,} just after"
    rows = f"{joint:,} trained jointly, {vocabulary - joint:,} fitted afterwards; "
    return (
        f"words: {vocabulary:,}; outputs: {outputs}; {rows if joint < vocabulary else ''}"
        f"passes: {passes(config, vocabulary)}"
    )


def estimate_needs(config: Config, composition: Composition, tokens: int, threads: int) -> Needs:
    """Return the memory and disk space that a run needs, on a cluster those of the leader.

    Parameters
    ----------
    config
        The run.
    composition
        Which rows of E make up each word's vector.
    tokens
        The number of tokens in the corpus.
    threads
        How many threads share the work.
    """
    from embedder.kernels.softmax import count_parts

    vocabulary = composition.words
    network, training = config.network, config.training
    D, H = network.dimension, network.hidden
    windows = config.examples.source == "windows"
    length = D * vectors_per_input(config.examples, network)
    features = H + length if network.direct else H
    C = count_contexts(config, vocabulary)
    B = training.batch_size if windows else min(training.batch_size, vocabulary)
    hidden, output = length * H + H, C * features + C
    rows = composition.height
    trained = joint_rows(config, rows)
    moments = _MOMENTS.get(training.optimizer, 0) * (trained * D + hidden + output)
    if training.optimizer == "adafactor":
        moments = trained + 2 * hidden + 2 * C
    logits = {"softmax": C, "class-softmax": 2 * round(vocabulary**0.5)}.get(
        config.loss.name, 2 * config.loss.samples
    )
    parts = count_parts(C) if config.loss.name == "softmax" else 1
    batch = (logits + 2 * length + (2 + 2 * threads + parts) * features) * B
    held = min(tokens, config.examples.shuffle_tokens) if windows else 0
    # Tokens and their order; or fewer tokens at a time, but a pair for every neighbour.
    shuffled = (4 if network.input == "word" else 2) * held
    spectral = network.initialisation == "spectral"
    grouped = context_classes(config, vocabulary) > 0
    counted = not windows or spectral
    contexts = vocabulary + 2 * count_near(config, vocabulary)
    cells = min(2 * config.examples.reach * tokens, vocabulary * contexts) if counted else 0
    positions = 4 * tokens if counted else 0
    slab = BYTES_PER_CELL * min(CELLS_PER_SLAB, cells)
    if training.memory_limit is not None:
        positions, slab = (min(size, training.memory_limit // 2) for size in (positions, slab))
    if training.engine == "ray":  # other machines hold the text, and count it
        tokens, positions, slab = 0, 0, 0
        cells = min(cells, trained * C)
    return Needs(
        parameters=_FLOAT * (rows * D + hidden + output + moments),
        batch=_FLOAT * batch,
        counting=_FLOAT * shuffled + positions + slab + 8 * contexts * threads * counted,
        start=start_bytes(vocabulary, max(D, H)) if spectral or grouped else 0,
        ids=_FLOAT * 2 * tokens,
        cells=BYTES_PER_CELL * cells,
    )


def refuse_too_large(needs: Needs, memory_limit: int | None) -> None:
    """Reject a run that needs more memory than the machine has, or than the configured limit.

    Raises
    ------
    RunError
        With the sizes, and the settings to lower.
    """
    if memory_limit is None:
        room = int(psutil.virtual_memory().available * (1 - _RESERVED_SHARE))
        available = f"this machine has {_size(room)} available"
    else:
        room = memory_limit
        available = f"training.memory_limit is {_size(room)}"
    if needs.start > room:
        raise RunError(
            f"The spectral start needs {_size(needs.start)} of memory, but {available}; lower "
            "vocabulary.max_size, network.dimension or network.hidden."
        )
    if needs.parameters + needs.batch > room:
        raise RunError(
            f"Training needs {_size(needs.parameters + needs.batch)} of memory (parameters and "
            f"optimizer {_size(needs.parameters)}, batch {_size(needs.batch)}), but {available}; "
            "lower vocabulary.max_size, network.dimension, network.hidden or training.batch_size."
        )
    if memory_limit is None and needs.counting > room:
        raise RunError(
            f"Counting needs {_size(needs.counting)} of memory, but {available}; set "
            "training.memory_limit to count through the disk."
        )


def _bytes_of_replicate(config: Config, vocabulary: int) -> int:
    network = config.network
    length = network.dimension if network.vectors == "input" else network.hidden
    return np.dtype(DTYPE).itemsize * vocabulary * length


def describe_replicates(config: Config, vocabulary: int) -> str:
    """Return one line for users on the replicates that a run will have."""
    wanted = config.replicates
    size = wanted.wanted * _bytes_of_replicate(config, vocabulary)
    kinds = (
        f"{wanted.bootstrap:,} on bootstrap samples" * (wanted.bootstrap > 0),
        f"{wanted.seeds:,} with other seeds" * (wanted.seeds > 0),
    )
    return (
        f"replicates: {' and '.join(filter(None, kinds))}, each a training as long as the run's "
        f"own, one after another; their vectors take {_size(size)} on disk"
    )


def refuse_full_disk(config: Config, vocabulary: int, run: Path) -> None:
    """Reject more replicates than the disk has room for.

    Raises
    ------
    RunError
        With the sizes.
    """
    missing = len(missing_replicates(config, run))
    needed = missing * _bytes_of_replicate(config, vocabulary)
    free = shutil.disk_usage(run).free
    if needed > free:
        raise RunError(
            f"{run}: the vectors of {missing:,} replicates need {_size(needed)}, but the disk has "
            f"{_size(free)} free; lower replicates.bootstrap or replicates.seeds, or free some "
            "space."
        )


def _size(count: int) -> str:
    for unit, size in (("GiB", 2**30), ("MiB", 2**20)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count / 2**10:.0f} KiB"
