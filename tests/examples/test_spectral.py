import naive
import numpy as np
import pytest

from embedder.examples import cells, spectral
from embedder.examples.cells import Cooccurrences
from embedder.examples.spectral import (
    PmiOptions,
    factorise_pmi,
    multiplication,
    positive_pmi,
    positive_pmi_cells,
)
from embedder.kernels.sparse import sparse_times_dense
from embedder.kernels.threads import kernel_threads


def symmetric_counts(rng, V):
    """Return counts with a strong structure of rank 3, and noise."""
    base = rng.random((V, 3)) @ rng.random((3, V)) * 20
    counts = np.floor(base + base.T) * (rng.random((V, V)) < 0.7)
    counts = np.maximum(counts, counts.T)
    counts[0, 1] = counts[1, 0] = 5.0
    return counts


def compressed(dense):
    rows, columns = np.nonzero(dense)
    offsets = np.r_[0, np.cumsum(np.bincount(rows, minlength=len(dense)))]
    return Cooccurrences(offsets, columns.astype(np.int32), dense[rows, columns].astype(np.float32))


def product(factors):
    return factors.left * factors.signs @ factors.left.T


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("k", [1, 16, 33])
def test_the_sparse_product_agrees_with_numpy(rng, threads, k):
    dense = symmetric_counts(rng, 37)
    x = rng.normal(size=(37, k)).astype(np.float32)
    out = np.empty_like(x)
    with kernel_threads(threads):
        sparse_times_dense(*compressed(dense), x, out)
    np.testing.assert_allclose(out, dense @ x, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("slab", [1, 7, 1000])
def test_the_matrix_is_the_positive_pmi(rng, tmp_path, monkeypatch, slab):
    monkeypatch.setattr(cells, "CELLS_PER_SLAB", slab)
    dense = symmetric_counts(rng, 29)
    counts = compressed(dense)
    options = PmiOptions(tmp_path)
    found = positive_pmi_cells(counts, np.arange(29), counts.row_totals(), options)
    found = multiplication(found)(np.eye(29, dtype=np.float32))
    np.testing.assert_allclose(found, naive.positive_pmi(dense), rtol=1e-4, atol=1e-6)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("rank", [1, 4, 60])
def test_the_factors_are_nearly_optimal_for_their_rank(rng, tmp_path, rank):
    dense = symmetric_counts(rng, 50)
    options = PmiOptions(tmp_path)
    left, signs = factorise_pmi(compressed(dense), np.arange(50), rank, rng, options)
    assert left.shape == (50, rank)
    assert set(np.abs(signs)) == {1.0}
    pmi = naive.positive_pmi(dense)
    best = np.linalg.svd(pmi, compute_uv=False)
    error = np.linalg.norm(pmi - left * signs @ left.T)
    assert error <= 1.02 * np.sqrt((best[rank:] ** 2).sum()) + 1e-3


def test_position_specific_contexts_are_summed_by_word(rng, tmp_path):
    dense = symmetric_counts(rng, 50)
    before, after = np.floor(dense[:, :20] / 3), np.floor(dense[:, :20] / 4)
    rest = dense.copy()
    rest[:, :20] -= before + after
    split = np.hstack([rest, before, after])
    words = np.r_[np.arange(50), np.arange(20), np.arange(20)]
    options = PmiOptions(tmp_path)
    whole = factorise_pmi(compressed(dense), np.arange(50), 4, np.random.default_rng(1), options)
    found = factorise_pmi(compressed(split), words, 4, np.random.default_rng(1), options)
    np.testing.assert_allclose(product(found), product(whole), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("frequent", [1, 20, 49])
def test_rare_words_are_projected_onto_the_directions_of_frequent_ones(
    rng, tmp_path, monkeypatch, frequent
):
    dense = symmetric_counts(rng, 50)
    dense[0, 0] = 1000.0  # so that the block of one word is not zero
    whole = naive.positive_pmi(dense)
    monkeypatch.setattr(spectral, "FREQUENT", frequent)
    left, signs = factorise_pmi(compressed(dense), np.arange(50), 60, rng, PmiOptions(tmp_path))
    assert left.shape == (50, 60)
    # With all directions of the block, the rows of all words with its columns are exact.
    values, vectors = np.linalg.eigh(whole[:frequent, :frequent])
    kept = vectors[:, np.abs(values) > 1e-5 * np.abs(values).max()]
    expected = whole[:, :frequent] @ kept @ kept.T
    np.testing.assert_allclose(left * signs @ left[:frequent].T, expected, rtol=1e-3, atol=5e-3)


def test_words_are_multiplied_in_two_parts(rng, tmp_path, monkeypatch):
    monkeypatch.setattr(spectral, "FREQUENT", 11)
    dense = symmetric_counts(rng, 29)
    counts = compressed(dense)
    frequent, multiply, multiply_others = positive_pmi(counts, np.arange(29), PmiOptions(tmp_path))
    found = np.vstack([multiply(np.eye(11, dtype="f4")), multiply_others(np.eye(11, dtype="f4"))])
    assert frequent == 11
    np.testing.assert_allclose(found, naive.positive_pmi(dense)[:, :11], rtol=1e-4, atol=1e-6)
