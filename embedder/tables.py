"""Results as tables for a terminal."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from embedder.config import Config
from embedder.evaluation.analogies import AnalogyResult, Score
from embedder.evaluation.perplexity import Perplexity
from embedder.evaluation.similarity import SimilarityResult
from embedder.vectors import WordVectors

_WORDS_SHOWN = 5
_FUNCTION_WORDS = 100
"""The most frequent words say little; examples are taken from beyond them."""


def table(header: Sequence[str], rows: Sequence[Sequence[str]], indent: str = "  ") -> str:
    """Lay out columns: the first to the left, numbers below their headings to the right."""
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]
    lines = []
    for row in [header, *rows]:
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        lines.append((indent + "  ".join(cells)).rstrip())
    return "\n".join(lines)


def analogy_table(result: AnalogyResult) -> str:
    """Return a row a section and the total with its interval."""
    header = ("analogies", "accuracy", "95 % interval", "correct", "questions", "skipped")
    scores = {**result.sections, "total": result.total}
    return table(header, [_analogy_row(name, score) for name, score in scores.items()])


def _analogy_row(name: str, score: Score) -> tuple[str, ...]:
    low, high = score.interval()
    known = score.questions > 0
    return (
        name,
        f"{score.accuracy:.3f}" if known else "–",
        f"{low:.3f} – {high:.3f}" if known else "–",
        f"{score.correct:,}",
        f"{score.questions:,}",
        f"{score.skipped:,}",
    )


def similarity_table(results: dict[str, SimilarityResult]) -> str:
    """Return a row a file."""
    rows = [
        (
            name,
            "–" if result.spearman is None else f"{result.spearman:.3f}",
            f"{result.pairs:,}",
            f"{result.total:,}",
        )
        for name, result in results.items()
    ]
    return table(("similarity", "Spearman", "pairs found", "of"), rows)


def perplexity_table(results: dict[str, Perplexity]) -> str:
    """Return a row a file."""
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
    """Return the perplexities of held-out text that training took; empty without any."""
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
    """Return a row a word with its nearest words."""
    width = max(len(word) for word in words)
    lines = [
        f"  {word.ljust(width)}  "
        + ", ".join(f"{near.word} {near.similarity:.2f}" for near in vectors.neighbors(word, count))
        for word in words
    ]
    return "\n".join([f"  {'word'.ljust(width)}  nearest, with cosine", *lines])


def example_words(config: Config, vectors: WordVectors) -> list[str]:
    """Return the configured words that are known, or a few of the vocabulary's own."""
    chosen = [word for word in config.evaluation.words if word in vectors.vocabulary.ids]
    words = vectors.vocabulary.words
    start = min(_FUNCTION_WORDS, len(words) // 2)
    return chosen or words[start : start + _WORDS_SHOWN]


def timing_line(words: int, dimension: int, tokens: int, seconds: dict[str, float]) -> str:
    """Return one sentence on what was trained and how long its stages took."""
    stages = ", ".join(f"{stage} {time:.1f}" for stage, time in seconds.items())
    return (
        f"Trained {words:,} word vectors of {dimension} dimensions from {tokens:,} tokens in "
        f"{sum(seconds.values()):.1f} s ({stages})."
    )


def next_steps(run: Path, words: Sequence[str]) -> str:
    """Return where the model is and what to type next."""
    return "\n".join(
        [
            f"The model is in {run}. What next:",
            f"  embedder neighbors {run} {words[0]}",
            f"  embedder eval {run} --analogies FILE --similarity FILE",
            f"  embedder export {run} vectors.txt --format word2vec",
        ]
    )


def gradient_rows(comparisons: Sequence[Any]) -> str:
    """Return a row a parameter with its deviations."""
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
