"""Evaluation on several tasks: read their files, evaluate vectors, compare models."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from embedder.config_sections.results import EvaluationConfig
from embedder.evaluation.analogies import SKIPPED, AnalogyResult, Method, Score, evaluate_analogies
from embedder.evaluation.bootstrap import Difference, compare_answers, compare_correlations
from embedder.evaluation.categories import CategoryResult, evaluate_categories, read_categories
from embedder.evaluation.outliers import Group, OutlierResult, evaluate_outliers, read_outliers
from embedder.evaluation.questions import Section, read_analogies
from embedder.evaluation.similarity import (
    Judgement,
    SimilarityResult,
    evaluate_similarity,
    pair_cosines,
    read_similarities,
)
from embedder.text.normalisation import any_case, lower_case
from embedder.text.sources import path_of
from embedder.vectors.word_vectors import WordVectors


class Tasks(NamedTuple):
    """The tasks of an evaluation: analogy sections, and the other tasks by file name."""

    sections: list[Section]
    similarity: dict[str, list[Judgement]]
    outliers: dict[str, list[Group]]
    categories: dict[str, list[tuple[str, str]]]

    def words(self) -> list[str]:
        """Return the distinct words of all tasks, except the answers of analogies."""
        found = [word for s in self.sections for question in s.questions for word in question[:3]]
        found += [w for pairs in self.similarity.values() for pair in pairs for w in pair[:2]]
        for groups in self.outliers.values():
            found += [word for group in groups for word in (*group.words, *group.outliers)]
        found += [word for pairs in self.categories.values() for word, _ in pairs]
        return list(dict.fromkeys(found))


class Results(NamedTuple):
    """The results of vectors on `Tasks`.

    ``composed``
        Number of unknown words whose vectors are composed of their parts.
    """

    method: Method
    analogies: AnalogyResult | None
    similarity: dict[str, SimilarityResult]
    outliers: dict[str, OutlierResult]
    categories: dict[str, CategoryResult]
    composed: int = 0

    def figures(self, tops: Sequence[int] = (1,)) -> dict[str, Any]:
        """Return the figures as JSON-compatible values."""
        found: dict[str, Any] = {"composed": self.composed} if self.composed else {}
        if self.analogies is not None:
            found["analogies"] = {
                "method": self.method,
                "total": _score_figures(self.analogies.total()),
                "macro": self.analogies.macro(),
                "sections": {
                    name: _score_figures(score) for name, score in self.analogies.sections().items()
                },
            }
            if tuple(tops) != (1,):
                found["analogies"]["top"] = {
                    str(top): {
                        "micro": self.analogies.total(top).accuracy,
                        "macro": self.analogies.macro(top),
                    }
                    for top in tops
                }
        for name in ("similarity", "outliers", "categories"):
            results = getattr(self, name)
            if results:
                found[name] = {file: result._asdict() for file, result in results.items()}
        return found


def _score_figures(score: Score) -> dict[str, Any]:
    return {**score._asdict(), "accuracy": score.accuracy, "interval": list(score.interval())}


def read_tasks(
    analogies: Iterable[Path] = (),
    similarity: Iterable[Path] = (),
    outliers: Iterable[Path] = (),
    categories: Iterable[Path] = (),
) -> Tasks:
    """Read the files of the tasks.

    Raises
    ------
    EvaluationError
        If a file is missing or not in its format.
    """
    return Tasks(
        [section for file in analogies for section in read_analogies(file)],
        {file.stem: read_similarities(file) for file in similarity},
        {file.stem: read_outliers(file) for file in outliers},
        {file.stem: read_categories(file) for file in categories},
    )


def configured_tasks(evaluation: EvaluationConfig) -> Tasks:
    """Read the files that a run's configuration names.

    Raises
    ------
    EvaluationError
        If a file is missing or not in its format.
    CorpusError
        If the package of a `package:` file is not installed.
    """
    return read_tasks(map(path_of, evaluation.analogies), map(path_of, evaluation.similarity))


def evaluate(
    vectors: WordVectors,
    tasks: Tasks,
    method: Method = "3CosAdd",
    restrict_vocab: int | None = None,
) -> Results:
    """Evaluate vectors on all tasks.

    Parameters
    ----------
    vectors
        The vectors, most frequent words first.
    tasks
        The tasks to evaluate on.
    method
        How analogies are answered.
    restrict_vocab
        Use only this many of the most frequent words. If None, unknown words whose vectors can be
        composed take part, except as the answer to an analogy.
    """
    candidates = len(vectors)
    vectors = _with_composed(vectors, tasks, restrict_vocab)
    return Results(
        method,
        evaluate_analogies(vectors, tasks.sections, method, restrict_vocab, candidates)
        if tasks.sections
        else None,
        {
            name: evaluate_similarity(vectors, pairs, restrict_vocab)
            for name, pairs in tasks.similarity.items()
        },
        {
            name: evaluate_outliers(vectors, groups, restrict_vocab)
            for name, groups in tasks.outliers.items()
        },
        {
            name: evaluate_categories(vectors, pairs, restrict_vocab)
            for name, pairs in tasks.categories.items()
        },
        len(vectors) - candidates,
    )


def _with_composed(vectors: WordVectors, tasks: Tasks, restrict_vocab: int | None) -> WordVectors:
    """Add the unknown words of the tasks, if vectors can be composed for them."""
    if vectors.subwords is None or restrict_vocab is not None:
        return vectors
    known = {any_case(word) for word in vectors.vocabulary.words}
    unknown = [word for word in tasks.words() if any_case(word) not in known]
    if all(word == word.lower() for word in vectors.vocabulary.words):
        form = vectors.vocabulary.normalisation
        unknown = list(dict.fromkeys(lower_case(word, form) for word in unknown))
    return vectors.with_composed(unknown)


def compare(
    first: WordVectors,
    second: WordVectors,
    tasks: Tasks,
    method: Method = "3CosAdd",
    restrict_vocab: int | None = None,
) -> dict[str, Difference | None]:
    """Compare two models on the analogies and similarities whose words both know.

    Returns
    -------
    dict
        The difference for each section, for all analogies as "analogies", and for each similarity
        file; None where nothing can be compared.
    """
    found: dict[str, Difference | None] = {}
    candidates = len(first), len(second)
    first, second = (_with_composed(model, tasks, restrict_vocab) for model in (first, second))
    if tasks.sections:
        one, two = (
            evaluate_analogies(model, tasks.sections, method, restrict_vocab, count).ranks
            for model, count in zip((first, second), candidates, strict=True)
        )
        pairs = {name: (one[name], two[name]) for name in one}
        columns = [np.concatenate(ranks) for ranks in zip(*pairs.values(), strict=True)]
        for name, (a, b) in {**pairs, "analogies": (columns[0], columns[1])}.items():
            both = (a != SKIPPED) & (b != SKIPPED)
            found[name] = compare_answers(a[both] == 0, b[both] == 0)
    for name, judgements in tasks.similarity.items():
        a, b = (pair_cosines(model, judgements, restrict_vocab) for model in (first, second))
        both = ~np.isnan(a) & ~np.isnan(b)
        scores = np.array([judgement.score for judgement in judgements])
        found[name] = compare_correlations(a[both], b[both], scores[both])
    return found
