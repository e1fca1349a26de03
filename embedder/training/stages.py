"""The stages of one training: read the text, count it, train, and hand over the parameters."""

import tempfile
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from embedder.config import Config
from embedder.errors import RunError
from embedder.network.composition import Composition, compose_words, share_rows
from embedder.network.parameters import Parameters
from embedder.runs.checkpoint import Kept, Model, SavedState, load_checkpoint
from embedder.runs.progress import say
from embedder.runs.run_folder import WORK_PREFIX, RunFolder
from embedder.text.vocabulary import Vocabulary
from embedder.text.word_parts import WordParts, load_word_parts
from embedder.training.duration import estimate_durations
from embedder.training.engine import Engine, WorkerLost
from embedder.training.forecast import (
    describe_replicates,
    describe_sizes,
    estimate_needs,
    refuse_full_disk,
    refuse_too_large,
)
from embedder.training.signals import StopSignals
from embedder.training.tracking import Listener, trackers
from embedder.training.trainer import Trainer, timed
from embedder.vectors.from_run import fits_subwords, with_fitted_subwords


class Text(NamedTuple):
    """The vocabulary and the size of the text that was read.

    ``tokens``
        The number of tokens.
    ``parts``
        The parts of words that a file names.
    ``composition``
        Which rows of E make up each word's vector.
    """

    vocabulary: Vocabulary
    tokens: int
    parts: WordParts
    composition: Composition


class Trained(NamedTuple):
    """What `save_model` takes."""

    parameters: Parameters
    metadata: dict[str, Any]
    kept: Kept


class Training(NamedTuple):
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

    def read(self, work: Path, resumed: bool) -> Text:
        """Read the text into a folder; for a run that is resumed, it must be the same as before."""
        parts = self.folder.read_word_parts() if resumed else load_word_parts(self.config)
        with timed(self.seconds, "reading"), self.signals.at_once():
            text = read_text(self.config, self.engine, parts, work, self.quiet)
            refuse_full_disk(self.config, len(text.vocabulary), self.folder.path)
        if resumed:
            _check_same_corpus(self.folder, text.vocabulary)
        return text

    def run(self, text: Text, saved: SavedState | None, listeners: Sequence[Listener]) -> Trained:
        """Train to the end, from a saved state if there is one."""
        begin = None
        if not saved:
            own = self.config, text.vocabulary, text.parts, self.engine.phrases
            begin = partial(self.folder.begin, *own)
        trainer = self._train(text, saved, listeners, begin)
        parameters = trainer.network.parameters
        model = Model(
            self.config,
            text.vocabulary,
            parameters,
            {},
            text.parts,
            text.composition,
            self.engine.phrases,
            trainer.kept,
        )
        with timed(self.seconds, "n-grams") if fits_subwords(self.config) else nullcontext():
            model = with_fitted_subwords(model)
        own_figures = {"seconds": self.seconds, "tokens": text.tokens} | model.metadata
        metadata = trainer.metadata() | self.engine.statistics() | own_figures
        return Trained(parameters, metadata, model.kept)

    def _train(
        self,
        text: Text,
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
                    saved = newest_checkpoint(folder) if folder.checkpoints() else None
                    engine.recover(lost, saved.metadata["step"] if saved else 0)

    def _make_trainer(self, text: Text, saved: SavedState | None) -> Trainer:
        with timed(self.seconds, "counting"):
            examples = self.engine.examples(saved.kept.columns if saved else None)
        return Trainer(
            self.config,
            text.vocabulary,
            examples,
            self.engine,
            self.seconds,
            text.composition,
            saved,
        )


def work_folder(folder: RunFolder) -> "tempfile.TemporaryDirectory[str]":
    """Return a folder for temporary files in that of a run, so that they are on the same disk."""
    return tempfile.TemporaryDirectory(prefix=WORK_PREFIX, dir=folder.path)


def newest_checkpoint(folder: RunFolder) -> SavedState:
    """Return the newest intact checkpoint, and report damaged ones."""
    saved, problems = load_checkpoint(folder)
    for problem in problems:
        say(f"{problem} Resuming from an older checkpoint.")
    return saved


def read_text(config: Config, engine: Engine, parts: WordParts, work: Path, quiet: bool) -> Text:
    """Read the corpus, and reject a network that does not fit in memory."""
    vocabulary, tokens = engine.read(work, quiet)
    composition = compose_words(config, vocabulary, parts)
    if fits_subwords(config):  # what is wrong with the parts is an error before the training
        share_rows(config.subwords, vocabulary, parts, config.vocabulary.unknown)
    needs = estimate_needs(config, composition, tokens, engine.threads)
    refuse_too_large(needs, config.training.memory_limit)
    if not quiet:
        say(describe_sizes(config, len(vocabulary)))
        say(needs.describe())
        if config.examples.source == "cooccurrence" and config.training.engine == "local":
            durations = estimate_durations(config, vocabulary, composition)
            say(durations.describe())
        if config.replicates.wanted:
            say(describe_replicates(config, len(vocabulary)))
    return Text(vocabulary, tokens, parts, composition)


def _check_same_corpus(folder: RunFolder, vocabulary: Vocabulary) -> None:
    saved = Vocabulary.load(folder.vocabulary)
    if saved.words != vocabulary.words or not np.array_equal(saved.counts, vocabulary.counts):
        raise RunError(
            f"{folder.path}: the corpus has changed since this run started, so it cannot be "
            "resumed; start again with --overwrite."
        )
