"""Word similarity: the rank correlation of cosines with people's judgements."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from embedder.errors import EvaluationError
from embedder.evaluation.files import read_lines
from embedder.vectors import WordVectors


class Judgement(NamedTuple):
    """Two words and how similar people found them."""

    first: str
    second: str
    score: float


class SimilarityResult(NamedTuple):
    """Spearman's rank correlation over the pairs that are known; None for fewer than two."""

    spearman: float | None
    pairs: int
    total: int


def read_similarities(path: Path) -> list[Judgement]:
    """Read lines "word word score", between tabs, commas or spaces.

    Lines that begin with # and a heading in the first line are passed over.

    Raises
    ------
    EvaluationError
        For a file that is missing, empty or not text, or a line that is none of these.
    """
    judgements = []
    for number, line in enumerate(read_lines(path), start=1):
        if not line.strip() or line.startswith("#"):
            continue
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
    """Correlate the cosines of word pairs with people's scores, without regard to case."""
    from scipy.stats import spearmanr

    ids: dict[str, int] = {}
    for i, word in enumerate(vectors.vocabulary.words[:restrict_vocab]):
        ids.setdefault(word.upper(), i)
    known = [
        (ids[first.upper()], ids[second.upper()], score)
        for first, second, score in judgements
        if first.upper() in ids and second.upper() in ids
    ]
    if len(known) < 2:
        return SimilarityResult(None, len(known), len(judgements))
    firsts, seconds, scores = (np.array(column) for column in zip(*known, strict=True))
    unit = vectors.unit_matrix
    cosines = (unit[firsts] * unit[seconds]).sum(axis=1)
    correlation = float(spearmanr(cosines, scores).statistic)
    # Constant scores have no ranks to correlate.
    found = None if np.isnan(correlation) else correlation
    return SimilarityResult(found, len(known), len(judgements))
