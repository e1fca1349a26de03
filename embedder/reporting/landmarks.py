"""What stands out on a map: clusters, what they are called, and the words worth a label."""

import warnings
from typing import NamedTuple

import numpy as np

from embedder.arrays import Array, unit_rows
from embedder.vectors.word_vectors import WordVectors

COLOURS = 7
_WORDS_PER_CLUSTER, _FEWEST_CLUSTERS, _MOST_CLUSTERS = 400, 4, 40
_SAMPLE = 10_000
_WORDS_IN_NAME = 3
_CANDIDATES_FOR_NAME = 0.5
"""A cluster is called after words among this share of its most frequent ones."""
_COMMON = 5e-4
"""A word with a larger share of the text than this says little: it is a function word."""
_COMMON_RANKS = 150
"""Words this frequent are taken to be function words where counts are unknown."""
_SHORTEST = 3
_LATIN = 0x250
"""Words of letters below this code are written in the Latin script, where short ones say little."""


class Cluster(NamedTuple):
    """A cluster of words on a map.

    ``name``
        Its most central words, the most central first.
    ``colour``
        An index from 0 to `COLOURS` − 1; clusters that are close on the map differ.
    ``place``
        Where the middle of its words is on the map, (2,).
    ``size``
        How many words of the map it has.
    """

    name: list[str]
    colour: int
    place: tuple[float, float]
    size: int


class Landmarks(NamedTuple):
    """The clusters of a map, and the order in which words deserve a label.

    ``clusters``
        The largest first.
    ``cluster_of``
        (n,) int64, the cluster of each word.
    ``order``
        (n,) int64, word ids; the most telling first.
    """

    clusters: list[Cluster]
    cluster_of: Array
    order: Array


def find_landmarks(vectors: WordVectors, coordinates: Array) -> Landmarks:
    """Cluster the words of a map by k-means of their unit vectors, and rank them.

    A word is the more telling the closer it is to the middle of its cluster and the more frequent
    it is; function words, short words, and numbers come last.

    Parameters
    ----------
    vectors
        The words.
    coordinates : (n, 2)
        Where the n most frequent words are on the map.
    """
    n = len(coordinates)
    unit = vectors.unit_rows(np.arange(n))
    centres, cluster_of = _cluster(unit)
    centrality = (unit * unit_rows(centres)[cluster_of]).sum(axis=1)
    telling = _telling(vectors, n)
    # Frequency counts by its logarithm: Zipf's law makes it fall evenly with the rank's logarithm.
    prominence = np.maximum(centrality, 0) * (1 - 0.8 * np.log1p(np.arange(n)) / np.log1p(n))
    order = np.lexsort((np.arange(n), -prominence, ~telling))
    found = []
    for number in range(len(centres)):
        members = np.flatnonzero(cluster_of == number)
        if len(members):
            found.append((len(members), number, members))
    found.sort(key=lambda each: (-each[0], each[1]))
    places = [np.median(coordinates[members], axis=0) for _, _, members in found]
    colours = _colours(np.array(places))
    clusters = [
        Cluster(
            _name(vectors, members, centrality, telling),
            int(colour),
            (float(place[0]), float(place[1])),
            size,
        )
        for (size, _, members), place, colour in zip(found, places, colours, strict=True)
    ]
    renumbered = np.zeros(len(centres), np.int64)
    renumbered[[number for _, number, _ in found]] = np.arange(len(found))
    return Landmarks(clusters, renumbered[cluster_of], order)


def _cluster(unit: Array) -> tuple[Array, Array]:
    """Return the centres (k, D) and the cluster of each word, (n,)."""
    from scipy.cluster.vq import kmeans2

    n = len(unit)
    wanted = n // _WORDS_PER_CLUSTER
    k = min(n, max(_FEWEST_CLUSTERS, min(_MOST_CLUSTERS, wanted)))
    rng = np.random.default_rng(0)
    sample = unit[rng.choice(n, min(n, _SAMPLE), replace=False)].astype(np.float64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of equal words, which leave clusters empty
        centres, _ = kmeans2(sample, k, iter=30, minit="++", missing="warn", rng=rng)
    centres = centres.astype(np.float32)
    lengths = (centres**2).sum(axis=1)
    return centres, (unit @ centres.T - lengths / 2).argmax(axis=1)


def _telling(vectors: WordVectors, n: int) -> Array:
    """Return which words can stand for others, (n,) bool."""
    counts = vectors.vocabulary.counts
    total = float(counts.sum())
    common = counts[:n] > _COMMON * total if total else np.arange(n) < _COMMON_RANKS
    if common.mean() > 0.5:  # in a small vocabulary, every word is frequent
        common = np.zeros(n, bool)
    wordlike = np.array([_is_wordlike(word) for word in vectors.words[:n]], bool)
    return np.asarray(wordlike & ~common)


def _is_wordlike(word: str) -> bool:
    letters = [letter for letter in word if letter.isalpha()]
    latin = all(ord(letter) < _LATIN for letter in letters)
    return 2 * len(letters) > len(word) and len(letters) >= (_SHORTEST if latin else 1)


def _name(vectors: WordVectors, members: Array, centrality: Array, telling: Array) -> list[str]:
    """Return the most central words among the more frequent ones of a cluster."""
    known = members[telling[members]]
    if len(known) < _WORDS_IN_NAME:
        known = members
    candidates = known[: max(_WORDS_IN_NAME, int(len(known) * _CANDIDATES_FOR_NAME))]
    best = candidates[np.argsort(-centrality[candidates], kind="stable")[:_WORDS_IN_NAME]]
    return [vectors.words[i] for i in best]


def _colours(places: Array) -> Array:
    """Give each cluster the colour whose nearest use on the map is farthest away, (k,) int64."""
    chosen = np.zeros(len(places), np.int64)
    for i in range(len(places)):
        away = np.linalg.norm(places[:i] - places[i], axis=1)
        gaps = [away[chosen[:i] == colour].min(initial=np.inf) for colour in range(COLOURS)]
        chosen[i] = int(np.argmax(gaps)) if i >= COLOURS else i
    return chosen
