"""From a corpus of ids to training examples: rows of counts, or windows of the text."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from embedder.arrays import Array
from embedder.config import Config
from embedder.config_automatic import context_classes, own_contexts
from embedder.examples.batches import CountedRows, Rows, RowStream, Stream
from embedder.examples.cells import Cooccurrences
from embedder.examples.columns import (
    Columns,
    ColumnSizes,
    choose_columns,
    count_near,
    group_counts,
    one_column_per_word,
)
from embedder.examples.cooccurrence import (
    CountingOptions,
    TokenSample,
    context_words,
    count_cooccurrences,
    token_sample,
)
from embedder.examples.held_out import compare_with_ngram, cooccurrence_loss, window_log_likelihoods
from embedder.examples.sharing import SharedCorpus
from embedder.examples.spectral import (
    PmiOptions,
    SpectralStart,
    factorise_pmi,
    positive_pmi,
)
from embedder.examples.windows import WindowStream, split_text, vectors_per_input
from embedder.network.composition import Composition
from embedder.network.losses.classes import with_class_rows
from embedder.network.network import Network
from embedder.network.parameters import Parameters, Start, initial_parameters
from embedder.text.vocabulary import EncodedCorpus, Join, Vocabulary


class RangedCounts(Protocol):
    """The counts of all words, of which an engine fits ranges of rows."""

    def rows(self, first: int, last: int) -> Any:
        """Return the counts of words first … last − 1, or what leads the engine to them."""


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
        The counts trained on, of which ranges of rows are fitted; None for windows.
    ``columns``, ``totals (V,) float64``
        The columns of the counts, and n_w; None for windows.
    """

    stream: Stream
    start: Callable[[Composition], Parameters]
    targets: float
    validation: HeldOut | None
    test: HeldOut | None = None
    ngram: Callable[[Network], dict[str, float]] | None = None
    counted: RangedCounts | None = None
    columns: Columns | None = None
    totals: Array | None = None


class Outputs(NamedTuple):
    """The network's outputs when it trains on counts.

    ``columns``
        The columns of the counts.
    ``words (C,) int64``
        The word of each.
    ``totals (C,)``
        The sum of each.
    """

    columns: Columns
    words: Array
    totals: Array


def prepare_examples(
    config: Config,
    vocabulary: Vocabulary,
    corpus: EncodedCorpus,
    folder: Path,
    shared: SharedCorpus | None = None,
    join: Join | None = None,
    saved: Array | None = None,
) -> Examples:
    """Return the examples that `examples.source` selects.

    Parameters
    ----------
    config
        The run.
    vocabulary, corpus
        As returned by `embedder.text.vocabulary.encode_corpus`.
    folder
        Where to store counts, or the parts of a split text.
    shared
        The corpus in the cache, to look up and store counts.
    join
        Joins phrases in further files.
    saved
        The column of each word in a run to resume (see `Columns.of_words`).

    Raises
    ------
    CorpusError
        If there is nothing to train on, or to validate on.
    """
    if config.examples.source == "windows":
        return _window_examples(config, vocabulary, corpus, folder, join)
    return _counted_examples(config, vocabulary, corpus, folder, shared, saved)


def _counted_examples(
    config: Config,
    vocabulary: Vocabulary,
    corpus: EncodedCorpus,
    folder: Path,
    shared: SharedCorpus | None,
    saved: Array | None,
) -> Examples:
    """Return the examples from co-occurrence counts."""
    V, limit = len(vocabulary), config.training.memory_limit
    options = CountingOptions(config.examples, limit)

    def count_into(validation: bool, target: Path) -> Cooccurrences:
        wanted = token_sample(config, vocabulary, validation)
        return count_cooccurrences(corpus.ids, wanted, options, target)

    def count(validation: bool) -> Cooccurrences:
        if shared is None:
            return count_into(validation, folder)
        return shared.counts(config, validation, partial(count_into, validation))

    counts = count(validation=False)
    words = context_words(V, config.examples)
    matrix = PmiOptions(folder, limit)
    start = SpectralStart(config, lambda: positive_pmi(counts, words, matrix))
    kept = vocabulary.counts * vocabulary.keep_probabilities(config.vocabulary.subsample)
    columns, central = choose_run_columns(config, words, start, kept, saved)

    def rows_of(counts: Cooccurrences, name: str) -> CountedRows:
        path = folder / name
        return CountedRows(*group_counts(counts, columns, kept, path, limit))

    rows = rows_of(counts, "grouped")
    held_out = None
    if config.validation.fraction > 0:
        held_out = rows_of(count(validation=True), "validation-grouped")
    if columns.are_grouped and shared is None:  # no longer needed
        for file in (*folder.glob("cells.*"), *folder.glob("validation.*")):
            file.unlink()
    outputs = Outputs(columns, central, rows.counts.column_totals(columns.total))
    return examples_of_counts(config, outputs, rows, start, held_out)._replace(counted=rows)


def choose_run_columns(
    config: Config,
    words: Array,
    start: SpectralStart,
    kept: Array,
    saved: Array | None,
) -> tuple[Columns, Array]:
    """Return the columns of the counts, and the word of each.

    Parameters
    ----------
    config
        The run.
    words : (V + 2 N,)
        The word of every context.
    start
        Factorises the counts, if any words are grouped.
    kept : (V,)
        How often each word is expected in the sampled text.
    saved
        The columns of a run to resume; the words of classes, needed for a start only, are then −1.
    """
    V, near = len(kept), count_near(config, len(kept))
    own, classes = own_contexts(config, V), context_classes(config, V)
    if classes == 0:
        return one_column_per_word(V, near), words
    if saved is not None:
        columns = Columns(saved, near)
        return columns, np.full(columns.total, -1)
    vectors = start.factors().left  # the signs of context vectors change no angle
    return choose_columns(ColumnSizes(own, classes, near), vectors, kept)


def examples_of_counts(
    config: Config, outputs: Outputs, rows: Rows, spectral: SpectralStart, held_out: Rows | None
) -> Examples:
    """Return the examples from counts in this process or on a cluster.

    Parameters
    ----------
    config
        The run.
    outputs
        The columns of the counts.
    rows
        The rows of the counts.
    spectral
        Factorises the counts.
    held_out
        The rows of the held-out counts.
    """
    stream = RowStream(rows, config)

    def start(composition: Composition) -> Parameters:
        network = config.network
        rng = np.random.default_rng(config.training.seed)
        factors = None
        if network.initialisation == "spectral":
            factors, rng = spectral.factors(), spectral.rng
        spectral.release()
        start = Start(outputs.totals, outputs.words, composition, factors)
        return initial_parameters(network, start, rng)

    validation: HeldOut | None = None
    if held_out is not None:
        validation = partial(cooccurrence_loss, rows=held_out, batch=stream.batch_size)
    targets = stream.sampler.mean_of(rows.cells)
    return Examples(stream, start, targets, validation, columns=outputs.columns, totals=rows.totals)


def _window_examples(
    config: Config,
    vocabulary: Vocabulary,
    corpus: EncodedCorpus,
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
        partial(_start_from_windows, config, vocabulary, split.training, folder),
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
        limit = config.training.memory_limit
        options = CountingOptions(examples, limit)
        wanted = TokenSample(keep, config.training.seed)
        counts = count_cooccurrences(training, wanted, options, folder)
        rank = max(network.dimension, network.hidden)
        matrix = PmiOptions(folder, limit)
        factors = factorise_pmi(counts, words, rank, rng, matrix)
    K = vectors_per_input(config.examples, network)
    start = Start(vocabulary.counts, words, composition, factors, K)
    parameters = initial_parameters(network, start, rng)
    return with_class_rows(config.loss, vocabulary.counts, parameters)
