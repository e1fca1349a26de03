"""Outlier detection: the word that does not belong (Camacho-Collados and Navigli 2016).

To a group of words that belong together each of some strangers is added in turn. The words are
ordered by how similar the others are to each other without them; the stranger should come last, at
the place n of 0 … n. Accuracy is the share of sets where it does, the outlier position percentage
(OPP) the mean of its place over n.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from embedder.arrays import Array
from embedder.errors import EvaluationError
from embedder.evaluation.files import case_insensitive_ids, files_in, read_lines
from embedder.vectors.word_vectors import WordVectors

_MIN_GROUP = 2


class Group(NamedTuple):
    """Words that belong together, and some that do not belong to them."""

    name: str
    words: list[str]
    outliers: list[str]


class OutlierResult(NamedTuple):
    """Shares over the sets that could be formed, and how many there were; None without any."""

    accuracy: float | None
    opp: float | None
    sets: int
    total: int


def read_outliers(path: Path) -> list[Group]:
    """Read a group's words, one a line, an empty line, and the outliers; a folder has more groups.

    This is the form of the 8-8-8 data set and of WikiSem500.

    Raises
    ------
    EvaluationError
        For a file that is missing, not text, or not of this form.
    """
    groups = []
    for file in files_in(path):
        text = "\n".join(line.strip() for line in read_lines(file)).strip("\n")
        words, _, outliers = text.partition("\n\n")
        group = Group(file.stem, words.split("\n"), outliers.split())
        if len(group.words) < _MIN_GROUP or not group.outliers:
            raise EvaluationError(
                f"{file}: expected two or more words, one a line, an empty line, and outliers."
            )
        groups.append(group)
    return groups


def evaluate_outliers(
    vectors: WordVectors, groups: list[Group], restrict_vocab: int | None = None
) -> OutlierResult:
    """Look for every outlier of every group.

    Unknown words of a group are left out of it; a set counts if its outlier and at least two words
    are known.
    """
    ids = case_insensitive_ids(vectors, restrict_vocab)
    places = []
    for group in groups:
        words = [ids[word.upper()] for word in group.words if word.upper() in ids]
        if len(words) < _MIN_GROUP:
            continue
        for outlier in group.outliers:
            if outlier.upper() in ids:
                rows = np.array([*words, ids[outlier.upper()]])
                places.append(_place(vectors.unit_rows(rows)) / len(words))
    total = sum(len(group.outliers) for group in groups)
    if not places:
        return OutlierResult(None, None, 0, total)
    found = np.array(places)
    return OutlierResult(float((found == 1).mean()), float(found.mean()), len(found), total)


def _place(unit: Array) -> int:
    """Return the place of the last row when rows are ordered by the others' similarity."""
    similarities = unit @ unit.T
    # The sum without a row and its column grows as the row's own similarities to others shrink.
    own = similarities.sum(axis=1) - similarities.diagonal()
    return int((own[:-1] > own[-1]).sum())
