import numpy as np

from embedder.text.vocabulary import Vocabulary
from embedder.vectors.neighbors import Neighbors
from embedder.vectors.word_vectors import WordVectors


def test_neighbors_are_a_list(rng):
    vectors = WordVectors(Vocabulary(list("abcd"), np.ones(4)), rng.normal(size=(4, 3)))
    for found in (
        vectors.neighbors("a", 2),
        vectors.neighbors_of(["a"], 2)[0],
        vectors.analogy("a", "b", "c", 1),
        vectors.most_similar("a", topn=2),
        vectors.most_similar_cosmul("a", topn=2),
    ):
        assert isinstance(found, Neighbors)
        assert found == list(found)
        assert repr(found) == repr(list(found))
