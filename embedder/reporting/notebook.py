"""The explorer in a notebook: `vectors.map()` as the output of a cell."""

import html
from pathlib import Path

from embedder.reporting.explorer import explorer_data, make_map
from embedder.reporting.page import Page, render
from embedder.reporting.projection import Projection
from embedder.reporting.tables import example_words
from embedder.storage import write_atomically
from embedder.vectors.word_vectors import WordVectors

_EXAMPLES = 12


class MapView:
    """A map of words that notebooks display, with search, neighbours and analogies.

    The page is in a frame of its own, which may run the page's scripts and download pictures, and
    nothing else.
    """

    def __init__(self, page: str, words: int, height: int) -> None:
        self._page, self._words, self._height = page, words, height

    def __repr__(self) -> str:
        return f"<MapView of {self._words:,} words; save('map.html') writes the page>"

    def _repr_html_(self) -> str:
        return (
            f'<iframe srcdoc="{html.escape(self._page)}" sandbox="allow-scripts allow-downloads" '
            f'title="Map of words" width="100%" height="{self._height}" style="border:0"></iframe>'
        )

    def save(self, path: str | Path) -> Path:
        """Write the page, a single file that needs no network.

        Raises
        ------
        RunError
            If it cannot be written.
        """
        write_atomically(Path(path), self._page.encode())
        return Path(path)


def view_map(vectors: WordVectors, words: int, projection: Projection, height: int) -> MapView:
    """Return a map of the most frequent words; see `WordVectors.map`."""
    drawn = make_map(vectors, words, projection)
    page = Page(
        title=f"{len(drawn.words):,} words",
        lead="",
        models=[explorer_data("vectors", vectors, drawn, len(drawn.words))],
        examples=example_words(None, vectors)[:_EXAMPLES],
        embedded=True,
    )
    return MapView(render(page), len(drawn.words), height)
