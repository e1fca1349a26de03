"""Analogy questions: "a is to b as c is to d", answered by vector arithmetic.

With unit vectors, the answer is the word d, other than a, b and c, that maximises

    3CosAdd   cos(d, b) − cos(d, a) + cos(d, c)                        Mikolov et al. 2013
    3CosMul   cos⁺(d, b) cos⁺(d, c) / (cos⁺(d, a) + 0.001)             Levy and Goldberg 2014, (4)

where cos⁺ = (1 + cos)/2. As in gensim, words are compared without regard to case (the more frequent
of two spellings stands for both), and questions with a word outside the (restricted) vocabulary are
skipped and counted.
"""

from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from embedder.arrays import Array
from embedder.errors import EvaluationError
from embedder.evaluation.files import read_lines
from embedder.vectors import WordVectors

Method = Literal["3CosAdd", "3CosMul"]
_QUESTIONS_AT_A_TIME = 512
_RESAMPLES = 10_000


class Section(NamedTuple):
    """The questions under one heading."""

    name: str
    questions: list[tuple[str, str, str, str]]


class Score(NamedTuple):
    """Accuracy over the questions whose four words are known."""

    correct: int
    questions: int
    skipped: int

    @property
    def accuracy(self) -> float:
        """Share of correct answers; 0 without questions."""
        return self.correct / self.questions if self.questions else 0.0

    def interval(self, seed: int = 0) -> tuple[float, float]:
        """Return the 95 % percentile-bootstrap interval of the accuracy.

        Resampling right and wrong answers with replacement is drawing from a binomial
        distribution, so no questions need to be shuffled.
        """
        if not self.questions:
            return 0.0, 0.0
        rng = np.random.default_rng(seed)
        means = rng.binomial(self.questions, self.accuracy, _RESAMPLES) / self.questions
        low, high = np.quantile(means, [0.025, 0.975])
        return float(low), float(high)


class AnalogyResult(NamedTuple):
    """Scores by section and in total."""

    total: Score
    sections: dict[str, Score]


def read_analogies(path: Path) -> list[Section]:
    """Read Google's format: lines ": section" and lines "a b c d".

    Raises
    ------
    EvaluationError
        For a file that is missing, empty or not text, or a line without exactly four words.
    """
    sections: list[Section] = []
    for number, line in enumerate(read_lines(path), start=1):
        words = line.split()
        if not words:
            continue
        if words[0].startswith(":"):
            sections.append(Section(line.strip().lstrip(":").strip(), []))
            continue
        if len(words) != 4:
            raise EvaluationError(
                f"{path}, line {number}: expected four words 'a b c d' or ': section', "
                f"got {len(words)} words."
            )
        if not sections:
            sections.append(Section(path.stem, []))
        a, b, c, d = words
        sections[-1].questions.append((a, b, c, d))
    if not any(section.questions for section in sections):
        raise EvaluationError(f"{path}: no questions; expected lines of four words.")
    return sections


def evaluate_analogies(
    vectors: WordVectors,
    sections: list[Section],
    method: Method = "3CosAdd",
    restrict_vocab: int | None = None,
) -> AnalogyResult:
    """Answer every question.

    Parameters
    ----------
    vectors
        Most frequent words first.
    sections
        The questions; sections of one name are counted together.
    method
        How the candidates are ranked.
    restrict_vocab
        Use only so many of the most frequent words, for questions and answers.
    """
    words = vectors.vocabulary.words[:restrict_vocab]
    unit = vectors.unit_matrix[: len(words)]
    folded = [word.upper() for word in words]
    ids: dict[str, int] = {}
    for i, word in enumerate(folded):
        ids.setdefault(word, i)
    scores: dict[str, Score] = {}
    for section in sections:
        known = [
            row
            for question in section.questions
            if None not in (row := [ids.get(word.upper()) for word in question])
        ]
        correct = 0
        for start in range(0, len(known), _QUESTIONS_AT_A_TIME):
            batch = np.array(known[start : start + _QUESTIONS_AT_A_TIME])
            answers = _answer(unit, batch[:, :3], method)
            correct += sum(
                folded[answer] == folded[expected]
                for answer, expected in zip(answers, batch[:, 3], strict=True)
            )
        before = scores.get(section.name, Score(0, 0, 0))
        scores[section.name] = Score(
            before.correct + correct,
            before.questions + len(known),
            before.skipped + len(section.questions) - len(known),
        )
    total = Score(*(sum(column) for column in zip(*scores.values(), strict=True)))
    return AnalogyResult(total, scores)


def _answer(unit: Array, questions: Array, method: Method) -> Array:
    """Return the best candidate for (n, 3) questions, (n,) int64."""
    a, b, c = questions.T
    if method == "3CosAdd":
        scores = (unit[b] - unit[a] + unit[c]) @ unit.T
    else:
        to_a, to_b, to_c = ((1 + unit[word] @ unit.T) / 2 for word in (a, b, c))
        scores = to_b * to_c / (to_a + 1e-3)
    np.put_along_axis(scores, questions, -np.inf, axis=1)
    return np.asarray(scores.argmax(axis=1))
