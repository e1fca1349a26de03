"""File formats, checked with the programs that define them."""

import numpy as np
import pytest

from embedder.text.vocabulary import Vocabulary
from embedder.vectors.formats import load, save
from embedder.vectors.word_vectors import WordVectors

WORDS = ["king", "don't", "naïve", "日本", "a"]


@pytest.fixture
def vectors(rng):
    return WordVectors(
        Vocabulary(WORDS, np.arange(5, 0, -1)), rng.normal(size=(5, 8)).astype(np.float32)
    )


def test_files_are_exchanged_with_finalfusion(vectors, tmp_path):
    finalfusion = pytest.importorskip("finalfusion", reason="finalfusion is not installed")
    save(vectors, tmp_path / "v.fifu")
    theirs = finalfusion.load_finalfusion(str(tmp_path / "v.fifu"))
    assert theirs.vocab.words == WORDS
    for word in WORDS:
        found, norm = theirs.embedding_with_norm(word)
        np.testing.assert_allclose(found * norm, vectors[word], rtol=3e-7)
        near = [(item.word, item.similarity) for item in theirs.word_similarity(word, k=2)]
        ours = vectors.neighbors(word, 2)
        assert [name for name, _ in near] == [item.word for item in ours]
        np.testing.assert_allclose([s for _, s in near], [n.similarity for n in ours], rtol=1e-5)
    theirs.write(str(tmp_path / "t.fifu"))
    again = load(tmp_path / "t.fifu")
    assert again.vocabulary.words == WORDS
    np.testing.assert_allclose(again.matrix, vectors.matrix, rtol=3e-7)


def test_model2vec_encodes_words_as_their_vectors(vectors, tmp_path):
    model2vec = pytest.importorskip("model2vec", reason="model2vec is not installed")
    save(vectors, tmp_path / "m", "static-embedding")
    theirs = model2vec.StaticModel.from_pretrained(str(tmp_path / "m"))
    for word in WORDS:
        np.testing.assert_array_equal(theirs.encode(word), vectors[word])
    expected = (vectors["king"] + vectors["don't"]) / 2
    np.testing.assert_allclose(theirs.encode("The KING: don't!"), expected, rtol=1e-6)
    theirs.save_pretrained(str(tmp_path / "t"))
    again = load(tmp_path / "t")
    assert again.vocabulary.words == WORDS
    np.testing.assert_array_equal(again.matrix, vectors.matrix)


def test_safetensors_reads_saved_vectors(vectors, tmp_path):
    from safetensors.numpy import load_file

    save(vectors, tmp_path / "v.safetensors")
    tensors = load_file(tmp_path / "v.safetensors")
    np.testing.assert_array_equal(tensors["embeddings"], vectors.matrix)
    assert tensors["words"].tobytes().decode().split() == WORDS
