"""Words in the plane: UMAP or t-SNE where they are installed, a layout of the neighbour graph, PCA.

All start from the principal components or from places that are given, which keeps far groups apart
in a meaningful way (Kobak and Linderman 2021) and makes the maps of two models comparable.
"""

import warnings
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from scipy import sparse

from embedder.arrays import Array
from embedder.errors import EmbedderError
from embedder.vectors.search import nearest
from embedder.vectors.word_vectors import WordVectors

Projection = Literal["graph", "umap", "tsne", "pca"]
PROJECTIONS: tuple[Projection, ...] = get_args(Projection)
_NEIGHBORS = 15
_NEGATIVES = 10
_REPULSION = 7.0
"""LargeVis's; with 1, as in UMAP, half as many of a word's nearest words stay near it."""
_EPOCHS_OF_FEW, _EPOCHS_OF_MANY, _MANY = 500, 200, 10_000
_START_SPREAD = 20.0
_BISECTIONS = 40
_PACKAGES = {"umap": ("umap", "umap-learn"), "tsne": ("openTSNE", "openTSNE")}


class Places(NamedTuple):
    """Where words are on a map.

    ``coordinates``
        (n, 2) float64.
    ``about``
        A sentence about the projection.
    """

    coordinates: Array
    about: str


def place_words(
    vectors: WordVectors, count: int, projection: Projection = "graph", start: Array | None = None
) -> Places:
    """Place the most frequent words in the plane.

    Parameters
    ----------
    vectors
        The words.
    count
        How many of them.
    projection
        `graph` lays out the graph of each word's 15 nearest words; `umap` and `tsne` need their
        packages.
    start : (count, 2) float, optional
        Where words start, for all projections but PCA; by default the first principal components.

    Raises
    ------
    EmbedderError
        If the projection's package is not installed.
    """
    check_installed(projection)
    unit = vectors.unit_rows(np.arange(count))
    components, share = _principal_components(unit)
    if projection == "pca" or count <= 3:
        about = f"The first two principal components of the unit vectors ({share:.0%} of the "
        return Places(components, about + "variance).")
    begun = _spread(components) if start is None else start.copy()
    found, about = _laid_out(unit, projection, begun)
    # Lying down, a map fills a page best; one that starts like another is turned like that one.
    return Places(_lying(found) if start is None else _turned(found, start), about)


def start_like(
    vectors: WordVectors, count: int, words: Sequence[str], coordinates: Array
) -> Array | None:
    """Return where words start so that a map is like that of other vectors.

    A word that the other map lacks starts at the word most similar to it; None if the maps have no
    word in common.

    Parameters
    ----------
    vectors
        The words to place.
    count
        How many of the most frequent ones.
    words, coordinates : (n, 2)
        The words of the other map, and their places.

    Returns
    -------
    (count, 2) float64 or None
    """
    places = dict(zip(words, coordinates, strict=True))
    known = np.array([i for i, word in enumerate(vectors.words[:count]) if word in places], int)
    if not len(known):
        return None
    start = np.zeros((count, 2))
    start[known] = [places[vectors.words[i]] for i in known]
    others = np.setdiff1d(np.arange(count), known)
    if len(others):
        unit, rows = vectors.unit_rows(known), vectors.unit_rows(others)
        found = nearest(rows, unit, np.ones(len(unit), np.float32), 1, [set() for _ in others])
        start[others] = start[known[found.ids[:, 0]]]
    return start


def check_installed(projection: Projection) -> None:
    """Raise an `EmbedderError` if the package of a projection is not installed."""
    module, package = _PACKAGES.get(projection, ("numpy", ""))
    if find_spec(module) is None:
        raise EmbedderError(
            f"--map {projection} needs {package}; run: pip install 'exact-embedder[maps]'."
        )


def _principal_components(unit: Array) -> tuple[Array, float]:
    """Return the first two components, (n, 2), and their share of the variance."""
    centred = unit - unit.mean(axis=0)
    _, directions = np.linalg.eigh(centred.T @ centred)  # D × D: cheap for many words
    found = np.zeros((len(unit), 2))
    found[:, : directions.shape[1]] = centred @ directions[:, ::-1][:, :2]
    # The sign of an eigenvector is arbitrary; that of its largest entry decides it.
    largest = np.abs(directions[:, ::-1][:, :2]).argmax(axis=0)
    found[:, : len(largest)] *= np.sign(directions[:, ::-1][largest, np.arange(len(largest))])
    total = float((centred.astype(np.float64) ** 2).sum())
    return found, float((found**2).sum()) / total if total else 1.0


def _laid_out(unit: Array, projection: Projection, start: Array) -> tuple[Array, str]:
    if projection == "umap":
        return _umap(unit, start), "UMAP of the unit vectors (cosine distance)."
    if projection == "tsne":
        return _tsne(unit, start), "t-SNE of the unit vectors (openTSNE, cosine distance)."
    from embedder.kernels.layout import lay_out

    edges, periods = _neighbor_graph(unit)
    lay_out(start, edges, periods, _epochs(len(unit)), _NEGATIVES, _REPULSION, 0)
    about = f"A layout of the graph that joins each word with its {_NEIGHBORS} nearest words"
    return start, about + ", by the objective of LargeVis."


def _epochs(count: int) -> int:
    return _EPOCHS_OF_MANY if count > _MANY else _EPOCHS_OF_FEW


def _lying(coordinates: Array) -> Array:
    """Turn a map so that it is widest from left to right."""
    centred = coordinates - coordinates.mean(axis=0)
    _, axes = np.linalg.eigh(centred.T @ centred)
    return np.asarray(centred @ axes[:, ::-1])


def _turned(coordinates: Array, like: Array) -> Array:
    """Turn or mirror a map so that points are as close as can be to where others are."""
    centred, wanted = (each - each.mean(axis=0) for each in (coordinates, like))
    left, _, right = np.linalg.svd(centred.T @ wanted)  # orthogonal Procrustes (Schönemann 1966)
    return np.asarray(centred @ left @ right)


def _spread(start: Array) -> Array:
    largest = float(np.abs(start).max())
    return np.array(start, np.float64) * (_START_SPREAD / largest if largest else 1.0)


def _neighbor_graph(unit: Array) -> tuple[Array, Array]:
    """Return the edges (m, 2) int32 to near words and their periods (m,); see `lay_out`.

    The weights are UMAP's: exp(−(d − d₁)/σ) for a distance d, the least one d₁ of a word and a σ
    that makes the weights of its k neighbours sum to log₂ k; in both directions w + w' − w w'.
    """
    n = len(unit)
    k = min(_NEIGHBORS, n - 1)
    found = nearest(unit, unit, np.ones(n, np.float32), k, [{i} for i in range(n)])
    distances = 1.0 - found.scores.astype(np.float64)
    distances -= distances[:, :1]
    low, high = np.zeros((n, 1)), np.full((n, 1), 4.0)
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        too_many = np.exp(-distances / middle).sum(axis=1, keepdims=True) > np.log2(max(k, 2))
        low, high = np.where(too_many, low, middle), np.where(too_many, middle, high)
    weights = np.exp(-distances / ((low + high) / 2))
    rows = np.repeat(np.arange(n), k)
    graph = sparse.csr_array((weights.ravel(), (rows, found.ids.ravel())), shape=(n, n))
    both = graph.multiply(graph.T)
    joined = sparse.coo_array(graph + graph.T - both)
    periods = joined.data.max() / np.maximum(joined.data, 1e-12)
    kept = periods <= _epochs(n)  # the others would never take a step
    edges = np.column_stack([joined.row[kept], joined.col[kept]]).astype(np.int32)
    return edges, np.asarray(periods[kept])


def _umap(unit: Array, start: Array) -> Array:
    from umap import UMAP

    reducer = UMAP(
        metric="cosine",
        n_neighbors=min(_NEIGHBORS, len(unit) - 1),
        init=_spread(start).astype(np.float32),
        n_epochs=_EPOCHS_OF_MANY,
        random_state=0,
        n_jobs=1,
    )
    return np.asarray(reducer.fit_transform(unit), np.float64)


def _tsne(unit: Array, start: Array) -> Array:
    from openTSNE import TSNE

    perplexity = min(30.0, max(1.0, (len(unit) - 1) / 3))
    start = start / (start.std(axis=0).max() or 1.0) * 1e-4  # as Kobak and Berens (2019)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        settings: dict[str, Any] = {"metric": "cosine", "random_state": 0, "n_jobs": 2}
        found = TSNE(perplexity=perplexity, initialization=start, **settings).fit(unit)
    return np.asarray(found, np.float64)
