"""What the page's explorer knows of a model: words, counts, rounded vectors and the map."""

import base64
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from embedder.arrays import Array
from embedder.reporting.landmarks import Landmarks, find_landmarks
from embedder.reporting.projection import Places, Projection, place_words, start_like
from embedder.vectors.rounding import int8_codes
from embedder.vectors.word_vectors import WordVectors

LARGEST_PAGE = 15_000_000
"""Bytes that the words of all models may take in a page, unless their number is given."""
_BYTES_PER_WORD = 24
"""A word and its count as JSON, about."""
_STEPS = 65_535


class WordMap(NamedTuple):
    """A map of the most frequent words of a model."""

    words: list[str]
    places: Places
    landmarks: Landmarks


def make_map(
    vectors: WordVectors, count: int, projection: Projection, like: WordMap | None = None
) -> WordMap:
    """Place the `count` most frequent words, and find what stands out.

    A map that is made `like` another starts with the words that both have in the same places.

    Raises
    ------
    EmbedderError
        If the projection's package is not installed.
    """
    count = min(count, len(vectors))
    start = None
    if like is not None:
        start = start_like(vectors, count, like.words, like.places.coordinates)
    places = place_words(vectors, count, projection, start)
    return WordMap(vectors.words[:count], places, find_landmarks(vectors, places.coordinates))


def words_that_fit(models: Sequence[WordVectors]) -> int:
    """Return how many of the most frequent words of each model fit in a page."""
    bytes_per_word = sum(4 * each.matrix.shape[1] / 3 + _BYTES_PER_WORD for each in models)
    return max(1, int(LARGEST_PAGE * 0.9 / bytes_per_word))


def explorer_data(name: str, vectors: WordVectors, drawn: WordMap, count: int) -> dict[str, Any]:
    """Return a model as JSON-compatible values; page/model.js reads them.

    Parameters
    ----------
    name
        What the page calls the model.
    vectors
        The model.
    drawn
        Its map.
    count
        Number of the most frequent words to include, at least those of the map. Vectors are scaled
        to length 1 and rounded to 8 bits with a scale per dimension.
    """
    count = min(len(vectors), max(count, len(drawn.words)))
    codes, scales = int8_codes(vectors.unit_rows(np.arange(count)))
    counts = vectors.vocabulary.counts
    known = bool(counts.any())
    return {
        "name": name,
        "total": len(vectors),
        "words": vectors.words[:count],
        "counts": counts[:count].tolist() if known else None,
        "tokens": int(counts.sum()) if known else None,
        "codes": _encoded(codes),
        "scales": [float(f"{scale:.6g}") for scale in scales],
        "map": _map_data(drawn),
    }


def _map_data(drawn: WordMap) -> dict[str, Any]:
    coordinates = drawn.places.coordinates
    low, high = coordinates.min(axis=0), coordinates.max(axis=0)
    extent = float((high - low).max()) or 1.0
    # One scale for both directions, and the shorter one in the middle.
    offset = low - (extent - (high - low)) / 2
    scaled = (coordinates - offset) / extent
    clusters = [
        {
            "name": cluster.name,
            "colour": cluster.colour,
            "size": cluster.size,
            "place": [round(float(x), 4) for x in (np.array(cluster.place) - offset) / extent],
        }
        for cluster in drawn.landmarks.clusters
    ]
    return {
        "about": drawn.places.about,
        "count": len(coordinates),
        "places": _encoded(np.rint(scaled * _STEPS).astype("<u2")),
        "clusters": clusters,
        "cluster_of": _encoded(drawn.landmarks.cluster_of.astype("u1")),
        "order": _encoded(drawn.landmarks.order.astype("<u4")),
    }


def _encoded(array: Array) -> str:
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode("ascii")
