"""Losses on held-out text, and the n-gram baseline for comparison with the network."""

from collections.abc import Iterator

import numpy as np

from embedder.arrays import Array
from embedder.config import Config
from embedder.examples.batches import Rows, one_hot
from embedder.examples.ngram import KneserNey, mixture_weight
from embedder.examples.windows import list_windows
from embedder.network.network import Network

_TOKENS_PER_BATCH = 1 << 16


class NgramBaseline:
    """A Kneser–Ney model of a run's training text.

    Parameters
    ----------
    ids : (n,) int32
        The training text, −1 at sentence ends.
    config
        The run: `evaluation.ngram`, and whether windows extend across sentences.
    vocabulary
        V.
    """

    def __init__(self, ids: Array, config: Config, vocabulary: int) -> None:
        self._config = config
        self._model = KneserNey(*self._windows(ids), vocabulary)

    def _windows(self, ids: Array) -> tuple[Array, Array]:
        from embedder.kernels.windows import windows_around

        ids = predicted_text(ids, self._config)
        positions = np.flatnonzero(ids >= 0)
        before = self._config.evaluation.ngram - 1
        contexts = np.empty((len(positions), before), np.int32)
        words = np.empty(len(positions), np.int32)
        windows_around(ids, positions, before, True, False, 0, (contexts, words))
        return contexts, words

    def score(self, ids: Array) -> Array:
        """Return the probability of every word of a text, in order, (N,) float64."""
        return self._model.probabilities(*self._windows(ids))


def compare_with_ngram(
    network: Network, config: Config, training: Array, held_out: dict[str, Array], vocabulary: int
) -> dict[str, float]:
    """Return the losses in nats of an n-gram model and of its mixture with the network.

    Parameters
    ----------
    network
        The trained network.
    config
        The run.
    training, held_out
        Texts; the mixture's weight is fitted to the one named "validation".
    vocabulary
        V.

    Returns
    -------
    dict
        ``mixture_weight``, the network's share, and for each text ``ngram_NAME_loss`` and
        ``mixture_NAME_loss``.
    """
    baseline = NgramBaseline(training, config, vocabulary)
    batch = config.training.batch_size
    probabilities = {
        name: (np.exp(window_log_likelihoods(network, ids, config, batch)), baseline.score(ids))
        for name, ids in held_out.items()
    }
    weight = mixture_weight(*probabilities["validation"])
    figures = {"mixture_weight": weight}
    for name, (own, other) in probabilities.items():
        losses = ngram_and_mixture_losses(own, other, weight)
        figures[f"ngram_{name}_loss"], figures[f"mixture_{name}_loss"] = losses
    return figures


def ngram_and_mixture_losses(own: Array, other: Array, weight: float) -> tuple[float, float]:
    """Return the loss of `other`, an n-gram model, and of weight · own + (1 − weight) · other."""
    mixed = weight * own + (1 - weight) * other
    return -float(np.log(other).mean()), -float(np.log(mixed).mean())


def predicted_text(ids: Array, config: Config) -> Array:
    """Return a text, without sentence ends if windows extend across them."""
    return ids[ids >= 0] if config.examples.across_sentences else np.asarray(ids)


def window_log_likelihoods(network: Network, ids: Array, config: Config, batch: int) -> Array:
    """Return log ŷ of each target of a text, in order, (n,) float64.

    Parameters
    ----------
    network
        The trained network.
    ids : (tokens,) int32
        The text, −1 at sentence ends.
    config
        The run; windows have their full size even with `examples.dynamic`.
    batch
        Examples per batch, at most the network's B.
    """
    ids = predicted_text(ids, config)
    found = [np.zeros(0)]
    for first in range(0, len(ids), _TOKENS_PER_BATCH):
        positions = first + np.flatnonzero(ids[first : first + _TOKENS_PER_BATCH] >= 0)
        windows = list_windows(ids, positions, config)
        for start in range(0, len(windows.targets), batch):
            contexts, targets = (array[start : start + batch] for array in windows)
            found.append(network.log_likelihoods(contexts, one_hot(targets)))
    return np.concatenate(found)


def cooccurrence_loss(network: Network, rows: Rows, batch: int) -> float:
    """Return the cross-entropy of the counts in nats per neighbour."""
    loss = 0.0
    for chosen in _batches(np.flatnonzero(rows.totals), batch):
        loss += network.loss(chosen[:, None], rows.targets(chosen, np.ones(len(chosen))))
    loss += float(rows.constants.sum())
    return loss / float(rows.totals.sum())


def _batches(rows: Array, size: int) -> Iterator[Array]:
    for start in range(0, len(rows), size):
        yield rows[start : start + size]
