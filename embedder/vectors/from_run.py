"""The word vectors that a trained network offers: input, hidden, output and sum."""

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
from embedder.vectors.subwords import Subwords
from embedder.vectors.word_vectors import WordVectors


class HiddenLayer(NamedTuple):
    """The hidden layer as what turns an input vector into the hidden or sum vector of a word.

    ``W1 (D, H)``, ``b1 (H,)``, ``activation``
    ``unit``
        Whether hidden vectors are normalised, as they are where others are added.
    """

    W1: Array
    b1: Array
    activation: str
    unit: bool = False

    def __call__(self, x: Array) -> Array:
        """Return what the network makes of x (n, D), (n, H)."""
        hidden = activate(x @ self.W1 + self.b1, self.activation)
        return unit_rows(hidden) if self.unit else hidden

    def linear(self, x: Array) -> Array:
        """Return the same, not normalised, for x so small that the activation is straight."""
        slope = np.float32(SLOPES[self.activation])
        return np.asarray(slope * (x @ self.W1 + self.b1))


def word_vectors(parameters: Parameters, activation: str, kind: VectorKind) -> Array:
    """Return one vector a word.

    ``input`` (V, D): rows of E. ``hidden`` (V, H): a(x W1 + b1) − c. ``output`` (V, H): rows of W2.
    ``sum`` (V, H): hidden vectors plus the mean of the output vectors, normalised, these turned to
    lie on the hidden ones. Where words have contexts apart, so that there are several output
    vectors, ``output`` is the sum of those, normalised, the others turned to lie on the first.
    """
    E, W1, b1, W2, _ = parameters
    if kind == "input":
        return E
    outputs = _split_outputs(W2[:, : len(b1)], len(E))
    if kind == "output":
        first, *others = outputs
        return _sum_turned(first, others, 1.0) if others else np.ascontiguousarray(first)
    hidden = activate(E @ W1 + b1, activation)
    return hidden if kind == "hidden" else _sum_turned(hidden, outputs, 1 / len(outputs))


def _split_outputs(W2: Array, vocabulary: int) -> list[Array]:
    """Return the rows for words in any place, and those just before and after where there are."""
    near = (len(W2) - vocabulary) // 2
    cuts = [vocabulary, vocabulary + near] if near else []
    return list(np.split(W2, cuts))


def _sum_turned(base: Array, others: list[Array], factor: float) -> Array:
    """Return base + factor · Σ other·R, rows normalised, R the orthogonal matrix that fits best.

    A word and its own context vector need not point the same way: an axis on which words avoid
    their likes (a negative eigenvalue of the PMI matrix) has opposite signs in the two. R is the
    solution of the orthogonal Procrustes problem (Schönemann 1966). The others may have vectors for
    the first words only.
    """
    base = unit_rows(base)
    total = base.copy()
    for other in map(unit_rows, others):
        left, _, right = np.linalg.svd(other.T @ base[: len(other)])
        total[: len(other)] += factor * (other @ (left @ right))
    return total


def load_vectors(run: Path, kind: VectorKind | None = None) -> WordVectors:
    """Read the vectors of a trained run.

    Parameters
    ----------
    run
        The run folder.
    kind
        Which vectors; by default those that the run names.

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
            f"{run}: has no {kind} vectors, since its hidden layer sees several words at once; "
            "expected --vectors input or output."
        )
    parameters = model.parameters
    if model.config.loss.name == "class-softmax":  # the rows beyond the words are classes
        parameters = parameters._replace(W2=parameters.W2[: len(model.vocabulary)])
    composed = parameters._replace(E=model.composition.vectors(parameters.E))
    matrix = word_vectors(composed, network.activation, kind)
    return WordVectors(model.vocabulary, matrix, (), _subwords(model, kind))


def _subwords(model: Model, kind: VectorKind) -> Subwords | None:
    """Return what composes vectors of unknown words; None where nothing can."""
    # What an unknown word predicts is not composed of its parts.
    if kind == "output" or not isinstance(model.composition, SharedRows):
        return None
    settings, (E, W1, b1, _, _) = model.config.subwords, model.parameters
    layer = None
    if kind != "input":
        layer = HiddenLayer(W1, b1, model.config.network.activation, unit=kind == "sum")
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
