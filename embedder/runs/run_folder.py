"""The run folder: the files that a training run writes, and how they are read back.

config.yaml                  the resolved configuration
vocabulary.tsv               words and counts, most frequent first
phrases.tsv                  the joined phrases, with corpus.phrases
parts.tsv                    words and their parts, with subwords.parts
metrics.jsonl                one line every few seconds, and one per pass
model.safetensors            E, W1, b1, W2, b2 and metadata
checkpoint-STEP.safetensors  the same and the optimizer's state, during training only: the most
                             recent few (training.checkpoints_kept)
fitted-WORD.safetensors      rows of E that a cluster has fitted so far, from this word on
best.safetensors             the model with the best validation loss so far, during training only
slices/                      the slices of the text (see `embedder.runs.slice_folder`)
replicates/                  vectors of repeated trainings (see `embedder.runs.replicate_folder`)

Every file is written under a temporary name, synced and renamed, so it is always either complete or
absent. The safetensors files include a SHA-256 of their content and one of the vocabulary, so a
damaged file raises an error and never yields wrong vectors. A process that trains holds a lock on
the folder.
"""

import contextlib
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from embedder.config import Config
from embedder.config_files import load_config
from embedder.errors import RunError
from embedder.runs.replicate_folder import ReplicateFolder
from embedder.runs.slice_folder import SliceFolder
from embedder.storage import is_temporary, is_there, write_atomically
from embedder.text.phrases import Phrases
from embedder.text.vocabulary import Vocabulary
from embedder.text.word_parts import WordParts, read_word_parts, save_word_parts

if TYPE_CHECKING:
    from filelock import FileLock


WORK_PREFIX = ".work-"
"""Prefix of folders with temporary files, inside the run folder so that they are on its disk."""
_LOCK = ".lock"


class RunFolder:
    """The paths of one run, and the lock on its folder.

    Parameters
    ----------
    path
        The folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config = path / "config.yaml"
        self.vocabulary = path / "vocabulary.tsv"
        self.phrases = path / "phrases.tsv"
        self.parts = path / "parts.tsv"
        self.metrics = path / "metrics.jsonl"
        self.model = path / "model.safetensors"
        self.best = path / "best.safetensors"
        self._lock: FileLock | None = None

    def owns(self, file: Path) -> bool:
        """Return whether a file is one of this run's, or would be taken for it."""
        own = self.config, self.vocabulary, self.phrases, self.parts, self.metrics, self.model
        folders = ReplicateFolder(self.path).path, SliceFolder(self.path).path
        is_own = file in (*own, self.best) or file.parent in folders
        is_series = file.parent == self.path and any(
            file.match(f"{kind}-*.safetensors") for kind in ("checkpoint", "fitted")
        )
        return (is_own or is_series) and self.config.exists()

    def fitted(self) -> list[Path]:
        """Return the files of fitted rows, in the order of the words."""
        return sorted(self.path.glob("fitted-*.safetensors"))

    def fitted_from(self, word: int) -> Path:
        """Return the path of the rows that were fitted from a word on."""
        return self.path / f"fitted-{word:012d}.safetensors"

    def remove_fitted(self) -> None:
        """Remove the files of fitted rows."""
        for file in self.fitted():
            file.unlink(missing_ok=True)

    def checkpoints(self) -> list[Path]:
        """Return the existing checkpoints, newest first."""
        return sorted(self.path.glob("checkpoint-*.safetensors"), reverse=True)

    def checkpoint(self, step: int) -> Path:
        """Return the path of a step's checkpoint; paths sort by step."""
        return self.path / f"checkpoint-{step:012d}.safetensors"

    def remove_checkpoints(self, but: int = 0) -> None:
        """Remove all checkpoints except the newest `but`."""
        for file in self.checkpoints()[but:]:
            file.unlink(missing_ok=True)

    def claim(self, overwrite: bool) -> None:
        """Create the folder and lock it; `overwrite` permits a folder that contains a run.

        Raises
        ------
        RunError
            If something is in the way, another process is training there, or the folder cannot be
            created.
        """
        self._reject_occupied(overwrite)
        self.lock()
        self._reject_occupied(overwrite)  # another process may have been faster

    def _reject_occupied(self, overwrite: bool) -> None:
        if self.path.exists() and not self.path.is_dir():
            raise RunError(f"{self.path}: a file is in the way; choose another --output.")
        occupied = self.path.exists() and any(
            entry.name != _LOCK and not is_left_over(entry) for entry in self.path.iterdir()
        )
        if occupied and not overwrite:
            how = (
                f"resume with: embedder train --resume {self.path}"
                if self.checkpoints() and not self.model.exists()
                else "choose another --output, or replace it with --overwrite"
            )
            raise RunError(f"{self.path}: the folder exists and is not empty; {how}.")
        if occupied and not self.config.exists():
            raise RunError(
                f"{self.path}: the folder contains something other than a run, and --overwrite "
                "replaces runs only; choose another --output."
            )

    def lock(self) -> None:
        """Lock the folder, creating it if needed, and remove the leftovers of killed processes.

        The lock is held until `release`; the operating system releases that of a dead process.

        Raises
        ------
        RunError
            If another process holds the lock, or the folder cannot be created.
        """
        from filelock import FileLock, Timeout

        try:
            self.path.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self.path / _LOCK, timeout=0)
            lock.acquire()
            self._lock = lock
            for entry in self.path.iterdir():
                if is_left_over(entry):
                    shutil.rmtree(entry, ignore_errors=True)
                    entry.unlink(missing_ok=True)
        except Timeout:
            raise RunError(
                f"{self.path}: another process is training in this folder; wait for it, or choose "
                "another --output."
            ) from None
        except OSError as error:
            raise RunError(
                f"{self.path}: cannot be created ({error.strerror}); choose another --output."
            ) from None

    def begin(
        self,
        config: Config,
        vocabulary: Vocabulary,
        parts: WordParts | None = None,
        phrases: Phrases | None = None,
    ) -> None:
        """Remove the files of a run that is replaced, and write the files known before training."""
        old = self.model, self.best, self.metrics, self.parts, self.phrases
        for file in (*old, self.vocabulary, self.config):
            file.unlink(missing_ok=True)
        self.remove_checkpoints()
        self.remove_fitted()
        SliceFolder(self.path).remove()
        ReplicateFolder(self.path).remove()
        write_atomically(self.config, config.to_yaml().encode())
        vocabulary.save(self.vocabulary)
        if parts:
            save_word_parts(self.parts, parts)
        if phrases is not None and phrases.passes:
            phrases.save(self.phrases)

    def release(self) -> None:
        """Release the lock, and remove the folder if it is empty."""
        if self._lock is None:
            return
        with contextlib.suppress(OSError):
            (self.path / _LOCK).unlink(missing_ok=True)
        self._lock.release()
        self._lock = None
        with contextlib.suppress(OSError):
            self.path.rmdir()

    def read_config(self) -> Config:
        """Return the run's configuration.

        Raises
        ------
        RunError
            If the folder is not a run.
        """
        if not is_there(self.config):
            raise RunError(
                f"{self.path}: not a run (no {self.config.name}); expected a folder written by "
                "`embedder train`."
            )
        return load_config(self.config)

    def read_word_parts(self) -> dict[str, tuple[str, ...]]:
        """Return the parts of words that the run uses."""
        return read_word_parts(self.parts) if self.parts.exists() else {}

    def read_phrases(self) -> Phrases:
        """Return the phrases that the run joins in its text."""
        return Phrases.load(self.phrases) if self.phrases.exists() else Phrases()


def unused_folder(name: str) -> Path:
    """Return runs/NAME, or runs/NAME-2, … if it is in use."""
    number = 1
    while True:
        path = Path("runs") / (name if number == 1 else f"{name}-{number}")
        if not path.exists():
            return path
        number += 1


def is_left_over(entry: Path) -> bool:
    """Return whether a killed process left this: a folder of temporary files, or a partial file."""
    return entry.name.startswith(WORK_PREFIX) or is_temporary(entry)
