"""What a search for near words finds, and what a network expects."""

from typing import NamedTuple

from embedder.vectors.html_tables import table_of_neighbors


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
        return table_of_neighbors(self)
