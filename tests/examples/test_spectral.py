import naive
import numpy as np
import pytest

from embedder.examples.cooccurrence import Cooccurrences
from embedder.examples.spectral import factorise_pmi
from embedder.kernels.sparse import positive_pmi, sparse_times_dense


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


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("k", [1, 16, 33])
def test_the_sparse_product_agrees_with_numpy(rng, threads, k):
    dense = symmetric_counts(rng, 37)
    x = rng.normal(size=(37, k)).astype(np.float32)
    out = np.empty_like(x)
    sparse_times_dense(*compressed(dense), x, threads, out)
    np.testing.assert_allclose(out, dense @ x, rtol=1e-4, atol=1e-3)


def test_positive_pmi_agrees_with_numpy(rng):
    dense = symmetric_counts(rng, 29)
    counts = compressed(dense)
    totals = counts.row_totals()
    out = np.empty(len(counts.columns), np.float32)
    positive_pmi(*counts, np.log(totals / totals.sum()), totals.sum(), 2, out)
    expected = naive.positive_pmi(dense)
    np.testing.assert_allclose(out, expected[np.nonzero(dense)], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("rank", [1, 4, 60])
def test_the_factors_are_nearly_optimal_for_their_rank(rng, rank):
    dense = symmetric_counts(rng, 50)
    left, right = factorise_pmi(compressed(dense), np.arange(50), rank, rng, 2)
    assert left.shape == right.shape == (50, rank)
    pmi = naive.positive_pmi(dense)
    best = np.linalg.svd(pmi, compute_uv=False)
    error = np.linalg.norm(pmi - left @ right.T)
    assert error <= 1.02 * np.sqrt((best[rank:] ** 2).sum()) + 1e-3


def test_position_specific_contexts_are_summed_by_word(rng):
    dense = symmetric_counts(rng, 50)
    before, after = np.floor(dense[:, :20] / 3), np.floor(dense[:, :20] / 4)
    rest = dense.copy()
    rest[:, :20] -= before + after
    split = np.hstack([rest, before, after])
    words = np.r_[np.arange(50), np.arange(20), np.arange(20)]
    whole = factorise_pmi(compressed(dense), np.arange(50), 4, np.random.default_rng(1), 2)
    found = factorise_pmi(compressed(split), words, 4, np.random.default_rng(1), 2)
    np.testing.assert_allclose(found[0] @ found[1].T, whole[0] @ whole[1].T, rtol=1e-3, atol=1e-3)
