"""Tables that notebooks show for vectors and neighbours."""

import html
from collections.abc import Iterable, Sequence

from embedder.arrays import Array

_ROWS_SHOWN = 10
_NUMBERS_SHOWN = 4


def table_of_vectors(caption: str, words: Sequence[str], counts: Array, matrix: Array) -> str:
    """Return the first words with their counts (V,) and the first numbers of their rows (V, D)."""
    rows = "".join(
        f"<tr><td>{html.escape(word)}</td><td>{count:,}</td><td>{_shown(row)}</td></tr>"
        for word, count, row in zip(words[:_ROWS_SHOWN], counts, matrix, strict=False)
    )
    return (
        f"<p>{html.escape(caption)}</p><table><tr><th>word</th><th>count</th>"
        f"<th>vector</th></tr>{rows}</table>"
    )


def table_of_neighbors(neighbors: Iterable[tuple[str, float]]) -> str:
    """Return words and their similarities, with a bar as long as each."""
    rows = "".join(
        f'<tr><td style="text-align:start"><bdi>{html.escape(word)}</bdi></td>'
        f"<td>{similarity:.3f}</td>"
        f'<td style="min-width:12em"><div style="height:.7em;border-radius:.2em;'
        f'background:#4477aa;width:{100 * min(1.0, max(0.0, similarity)):.1f}%"></div>'
        "</td></tr>"
        for word, similarity in neighbors
    )
    return f"<table><tr><th>word</th><th>similarity</th><th></th></tr>{rows}</table>"


def _shown(row: Array) -> str:
    numbers = ", ".join(f"{number:.3f}" for number in row[:_NUMBERS_SHOWN])
    return numbers + (", …" if len(row) > _NUMBERS_SHOWN else "")
