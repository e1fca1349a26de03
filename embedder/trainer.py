"""The loop: from a configuration to a run folder with a trained model."""

import json
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from embedder.arrays import Array
from embedder.batches import RowSampler
from embedder.checkpoint import (
    WORK_PREFIX,
    RunFolder,
    SavedState,
    load_checkpoint,
    save_checkpoint,
    save_model_somewhere,
)
from embedder.config import Config
from embedder.cooccurrence import Cooccurrences, context_words, count_cooccurrences
from embedder.corpus import read_text
from embedder.errors import RunError
from embedder.forecast import estimate_needs, refuse_too_large, time_step
from embedder.network import Network, Parameters, start_parameters, target_rows
from embedder.optimizer import Optimizer, rate_at
from embedder.spectral import factorise_pmi
from embedder.storage import describe_write_error, write_atomically
from embedder.vocabulary import Vocabulary, encode_corpus

_SECONDS_BETWEEN_METRICS = 1.0


class Interrupted(Exception):  # noqa: N818 - no error
    """Training was stopped by a signal and its state saved."""

    def __init__(self, progress: str) -> None:
        super().__init__(progress)
        self.progress = progress


class Result(NamedTuple):
    """What a finished training tells: the run folder, and seconds by stage."""

    folder: Path
    seconds: dict[str, float]


class _Data(NamedTuple):
    vocabulary: Vocabulary
    counts: Cooccurrences
    validation: Cooccurrences | None
    tokens: int


def train(
    config: Config, overwrite: bool = False, resume: bool = False, quiet: bool = False
) -> Result:
    """Train as the configuration says and write the run folder that it names.

    Parameters
    ----------
    config
        The whole description of the run.
    overwrite
        Replace a run that is in the way.
    resume
        Go on from the checkpoint in the folder, to the bits of a run that was never stopped.
    quiet
        No progress bars.

    Raises
    ------
    EmbedderError
        For anything that a user can mend.
    Interrupted
        After Ctrl-C or SIGTERM, with the state saved.
    """
    from embedder.kernels.threads import available_threads, kernel_threads

    folder = RunFolder(Path(config.output))
    saved = load_checkpoint(folder.checkpoint) if resume else None
    if not resume:
        folder.claim(overwrite)
    threads = config.training.threads or available_threads()
    seconds: dict[str, float] = {}
    try:
        with (
            kernel_threads(threads),
            tempfile.TemporaryDirectory(prefix=WORK_PREFIX, dir=folder.path) as work,
        ):
            data = _prepare(config, threads, Path(work), seconds, quiet)
            if resume:
                _refuse_another_corpus(folder, data.vocabulary)
            else:
                folder.begin(config, data.vocabulary)
            trainer = Trainer(config, data.counts, data.validation, threads, seconds, saved)
            trainer.run(folder, quiet)
    except OSError as error:
        raise RunError(describe_write_error(folder.path, error)) from error
    finally:
        folder.release()
    metadata = trainer.metadata() | {"seconds": seconds, "tokens": data.tokens}
    save_model_somewhere(folder.model, trainer.network.parameters, metadata)
    folder.checkpoint.unlink(missing_ok=True)
    return Result(folder.path, seconds)


def _prepare(
    config: Config, threads: int, work: Path, seconds: dict[str, float], quiet: bool
) -> _Data:
    started = time.perf_counter()
    with tqdm(desc="reading", unit="B", unit_scale=True, disable=quiet or None, leave=False) as bar:
        blocks = read_text(config.corpus, bar.update)
        vocabulary, corpus = encode_corpus(blocks, config.vocabulary, work)
    seconds["reading"] = time.perf_counter() - started
    needs = estimate_needs(config, len(vocabulary), corpus.tokens, threads)
    refuse_too_large(needs, config.training.memory_limit)
    if not quiet:
        tqdm.write(needs.describe(), file=sys.stderr)
    started = time.perf_counter()

    def count(validation: bool) -> Cooccurrences:
        return count_cooccurrences(
            corpus.ids,
            vocabulary.keep_probabilities(config.vocabulary.subsample),
            config.examples,
            config.training.seed,
            threads,
            work,
            config.validation.fraction,
            validation,
            config.training.memory_limit,
        )

    counts = count(validation=False)
    held_out = count(validation=True) if config.validation.fraction > 0 else None
    seconds["counting"] = time.perf_counter() - started
    return _Data(vocabulary, counts, held_out, corpus.tokens)


def _refuse_another_corpus(folder: RunFolder, vocabulary: Vocabulary) -> None:
    saved = Vocabulary.load(folder.vocabulary)
    if saved.words != vocabulary.words or not np.array_equal(saved.counts, vocabulary.counts):
        raise RunError(
            f"{folder.path}: the corpus has changed since this run began, so it cannot go on; "
            "start again with --overwrite."
        )


class Trainer:
    """The state of one training: network, optimizer, and the step it is at.

    Parameters
    ----------
    config
        The run's configuration.
    counts
        The training targets.
    validation
        Held-out targets, or None.
    threads
        Parts that the work is cut into.
    seconds
        Receives the time of each stage.
    saved
        Where to go on from.

    Raises
    ------
    RunError
        If `saved` belongs to another configuration.
    """

    def __init__(
        self,
        config: Config,
        counts: Cooccurrences,
        validation: Cooccurrences | None,
        threads: int,
        seconds: dict[str, float],
        saved: SavedState | None = None,
    ) -> None:
        self._config = config
        self._counts = counts
        self._totals = counts.row_totals()
        self._validation = validation
        self._seconds = seconds
        training = config.training
        self._sampler = RowSampler(
            self._totals, training.batch_size, training.row_sampling, training.seed
        )
        self.steps = self._sampler.steps_a_pass * training.passes
        self.number = 0
        started = time.perf_counter()
        parameters = saved.parameters if saved else self._start(threads)
        seconds["initialisation"] = time.perf_counter() - started
        self.network = Network(config.network, parameters, self._sampler.batch_size, threads)
        self.optimizer = Optimizer(parameters, training)
        if saved:
            self._restore(saved)

    def _start(self, threads: int) -> Parameters:
        network = self._config.network
        rng = np.random.default_rng(self._config.training.seed)
        words = context_words(len(self._totals), self._config.examples)
        factors = None
        if network.initialisation == "spectral":
            rank = max(network.dimension, network.hidden)
            factors = factorise_pmi(self._counts, words, rank, rng, threads)
        totals = self._counts.column_totals(len(words))
        return start_parameters(network, totals, words, rng, factors)

    def metadata(self) -> dict[str, Any]:
        """Return what is saved beside the arrays."""
        return {
            "step": self.number,
            "steps": self.steps,
            "vectors": self._config.network.vectors,
            "activation": self._config.network.activation,
        }

    def state(self) -> SavedState:
        """Return everything that a resumed training needs, uncopied."""
        return SavedState(self.network.parameters, self.optimizer.state(), self.metadata())

    def _restore(self, saved: SavedState) -> None:
        network = self._config.network
        try:
            if saved.parameters.W1.shape != (network.dimension, network.hidden):
                raise ValueError(f"W1 is {saved.parameters.W1.shape}")
            self.optimizer.restore(saved.optimizer)
            self.number = int(saved.metadata["step"])
        except (KeyError, ValueError) as error:
            raise RunError(
                f"the checkpoint does not fit the run's configuration ({error}); start again with "
                "--overwrite."
            ) from None

    def _predict(self) -> str:
        """Return one line for people on how long training will take."""
        sampler = self._sampler
        cells = sampler.mean_of(np.diff(self._counts.offsets))
        C = len(self.network.parameters.W2)
        step = time_step(self._config, C, cells, sampler.batch_size, self.network.parts)
        steps = self.steps - self.number
        return (
            f"time: about {_minutes(step * sampler.steps_a_pass)} a pass "
            f"({sampler.steps_a_pass:,} steps), {_minutes(step * steps)} of training to go"
        )

    def step(self) -> tuple[float, float]:
        """Take one step; return the batch's loss in nats and the weight it is a sum over."""
        rows, scales = self._sampler.draw(self.number)
        targets = target_rows(self._counts, self._totals, rows, scales)
        rate = rate_at(self.number, self.steps, self._config.training)
        loss = self.network.step(rows, targets, self.optimizer, self.number, rate)
        self.number += 1
        return loss, float(targets.totals.sum(dtype=np.float64))

    def validation_loss(self) -> float | None:
        """Return the cross-entropy of the held-out text in nats a word, None without one."""
        if self._validation is None:
            return None
        totals = self._validation.row_totals()
        loss = 0.0
        for rows in _padded_batches(np.flatnonzero(totals), self._sampler.batch_size):
            # A batch always has B rows; those added to the last one get the weight 0.
            scales = np.r_[1.0, (np.diff(rows) > 0).astype(np.float64)]
            loss += self.network.loss(rows, target_rows(self._validation, totals, rows, scales))
        return loss / float(totals.sum())

    def run(self, folder: RunFolder, quiet: bool) -> None:
        """Train to the end, writing metrics and checkpoints.

        Raises
        ------
        RunError
            If the loss stops being a number, or a checkpoint cannot be written.
        Interrupted
            After a signal, once the state is saved.
        """
        every = self._config.training.checkpoint_every * self._sampler.steps_a_pass
        if not quiet:
            tqdm.write(self._predict(), file=sys.stderr)
        metrics = _Metrics(folder.metrics, self._sampler, self.number)
        bar = tqdm(
            total=self.steps * self._sampler.batch_size,
            initial=self.number * self._sampler.batch_size,
            unit=" words",
            unit_scale=True,
            disable=quiet or None,
        )
        started = time.perf_counter()
        with _signals_noted() as signals, bar:
            while self.number < self.steps:
                loss, weight = self.step()
                if not np.isfinite(loss):
                    raise RunError(
                        f"step {self.number}: the loss is {loss}; lower training.learning_rate "
                        f"(now {self._config.training.learning_rate:g})."
                    )
                metrics.add(loss, weight)
                bar.update(self._sampler.batch_size)
                passes, within = divmod(self.number, self._sampler.steps_a_pass)
                bar.set_description(
                    f"pass {min(passes + 1, self._config.training.passes)}", refresh=False
                )
                bar.set_postfix_str(f"loss {metrics.smoothed_loss:.4f} nats", refresh=False)
                end_of_pass = within == 0
                metrics.write(self.number, end_of_pass, self.validation_loss)
                stop = bool(signals) and self.number < self.steps
                if stop or (every and self.number % every == 0 and self.number < self.steps):
                    save_checkpoint(folder.checkpoint, self.state())
                if stop:
                    raise Interrupted(
                        f"pass {passes + 1} of {self._config.training.passes}, "
                        f"step {self.number:,} of {self.steps:,}"
                    )
        self._seconds["training"] = time.perf_counter() - started


def _minutes(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 100 else f"{seconds / 60:.1f} min"


def _padded_batches(rows: Array, size: int) -> Iterator[Array]:
    """Yield ascending rows, `size` at a time; the last batch repeats its last row."""
    for start in range(0, len(rows), size):
        batch = rows[start : start + size]
        yield np.pad(batch, (0, size - len(batch)), mode="edge")


@contextmanager
def _signals_noted() -> Iterator[list[int]]:
    """Note Ctrl-C and SIGTERM, for the loop to stop between two steps; a second Ctrl-C insists."""
    noted: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        if noted and number == signal.SIGINT:
            raise KeyboardInterrupt
        noted.append(number)

    try:
        before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    except ValueError:  # not the main thread: signals are somebody else's
        yield noted
        return
    try:
        yield noted
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Metrics:
    """Running loss, and lines for `metrics.jsonl`."""

    def __init__(self, path: Path, sampler: RowSampler, number: int) -> None:
        self._path = path
        self._sampler = sampler
        self._started = self._last_written = time.perf_counter()
        self._seconds_before = 0.0
        self._first_number = number
        self._sums = np.zeros(2)
        self._smoothed = np.zeros(2)
        if number > 0:
            self._drop_lines_after(number)

    def _drop_lines_after(self, number: int) -> None:
        """Forget steps that a resumed run does again."""
        lines = self._path.read_text(encoding="utf-8").splitlines() if self._path.exists() else []
        kept = [line for line in map(json.loads, lines) if line["step"] <= number]
        self._seconds_before = kept[-1]["seconds"] if kept else 0.0
        write_atomically(self._path, "".join(json.dumps(line) + "\n" for line in kept).encode())

    @property
    def smoothed_loss(self) -> float:
        """Mean loss of the last hundred steps or so, nats a word."""
        return float(self._smoothed[0] / self._smoothed[1])

    def add(self, loss: float, weight: float) -> None:
        """Take in one step."""
        self._sums += (loss, weight)
        self._smoothed = 0.99 * self._smoothed + (loss, weight)

    def write(
        self, number: int, end_of_pass: bool, validation_loss: Callable[[], float | None]
    ) -> None:
        """Append a line at the end of a pass, or if the last one is a second old."""
        now = time.perf_counter()
        if not end_of_pass and now - self._last_written < _SECONDS_BETWEEN_METRICS:
            return
        elapsed = now - self._started
        words = (number - self._first_number) * self._sampler.batch_size
        line: dict[str, Any] = {
            "step": number,
            "pass": number / self._sampler.steps_a_pass,
            "loss": float(self._sums[0] / self._sums[1]),
            "seconds": self._seconds_before + elapsed,
            "words_per_second": words / elapsed,
        }
        if end_of_pass:
            line["end_of_pass"] = True
            held_out = validation_loss()
            if held_out is not None:
                line["validation_loss"] = held_out
            self._sums[:] = 0
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        self._last_written = now
