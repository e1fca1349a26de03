"""The word vectors of a trained network: input, hidden, output and sum."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from embedder.arrays import Array, unit_rows
from embedder.config_sections import VectorKind
from embedder.errors import RunError
from embedder.network.activation import SLOPES, activate
from embedder.network.composition import SharedRows
from embedder.network.parameters import Parameters
from embedder.runs.checkpoint import Model, load_model
from embedder.vectors.postprocessing import tempering
from embedder.vectors.prediction import Predictor
from embedder.vectors.subwords import Subwords
from embedder.vectors.word_vectors import WordVectors


class HiddenLayer(NamedTuple):
    """The hidden layer, which maps a word's input vector to its hidden or sum vector.

    ``W1 (D, H)``, ``b1 (H,)``, ``activation``
        Its parameters and activation function.
    ``turn (H, H)``
        For sum vectors: hidden vectors are normalised and multiplied by this; None for hidden ones.
    """

    W1: Array
    b1: Array
    activation: str
    turn: Array | None = None

    def __call__(self, x: Array) -> Array:
        """Return the hidden vectors (n, H) of x (n, D)."""
        hidden = activate(x @ self.W1 + self.b1, self.activation)
        return hidden if self.turn is None else unit_rows(hidden) @ self.turn

    def linear(self, x: Array) -> Array:
        """Return them unnormalised, with the activation linearised at 0 (for small x)."""
        slope = np.float32(SLOPES[self.activation])
        hidden = slope * (x @ self.W1 + self.b1)
        return np.asarray(hidden if self.turn is None else hidden @ self.turn)


def word_vectors(
    parameters: Parameters, activation: str, kind: VectorKind, columns: Array | None = None
) -> Array:
    """Return one vector per word.

    ``input`` (V, D): rows of E. ``hidden`` (V, H): a(x W1 + b1) − c. ``output`` (V, H): rows of W2.
    ``sum`` (V, H): `aligned_sum` of hidden and output vectors, times its `tempering`. With
    position-specific contexts, words have several output vectors; ``output`` is then the sum of all
    of them, each normalised, the others rotated to align with the first. Words that share an output
    with others of their class have its vector as ``output``.

    Parameters
    ----------
    parameters
        With one row of E per word.
    activation
        Of the hidden layer.
    kind
        Which vectors.
    columns : (V,) int32
        The row of W2 for each word in any position; by default, word i has row i.
    """
    E, W1, b1, W2, _ = parameters
    if kind == "input":
        return E
    if columns is None:
        columns = np.arange(len(E))
    if kind == "output":
        first, *others = _split_outputs(W2[:, : len(b1)], int(columns.max()) + 1)
        of_words = first[columns]
        return _sum_aligned(of_words, others, 1.0) if others else of_words
    if kind == "hidden":
        return activate(E @ W1 + b1, activation)
    total = aligned_sum(parameters, activation, columns)
    return total @ tempering(total)


def aligned_sum(parameters: Parameters, activation: str, columns: Array) -> Array:
    """Return normalised hidden vectors plus the mean of the normalised output vectors, (V, H).

    The latter are rotated to align with the former. Words that share an output with others of their
    class are without it: measured, it tells them apart less well. Parameters as `word_vectors`.
    """
    E, W1, b1, W2, _ = parameters
    first, *others = _split_outputs(W2[:, : len(b1)], int(columns.max()) + 1)
    hidden = activate(E @ W1 + b1, activation)
    own = first[columns[: _count_own(columns)]]
    return _sum_aligned(hidden, [own, *others], 1 / (1 + len(others)))


def _split_outputs(W2: Array, positionless: int) -> list[Array]:
    """Return the rows for words in any position, and any for those just before and just after."""
    near = (len(W2) - positionless) // 2
    cuts = [positionless, positionless + near] if near else []
    return list(np.split(W2, cuts))


def _count_own(columns: Array) -> int:
    """Return how many of the first words have a column to themselves."""
    shared = np.bincount(columns)[columns] > 1
    return int(shared.argmax()) if shared.any() else len(columns)


def _sum_aligned(base: Array, others: list[Array], factor: float) -> Array:
    """Return base + factor · Σ other·R, where R is the best-fitting orthogonal matrix.

    All rows are normalised first. A word's vector in `base` and its context vectors need not point
    the same way: an axis on which words avoid similar words (a negative eigenvalue of the PMI
    matrix) has opposite signs in the two. R solves the orthogonal Procrustes problem (Schönemann
    1966). The others may have vectors for the first words only.
    """
    base = unit_rows(base)
    total = base.copy()
    for other in map(unit_rows, others):
        left, _, right = np.linalg.svd(other.T @ base[: len(other)])
        total[: len(other)] += factor * (other @ (left @ right))
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
    network = model.config.network
    kind = kind or network.vectors
    if network.input == "concat" and kind in ("hidden", "sum"):
        raise RunError(
            f"{run}: the run has no {kind} vectors, since its hidden layer sees several words at "
            "once; expected --vectors input or output."
        )
    parameters = model.parameters
    if model.config.loss.name == "class-softmax":  # the rows after the words are classes
        parameters = parameters._replace(W2=parameters.W2[: len(model.vocabulary)])
    composed = parameters._replace(E=model.composition.vectors(parameters.E))
    turn = None
    if kind == "sum":
        columns = np.arange(len(composed.E)) if model.columns is None else model.columns
        total = aligned_sum(composed, network.activation, columns)
        turn = tempering(total)
        matrix = total @ turn
    else:
        matrix = word_vectors(composed, network.activation, kind, model.columns)
    subwords = _subwords(model, kind, turn)
    return WordVectors(model.vocabulary, matrix, (), subwords, Predictor(run, model.vocabulary))


def _subwords(model: Model, kind: VectorKind, turn: Array | None) -> Subwords | None:
    """Return the rows that compose vectors of unknown words; None if these cannot be composed."""
    # Output vectors are not composed of parts.
    if kind == "output" or not isinstance(model.composition, SharedRows):
        return None
    settings, (E, W1, b1, _, _) = model.config.subwords, model.parameters
    layer = None
    if kind != "input":
        layer = HiddenLayer(W1, b1, model.config.network.activation, turn)
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
