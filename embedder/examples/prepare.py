"""From a corpus of ids to what a network trains on: counts, or windows of the text."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from embedder.arrays import Array
from embedder.config import Config
from embedder.examples.batches import CountedRows, Rows, RowStream, Stream
from embedder.examples.cooccurrence import Cooccurrences, context_words, count_cooccurrences
from embedder.examples.held_out import compare_with_ngram, cooccurrence_loss, window_log_likelihoods
from embedder.examples.sharing import SharedCorpus
from embedder.examples.spectral import factorise, factorise_pmi, positive_pmi_matrix
from embedder.examples.windows import WindowStream, split_text, vectors_side_by_side
from embedder.network.composition import Composition
from embedder.network.losses.classes import with_class_rows
from embedder.network.network import Network
from embedder.network.parameters import Parameters, start_parameters
from embedder.text.vocabulary import EncodedCorpus, Join, Vocabulary

HeldOut = Callable[[Network], float]
"""Cross-entropy of held-out text in nats a word."""


class Examples(NamedTuple):
    """What a network trains on, and how it starts.

    ``stream``
        Batches.
    ``start``
        Makes the parameters before training, for words composed of shared rows or not.
    ``targets``
        How many targets an example has in the mean.
    ``validation``
        None where no text is held out.
    ``test``
        The same for the text that is kept for the end.
    ``ngram``
        Returns the losses of an n-gram model, and of its mixture with the network.
    """

    stream: Stream
    start: Callable[[Composition | None], Parameters]
    targets: float
    validation: HeldOut | None
    test: HeldOut | None = None
    ngram: Callable[[Network], dict[str, float]] | None = None


def prepare_examples(
    config: Config,
    vocabulary: Vocabulary,
    corpus: EncodedCorpus,
    threads: int,
    folder: Path,
    shared: SharedCorpus | None = None,
    join: Join | None = None,
) -> Examples:
    """Return what `examples.source` says.

    Parameters
    ----------
    config
        The run.
    vocabulary, corpus
        As `embedder.text.vocabulary.encode_corpus` returns them.
    threads
        Parts that the work is cut into.
    folder
        Where counts, or the parts of a text that is split, are written.
    shared
        Where counts are looked for first, and kept.
    join
        Joins phrases in more text.

    Raises
    ------
    CorpusError
        If there is nothing to train on, or to validate with.
    """
    if config.examples.source == "windows":
        return _lay_windows(config, vocabulary, corpus, threads, folder, join)
    return _count(config, vocabulary, corpus, threads, folder, shared)


def _count(
    config: Config,
    vocabulary: Vocabulary,
    corpus: EncodedCorpus,
    threads: int,
    folder: Path,
    shared: SharedCorpus | None,
) -> Examples:
    """Make examples of co-occurrence counts."""
    seed = config.training.seed

    def count_in(validation: bool, place: Path) -> Cooccurrences:
        return count_cooccurrences(
            corpus.ids,
            vocabulary.keep_probabilities(config.vocabulary.subsample),
            config.examples,
            seed,
            threads,
            place,
            config.validation.fraction,
            validation,
            config.training.memory_limit,
        )

    def count(validation: bool) -> Cooccurrences:
        if shared is None:
            return count_in(validation, folder)
        return shared.counts(config, validation, partial(count_in, validation))

    counts = count(validation=False)
    rows = CountedRows(counts)
    words = context_words(len(vocabulary), config.examples)
    return examples_of_counts(
        config,
        vocabulary,
        rows,
        counts.column_totals(len(words)),
        lambda: positive_pmi_matrix(counts, words, rows.totals, threads),
        CountedRows(count(validation=True)) if config.validation.fraction > 0 else None,
    )


def examples_of_counts(
    config: Config,
    vocabulary: Vocabulary,
    rows: Rows,
    context_totals: Array,
    make_pmi: Callable[[], Callable[[Array], Array]],
    held_out: Rows | None,
) -> Examples:
    """Return counts as examples, wherever they are.

    Parameters
    ----------
    config
        The run.
    vocabulary
        V words.
    rows
        Those of the counts.
    context_totals : (C,)
        The sum of each column.
    make_pmi
        Returns what multiplies by their positive PMI matrix; for a spectral start.
    held_out
        Those of the text that validates.
    """
    stream = RowStream(rows, config)

    def start(composition: Composition | None) -> Parameters:
        network = config.network
        rng = np.random.default_rng(config.training.seed)
        words = context_words(len(vocabulary), config.examples)
        factors = None
        if network.initialisation == "spectral":
            rank = max(network.dimension, network.hidden)
            factors = factorise(make_pmi(), len(vocabulary), rank, rng)
        return start_parameters(
            network, context_totals, words, rng, factors, composition=composition
        )

    validation: HeldOut | None = None
    if held_out is not None:
        validation = partial(cooccurrence_loss, rows=held_out, batch=stream.batch_size)
    return Examples(stream, start, stream.sampler.mean_of(rows.cells), validation)


def _lay_windows(
    config: Config,
    vocabulary: Vocabulary,
    corpus: EncodedCorpus,
    threads: int,
    folder: Path,
    join: Join | None,
) -> Examples:
    """Make examples of the windows of the text."""
    seed = config.training.seed
    split = split_text(corpus.ids, vocabulary, config, folder, join)

    def start(composition: Composition | None) -> Parameters:
        network = config.network
        width = vectors_side_by_side(config.examples, network)
        rng = np.random.default_rng(seed)
        words = np.arange(len(vocabulary))
        factors = None
        if network.initialisation == "spectral":
            counts = count_cooccurrences(
                split.training,
                vocabulary.keep_probabilities(config.vocabulary.subsample),
                config.examples.model_copy(update={"near": 0}),
                seed,
                threads,
                folder,
                memory_limit=config.training.memory_limit,
            )
            factors = factorise_pmi(
                counts, words, max(network.dimension, network.hidden), rng, threads
            )
        parameters = start_parameters(
            network,
            vocabulary.counts,
            words,
            rng,
            factors,
            width=width,
            composition=composition,
        )
        return with_class_rows(config.loss, vocabulary.counts, parameters)

    def loss_of(ids: Array | None) -> HeldOut | None:
        if ids is None:
            return None
        return lambda network: (
            -float(window_log_likelihoods(network, ids, config, config.training.batch_size).mean())
        )

    stream = WindowStream(split.training, vocabulary, config)
    held_out = {
        name: ids
        for name, ids in (("validation", split.validation), ("test", split.test))
        if ids is not None
    }

    def ngram(network: Network) -> dict[str, float]:
        return compare_with_ngram(network, config, split.training, held_out, len(vocabulary))

    with_ngram = config.evaluation.ngram and split.validation is not None
    return Examples(
        stream,
        start,
        1.0,
        loss_of(split.validation),
        loss_of(split.test),
        ngram if with_ngram else None,
    )
