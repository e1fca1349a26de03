"""Categorisation: how well clusters of words agree with human categories.

Unit vectors are clustered by k-means into as many clusters as there are categories; purity is the
share of words that belong to the most frequent category of their cluster (Almuhareb 2006; Baroni,
Dinu and Kruszewski 2014).
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from embedder.errors import EvaluationError
from embedder.evaluation.files import SEPARATORS, case_insensitive_ids, numbered_lines, split_fields
from embedder.text.normalisation import any_case
from embedder.vectors.word_vectors import WordVectors

_STARTS = 20
_HEADINGS = ("category", "class", "label")


class CategoryResult(NamedTuple):
    """Purity over the known words; None if these have fewer than two categories."""

    purity: float | None
    categories: int
    words: int
    total: int


def read_categories(path: Path) -> list[tuple[str, str]]:
    """Read lines "word category", separated by tabs, semicolons, commas or spaces.

    Lines that begin with # are skipped, as is a heading such as "word,category".

    Raises
    ------
    EvaluationError
        If the file is missing, empty or not text, or a line has another format.
    """
    pairs = []
    for number, line in numbered_lines(path):
        splits = (split_fields(line, separator) for separator in SEPARATORS)
        fields = next((split for split in splits if len(split) == 2), [])
        if not fields or not all(fields):
            raise EvaluationError(
                f"{path}, line {number}: expected 'word category', got {line.strip()!r}."
            )
        pairs.append((fields[0], fields[1]))
    if pairs and pairs[0][1].lower() in _HEADINGS and pairs[0][1] not in dict(pairs[1:]).values():
        del pairs[0]
    if len({category for _, category in pairs}) < 2:
        raise EvaluationError(f"{path}: expected lines 'word category' in at least two categories.")
    return pairs


def evaluate_categories(
    vectors: WordVectors, pairs: list[tuple[str, str]], restrict_vocab: int | None = None
) -> CategoryResult:
    """Cluster the known words and return the purity.

    Of twenty k-means starts, the one with the smallest sum of squared distances counts. The starts
    have a fixed seed, so the same vectors give the same purity.
    """
    from scipy.cluster.vq import kmeans2

    ids = case_insensitive_ids(vectors, restrict_vocab)
    known = [(ids[any_case(word)], category) for word, category in pairs if any_case(word) in ids]
    names = sorted({category for _, category in known})
    k = len(names)
    if k < 2:
        return CategoryResult(None, k, len(known), len(pairs))
    unit = vectors.unit_rows(np.array([row for row, _ in known])).astype(np.float64)
    labels = np.array([names.index(category) for _, category in known])
    rng = np.random.default_rng(0)
    least, purity = np.inf, 0.0
    for _ in range(_STARTS):
        centres, clusters = kmeans2(unit, k, iter=100, minit="++", missing="warn", rng=rng)
        distance = float(((unit - centres[clusters]) ** 2).sum())
        if distance < least:
            together = np.zeros((k, k), np.int64)
            np.add.at(together, (clusters, labels), 1)
            least, purity = distance, float(together.max(axis=1).sum() / len(known))
    return CategoryResult(purity, k, len(known), len(pairs))
