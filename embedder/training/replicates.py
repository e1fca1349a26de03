"""Replicates of a run: the same training on bootstrap samples of the text, or with other seeds.

A bootstrap sample has as many blocks as the text, drawn from it with replacement; what trains on it
is the whole training, with another seed. How a figure varies between such replicates estimates how
it would vary between texts of the same kind (Efron 1979; for word similarities, Antoniak and Mimno
2018). Replicates of the same text with other seeds show how much of that is chance in the training
itself.

A replicate has the vocabulary of the run, with the counts of the whole text, so that frequent words
are dropped with the same probabilities; held-out text stays held out. Each one is trained in a run
folder of its own, which is replaced by a file with its vectors when it is finished.
"""

import shutil
from pathlib import Path
from typing import Any, Literal

import numpy as np

from embedder.arrays import Array, unit_rows
from embedder.config import Config
from embedder.config_sections.comparisons import ReplicatesConfig, SlicesConfig
from embedder.config_sections.results import EvaluationConfig, TrackingConfig
from embedder.config_sections.training import ValidationConfig
from embedder.errors import RunError
from embedder.examples.windows import split_text
from embedder.runs.checkpoint import load_model, save_model
from embedder.runs.progress import progress_bar
from embedder.runs.replicate_folder import Replicate, ReplicateFolder, missing_replicates
from embedder.runs.run_folder import RunFolder
from embedder.storage import write_atomically
from embedder.text.vocabulary import EncodedCorpus
from embedder.training.local import EncodedTextEngine, LocalEngine
from embedder.training.signals import Stopped
from embedder.training.stages import Text, Training, newest_checkpoint, work_folder
from embedder.training.trainer import Interrupted
from embedder.vectors.from_run import load_vectors

_FEWEST_BLOCKS = 20
_ANY_LENGTH = 1 << 62
_MAY_DIFFER = {
    "corpus.files",
    "output",
    "replicates",
    "slices",
    "evaluation",
    "tracking",
    "training.threads",
    "training.memory_limit",
    "training.checkpoint_every",
    "training.checkpoints_kept",
}
"""Sections and keys that a finished run may have other values of: they change no vector, or what
they change is checked in another way."""


class Replicates:
    """The replicates that a run is to have; there may be none.

    Parameters
    ----------
    main
        The run's own training.
    text
        Its text, which the engine has read.
    work
        Folder for temporary files.

    Raises
    ------
    RunError
        If the text has too few blocks to draw from.
    """

    def __init__(self, main: Training, text: Text, work: Path) -> None:
        self._main = main
        self._text = text
        self._folder = ReplicateFolder(main.folder.path)
        self._starts: Array | None = None
        if not main.config.replicates.wanted:
            return
        assert isinstance(main.engine, LocalEngine)
        assert main.engine.corpus is not None
        # Other files with validation text leave the whole text for training.
        config = main.config.model_copy(
            update={"validation": main.config.validation.model_copy(update={"files": []})}
        )
        self._ids = np.asarray(
            split_text(main.engine.corpus.ids, text.vocabulary, config, work).training
        )
        if main.config.replicates.bootstrap:
            self._starts = cut_text(self._ids, main.config.replicates.block)

    def train(self) -> None:
        """Train those that are missing, the run's own model being saved.

        Raises
        ------
        EmbedderError
            As for a training.
        Interrupted
            After a signal; what is finished stays, and a replicate resumes from its checkpoint.
        """
        main, config = self._main, self._main.config
        missing = missing_replicates(config, main.folder.path)
        if not missing:
            return
        self._require_like_existing()
        assert isinstance(main.engine, LocalEngine)
        main.engine.discard_examples()
        own = main.folder.read_config()
        if own.replicates != config.replicates:  # so that they can be resumed without options
            own = own.model_copy(update={"replicates": config.replicates})
            write_atomically(main.folder.config, own.to_yaml().encode())
        passes = self._passes()
        bar = progress_bar(
            main.quiet,
            total=passes * config.replicates.wanted,
            initial=passes * (config.replicates.wanted - len(missing)),
            unit=" passes",
            bar_format="{desc}: {percentage:3.0f}%|{bar}| {elapsed}<{remaining}",
        )
        with bar:
            for replicate in missing:
                bar.set_description(str(replicate))
                before = bar.n

                def show(line: dict[str, Any], before: float = before) -> None:
                    bar.update(before + line["pass"] - bar.n)

                try:
                    self._train(replicate, show)
                except Interrupted as stop:
                    raise Interrupted(f"{replicate}, {stop.progress}", stop.number) from None
                except Stopped as stop:
                    raise Interrupted(str(replicate), stop.number) from None
                bar.update(before + passes - bar.n)

    def _passes(self) -> int:
        """Return how many passes the run made, which are fewer than configured if it lost patience.

        Replicates have no held-out text to lose patience on.
        """
        made = load_model(self._main.folder.path).metadata["passes"]
        return max(1, int(np.ceil(made)))

    def _train(self, replicate: Replicate, show: Any) -> None:
        """Train one replicate, and write its vectors."""
        main, run = self._main, RunFolder(self._folder.run_of(replicate))
        seed, draws = seeds_of(main.config.training.seed, replicate)
        config = self._config(run, seed)
        if not (run.checkpoints() or run.model.exists()):
            shutil.rmtree(run.path, ignore_errors=True)
        run.path.mkdir(parents=True, exist_ok=True)
        with work_folder(run) as work:

            def draw(folder: Path) -> EncodedCorpus:
                ids = self._ids
                if replicate.kind == "bootstrap":
                    assert self._starts is not None
                    ids = draw_blocks(ids, self._starts, draws, folder / "ids.int32")
                return EncodedCorpus(ids, self._text.tokens)

            vocabulary, phrases = self._text.vocabulary, main.engine.phrases
            engine = EncodedTextEngine(config, vocabulary, phrases, draw)
            with main.signals.at_once():
                engine.read(Path(work), quiet=True)
            if not run.model.exists():
                saved = newest_checkpoint(run) if run.checkpoints() else None
                training = Training(config, run, engine, {}, main.signals, quiet=True)
                save_model(run.model, *training.run(self._text, saved, [show]))
            assert engine.corpus is not None
            self._save(replicate, run, engine.corpus.ids)
        shutil.rmtree(run.path, ignore_errors=True)

    def _config(self, run: RunFolder, seed: int) -> Config:
        """Return the configuration of a replicate."""
        config = self._main.config
        changed: dict[str, Any] = {"seed": seed}
        if config.validation.patience:
            changed["passes"] = self._passes()
        return config.model_copy(
            update={
                "training": config.training.model_copy(update=changed),
                "validation": ValidationConfig(),
                "evaluation": EvaluationConfig(),
                "tracking": TrackingConfig(),
                "slices": SlicesConfig(),
                "replicates": ReplicatesConfig(),
                "output": str(run.path),
            }
        )

    def _save(self, replicate: Replicate, run: RunFolder, ids: Array) -> None:
        """Write the vectors of a trained replicate, zeros for words that its text lacks.

        A word may also lack neighbours there.
        """
        from embedder.kernels.counts import count_tokens

        vocabulary = self._text.vocabulary
        occurrences = np.zeros(len(vocabulary), np.int64)
        count_tokens(ids, occurrences)
        totals = load_model(run.path).kept.totals
        there = occurrences > 0 if totals is None else (occurrences > 0) & (totals > 0)
        vectors = unit_rows(load_vectors(run.path).matrix)
        vectors[~there] = 0
        self._folder.save(replicate, vectors, self._origin())

    def _origin(self) -> dict[str, Any]:
        """Return what the replicates of a run have in common."""
        config = self._main.config
        return {
            "vocabulary": self._text.vocabulary.digest(),
            "vectors": config.network.vectors,
            "block": config.replicates.block,
        }

    def _require_like_existing(self) -> None:
        """Refuse to mix replicates whose samples were drawn in different ways."""
        config = self._main.config
        for each in self._folder.replicates("bootstrap")[:1]:
            block = self._folder.load(each)[1].get("block")
            if config.replicates.bootstrap and block != config.replicates.block:
                raise RunError(
                    f"{self._folder.path}: there are bootstrap samples with replicates.block "
                    f"{block}; expected the same, got {config.replicates.block}; or remove the "
                    "folder to train them anew."
                )


def require_same_settings(folder: RunFolder, config: Config) -> None:
    """Refuse to train replicates of a finished run with other settings than its own.

    Raises
    ------
    RunError
        That names the first key that differs.
    """
    own = load_model(folder.path).config.model_dump(mode="json")
    given = config.model_dump(mode="json")
    for section, keys in own.items():
        if section in _MAY_DIFFER or not isinstance(keys, dict):
            continue
        for key, value in keys.items():
            name = f"{section}.{key}"
            if name not in _MAY_DIFFER and given[section][key] != value:
                raise RunError(
                    f"{folder.path}: this run is finished, and was trained with {name} {value}; "
                    f"its replicates need the same, got {given[section][key]}."
                )


def seeds_of(seed: int, replicate: Replicate) -> tuple[int, int]:
    """Return the seed with which a replicate is trained, and that which draws its sample.

    Parameters
    ----------
    seed
        That of the run.
    replicate
        Which one.
    """
    own = np.random.SeedSequence([seed, replicate.kind == "bootstrap", replicate.number])
    training, draws = own.generate_state(2)
    return int(training), int(draws)


def cut_text(ids: Array, length: int | Literal["sentence"]) -> Array:
    """Return where the blocks of a text start, and where the last ends, (blocks + 1,) int64.

    Raises
    ------
    RunError
        If there are too few.
    """
    from embedder.kernels.bootstrap import cut_blocks

    least, most = (1, _ANY_LENGTH) if length == "sentence" else (length, 2 * length)
    starts = np.empty(len(ids) // least + 2, np.int64)
    blocks = cut_blocks(ids, least, most, starts)
    if blocks < _FEWEST_BLOCKS:
        plural = "s" * (blocks != 1)
        what, advice = f"sentence{plural}", "use more text"
        if length != "sentence":
            what, advice = f"block{plural} of {length:,} words", "lower replicates.block"
        raise RunError(
            f"The text has {blocks} {what} to draw bootstrap samples from; expected at least "
            f"{_FEWEST_BLOCKS}; {advice}."
        )
    return starts[: blocks + 1]


def draw_blocks(ids: Array, starts: Array, seed: int, path: Path) -> Array:
    """Return as many blocks as the text has, drawn with replacement, in their order there.

    Parameters
    ----------
    ids : (n,) int32
        The text.
    starts : (blocks + 1,) int64
        From `cut_text`.
    seed
        Of the draws.
    path
        Receives the text that is returned, memory-mapped.
    """
    from embedder.kernels.bootstrap import repeat_blocks

    blocks = len(starts) - 1
    drawn = np.random.default_rng(seed).integers(0, blocks, blocks)
    times = np.bincount(drawn, minlength=blocks)
    room = int(times @ (np.diff(starts) + 1))
    out = np.memmap(path, np.int32, mode="w+", shape=room)
    return out[: repeat_blocks(ids, starts, times, out)]
