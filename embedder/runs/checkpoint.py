"""Models and checkpoints: tensors with metadata and a checksum of the whole content.

The metadata include a checksum of the vocabulary, so a damaged file raises an error and never
yields wrong vectors.
"""

import hashlib
import json
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from embedder.arrays import Array
from embedder.config import Config
from embedder.config_files import make_config
from embedder.errors import RunError
from embedder.network.composition import Composition, compose_words
from embedder.network.parameters import Parameters
from embedder.runs.run_folder import RunFolder
from embedder.storage import save_tensors
from embedder.text.phrases import Phrases
from embedder.text.vocabulary import Vocabulary
from embedder.text.word_parts import WordParts
from embedder.version import __version__

_FORMAT = "embedder-1"
_DIGEST = "sha256"
_COLUMNS = "columns"


class SavedState(NamedTuple):
    """The content of a checkpoint.

    ``columns``
        As for `Model`.
    """

    parameters: Parameters
    optimizer: dict[str, Array]
    metadata: dict[str, Any]
    columns: Array | None = None


class Model(NamedTuple):
    """A trained run, loaded from its folder.

    ``columns``
        The row of W2 for each word in any position, (V,) int32; None if word i has row i.
    """

    config: Config
    vocabulary: Vocabulary
    parameters: Parameters
    metadata: dict[str, Any]
    parts: WordParts
    composition: Composition
    phrases: Phrases
    columns: Array | None = None


def save_model(
    path: Path, parameters: Parameters, metadata: dict[str, Any], columns: Array | None = None
) -> None:
    """Write the parameters, metadata (JSON values) and columns to `path` atomically."""
    _save(path, _arrays(parameters, columns), metadata)


def _arrays(parameters: Parameters, columns: Array | None) -> dict[str, Array]:
    own = {} if columns is None else {_COLUMNS: columns}
    return dict(parameters._asdict()) | own


def save_model_with_fallback(
    path: Path, parameters: Parameters, metadata: dict[str, Any], columns: Array | None = None
) -> Path:
    """Write a model; if that fails, write it to the system's temporary folder.

    The result of a long training run is thus saved even if the disk has filled up meanwhile.

    Raises
    ------
    RunError
        If the model cannot be written to `path`; the message states where it was saved instead.
    """
    try:
        save_model(path, parameters, metadata, columns)
    except RunError as error:
        fallback = Path(tempfile.mkdtemp(prefix="embedder-")) / path.name
        try:
            save_model(fallback, parameters, metadata, columns)
        except RunError:
            raise error from None
        raise RunError(
            f"{error} The trained model was saved as {fallback}; move it to the run folder."
        ) from None
    return path


def save_checkpoint(folder: RunFolder, state: SavedState, keep: int) -> None:
    """Write everything needed to resume training, and remove the oldest checkpoints.

    Parameters
    ----------
    folder
        The run.
    state
        The state to write.
    keep
        Number of checkpoints to keep, including this one.

    Raises
    ------
    RunError
        If a parameter is not finite or the file cannot be written; older checkpoints then remain.
    """
    if not all(np.isfinite(array).all() for array in state.parameters):
        raise RunError(
            f"step {state.metadata['step']:,}: a parameter is not finite, so nothing is saved; "
            + divergence_advice(folder)
        )
    arrays = _arrays(state.parameters, state.columns)
    arrays |= {f"optimizer.{name}": array for name, array in state.optimizer.items()}
    _save(folder.checkpoint(state.metadata["step"]), arrays, state.metadata)
    folder.remove_checkpoints(but=keep)


def divergence_advice(folder: RunFolder) -> str:
    """Return the end of an error message about training that diverged."""
    advice = "lower training.learning_rate, or set training.clip_gradients"
    saved = folder.checkpoints()
    if not saved:
        return f"{advice}; there is no checkpoint to resume from."
    return f"{advice}; the last checkpoint is {saved[0].name}."


def load_checkpoint(folder: RunFolder) -> tuple[SavedState, list[str]]:
    """Read the newest undamaged checkpoint.

    Returns
    -------
    SavedState
        The state that `save_checkpoint` wrote.
    list of str
        The errors of newer, damaged checkpoints.

    Raises
    ------
    RunError
        If there is no checkpoint, or all are damaged.
    """
    errors: list[str] = []
    for path in folder.checkpoints():
        try:
            arrays, metadata = _load(path)
            parameters = _parameters(path, arrays)
        except RunError as error:
            errors.append(str(error))
            continue
        optimizer = {
            name.removeprefix("optimizer."): array
            for name, array in arrays.items()
            if name.startswith("optimizer.")
        }
        return SavedState(parameters, optimizer, metadata, arrays.get(_COLUMNS)), errors
    if errors:
        raise RunError(errors[0])
    if folder.model.exists():
        raise RunError(f"{folder.path}: this run is finished; there is nothing to resume.")
    raise RunError(
        f"{folder.path}: no checkpoint to resume from; train again with: "
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
    """Load a run folder's model; for an unfinished run, its newest checkpoint.

    Raises
    ------
    RunError
        If the folder is not a run, training has saved nothing yet, or a file is damaged.
    """
    folder = RunFolder(path)
    config = folder.read_config()
    file = next((file for file in (folder.model, *folder.checkpoints()) if file.exists()), None)
    if file is None:
        raise RunError(
            f"{path}: no {folder.model.name}, since training did not finish; train again with: "
            f"embedder train {folder.config} --output {path} --overwrite"
        )
    arrays, metadata = _load(file)
    if "config" in metadata:  # covered by the checksum, unlike config.yaml, which may be edited
        config = make_config(metadata.pop("config"), str(file))
    parameters = _parameters(file, arrays)
    vocabulary = Vocabulary.load(folder.vocabulary, config.corpus.normalisation)
    if metadata.pop("vocabulary", None) not in (None, vocabulary.digest()):
        raise RunError(f"{folder.vocabulary}: changed or damaged since {file.name} was written.")
    parts = folder.read_word_parts()
    composition = compose_words(config, vocabulary, parts)
    if metadata.pop("composition", None) != composition.digest():
        raise RunError(f"{folder.parts}: changed or damaged since {file.name} was written.")
    rows, columns = composition.height, arrays.get(_COLUMNS)
    outputs = len(vocabulary) if columns is None else int(columns.max(initial=-1)) + 1
    if (
        len(parameters.E) != rows
        or len(parameters.W2) < outputs
        or (columns is not None and columns.shape != (len(vocabulary),))
    ):
        raise RunError(
            f"{file}: E has {len(parameters.E):,} rows and W2 {len(parameters.W2):,}, but the "
            f"words of {folder.vocabulary.name} require {rows:,} and {outputs:,}; the "
            "files are not from the same run."
        )
    phrases = folder.read_phrases()
    return Model(config, vocabulary, parameters, metadata, parts, composition, phrases, columns)


def _save(path: Path, arrays: dict[str, Array], metadata: dict[str, Any]) -> None:
    texts = {key: json.dumps(value) for key, value in metadata.items()}
    texts |= {"format": _FORMAT, "version": __version__}
    save_tensors(path, arrays, texts | {_DIGEST: _digest(arrays, texts)})


def _digest(arrays: dict[str, Array], texts: dict[str, str]) -> str:
    """Return the SHA-256 of a file's content."""
    found = hashlib.sha256(json.dumps(sorted(texts.items())).encode())
    for name, array in sorted(arrays.items()):
        found.update(json.dumps([name, array.dtype.str, array.shape]).encode())
        found.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return found.hexdigest()


def _load(path: Path) -> tuple[dict[str, Array], dict[str, Any]]:
    from safetensors import SafetensorError, safe_open

    try:
        path.open("rb").close()  # the library says of any file it cannot open that there is none
        with safe_open(path, "np") as file:
            texts = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except FileNotFoundError:
        raise RunError(f"{path}: no such file.") from None
    except PermissionError as error:
        raise RunError(f"{path}: cannot be read ({error.strerror}).") from None
    except (SafetensorError, OSError, ValueError, TypeError, AttributeError) as error:
        raise RunError(
            f"{path}: truncated or damaged ({error}); train again, or restore a copy."
        ) from None
    digest = texts.pop(_DIGEST, None)
    if texts.get("format") != _FORMAT:
        raise RunError(f"{path}: not an embedder model; expected format {_FORMAT}.")
    if digest is not None and digest != _digest(arrays, texts):
        raise RunError(f"{path}: damaged (wrong checksum); train again, or restore a copy.")
    plain = {"format", "version"}
    try:
        return arrays, {key: json.loads(text) for key, text in texts.items() if key not in plain}
    except ValueError:  # the checksum's key itself is damaged, so there was nothing to compare
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
        raise RunError(
            f"{path}: the arrays E, W1, b1, W2, b2 are missing or have inconsistent shapes."
        )
    if not all(np.isfinite(array).all() for array in parameters):
        raise RunError(f"{path}: contains numbers that are not finite; train again.")
    return parameters
