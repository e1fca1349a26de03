"""The whole training: from a configuration to a run folder with a trained model."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from embedder.config import Config
from embedder.config_automatic import passes
from embedder.errors import RunError
from embedder.examples.cache import Cache
from embedder.runs.checkpoint import SavedState, save_model_with_fallback
from embedder.runs.progress import say
from embedder.runs.run_folder import RunFolder
from embedder.storage import describe_write_error
from embedder.text.word_parts import load_word_parts
from embedder.training.duration import describe_time
from embedder.training.engine import Engine, MachineError, WorkerLost
from embedder.training.forecast import count_contexts
from embedder.training.local import LocalEngine, TextReader
from embedder.training.packages import require_packages
from embedder.training.replicates import Replicates, require_same_settings
from embedder.training.row_fit import RowMap, cost_in_passes, fit_here
from embedder.training.signals import stop_signals
from embedder.training.stages import Text, Training, newest_checkpoint, read_text, work_folder
from embedder.training.start import require_start
from embedder.training.tracking import Listener
from embedder.training.trainer import Interrupted


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
        For a text that is not in files, if the engine is a cluster, and as for `require_packages`.
    """
    require_packages(config)
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
        If there is no cluster at its address, and as for `require_packages`.
    """
    require_packages(config)
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
        _require_all(config, resume)
        finished = resume and _only_replicates_remain(folder, config)
        saved = _open(folder, overwrite, resume, finished)
        with (
            open_engine(config, cache, text) as engine,
            kernel_threads(engine.threads),
            work_folder(folder) as work,
        ):
            signals.listen()  # a cluster may have taken them over
            training = Training(config, folder, engine, seconds, signals, quiet)
            read = training.read(Path(work), resume)
            replicates = Replicates(training, read, Path(work))
            if not finished:
                _train_model(training, read, saved, listeners)
            replicates.train()
        if signals.received is not None:
            raise Interrupted("the end", signals.received, finished=True)
    return Result(folder.path, seconds)


def _require_all(config: Config, resume: bool) -> None:
    """Raise an error if something is not there that training needs, before a run is replaced."""
    require_packages(config)
    if not resume:
        require_start(config)


def _train_model(
    training: Training, text: Text, saved: SavedState | None, listeners: Sequence[Listener]
) -> None:
    """Train to the end, and leave the model in the run folder."""
    folder = training.folder
    save_model_with_fallback(folder.model, *training.run(text, saved, listeners))
    folder.remove_checkpoints()
    folder.remove_fitted()
    folder.best.unlink(missing_ok=True)


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
        text = read_text(config, engine, load_word_parts(config), Path(work), quiet)
        examples = engine.examples()
        contexts = count_contexts(config, len(text.vocabulary))
        words = f"{len(text.vocabulary):,} words, {text.tokens:,} tokens"
        V = len(text.vocabulary)
        to_go = passes(config, V) + cost_in_passes(config, V)
        return f"{words}\n" + describe_time(config, examples, contexts, to_go, text.composition)


@contextmanager
def _as_run_errors(folder: RunFolder) -> Iterator[None]:
    """Raise lost machines and I/O errors as `RunError`, and release the folder.

    Errors of machines also say how to continue the run.
    """
    try:
        yield
    except WorkerLost as lost:
        raise RunError(
            f"{folder.path}: {lost}; once the cluster is running again, {_how_to_continue(folder)}"
        ) from None
    except MachineError as fault:
        what = str(fault).rstrip(".")
        raise RunError(f"{folder.path}: {what}, then {_how_to_continue(folder)}") from None
    except OSError as error:
        raise RunError(describe_write_error(folder.path, error)) from error
    finally:
        folder.release()


def _how_to_continue(folder: RunFolder) -> str:
    if folder.checkpoints():
        return f"resume with: embedder train --resume {folder.path}"
    return "train again: there is no checkpoint yet."


def _open(folder: RunFolder, overwrite: bool, resume: bool, finished: bool) -> SavedState | None:
    """Lock the folder; for an interrupted run, return its newest state."""
    if not resume:
        folder.claim(overwrite)
        return None
    folder.read_config()  # raises if there is no run
    folder.lock()
    return None if finished else newest_checkpoint(folder)


def _only_replicates_remain(folder: RunFolder, config: Config) -> bool:
    """Return whether a run has its model, and is to have replicates."""
    if not (config.replicates.wanted and folder.model.exists()):
        return False
    require_same_settings(folder, config)
    return True
