"""From a corpus of ids to training examples: rows of counts, or windows of the text."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from embedder.arrays import Array
from embedder.config import Config
from embedder.examples.batches import CountedRows, Rows, RowStream, Stream
from embedder.examples.cooccurrence import (
    Cooccurrences,
    CountingOptions,
    TokenSample,
    context_words,
    count_cooccurrences,
    token_sample,
)
from embedder.examples.held_out import compare_with_ngram, cooccurrence_loss, window_log_likelihoods
from embedder.examples.sharing import SharedCorpus
from embedder.examples.spectral import factorise, factorise_pmi, positive_pmi_matrix
from embedder.examples.windows import WindowStream, split_text, vectors_per_input
from embedder.network.composition import Composition
from embedder.network.losses.classes import with_class_rows
from embedder.network.network import Network
from embedder.network.parameters import Parameters, Start, initial_parameters
from embedder.text.vocabulary import EncodedCorpus, Join, Vocabulary

HeldOut = Callable[[Network], float]
"""Returns the cross-entropy of held-out text in nats per word."""


class Examples(NamedTuple):
    """The training examples, the initial parameters, and the losses on held-out text.

    ``stream``
        The batches.
    ``start``
        Returns the parameters before training, given which rows of E make up each word's vector.
    ``targets``
        The mean number of targets per example.
    ``validation``
        The loss on the validation text; None without one.
    ``test``
        The loss on the test text; None without one.
    ``ngram``
        Returns the losses of an n-gram model, and of its mixture with the network.
    ``counted``
        The rows of the counts trained on; None for windows, or on a cluster.
    """

    stream: Stream
    start: Callable[[Composition], Parameters]
    targets: float
    validation: HeldOut | None
    test: HeldOut | None = None
    ngram: Callable[[Network], dict[str, float]] | None = None
    counted: CountedRows | None = None


def prepare_examples(
    config: Config,
    vocabulary: Vocabulary,
    corpus: EncodedCorpus,
    threads: int,
    folder: Path,
    shared: SharedCorpus | None = None,
    join: Join | None = None,
) -> Examples:
    """Return the examples that `examples.source` selects.

    Parameters
    ----------
    config
        The run.
    vocabulary, corpus
        As returned by `embedder.text.vocabulary.encode_corpus`.
    threads
        How many threads share the work.
    folder
        Folder for counts, or for the parts of a split text.
    shared
        The corpus in the cache, to look up and store counts.
    join
        Joins phrases in further files.

    Raises
    ------
    CorpusError
        If there is nothing to train on, or to validate on.
    """
    if config.examples.source == "windows":
        return _window_examples(config, vocabulary, corpus, threads, folder, join)
    return _counted_examples(config, vocabulary, corpus, threads, folder, shared)


def _counted_examples(
    config: Config,
    vocabulary: Vocabulary,
    corpus: EncodedCorpus,
    threads: int,
    folder: Path,
    shared: SharedCorpus | None,
) -> Examples:
    """Return the examples from co-occurrence counts."""
    options = CountingOptions(config.examples, threads, config.training.memory_limit)

    def count_into(validation: bool, target: Path) -> Cooccurrences:
        wanted = token_sample(config, vocabulary, validation)
        return count_cooccurrences(corpus.ids, wanted, options, target)

    def count(validation: bool) -> Cooccurrences:
        if shared is None:
            return count_into(validation, folder)
        return shared.counts(config, validation, partial(count_into, validation))

    counts = count(validation=False)
    rows = CountedRows(counts)
    words = context_words(len(vocabulary), config.examples)
    examples = examples_of_counts(
        config,
        vocabulary,
        rows,
        counts.column_totals(len(words)),
        lambda: positive_pmi_matrix(counts, words, rows.totals, threads),
        CountedRows(count(validation=True)) if config.validation.fraction > 0 else None,
    )
    return examples._replace(counted=rows)


def examples_of_counts(
    config: Config,
    vocabulary: Vocabulary,
    rows: Rows,
    context_totals: Array,
    make_pmi: Callable[[], Callable[[Array], Array]],
    held_out: Rows | None,
) -> Examples:
    """Return the examples from counts in this process or on a cluster.

    Parameters
    ----------
    config
        The run.
    vocabulary
        V words.
    rows
        The rows of the counts.
    context_totals : (C,)
        The sum of each column.
    make_pmi
        Returns a function that multiplies by the counts' positive PMI matrix, for a spectral start.
    held_out
        The rows of the held-out counts.
    """
    stream = RowStream(rows, config)

    def start(composition: Composition) -> Parameters:
        network = config.network
        rng = np.random.default_rng(config.training.seed)
        words = context_words(len(vocabulary), config.examples)
        factors = None
        if network.initialisation == "spectral":
            rank = max(network.dimension, network.hidden)
            factors = factorise(make_pmi(), len(vocabulary), rank, rng)
        return initial_parameters(network, Start(context_totals, words, composition, factors), rng)

    validation: HeldOut | None = None
    if held_out is not None:
        validation = partial(cooccurrence_loss, rows=held_out, batch=stream.batch_size)
    return Examples(stream, start, stream.sampler.mean_of(rows.cells), validation)


def _window_examples(
    config: Config,
    vocabulary: Vocabulary,
    corpus: EncodedCorpus,
    threads: int,
    folder: Path,
    join: Join | None,
) -> Examples:
    """Return the examples from windows of the text."""
    split = split_text(corpus.ids, vocabulary, config, folder, join)
    parts = {"validation": split.validation, "test": split.test}
    held_out = {name: ids for name, ids in parts.items() if ids is not None}

    def ngram(network: Network) -> dict[str, float]:
        return compare_with_ngram(network, config, split.training, held_out, len(vocabulary))

    losses = {name: partial(_window_loss, ids=ids, config=config) for name, ids in held_out.items()}
    with_ngram = config.evaluation.ngram and "validation" in held_out
    return Examples(
        WindowStream(split.training, vocabulary, config),
        partial(_start_from_windows, config, vocabulary, split.training, threads, folder),
        1.0,
        losses.get("validation"),
        losses.get("test"),
        ngram if with_ngram else None,
    )


def _window_loss(network: Network, ids: Array, config: Config) -> float:
    batch = config.training.batch_size
    return -float(window_log_likelihoods(network, ids, config, batch).mean())


def _start_from_windows(
    config: Config,
    vocabulary: Vocabulary,
    training: Array,
    threads: int,
    folder: Path,
    composition: Composition,
) -> Parameters:
    """Return the parameters before training; a spectral start counts the training text first."""
    network = config.network
    rng = np.random.default_rng(config.training.seed)
    words = np.arange(len(vocabulary))
    factors = None
    if network.initialisation == "spectral":
        keep = vocabulary.keep_probabilities(config.vocabulary.subsample)
        examples = config.examples.model_copy(update={"near": 0})
        options = CountingOptions(examples, threads, config.training.memory_limit)
        wanted = TokenSample(keep, config.training.seed)
        counts = count_cooccurrences(training, wanted, options, folder)
        factors = factorise_pmi(counts, words, max(network.dimension, network.hidden), rng, threads)
    K = vectors_per_input(config.examples, network)
    start = Start(vocabulary.counts, words, composition, factors, K)
    parameters = initial_parameters(network, start, rng)
    return with_class_rows(config.loss, vocabulary.counts, parameters)
