"""The loop: from a configuration to a run folder with a trained model."""

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from embedder.config import Config
from embedder.errors import CorpusError, RunError
from embedder.examples.batches import Batch
from embedder.examples.prepare import Examples
from embedder.network.composition import Composition
from embedder.network.network import Network
from embedder.network.optimizer import Optimizer, rate_at
from embedder.network.parameters import Parameters
from embedder.runs.checkpoint import (
    SavedState,
    load_parameters,
    save_checkpoint,
    save_model,
    what_to_do_about_infinity,
)
from embedder.runs.run_folder import RunFolder
from embedder.text.vocabulary import Vocabulary
from embedder.training.engine import Engine
from embedder.training.forecast import time_step
from embedder.training.metrics import Metrics
from embedder.training.signals import signals_noted
from embedder.training.tracking import Listener


class Interrupted(Exception):  # noqa: N818 - no error
    """Training was stopped by a signal and its state saved."""

    def __init__(self, progress: str) -> None:
        super().__init__(progress)
        self.progress = progress


@contextmanager
def timed(seconds: dict[str, float], stage: str) -> Iterator[None]:
    """Add the time that a block takes to a stage's seconds."""
    started = time.perf_counter()
    yield
    seconds[stage] = seconds.get(stage, 0.0) + time.perf_counter() - started


class Trainer:
    """The state of one training: network, optimizer, and where it is.

    Parameters
    ----------
    config
        The run's configuration.
    vocabulary
        V words and their counts.
    examples
        What to train on.
    engine
        Where the output layer is.
    seconds
        Receives the time of each stage.
    saved
        Where to go on from.
    composition
        What words' vectors are the means of; None for a row each.

    Raises
    ------
    RunError
        If `saved` belongs to another configuration.
    """

    def __init__(
        self,
        config: Config,
        vocabulary: Vocabulary,
        examples: Examples,
        engine: Engine,
        seconds: dict[str, float],
        saved: SavedState | None = None,
        composition: Composition | None = None,
    ) -> None:
        self._config = config
        self._composition = composition
        self._composition_digest = None if composition is None else composition.digest()
        self._examples = examples
        self._engine = engine
        self._seconds = seconds
        self._vocabulary_digest = vocabulary.digest()
        self._trained_before = 0.0
        self._started = self._saved_at = time.perf_counter()
        training = config.training
        self.number = 0
        self.passes = 0.0
        self._held_out: dict[str, float] = {}
        self._best = _Best(np.inf, 0)
        self._looked_at = -1
        batch = examples.stream.batch_size
        with timed(seconds, "initialisation"):
            parameters = saved.parameters if saved else examples.start(composition)
            if config.network.tied:
                parameters = parameters._replace(W2=parameters.E)
            arrays = parameters._asdict() | (saved.optimizer if saved else {})
            arrays = engine.own(arrays)
            parameters = Parameters(*(arrays[name] for name in Parameters._fields))
        loss = engine.loss(parameters, batch)
        self.network = Network(
            config.network, parameters, batch, engine.threads, loss, training.seed, composition
        )
        self.optimizer = Optimizer(parameters, training, config.examples.source)
        if saved:
            self._restore(saved._replace(optimizer=arrays))

    def metadata(self) -> dict[str, Any]:
        """Return what is saved beside the arrays."""
        return {
            "step": self.number,
            "passes": self.passes,
            "position": self._examples.stream.position(),
            "best": self._best,
            "vectors": self._config.network.vectors,
            "activation": self._config.network.activation,
            "config": self._config.model_dump(mode="json"),
            "vocabulary": self._vocabulary_digest,
            "composition": self._composition_digest,
            "trained_seconds": self._trained_seconds(),
        } | self._held_out

    def _trained_seconds(self) -> float:
        return self._trained_before + time.perf_counter() - self._started

    def _time_share(self) -> float:
        """Return the share of `training.max_minutes` that is over; 0 without a limit."""
        limit = self._config.training.max_minutes
        if limit is None:
            return 0.0
        stages = ("reading", "counting", "initialisation")
        before = sum(self._seconds.get(stage, 0.0) for stage in stages)
        return (before + self._trained_seconds()) / (60 * limit)

    def state(self) -> SavedState:
        """Return everything that a resumed training needs, uncopied where it is all here."""
        arrays = self._engine.whole(self.network.parameters._asdict() | self.optimizer.state())
        parameters = Parameters(*(arrays.pop(name) for name in Parameters._fields))
        return SavedState(parameters, arrays, self.metadata())

    def whole_parameters(self) -> Parameters:
        """Return the parameters, with the rows of the output layer that others train."""
        return Parameters(**self._engine.whole(self.network.parameters._asdict()))

    def _restore(self, saved: SavedState) -> None:
        E, W1, *_ = saved.parameters
        network = self._config.network
        try:
            if saved.metadata.get("composition") != self._composition_digest:
                raise ValueError("words were composed of other rows")
            if E.shape[1] != network.dimension or W1.shape[1] != network.hidden:
                raise ValueError(f"E is {E.shape}, W1 is {W1.shape}")
            self.optimizer.restore(saved.optimizer)
            self.number = int(saved.metadata["step"])
            self.passes = float(saved.metadata["passes"])
            self._examples.stream.seek(saved.metadata["position"])
            self._best = _Best(*saved.metadata["best"])
            self._trained_before = float(saved.metadata.get("trained_seconds", 0.0))
        except (KeyError, ValueError, TypeError) as error:
            raise RunError(
                f"the checkpoint does not fit the run's configuration ({error}); start again with "
                "--overwrite."
            ) from None

    def step(self, batch: Batch) -> tuple[float, float]:
        """Take one step; return the batch's loss in nats and the weight it is a sum over."""
        progress = min(1.0, max(batch.progress, self._time_share()))
        rate = rate_at(self.number, progress, self._config.training)
        loss = self.network.step(batch.inputs, batch.targets, self.optimizer, self.number, rate)
        self.number += 1
        self.passes = batch.passes
        return loss, float(batch.targets.totals.sum(dtype=np.float64))

    def run(self, folder: RunFolder, quiet: bool, listeners: Sequence[Listener] = ()) -> None:
        """Train to the end, writing metrics and checkpoints.

        Raises
        ------
        RunError
            If the loss stops being a number, or a checkpoint cannot be written.
        Interrupted
            After a signal, once the state is saved.
        """
        stream, passes = self._examples.stream, self._config.training.passes
        if not quiet:
            tqdm.write(self._predict(), file=sys.stderr)
        metrics = Metrics(folder.metrics, stream.words, self.number, self.passes, listeners)
        total = passes * stream.words
        bar = tqdm(
            total=total,
            initial=round(self.passes * stream.words),
            unit=" words",
            unit_scale=True,
            disable=quiet or None,
        )
        self._started = self._saved_at = time.perf_counter()
        with signals_noted() as signals, bar:
            for batch in stream.batches():
                before = self.passes
                loss, weight = self.step(batch)
                if not np.isfinite(loss):
                    raise RunError(
                        f"step {self.number:,}: the loss is {loss}, most likely because the "
                        f"learning rate ({self._config.training.learning_rate:g}) is too high; "
                        + what_to_do_about_infinity(folder)
                    )
                metrics.add(loss, weight)
                bar.update(round(self.passes * stream.words) - bar.n)
                bar.set_description(f"pass {min(int(self.passes) + 1, passes)}", refresh=False)
                bar.set_postfix_str(f"loss {metrics.smoothed_loss:.4f} nats", refresh=False)
                end_of_pass = int(self.passes) > int(before)
                every = self._config.validation.every
                due = self.number % every == 0 if every else end_of_pass
                held_out = self._look(folder) if due else None
                metrics.write(self.number, self.passes, held_out, end_of_pass)
                if self.passes >= passes or self._best.stale(self._config.validation.patience):
                    break
                if self._time_share() >= 1:
                    bar.write(f"Time is up after {self.passes:.2f} passes.", file=sys.stderr)
                    break
                self._checkpoint(folder, end_of_pass, stop=bool(signals))
        if self.number == 0:
            raise CorpusError("The corpus has no window to train on; give more text.")
        if self._looked_at != self.number:
            self._look(folder)
        if folder.best.exists():
            best = self._engine.own(load_parameters(folder.best)._asdict())
            for name, array in self.network.parameters._asdict().items():
                array[...] = best[name]
            self._held_out["validation_loss"] = self._best.loss
        if self._examples.test is not None:
            self._held_out["test_loss"] = self._examples.test(self.network)
        if self._examples.ngram is not None:
            self._held_out |= self._examples.ngram(self.network)
        self._seconds["training"] = self._trained_seconds()

    def _predict(self) -> str:
        return describe_time(
            self._config,
            self._examples,
            len(self.network.parameters.W2),
            self.network.parts,
            self._config.training.passes - self.passes,
            self._composition,
        )

    def _look(self, folder: RunFolder) -> float | None:
        """Return the loss of the held-out text, None without any, and keep what is best."""
        if self._examples.validation is None:
            return None
        loss = self._examples.validation(self.network)
        self._looked_at = self.number
        self._held_out["validation_loss"] = loss
        if loss < self._best.loss:
            self._best = _Best(loss, 0)
            if self._config.validation.patience:
                save_model(folder.best, self.whole_parameters(), self.metadata())
        else:
            self._best = _Best(self._best.loss, self._best.looks_since + 1)
        return loss

    def _checkpoint(self, folder: RunFolder, end_of_pass: bool, stop: bool) -> None:
        if stop or self._checkpoint_is_due(end_of_pass):
            save_checkpoint(folder, self.state(), self._config.training.checkpoints_kept)
            self._saved_at = time.perf_counter()
        if stop:
            raise Interrupted(
                f"pass {int(self.passes) + 1} of {self._config.training.passes}, "
                f"step {self.number:,}"
            )

    def _checkpoint_is_due(self, end_of_pass: bool) -> bool:
        amount, unit = self._config.training.checkpoint_interval
        if unit == "minutes":
            return time.perf_counter() - self._saved_at >= 60 * amount
        if unit == "steps":
            return self.number % amount == 0
        return amount > 0 and end_of_pass and round(self.passes) % amount == 0


class _Best(NamedTuple):
    """The lowest loss of the held-out text, and how many looks ago that was."""

    loss: float
    looks_since: int

    def stale(self, patience: int) -> bool:
        return patience > 0 and self.looks_since >= patience


def describe_time(
    config: Config,
    examples: Examples,
    contexts: int,
    threads: int,
    passes: float,
    composition: Composition | None,
) -> str:
    """Return one line for people on how long so many passes will take."""
    stream = examples.stream
    step = time_step(config, contexts, examples.targets, stream.batch_size, threads, composition)
    a_pass = step * stream.steps_a_pass
    limit = config.training.max_minutes
    ends = f", at most {limit:g} min in all" if limit is not None else ""
    return (
        f"time: about {_minutes(a_pass)} a pass ({stream.steps_a_pass:,} steps), "
        f"{_minutes(a_pass * passes)} of training to go{ends}"
    )


def _minutes(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 100 else f"{seconds / 60:.1f} min"
