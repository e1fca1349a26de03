"""More text for a trained run: vectors for the words that it brings, and news about known words.

W1, b1, W2 and b2 stay as they are, so that each row of E is a small problem of its own (see
`embedder.training.row_fit`), and new vectors lie in the space of the old ones. Neighbours that the
network has no output for, the new words themselves, are left out of the counts: what remains is the
distribution over the words that it knows.

* A new word w minimises n_w CE_w(x) + λ/2 |x|², as rare words do in a training.
* A known word keeps its row to the bit or, to refine it, minimises

      n_w CE_w(x) + ½ (x − x0_w)ᵀ (m_w P + λ I) (x − x0_w)

  n_w and CE_w are those of the new text, x0_w is the old row, and m_w the neighbours that it was
  fitted to: the second term is the loss on the old text, expanded at its minimum. The counts of
  both texts then weigh alike, without the old text.
"""

import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from embedder.arrays import Array, unit_rows
from embedder.config import Config
from embedder.config_sections.comparisons import ReplicatesConfig
from embedder.config_sections.network import ExamplesConfig
from embedder.errors import RunError
from embedder.examples.batches import CountedRows
from embedder.examples.columns import group_counts
from embedder.examples.cooccurrence import CountingOptions, TokenSample, count_cooccurrences
from embedder.network.activation import activate
from embedder.network.composition import OwnRows
from embedder.network.parameters import Parameters
from embedder.runs.checkpoint import Kept, Model, load_model, save_model_with_fallback
from embedder.runs.progress import progress_bar, reading_bar, say
from embedder.runs.run_folder import WORK_PREFIX, RunFolder
from embedder.storage import describe_write_error
from embedder.text.vocabulary import (
    Vocabulary,
    automatic_threshold,
    extend_vocabulary,
    keep_probabilities,
)
from embedder.training.descent import Prior
from embedder.training.frozen_layers import FrozenLayers
from embedder.training.local import TextReader
from embedder.training.row_fit import RowMap, fit_here, fits_with_prior
from embedder.vectors.from_run import sum_matrices, with_fitted_subwords

_SHOWN = 5


class Moved(NamedTuple):
    """A known word that new text moved.

    ``cosine``
        Of its hidden vector before and after.
    ``before``, ``new``
        The neighbours that its row was fitted to, and those in the new text.
    """

    word: str
    cosine: float
    before: float
    new: float


class Update(NamedTuple):
    """What an update did.

    ``words``
        The number of words that the run now has.
    ``tokens``
        The number of words in the text.
    ``new``
        The new words, most frequent first.
    ``left_out``
        New words without a known word beside them, which have no vector.
    ``moved``
        The known words that were refined, the one that moved most first.
    """

    words: int
    tokens: int
    new: list[str]
    left_out: list[str]
    moved: list[Moved]
    seconds: float

    def describe_left_out(self) -> str:
        """Return a sentence about the new words without a vector, of which there are some."""
        words, total = ", ".join(self.left_out[:_SHOWN]), len(self.left_out)
        more = ", …" * (total > _SHOWN)
        return f"Left out {total:,} new words that have no known word beside them: {words}{more}"


class UpdateOptions(NamedTuple):
    """How a run is updated.

    ``output``
        The folder of the new run.
    ``files``
        Names of the text, for the new run's configuration.
    ``min_count``
        Ignore new words that occur fewer times in the text; None for the run's own limit.
    ``refine``
        Whether to move the vectors of known words.
    ``overwrite``
        Whether to replace a run in the output folder.
    ``quiet``
        Show no progress bars.
    """

    output: Path
    files: list[str]
    min_count: int | None = None
    refine: bool = False
    overwrite: bool = False
    quiet: bool = False


class _Text(NamedTuple):
    """The new text.

    ``vocabulary``
        The known words, then the new ones, with their counts in this text.
    ``tokens``
        The number of words in it.
    ``keep (V,) float64``
        The probability with which an occurrence of each word is counted.
    ``rows``
        The counts of all words.
    """

    vocabulary: Vocabulary
    tokens: int
    keep: Array
    rows: CountedRows


def updatable_model(run: Path, refine: bool = False) -> Model:
    """Load a finished run that can learn from more text.

    Raises
    ------
    RunError
        If it is missing or damaged, did not finish, shares rows between words, was not trained on
        counts, or lacks what `refine` needs.
    """
    model = load_model(run)
    config = model.config
    if not RunFolder(run).model.exists():
        raise RunError(f"{run}: not finished; finish it with: embedder train --resume {run}")
    if config.examples.source != "cooccurrence":
        raise RunError(
            f"{run}: trained on windows; expected a run trained on counts (examples.source "
            "cooccurrence), whose rows can be fitted by themselves."
        )
    if config.subwords.shared:
        raise RunError(
            f"{run}: its words share rows of n-grams or other parts, so that one word's text would "
            "move others too; expected a run without subwords or with subwords.mode after (here, "
            "unknown words have vectors composed of their parts)."
        )
    if config.network.vectors == "output":
        raise RunError(
            f"{run}: its vectors are those of the output layer, which an update does not change; "
            "expected a run with network.vectors input, hidden or sum."
        )
    if refine and model.kept.totals is None:
        raise RunError(
            f"{run}: written by an earlier version, without the totals of its counts, which weight "
            "old vectors; update it without --refine, or train it again."
        )
    return model


def update(
    run: Path, read: TextReader, options: UpdateOptions, fit_rows: RowMap = fit_here
) -> Update:
    """Write a run with the words of another, and with those of more text.

    Parameters
    ----------
    run
        A finished run.
    read
        The text: returns blocks as `embedder.text.corpus.read_text` yields them, given a function
        to report progress to.
    options
        How.
    fit_rows
        Fits ranges of rows.

    Raises
    ------
    EmbedderError
        For anything that a user can fix.
    """
    from embedder.kernels.compiler import compiling
    from embedder.kernels.threads import available_threads, kernel_threads

    started, output = time.perf_counter(), options.output
    if output.exists() and output.resolve() == run.resolve():
        raise RunError(f"{output}: this is the run to update; choose another --output.")
    model = updatable_model(run, options.refine)
    folder = RunFolder(output)
    threads = model.config.training.threads or available_threads()
    try:
        folder.claim(options.overwrite)
        with (
            compiling(None if options.quiet else say),
            kernel_threads(threads),
            tempfile.TemporaryDirectory(prefix=WORK_PREFIX, dir=output) as work,
        ):
            text = _count(model, read, options, Path(work))
            updated, left_out = _fit(model, text, options, fit_rows)
            updated = with_fitted_subwords(updated)
        seconds = time.perf_counter() - started
        updated.metadata["updates"] = [
            *model.metadata.get("updates", []),
            _record(model, updated, text, options, seconds),
        ]
        folder.begin(updated.config, updated.vocabulary, updated.parts, updated.phrases)
        own = updated.metadata | {
            "config": updated.config.model_dump(mode="json"),
            "vocabulary": updated.vocabulary.digest(),
            "composition": updated.composition.digest(),
        }
        save_model_with_fallback(folder.model, updated.parameters, own, updated.kept)
    except OSError as error:
        raise RunError(describe_write_error(output, error)) from error
    finally:
        folder.release()
    moved = _moved(model, updated, text) if options.refine else []
    new = updated.vocabulary.words[len(model.vocabulary) :]
    return Update(len(updated.vocabulary), text.tokens, new, left_out, moved, seconds)


def _count(model: Model, read: TextReader, options: UpdateOptions, work: Path) -> _Text:
    """Read and count the new text."""
    config, columns = model.config, model.columns
    settings = config.vocabulary
    if options.min_count is not None:
        settings = settings.model_copy(update={"min_count": options.min_count})
    with reading_bar(options.quiet) as bar:
        blocks, join = read(bar.update), model.phrases.join_file
        vocabulary, corpus = extend_vocabulary(blocks, model.vocabulary, settings, work, join)
    new = vocabulary.counts[len(model.vocabulary) :]
    own = keep_probabilities(new, int(vocabulary.counts.sum()), threshold_of(model))
    keep = np.concatenate([model.keep_probabilities(), own])
    limit = config.training.memory_limit
    counting = CountingOptions(examples_of(model), limit)
    sample = TokenSample(keep, config.training.seed)
    counts = count_cooccurrences(corpus.ids, sample, counting, work)
    none = np.full(len(new), -1, np.int32)
    columns = columns._replace(of_words=np.concatenate([columns.of_words, none]))
    grouped, _ = group_counts(counts, columns, vocabulary.counts * keep, work / "grouped", limit)
    return _Text(vocabulary, corpus.tokens, keep, CountedRows(grouped))


def threshold_of(model: Model) -> float:
    """Return the threshold of subsampling that the run used."""
    wanted = model.config.vocabulary.subsample
    return automatic_threshold(int(model.vocabulary.counts.sum())) if wanted == "auto" else wanted


def examples_of(model: Model) -> ExamplesConfig:
    """Return how more text is counted for a run: with as many position-specific contexts."""
    near = model.columns.near
    changed = {"near_contexts": near} if near else {"near": 0}
    return model.config.examples.model_copy(update=changed)


def _fit(
    model: Model, text: _Text, options: UpdateOptions, fit_rows: RowMap
) -> tuple[Model, list[str]]:
    """Return the run with the new text's rows, and the new words that have no neighbour in it."""
    config, (E, *layers) = model.config, model.parameters
    V, V_new = len(model.vocabulary), len(text.vocabulary)
    fitted = np.concatenate([E, np.zeros((V_new - V, E.shape[1]), E.dtype)])
    totals = np.zeros(V_new)
    if model.kept.totals is not None:
        totals[:V] = model.kept.totals
    first = 0 if options.refine else V
    prior = Prior(config.training.prior_strength, fitted[first:].copy(), totals[first:].copy())
    with progress_bar(options.quiet, total=V_new - first, desc="rows", unit=" words") as bar:
        network = FrozenLayers(config.network.activation, model.parameters)
        work = fits_with_prior(fitted[first:], text.rows, prior, first)
        for word, rows in fit_rows(network, work):
            fitted[word : word + len(rows)] = rows
            bar.update(len(rows))
    totals[first:] += text.rows.totals[first:]
    placed = np.flatnonzero((np.arange(V_new) < V) | (text.rows.totals > 0))
    words = text.vocabulary.words
    counts_of_all = text.vocabulary.counts.copy()
    counts_of_all[:V] += model.vocabulary.counts
    of_words = np.concatenate([model.columns.of_words, np.full(V_new - V, -1, np.int32)])
    matrices = model.kept.matrices
    if matrices is None:
        columns = model.columns.of_words
        matrices = sum_matrices(model.parameters, config.network.activation, columns)
    kept = Kept(
        of_words[placed],
        None if model.kept.totals is None else totals[placed],
        text.keep[placed],
        matrices,
    )
    vocabulary = Vocabulary([words[i] for i in placed], counts_of_all[placed])
    updated = model._replace(
        config=_config(model, options),
        vocabulary=vocabulary,
        parameters=Parameters(fitted[placed], *layers),
        metadata=dict(model.metadata),
        composition=OwnRows(len(placed)),
        kept=kept,
    )
    known = set(vocabulary.words)
    return updated, [word for word in words[V:] if word not in known]


def _config(model: Model, options: UpdateOptions) -> Config:
    """Return the configuration of the new run, with what was chosen for the old text."""
    config = model.config
    files = [*config.corpus.files, *options.files]
    return config.model_copy(
        update={
            "corpus": config.corpus.model_copy(update={"files": files}),
            "vocabulary": config.vocabulary.model_copy(update={"subsample": threshold_of(model)}),
            "examples": examples_of(model),
            "replicates": ReplicatesConfig(),
            "output": str(options.output),
        }
    )


def _record(
    model: Model, updated: Model, text: _Text, options: UpdateOptions, seconds: float
) -> dict[str, Any]:
    """Return what the new run says about its update."""
    updated.metadata["tokens"] = model.metadata.get("tokens", 0) + text.tokens
    return {
        "files": options.files,
        "tokens": text.tokens,
        "new_words": len(updated.vocabulary) - len(model.vocabulary),
        "refined": options.refine,
        "seconds": seconds,
    }


def _moved(model: Model, updated: Model, text: _Text) -> list[Moved]:
    """Return the known words that occur in the new text, the one that moved most first."""
    (E, W1, b1, _, _), activation = model.parameters, model.config.network.activation
    ids = np.flatnonzero(text.rows.totals[: len(E)] > 0)
    before, after = (
        unit_rows(activate(rows[ids] @ W1 + b1, activation)) for rows in (E, updated.parameters.E)
    )
    cosines = np.einsum("ij,ij->i", before, after)
    totals = model.kept.totals
    assert totals is not None  # `updatable_model` has seen to it
    return [
        Moved(
            model.vocabulary.words[ids[i]],
            float(cosines[i]),
            float(totals[ids[i]]),
            float(text.rows.totals[ids[i]]),
        )
        for i in np.argsort(cosines, kind="stable")
    ]
