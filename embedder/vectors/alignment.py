"""Two models in one space: orthogonal Procrustes alignment, and neighbours across models.

Models trained apart have arbitrary axes. Given pairs of words that should lie together, the shared
words or those of a dictionary, the orthogonal R that minimises Σ |b_i R − a_i|² for their unit
vectors turns the space of b into that of a (Schönemann 1966; Xing et al. 2015). It changes no
distance among the vectors of b.

In a high-dimensional space some words, hubs, are near to very many others. Cross-domain similarity
local scaling (CSLS, Conneau et al. 2018) subtracts how near a word is to its k nearest in the other
model, on average:

    csls(x, y) = 2 cos(x, y) − r_y(x) − r_x(y)
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from embedder.arrays import Array, rotation_between
from embedder.errors import VocabularyError
from embedder.storage import read_utf8
from embedder.vectors.neighbors import Neighbor, Neighbors
from embedder.vectors.search import nearest, over_blocks
from embedder.vectors.word_vectors import WordVectors

CSLS_NEIGHBORS = 10
_FOLDS = 5
_MAX_QUERIES = 1000
_LEAST_PAIRS = 2


class Alignment(NamedTuple):
    """How well the second of two models fits onto the first.

    ``rotation (D, D) float32``
        R.
    ``pairs``
        How many pairs of words determine it.
    ``unknown``
        How many pairs of the dictionary have a word that a model lacks.
    ``before``, ``after``
        Mean cosine distance of the pairs, 1 − cosine, without and with the rotation.
    ``held_out``
        The same for pairs left out of the fit, by cross-validation: what a word that does not take
        part can expect. None with fewer than five pairs.
    ``nearest``
        Of up to 1,000 of the pairs left out, the share whose word in the first model is the nearest
        of all its words.
    """

    rotation: Array
    pairs: int
    unknown: int
    before: float
    after: float
    held_out: float | None
    nearest: float | None


def align(
    first: WordVectors, second: WordVectors, dictionary: Path | None = None
) -> tuple[WordVectors, Alignment]:
    """Turn the second model into the space of the first.

    Parameters
    ----------
    first, second
        With vectors of one length.
    dictionary
        A file of lines 'word word', the first from `first`; by default the words that both share.

    Returns
    -------
    WordVectors
        The second model's words, turned; lengths and distances among them stay.
    Alignment

    Raises
    ------
    VocabularyError
        If the vectors differ in length, fewer than two pairs are known, or the dictionary cannot be
        read.
    """
    lengths = first.matrix.shape[1], second.matrix.shape[1]
    if lengths[0] != lengths[1]:
        raise VocabularyError(
            f"the vectors have {lengths[0]} and {lengths[1]} dimensions; expected the same number: "
            "train one model again with the other's."
        )
    if dictionary is None:
        words = [(word, word) for word in second.words if word in first]
        unknown = 0
    else:
        listed = read_dictionary(dictionary)
        words = [(a, b) for a, b in listed if a in first and b in second]
        unknown = len(listed) - len(words)
    if len(words) < _LEAST_PAIRS:
        where = "are in both models" if dictionary is None else f"of {dictionary} are known"
        raise VocabularyError(
            f"{len(words)} pairs of words {where}, but at least {_LEAST_PAIRS} are needed; give a "
            "dictionary of words that mean the same."
        )
    ids = np.array([first.vocabulary.ids[a] for a, _ in words])
    targets = first.unit_rows(ids)
    sources = second.unit_rows(np.array([second.vocabulary.ids[b] for _, b in words]))
    rotation = rotation_between(sources, targets)
    held_out, found = _cross_validate(first, ids, sources, targets)
    alignment = Alignment(
        rotation,
        len(words),
        unknown,
        _distance(sources, targets),
        _distance(sources @ rotation, targets),
        held_out,
        found,
    )
    return WordVectors(second.vocabulary, second.matrix @ rotation), alignment


def _distance(one: Array, other: Array) -> float:
    return float(1 - np.einsum("ij,ij->i", one, other).mean())


def _cross_validate(
    first: WordVectors, ids: Array, sources: Array, targets: Array
) -> tuple[float | None, float | None]:
    """Return the mean distance of pairs left out of the fit, and how many are nearest."""
    if len(ids) < _FOLDS:
        return None, None
    folds = np.arange(len(ids)) % _FOLDS
    turned = np.empty_like(sources)
    for fold in range(_FOLDS):
        out = folds == fold
        turned[out] = sources[out] @ rotation_between(sources[~out], targets[~out])
    step = -(-len(ids) // _MAX_QUERIES)
    queries = turned[::step]
    none: list[set[int]] = [set() for _ in queries]
    best = nearest(queries, first.matrix, first.lengths, 1, none)
    return _distance(turned, targets), float((best.ids[:, 0] == ids[::step]).mean())


def read_dictionary(path: Path) -> list[tuple[str, str]]:
    """Read lines of two words, separated by white space.

    Raises
    ------
    VocabularyError
        If the file is missing or no text, or a line has another form.
    """
    text = read_utf8(path, VocabularyError, f"{path}: no such file; expected lines 'word word'.")
    pairs = []
    for number, line in enumerate(text.splitlines(), start=1):
        words = line.split()
        if not words or words[0] == "#":
            continue
        if len(words) != 2:
            raise VocabularyError(
                f"{path}, line {number}: expected two words separated by white space, got {line!r}."
            )
        pairs.append((words[0], words[1]))
    return pairs


def neighbors_across(
    vectors: WordVectors,
    words: Sequence[str],
    others: WordVectors,
    count: int = 10,
    csls: bool = False,
) -> list[Neighbors]:
    """Return the words of another model that are nearest to words of this one.

    Parameters
    ----------
    vectors, others
        Two models in one space, such as slices of a corpus, or a model and one that was aligned.
    words
        Words of `vectors`.
    count
        How many neighbours.
    csls
        Rank them by CSLS, which takes hubs out, instead of by cosine. It compares all words of
        `others` with all of `vectors`.

    Raises
    ------
    VocabularyError
        For an unknown word, or models whose vectors differ in length.
    """
    queries = np.stack([vectors.vector(word) for word in words])
    if queries.shape[1] != others.matrix.shape[1]:
        raise VocabularyError(
            f"the vectors have {queries.shape[1]} and {others.matrix.shape[1]} dimensions; "
            "expected two models in one space, which `embedder align` makes."
        )
    count = min(count, len(others))
    nothing: list[set[int]] = [set() for _ in words]
    if not csls:
        found = nearest(queries, others.matrix, others.lengths, count, nothing)
        ids, scores = found.ids, found.scores
    else:
        scores = _csls(vectors, queries, others)
        ids = np.argsort(-scores, axis=1, kind="stable")[:, :count]
        scores = np.take_along_axis(scores, ids, axis=1)
    names = others.words
    return [
        Neighbors(Neighbor(names[i], float(score)) for i, score in zip(*row, strict=True))
        for row in zip(ids, scores, strict=True)
    ]


def _csls(vectors: WordVectors, queries: Array, others: WordVectors) -> Array:
    """Return the CSLS of each query with each word of another model, (Q, V) float32."""
    scores = np.empty((len(queries), len(others)), np.float32)
    units = queries / np.maximum(np.linalg.norm(queries, axis=1, keepdims=True), 1e-30)

    def visit(start: int, block: Array) -> None:
        scores[:, start : start + len(block)] = 2 * (units @ block.T)

    over_blocks(others.matrix, others.lengths, visit)
    scores -= _closeness(queries, others)[:, None]
    scores -= _closeness(others.matrix, vectors)
    return scores


def _closeness(queries: Array, vectors: WordVectors) -> Array:
    """Return the mean cosine of each query with its k nearest words, (Q,) float32."""
    nothing: list[set[int]] = [set() for _ in queries]
    k = min(CSLS_NEIGHBORS, len(vectors))
    found = nearest(queries, vectors.matrix, vectors.lengths, k, nothing)
    return np.asarray(found.scores.mean(axis=1))
