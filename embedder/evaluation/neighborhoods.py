"""Words that two models see differently: the overlap of their neighbourhoods.

A simple and stable measure of a change of use (Gonen et al. 2020, "Simple, Interpretable and Stable
Method for Detecting Words with Usage Change across Corpora"): the share of a word's nearest words
that are the same in both models. The spaces need no alignment.
"""

from typing import NamedTuple

import numpy as np

from embedder.arrays import Array
from embedder.vectors.search import nearest
from embedder.vectors.word_vectors import WordVectors

_CANDIDATES = 10_000
_COMPARED = 5_000
_NEIGHBORS = 50


class Overlap(NamedTuple):
    """How much of the neighbourhood of a word is the same in two models.

    ``share``
        Of the word's nearest words, from 0 to 1.
    """

    word: str
    share: float


def neighborhood_overlaps(
    first: WordVectors,
    second: WordVectors,
    compared: int = _COMPARED,
    candidates: int = _CANDIDATES,
    neighbors: int = _NEIGHBORS,
) -> list[Overlap]:
    """Compare the neighbourhoods of the most frequent words that both models have.

    Parameters
    ----------
    first, second
        The models.
    compared
        How many words to compare. Neighbourhoods of rarer words differ by chance, also between two
        trainings on the same text.
    candidates
        Neighbours are sought among this many of the most frequent words of both.
    neighbors
        The size of a neighbourhood.

    Returns
    -------
    list of Overlap
        The least overlap first, then the more frequent word; empty for fewer than two common words.
    """
    common = [word for word in first.words if word in second][:candidates]
    count = min(neighbors, len(common) - 1)
    if count < 1:
        return []
    compared = min(compared, len(common))
    one, two = (_neighborhoods(model, common, compared, count) for model in (first, second))
    shares = [len(set(a) & set(b)) / count for a, b in zip(one.tolist(), two.tolist(), strict=True)]
    order = np.argsort(shares, kind="stable")
    return [Overlap(common[i], shares[i]) for i in order]


def _neighborhoods(model: WordVectors, common: list[str], compared: int, count: int) -> Array:
    """Return the nearest words, as indices into the common ones, (compared, count)."""
    unit = model.unit_rows(np.array([model.vocabulary.ids[word] for word in common]))
    excluded = [{i} for i in range(compared)]
    lengths = np.ones(len(unit), np.float32)
    return nearest(unit[:compared], unit, lengths, count, excluded).ids
