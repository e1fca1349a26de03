"""Word similarity: the rank correlation of cosines with human ratings."""

import math
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np

from embedder.arrays import Array
from embedder.errors import EvaluationError
from embedder.evaluation.files import SEPARATORS, case_insensitive_ids, numbered_lines, split_fields
from embedder.text.normalisation import any_case
from embedder.vectors.word_vectors import WordVectors


class Judgement(NamedTuple):
    """Two words and a human rating of their similarity."""

    first: str
    second: str
    score: float


class SimilarityResult(NamedTuple):
    """Correlations over the known pairs; None for fewer than two, or for constant values."""

    spearman: float | None
    pearson: float | None
    pairs: int
    total: int


def read_similarities(path: Path) -> list[Judgement]:
    """Read lines of two words, perhaps other columns such as a part of speech, and a score.

    Tabs, semicolons, commas or spaces separate fields, whichever makes most lines complete, and
    fields may be quoted; numbers may have a decimal comma. The score is in the column that is the
    first number after the words in most lines. Lines that begin with # are skipped, as are a
    heading and a first column that numbers the lines. So the files of SimLex-999, SimVerb-3500,
    WordSim-353, MEN and others are read as they are distributed.

    Raises
    ------
    EvaluationError
        If the file is missing, empty or not text, or a line has another format, or a score that is
        not finite.
    """
    lines = list(numbered_lines(path))
    splits = [
        [_Row(number, line, split_fields(line, separator)) for number, line in lines]
        for separator in SEPARATORS
    ]
    rows = _without_numbering(max(splits, key=_count_complete))
    scores = [row.first_number() for row in rows]
    columns = Counter(column for column in scores if column is not None)
    if not columns:
        if len(rows) > 1:
            raise _unexpected(path, rows[1])
        raise EvaluationError(f"{path}: no pairs; expected lines 'word word score'.")
    ((column, _),) = columns.most_common(1)
    judgements = []
    for row in rows:
        score = _number(row.fields[column]) if len(row.fields) > column else None
        if score is None and row is rows[0]:
            continue  # a heading
        if score is None or not all(row.fields[:2]):
            raise _unexpected(path, row)
        if not math.isfinite(score):
            raise EvaluationError(
                f"{path}, line {row.number}: the score is {row.fields[column]}; expected a finite "
                "number."
            )
        judgements.append(Judgement(row.fields[0], row.fields[1], score))
    return judgements


class _Row(NamedTuple):
    """A line of a file, and its fields."""

    number: int
    line: str
    fields: list[str]

    def first_number(self) -> int | None:
        """Return the column of the first number after two words; None without one."""
        columns = range(2, len(self.fields))
        return next((i for i in columns if _number(self.fields[i]) is not None), None)


def _count_complete(rows: list[_Row]) -> int:
    return sum(row.first_number() is not None and all(row.fields[:2]) for row in rows)


def _without_numbering(rows: list[_Row]) -> list[_Row]:
    """Remove a first column of numbers, which are no words, below a heading if there is one."""
    numbered = [len(row.fields) > 3 and _number(row.fields[0]) is not None for row in rows[1:]]
    if not numbered or not all(numbered):
        return rows
    return [row._replace(fields=row.fields[1:]) for row in rows]


def _number(field: str) -> float | None:
    """Return a number, finite or not, with a decimal point or comma; None if it is none."""
    try:
        return None if "_" in field else float(field.replace(",", "."))
    except ValueError:
        return None


def _unexpected(path: Path, row: _Row) -> EvaluationError:
    return EvaluationError(
        f"{path}, line {row.number}: expected 'word word score', got {row.line.strip()!r}."
    )


def evaluate_similarity(
    vectors: WordVectors, judgements: list[Judgement], restrict_vocab: int | None = None
) -> SimilarityResult:
    """Correlate the cosines of word pairs with human ratings; words match case-insensitively."""
    cosines = pair_cosines(vectors, judgements, restrict_vocab)
    known = ~np.isnan(cosines)
    scores = np.array([judgement.score for judgement in judgements])[known]
    return SimilarityResult(
        spearman(cosines[known], scores),
        pearson(cosines[known], scores),
        int(known.sum()),
        len(judgements),
    )


def pair_cosines(
    vectors: WordVectors, judgements: list[Judgement], restrict_vocab: int | None = None
) -> Array:
    """Return the cosine of every pair, (n,) float64; NaN if a word is unknown."""
    ids = case_insensitive_ids(vectors, restrict_vocab)
    found = [
        (i, ids[any_case(pair.first)], ids[any_case(pair.second)])
        for i, pair in enumerate(judgements)
        if any_case(pair.first) in ids and any_case(pair.second) in ids
    ]
    positions, firsts, seconds = np.array(found, np.int64).reshape(-1, 3).T
    cosines = np.full(len(judgements), np.nan)
    cosines[positions] = (vectors.unit_rows(firsts) * vectors.unit_rows(seconds)).sum(axis=1)
    return cosines


def spearman(cosines: Array, scores: Array) -> float | None:
    """Return Spearman's correlation, that of the ranks; None if undefined."""
    from scipy.stats import rankdata

    return pearson(rankdata(cosines), rankdata(scores))


def pearson(cosines: Array, scores: Array) -> float | None:
    """Return Pearson's correlation; None if undefined."""
    if len(cosines) < 2 or np.ptp(cosines) == 0 or np.ptp(scores) == 0:
        return None
    return float(np.corrcoef(cosines, scores)[0, 1])
