"""Spectral initialisation: a factorisation of the counts' positive pointwise mutual information.

With b2 = log p(c) the network's logits are log p(c) + h·W2_c, and the log-distribution that it
should learn is log p(c | w) = log p(c) + PMI(w, c). An h and W2 that factorise the PMI matrix (Levy
and Goldberg 2014) therefore approximate the solution before the first step.
"""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from embedder.arrays import Array
from embedder.config import Config
from embedder.examples.cells import Cooccurrences, cells_per_slab, cut_rows, write_rows

if TYPE_CHECKING:
    from embedder.kernels.counts import RowBuffers

_EXTRA_COLUMNS = 20
_POWER_ITERATIONS = 2
_ROWS_PER_PRODUCT = 1 << 14


def factorise_pmi(
    counts: Cooccurrences, words: Array, rank: int, rng: np.random.Generator, matrix: "PmiOptions"
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
    matrix
        How to compute and store the matrix.

    Returns
    -------
    (V, rank) float32, (V, rank) float32
    """
    totals = counts.row_totals()
    return factorise(positive_pmi_matrix(counts, words, totals, matrix), len(totals), rank, rng)


class PmiOptions(NamedTuple):
    """How the positive PMI matrix is computed and stored.

    ``folder``
        Folder for its cells, which are memory-mapped; their files are removed once mapped.
    ``threads``
        How many threads share the work; the result does not depend on it.
    ``memory_limit``
        Maximum bytes of cells not yet on disk; None for no limit.
    """

    folder: Path
    threads: int
    memory_limit: int | None = None


def positive_pmi_matrix(
    counts: Cooccurrences, words: Array, totals: Array, options: PmiOptions
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
    options
        How to compute and store the matrix.
    """
    from embedder.kernels.counts import positive_pmi_rows
    from embedder.kernels.sparse import sparse_times_dense

    shares = np.log(np.maximum(totals, 1e-300) / totals.sum()), totals.sum()
    threads = options.threads

    def fill(first: int, last: int, rows: "RowBuffers") -> None:
        own = counts._replace(offsets=counts.offsets[first : last + 1])
        positive_pmi_rows(tuple(own), words, shares, first, threads, rows)

    slabs = cut_rows(counts.offsets, cells_per_slab(options.memory_limit))
    with TemporaryDirectory(
        prefix="pmi-", dir=options.folder, ignore_cleanup_errors=True
    ) as folder:
        offsets, columns, values = write_rows(counts.offsets, slabs, fill, Path(folder) / "cells")

    def multiply(dense: Array) -> Array:
        out = np.empty_like(dense)
        sparse_times_dense(offsets, columns, values, dense, threads, out)
        return out

    return multiply


class SpectralStart:
    """The factors of the counts' positive PMI matrix, computed when they are first needed.

    Parameters
    ----------
    config
        The run: the sizes of the network, and the seed.
    vocabulary
        V.
    make_pmi
        Returns a function that multiplies by the matrix.
    """

    def __init__(
        self, config: Config, vocabulary: int, make_pmi: Callable[[], Callable[[Array], Array]]
    ) -> None:
        self._vocabulary = vocabulary
        self._rank = max(config.network.dimension, config.network.hidden)
        self._make_pmi = make_pmi
        self._found: tuple[Array, Array] | None = None
        self.rng = np.random.default_rng(config.training.seed)

    def factors(self) -> tuple[Array, Array]:
        """Return the factors, as `factorise_pmi` does."""
        if self._found is None:
            self._found = factorise(self._make_pmi(), self._vocabulary, self._rank, self.rng)
        return self._found

    def release(self) -> None:
        """Release the memory of the factors."""
        self._found = None


def bytes_per_word(rank: int) -> int:
    """Return the memory that factorising takes at most, for each word, in bytes.

    Four arrays of float32 are in use at a time: the product of a basis with the matrix, the basis,
    its orthonormal version, and the one before; or, later, the factors and the directions behind
    them.
    """
    return 4 * 4 * (rank + _EXTRA_COLUMNS)


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
