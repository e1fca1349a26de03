"""What the spelling of rare words says about their rows of E, before their counts are seen.

The rows trained jointly with the other layers, those of frequent words, are predicted by their
character n-grams (see `embedder.network.composition.SharedRows.fit_shared`), and the n-grams of a
rare word then predict its row: the mean of its prior in `embedder.training.row_fit`. A word that
shares no n-gram with frequent words has zeros, as all would have without spelling.
"""

from collections.abc import Sequence

import numpy as np

from embedder.arrays import Array
from embedder.config_sections.text import SubwordsConfig
from embedder.network.composition import share_rows
from embedder.text.ngrams import find_buckets, list_ngrams
from embedder.text.vocabulary import Vocabulary

_NGRAMS = SubwordsConfig(min_n=3, max_n=6)


class SpelledRows:
    """Rows of E that spelling predicts; fitted when they are first asked for.

    Parameters
    ----------
    words
        All V words.
    E : (V, D) float32
        Their rows; the first ones have their final values once rows are asked for.
    joint
        How many of them were trained jointly.
    unknown
        The symbol for unknown words, which is not spelt.
    """

    def __init__(self, words: Sequence[str], E: Array, joint: int, unknown: str | None) -> None:
        self._words, self._E, self._joint, self._unknown = words, E, joint, unknown
        self._fitted: tuple[Array, Array] | None = None

    def __call__(self, first: int, last: int) -> Array:
        """Return the rows of words first … last − 1, (last − first, D) float64."""
        if self._fitted is None:
            self._fitted = self._fit()
        buckets, rows = self._fitted
        settings = _NGRAMS.min_n, _NGRAMS.max_n, _NGRAMS.buckets
        counts, ngrams = list_ngrams(self._words[first:last], *settings, {self._unknown})
        found = np.zeros((last - first, rows.shape[1]))
        indices, have_rows = find_buckets(buckets, ngrams)
        if not len(indices):
            return found
        own = np.zeros((len(ngrams), rows.shape[1]), rows.dtype)
        own[have_rows] = rows[indices]
        some = counts > 0
        sums = np.add.reduceat(own, (np.cumsum(counts) - counts)[some])
        found[some] = sums / counts[some, None]
        return found

    def _fit(self) -> tuple[Array, Array]:
        """Return the n-grams' buckets (G,), ascending, and their rows (G, D)."""
        words = list(self._words[: self._joint])
        vocabulary = Vocabulary(words, np.ones(len(words), np.int64))
        shared = share_rows(_NGRAMS, vocabulary, {}, self._unknown)
        return shared.buckets, shared.fit_shared(self._E[: self._joint])
