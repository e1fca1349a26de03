"""File formats, checked with the programs that define them."""

import numpy as np
import pytest

from embedder.text.corpus import words_of
from embedder.text.vocabulary import Vocabulary
from embedder.vectors.formats import load, save
from embedder.vectors.sentences import SMOOTHING
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


def test_the_tokenizer_finds_the_same_words_as_ours(vectors, tmp_path):
    tokenizers = pytest.importorskip("tokenizers", reason="tokenizers is not installed")
    text = "L’été, don't 'stop' rock'n'roll col·lecció می‌خواهم 3.14 e\u0301t x''y a\u00adb- 日本。"
    save(vectors, tmp_path / "m", "static-embedding")
    theirs = tokenizers.Tokenizer.from_file(str(tmp_path / "m" / "tokenizer.json"))
    lower = theirs.normalizer.normalize_str(text)
    found = [word for word, _ in theirs.pre_tokenizer.pre_tokenize_str(lower)]
    assert found == words_of(text, "none")
    with_signs = WordVectors(Vocabulary(["a", "!"], np.array([2, 1])), vectors.matrix[:2])
    save(with_signs, tmp_path / "s", "static-embedding")
    theirs = tokenizers.Tokenizer.from_file(str(tmp_path / "s" / "tokenizer.json"))
    assert theirs.encode("a!").tokens == ["a", "!"]


def test_sentence_transformers_encodes_texts_as_means_and_as_we_do(vectors, tmp_path):
    program = pytest.importorskip("sentence_transformers", reason="it is not installed")
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding
    from tokenizers import Tokenizer

    texts = ["KING: don't!", "naïve king, naïve 日本", "a"]
    words = [["king", "don't"], ["naïve", "king", "naïve", "日本"], ["a"]]
    save(vectors, tmp_path / "m", "static-embedding")
    theirs = program.SentenceTransformer(str(tmp_path / "m"), device="cpu")
    expected = [vectors[own].mean(axis=0) for own in words]
    np.testing.assert_allclose(theirs.encode(texts), expected, atol=1e-6)
    np.testing.assert_allclose(theirs.encode("the king"), vectors["king"] / 2, atol=1e-6)

    shares = vectors.vocabulary.counts / vectors.vocabulary.counts.sum()
    rows = vectors.matrix * (SMOOTHING / (SMOOTHING + shares))[:, None]
    tokenizer = Tokenizer.from_file(str(tmp_path / "m" / "tokenizer.json"))
    unknown = np.zeros((1, 8), np.float32)
    module = StaticEmbedding(tokenizer, embedding_weights=np.vstack([rows, unknown]))
    weighted = program.SentenceTransformer(modules=[module], device="cpu")
    weighted.save(str(tmp_path / "t"))
    theirs = program.SentenceTransformer(str(tmp_path / "t"), device="cpu")
    np.testing.assert_allclose(
        theirs.encode(texts), [vectors.sentence(own) for own in words], atol=1e-6
    )
    assert load(tmp_path / "t").words == WORDS


def test_safetensors_reads_saved_vectors(vectors, tmp_path):
    from safetensors.numpy import load_file

    save(vectors, tmp_path / "v.safetensors")
    tensors = load_file(tmp_path / "v.safetensors")
    np.testing.assert_array_equal(tensors["embeddings"], vectors.matrix)
    assert tensors["words"].tobytes().decode().split() == WORDS
