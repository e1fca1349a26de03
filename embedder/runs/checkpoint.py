"""Models and checkpoints (see `embedder.runs.tensor_file`).

The metadata include a checksum of the vocabulary, so a damaged file raises an error and never
yields wrong vectors.
"""

import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from embedder.arrays import Array
from embedder.config import Config
from embedder.config_files import make_config
from embedder.errors import RunError
from embedder.examples.columns import Columns
from embedder.network.composition import Composition, compose_words
from embedder.network.parameters import Parameters
from embedder.runs.run_folder import RunFolder
from embedder.runs.tensor_file import load_arrays, save_arrays
from embedder.text.phrases import Phrases
from embedder.text.vocabulary import Vocabulary
from embedder.text.word_parts import WordParts

_FORMAT = "embedder-1"


class Kept(NamedTuple):
    """What a model keeps of its counts; None for what does not apply.

    ``columns (V,) int32``
        The row of W2 for each word in any position, −1 for words without one; None if word i has
        row i.
    ``totals (V,) float64``
        n_w, the neighbours that each word's row of E was fitted to.
    ``keep (V,) float64``
        The probability with which an occurrence of each word was counted; None if it follows from
        the vocabulary, as in all runs but those that `embedder.training.update` wrote.
    ``matrices (n + 1, H, H)``
        Those that make `sum` vectors, if they are not to be computed anew: see
        `embedder.vectors.from_run.sum_matrices`.
    ``subwords (G + P, D or H)``
        The rows of n-grams and other parts fitted to the words' vectors, those that
        network.vectors names.
    """

    columns: Array | None = None
    totals: Array | None = None
    keep: Array | None = None
    matrices: Array | None = None
    subwords: Array | None = None


_NOTHING = Kept()


class SavedState(NamedTuple):
    """The content of a checkpoint."""

    parameters: Parameters
    optimizer: dict[str, Array]
    metadata: dict[str, Any]
    kept: Kept = _NOTHING


class Model(NamedTuple):
    """A trained run, loaded from its folder."""

    config: Config
    vocabulary: Vocabulary
    parameters: Parameters
    metadata: dict[str, Any]
    parts: WordParts
    composition: Composition
    phrases: Phrases
    kept: Kept = _NOTHING

    @property
    def columns(self) -> Columns:
        """The columns of the network's outputs, if it was trained on counts."""
        of_words = self.kept.columns
        if of_words is None:
            of_words = np.arange(len(self.vocabulary), dtype=np.int32)
        return Columns(of_words, (len(self.parameters.W2) - int(of_words.max()) - 1) // 2)

    def keep_probabilities(self) -> Array:
        """Return the probability with which an occurrence of each word is counted, (V,) float64."""
        if self.kept.keep is not None:
            return self.kept.keep
        return self.vocabulary.keep_probabilities(self.config.vocabulary.subsample)


def save_model(
    path: Path, parameters: Parameters, metadata: dict[str, Any], kept: Kept = _NOTHING
) -> None:
    """Write the parameters, metadata (JSON values) and what is kept to `path` atomically."""
    save_arrays(path, _arrays(parameters, kept), metadata, _FORMAT)


def _arrays(parameters: Parameters, kept: Kept) -> dict[str, Array]:
    own = {name: array for name, array in kept._asdict().items() if array is not None}
    return dict(parameters._asdict()) | own


def save_model_with_fallback(
    path: Path, parameters: Parameters, metadata: dict[str, Any], kept: Kept = _NOTHING
) -> Path:
    """Write a model; if that fails, write it to the system's temporary folder.

    The result of a long training run is thus saved even if the disk has filled up meanwhile.

    Raises
    ------
    RunError
        If the model cannot be written to `path`; the message states where it was saved instead.
    """
    try:
        save_model(path, parameters, metadata, kept)
    except RunError as error:
        fallback = Path(tempfile.mkdtemp(prefix="embedder-")) / path.name
        try:
            save_model(fallback, parameters, metadata, kept)
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
    arrays = _arrays(state.parameters, state.kept)
    arrays |= {f"optimizer.{name}": array for name, array in state.optimizer.items()}
    save_arrays(folder.checkpoint(state.metadata["step"]), arrays, state.metadata, _FORMAT)
    folder.remove_checkpoints(but=keep)


def save_fitted(folder: RunFolder, word: int, rows: Array, fitted_to: str) -> None:
    """Write rows of E, fitted from a word on, for a training that resumes.

    Parameters
    ----------
    folder
        The run.
    word
        The first word.
    rows : (n, D)
    fitted_to
        Identifies the layers that were frozen.

    Raises
    ------
    RunError
        If the file cannot be written.
    """
    metadata = {"word": word, "fitted_to": fitted_to}
    save_arrays(folder.fitted_from(word), {"E": rows}, metadata, _FORMAT)


def load_fitted(folder: RunFolder, fitted_to: str) -> dict[int, Array]:
    """Return the fitted rows, by their first word, that belong to some layers and are intact."""
    found = {}
    for path in folder.fitted():
        try:
            arrays, metadata = _load(path)
        except RunError:  # they will be fitted again
            continue
        if metadata.get("fitted_to") == fitted_to:
            found[int(metadata["word"])] = arrays["E"]
    return found


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
        return SavedState(parameters, optimizer, metadata, _kept(arrays)), errors
    if errors:
        raise RunError(errors[0])
    if folder.model.exists():
        raise RunError(
            f"{folder.path}: this run is finished; there is nothing to resume, unless --bootstrap "
            "or --seeds ask for replicates."
        )
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
    rows, kept = composition.height, _kept(arrays)
    outputs = len(vocabulary) if kept.columns is None else int(kept.columns.max(initial=-1)) + 1
    if (
        len(parameters.E) != rows
        or len(parameters.W2) < outputs
        or any(part is not None and part.shape != (len(vocabulary),) for part in kept[:3])
    ):
        raise RunError(
            f"{file}: E has {len(parameters.E):,} rows and W2 {len(parameters.W2):,}, but the "
            f"words of {folder.vocabulary.name} require {rows:,} and {outputs:,}; the "
            "files are not from the same run."
        )
    phrases = folder.read_phrases()
    return Model(config, vocabulary, parameters, metadata, parts, composition, phrases, kept)


def _kept(arrays: dict[str, Array]) -> Kept:
    return Kept(**{name: arrays.get(name) for name in Kept._fields})


def _load(path: Path) -> tuple[dict[str, Array], dict[str, Any]]:
    return load_arrays(path, _FORMAT, "an embedder model")


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
