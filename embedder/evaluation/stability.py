"""How much of words' neighbourhoods stays the same from one training to the next, by frequency.

A conclusion from a word's neighbours is worth no more than their agreement between trainings on
other samples of the text (Antoniak and Mimno 2018; Hellrich and Hahn 2016). It depends on how often
the word occurs, and so the words are divided by their counts.
"""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from embedder.arrays import Array, row_lengths
from embedder.errors import VocabularyError
from embedder.runs.replicate_folder import KINDS, Kind, ReplicateFolder
from embedder.text.vocabulary import Vocabulary
from embedder.vectors.replicates import Replicates
from embedder.vectors.search import nearest
from embedder.vectors.word_vectors import WordVectors

_BOUNDS = (0, 30, 100, 300, 1_000, 10_000)
_WORDS_PER_BAND = 500
_NEIGHBORS = 10


class Agreement(NamedTuple):
    """Of the words in a band, how much of their neighbourhoods two models share on average.

    ``shared``
        The share of the nearest words that are the same; NaN without a word that two models have.
    ``jaccard``
        The mean Jaccard index: of all words that are near in one of two models, the share that is
        so in both.
    """

    shared: float
    jaccard: float


class Band(NamedTuple):
    """Words of about the same frequency.

    ``least``, ``most``
        Their counts; None for no upper limit.
    ``words``
        Their number.
    ``compared``
        How many of them were compared.
    ``agreements``
        By the name of the models compared.
    """

    least: int
    most: int | None
    words: int
    compared: int
    agreements: dict[str, Agreement]

    @property
    def label(self) -> str:
        """Their counts, as text."""
        if self.most is None and self.least == 0:
            return "all"
        if self.most is None:
            return f"{self.least:,} and more"
        return f"{self.least:,} to {self.most:,}" if self.least else f"up to {self.most:,}"


def stability_of_run(run: Path, neighbors: int = _NEIGHBORS) -> list[Band]:
    """Compare the replicates of a run with each other.

    Parameters
    ----------
    run
        A run with two replicates of a kind at least.
    neighbors
        The size of a neighbourhood.

    Returns
    -------
    list of Band
        The most frequent words first, with agreements by the kind of replicate: ``bootstrap``,
        ``seed``.

    Raises
    ------
    RunError
        If the run has no replicates, or a file is damaged.
    VocabularyError
        If there is only one replicate of each kind.
    """
    kinds: list[Kind] = [kind for kind in KINDS if ReplicateFolder(run).replicates(kind)]
    found = [Replicates(run, kind) for kind in kinds] or [Replicates(run)]
    models: dict[str, Replicates] = {own.kind: own for own in found if len(own) > 1}
    if not models:
        raise VocabularyError(
            f"{run}: one replicate of a kind agrees with no other; expected at least two, from: "
            f"embedder train --resume {run} --bootstrap 2"
        )
    return _compare(found[0].vectors.vocabulary, models, neighbors)


def stability_of_models(
    models: Sequence[WordVectors], neighbors: int = _NEIGHBORS, counts: Vocabulary | None = None
) -> list[Band]:
    """Compare models with each other, on the words that all of them have.

    Parameters
    ----------
    models
        At least two, such as trainings with other seeds.
    neighbors
        The size of a neighbourhood, among the words that all models have.
    counts
        How often words occur, and which ones to compare; by default as in the first model. If that
        comes from a file without counts, all words are in one band.

    Returns
    -------
    list of Band
        The most frequent words first, with agreements of ``models``.

    Raises
    ------
    VocabularyError
        If they have fewer than two words in common.
    """
    counts = counts or models[0].vocabulary
    common = [word for word in counts.words if all(word in model for model in models)]
    if len(common) < 2:
        raise VocabularyError("The models have fewer than two words in common.")
    of_words = counts.counts[[counts.ids[word] for word in common]]
    rows = (
        model.matrix[[model.vocabulary.ids[word] for word in common]].astype(np.float32)
        for model in models
    )
    return _compare(Vocabulary(common, of_words), {"models": rows}, neighbors)


def _compare(vocabulary: Vocabulary, models: Mapping[str, Iterable[Array]], k: int) -> list[Band]:
    """Compare the models of each kind, given as matrices (V, D) for the same words."""
    k = min(k, len(vocabulary) - 1)
    bands = _bands(vocabulary.counts)
    some = np.concatenate([chosen for _, _, _, chosen in bands])
    shared = {kind: _shared(matrices, some, k) for kind, matrices in models.items()}
    found = []
    start = 0
    for least, most, words, chosen in bands:
        own = slice(start, start + len(chosen))
        start += len(chosen)
        agreements = {kind: _agreement(counts[:, own], k) for kind, counts in shared.items()}
        found.append(Band(least, most, words, len(chosen), agreements))
    return found


def _bands(counts: Array) -> list[tuple[int, int | None, int, Array]]:
    """Return least and most counts of each band, its number of words, and some words' ids."""
    bounds = _BOUNDS if counts.any() else (0,)
    found = []
    uppers = [*(bound - 1 for bound in bounds[1:]), None]
    for least, most in zip(reversed(bounds), reversed(uppers), strict=True):
        inside = counts >= least if most is None else (counts >= least) & (counts <= most)
        ids = np.flatnonzero(inside)
        if len(ids):
            some = min(len(ids), _WORDS_PER_BAND)
            chosen = ids[np.arange(some) * len(ids) // some]
            found.append((least, most, len(ids), chosen))
    return found


def _shared(matrices: Iterable[Array], some: Array, k: int) -> Array:
    """Return how many of k neighbours each pair of models shares, (pairs, words) float64.

    NaN where one of the two models lacks the word.
    """
    near = []
    for matrix in matrices:
        lengths = row_lengths(matrix).astype(np.float32)
        ids = nearest(matrix[some], matrix, lengths, k, [{int(i)} for i in some]).ids
        there = np.asarray(matrix.any(axis=1))
        ids[~there[ids]] = -1  # words that are not there are near to nothing
        ids[~there[some]] = -2
        near.append(ids)
    pairs = []
    for one, two in itertools.combinations(near, 2):
        same = ((one[:, :, None] == two[:, None, :]) & (one[:, :, None] >= 0)).sum(axis=(1, 2))
        known = (one[:, 0] != -2) & (two[:, 0] != -2)
        pairs.append(np.where(known, same, np.nan))
    return np.array(pairs)


def _agreement(shared: Array, k: int) -> Agreement:
    """Return the mean agreement of pairs of models, given what they share, (pairs, words)."""
    known = shared[~np.isnan(shared)]
    if not len(known):
        return Agreement(np.nan, np.nan)
    return Agreement(float(known.mean() / k), float((known / (2 * k - known)).mean()))
