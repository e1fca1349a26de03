"""What a search for near words finds, and what a network expects."""

import html
from typing import NamedTuple


class Neighbor(NamedTuple):
    """A word and its cosine similarity to the query."""

    word: str
    similarity: float


class Expected(NamedTuple):
    """A word and its probability beside another one."""

    word: str
    probability: float


class Neighbors(list[Neighbor]):
    """A list of neighbours, the most similar first, which notebooks show with bars."""

    def _repr_html_(self) -> str:
        """Return a table with a bar as long as each similarity."""
        rows = "".join(
            f'<tr><td style="text-align:start"><bdi>{html.escape(near.word)}</bdi></td>'
            f"<td>{near.similarity:.3f}</td>"
            f'<td style="min-width:12em"><div style="height:.7em;border-radius:.2em;'
            f'background:#4477aa;width:{100 * min(1.0, max(0.0, near.similarity)):.1f}%"></div>'
            "</td></tr>"
            for near in self
        )
        return f"<table><tr><th>word</th><th>similarity</th><th></th></tr>{rows}</table>"
