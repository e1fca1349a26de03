"""A scikit-learn transformer: texts in, vectors out."""

from collections.abc import Sequence
from typing import Any

import numpy as np

try:
    from sklearn.base import BaseEstimator, TransformerMixin
    from sklearn.utils.extmath import randomized_svd
    from sklearn.utils.validation import check_is_fitted
except ImportError:
    raise ImportError(
        "SentenceEncoder requires scikit-learn; pip install 'exact-embedder[sklearn]'."
    ) from None

from embedder.arrays import Array
from embedder.vectors.sentences import SMOOTHING, sentence_vectors
from embedder.vectors.word_vectors import WordVectors


class SentenceEncoder(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Vectors of texts for pipelines: weighted means of word vectors, without what all share.

    Parameters
    ----------
    vectors
        Those of words.
    smoothing
        See `embedder.vectors.sentences.sentence_vectors`.
    components
        How many of the most important directions of the texts' vectors are removed; they say more
        about grammar than about the topic (Arora, Liang and Ma 2017). 0 keeps all.

    Attributes
    ----------
    components_ : (components, D)
        The directions, from `fit`.
    """

    def __init__(
        self, vectors: WordVectors, smoothing: float = SMOOTHING, components: int = 1
    ) -> None:
        self.vectors = vectors
        self.smoothing = smoothing
        self.components = components

    def fit(self, X: Sequence[str | Sequence[str]], y: Any = None) -> "SentenceEncoder":
        """Find the directions to remove, in texts or lists of words; `y` is not used.

        Raises
        ------
        ValueError
            For one text instead of several, or a missing one.
        """
        found = self._means(X)
        count = min(self.components, *found.shape)
        self.components_ = np.zeros((0, found.shape[1]), np.float32)
        if count:
            self.components_ = randomized_svd(found, count, random_state=0)[2]
        return self

    def transform(self, X: Sequence[str | Sequence[str]]) -> Array:
        """Return the texts' vectors, (n, D) float32."""
        check_is_fitted(self)
        found = self._means(X)
        return np.asarray(found - found @ self.components_.T @ self.components_, np.float32)

    def get_feature_names_out(self, input_features: Any = None) -> Array:
        """Return names of the dimensions."""
        return np.array([f"embedder{i}" for i in range(self.vectors.matrix.shape[1])], object)

    def _means(self, X: Sequence[str | Sequence[str]]) -> Array:
        if isinstance(X, str) or any(text is None for text in X):
            raise ValueError("expected texts or lists of words, got one text or a missing one.")
        return sentence_vectors(self.vectors, list(X), self.smoothing)
