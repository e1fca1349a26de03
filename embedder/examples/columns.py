"""The columns of the counts, each an output of the network: frequent words, and classes of others.

With V words in any position as outputs, a pass costs O(V²). Instead, only the M most frequent words
are outputs of their own; the others are grouped into K classes of words with similar contexts, by
spherical k-means (Dhillon and Modha 2001) of the spectral start's context vectors. A word's
probability is that of its class, times its share n_c / n_class of the class's occurrences:

    p(c | w) = p(class of c | w) · n_c / n_class

This is a distribution over all V words, so its cross-entropy is comparable with that of any other
model. The second factor does not depend on the parameters: it adds a constant to the loss.
Position-specific contexts (see `embedder.examples.cooccurrence`) keep outputs of their own.

Columns are numbered: the M words; then the K classes; then the N words before the centre word; then
the same N after it.
"""

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from embedder.arrays import Array, unit_rows
from embedder.config import Config
from embedder.examples.cells import Cooccurrences, cells_per_slab, cut_rows, fill_rows, store_rows

if TYPE_CHECKING:
    from embedder.kernels.counts import RowBuffers

_ROUNDS = 8
_VECTORS_PER_CLASS = 50
"""Of how many words the means of classes are computed; all words are assigned to a class."""


class Columns(NamedTuple):
    """The column of every context.

    ``of_words (V,) int32``
        The column of each word in any position: its own, or that of its class; −1 for a word that
        was unknown when the network was trained, so that no output predicts it.
    ``near``
        N, the number of words with position-specific contexts.
    """

    of_words: Array
    near: int

    @property
    def positionless(self) -> int:
        """M + K, the number of columns for words in any position."""
        return int(self.of_words.max()) + 1

    @property
    def total(self) -> int:
        """C = M + K + 2 N."""
        return self.positionless + 2 * self.near

    @property
    def are_grouped(self) -> bool:
        """Whether any words share a column, or have one of another number than theirs."""
        return not np.array_equal(self.of_words, np.arange(len(self.of_words)))

    def of_contexts(self) -> Array:
        """Return the column of every context, (V + 2 N,) int32."""
        return np.concatenate(
            [self.of_words, np.arange(self.positionless, self.total, dtype=np.int32)]
        )

    def surprises(self, counts: Array) -> Array:
        """Return log(n_class / n_c) for every context, (V + 2 N,) float64; 0 for lone words.

        It is infinite for words without a column, and for those that never occur.

        Parameters
        ----------
        counts : (V,)
            n_c.
        """
        possible = (self.of_words >= 0) & (counts > 0)
        of_words, counts = self.of_words[possible], counts[possible]
        totals = np.bincount(of_words, counts, self.positionless)
        surprises = np.zeros(len(self.of_words) + 2 * self.near)
        surprises[: len(possible)][possible] = np.log(totals[of_words] / counts)
        surprises[: len(possible)][~possible] = np.inf
        return surprises


def one_column_per_word(vocabulary: int, near: int) -> Columns:
    """Return columns without classes."""
    return Columns(np.arange(vocabulary, dtype=np.int32), near)


def count_near(config: Config, vocabulary: int) -> int:
    """Return N, the number of words with position-specific contexts."""
    examples = config.examples
    if examples.source != "cooccurrence" or not examples.near:
        return 0
    return min(examples.near_contexts, vocabulary)


class ColumnSizes(NamedTuple):
    """How many columns of each kind there are: ``own``, M; ``classes``, K; ``near``, N."""

    own: int
    classes: int
    near: int


def choose_columns(sizes: ColumnSizes, vectors: Array, counts: Array) -> tuple[Columns, Array]:
    """Group all but the most frequent words; return the columns and the word of each.

    Parameters
    ----------
    sizes
        How many columns; classes that end up without words are left out.
    vectors : (V, k) float32
        The words' context vectors.
    counts : (V,)
        n_c. Its square root weights a word in the mean of its class, as in PMI factorisations rare
        words are the noisiest.

    Returns
    -------
    Columns
    (C,) int64
        The word of every column; for a class, the one whose vector is nearest to the mean.
    """
    own, classes, near = sizes
    lone = np.arange(own)
    weights = np.sqrt(counts[own:])
    found, central = _cluster(unit_rows(vectors[own:]), weights, classes)
    columns = Columns(np.concatenate([lone, own + found]).astype(np.int32), near)
    near_words = np.arange(near)
    return columns, np.concatenate([lone, own + central, near_words, near_words])


def compared_words(grouped: int, classes: int) -> int:
    """Return how many words are compared with all classes, to group so many words."""
    return grouped + (_ROUNDS - 1) * min(grouped, _VECTORS_PER_CLASS * classes)


def _cluster(vectors: Array, weights: Array, classes: int) -> tuple[Array, Array]:
    """Return the class of each unit vector, (n,) int64, and each class's most central member."""
    from embedder.kernels.clusters import nearest_centroids

    n = len(vectors)
    classes = min(classes, n)
    # Evenly spaced by frequency: deterministic, and as good as any random choice.
    centroids = vectors[np.linspace(0, n - 1, classes).astype(np.int64)]
    sample = np.linspace(0, n - 1, min(n, _VECTORS_PER_CLASS * classes)).astype(np.int64)
    own = vectors[sample]
    weighted = own * weights[sample, None].astype(np.float32)
    found, similarities = np.empty(n, np.int64), np.empty(n, np.float32)
    for _ in range(_ROUNDS - 1):
        nearest_centroids(own, centroids, found[: len(own)], similarities[: len(own)])
        sums = _sum_by_class(weighted, found[: len(own)], classes)
        filled = (sums != 0).any(axis=1)
        centroids[filled] = unit_rows(sums[filled])
    nearest_centroids(vectors, centroids, found, similarities)
    order = np.lexsort((-similarities, found))  # by class, the most central member first
    _, firsts, numbers = np.unique(found[order], return_index=True, return_inverse=True)
    renumbered = np.empty(n, np.int64)
    renumbered[order] = numbers
    return renumbered, order[firsts]


def _sum_by_class(vectors: Array, classes: Array, count: int) -> Array:
    from scipy.sparse import csr_array

    n = len(vectors)
    members = csr_array((np.ones(n, np.float32), (classes, np.arange(n))), (count, n))
    return np.asarray(members @ vectors)


def group_counts(
    counts: Cooccurrences,
    columns: Columns,
    words: Array,
    path: Path | None,
    memory_limit: int | None = None,
) -> tuple[Cooccurrences, Array]:
    """Return the counts with the cells of each column summed, and each row's constant.

    Counts whose columns are all of one context are returned as they are.

    Parameters
    ----------
    counts
        C, with one column per context.
    columns
        The column of every context.
    words : (V,)
        n_c of every word, positive; see `Columns.surprises`.
    path
        The path of the files for the cells, without their suffixes; None to keep these in memory.
    memory_limit
        Maximum bytes of cells not yet on disk; None for no limit.

    Returns
    -------
    Cooccurrences
    (V,) float64
        What the loss of a row has in addition to the cross-entropy of its columns, in nats.
    """
    from embedder.kernels.counts import group_rows

    constants = np.zeros(len(counts.offsets) - 1)
    if not columns.are_grouped:
        return counts, constants
    groups, surprises = columns.of_contexts(), columns.surprises(words)

    def fill(first: int, last: int, rows: "RowBuffers") -> None:
        own = counts._replace(offsets=counts.offsets[first : last + 1])
        group_rows(tuple(own), groups, surprises, rows, constants[first:last])

    slabs = cut_rows(counts.offsets, cells_per_slab(memory_limit))
    return store_rows(fill_rows(counts.offsets, slabs, fill), path), constants
