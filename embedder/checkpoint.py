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
import hashlib
import json
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from embedder import __version__
from embedder.arrays import Array
from embedder.composition import (
    Composition,
    WordParts,
    compose_words,
    read_parts,
    save_parts,
)
from embedder.config import Config
from embedder.config_files import load_config, make_config
from embedder.errors import RunError
from embedder.network import Parameters
from embedder.phrases import Phrases
from embedder.storage import is_temporary, save_tensors, write_atomically
from embedder.vocabulary import Vocabulary

if TYPE_CHECKING:
    from filelock import FileLock

WORK_PREFIX = ".work-"
"""Folders of temporary files, inside the run folder so that they are on its disk."""
_FORMAT = "embedder-1"
_LOCK = ".lock"
_DIGEST = "sha256"


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
            entry.name != _LOCK and not _is_left_over(entry) for entry in self.path.iterdir()
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
                if _is_left_over(entry):
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
            save_parts(self.parts, parts)
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

    def read_parts(self) -> dict[str, tuple[str, ...]]:
        """Return the parts of words that the run began with."""
        return read_parts(self.parts) if self.parts.exists() else {}

    def read_phrases(self) -> Phrases:
        """Return what the run joined in its text."""
        return Phrases.load(self.phrases) if self.phrases.exists() else Phrases()


def _is_left_over(entry: Path) -> bool:
    """Say whether a process that was killed left this: a folder of work, or a file half written."""
    return entry.name.startswith(WORK_PREFIX) or is_temporary(entry)


class SavedState(NamedTuple):
    """What a checkpoint holds beside the parameters."""

    parameters: Parameters
    optimizer: dict[str, Array]
    metadata: dict[str, Any]


class Model(NamedTuple):
    """A trained run, read back."""

    config: Config
    vocabulary: Vocabulary
    parameters: Parameters
    metadata: dict[str, Any]
    parts: WordParts
    composition: Composition | None
    phrases: Phrases


def save_model(path: Path, parameters: Parameters, metadata: dict[str, Any]) -> None:
    """Write the parameters and metadata (JSON values) to `path`, whole or not at all."""
    _save(path, dict(parameters._asdict()), metadata)


def save_model_somewhere(path: Path, parameters: Parameters, metadata: dict[str, Any]) -> Path:
    """Write a model, to the system's temporary folder where its own place fails.

    Training took time: what it gave is kept even if the disk filled up meanwhile.

    Raises
    ------
    RunError
        If neither place can be written.
    """
    try:
        save_model(path, parameters, metadata)
    except RunError as error:
        refuge = Path(tempfile.mkdtemp(prefix="embedder-")) / path.name
        try:
            save_model(refuge, parameters, metadata)
        except RunError:
            raise error from None
        raise RunError(f"{error} The trained model was saved as {refuge}; move it there.") from None
    return path


def save_checkpoint(folder: RunFolder, state: SavedState, keep: int) -> None:
    """Write everything that a resumed training needs; of older checkpoints the last stay.

    Parameters
    ----------
    folder
        The run.
    state
        What to write.
    keep
        How many checkpoints there may be, with this one.

    Raises
    ------
    RunError
        If a parameter is not finite, or the file cannot be written; older ones stay.
    """
    if not all(np.isfinite(array).all() for array in state.parameters):
        raise RunError(
            f"step {state.metadata['step']:,}: a parameter is not finite, so it is not saved; "
            + what_to_do_about_infinity(folder)
        )
    arrays = dict(state.parameters._asdict())
    arrays |= {f"optimizer.{name}": array for name, array in state.optimizer.items()}
    _save(folder.checkpoint(state.metadata["step"]), arrays, state.metadata)
    folder.remove_checkpoints(but=keep)


def what_to_do_about_infinity(folder: RunFolder) -> str:
    """Return the end of a sentence about a training that went wrong."""
    advice = "lower training.learning_rate, or set training.clip_gradients"
    saved = folder.checkpoints()
    if not saved:
        return f"{advice}; there is no checkpoint to go on from."
    return f"{advice}; the last checkpoint, {saved[0].name}, is kept."


def load_checkpoint(folder: RunFolder) -> tuple[SavedState, list[str]]:
    """Read the newest checkpoint that is whole.

    Returns
    -------
    SavedState
        What `save_checkpoint` wrote.
    list of str
        What was wrong with newer ones.

    Raises
    ------
    RunError
        If there is none, or none that is whole.
    """
    faults: list[str] = []
    for path in folder.checkpoints():
        try:
            arrays, metadata = _load(path)
            parameters = _parameters(path, arrays)
        except RunError as error:
            faults.append(str(error))
            continue
        optimizer = {
            name.removeprefix("optimizer."): array
            for name, array in arrays.items()
            if name.startswith("optimizer.")
        }
        return SavedState(parameters, optimizer, metadata), faults
    if faults:
        raise RunError(faults[0])
    if folder.model.exists():
        raise RunError(f"{folder.path}: this run is finished; there is nothing to go on with.")
    raise RunError(
        f"{folder.path}: no checkpoint to go on from; train it with: "
        f"embedder train {folder.config} --output {folder.path} --overwrite"
    )


def load_parameters(path: Path) -> Parameters:
    """Read the parameters of a model or checkpoint.

    Raises
    ------
    RunError
        If the file is missing or damaged.
    """
    return _parameters(path, _load(path)[0])


def load_model(path: Path) -> Model:
    """Read a run folder's model; of an unfinished run, its newest checkpoint.

    Raises
    ------
    RunError
        If the folder is no run, its training has saved nothing yet, or a file is damaged.
    """
    folder = RunFolder(path)
    config = folder.read_config()
    file = next((file for file in (folder.model, *folder.checkpoints()) if file.exists()), None)
    if file is None:
        raise RunError(
            f"{path}: no {folder.model.name}: its training did not finish; train it again with: "
            f"embedder train {folder.config} --output {path} --overwrite"
        )
    arrays, metadata = _load(file)
    if "config" in metadata:  # a file that is checked, where config.yaml can be edited
        config = make_config(metadata.pop("config"), str(file))
    parameters = _parameters(file, arrays)
    vocabulary = Vocabulary.load(folder.vocabulary)
    if metadata.pop("vocabulary", None) not in (None, vocabulary.digest()):
        raise RunError(f"{folder.vocabulary}: changed or damaged since {file.name} was written.")
    parts = folder.read_parts()
    composition = compose_words(config, vocabulary, parts)
    if metadata.pop("composition", None) != (composition and composition.digest()):
        raise RunError(f"{folder.parts}: changed or damaged since {file.name} was written.")
    rows = len(vocabulary) if composition is None else composition.height
    if len(parameters.E) != rows or len(parameters.W2) < len(vocabulary):
        raise RunError(
            f"{file}: E has {len(parameters.E):,} rows and W2 {len(parameters.W2):,}, but the "
            f"words of {folder.vocabulary.name} need {rows:,} and {len(vocabulary):,}; the files "
            "are not of one run."
        )
    phrases = folder.read_phrases()
    return Model(config, vocabulary, parameters, metadata, parts, composition, phrases)


def _save(path: Path, arrays: dict[str, Array], metadata: dict[str, Any]) -> None:
    texts = {key: json.dumps(value) for key, value in metadata.items()}
    texts |= {"format": _FORMAT, "version": __version__}
    save_tensors(path, arrays, texts | {_DIGEST: _digest(arrays, texts)})


def _digest(arrays: dict[str, Array], texts: dict[str, str]) -> str:
    """Return the SHA-256 of everything in a file."""
    found = hashlib.sha256(json.dumps(sorted(texts.items())).encode())
    for name, array in sorted(arrays.items()):
        found.update(json.dumps([name, array.dtype.str, array.shape]).encode())
        found.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return found.hexdigest()


def _load(path: Path) -> tuple[dict[str, Array], dict[str, Any]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "np") as file:
            texts = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except FileNotFoundError:
        raise RunError(f"{path}: no such file.") from None
    except (SafetensorError, OSError, ValueError, TypeError, AttributeError) as error:
        raise RunError(
            f"{path}: truncated or damaged ({error}); train again, or restore a copy."
        ) from None
    digest = texts.pop(_DIGEST, None)
    if texts.get("format") != _FORMAT:
        raise RunError(f"{path}: not a model of this program (expected format {_FORMAT}).")
    if digest is not None and digest != _digest(arrays, texts):
        raise RunError(f"{path}: damaged (its checksum is wrong); train again, or restore a copy.")
    plain = {"format", "version"}
    try:
        return arrays, {key: json.loads(text) for key, text in texts.items() if key not in plain}
    except ValueError:  # the name of the checksum itself is damaged, so that there is none
        raise RunError(f"{path}: damaged metadata; train again, or restore a copy.") from None


def _parameters(path: Path, arrays: dict[str, Array]) -> Parameters:
    try:
        parameters = Parameters(*(arrays[name] for name in Parameters._fields))
        (_, D), (length, H) = parameters.E.shape, parameters.W1.shape
        C, features = parameters.W2.shape
        consistent = (
            length % D == 0
            and parameters.b1.shape == (H,)
            and features in (H, H + length)
            and parameters.b2.shape == (C,)
        )
    except (KeyError, ValueError):
        consistent = False
    if not consistent:
        raise RunError(f"{path}: the arrays E, W1, b1, W2, b2 are missing or do not fit together.")
    if not all(np.isfinite(array).all() for array in parameters):
        raise RunError(f"{path}: holds numbers that are not finite; train again.")
    return parameters
