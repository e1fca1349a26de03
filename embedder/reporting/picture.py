"""A map of words as an SVG: one path for each colour and size, and labels that do not collide."""

import unicodedata
from collections.abc import Iterator
from html import escape

import numpy as np

from embedder.arrays import Array
from embedder.reporting.explorer import WordMap

_WIDTH, _HEIGHT, _MARGIN, _TOP = 1400, 900, 30, 54
_MOST_STRETCHED = 1.45
"""Only who is near to whom means something: a map may stretch to fill its frame."""
_SMALLEST, _LARGEST = 3.0, 10.0
_SIZES = 4
_LABEL, _NAME = 13.0, 17.0
_LABELS, _LONGEST = 160, 24
_LETTER = 0.6
"""The width of a letter in font sizes, about; wide letters of East Asia take 1."""
_POINTS = ("#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#a8adb3")
_NAMES = ("#2d5d90", "#b8324a", "#1a6b28", "#776a0b", "#116f91", "#8f2160", "#596068")
"""Paul Tol's "bright" scheme, which the colour-blind can tell apart, and darker shades of it."""

Box = tuple[float, float, float, float]
"""Left, top, right, bottom."""


def map_svg(drawn: WordMap, title: str) -> str:
    """Return a map as the text of an SVG."""
    places = _places(drawn.places.coordinates)
    labels = "\n".join(_labels(drawn, places))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{_HEIGHT}" '
        f'viewBox="0 0 {_WIDTH} {_HEIGHT}">\n'
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#ffffff"/>\n'
        '<g fill="none" stroke-linecap="round" stroke-opacity="0.75">\n'
        + "\n".join(_dots(drawn, places))
        + '\n</g>\n<g font-family="system-ui, DejaVu Sans, sans-serif" stroke="#ffffff" '
        'stroke-width="3" paint-order="stroke" stroke-linejoin="round">\n'
        f'<text x="{_MARGIN}" y="36" font-size="20" font-weight="700" fill="#1b2430">'
        f"{escape(title)}</text>\n{labels}\n</g></svg>\n"
    )


def _places(coordinates: Array) -> Array:
    """Scale a map to the picture, (n, 2)."""
    low, high = coordinates.min(axis=0), coordinates.max(axis=0)
    extent = np.where(high > low, high - low, 1.0)
    room = np.array([_WIDTH - 2 * _MARGIN, _HEIGHT - _TOP - _MARGIN])
    scales = np.minimum(room / extent, (room / extent).min() * _MOST_STRETCHED)
    centre = np.array([_WIDTH / 2, _TOP + room[1] / 2])
    return np.asarray((coordinates - (low + high) / 2) * scales + centre)


def _dots(drawn: WordMap, places: Array) -> Iterator[str]:
    """Yield a path for each size and colour, the largest last; a dot is a line of length 0."""
    n = len(places)
    clusters = drawn.landmarks.clusters
    colours = np.array([cluster.colour for cluster in clusters])[drawn.landmarks.cluster_of]
    rarity = np.log1p(np.arange(n)) / np.log1p(n)
    sizes = np.rint((1 - rarity) * _SIZES).astype(int)
    for size in range(_SIZES + 1):
        width = _SMALLEST + (_LARGEST - _SMALLEST) * size / _SIZES
        for colour, shade in enumerate(_POINTS):
            members = places[(sizes == size) & (colours == colour)]
            if len(members):
                dots = "".join(f"M{x:.1f} {y:.1f}h0" for x, y in members)
                yield f'<path stroke="{shade}" stroke-width="{width:.1f}" d="{dots}"/>'


def _labels(drawn: WordMap, places: Array) -> Iterator[str]:
    """Yield the names of clusters, then the labels of telling words, where there is room."""
    low, high = places.min(axis=0), places.max(axis=0)
    coordinates = drawn.places.coordinates
    least, most = coordinates.min(axis=0), coordinates.max(axis=0)
    extent = np.where(most > least, most - least, 1.0)
    taken: list[Box] = []
    for cluster in drawn.landmarks.clusters:
        x, y = low + (np.array(cluster.place) - least) / extent * (high - low)
        text = " · ".join(map(_shortened, cluster.name[:2]))
        if _take(taken, x - _width(text, _NAME) / 2, y, _width(text, _NAME), _NAME):
            style = f'font-size="{_NAME}" font-weight="700" fill="{_NAMES[cluster.colour]}"'
            yield _text(x, y + _NAME * 0.35, f'{style} text-anchor="middle"', text)
    written = 0
    for i in drawn.landmarks.order:
        (x, y), word = places[i], _shortened(drawn.words[i])
        if _take(taken, x + 6, y, _width(word, _LABEL), _LABEL):
            yield _text(x + 6, y + _LABEL * 0.35, f'font-size="{_LABEL}" fill="#1b2430"', word)
            written += 1
        if written == _LABELS:
            break


def _text(x: float, y: float, style: str, text: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" {style}>{escape(text)}</text>'


def _shortened(word: str) -> str:
    """Return a word without the end that would hide others."""
    return word if len(word) <= _LONGEST else word[: _LONGEST - 1] + "…"


def _width(text: str, size: float) -> float:
    return sum(
        1 if unicodedata.east_asian_width(letter) in "WF" else _LETTER for letter in text
    ) * (size)


def _take(taken: list[Box], left: float, middle: float, width: float, height: float) -> bool:
    """Take a place for a label, unless it is taken or outside."""
    box = (left - 2, middle - height * 0.65, left + width + 2, middle + height * 0.65)
    if box[0] < 0 or box[1] < _TOP - 10 or box[2] > _WIDTH or box[3] > _HEIGHT:
        return False
    for other in taken:
        if box[0] < other[2] and box[2] > other[0] and box[1] < other[3] and box[3] > other[1]:
            return False
    taken.append(box)
    return True
