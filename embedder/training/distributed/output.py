"""The exact softmax split by contexts: every process owns some rows of W2 and b2.

A step, with h (B × H), p a process and θ its logits:

1. Process 0 broadcasts h and the rows that identify the batch's targets.
2. Each process computes log Σ exp θ over its contexts, and its targets' logits. Process 0 gathers
   both (16 B bytes per process), merges log Σ_p exp(log-sum-exp_p) and broadcasts it (8 B bytes).
3. Each process then knows n ŷ − y for its contexts: it updates its rows, and its ∂J/∂h goes into
   the sum that process 0 receives (4 B H bytes).

Only process 0 has the embedding table, and the size of the messages does not depend on V.
"""

from collections.abc import Callable
from enum import IntEnum, auto
from typing import NamedTuple

import numpy as np

from embedder.arrays import Array
from embedder.config import Config
from embedder.kernels.optimizer import Rule
from embedder.kernels.softmax import Targets
from embedder.network.losses.softmax import Softmax, output_moments
from embedder.network.optimizer import Optimizer, StepContext
from embedder.network.parameters import Parameters
from embedder.training.distributed.exchange import Exchange
from embedder.training.distributed.slices import OwnTargets, SlicedTargets

TRAINING, HELD_OUT = 0, 1
"""Indexes of the counts that an order refers to."""
ROWS = ("W2", "b2", "first.W2", "first.b2", "second.W2", "second.b2", "visits.W2")
"""Arrays with one row per context, by their names in checkpoints."""


class Order(IntEnum):
    """The operations that process 0 orders from all processes."""

    STEP = auto()
    LOSS = auto()
    TAKE = auto()
    GIVE = auto()
    MULTIPLY = auto()
    END = auto()


class Header(NamedTuple):
    """The beginning of an order: numbers, sent as float64.

    ``order``
    ``examples``
        B.
    ``which``
        Index of the targets.
    ``detail``
        The number of columns to multiply by, or bits that represent which of `ROWS` follow.
    ``kind`` … ``clip``
        The optimizer's rule.
    """

    order: float
    examples: float = 0
    which: float = 0
    detail: float = 0
    kind: float = 0
    rate: float = 0
    decay1: float = 0
    decay2: float = 0
    epsilon: float = 0
    shrink: float = 0
    clip: float = 0

    def rule(self) -> Rule:
        """Return the optimizer's rule."""
        return Rule(int(self.kind), *self[5:])


class Message:
    """The buffer of an order: a header, and room for a batch.

    Parameters
    ----------
    batch_size, features
        The largest B, and the width of the output layer's input.
    """

    def __init__(self, batch_size: int, features: int) -> None:
        shapes = (
            (np.float64, (len(Header._fields),)),
            (np.int64, (batch_size,)),
            (np.float32, (batch_size, features)),
            (np.float32, (batch_size,)),
            (np.float32, (batch_size,)),
        )
        sizes = [np.dtype(kind).itemsize * int(np.prod(shape)) for kind, shape in shapes]
        ends = np.cumsum(sizes)
        self.memory = np.zeros(ends[-1], np.uint8)
        views = [
            self.memory[end - size : end].view(kind).reshape(shape)
            for end, size, (kind, shape) in zip(ends, sizes, shapes, strict=True)
        ]
        self.header, self.rows, self.features, self.scales, self.totals = views

    def write(self, header: Header, features: Array, targets: SlicedTargets) -> None:
        """Write a header and a batch."""
        B = len(features)
        self.header[:] = header
        self.features[:B] = features
        self.rows[:B], self.scales[:B], self.totals[:B] = targets[1:]

    def batch(self, B: int) -> tuple[Array, Array, Array, Array]:
        """Return h, rows, scales and totals of B examples."""
        return self.features[:B], self.rows[:B], self.scales[:B], self.totals[:B]


class Slice:
    """One process's rows of the output layer, and the loop that executes the orders of process 0.

    Parameters
    ----------
    config
        The run.
    contexts : (C_p,) int64
        The rows of the whole W2 in this slice.
    targets
        The targets among these contexts, for training and held-out text.
    batch_size, features
        As for `Message`.
    """

    def __init__(
        self,
        config: Config,
        contexts: Array,
        targets: list[OwnTargets],
        batch_size: int,
        features: int,
    ) -> None:
        self.config = config
        self.contexts = contexts
        self.targets = targets
        self.message = Message(batch_size, features)
        self.multiply: Callable[[Array], Array] | None = None
        """Multiplies by this slice's columns of the positive PMI matrix, for a spectral start."""
        self.vocabulary = 0
        """Rows of that matrix."""

    def serve(self, exchange: Exchange) -> None:
        """Execute orders until the order to end.

        Raises
        ------
        WorkerLost
            If another process is lost.
        """
        batch_size, features = self.message.features.shape
        parameters = _empty_parameters(len(self.contexts), features)
        optimizer = Optimizer(parameters, self.config.training)
        arrays = _rows_of(parameters._asdict() | optimizer.state())
        softmax = Softmax(parameters.W2, parameters.b2, batch_size)
        total = np.empty((batch_size, features), np.float32)
        while True:
            exchange.broadcast(self.message.memory)
            header = Header(*self.message.header.tolist())
            order = Order(int(header.order))
            if order == Order.END:
                return
            if order == Order.MULTIPLY:
                dense = np.empty((self.vocabulary, int(header.detail)), np.float32)
                multiply_together(exchange, self, dense)
            elif order in (Order.TAKE, Order.GIVE):
                for name in names_in(int(header.detail)):
                    if order == Order.GIVE:
                        exchange.send(arrays[name], 0)
                    else:
                        exchange.receive(arrays[name], 0)
            else:
                B = int(header.examples)
                batch, *named = self.message.batch(B)
                own = self.targets[int(header.which)].select(*named)
                softmax.training_loss(batch, own)
                merge_log_sums(exchange, softmax, own, broadcast=order == Order.STEP)
                if order == Order.STEP:
                    moments = output_moments(optimizer)
                    d_features = softmax.backward_and_update(own, header.rule(), moments)
                    exchange.add_up(d_features, total[:B])


class SlicedSoftmax:
    """The whole softmax as seen by process 0; a `Loss`.

    Parameters
    ----------
    exchange
        Connects to the other processes.
    own
        This process's slice.
    W2 : (C_p, H), b2 : (C_p,)
        The output layer's rows of this slice.
    """

    def __init__(self, exchange: Exchange, own: Slice, W2: Array, b2: Array) -> None:
        self._exchange = exchange
        self._slice = own
        self._softmax = Softmax(W2, b2, len(own.message.features))
        self._d_features = np.empty_like(own.message.features)
        self.steps = 0
        self.bytes = 0
        self.seconds = 0.0
        """Steps taken, and the bytes and seconds of their exchanges."""

    def log_likelihoods(self, features: Array, targets: Targets | SlicedTargets) -> Array:
        """See `Loss`."""
        own = self._forward(Header(Order.LOSS), features, _named(targets))
        return merge_log_sums(self._exchange, self._softmax, own, broadcast=False)

    def training_loss(
        self, features: Array, targets: Targets | SlicedTargets, number: int = 0
    ) -> float:
        """See `Loss`."""
        return -float(self.log_likelihoods(features, targets).sum())

    def step(
        self, features: Array, targets: Targets | SlicedTargets, context: StepContext
    ) -> tuple[float, Array]:
        """See `Loss`."""
        exchange = self._exchange
        bytes_before, seconds_before = exchange.bytes, exchange.seconds
        rule = context.rules["W2"]
        own = self._forward(Header(Order.STEP, 0, 0, 0, *rule), features, _named(targets))
        found = merge_log_sums(exchange, self._softmax, own, broadcast=True)
        moments = output_moments(context.optimizer)
        d_features = self._d_features[: len(features)]
        exchange.add_up(self._softmax.backward_and_update(own, rule, moments), d_features)
        self.steps += 1
        self.bytes += exchange.bytes - bytes_before
        self.seconds += exchange.seconds - seconds_before
        return -float(found.sum()), d_features

    def _forward(self, header: Header, features: Array, targets: SlicedTargets) -> Targets:
        """Broadcast a batch, and leave its exponentials and sums in this process's softmax."""
        own, B = self._slice, len(features)
        header = header._replace(examples=B, which=targets.which)
        own.message.write(header, features, targets)
        self._exchange.broadcast(own.message.memory)
        selected = own.targets[targets.which].select(*targets[1:])
        self._softmax.training_loss(features, selected)
        return selected


def _named(targets: Targets | SlicedTargets) -> SlicedTargets:
    """Return targets as `SlicedTargets`; those of windows are identified by their words."""
    if isinstance(targets, SlicedTargets):
        return targets
    words = targets.columns[targets.starts].astype(np.int64)
    return SlicedTargets(TRAINING, words, targets.scales, targets.totals)


def merge_log_sums(
    exchange: Exchange, softmax: Softmax, targets: Targets, broadcast: bool
) -> Array:
    """Merge the log-sum-exps and target logits of a batch over all processes.

    Parameters
    ----------
    exchange
        Connects the processes.
    softmax
        This process's softmax, after `Softmax.training_loss`.
    targets
        This process's targets of the batch.
    broadcast
        Store log Σ exp θ over all contexts in every process's softmax, for the step.

    Returns
    -------
    (B,) float64
        Σ_c y_bc log ŷ_bc, in process 0.
    """
    B = len(targets.totals)
    log_sums = softmax.workspace.log_sums[:B]
    found = np.stack([log_sums, softmax.workspace.target_logits[:, :B].sum(axis=0)])
    everyones = np.zeros((exchange.size, *found.shape))
    exchange.gather(found, everyones)
    merged = np.ascontiguousarray(np.logaddexp.reduce(everyones[:, 0], axis=0))
    if broadcast:
        exchange.broadcast(merged)
        log_sums[:] = merged
    return np.asarray(everyones[:, 1].sum(axis=0) - targets.totals * merged)


def multiply_together(exchange: Exchange, own: Slice, dense: Array) -> Array:
    """Multiply process 0's matrix (V, k) float32 by the columns of the PMI matrix in all processes.

    Returns
    -------
    (V, k) float32
        The product, in process 0.
    """
    assert own.multiply is not None
    exchange.broadcast(dense)
    part = own.multiply(dense)
    exchange.add_up(part, dense)
    return dense


def bits_of(names: "list[str]") -> int:
    """Encode a subset of `ROWS` as a number."""
    return sum(1 << ROWS.index(name) for name in names)


def names_in(bits: int) -> "list[str]":
    """Undo `bits_of`."""
    return [name for i, name in enumerate(ROWS) if bits >> i & 1]


def _rows_of(arrays: dict[str, Array]) -> dict[str, Array]:
    return {name: array for name, array in arrays.items() if name in ROWS}


def _empty_parameters(contexts: int, features: int) -> Parameters:
    nothing = np.empty((0, 0), np.float32)
    W2, b2 = np.zeros((contexts, features), np.float32), np.zeros(contexts, np.float32)
    return Parameters(nothing, nothing, np.empty(0, np.float32), W2, b2)
