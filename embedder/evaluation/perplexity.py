"""How well a network predicts text that it was not trained on.

Perplexity is e to the mean cross-entropy in nats: the number of equally likely words that would be
as hard to guess. Of windows it is that of the word in the middle or, with `network.input: word`, of
a neighbour; from counts, that of a neighbour weighted by its distance.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from embedder.arrays import Array
from embedder.batches import CountedRows, Rows, one_hot
from embedder.checkpoint import Model
from embedder.config import Config
from embedder.cooccurrence import count_cooccurrences
from embedder.corpus import read_text
from embedder.errors import CorpusError
from embedder.losses import make_loss
from embedder.network import Network
from embedder.ngram import KneserNey, mixture_weight
from embedder.vocabulary import encode_text
from embedder.windows import list_windows, split_text

_TOKENS_A_TIME = 1 << 16


class Perplexity(NamedTuple):
    """A text's score.

    ``perplexity``
    ``nats``
        Mean cross-entropy.
    ``tokens``
        Words of the text.
    ``unknown``
        Those outside the vocabulary.
    ``predicted``
        How many predictions the mean is over; from counts, their weight.
    ``ngram``, ``mixture``
        Perplexities of the n-gram model that the run is compared with, and of both mixed as suits
        the run's validation text; None without one.
    """

    perplexity: float
    nats: float
    tokens: int
    unknown: int
    predicted: float
    ngram: float | None = None
    mixture: float | None = None


def evaluate_perplexity(model: Model, file: str) -> Perplexity:
    """Score a text, read as the run's own corpus was; what is not named .jsonl is plain text.

    Unknown words are predicted as `vocabulary.unknown` where the run has such a symbol, and left
    out as in training where it has none.

    Parameters
    ----------
    model
        A trained run.
    file
        A file, folder or glob, as in `corpus.files`.

    Raises
    ------
    EmbedderError
        If the text cannot be read, or has nothing that the network predicts.
    """
    from embedder.kernels.threads import available_threads, kernel_threads

    config, vocabulary = model.config, model.vocabulary
    threads = config.training.threads or available_threads()
    batch = min(config.training.batch_size, len(vocabulary))
    ngram = mixture = None
    with kernel_threads(threads), tempfile.TemporaryDirectory() as folder:
        update: dict[str, object] = {"files": [file]}
        if Path(file).is_file() and ".jsonl" not in Path(file).suffixes:
            update["text_field"] = None
        blocks = read_text(config.corpus.model_copy(update=update))
        join, symbol = model.phrases.join_file, config.vocabulary.unknown
        corpus, unknown = encode_text(blocks, vocabulary, symbol, Path(folder), join=join)
        seed, parameters = config.training.seed, model.parameters
        loss = make_loss(config.loss, vocabulary.counts, parameters, batch, threads, seed)
        network = Network(
            config.network, parameters, batch, threads, loss, composition=model.composition
        )
        if config.examples.source == "windows":
            found = window_log_likelihoods(network, corpus.ids, config, batch)
            predicted, nats = float(len(found)), -float(found.sum()) / max(1, len(found))
            if predicted and "mixture_weight" in model.metadata:
                other = _ngram_of_run(model, Path(folder)).score(corpus.ids)
                weight = float(model.metadata["mixture_weight"])
                losses = _ngram_and_mixture_losses(np.exp(found), other, weight)
                ngram, mixture = (float(np.exp(loss)) for loss in losses)
        else:
            keep = vocabulary.keep_probabilities(config.vocabulary.subsample)
            counts = count_cooccurrences(
                corpus.ids, keep, config.examples, seed, threads, Path(folder)
            )
            rows = CountedRows(counts)
            predicted = float(rows.totals.sum())
            nats = cooccurrence_loss(network, rows, batch)
    if predicted == 0:
        raise CorpusError(f"{file}: no word of the vocabulary has a window in it.")
    perplexity = float(np.exp(nats))
    return Perplexity(perplexity, nats, corpus.tokens, unknown, predicted, ngram, mixture)


class NgramBaseline:
    """A Kneser–Ney model of a run's training text.

    Parameters
    ----------
    ids : (n,) int32
        The training text, −1 at sentence ends.
    config
        Of the run: `evaluation.ngram`, and whether words across sentences count.
    vocabulary
        V.
    """

    def __init__(self, ids: Array, config: Config, vocabulary: int) -> None:
        self._config = config
        self._model = KneserNey(*self._windows(ids), vocabulary)

    def _windows(self, ids: Array) -> tuple[Array, Array]:
        from embedder.kernels.windows import windows_around

        ids = _predicted_text(ids, self._config)
        places = np.flatnonzero(ids >= 0)
        before = self._config.evaluation.ngram - 1
        contexts = np.empty((len(places), before), np.int32)
        words = np.empty(len(places), np.int32)
        windows_around(ids, places, before, True, False, 0, contexts, words)
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
        Trained.
    config
        Of the run.
    training, held_out
        Texts; the mixture's weight suits that named "validation".
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
        losses = _ngram_and_mixture_losses(own, other, weight)
        figures[f"ngram_{name}_loss"], figures[f"mixture_{name}_loss"] = losses
    return figures


def _ngram_and_mixture_losses(own: Array, other: Array, weight: float) -> tuple[float, float]:
    """Return the loss of an n-gram model, and that of weight · own + (1 − weight) · other."""
    mixed = weight * own + (1 - weight) * other
    return -float(np.log(other).mean()), -float(np.log(mixed).mean())


def _predicted_text(ids: Array, config: Config) -> Array:
    """Return a text as windows see it: without the ends of sentences if they reach across."""
    return ids[ids >= 0] if config.examples.across_sentences else np.asarray(ids)


def _ngram_of_run(model: Model, folder: Path) -> NgramBaseline:
    """Read the run's corpus again and make the n-gram model of its training part."""
    blocks = read_text(model.config.corpus)
    config, vocabulary = model.config, model.vocabulary
    join, symbol = model.phrases.join_file, config.vocabulary.unknown
    corpus, _ = encode_text(blocks, vocabulary, symbol, folder, "corpus", join)
    training = split_text(corpus.ids, vocabulary, config, folder, join).training
    return NgramBaseline(training, config, len(vocabulary))


def window_log_likelihoods(network: Network, ids: Array, config: Config, batch: int) -> Array:
    """Return log ŷ of each target of a text, in order, (n,) float64.

    Parameters
    ----------
    network
        Trained.
    ids : (tokens,) int32
        The text, −1 at sentence ends.
    config
        Of the run: windows are whole, whatever `examples.dynamic` says.
    batch
        Examples at a time, at most the network's B.
    """
    ids = _predicted_text(ids, config)
    found = [np.zeros(0)]
    for first in range(0, len(ids), _TOKENS_A_TIME):
        places = first + np.flatnonzero(ids[first : first + _TOKENS_A_TIME] >= 0)
        windows = list_windows(ids, places, config)
        for start in range(0, len(windows.targets), batch):
            contexts, targets = (array[start : start + batch] for array in windows)
            found.append(network.log_likelihoods(contexts, one_hot(targets)))
    return np.concatenate(found)


def cooccurrence_loss(network: Network, rows: Rows, batch: int) -> float:
    """Return the cross-entropy of counts in nats a neighbour."""
    loss = 0.0
    for chosen in _batches(np.flatnonzero(rows.totals), batch):
        loss += network.loss(chosen[:, None], rows.targets(chosen, np.ones(len(chosen))))
    return loss / float(rows.totals.sum())


def _batches(rows: Array, size: int) -> Iterator[Array]:
    for start in range(0, len(rows), size):
        yield rows[start : start + size]
