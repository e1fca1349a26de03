"""Terminal tables of results."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from embedder.config import Config
from embedder.evaluation.analogies import AnalogyResult, Score
from embedder.evaluation.bootstrap import Difference
from embedder.evaluation.changes import Change
from embedder.evaluation.perplexity import Perplexity
from embedder.evaluation.similarity import SimilarityResult
from embedder.evaluation.stability import Band
from embedder.evaluation.suite import Results
from embedder.runs.checkpoint import Model
from embedder.runs.replicate_folder import KINDS, ReplicateFolder
from embedder.text.phrases import Phrases
from embedder.vectors.replicates import LEVEL, Estimate, Replicates
from embedder.vectors.word_vectors import WordVectors

_WORDS_SHOWN = 5
_FUNCTION_WORDS = 100
"""Examples skip this many of the most frequent words, mostly function words."""


def table(header: Sequence[str], rows: Sequence[Sequence[str]], indent: str = "  ") -> str:
    """Return a table: the first column aligned to the left, the others to the right."""
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]
    lines = []
    for row in [header, *rows]:
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        lines.append((indent + "  ".join(cells)).rstrip())
    return "\n".join(lines)


def description_of_vectors(vectors: WordVectors) -> list[tuple[str, str]]:
    """Return names and values that describe vectors."""
    words, length = vectors.matrix.shape
    counts = vectors.vocabulary.counts
    rows = [
        ("words", f"{words:,}, such as {', '.join(vectors.words[:_WORDS_SHOWN])}"),
        ("dimensions", f"{length:,}"),
        ("lengths", f"{vectors.lengths.min():.3g} to {vectors.lengths.max():.3g}"),
    ]
    if counts.any():  # files have none
        rows.append(("counts", f"{counts.min():,} to {counts.max():,}"))
    if vectors.subwords is not None:
        rows.append(("unknown words", "have vectors, composed of their parts"))
    return rows


def description_of_run(model: Model) -> list[tuple[str, str]]:
    """Return names and values that describe a run, beside its vectors."""
    config, metadata = model.config, model.metadata
    network, training = config.network, config.training
    rows = [
        ("vectors", f"{network.vectors}; --vectors shows others"),
        ("text", f"{', '.join(config.corpus.files)}; {metadata.get('tokens', 0):,} tokens"),
        (
            "network",
            f"{network.input} → {network.activation} of {network.hidden} → {config.loss.name} over "
            f"{len(model.parameters.W2):,} outputs",
        ),
        (
            "trained",
            f"{metadata['passes']:g} passes from {config.examples.source}, seed {training.seed}",
        ),
    ]
    seconds = metadata.get("seconds")
    if seconds:
        stages = ", ".join(f"{stage} {own:.1f}" for stage, own in seconds.items())
        rows.append(("seconds", f"{sum(seconds.values()):.1f} ({stages})"))
    else:
        rows.append(("state", "not finished; this is its newest checkpoint"))
    for name in ("validation_loss", "test_loss"):
        if name in metadata:
            rows.append((name.replace("_", " "), f"{metadata[name]:.4f} nats per word"))
    return rows


def replicates_of_run(run: Path) -> str:
    """Return what replicates a run has, as text; empty for none."""
    folder = ReplicateFolder(run)
    samples, seeds = (len(folder.replicates(kind)) for kind in KINDS)
    kinds = (
        f"{samples} bootstrap sample{'s' * (samples > 1)} of the text" * (samples > 0),
        f"{seeds} other seed{'s' * (seeds > 1)}" * (seeds > 0),
    )
    return " and ".join(filter(None, kinds))


def interval_text(estimate: Estimate) -> str:
    """Return the interval of a cosine; a dash if there is none."""
    return "–" if math.isnan(estimate.low) else f"{estimate.low:z.2f} to {estimate.high:z.2f}"


def estimate_table(found: Sequence[Estimate], replicates: Replicates, count: int) -> str:
    """Return a row per neighbour: its similarity, the interval, and how often it is so near."""
    rows = [
        (
            own.word,
            f"{own.similarity:.4f}",
            interval_text(own),
            f"{own.share:.0%}",
        )
        for own in found
    ]
    number = f"{len(replicates)} {'samples' if replicates.kind == 'bootstrap' else 'seeds'}"
    interval, share = f"{100 * LEVEL:g} % interval", f"in the top {count} of {number}"
    header = ("word", "similarity", interval, share)
    return table(header, rows)


def stability_rows(bands: Sequence[Band]) -> tuple[Sequence[str], list[Sequence[str]]]:
    """Return a header, and one row per band of frequency: the share of neighbours in common."""
    names = list(bands[0].agreements)
    rows: list[Sequence[str]] = []
    for band in bands:
        shared = [band.agreements[name].shared for name in names]
        shares = ["–" if math.isnan(own) else f"{own:.1%}" for own in shared]
        rows.append((band.label, f"{band.words:,}", *shares))
    return ("count", "words", *names), rows


def result_tables(results: Results, tops: Sequence[int] = (1,)) -> str:
    """Return the tables of all results, each followed by an empty line."""
    found = []
    if results.analogies is not None:
        found.append(analogy_table(results.analogies, tops))
    if results.similarity:
        found.append(similarity_table(results.similarity))
    if results.outliers:
        rows = [
            (name, _share(r.accuracy), _share(r.opp), f"{r.sets:,}", f"{r.total:,}")
            for name, r in results.outliers.items()
        ]
        found.append(table(("outliers", "accuracy", "OPP", "sets", "of"), rows))
    if results.categories:
        rows = [
            (name, _share(r.purity), f"{r.categories:,}", f"{r.words:,}", f"{r.total:,}")
            for name, r in results.categories.items()
        ]
        found.append(table(("categories", "purity", "clusters", "words found", "of"), rows))
    if results.composed:
        found.append(
            f"  Unknown words with vectors composed of their parts: {results.composed:,}; "
            "--restrict-vocab excludes them."
        )
    return "".join(text + "\n\n" for text in found).removesuffix("\n")


def phrase_table(phrases: Phrases, count: int) -> str:
    """Return the `count` strongest phrases of each pass."""
    parts = []
    for number, found in enumerate(phrases.passes, start=1):
        rows = [(own.joined, f"{own.score:.4g}", f"{own.times:,}") for own in found[:count]]
        heading = f"pass {number}: {len(found):,} phrases"
        parts.append(table((heading, "score", "count"), rows))
    return "\n\n".join(parts)


def analogy_table(result: AnalogyResult, tops: Sequence[int] = (1,)) -> str:
    """Return one row per section, the total with its interval, and the mean of the sections.

    Each of `tops` except 1 adds a column: the share of answers among that many best candidates.
    """
    more = [top for top in tops if top != 1]
    header = ["analogies", "accuracy", "95 % interval", *(f"top {top}" for top in more)]
    header += ["correct", "questions", "skipped"]
    rows = [
        _analogy_row(name, score, [result.section(name, top).accuracy for top in more])
        for name, score in result.sections().items()
    ]
    total = result.total()
    rows.append(_analogy_row("total", total, [result.total(top).accuracy for top in more]))
    if total.questions:
        means = [f"{result.macro(top):.3f}" for top in more]
        rows.append(["mean of sections", f"{result.macro():.3f}", "", *means, "", "", ""])
    return table(header, rows)


def _analogy_row(name: str, score: Score, more: Sequence[float]) -> list[str]:
    low, high = score.interval()
    known = score.questions > 0
    return [
        name,
        f"{score.accuracy:.3f}" if known else "–",
        f"{low:.3f} – {high:.3f}" if known else "–",
        *(f"{accuracy:.3f}" if known else "–" for accuracy in more),
        f"{score.correct:,}",
        f"{score.questions:,}",
        f"{score.skipped:,}",
    ]


def similarity_table(results: dict[str, SimilarityResult]) -> str:
    """Return one row per file."""
    rows = [
        (name, _share(r.spearman), _share(r.pearson), f"{r.pairs:,}", f"{r.total:,}")
        for name, r in results.items()
    ]
    return table(("similarity", "Spearman", "Pearson", "pairs found", "of"), rows)


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def difference_table(first: str, second: str, found: dict[str, Difference | None]) -> str:
    """Return one row per task: both scores, the difference, its interval and p-value."""
    _, rows = difference_rows(first, second, found)
    names = ("first", "second", "difference", "95 % interval", "p", "items")
    return table((f"{second} − {first}", *names), rows)


def difference_rows(
    first: str, second: str, found: dict[str, Difference | None]
) -> tuple[Sequence[str], list[Sequence[str]]]:
    """Return a header that names both models, and one row per task."""
    header = ("task", first, second, "difference", "95 % interval", "p", "items")
    rows: list[Sequence[str]] = [
        (name, "–", "–", "–", "–", "–", "0")
        if pair is None
        else (
            name,
            f"{pair.first:.3f}",
            f"{pair.second:.3f}",
            f"{pair.difference:+.3f}",
            f"{pair.interval[0]:+.3f} – {pair.interval[1]:+.3f}",
            f"{pair.p:.3f}" if pair.p >= 0.001 else "< 0.001",
            f"{pair.items:,}",
        )
        for name, pair in found.items()
    ]
    return header, rows


def change_rows(
    slices: Sequence[str], found: Sequence[Change]
) -> tuple[Sequence[str], list[Sequence[str]]]:
    """Return a header that names the slices, and one row per word that changed."""
    header = ("word", "change", "p", "q", "cosine", f"count in {', '.join(slices)}")
    rows: list[Sequence[str]] = [
        (
            own.word,
            f"{own.change:.3f}",
            _probability(own.p),
            _probability(own.q),
            f"{own.similarity:.2f}",
            " ".join(f"{n:,}" for n in own.counts),
        )
        for own in found
    ]
    return header, rows


def _probability(value: float) -> str:
    return f"{value:.4f}" if value >= 0.0001 else "< 0.0001"


def perplexity_table(results: dict[str, Perplexity]) -> str:
    """Return one row per file."""
    compared = any(result.ngram is not None for result in results.values())
    rows = []
    for name, result in results.items():
        row = [name, f"{result.perplexity:,.1f}", f"{result.nats:.4f}"]
        if compared:
            row += [f"{value or 0:,.1f}" for value in (result.ngram, result.mixture)]
        rows.append([*row, f"{result.tokens:,}", f"{result.unknown:,}"])
    more = ["n-gram", "mixture"] if compared else []
    return table(["text", "perplexity", "nats", *more, "words", "unknown"], rows)


def held_out_table(metadata: dict[str, Any]) -> str:
    """Return the perplexities of held-out text that training measured; empty without any."""
    texts = [name for name in ("validation", "test") if f"{name}_loss" in metadata]
    models = {"network": "", "n-gram": "ngram_"}
    if "mixture_weight" in metadata:
        models[f"mixture, {metadata['mixture_weight']:.2f} network"] = "mixture_"
    rows = [
        [name, *(f"{math.exp(metadata[f'{prefix}{text}_loss']):,.1f}" for text in texts)]
        for name, prefix in models.items()
        if f"{prefix}validation_loss" in metadata
    ]
    return table(["perplexity", *texts], rows) + "\n" if rows else ""


def neighbor_table(vectors: WordVectors, words: Sequence[str], count: int = 5) -> str:
    """Return one row per word, with its nearest words."""
    width = max(len(word) for word in words)
    lines = [
        f"  {word.ljust(width)}  "
        + ", ".join(f"{near.word} {near.similarity:.2f}" for near in found)
        for word, found in zip(words, vectors.neighbors_of(words, count), strict=True)
    ]
    return "\n".join([f"  {'word'.ljust(width)}  nearest, with cosine", *lines])


def example_words(config: Config | None, vectors: WordVectors) -> list[str]:
    """Return the configured words that have vectors, or a few words of the vocabulary."""
    words = config.evaluation.words if config is not None else []
    chosen = [word for word in words if word in vectors or vectors.is_composed(word)]
    words = vectors.vocabulary.words
    start = min(_FUNCTION_WORDS, len(words) // 2)
    return chosen or words[start : start + _WORDS_SHOWN]


def timing_line(words: int, dimension: int, tokens: int, seconds: dict[str, float]) -> str:
    """Return a sentence about what was trained and how long each stage took."""
    stages = ", ".join(f"{stage} {time:.1f}" for stage, time in seconds.items())
    return (
        f"Trained {words:,} word vectors of {dimension} dimensions from {tokens:,} tokens in "
        f"{sum(seconds.values()):.1f} s ({stages})."
    )


def next_steps(run: Path, words: Sequence[str]) -> str:
    """Return where the model is, and commands to try next."""
    return "\n".join(
        [
            f"The model is in {run}. What next:",
            f"  embedder neighbors {run} {words[0]}",
            f"  embedder eval {run} --analogies FILE --similarity FILE",
            f"  embedder export {run} vectors.txt --format word2vec",
        ]
    )


def gradient_rows(comparisons: Sequence[Any]) -> str:
    """Return one row per parameter, with its deviations."""
    rows = [
        (
            comparison.name,
            " × ".join(str(size) for size in comparison.shape),
            f"{comparison.against_differences:.1e}",
            f"{comparison.against_jacobians:.1e}",
            "ok" if comparison.passed else "WRONG",
        )
        for comparison in comparisons
    ]
    header = ("gradient of", "shape", "finite differences", "product of Jacobians", "")
    return table(header, rows)
