import numpy as np
import pytest

from embedder.errors import FormatError
from embedder.text.vocabulary import Vocabulary
from embedder.vectors.postprocessing import postprocess
from embedder.vectors.rounding import int8_codes, rounded, rounding_loss
from embedder.vectors.word_vectors import WordVectors


@pytest.fixture
def vectors(rng):
    matrix = rng.normal(size=(500, 20)) + 3 * rng.normal(size=(500, 1)) * rng.normal(size=20) + 1
    words = [f"w{i}" for i in range(500)]
    return WordVectors(Vocabulary(words, np.ones(500)), matrix.astype(np.float32))


def test_normalised_vectors_have_length_one(vectors):
    matrix = postprocess(vectors, ["normalise"]).matrix
    np.testing.assert_allclose(np.linalg.norm(matrix, axis=1), 1, rtol=1e-6)
    np.testing.assert_array_equal(matrix, postprocess(vectors, ["normalize"]).matrix)


def test_centred_vectors_have_zero_mean(vectors):
    np.testing.assert_allclose(postprocess(vectors, ["centre"]).matrix.mean(axis=0), 0, atol=1e-6)


@pytest.mark.parametrize("count", [1, 3])
def test_the_removed_directions_are_the_top_singular_vectors(vectors, count):
    found = postprocess(vectors, [f"all-but-the-top={count}"]).matrix
    centred = vectors.matrix.astype(float) - vectors.matrix.mean(axis=0, dtype=float)
    _, _, directions = np.linalg.svd(centred, full_matrices=False)
    top = directions[:count]
    np.testing.assert_allclose(found, centred - centred @ top.T @ top, atol=1e-4)


def test_tempering_shortens_the_longest_axes_relative_to_the_others(vectors):
    found = postprocess(vectors, ["temper"]).matrix
    left, lengths, right = np.linalg.svd(vectors.matrix.astype(float), full_matrices=False)
    tempered = lengths * (lengths / lengths[0]) ** -0.25
    np.testing.assert_allclose(found, (left * tempered) @ right, atol=1e-4)


def test_reduced_vectors_are_the_best_approximation_of_their_dimension(vectors):
    found = postprocess(vectors, ["reduce=5"]).matrix
    left, lengths, _ = np.linalg.svd(vectors.matrix.astype(float), full_matrices=False)
    best = (left * lengths)[:, :5]
    assert found.shape == (500, 5)
    np.testing.assert_allclose(found @ found.T, best @ best.T, atol=1e-3)
    every = postprocess(vectors, ["reduce=20"]).matrix
    np.testing.assert_allclose(every @ every.T, vectors.matrix @ vectors.matrix.T, atol=1e-3)


def test_steps_apply_in_order_and_leave_the_original_unchanged(vectors):
    before = vectors.matrix.copy()
    last_centred = postprocess(vectors, ["normalise", "centre"]).matrix
    last_normal = postprocess(vectors, ["centre", "normalise"]).matrix
    np.testing.assert_allclose(last_centred.mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(last_normal, axis=1), 1, rtol=1e-6)
    np.testing.assert_array_equal(vectors.matrix, before)
    assert postprocess(vectors, []) is vectors


@pytest.mark.parametrize(
    "step",
    ["whiten", "centre=2", "all-but-the-top=x", "all-but-the-top=21", "reduce", "reduce=0"],
)
def test_unknown_steps_raise_errors(vectors, step):
    with pytest.raises(FormatError, match=f"{step}: .*expected"):
        postprocess(vectors, [step])


def test_int8_is_within_half_a_scale(vectors):
    codes, scales = int8_codes(vectors.matrix)
    assert codes.dtype == np.int8
    assert np.abs(codes.astype(int)).max() == 127
    assert (np.abs(codes * scales - vectors.matrix) <= 0.5001 * scales).all()
    zeros = int8_codes(np.zeros((3, 2), np.float32))
    assert not zeros[0].any()


def test_rounding_loses_little_but_more_with_fewer_bits(vectors):
    half, eight = (rounding_loss(vectors, rounded(vectors, d)) for d in ("float16", "int8"))
    assert 0.999 < eight.cosine < half.cosine <= 1.00001
    assert 0.8 < eight.neighbors < half.neighbors <= 1
    assert rounded(vectors, "float32") is vectors


def test_numbers_too_large_for_float16_raise_an_error():
    vectors = WordVectors(Vocabulary(["a"], np.ones(1)), np.full((1, 2), 1e6, np.float32))
    with pytest.raises(FormatError, match="normalise the vectors first"):
        rounded(vectors, "float16")


def test_spelling_mixes_in_what_ngrams_predict(vectors):
    for step, weight in (("spelling", 0.5), ("spelling=2", 2)):
        found = postprocess(vectors, [step])
        np.testing.assert_array_equal(found.matrix, vectors.with_subwords(mix=weight).matrix)
    assert not np.array_equal(found.matrix, vectors.matrix)
    for step in ("spelling=0", "spelling=x", "spelling=-1", "spelling=nan", "spelling=inf"):
        with pytest.raises(FormatError, match=f"{step}: expected a positive weight"):
            postprocess(vectors, [step])
