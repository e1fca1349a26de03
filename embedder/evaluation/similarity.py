"""Word similarity: the rank correlation of cosines with human ratings."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from embedder.arrays import Array
from embedder.errors import EvaluationError
from embedder.evaluation.files import case_insensitive_ids, numbered_lines
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
    """Read lines "word word score", separated by tabs, commas or spaces.

    Lines that begin with # are skipped, as is a heading in the first line.

    Raises
    ------
    EvaluationError
        If the file is missing, empty or not text, or a line has another format.
    """
    judgements = []
    for number, line in numbered_lines(path):
        separator = "\t" if "\t" in line else "," if "," in line else None
        fields = [field.strip() for field in line.split(separator)]
        try:
            first, second, score = fields[:3]
            judgements.append(Judgement(first, second, float(score)))
        except ValueError:
            if number == 1:
                continue
            raise EvaluationError(
                f"{path}, line {number}: expected 'word word score', got {line.strip()!r}."
            ) from None
    if not judgements:
        raise EvaluationError(f"{path}: no pairs; expected lines 'word word score'.")
    return judgements


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
