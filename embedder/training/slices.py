"""Vectors for slices of a text, such as decades, all in one space, and a test for what changed.

The network is trained on all text. Its layers above E then stay as they are, and each slice's rows
are fitted to the slice's own counts (see `embedder.training.row_fit`),

    n_ws CE_ws(x) + ½ (x − x0_w)ᵀ (m P + λ I) (x − x0_w)

with x0 the vector of the whole corpus, or of the slice before, and m `slices.prior_weight`. This is
the compass of Di Carlo et al. (2019), exact instead of sampled: no slice needs to be aligned. Every
slice is a run like any other in the folder `slices` of the run, with its own counts of words; its
vectors are the hidden ones, as output vectors do not differ between slices.

The same frozen layers make the test of `embedder.kernels.changes` possible, whose results are
stored beside the slices.
"""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from embedder.arrays import Array, offsets_from_lengths
from embedder.config import Config
from embedder.config_sections.comparisons import ReplicatesConfig, SlicesConfig
from embedder.config_sections.text import CorpusConfig
from embedder.errors import RunError, VocabularyError
from embedder.examples.batches import CountedRows
from embedder.examples.columns import group_counts
from embedder.examples.cooccurrence import CountingOptions, count_sample, distance_weights
from embedder.runs.checkpoint import Model, save_model
from embedder.runs.progress import progress_bar, reading_bar, say
from embedder.runs.run_folder import WORK_PREFIX, RunFolder
from embedder.runs.slice_folder import SliceFolder, WordTest
from embedder.storage import describe_write_error
from embedder.text.corpus import read_text
from embedder.text.slices import TEXT_FIELD, split_by_field
from embedder.text.vocabulary import Vocabulary, encode_text
from embedder.training.descent import Prior
from embedder.training.frozen_layers import FrozenLayers
from embedder.training.row_fit import RowMap, fit_here, fits_with_prior
from embedder.training.update import examples_of, threshold_of, updatable_model
from embedder.vectors.from_run import sum_matrices

if TYPE_CHECKING:
    from embedder.kernels.changes import ChangeTests

_SENTENCE_END = np.array([-1], np.int32)
_OTHER_DRAWS = 1 << 40
"""Added to the seed that drops occurrences of frequent words. A network knows the very sample that
it was trained on too well: with its draws, the first slice would differ from all others."""


class _Slice(NamedTuple):
    """The text of a slice: its sampled ids (n,) int32, and how often each word occurs (V,)."""

    ids: Array
    counts: Array
    tokens: int


class _Work(NamedTuple):
    """What the slices of a run have in common.

    ``run``, ``model``
        The run on all text.
    ``layers``
        Its frozen layers.
    ``matrices``
        Those that make its `sum` vectors; see `Kept`.
    ``folder``
        For temporary files.
    ``fit_rows``
        Fits ranges of rows.
    """

    run: Path
    model: Model
    layers: FrozenLayers
    matrices: Array
    folder: Path
    quiet: bool
    fit_rows: RowMap


def fit_slices(
    run: Path, config: Config, quiet: bool = False, fit_rows: RowMap = fit_here
) -> list[str]:
    """Fit the vectors of all slices, and test which words changed between them.

    Parameters
    ----------
    run
        A finished run on all text; receives the folder `slices`, which is replaced.
    config
        `slices`, and how the text is read.
    quiet
        Show no progress bars.
    fit_rows
        Fits ranges of rows.

    Returns
    -------
    list of str
        The names of the slices, in order.

    Raises
    ------
    EmbedderError
        For anything that a user can fix.
    """
    from embedder.kernels.compiler import compiling
    from embedder.kernels.threads import available_threads, kernel_threads

    model = updatable_model(run)
    owner = RunFolder(run)
    threads = config.training.threads or available_threads()
    try:
        owner.lock()
        with (
            compiling(None if quiet else say),
            kernel_threads(threads),
            tempfile.TemporaryDirectory(prefix=WORK_PREFIX, dir=run) as scratch,
        ):
            layers = FrozenLayers(config.network.activation, model.parameters)
            matrices = model.kept.matrices
            if matrices is None:
                matrices = sum_matrices(
                    model.parameters, config.network.activation, model.columns.of_words
                )
            work = _Work(run, model, layers, matrices, Path(scratch), quiet, fit_rows)
            return _fit_all(work, config)
    except OSError as error:
        raise RunError(describe_write_error(run, error)) from error
    finally:
        owner.release()


def _fit_all(work: _Work, config: Config) -> list[str]:
    """Fit and test all slices, put them in place, and return their names."""
    corpus, files = config.corpus, config.slices.files
    if config.slices.field is not None:
        files = split_by_field(corpus, config.slices.field, work.folder)
        corpus = corpus.model_copy(update={"text_field": TEXT_FIELD})
    staged = work.folder / "slices"
    texts = []
    previous = work.model.parameters.E
    for name, own in files.items():
        texts.append(_read(work, config, name, corpus.model_copy(update={"files": own})))
        E, totals = _fit(work, config, texts[-1], previous)
        _save(work, config, staged / name, texts[-1], E, totals)
        if config.slices.prior == "previous":
            previous = E
    SliceFolder(work.run).write(staged, list(files), _test(work, config, texts))
    return list(files)


def _read(work: _Work, config: Config, name: str, corpus: CorpusConfig) -> _Slice:
    """Read and sample the text of a slice."""
    from embedder.kernels.counts import count_tokens, sample_tokens

    model, number = work.model, len(list(work.folder.glob("*.sample")))
    with reading_bar(work.quiet) as bar:
        blocks = read_text(corpus, bar.update)
        unknown, join = config.vocabulary.unknown, model.phrases.join_file
        try:
            encoded, _ = encode_text(
                blocks, model.vocabulary, unknown, work.folder, f"{number}", join
            )
        except VocabularyError as error:
            raise VocabularyError(f"slice {name}: {error}") from None
    counts = np.zeros(len(model.vocabulary), np.int64)
    ids = np.asarray(encoded.ids)
    count_tokens(ids, counts)
    path = work.folder / f"{number}.sample"
    sample: Array = np.memmap(path, np.int32, mode="w+", shape=len(ids))
    keep, seed = model.keep_probabilities(), config.training.seed + _OTHER_DRAWS
    kept = sample_tokens(ids, keep, seed, 0.0, False, sample)
    return _Slice(sample[:kept], counts, encoded.tokens)


def _fit(work: _Work, config: Config, text: _Slice, means: Array) -> tuple[Array, Array]:
    """Return the rows of E (V, D) for a slice, and the neighbours they were fitted to (V,)."""
    model, limit = work.model, config.training.memory_limit
    V = len(model.vocabulary)
    options = CountingOptions(examples_of(model), limit)
    counts = count_sample(text.ids, V, options, work.folder / "cells")
    path = work.folder / "grouped"
    kept = model.vocabulary.counts * model.keep_probabilities()
    rows = CountedRows(*group_counts(counts, model.columns, kept, path, limit))
    E = means.copy()
    weights = np.full(V, config.slices.prior_weight)
    prior = Prior(config.training.prior_strength, means, weights)
    with progress_bar(work.quiet, total=V, desc="rows", unit=" words", leave=False) as bar:
        for word, fitted in work.fit_rows(work.layers, fits_with_prior(means, rows, prior)):
            E[word : word + len(fitted)] = fitted
            bar.update(len(fitted))
    return E, rows.totals


def _save(work: _Work, config: Config, path: Path, text: _Slice, E: Array, totals: Array) -> None:
    """Write the run of a slice."""
    model, folder = work.model, RunFolder(path)
    network = model.config.network
    kind = "hidden" if network.vectors == "sum" else network.vectors
    files = config.slices.files.get(path.name, config.corpus.files)
    own = model.config.model_copy(
        update={
            "corpus": model.config.corpus.model_copy(update={"files": files}),
            "vocabulary": model.config.vocabulary.model_copy(
                update={"subsample": threshold_of(model)}
            ),
            "examples": examples_of(model),
            "network": network.model_copy(update={"vectors": kind}),
            "slices": SlicesConfig(),
            "replicates": ReplicatesConfig(),
            "output": str(SliceFolder(work.run).run_of(path.name)),
        }
    )
    vocabulary = Vocabulary(model.vocabulary.words, text.counts)
    path.mkdir(parents=True)
    folder.begin(own, vocabulary, model.parts, model.phrases)
    metadata = model.metadata | {
        "slice": path.name,
        "tokens": text.tokens,
        "vectors": kind,
        "config": own.model_dump(mode="json"),
        "vocabulary": vocabulary.digest(),
        "composition": model.composition.digest(),
    }
    kept = model.kept._replace(
        totals=totals, keep=model.keep_probabilities(), matrices=work.matrices, subwords=None
    )
    save_model(folder.model, model.parameters._replace(E=E), metadata, kept)


def _test(work: _Work, config: Config, texts: list[_Slice]) -> list[WordTest]:
    """Test for every word whether its neighbours differ between the slices."""
    from embedder.kernels.changes import ChangeTests, Outputs, Slices, permute_slices
    from embedder.kernels.counts import PositionIndex, count_tokens, index_positions

    model, examples = work.model, examples_of(work.model)
    V = len(model.vocabulary)
    ids = np.concatenate([part for text in texts for part in (text.ids, _SENTENCE_END)])
    blocks, owners = _cut_blocks(texts, config.slices.block)
    counts = np.zeros(V, np.int64)
    count_tokens(ids, counts)
    starts = offsets_from_lengths(counts)
    index = PositionIndex(ids, starts, np.empty(starts[-1], np.int64))
    index_positions(index, 0)
    curvature, directions = work.layers.curvature
    projection = work.layers.jacobian.T @ directions
    outputs = Outputs(
        model.columns.of_contexts(),
        examples.near,
        distance_weights(examples),
        (model.parameters.W2 @ projection).astype(np.float32),
        curvature,
        config.training.prior_strength,
    )
    tests = ChangeTests(*(np.empty(V) for _ in ChangeTests._fields))
    slices = Slices(blocks, owners, len(texts))
    permute_slices(index, slices, outputs, config.slices.permutations, config.training.seed, tests)
    words, p = model.vocabulary.words, _p_values(tests)
    return [
        WordTest(
            words[i],
            float(tests.totals[i]),
            float((tests.observed[i] - tests.noise[i]) / tests.totals[i]),
            float(p[i]),
        )
        for i in np.flatnonzero(tests.totals > 0)
    ]


def _p_values(tests: "ChangeTests") -> Array:
    """Return the p-values of words, (V,), those of the tail where few permutations reach T."""
    from scipy.stats import pearson3

    from embedder.kernels.changes import TOO_FEW

    p = tests.p.copy()
    tail = np.flatnonzero((tests.reached < TOO_FEW) & (tests.deviation > 0))
    noise, deviation = tests.noise[tail], tests.deviation[tail]
    # Few draws underestimate how skewed they are; a gamma distribution has at least this skewness.
    skewness = np.maximum(tests.skewness[tail], 2 * deviation / noise)
    standard = (tests.observed[tail] - noise) / deviation
    p[tail] = np.maximum(pearson3.sf(standard, skewness), np.finfo(np.float64).tiny)
    return p


def _cut_blocks(texts: list[_Slice], length: int) -> tuple[Array, Array]:
    """Cut the slices into blocks of about so many words, between sentences where possible.

    Returns
    -------
    (n,) int32
        The block of every position, and of the sentence end after each slice.
    (B,) int32
        The slice of every block.
    """
    blocks: list[Array] = []
    owners: list[Array] = []
    first = 0
    for number, text in enumerate(texts):
        is_word = np.append(text.ids >= 0, False)
        before = np.cumsum(is_word) - is_word
        sentence = np.cumsum(~is_word) - ~is_word
        start = before[np.searchsorted(sentence, sentence)]
        found = (start + (before - start) // length * length) // length
        found = np.cumsum(np.diff(found, prepend=found[:1]) != 0)  # without gaps
        blocks.append(first + found)
        first += int(found[-1]) + 1
        owners.append(np.full(int(found[-1]) + 1, number))
    return np.concatenate(blocks).astype(np.int32), np.concatenate(owners).astype(np.int32)
