"""The run folder: what a training leaves behind, and reading it back.

config.yaml              the resolved configuration
vocabulary.tsv           words and counts, most frequent first
metrics.jsonl            a line every few seconds, and one a pass
model.safetensors        E, W1, b1, W2, b2 and metadata
checkpoint.safetensors   the same and the optimizer's state, while training goes on
best.safetensors         the best model by the validation so far, while training goes on
"""

import contextlib
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from embedder import __version__
from embedder.arrays import Array
from embedder.config import Config, load_config
from embedder.errors import RunError
from embedder.network import Parameters
from embedder.storage import save_tensors, write_atomically
from embedder.vocabulary import Vocabulary

WORK_PREFIX = ".work-"
"""Folders of temporary files, inside the run folder so that they are on its disk."""
_FORMAT = "embedder-1"


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
        self.metrics = path / "metrics.jsonl"
        self.model = path / "model.safetensors"
        self.checkpoint = path / "checkpoint.safetensors"
        self.best = path / "best.safetensors"

    def claim(self, overwrite: bool) -> None:
        """Make the folder, refusing one that holds a run or anything else.

        Raises
        ------
        RunError
            If something is in the way or the folder cannot be made.
        """
        if self.path.exists() and not self.path.is_dir():
            raise RunError(f"{self.path}: a file is in the way; choose another --output.")
        taken = self.path.exists() and any(
            not entry.name.startswith(WORK_PREFIX) for entry in self.path.iterdir()
        )
        if taken and not overwrite:
            how = (
                f"go on with: embedder train --resume {self.path}"
                if self.checkpoint.exists() and not self.model.exists()
                else "choose another --output, or replace it with --overwrite"
            )
            raise RunError(f"{self.path}: the folder exists and is not empty; {how}.")
        if taken and not self.config.exists():
            raise RunError(
                f"{self.path}: the folder holds something other than a run; --overwrite replaces "
                "runs only; choose another --output."
            )
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            for leftover in self.path.glob(f"{WORK_PREFIX}*"):
                shutil.rmtree(leftover, ignore_errors=True)
        except OSError as error:
            raise RunError(
                f"{self.path}: cannot be made ({error.strerror}); choose another --output."
            ) from None

    def begin(self, config: Config, vocabulary: Vocabulary) -> None:
        """Remove the files of a run that is being replaced and write what is known already."""
        for file in (
            self.model,
            self.checkpoint,
            self.best,
            self.metrics,
            self.vocabulary,
            self.config,
        ):
            file.unlink(missing_ok=True)
        write_atomically(self.config, config.to_yaml().encode())
        vocabulary.save(self.vocabulary)

    def release(self) -> None:
        """Remove the folder if nothing was written to it, so that a second try finds it free."""
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


def save_checkpoint(path: Path, state: SavedState) -> None:
    """Write everything that a resumed training needs, whole or not at all."""
    arrays = dict(state.parameters._asdict())
    arrays |= {f"optimizer.{name}": array for name, array in state.optimizer.items()}
    _save(path, arrays, state.metadata)


def load_checkpoint(path: Path) -> SavedState:
    """Read what `save_checkpoint` wrote.

    Raises
    ------
    RunError
        If the file is missing or damaged.
    """
    arrays, metadata = _load(path)
    optimizer = {
        name.removeprefix("optimizer."): array
        for name, array in arrays.items()
        if name.startswith("optimizer.")
    }
    return SavedState(_parameters(path, arrays), optimizer, metadata)


def load_parameters(path: Path) -> Parameters:
    """Read the parameters of a model or checkpoint.

    Raises
    ------
    RunError
        If the file is missing or damaged.
    """
    return _parameters(path, _load(path)[0])


def load_model(path: Path) -> Model:
    """Read a run folder's model; of an unfinished run, its checkpoint.

    Raises
    ------
    RunError
        If the folder is no run, its training has saved nothing yet, or a file is damaged.
    """
    folder = RunFolder(path)
    config = folder.read_config()
    file = folder.model if folder.model.exists() else folder.checkpoint
    if not file.exists():
        raise RunError(
            f"{path}: no {folder.model.name}: its training did not finish; train it again with: "
            f"embedder train {folder.config} --output {path} --overwrite"
        )
    vocabulary = Vocabulary.load(folder.vocabulary)
    arrays, metadata = _load(file)
    parameters = _parameters(file, arrays)
    if len(parameters.E) != len(vocabulary):
        raise RunError(
            f"{file}: vectors for {len(parameters.E):,} words, but {folder.vocabulary.name} has "
            f"{len(vocabulary):,}; the files are not of one run."
        )
    return Model(config, vocabulary, parameters, metadata)


def _save(path: Path, arrays: dict[str, Array], metadata: dict[str, Any]) -> None:
    texts = {key: json.dumps(value) for key, value in metadata.items()}
    save_tensors(path, arrays, texts | {"format": _FORMAT, "version": __version__})


def _load(path: Path) -> tuple[dict[str, Array], dict[str, Any]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "np") as file:
            texts = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except FileNotFoundError:
        raise RunError(f"{path}: no such file.") from None
    except (SafetensorError, OSError, ValueError) as error:
        raise RunError(
            f"{path}: truncated or damaged ({error}); train again, or restore a copy."
        ) from None
    if texts.get("format") != _FORMAT:
        raise RunError(f"{path}: not a model of this program (expected format {_FORMAT}).")
    plain = {"format", "version"}
    return arrays, {key: json.loads(text) for key, text in texts.items() if key not in plain}


def _parameters(path: Path, arrays: dict[str, Array]) -> Parameters:
    try:
        parameters = Parameters(*(arrays[name] for name in Parameters._fields))
        (V, D), (length, H) = parameters.E.shape, parameters.W1.shape
        C, features = parameters.W2.shape
        consistent = (
            length % D == 0
            and parameters.b1.shape == (H,)
            and features in (H, H + length)
            and C >= V
            and parameters.b2.shape == (C,)
        )
    except (KeyError, ValueError):
        consistent = False
    if not consistent:
        raise RunError(f"{path}: the arrays E, W1, b1, W2, b2 are missing or do not fit together.")
    if not all(np.isfinite(array).all() for array in parameters):
        raise RunError(f"{path}: holds numbers that are not finite; train again.")
    return parameters
