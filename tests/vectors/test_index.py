import numpy as np
import pytest

from embedder.errors import FormatError, VocabularyError
from embedder.text.vocabulary import Vocabulary
from embedder.vectors.index import ApproximateIndex
from embedder.vectors.word_vectors import WordVectors

pytest.importorskip("usearch", reason="usearch is not installed")


@pytest.fixture
def vectors(rng):
    words = [f"w{i}" for i in range(2000)]
    return WordVectors(Vocabulary(words, np.ones(2000)), rng.normal(size=(2000, 16)).astype("f4"))


def test_an_index_finds_nearly_all_neighbours_and_loads_unchanged(vectors, tmp_path):
    built = ApproximateIndex.build(vectors)
    assert built.recall() > 0.95
    built.save(tmp_path / "i.usearch")
    loaded = ApproximateIndex.load(tmp_path / "i.usearch", vectors)
    # The index is built on several threads, so which neighbours it misses differs between builds.
    sought = ["w1", "w5"]
    assert built.neighbors_of(sought, 4) == loaded.neighbors_of(sought, 4)
    for found, exact in zip(
        loaded.neighbors_of(sought, 4), vectors.neighbors_of(sought, 200), strict=True
    ):
        similarities = {neighbor.word: neighbor.similarity for neighbor in exact}
        for neighbor in found:
            assert neighbor.similarity == pytest.approx(similarities[neighbor.word], abs=1e-5)
    with pytest.raises(VocabularyError, match="nil"):
        loaded.neighbors_of(["nil"])


def test_files_that_do_not_index_these_vectors_are_rejected(vectors, tmp_path):
    ApproximateIndex.build(vectors).save(tmp_path / "i.usearch")
    other = WordVectors(Vocabulary(["a", "b"], np.ones(2)), np.ones((2, 16), np.float32))
    with pytest.raises(FormatError, match=r"expected the shape of these vectors, \(2, 16\)"):
        ApproximateIndex.load(tmp_path / "i.usearch", other)
    (tmp_path / "text").write_text("no index\n" * 50)
    with pytest.raises(FormatError, match=r"text: (not a usearch index|index of shape)"):
        ApproximateIndex.load(tmp_path / "text", vectors)
