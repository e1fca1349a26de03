"""Analogy questions: "a is to b as c is to d", answered by vector arithmetic.

With unit vectors, the answer is the word d, other than a, b and c, that maximises

    3CosAdd        cos(d, b) − cos(d, a) + cos(d, c)                   Mikolov et al. 2013
    3CosMul        cos⁺(d, b) cos⁺(d, c) / (cos⁺(d, a) + 0.001)        Levy and Goldberg 2014, (4)
    PairDistance   cos(d − c, b − a)                                   Levy and Goldberg 2014, (2)

where cos⁺ = (1 + cos)/2. As in gensim, words match case-insensitively (the more frequent of two
spellings represents both), and questions with a word outside the (restricted) vocabulary are
skipped and counted.
"""

import threading
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np

from embedder.arrays import Array
from embedder.evaluation.questions import (
    Question,
    Section,
)
from embedder.text.normalisation import any_case
from embedder.vectors.search import over_blocks
from embedder.vectors.word_vectors import WordVectors

Method = Literal["3CosAdd", "3CosMul", "PairDistance"]
SKIPPED = -1
"""The rank of a skipped question."""
_QUESTIONS_PER_BATCH = 1024
_RESAMPLES = 10_000
_NEAR = 4e-6
"""Scores this close may differ by rounding: compare them only within one matrix product."""
_MAX_NEAR_SCORES = 1 << 20


class Score(NamedTuple):
    """Accuracy over the questions whose words are all known."""

    correct: int
    questions: int
    skipped: int

    @property
    def accuracy(self) -> float:
        """Share of correct answers; 0 if there are no questions."""
        return self.correct / self.questions if self.questions else 0.0

    def interval(self, seed: int = 0) -> tuple[float, float]:
        """Return the 95 % percentile-bootstrap interval of the accuracy.

        Resampling correct and wrong answers with replacement amounts to drawing from a binomial
        distribution, so no answers are resampled one by one.
        """
        if not self.questions:
            return 0.0, 0.0
        rng = np.random.default_rng(seed)
        means = rng.binomial(self.questions, self.accuracy, _RESAMPLES) / self.questions
        low, high = np.quantile(means, [0.025, 0.975])
        return float(low), float(high)


class AnalogyResult(NamedTuple):
    """The rank of the correct answer to every question.

    ``ranks``
        For each section (n,) int64, in the order of its questions: 0 if the best candidate is
        correct, r if r wrong candidates score higher, `SKIPPED` if a word is unknown.
    """

    ranks: dict[str, Array]

    def section(self, name: str, top: int = 1) -> Score:
        """Score a section; an answer among the `top` best candidates is correct."""
        return _score(self.ranks[name], top)

    def sections(self, top: int = 1) -> dict[str, Score]:
        """Return the scores of all sections."""
        return {name: self.section(name, top) for name in self.ranks}

    def total(self, top: int = 1) -> Score:
        """Return the score over all questions; its accuracy is the micro average."""
        return _score(np.concatenate(list(self.ranks.values())), top)

    def macro(self, top: int = 1) -> float:
        """Return the mean accuracy of the sections that have questions: the macro average."""
        known = [score.accuracy for score in self.sections(top).values() if score.questions]
        return float(np.mean(known)) if known else 0.0


def _score(ranks: Array, top: int) -> Score:
    asked = ranks != SKIPPED
    return Score(int((asked & (ranks < top)).sum()), int(asked.sum()), int((~asked).sum()))


def evaluate_analogies(
    vectors: WordVectors,
    sections: list[Section],
    method: Method = "3CosAdd",
    restrict_vocab: int | None = None,
    candidates: int | None = None,
) -> AnalogyResult:
    """Answer every question, and rank the correct answer.

    Parameters
    ----------
    vectors
        The vectors, most frequent words first.
    sections
        The questions; sections with the same name are merged.
    method
        How the candidates are ranked.
    restrict_vocab
        Use only this many of the most frequent words, for questions and answers.
    candidates
        Accept only this many of the first words as answers; later words occur only in questions.
    """
    spellings: dict[str, list[int]] = {}
    for i, word in enumerate(vectors.vocabulary.words[:restrict_vocab]):
        spellings.setdefault(any_case(word), []).append(i)
    V = len(vectors.vocabulary.words[:candidates][:restrict_vocab])
    questions = [question for section in sections for question in section.questions]
    ranks = np.full(len(questions), SKIPPED, np.int64)
    known = [i for i, question in enumerate(questions) if _is_known(question, spellings, V)]
    for start in range(0, len(known), _QUESTIONS_PER_BATCH):
        some = known[start : start + _QUESTIONS_PER_BATCH]
        ranks[some] = _ranks(vectors, [questions[i] for i in some], spellings, V, method)
    names = np.array([i for i, section in enumerate(sections) for _ in section.questions])
    found: dict[str, Array] = {}
    for i, section in enumerate(sections):
        before = found.get(section.name, ranks[:0])
        found[section.name] = np.concatenate([before, ranks[names == i]])
    return AnalogyResult(found)


def _is_known(question: Question, spellings: dict[str, list[int]], V: int) -> bool:
    asked = all(any_case(word) in spellings for word in question[:3])
    return asked and any(
        row < V for answer in question.answers for row in spellings.get(any_case(answer), ())
    )


def _ranks(
    vectors: WordVectors,
    questions: Sequence[Question],
    spellings: dict[str, list[int]],
    V: int,
    method: Method,
) -> Array:
    """Return how many candidates score higher than the best correct answer, (n,) int64."""
    n = len(questions)
    asked = np.array([[spellings[any_case(w)][0] for w in question[:3]] for question in questions])
    ignored, right = [], []
    for i, question in enumerate(questions):
        given = {row for word in question[:3] for row in spellings[any_case(word)]}
        answers = {row for w in question.answers for row in spellings.get(any_case(w), ())} - given
        answers = {row for row in answers if row < V}
        ignored += [(row, i) for row in given]
        right += [(row, i) for row in answers]
    given_pairs, right_pairs = (
        np.array(sorted(pairs), np.int64).reshape(-1, 2) for pairs in (ignored, right)
    )
    a, b, c = (vectors.unit_rows(asked[:, i]) for i in range(3))
    scorer = _Scorer(method, a, b, c)
    best = np.full(n, -np.inf, np.float32)
    for start in range(0, len(right_pairs), _QUESTIONS_PER_BATCH):
        rows, which = right_pairs[start : start + _QUESTIONS_PER_BATCH].T
        np.maximum.at(best, which, scorer.paired(vectors.unit_rows(rows), which))
    unanswerable = best == -np.inf  # the only correct answers occur in the question
    best[unanswerable] = np.inf
    tally = _Tally(scorer, given_pairs, right_pairs, best)
    over_blocks(vectors.matrix[:V], vectors.lengths[:V], tally.visit)
    return np.where(unanswerable, V, tally.ranks())


class _Tally:
    """A count, block by block, of the candidates that score higher than the best correct answer.

    Parameters
    ----------
    scorer
        The scorer of n questions.
    given, right : (m, 2) int64
        (row, question) pairs in row order, of the words in the question and of its correct answers;
        neither are candidates.
    best : (n,) float32
        The score of the best correct answer, up to rounding.
    """

    def __init__(self, scorer: "_Scorer", given: Array, right: Array, best: Array) -> None:
        self._scorer = scorer
        self._given, self._right = given, right
        self._best = best
        self._slack = np.float32(_NEAR) * np.maximum(1, np.abs(best))
        self._slack[np.isinf(best)] = 0
        self._better = np.zeros(len(best), np.int64)
        # The score of the best correct answer, from a block's product, and its row.
        self._exact: list[tuple[float, int]] = [(-np.inf, -1)] * len(best)
        self._near: list[tuple[Array, Array, Array]] = []  # questions, rows, scores
        self._lock = threading.Lock()

    def visit(self, start: int, block: Array) -> None:
        """Count the candidates of a block; threads may visit blocks concurrently, in any order."""
        scores = self._scorer.all(block)
        for pairs in (self._given, self._right):
            rows, which = _within(pairs, start, len(block))
            own = scores[which, rows]
            scores[which, rows] = -np.inf
        some = np.flatnonzero(scores.max(axis=1) >= self._best - self._slack)
        chosen, bound, room = scores[some], self._best[some, None], self._slack[some, None]
        above = _count(chosen > bound + room)
        unsure = np.flatnonzero(_count(chosen >= bound - room) > above)
        close, column = np.nonzero(np.abs(chosen[unsure] - bound[unsure]) <= room[unsure])
        close = unsure[close]
        with self._lock:
            self._better[some] += above
            for question, row, score in zip(which, rows + start, own, strict=True):
                # Of equal scores, the first row wins.
                self._exact[question] = max(
                    self._exact[question], (float(score), int(row)), key=_by_score_and_row
                )
            if sum(len(found) for found, _, _ in self._near) + len(close) <= _MAX_NEAR_SCORES:
                self._near.append((some[close], start + column, chosen[close, column]))
            else:  # too many near scores: count them all as higher
                np.add.at(self._better, some[close], 1)

    def ranks(self) -> Array:
        """Return the counts, (n,) int64, once all blocks are visited."""
        exact = np.array([score for score, _ in self._exact], np.float32)
        own_row = np.array([row for _, row in self._exact])
        for which, rows, scores in self._near:
            wins = (scores > exact[which]) | ((scores == exact[which]) & (rows < own_row[which]))
            np.add.at(self._better, which[wins], 1)
        return self._better


def _by_score_and_row(answer: tuple[float, int]) -> tuple[float, int]:
    return answer[0], -answer[1]


def _count(mask: Array) -> Array:
    """Count the true entries of each row (n, m) without converting each of them to int64."""
    ones = np.bitwise_count(np.packbits(mask, axis=1))
    return np.asarray(ones.sum(axis=1, dtype=np.int64))


def _within(pairs: Array, start: int, size: int) -> tuple[Array, Array]:
    """Return the rows, counted from the start of the block, and the questions of its pairs."""
    low, high = np.searchsorted(pairs[:, 0], [start, start + size])
    rows, which = pairs[low:high].T
    return rows - start, which


class _Scorer:
    """Scores of candidates d for n questions a, b, c, all unit vectors (n, D)."""

    def __init__(self, method: Method, a: Array, b: Array, c: Array) -> None:
        self._method = method
        self._a, self._b, self._c = a, b, c
        difference = b - a
        length = np.linalg.norm(difference, axis=1, keepdims=True)
        self._direction = difference / np.where(length > 0, length, 1)
        self._offset = (self._direction * c).sum(axis=1)
        self._target = difference + c

    def all(self, block: Array) -> Array:
        """Return the score of every row (m, D) for every question, (n, m)."""
        if self._method == "3CosAdd":
            return np.asarray(self._target @ block.T)
        if self._method == "3CosMul":
            to_a, to_b, to_c = (words @ block.T for words in (self._a, self._b, self._c))
            return _product(to_a, to_b, to_c)
        along = self._direction @ block.T
        along -= self._offset[:, None]
        return _per_distance(along, self._c @ block.T)

    def paired(self, rows: Array, which: Array) -> Array:
        """Return the score of row i (m, D) for question which[i], (m,)."""

        def dot(words: Array) -> Array:
            return np.asarray(np.einsum("ij,ij->i", words[which], rows))

        if self._method == "3CosAdd":
            return dot(self._target)
        if self._method == "3CosMul":
            return _product(dot(self._a), dot(self._b), dot(self._c))
        return _per_distance(dot(self._direction) - self._offset[which], dot(self._c))


def _product(to_a: Array, to_b: Array, to_c: Array) -> Array:
    """Return the 3CosMul score, computed in place in `to_b`."""
    # (1 + b)/2 · (1 + c)/2 / ((1 + a)/2 + ε) = (1 + b)(1 + c)/(2 (1 + a + 2 ε))
    to_b += 1
    to_c += 1
    to_b *= to_c
    to_a += np.float32(1 + 2e-3)
    to_a *= 2
    to_b /= to_a
    return to_b


def _per_distance(along: Array, to_c: Array) -> Array:
    """Divide in place by |d − c|, which is √(2 − 2 cos(d, c)) for unit vectors."""
    to_c *= -2
    to_c += 2
    np.maximum(to_c, np.float32(1e-9), out=to_c)
    np.sqrt(to_c, out=to_c)
    along /= to_c
    return along
