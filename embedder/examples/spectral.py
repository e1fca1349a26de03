"""Spectral initialisation: a factorisation of the counts' positive pointwise mutual information.

With b2 = log p(c) the network's logits are log p(c) + h·W2_c, and the log-distribution that it
should learn is log p(c | w) = log p(c) + PMI(w, c). An h and W2 that factorise the PMI matrix (Levy
and Goldberg 2014) therefore approximate the solution before the first step.
"""

from collections.abc import Callable

import numpy as np

from embedder.arrays import Array, offsets_from_lengths
from embedder.examples.cooccurrence import Cooccurrences

_EXTRA_COLUMNS = 20
_POWER_ITERATIONS = 2
_ROWS_PER_PRODUCT = 1 << 14


def factorise_pmi(
    counts: Cooccurrences, words: Array, rank: int, rng: np.random.Generator, threads: int
) -> tuple[Array, Array]:
    """Return L and R, nearly the best factors of this rank with L Rᵀ ≈ the positive PMI matrix.

    The matrix is symmetric, so that the randomised range finder with power iterations (Halko,
    Martinsson and Tropp 2011, algorithm 4.4) leads to an eigenproblem of its projection. The
    magnitude of each eigenvalue is split evenly between L and R; its sign goes to R.

    Parameters
    ----------
    counts
        C.
    words : (C,) int64
        The word of every context; the counts summed by word must be symmetric.
    rank
        Columns of L and R; those beyond the vocabulary's size are zero.
    rng
        Draws the test matrix.
    threads
        Number of threads for the sparse products.

    Returns
    -------
    (V, rank) float32, (V, rank) float32
    """
    totals = counts.row_totals()
    return factorise(positive_pmi_matrix(counts, words, totals, threads), len(totals), rank, rng)


def positive_pmi_matrix(
    counts: Cooccurrences, words: Array, totals: Array, threads: int
) -> Callable[[Array], Array]:
    """Return a function that multiplies by the positive PMI matrix (V × V), or some of its columns.

    Parameters
    ----------
    counts
        C, or some of its columns: all contexts of some words.
    words : int64
        The word of every context in `counts`.
    totals : (V,) float64
        n_w of the whole C.
    threads
        Number of threads for the sparse products.
    """
    from embedder.kernels.sparse import positive_pmi, sparse_times_dense

    counts = _fold(counts, words, threads)
    log_shares = np.log(np.maximum(totals, 1e-300) / totals.sum())
    values = np.empty(len(counts.columns), np.float32)
    positive_pmi(*counts, log_shares, totals.sum(), threads, values)

    def multiply(dense: Array) -> Array:
        out = np.empty_like(dense)
        sparse_times_dense(counts.offsets, counts.columns, values, dense, threads, out)
        return out

    return multiply


def factorise(
    multiply: Callable[[Array], Array], vocabulary: int, rank: int, rng: np.random.Generator
) -> tuple[Array, Array]:
    """Return the factors of `factorise_pmi`, given a function that multiplies by the matrix."""
    columns = min(vocabulary, rank + _EXTRA_COLUMNS)
    basis = multiply(rng.standard_normal((vocabulary, columns), np.float32))
    for _ in range(_POWER_ITERATIONS):
        basis = multiply(_orthonormal(basis))
    basis = _orthonormal(basis)
    projection = basis.T @ multiply(basis)
    eigenvalues, eigenvectors = np.linalg.eigh((projection + projection.T) / 2)
    order = np.argsort(-np.abs(eigenvalues))[:rank]
    roots = np.sqrt(np.abs(eigenvalues[order]))
    left = np.zeros((vocabulary, rank), np.float32)
    directions = basis @ eigenvectors[:, order]
    # The sign of an eigenvector depends on rounding; make its largest entry positive.
    largest = np.abs(directions).argmax(axis=0)
    directions *= np.sign(directions[largest, np.arange(len(order))])
    left[:, : len(order)] = directions * roots
    signs = np.ones(rank, np.float32)
    signs[: len(order)] = np.where(eigenvalues[order] < 0, -1, 1)
    return left, left * signs


def _orthonormal(basis: Array) -> Array:
    """Return an orthonormal basis (V, k) of the columns' span, in the input's precision.

    Uses the eigenvectors of the Gram matrix rather than Householder reflections, because matrix
    products use all threads and read the basis only a few times. The second iteration removes the
    rounding errors that small eigenvalues cause in the first (as in CholeskyQR2, Yamamoto et al.
    2015). Directions lost to rounding become zero columns.
    """
    for _ in range(2):
        gram = np.zeros((basis.shape[1],) * 2)
        for start in range(0, len(basis), _ROWS_PER_PRODUCT):
            rows = basis[start : start + _ROWS_PER_PRODUCT].astype(np.float64)
            gram += rows.T @ rows
        eigenvalues, eigenvectors = np.linalg.eigh(gram)
        kept = eigenvalues > len(basis) * np.finfo(np.float64).eps * eigenvalues[-1]
        scales = np.zeros(len(kept))
        scales[kept] = eigenvalues[kept] ** -0.5
        basis = basis @ (eigenvectors * scales).astype(basis.dtype)
    return basis


def _fold(counts: Cooccurrences, words: Array, threads: int) -> Cooccurrences:
    """Return the counts summed by the words of their contexts; columns are not sorted."""
    from embedder.kernels.counts import close_gaps, fold_rows

    offsets, columns, weights = counts
    vocabulary = len(offsets) - 1
    if np.array_equal(words, np.arange(vocabulary)):
        return counts
    folded = np.empty_like(columns), np.empty_like(weights)
    used = np.empty(vocabulary, np.int64)
    fold_rows(offsets, columns, weights, words, threads, *folded, used)
    cells = close_gaps(*folded, offsets, used)
    return Cooccurrences(offsets_from_lengths(used), *(a[:cells] for a in folded))
