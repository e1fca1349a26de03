"""Perplexity: how well a network predicts text that it was not trained on.

Perplexity is e to the mean cross-entropy in nats: the number of equally likely words that would be
as hard to guess. A network of windows predicts the centre word or, with `network.input: word`, a
neighbour; a network of co-occurrence counts predicts a neighbour, weighted by its distance.
"""

import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np

from embedder.arrays import Array
from embedder.errors import CorpusError
from embedder.examples.batches import CountedRows
from embedder.examples.columns import group_counts
from embedder.examples.cooccurrence import CountingOptions, TokenSample, count_cooccurrences
from embedder.examples.held_out import (
    NgramBaseline,
    cooccurrence_loss,
    ngram_and_mixture_losses,
    window_log_likelihoods,
)
from embedder.examples.windows import split_text
from embedder.network.losses import make_loss
from embedder.network.network import Network
from embedder.runs.checkpoint import Model
from embedder.text.corpus import read_text
from embedder.text.vocabulary import encode_text


class Perplexity(NamedTuple):
    """The score of a text.

    ``perplexity``
    ``nats``
        Mean cross-entropy.
    ``tokens``
        Number of words in the text.
    ``unknown``
        Number of words outside the vocabulary.
    ``predicted``
        Number of predictions that the mean is over; with co-occurrence counts, their total weight.
    ``ngram``, ``mixture``
        Perplexities of the run's n-gram baseline, and of its mixture with the network, weighted to
        suit the run's validation text; None without a baseline.
    """

    perplexity: float
    nats: float
    tokens: int
    unknown: int
    predicted: float
    ngram: float | None = None
    mixture: float | None = None


def evaluate_perplexity(model: Model, file: str) -> Perplexity:
    """Score a text, read with the settings of the run's own corpus.

    Unknown words are predicted as `vocabulary.unknown` if the run has such a symbol; otherwise they
    are left out, as in training.

    Parameters
    ----------
    model
        A trained run.
    file
        A file, folder or glob, as in `corpus.files`.

    Raises
    ------
    EmbedderError
        If the text cannot be read, or contains nothing to predict.
    """
    from embedder.kernels.compiler import require_compiler
    from embedder.kernels.threads import available_threads, kernel_threads

    require_compiler()
    config, vocabulary = model.config, model.vocabulary
    threads = config.training.threads or available_threads()
    batch = min(config.training.batch_size, len(vocabulary))
    ngram = mixture = None
    with kernel_threads(threads), tempfile.TemporaryDirectory() as folder:
        blocks = read_text(config.corpus.model_copy(update={"files": [file]}))
        join, symbol = model.phrases.join_file, config.vocabulary.unknown
        corpus, unknown = encode_text(blocks, vocabulary, symbol, Path(folder), join=join)
        seed, parameters = config.training.seed, model.parameters
        loss = make_loss(config.loss, vocabulary.counts, parameters, batch, seed)
        network = Network(config.network, parameters, batch, loss, composition=model.composition)
        if config.examples.source == "windows":
            found = window_log_likelihoods(network, corpus.ids, config, batch)
            predicted, nats = float(len(found)), -float(found.sum()) / max(1, len(found))
            if predicted and "mixture_weight" in model.metadata:
                other = _ngram_of_run(model, Path(folder)).score(corpus.ids)
                weight = float(model.metadata["mixture_weight"])
                losses = ngram_and_mixture_losses(np.exp(found), other, weight)
                ngram, mixture = (float(np.exp(loss)) for loss in losses)
        else:
            rows = _count_rows(model, corpus.ids, Path(folder))
            predicted = float(rows.totals.sum())
            nats = cooccurrence_loss(network, rows, batch)
    if predicted == 0:
        raise CorpusError(f"{file}: nothing to predict; no word of the vocabulary has a window.")
    perplexity = float(np.exp(nats))
    return Perplexity(perplexity, nats, corpus.tokens, unknown, predicted, ngram, mixture)


def _ngram_of_run(model: Model, folder: Path) -> NgramBaseline:
    """Read the run's corpus again, and build the n-gram model of its training split."""
    blocks = read_text(model.config.corpus)
    config, vocabulary = model.config, model.vocabulary
    join, symbol = model.phrases.join_file, config.vocabulary.unknown
    corpus, _ = encode_text(blocks, vocabulary, symbol, folder, "corpus", join)
    training = split_text(corpus.ids, vocabulary, config, folder, join).training
    return NgramBaseline(training, config, len(vocabulary))


def _count_rows(model: Model, ids: Array, folder: Path) -> CountedRows:
    """Return the counts of a text, in the columns of a run."""
    config, keep = model.config, model.keep_probabilities()
    wanted = TokenSample(keep, config.training.seed)
    options = CountingOptions(config.examples)
    found = count_cooccurrences(ids, wanted, options, folder)
    kept = model.vocabulary.counts * keep
    return CountedRows(*group_counts(found, model.columns, kept, folder / "grouped"))
