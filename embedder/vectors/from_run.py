"""The word vectors of a trained network: input, hidden, output and sum."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

from embedder.arrays import Array, rotation_between, unit_rows
from embedder.config import Config
from embedder.config_sections.network import VectorKind
from embedder.errors import RunError
from embedder.network.activation import SLOPES, activate
from embedder.network.composition import SharedRows, share_rows
from embedder.network.parameters import Parameters
from embedder.runs.checkpoint import Model, load_model
from embedder.runs.run_folder import RunFolder
from embedder.text.vocabulary import Vocabulary
from embedder.vectors.postprocessing import tempering
from embedder.vectors.prediction import Predictor
from embedder.vectors.subwords import Subwords, fit_subword_rows, fitted_subwords, mix_in
from embedder.vectors.word_vectors import WordVectors

_ROWS_PER_PRODUCT = 1024


class HiddenLayer(NamedTuple):
    """The hidden layer, which maps a word's input vector to its hidden or sum vector.

    ``W1 (D, H)``, ``b1 (H,)``, ``activation``
        Its parameters and activation function.
    ``temper (H, H)``
        For sum vectors: hidden vectors are normalised and multiplied by this; None for hidden ones.
    """

    W1: Array
    b1: Array
    activation: str
    temper: Array | None = None

    def __call__(self, x: Array) -> Array:
        """Return the hidden vectors (n, H) of x (n, D)."""
        hidden = activate(x @ self.W1 + self.b1, self.activation)
        return hidden if self.temper is None else unit_rows(hidden) @ self.temper

    def linear(self, x: Array) -> Array:
        """Return them unnormalised, with the activation linearised at 0 (for small x)."""
        slope = np.float32(SLOPES[self.activation])
        hidden = slope * (x @ self.W1 + self.b1)
        return np.asarray(hidden if self.temper is None else hidden @ self.temper)


def word_vectors(
    parameters: Parameters,
    activation: str,
    kind: VectorKind,
    columns: Array | None = None,
    matrices: Array | None = None,
) -> Array:
    """Return one vector per word.

    ``input`` (V, D): rows of E. ``hidden`` (V, H): a(x W1 + b1) − c. ``output`` (V, H): rows of W2.
    ``sum`` (V, H): normalised hidden vectors plus the mean of the normalised output vectors, the
    latter rotated to align with the hidden ones, times the `tempering` of these sums. With
    position-specific contexts, words have several output vectors; ``output`` is then the sum of all
    of them, each normalised, the others rotated to align with the first. Words that share an output
    with others of their class have its vector as ``output``, but their ``sum`` is without it:
    measured, it tells them apart less well.
    Words without an output have zeros as ``output``.

    Vectors have the same bits on any number of threads and, as input and hidden ones or with given
    matrices, whatever other words there are.

    Parameters
    ----------
    parameters
        With one row of E per word.
    activation
        Of the hidden layer.
    kind
        Which vectors.
    columns : (V,) int32
        The row of W2 for each word in any position, or −1; by default, word i has row i.
    matrices : (n + 1, H, H)
        From `sum_matrices`, if they are not to be computed for these rows of E.
    """
    if kind == "input":
        return parameters.E
    if columns is None:
        columns = np.arange(len(parameters.E))
    with threadpool_limits(1, "blas"):  # which rounds by the number of threads
        return _later_vectors(parameters, activation, kind, columns, matrices)


def _later_vectors(
    parameters: Parameters,
    activation: str,
    kind: VectorKind,
    columns: Array,
    matrices: Array | None,
) -> Array:
    """Return hidden, output or sum vectors; see `word_vectors`."""
    if kind == "output":
        first, *others = _split_outputs(parameters, columns)
        of_words = np.where(columns[:, None] >= 0, first[columns], 0)
        return _add_up(of_words, others, _rotations(of_words, others), 1.0) if others else of_words
    hidden = _hidden(parameters, activation)
    if kind == "hidden":
        return hidden
    total, matrices = _sums(hidden, parameters, columns, matrices)
    return _in_blocks(total, matrices[-1])


def sum_matrices(parameters: Parameters, activation: str, columns: Array | None = None) -> Array:
    """Return the matrices that make ``sum`` vectors, (n + 1, H, H).

    The n orthogonal ones that rotate output vectors, and the `tempering` of the sums.

    Parameters
    ----------
    parameters, activation, columns
        As for `word_vectors`.
    """
    if columns is None:
        columns = np.arange(len(parameters.E))
    with threadpool_limits(1, "blas"):
        return _sums(_hidden(parameters, activation), parameters, columns, None)[1]


def _sums(
    hidden: Array, parameters: Parameters, columns: Array, matrices: Array | None
) -> tuple[Array, Array]:
    """Return the ``sum`` vectors before tempering, and the matrices, computed unless given."""
    first, *others = _split_outputs(parameters, columns)
    outputs = [first[columns[: _count_own(columns)]], *others]
    rotations = _rotations(hidden, outputs) if matrices is None else list(matrices[:-1])
    total = _add_up(hidden, outputs, rotations, 1 / len(outputs))
    if matrices is None:
        matrices = np.stack([*rotations, tempering(total)])
    return total, matrices


def _hidden(parameters: Parameters, activation: str) -> Array:
    """Return the hidden vectors of all words, (V, H)."""
    E, W1, b1, _, _ = parameters
    hidden = _in_blocks(E, W1)
    hidden += b1
    return activate(hidden, activation)


def _in_blocks(rows: Array, matrix: Array) -> Array:
    """Return rows @ matrix.

    BLAS rounds a row by its place and by the size of the product, which is therefore that of a
    block, so that words added after a word change no bit of its vector.
    """
    found = np.empty((len(rows), matrix.shape[1]), rows.dtype)
    block = np.zeros((_ROWS_PER_PRODUCT, rows.shape[1]), rows.dtype)
    for start in range(0, len(rows), len(block)):
        part = rows[start : start + len(block)]
        block[: len(part)] = part
        found[start : start + len(block)] = (block @ matrix)[: len(part)]
    return found


def _split_outputs(parameters: Parameters, columns: Array) -> list[Array]:
    """Return the rows for words in any position, and any for those just before and just after."""
    W2, positionless = parameters.W2[:, : len(parameters.b1)], int(columns.max()) + 1
    near = (len(W2) - positionless) // 2
    cuts = [positionless, positionless + near] if near else []
    return list(np.split(W2, cuts))


def _count_own(columns: Array) -> int:
    """Return how many of the first words have a column to themselves."""
    sizes = np.bincount(columns[columns >= 0])
    lone = (columns >= 0) & (sizes[columns] == 1)
    return len(columns) if lone.all() else int(lone.argmin())


def _rotations(base: Array, others: list[Array]) -> list[Array]:
    """Return the orthogonal matrix that aligns each of the others with the base.

    A word's vector in `base` and its context vectors need not point the same way: an axis on which
    words avoid similar words (a negative eigenvalue of the PMI matrix) has opposite signs in the
    two. The others may have vectors for the first words only.
    """
    base = unit_rows(base)
    return [rotation_between(unit_rows(other), base[: len(other)]) for other in others]


def _add_up(base: Array, others: list[Array], rotations: list[Array], factor: float) -> Array:
    """Return base + factor · Σ other·R, all rows normalised first."""
    total = unit_rows(base)
    for other, rotation in zip(others, rotations, strict=True):
        total[: len(other)] += factor * (unit_rows(other) @ rotation)
    return total


def load_vectors(run: Path, kind: VectorKind | None = None) -> WordVectors:
    """Load the vectors of a trained run.

    Parameters
    ----------
    run
        The run folder.
    kind
        Which vectors; by default those set by the run's network.vectors.

    Raises
    ------
    RunError
        If the run is missing, unfinished or damaged, or has no such vectors.
    """
    model = load_model(run)
    kind = kind or model.config.network.vectors
    matrix, temper = _matrix(model, kind, run)
    subwords: Subwords | None
    if fits_subwords(model.config):
        matrix, subwords = _fitted_subwords(model, kind, matrix, run)
    else:
        subwords = _shared_subwords(model, kind, temper)
    vocabulary, order = model.vocabulary, None
    counts = vocabulary.counts
    # Words that an update added follow all others, and a slice lacks words of the whole corpus.
    if (np.diff(counts) > 0).any() or counts[-1] == 0:
        order = np.argsort(-counts, kind="stable")[: np.count_nonzero(counts)]
        matrix = matrix[order]
        vocabulary = Vocabulary([vocabulary.words[i] for i in order], counts[order])
    return WordVectors(vocabulary, matrix, (), subwords, Predictor(run, vocabulary, order))


def _matrix(model: Model, kind: VectorKind, run: Path) -> tuple[Array, Array | None]:
    """Return the vectors of all words, and the matrix that tempers sum vectors."""
    network = model.config.network
    if network.input == "concat" and kind in ("hidden", "sum"):
        raise RunError(
            f"{run}: the run has no {kind} vectors, since its hidden layer sees several words at "
            "once; expected --vectors input or output."
        )
    parameters = model.parameters
    if model.config.loss.name == "class-softmax":  # the rows after the words are classes
        parameters = parameters._replace(W2=parameters.W2[: len(model.vocabulary)])
    composed = parameters._replace(E=model.composition.vectors(parameters.E))
    columns, matrices = model.kept.columns, model.kept.matrices
    # Words that are composed need the same tempering.
    if kind == "sum" and matrices is None and isinstance(model.composition, SharedRows):
        matrices = sum_matrices(composed, network.activation, columns)
    matrix = word_vectors(composed, network.activation, kind, columns, matrices)
    return matrix, matrices[-1] if kind == "sum" and matrices is not None else None


def with_fitted_subwords(model: Model) -> Model:
    """Return a run with rows of n-grams and parts that are fitted to its words' vectors.

    Without `subwords.mode` after, nothing changes.

    Raises
    ------
    VocabularyError
        As for `embedder.network.composition.compose_words`.
    """
    if not fits_subwords(model.config):
        return model
    matrix, _ = _matrix(model, model.config.network.vectors, Path(model.config.output))
    shared = _shared_rows(model)
    kept = model.kept._replace(subwords=fit_subword_rows(shared, matrix))
    return model._replace(kept=kept, metadata=model.metadata | {"subwords": shared.digest()})


def fits_subwords(config: Config) -> bool:
    """Return whether rows of n-grams and parts are fitted to the words' vectors."""
    return config.subwords.used and not config.subwords.shared


def _shared_rows(model: Model) -> SharedRows:
    config = model.config
    return share_rows(config.subwords, model.vocabulary, model.parts, config.vocabulary.unknown)


def _shared_subwords(model: Model, kind: VectorKind, temper: Array | None) -> Subwords | None:
    """Return the rows that compose vectors of unknown words; None if these cannot be composed."""
    # Output vectors are not composed of parts.
    if kind == "output" or not isinstance(model.composition, SharedRows):
        return None
    settings, (E, W1, b1, _, _) = model.config.subwords, model.parameters
    layer = None
    if kind != "input":
        layer = HiddenLayer(W1, b1, model.config.network.activation, temper)
    return Subwords(
        E,
        settings.min_n,
        settings.max_n,
        settings.buckets if settings.max_n else 0,
        len(model.vocabulary),
        model.composition.buckets,
        model.composition.rows_of_parts(model.parts),
        layer,
    )


def _fitted_subwords(
    model: Model, kind: VectorKind, matrix: Array, run: Path
) -> tuple[Array, Subwords]:
    """Return vectors with what n-grams and parts say mixed in, and the rows of these.

    The rows are the saved ones, or others for other vectors of the run.
    """
    from embedder.kernels.threads import available_threads, kernel_threads

    settings, shared, rows = model.config.subwords, _shared_rows(model), model.kept.subwords
    with kernel_threads(available_threads()):
        if rows is None or kind != model.config.network.vectors:
            rows = fit_subword_rows(shared, matrix)
        elif model.metadata.get("subwords") != shared.digest():
            file = RunFolder(run).parts
            raise RunError(f"{file}: changed or damaged since the model was written; train again.")
        if settings.mix:
            matrix = mix_in(shared, matrix, rows, settings.mix)
    return matrix, fitted_subwords(shared, settings, rows, model.parts)
