"""From a configuration to a run folder with a trained model."""

import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from embedder.config import Config
from embedder.errors import RunError
from embedder.examples.cache import Cache
from embedder.network.composition import Composition, compose_words
from embedder.runs.checkpoint import (
    SavedState,
    load_checkpoint,
    save_model_somewhere,
)
from embedder.runs.run_folder import WORK_PREFIX, RunFolder
from embedder.storage import describe_write_error
from embedder.text.vocabulary import Vocabulary
from embedder.text.word_parts import given_parts
from embedder.training.engine import Engine, WorkerLost
from embedder.training.forecast import count_contexts, estimate_needs, refuse_too_large
from embedder.training.local import LocalEngine
from embedder.training.tracking import Listener, trackers
from embedder.training.trainer import Trainer, describe_time, timed


@contextmanager
def open_engine(config: Config, cache: Cache | None = None) -> Iterator[Engine]:
    """Make the engine that the configuration names.

    Parameters
    ----------
    config
        The run.
    cache
        As for `LocalEngine`; a cluster has none.
    """
    if config.training.engine == "local":
        yield LocalEngine(config, cache)
        return
    from embedder.training.distributed.ray_engine import RayEngine

    engine = RayEngine(config)
    try:
        yield engine
    finally:
        engine.close()


class Result(NamedTuple):
    """What a finished training tells: the run folder, and seconds by stage."""

    folder: Path
    seconds: dict[str, float]


def train(
    config: Config,
    overwrite: bool = False,
    resume: bool = False,
    quiet: bool = False,
    cache: Cache | None = None,
    listeners: Sequence[Listener] = (),
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
    cache
        Where the corpus as ids and the counts are looked for, and kept for other runs.
    listeners
        Are called with each line of metrics; what one raises ends the training.

    Raises
    ------
    EmbedderError
        For anything that a user can mend.
    Interrupted
        After Ctrl-C or SIGTERM, with the state saved.
    """
    from embedder.kernels.threads import kernel_threads

    folder = RunFolder(Path(config.output))
    seconds: dict[str, float] = {}
    saved = None
    try:
        if resume:
            folder.read_config()  # says so if there is no run
            folder.lock()
            saved = _load_newest(folder)
        else:
            folder.claim(overwrite)
        with (
            open_engine(config, cache) as engine,
            kernel_threads(engine.threads),
            tempfile.TemporaryDirectory(prefix=WORK_PREFIX, dir=folder.path) as work,
        ):
            with timed(seconds, "reading"):
                vocabulary, tokens = engine.read(Path(work), quiet)
            parts = folder.read_parts() if resume else given_parts(config.subwords)
            composition = compose_words(config, vocabulary, parts)
            _announce_needs(config, vocabulary, tokens, engine, composition, quiet)
            if resume:
                _refuse_another_corpus(folder, vocabulary)
            else:
                folder.begin(config, vocabulary, parts, engine.phrases)
            while True:
                try:
                    with timed(seconds, "counting"):
                        examples = engine.examples()
                    trainer = Trainer(
                        config, vocabulary, examples, engine, seconds, saved, composition
                    )
                    with trackers(config, folder.path, trainer.number) as tracking:
                        trainer.run(folder, quiet, [*tracking, *listeners])
                    parameters = trainer.whole_parameters()
                    break
                except WorkerLost as lost:
                    saved = _load_newest(folder) if folder.checkpoints() else None
                    engine.recover(lost, saved.metadata["step"] if saved else 0)
            metadata = trainer.metadata() | engine.figures()
        metadata |= {"seconds": seconds, "tokens": tokens}
        save_model_somewhere(folder.model, parameters, metadata)
        folder.remove_checkpoints()
        folder.best.unlink(missing_ok=True)
    except WorkerLost as lost:
        raise RunError(
            f"{folder.path}: the workers are lost ({lost}); when the cluster runs again, go on "
            f"with: embedder train --resume {folder.path}"
        ) from None
    except OSError as error:
        raise RunError(describe_write_error(folder.path, error)) from error
    finally:
        folder.release()
    return Result(folder.path, seconds)


def rehearse(config: Config, quiet: bool = False) -> str:
    """Read and count as a training would, and return what it would take; nothing is kept.

    Raises
    ------
    EmbedderError
        For what would stop the training before its first step.
    """
    from embedder.kernels.threads import kernel_threads

    with (
        open_engine(config) as engine,
        kernel_threads(engine.threads),
        tempfile.TemporaryDirectory(prefix="embedder-") as work,
    ):
        vocabulary, tokens = engine.read(Path(work), quiet)
        composition = compose_words(config, vocabulary, given_parts(config.subwords))
        _announce_needs(config, vocabulary, tokens, engine, composition, quiet)
        examples = engine.examples()
        contexts = count_contexts(config, len(vocabulary)) // engine.processes
        words = f"{len(vocabulary):,} words, {tokens:,} tokens"
        passes = config.training.passes
        expected = describe_time(config, examples, contexts, engine.threads, passes, composition)
    return f"{words}\n{expected}"


def _load_newest(folder: RunFolder) -> SavedState:
    """Return the newest checkpoint that is whole, naming those that are not."""
    saved, faults = load_checkpoint(folder)
    for fault in faults:
        tqdm.write(f"{fault} Going on from an older checkpoint.", file=sys.stderr)
    return saved


def _announce_needs(
    config: Config,
    vocabulary: Vocabulary,
    tokens: int,
    engine: Engine,
    composition: Composition | None,
    quiet: bool,
) -> None:
    rows = len(vocabulary) if composition is None else composition.height
    needs = estimate_needs(config, len(vocabulary), tokens, engine.threads, engine.processes, rows)
    refuse_too_large(needs, config.training.memory_limit)
    if not quiet:
        tqdm.write(needs.describe(), file=sys.stderr)


def _refuse_another_corpus(folder: RunFolder, vocabulary: Vocabulary) -> None:
    saved = Vocabulary.load(folder.vocabulary)
    if saved.words != vocabulary.words or not np.array_equal(saved.counts, vocabulary.counts):
        raise RunError(
            f"{folder.path}: the corpus has changed since this run began, so it cannot go on; "
            "start again with --overwrite."
        )
