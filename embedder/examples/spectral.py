"""Spectral initialisation: a factorisation of the counts' positive pointwise mutual information.

With b2 = log p(c) the network's logits are log p(c) + h·W2_c, and the log-distribution that it
should learn is log p(c | w) = log p(c) + PMI(w, c). An h and W2 that factorise the PMI matrix (Levy
and Goldberg 2014) therefore approximate the solution before the first step.

Only the block of the most frequent words is factorised, U Λ Uᵀ; the others' rows are projected onto
its directions, as new rows are in latent semantic indexing (Deerwester et al. 1990). Time and
memory for the factorisation then do not grow with the vocabulary, and each cell of a rare word is
read once.
"""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from embedder.arrays import Array
from embedder.config import Config
from embedder.examples.cells import Cooccurrences, cells_per_slab, cut_rows, fill_rows, store_rows
from embedder.network.parameters import Factors

if TYPE_CHECKING:
    from embedder.kernels.counts import RowBuffers

FREQUENT = 60_000
"""How many words, the most frequent ones, are factorised."""
_EXTRA_COLUMNS = 20
_POWER_ITERATIONS = 2
_ROWS_PER_PRODUCT = 1 << 14
_SMALLEST_EIGENVALUE = 1e-6
"""Relative to the largest; rows are not projected onto directions with smaller ones."""


class PositivePmi(NamedTuple):
    """The positive PMI of all words (V) with the R most frequent ones, as products.

    ``frequent``
        R.
    ``multiply``
        Returns the product of the R frequent rows with a matrix (R, k).
    ``multiply_others``
        Returns that of the other V − R rows; None if there are none.
    """

    frequent: int
    multiply: Callable[[Array], Array]
    multiply_others: Callable[[Array], Array] | None = None


class PmiOptions(NamedTuple):
    """How the positive PMI matrix is computed and stored.

    ``folder``
        Folder for its cells, which are memory-mapped; their files are removed once mapped. None to
        keep the cells in memory.
    ``memory_limit``
        Maximum bytes of cells not yet on disk; None for no limit.
    """

    folder: Path | None
    memory_limit: int | None = None


def factorise_pmi(
    counts: Cooccurrences, words: Array, rank: int, rng: np.random.Generator, options: PmiOptions
) -> Factors:
    """Return nearly the best factors of this rank of the counts' positive PMI matrix.

    Parameters
    ----------
    counts
        C.
    words : (C,) int64
        The word of every context; the counts summed by word must be symmetric.
    rank
        The number of directions; those beyond the vocabulary's size are zero.
    rng
        Draws the test matrix.
    options
        How to compute and store the matrix.
    """
    return factorise(positive_pmi(counts, words, options), rank, rng)


def positive_pmi(counts: Cooccurrences, words: Array, options: PmiOptions) -> PositivePmi:
    """Return the positive PMI of all words with the most frequent ones; see `factorise_pmi`."""
    totals = counts.row_totals()
    V = len(totals)
    R = min(V, FREQUENT)
    cells = positive_pmi_cells(counts, np.where(words < R, words, -1), totals, options)

    def times(first: int, last: int) -> Callable[[Array], Array]:
        return multiplication(cells._replace(offsets=cells.offsets[first : last + 1]))

    return PositivePmi(R, times(0, R), times(R, V) if R < V else None)


def positive_pmi_cells(
    counts: Cooccurrences, words: Array, totals: Array, options: PmiOptions, row: int = 0
) -> Cooccurrences:
    """Return the positive cells of the PMI matrix (V × V), or of some of its rows and columns.

    Parameters
    ----------
    counts
        C, or consecutive rows of it.
    words : (C,) int64
        The word of every context, or −1 to leave it out.
    totals : (V,) float64
        n_w of the whole C.
    options
        How to compute and store the cells.
    row
        The number of the first row in `counts`.
    """
    from embedder.kernels.counts import positive_pmi_rows

    shares = np.log(np.maximum(totals, 1e-300) / totals.sum()), totals.sum()

    def fill(first: int, last: int, rows: "RowBuffers") -> None:
        own = counts._replace(offsets=counts.offsets[first : last + 1])
        positive_pmi_rows(tuple(own), words, shares, row + first, rows)

    slabs = cut_rows(counts.offsets, cells_per_slab(options.memory_limit))
    cells = fill_rows(counts.offsets, slabs, fill)
    if options.folder is None:
        return store_rows(cells, None)
    with TemporaryDirectory(
        prefix="pmi-", dir=options.folder, ignore_cleanup_errors=True
    ) as folder:
        return store_rows(cells, Path(folder) / "cells")


def multiplication(cells: Cooccurrences) -> Callable[[Array], Array]:
    """Return a function that multiplies rows of cells by a dense matrix."""
    from embedder.kernels.sparse import sparse_times_dense

    def multiply(dense: Array) -> Array:
        out = np.empty((len(cells.offsets) - 1, dense.shape[1]), dense.dtype)
        sparse_times_dense(*cells, dense, out)
        return out

    return multiply


class SpectralStart:
    """The factors of the counts' positive PMI matrix, computed when they are first needed.

    Parameters
    ----------
    config
        The run: the sizes of the network, and the seed.
    make_pmi
        Returns the matrix.
    """

    def __init__(self, config: Config, make_pmi: Callable[[], PositivePmi]) -> None:
        self._rank = max(config.network.dimension, config.network.hidden)
        self._make_pmi: Callable[[], PositivePmi] | None = make_pmi
        self._found: Factors | None = None
        self.rng = np.random.default_rng(config.training.seed)

    def factors(self) -> Factors:
        """Return the factors."""
        if self._found is None:
            assert self._make_pmi is not None, "released"
            self._found = factorise(self._make_pmi(), self._rank, self.rng)
        return self._found

    def release(self) -> None:
        """Release the memory of the factors and of the counts."""
        self._found = self._make_pmi = None


def start_bytes(vocabulary: int, rank: int) -> int:
    """Return the memory that a spectral start and the choice of classes take at most, in bytes.

    Four arrays of float32 are in use at a time: while the block of frequent words is factorised,
    the product of a basis with the matrix, the basis, its orthonormal version, and the one before;
    later, for all words, the factors, their unit vectors, and temporary copies.
    """
    factorising = min(vocabulary, FREQUENT) * (rank + _EXTRA_COLUMNS)
    return 4 * 4 * max(factorising, vocabulary * rank)


def factorise(pmi: PositivePmi, rank: int, rng: np.random.Generator) -> Factors:
    """Return nearly the best factors of the block of frequent words, and the others' projections.

    The block is symmetric, so that the randomised range finder with power iterations (Halko,
    Martinsson and Tropp 2011, algorithm 4.4) leads to an eigenproblem of its projection.
    """
    R, multiply, multiply_others = pmi
    basis = multiply(rng.standard_normal((R, min(R, rank + _EXTRA_COLUMNS)), np.float32))
    for _ in range(_POWER_ITERATIONS):
        basis = multiply(_orthonormal(basis))
    basis = _orthonormal(basis)
    projection = basis.T @ multiply(basis)
    eigenvalues, eigenvectors = np.linalg.eigh((projection + projection.T) / 2)
    order = np.argsort(-np.abs(eigenvalues))[:rank]
    sizes = np.abs(eigenvalues[order])
    signs = np.ones(rank, np.float32)
    signs[: len(order)] = np.where(eigenvalues[order] < 0, -1, 1)
    directions = basis @ eigenvectors[:, order]
    # The sign of an eigenvector depends on rounding; make its largest entry positive.
    largest = np.abs(directions).argmax(axis=0)
    directions *= np.sign(directions[largest, np.arange(len(order))])
    others = np.empty((0, len(order)), np.float32)
    if multiply_others is not None:
        others = multiply_others(directions)
        scales = np.zeros(len(order), np.float32)
        large = sizes > _SMALLEST_EIGENVALUE * sizes[0]
        scales[large] = signs[: len(order)][large] / np.sqrt(sizes[large])
        others *= scales
    left = np.zeros((R + len(others), rank), np.float32)
    left[:R, : len(order)] = directions * np.sqrt(sizes)
    left[R:, : len(order)] = others
    return Factors(left, signs)


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
