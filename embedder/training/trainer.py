"""The training loop: steps, metrics, validation and checkpoints."""

import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from embedder.config import Config
from embedder.config_automatic import joint_rows, passes
from embedder.errors import CorpusError, RunError
from embedder.examples.batches import Batch
from embedder.examples.prepare import Examples, RangedCounts
from embedder.network.composition import Composition
from embedder.network.losses import make_loss
from embedder.network.network import Network
from embedder.network.optimizer import Optimizer, rate_at
from embedder.runs.checkpoint import (
    Kept,
    SavedState,
    divergence_advice,
    load_fitted,
    load_parameters,
    save_checkpoint,
    save_fitted,
    save_model,
)
from embedder.runs.progress import progress_bar, say
from embedder.runs.run_folder import RunFolder
from embedder.text.vocabulary import Vocabulary
from embedder.training.duration import describe_time
from embedder.training.engine import Engine
from embedder.training.frozen_layers import FrozenLayers
from embedder.training.metrics import Metrics
from embedder.training.row_fit import Fit, cost_in_passes, fit_of_range, ranges_to_fit
from embedder.training.signals import StopSignals
from embedder.training.spelling import SpelledRows
from embedder.training.start import start_from_vectors
from embedder.training.tracking import Listener


class Interrupted(Exception):  # noqa: N818 - not an error
    """A signal stopped the training after its state was saved.

    Parameters
    ----------
    progress
        How far the training came.
    number
        The signal.
    finished
        Whether the training had ended, so that there is nothing to resume.
    """

    def __init__(self, progress: str, number: int = signal.SIGINT, finished: bool = False) -> None:
        super().__init__(progress)
        self.progress = progress
        self.number = int(number)
        self.finished = finished


@contextmanager
def timed(seconds: dict[str, float], stage: str) -> Iterator[None]:
    """Add the duration of a block to a stage's seconds."""
    started = time.perf_counter()
    yield
    seconds[stage] = seconds.get(stage, 0.0) + time.perf_counter() - started


class _Best(NamedTuple):
    """The lowest validation loss, and the number of validations since."""

    loss: float
    validations_since: int

    def is_stale(self, patience: int) -> bool:
        return patience > 0 and self.validations_since >= patience


class Trainer:
    """The state of one training: network, optimizer and position.

    Parameters
    ----------
    config
        The run's configuration.
    vocabulary
        V words and their counts.
    examples
        The training examples.
    engine
        Fits rows.
    seconds
        Receives the time of each stage.
    composition
        Which rows of E make up each word's vector.
    saved
        The state to resume from.

    Raises
    ------
    RunError
        If `saved` does not match the configuration.
    """

    def __init__(
        self,
        config: Config,
        vocabulary: Vocabulary,
        examples: Examples,
        engine: Engine,
        seconds: dict[str, float],
        composition: Composition,
        saved: SavedState | None = None,
    ) -> None:
        self._config = config
        self._composition = composition
        self._composition_digest = composition.digest()
        columns = examples.columns
        grouped = columns.of_words if columns is not None and columns.are_grouped else None
        self.kept = Kept(grouped, examples.totals)
        """What the model keeps of the counts."""
        self._examples = examples
        self._engine = engine
        self._seconds = seconds
        self._vocabulary_digest = vocabulary.digest()
        self._words = vocabulary.words
        self._trained_before = 0.0
        self._started = self._saved_at = time.perf_counter()
        training = config.training
        self.number = 0
        self.passes = 0.0
        self._all_passes = passes(config, composition.words)
        self._held_out: dict[str, float] = {}
        self._best = _Best(np.inf, 0)
        self._validated_at = -1
        self._fitted: int | None = None  # rows, once the passes are completed
        self._signals = StopSignals()
        batch = examples.stream.batch_size
        with timed(seconds, "initialisation"):
            if saved:
                parameters = saved.parameters
            else:
                parameters = examples.start(composition)
                parameters = start_from_vectors(config, parameters, vocabulary, composition)
            if config.network.tied:
                parameters = parameters._replace(W2=parameters.E)
        loss = make_loss(config.loss, vocabulary.counts, parameters, batch, training.seed)
        self.network = Network(config.network, parameters, batch, loss, training.seed, composition)
        # Only rows that are trained jointly need moments.
        E = parameters.E
        joint = parameters._replace(E=E[: joint_rows(config, len(E))])
        self.optimizer = Optimizer(joint, training, config.examples.source)
        if saved:
            self._restore(saved)

    def metadata(self) -> dict[str, Any]:
        """Return the metadata to save with the arrays."""
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
            "fitted": self._fitted,
        } | self._held_out

    def _trained_seconds(self) -> float:
        return self._trained_before + time.perf_counter() - self._started

    def _time_share(self) -> float:
        """Return the elapsed fraction of `training.max_minutes`; 0 without a limit."""
        limit = self._config.training.max_minutes
        if limit is None:
            return 0.0
        stages = ("reading", "counting", "initialisation")
        before = sum(self._seconds.get(stage, 0.0) for stage in stages)
        trained = self._trained_seconds()
        reserved = self._cost_of_fit() / self.passes if self.passes else 0.0
        return (before + trained * (1 + reserved)) / (60 * limit)

    def state(self) -> SavedState:
        """Return everything that a resumed training needs; arrays are not copied."""
        parameters = self.network.parameters
        return SavedState(parameters, self.optimizer.state(), self.metadata(), self.kept)

    def _restore(self, saved: SavedState) -> None:
        E, W1, *_ = saved.parameters
        network = self._config.network
        try:
            if saved.metadata.get("composition") != self._composition_digest:
                raise ValueError("words are composed of other rows")
            if E.shape[1] != network.dimension or W1.shape[1] != network.hidden:
                raise ValueError(f"E is {E.shape}, W1 is {W1.shape}")
            self.optimizer.restore(saved.optimizer)
            self.number = int(saved.metadata["step"])
            self.passes = float(saved.metadata["passes"])
            self._examples.stream.seek(saved.metadata["position"])
            self._best = _Best(*saved.metadata["best"])
            self._trained_before = float(saved.metadata.get("trained_seconds", 0.0))
            self._fitted = saved.metadata.get("fitted")
            if self._fitted is not None and "validation_loss" in saved.metadata:
                self._held_out["validation_loss"] = float(saved.metadata["validation_loss"])
        except (KeyError, ValueError, TypeError) as error:
            raise RunError(
                f"the checkpoint does not match the run's configuration ({error}); start again "
                "with --overwrite."
            ) from None

    def steps(self, batches: Sequence[Batch]) -> list[tuple[float, float]]:
        """Take a step on each batch; return its loss in nats and the weight it is a sum over."""
        share = self._time_share()
        rates = [
            rate_at(self.number + i, min(1.0, max(batch.progress, share)), self._config.training)
            for i, batch in enumerate(batches)
        ]
        examples = [(batch.inputs, batch.targets) for batch in batches]
        losses = self.network.steps(examples, self.optimizer, self.number, rates)
        self.number += len(batches)
        self.passes = batches[-1].passes
        return [
            (loss + batch.constant, float(batch.targets.totals.sum(dtype=np.float64)))
            for loss, batch in zip(losses.tolist(), batches, strict=True)
        ]

    def _bundles(self) -> Iterator[list[Batch]]:
        """Yield the batches, those together whose steps can be taken at once.

        Nothing else, such as a validation or a checkpoint, is due between these steps.
        """
        bundle: list[Batch] = []
        for batch in self._examples.stream.batches():
            bundle.append(batch)
            number, end_of_pass = self.number + len(bundle), int(batch.passes) > int(self.passes)
            due = self._validation_is_due(number, end_of_pass) or self._stops_at(number)
            if due or end_of_pass or len(bundle) == self.network.steps_at_once:
                yield bundle
                bundle = []
        if bundle:
            yield bundle

    def run(
        self,
        folder: RunFolder,
        quiet: bool,
        listeners: Sequence[Listener] = (),
        signals: StopSignals | None = None,
    ) -> None:
        """Train to the end; write metrics and checkpoints.

        Parameters
        ----------
        folder
            The run.
        quiet
            Show no progress bars.
        listeners
            Called with each line of metrics.
        signals
            Stop the training between two steps, or two ranges of fitted rows.

        Raises
        ------
        RunError
            If the loss becomes infinite or NaN, or a checkpoint cannot be written.
        Interrupted
            After a signal, once the state is saved.
        """
        self._signals = signals or self._signals
        if self._fitted is None:
            self._train(folder, quiet, listeners)
            self._restore_best(folder)
            self._fitted = 0
        self._fit_rows(folder, quiet)
        self._finish(folder)

    def _train(self, folder: RunFolder, quiet: bool, listeners: Sequence[Listener]) -> None:
        """Train until `_is_done`."""
        stream = self._examples.stream
        if not quiet:
            say(self._describe_time())
        metrics = Metrics(folder.metrics, stream.words, self.number, self.passes, listeners)
        bar = progress_bar(
            quiet,
            total=self._all_passes * stream.words,
            initial=round(self.passes * stream.words),
            unit=" words",
            unit_scale=True,
        )
        self._started = self._saved_at = time.perf_counter()
        with bar:
            for batches in self._bundles():
                passes_before = int(self.passes)
                for loss, weight in self.steps(batches):
                    self._check_finite(loss, folder)
                    metrics.add(loss, weight)
                self._show_progress(bar, metrics.smoothed_loss)
                end_of_pass = int(self.passes) > passes_before
                due = self._validation_is_due(self.number, end_of_pass)
                held_out = self._validate(folder) if due else None
                metrics.write(self.number, self.passes, held_out, end_of_pass)
                if self._is_done():
                    break
                self._checkpoint(folder, end_of_pass)
        if self.number == 0:
            sampled = self._config.vocabulary.subsample != 0
            instead = "set vocabulary.subsample=0 to keep all words, or use" if sampled else "use"
            raise CorpusError(f"The corpus has no window to train on; {instead} more text.")

    def _check_finite(self, loss: float, folder: RunFolder) -> None:
        if not np.isfinite(loss):
            raise RunError(
                f"step {self.number:,}: the loss is {loss}, most likely because the learning rate "
                f"({self._config.training.learning_rate:g}) is too high; "
                + divergence_advice(folder)
            )

    def _show_progress(self, bar: "tqdm[Any]", loss: float) -> None:
        bar.update(round(self.passes * self._examples.stream.words) - bar.n)
        number = min(int(self.passes) + 1, self._all_passes)
        bar.set_description(f"pass {number}", refresh=False)
        bar.set_postfix_str(f"loss {loss:.4f} nats", refresh=False)

    def _is_done(self) -> bool:
        """Return whether all passes, the patience or the time limit is used up."""
        if self.passes >= self._all_passes:
            return True
        if self._best.is_stale(self._config.validation.patience):
            return True
        if self._time_share() < 1:
            return False
        say(f"Time limit reached after {self.passes:.2f} passes.")
        return True

    def _restore_best(self, folder: RunFolder) -> None:
        """Validate once more, and restore the best parameters if they were saved."""
        if self._validated_at != self.number:
            self._validate(folder)
        if folder.best.exists():
            best = load_parameters(folder.best)
            for array, saved in zip(self.network.parameters, best, strict=True):
                array[...] = saved
            self._held_out["validation_loss"] = self._best.loss

    def _cost_of_fit(self) -> float:
        return cost_in_passes(self._config, self._composition.words)

    def _fit_rows(self, folder: RunFolder, quiet: bool) -> None:
        """Fit the rows of E with the other layers frozen, if configured."""
        counted = self._examples.counted
        if counted is None or self._fitted is None or not self._config.fits_rows:
            return
        E, V = self.network.parameters.E, self._composition.words
        ranges = [own for own in ranges_to_fit(self._config, V) if own[0] >= self._fitted]
        if not ranges:
            return
        layers = FrozenLayers(self._config.network.activation, self.network.parameters)
        digest, keeps = layers.digest(), self._engine.keeps_fitted
        found = load_fitted(folder, digest)
        for first, rows in found.items():
            E[first : first + len(rows)] = rows
        ranges = [own for own in ranges if own[0] not in found]
        if keeps and not found:  # the layers to which the saved rows will belong
            save_checkpoint(folder, self.state(), self._config.training.checkpoints_kept)
        left = sum(last - first for first, last in ranges)
        fits = self._fits(ranges, counted)
        with progress_bar(quiet, total=V, initial=V - left, desc="rows", unit=" words") as bar:
            self._checkpoint(folder, is_saved=keeps)
            for first, rows in chain.from_iterable(
                self._engine.fit_rows(layers, work) for work in fits
            ):
                if keeps:
                    save_fitted(folder, first, rows, digest)
                else:
                    self._fitted = first + len(rows)
                E[first : first + len(rows)] = rows
                bar.update(len(rows))
                left -= len(rows)
                if left:
                    self._checkpoint(folder, is_saved=keeps)
        self._fitted = V
        if self._examples.validation is not None:
            self._held_out["validation_loss"] = self._examples.validation(self.network)

    def _fits(
        self, ranges: list[tuple[int, int]], counted: RangedCounts
    ) -> Iterator[Iterator[tuple[Fit, Any]]]:
        """Yield the work of fitting the rows trained jointly, and when this is done, of all others.

        What the words' spelling says about the others follows from the former.
        """
        config, E = self._config, self.network.parameters.E
        joint, spelled = joint_rows(config, len(E)), None
        if config.training.prior == "spelling":
            spelled = SpelledRows(self._words, E, joint, config.vocabulary.unknown)
        of_joint = [own for own in ranges if own[0] < joint]
        for some in (of_joint, ranges[len(of_joint) :]):
            yield (
                (fit_of_range(config, E, first, last, spelled), counted.rows(first, last))
                for first, last in some
            )

    def _finish(self, folder: RunFolder) -> None:
        """Test on held-out text."""
        if self._examples.test is not None:
            self._checkpoint(folder)
            self._held_out["test_loss"] = self._examples.test(self.network)
        if self._examples.ngram is not None:
            self._checkpoint(folder)
            self._held_out |= self._examples.ngram(self.network)
        self._seconds["training"] = self._trained_seconds()

    def _describe_time(self) -> str:
        return describe_time(
            self._config,
            self._examples,
            len(self.network.parameters.W2),
            self._all_passes - self.passes + self._cost_of_fit(),
            self._composition,
        )

    def _validation_is_due(self, number: int, end_of_pass: bool) -> bool:
        every = self._config.validation.every
        return number % every == 0 if every else end_of_pass

    def _validate(self, folder: RunFolder) -> float | None:
        """Return the validation loss, None without held-out text; save the best parameters."""
        if self._examples.validation is None:
            return None
        loss = self._examples.validation(self.network)
        self._validated_at = self.number
        self._held_out["validation_loss"] = loss
        if loss < self._best.loss:
            self._best = _Best(loss, 0)
            if self._config.validation.patience:
                save_model(folder.best, self.network.parameters, self.metadata(), self.kept)
        else:
            self._best = _Best(self._best.loss, self._best.validations_since + 1)
        return loss

    def _checkpoint(
        self, folder: RunFolder, end_of_pass: bool = False, is_saved: bool = False
    ) -> None:
        """Save the state if it is due, or if a signal asks to stop here, unless it is saved."""
        number = self._signals.received
        if not is_saved and (number is not None or self._checkpoint_is_due(end_of_pass)):
            save_checkpoint(folder, self.state(), self._config.training.checkpoints_kept)
            self._saved_at = time.perf_counter()
        if number is not None:
            raise Interrupted(self._describe_position(), number)

    def _describe_position(self) -> str:
        if self._fitted is not None:
            if not self._config.fits_rows or self._fitted == self._composition.words:
                return "the evaluation on held-out text"
            return f"fit of rows, word {self._fitted:,}"
        return f"pass {int(self.passes) + 1} of {self._all_passes}, step {self.number:,}"

    def _checkpoint_is_due(self, end_of_pass: bool) -> bool:
        amount, unit = self._config.training.checkpoint_interval
        if unit == "minutes":
            return time.perf_counter() - self._saved_at >= 60 * amount
        if unit == "steps":
            return self._stops_at(self.number) and self._fitted is None
        return amount > 0 and end_of_pass and round(self.passes) % amount == 0

    def _stops_at(self, number: int) -> bool:
        """Return whether a checkpoint is due because of a step's number."""
        amount, unit = self._config.training.checkpoint_interval
        return unit == "steps" and number % amount == 0
