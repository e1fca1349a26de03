"""Outlier detection: find the word that does not belong (Camacho-Collados and Navigli 2016).

Each outlier is added in turn to a group of n words that belong together. The words of this set are
ranked by how similar the others are to each other without them; the outlier should come last, at
position n of 0 … n. Accuracy is the share of sets where it does; the outlier position percentage
(OPP) is the mean of position / n.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from embedder.arrays import Array
from embedder.errors import EvaluationError
from embedder.evaluation.files import case_insensitive_ids, files_in, read_lines
from embedder.text.normalisation import any_case
from embedder.vectors.word_vectors import WordVectors

_MIN_GROUP = 2


class Group(NamedTuple):
    """Words that belong together, and outliers that do not belong to them."""

    name: str
    words: list[str]
    outliers: list[str]


class OutlierResult(NamedTuple):
    """Accuracy and OPP over the sets that could be formed, and their number; None without any."""

    accuracy: float | None
    opp: float | None
    sets: int
    total: int


def read_outliers(path: Path) -> list[Group]:
    """Read the words of a group, one per line, an empty line, and the outliers.

    A folder has one group per file. This is the format of the 8-8-8 data set and of WikiSem500.

    Raises
    ------
    EvaluationError
        If a file is missing, not text, or not in this format.
    """
    groups = []
    for file in files_in(path):
        text = "\n".join(line.strip() for line in read_lines(file)).strip("\n")
        words, _, outliers = text.partition("\n\n")
        group = Group(file.stem, words.split("\n"), outliers.split())
        if len(group.words) < _MIN_GROUP or not group.outliers:
            raise EvaluationError(
                f"{file}: expected two or more words, one per line, an empty line, and outliers."
            )
        groups.append(group)
    return groups


def evaluate_outliers(
    vectors: WordVectors, groups: list[Group], restrict_vocab: int | None = None
) -> OutlierResult:
    """Detect every outlier of every group.

    Unknown words are left out of their group; a set counts if its outlier and at least two words of
    the group are known.
    """
    ids = case_insensitive_ids(vectors, restrict_vocab)
    positions = []
    for group in groups:
        words = [ids[any_case(word)] for word in group.words if any_case(word) in ids]
        if len(words) < _MIN_GROUP:
            continue
        for outlier in group.outliers:
            if any_case(outlier) in ids:
                rows = np.array([*words, ids[any_case(outlier)]])
                positions.append(_position_of_last(vectors.unit_rows(rows)) / len(words))
    total = sum(len(group.outliers) for group in groups)
    if not positions:
        return OutlierResult(None, None, 0, total)
    found = np.array(positions)
    return OutlierResult(float((found == 1).mean()), float(found.mean()), len(found), total)


def _position_of_last(unit: Array) -> int:
    """Return the position of the last row when rows are ranked by the others' similarity."""
    similarities = unit @ unit.T
    # The sum without a row and its column grows as the row's similarities to the others shrink.
    own = similarities.sum(axis=1) - similarities.diagonal()
    return int((own[:-1] > own[-1]).sum())
