"""What a trained network expects beside a word."""

from pathlib import Path

import numpy as np

from embedder.arrays import Array
from embedder.errors import RunError
from embedder.network.activation import activate
from embedder.runs.checkpoint import Model, load_model
from embedder.text.vocabulary import Vocabulary


class Predictor:
    """The neighbours' distribution that a run's network predicts for each word.

    Parameters
    ----------
    run
        The run's folder, which is read when it is first needed.
    vocabulary
        Its words, to notice if another run has taken its place.
    order : (V,) int64
        The row of the run's E for each word; by default, word i has row i.
    """

    def __init__(self, run: Path, vocabulary: Vocabulary, order: Array | None = None) -> None:
        self._run = run
        self._vocabulary = vocabulary
        self._order = np.arange(len(vocabulary)) if order is None else order
        self._model: Model | None = None

    def load(self) -> Model:
        """Return the model, and keep it in memory.

        Raises
        ------
        RunError
            If the run is no longer there.
        """
        if self._model is None:
            model = load_model(self._run)
            words = model.vocabulary.words
            if [words[i] for i in self._order if i < len(words)] != self._vocabulary.words:
                raise RunError(f"{self._run}: another run has taken its place; load it again.")
            self._model = model
        return self._model

    def __call__(self, ids: Array) -> Array:
        """Return the probability that a neighbour of each word is each word.

        That is p(any position) + p(just before) + p(just after), for windows as they are sampled in
        training. A word in a class has its share of the class's probability.

        Parameters
        ----------
        ids : (n,) int64

        Returns
        -------
        (n, V) float64

        Raises
        ------
        RunError
            If the run was trained on windows, whose networks predict something else.
        """
        model = self.load()
        if model.config.examples.source != "cooccurrence":
            raise RunError(
                f"{self._run}: only networks trained on counts predict neighbours; expected "
                "examples.source cooccurrence."
            )
        E, W1, b1, W2, b2 = model.parameters
        vocabulary = model.vocabulary
        V = len(vocabulary)
        x = model.composition.vectors(E)[self._order[ids]]
        h = activate(x @ W1 + b1, model.config.network.activation)
        features = np.hstack([h, x]) if W2.shape[1] > len(b1) else h
        logits = (features @ W2.T + b2).astype(np.float64)
        logits -= logits.max(axis=1, keepdims=True)
        p = np.exp(logits)
        p /= p.sum(axis=1, keepdims=True)
        columns = model.columns
        kept = vocabulary.counts * model.keep_probabilities()
        near = columns.near
        found = p[:, columns.of_words] * np.exp(-columns.surprises(kept)[:V])
        before = columns.positionless
        for start in (before, before + near):
            found[:, :near] += p[:, start : start + near]
        return np.asarray(found[:, self._order])
