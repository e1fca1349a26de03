"""Analogy questions, and readers of the Google, MSR and BATS formats."""

from itertools import permutations
from pathlib import Path
from typing import NamedTuple

from embedder.errors import EvaluationError
from embedder.evaluation.files import files_in, is_folder, read_lines


class Question(NamedTuple):
    """The question "a is to b as c is to …", and its correct answers."""

    a: str
    b: str
    c: str
    answers: tuple[str, ...]


class Section(NamedTuple):
    """The questions under one heading."""

    name: str
    questions: list[Question]


def read_analogies(path: Path) -> list[Section]:
    """Read questions in one of three formats, which is detected.

    Google: lines ": section" and lines "a b c d". MSR: NAME.questions with lines "a b c", and
    NAME.answers with lines "section d". BATS: a folder of files, or one of them, with lines
    "word answer/answer/…"; every two lines of a file form one question in each direction, where b
    is the first answer of one line and all answers of the other are correct.

    Raises
    ------
    EvaluationError
        If a file is missing, empty or not text, or a line has another format.
    """
    if is_folder(path):
        return [section for file in files_in(path) for section in read_analogies(file)]
    lines = [(n, line.split()) for n, line in enumerate(read_lines(path), start=1) if line.split()]
    if path.suffix == ".questions":
        sections = _msr_sections(path, lines)
    elif lines and len(lines[0][1]) == 2 and not lines[0][1][0].startswith(":"):
        sections = [_pair_section(path, lines)]
    else:
        sections = _google_sections(path, lines)
    if not any(section.questions for section in sections):
        raise EvaluationError(f"{path}: no questions; expected lines of four words.")
    return sections


def _google_sections(path: Path, lines: list[tuple[int, list[str]]]) -> list[Section]:
    sections: list[Section] = []
    for number, words in lines:
        if words[0].startswith(":"):
            sections.append(Section(" ".join(words).lstrip(":").strip(), []))
            continue
        if len(words) != 4:
            raise EvaluationError(
                f"{path}, line {number}: expected four words 'a b c d' or ': section', "
                f"got {len(words)} words."
            )
        if not sections:
            sections.append(Section(path.stem, []))
        a, b, c, d = words
        sections[-1].questions.append(Question(a, b, c, (d,)))
    return sections


def _msr_sections(path: Path, lines: list[tuple[int, list[str]]]) -> list[Section]:
    answers_path = path.with_suffix(".answers")
    answers = [line.split() for line in read_lines(answers_path) if line.split()]
    if len(answers) != len(lines):
        raise EvaluationError(
            f"{answers_path}: {len(answers):,} answers for {len(lines):,} questions in {path.name}."
        )
    sections: dict[str, Section] = {}
    for (number, words), answer in zip(lines, answers, strict=True):
        if len(words) != 3 or len(answer) != 2:
            raise EvaluationError(
                f"{path}, line {number}: expected three words 'a b c', and a line "
                f"'section d' in {answers_path.name}."
            )
        name, d = answer
        a, b, c = words
        sections.setdefault(name, Section(name, [])).questions.append(Question(a, b, c, (d,)))
    return list(sections.values())


def _pair_section(path: Path, lines: list[tuple[int, list[str]]]) -> Section:
    pairs: list[tuple[str, tuple[str, ...]]] = []
    for number, words in lines:
        answers = tuple(words[-1].split("/")) if len(words) == 2 else ()
        if not answers or not all(answers):
            raise EvaluationError(
                f"{path}, line {number}: expected 'word answer/answer/…', got {len(words)} words."
            )
        pairs.append((words[0], answers))
    return Section(
        path.stem,
        [Question(a, b[0], c, answers) for (a, b), (c, answers) in permutations(pairs, 2)],
    )
