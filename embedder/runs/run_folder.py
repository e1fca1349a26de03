"""The run folder: what a training leaves behind, and reading it back.

config.yaml                  the resolved configuration
vocabulary.tsv               words and counts, most frequent first
phrases.tsv                  what was joined, if corpus.phrases says so
parts.tsv                    words and their parts, if subwords.parts names some
metrics.jsonl                a line every few seconds, and one a pass
model.safetensors            E, W1, b1, W2, b2 and metadata
checkpoint-STEP.safetensors  the same and the optimizer's state, while training goes on: the last
                             few (training.checkpoints_kept)
best.safetensors             the best model by the validation so far, while training goes on

Every file is written under another name, synced and renamed, so that at any moment it is whole or
not there. The tensors' files hold a SHA-256 of all that is in them and of the vocabulary: a damaged
one is an error and never other vectors. While a process trains, it holds a lock on the folder.
"""

import contextlib
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from embedder.config import Config
from embedder.config_files import load_config
from embedder.errors import RunError
from embedder.storage import is_temporary, write_atomically
from embedder.text.phrases import Phrases
from embedder.text.vocabulary import Vocabulary
from embedder.text.word_parts import WordParts, read_word_parts, save_word_parts

if TYPE_CHECKING:
    from filelock import FileLock


WORK_PREFIX = ".work-"
"""Folders of temporary files, inside the run folder so that they are on its disk."""
_LOCK = ".lock"


class RunFolder:
    """The paths of one run.

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

    def checkpoints(self) -> list[Path]:
        """Return the checkpoints that are there, the newest first."""
        return sorted(self.path.glob("checkpoint-*.safetensors"), reverse=True)

    def checkpoint(self, step: int) -> Path:
        """Return the name of a step's checkpoint; names sort as steps do."""
        return self.path / f"checkpoint-{step:012d}.safetensors"

    def remove_checkpoints(self, but: int = 0) -> None:
        """Remove all checkpoints but the newest so many."""
        for file in self.checkpoints()[but:]:
            file.unlink(missing_ok=True)

    def claim(self, overwrite: bool) -> None:
        """Make the folder and lock it, refusing one that holds a run or anything else.

        Raises
        ------
        RunError
            If something is in the way, another process trains there, or it cannot be made.
        """
        self._refuse_taken(overwrite)
        self.lock()
        self._refuse_taken(overwrite)  # another process may have been faster

    def _refuse_taken(self, overwrite: bool) -> None:
        if self.path.exists() and not self.path.is_dir():
            raise RunError(f"{self.path}: a file is in the way; choose another --output.")
        taken = self.path.exists() and any(
            entry.name != _LOCK and not is_left_over(entry) for entry in self.path.iterdir()
        )
        if taken and not overwrite:
            how = (
                f"go on with: embedder train --resume {self.path}"
                if self.checkpoints() and not self.model.exists()
                else "choose another --output, or replace it with --overwrite"
            )
            raise RunError(f"{self.path}: the folder exists and is not empty; {how}.")
        if taken and not self.config.exists():
            raise RunError(
                f"{self.path}: the folder holds something other than a run; --overwrite replaces "
                "runs only; choose another --output."
            )

    def lock(self) -> None:
        """Make the folder and hold its lock until `release`; the system frees a dead process's.

        What a process that was killed was writing is removed.

        Raises
        ------
        RunError
            If another process holds it, or the folder cannot be made.
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
                f"{self.path}: another process is training there; wait for it, or choose another "
                "--output."
            ) from None
        except OSError as error:
            raise RunError(
                f"{self.path}: cannot be made ({error.strerror}); choose another --output."
            ) from None

    def begin(
        self,
        config: Config,
        vocabulary: Vocabulary,
        parts: WordParts | None = None,
        phrases: Phrases | None = None,
    ) -> None:
        """Remove the files of a run that is being replaced and write what is known already."""
        before = self.model, self.best, self.metrics, self.parts, self.phrases
        for file in (*before, self.vocabulary, self.config):
            file.unlink(missing_ok=True)
        self.remove_checkpoints()
        write_atomically(self.config, config.to_yaml().encode())
        vocabulary.save(self.vocabulary)
        if parts:
            save_word_parts(self.parts, parts)
        if phrases is not None and phrases.passes:
            phrases.save(self.phrases)

    def release(self) -> None:
        """Give the lock back, and remove the folder if nothing was written to it."""
        if self._lock is None:
            return
        with contextlib.suppress(OSError):
            (self.path / _LOCK).unlink(missing_ok=True)
        self._lock.release()
        self._lock = None
        with contextlib.suppress(OSError):
            self.path.rmdir()

    def read_config(self) -> Config:
        """Return the run's configuration, or say that this is no run."""
        if not self.config.exists():
            raise RunError(
                f"{self.path}: no run there (no {self.config.name}); "
                "expected a folder that `embedder train` wrote."
            )
        return load_config(self.config)

    def read_word_parts(self) -> dict[str, tuple[str, ...]]:
        """Return the parts of words that the run began with."""
        return read_word_parts(self.parts) if self.parts.exists() else {}

    def read_phrases(self) -> Phrases:
        """Return what the run joined in its text."""
        return Phrases.load(self.phrases) if self.phrases.exists() else Phrases()


def is_left_over(entry: Path) -> bool:
    """Say whether a process that was killed left this: a folder of work, or a file half written."""
    return entry.name.startswith(WORK_PREFIX) or is_temporary(entry)
