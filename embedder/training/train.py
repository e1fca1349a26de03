"""The whole training: from a configuration to a run folder with a trained model."""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from embedder.config import Config
from embedder.config_automatic import passes
from embedder.errors import RunError
from embedder.examples.cache import Cache
from embedder.network.composition import Composition, compose_words
from embedder.network.parameters import Parameters
from embedder.runs.checkpoint import Kept, SavedState, load_checkpoint, save_model_with_fallback
from embedder.runs.progress import say
from embedder.runs.run_folder import WORK_PREFIX, RunFolder
from embedder.storage import describe_write_error
from embedder.text.vocabulary import Vocabulary
from embedder.text.word_parts import WordParts, load_word_parts
from embedder.training.duration import describe_time, estimate_durations
from embedder.training.engine import Engine, WorkerLost
from embedder.training.forecast import (
    count_contexts,
    describe_sizes,
    estimate_needs,
    refuse_too_large,
)
from embedder.training.local import LocalEngine, TextReader
from embedder.training.row_fit import RowMap, cost_in_passes, fit_here
from embedder.training.signals import StopSignals, stop_signals
from embedder.training.start import require_start
from embedder.training.tracking import Listener, trackers
from embedder.training.trainer import Interrupted, Trainer, timed


@contextmanager
def open_engine(
    config: Config, cache: Cache | None = None, text: TextReader | None = None
) -> Iterator[Engine]:
    """Open the engine that the configuration selects.

    Parameters
    ----------
    config
        The run.
    cache
        As for `LocalEngine`; a cluster does not use it.
    text
        As for `LocalEngine`.

    Raises
    ------
    RunError
        For a text that is not in files, if the engine is a cluster.
    """
    if config.training.engine == "local":
        yield LocalEngine(config, cache, text)
        return
    if text is not None:
        raise RunError("A cluster reads text from files; expected paths instead of objects.")
    from embedder.training.distributed.ray_engine import RayEngine

    engine = RayEngine(config)
    try:
        yield engine
    finally:
        engine.close()


@contextmanager
def open_row_map(config: Config) -> Iterator[RowMap]:
    """Open what fits ranges of rows outside of a training: the engine that a configuration selects.

    Raises
    ------
    RunError
        If there is no cluster at its address.
    """
    if config.training.engine == "local":
        yield fit_here
        return
    from embedder.training.distributed.row_map import open_cluster_map

    with open_cluster_map(config) as fit_rows:
        yield fit_rows


class Result(NamedTuple):
    """The result of a finished training: the run folder, and the seconds of each stage."""

    folder: Path
    seconds: dict[str, float]


class _Text(NamedTuple):
    """The vocabulary and the size of the text that was read.

    ``tokens``
        The number of tokens.
    ``composition``
        Which rows of E make up each word's vector.
    """

    vocabulary: Vocabulary
    tokens: int
    composition: Composition


class _Trained(NamedTuple):
    """What `save_model` takes."""

    parameters: Parameters
    metadata: dict[str, Any]
    kept: Kept


class _Training(NamedTuple):
    """A training that resumes from the last checkpoint when machines are lost.

    ``seconds``
        Receives the time of each stage.
    ``signals``
        Stop it.
    """

    config: Config
    folder: RunFolder
    engine: Engine
    seconds: dict[str, float]
    signals: StopSignals
    quiet: bool

    def run(self, saved: SavedState | None, listeners: Sequence[Listener]) -> _Trained:
        """Read the text and train to the end, from a saved state if there is one."""
        folder, engine = self.folder, self.engine
        with tempfile.TemporaryDirectory(prefix=WORK_PREFIX, dir=folder.path) as work:
            parts = folder.read_word_parts() if saved else load_word_parts(self.config)
            with timed(self.seconds, "reading"), self.signals.at_once():
                text = _read(self.config, engine, parts, Path(work), self.quiet)
            begin = None
            if saved:
                _check_same_corpus(folder, text.vocabulary)
            else:
                begin = partial(folder.begin, self.config, text.vocabulary, parts, engine.phrases)
            trainer = self._train(text, saved, listeners, begin)
            own = {"seconds": self.seconds, "tokens": text.tokens}
            metadata = trainer.metadata() | engine.statistics() | own
        return _Trained(trainer.network.parameters, metadata, trainer.kept)

    def _train(
        self,
        text: _Text,
        saved: SavedState | None,
        listeners: Sequence[Listener],
        begin: Callable[[], None] | None,
    ) -> Trainer:
        """Train, again from the newest checkpoint if a machine is lost; return the trainer.

        `begin` is called once there is something to train: a run that is replaced stays until then.
        """
        folder, engine = self.folder, self.engine
        while True:
            try:
                with self.signals.at_once():
                    trainer = self._make_trainer(text, saved)
                if begin is not None:
                    begin()
                    begin = None
                with trackers(self.config, folder.path, trainer.number) as tracking:
                    trainer.run(folder, self.quiet, [*tracking, *listeners], self.signals)
                return trainer
            except WorkerLost as lost:
                with self.signals.at_once():
                    saved = _newest_checkpoint(folder) if folder.checkpoints() else None
                    engine.recover(lost, saved.metadata["step"] if saved else 0)

    def _make_trainer(self, text: _Text, saved: SavedState | None) -> Trainer:
        vocabulary, _, composition = text
        with timed(self.seconds, "counting"):
            examples = self.engine.examples(saved.kept.columns if saved else None)
        return Trainer(
            self.config, vocabulary, examples, self.engine, self.seconds, composition, saved
        )


def train(
    config: Config,
    overwrite: bool = False,
    resume: bool = False,
    quiet: bool = False,
    cache: Cache | None = None,
    listeners: Sequence[Listener] = (),
    text: TextReader | None = None,
) -> Result:
    """Train as configured and write the run folder `config.output`.

    Parameters
    ----------
    config
        The complete description of the run.
    overwrite
        Replace an existing run.
    resume
        Resume from the checkpoint in the folder, bit-identical to an uninterrupted run.
    quiet
        Show no progress bars.
    cache, text
        As for `LocalEngine`.
    listeners
        Called with each line of metrics; an exception raised by one ends the training.

    Raises
    ------
    EmbedderError
        For anything that a user can fix.
    Interrupted
        After Ctrl-C, SIGTERM or SIGHUP, once the state is saved.
    Stopped
        The same, but before there was anything to save; an existing run is then as it was.
    """
    from embedder.kernels.compiler import compiling
    from embedder.kernels.threads import kernel_threads

    folder = RunFolder(Path(config.output))
    seconds: dict[str, float] = {}
    with stop_signals() as signals, compiling(None if quiet else say), _as_run_errors(folder):
        if not resume:
            require_start(config)
        saved = _open(folder, overwrite, resume)
        with open_engine(config, cache, text) as engine, kernel_threads(engine.threads):
            signals.listen()  # a cluster may have taken them over
            training = _Training(config, folder, engine, seconds, signals, quiet)
            trained = training.run(saved, listeners)
        save_model_with_fallback(folder.model, *trained)
        folder.remove_checkpoints()
        folder.remove_fitted()
        folder.best.unlink(missing_ok=True)
        if signals.received is not None:
            raise Interrupted("the end", signals.received, finished=True)
    return Result(folder.path, seconds)


def rehearse(config: Config, quiet: bool = False) -> str:
    """Read and count as for a training, and return estimates of its needs; store nothing.

    Raises
    ------
    EmbedderError
        For any error that would stop the training before its first step.
    """
    from embedder.kernels.compiler import compiling
    from embedder.kernels.threads import kernel_threads

    require_start(config)
    with (
        compiling(None if quiet else say),
        open_engine(config) as engine,
        kernel_threads(engine.threads),
        tempfile.TemporaryDirectory(prefix="embedder-") as work,
    ):
        text = _read(config, engine, load_word_parts(config), Path(work), quiet)
        examples = engine.examples()
        contexts = count_contexts(config, len(text.vocabulary))
        words = f"{len(text.vocabulary):,} words, {text.tokens:,} tokens"
        V = len(text.vocabulary)
        to_go = passes(config, V) + cost_in_passes(config, V)
        return f"{words}\n" + describe_time(config, examples, contexts, to_go, text.composition)


@contextmanager
def _as_run_errors(folder: RunFolder) -> Iterator[None]:
    """Raise lost machines and I/O errors as `RunError`, and release the folder."""
    try:
        yield
    except WorkerLost as lost:
        raise RunError(
            f"{folder.path}: {lost}; once the cluster is running again, {_how_to_continue(folder)}"
        ) from None
    except OSError as error:
        raise RunError(describe_write_error(folder.path, error)) from error
    finally:
        folder.release()


def _how_to_continue(folder: RunFolder) -> str:
    if folder.checkpoints():
        return f"resume with: embedder train --resume {folder.path}"
    return "train again: there is no checkpoint yet."


def _open(folder: RunFolder, overwrite: bool, resume: bool) -> SavedState | None:
    """Lock the folder for a new run, or for an interrupted one and return its newest state."""
    if not resume:
        folder.claim(overwrite)
        return None
    folder.read_config()  # raises if there is no run
    folder.lock()
    return _newest_checkpoint(folder)


def _newest_checkpoint(folder: RunFolder) -> SavedState:
    """Return the newest intact checkpoint, and report damaged ones."""
    saved, problems = load_checkpoint(folder)
    for problem in problems:
        say(f"{problem} Resuming from an older checkpoint.")
    return saved


def _read(config: Config, engine: Engine, parts: WordParts, work: Path, quiet: bool) -> _Text:
    """Read the corpus, and reject a network that does not fit in memory."""
    vocabulary, tokens = engine.read(work, quiet)
    composition = compose_words(config, vocabulary, parts)
    needs = estimate_needs(config, composition, tokens, engine.threads)
    refuse_too_large(needs, config.training.memory_limit)
    if not quiet:
        say(describe_sizes(config, len(vocabulary)))
        say(needs.describe())
        if config.examples.source == "cooccurrence" and config.training.engine == "local":
            durations = estimate_durations(config, vocabulary, composition)
            say(durations.describe())
    return _Text(vocabulary, tokens, composition)


def _check_same_corpus(folder: RunFolder, vocabulary: Vocabulary) -> None:
    saved = Vocabulary.load(folder.vocabulary)
    if saved.words != vocabulary.words or not np.array_equal(saved.counts, vocabulary.counts):
        raise RunError(
            f"{folder.path}: the corpus has changed since this run started, so it cannot be "
            "resumed; start again with --overwrite."
        )
