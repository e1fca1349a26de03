"""The sections of a report on the replicates of runs: what of their vectors is stable."""

from collections.abc import Sequence
from pathlib import Path

from embedder.evaluation.stability import stability_of_run
from embedder.reporting.page import PageSection
from embedder.reporting.subject import Subject
from embedder.reporting.tables import interval_text, replicates_of_run, stability_rows
from embedder.runs.replicate_folder import KINDS, ReplicateFolder
from embedder.vectors.replicates import LEVEL, Replicates

_NEIGHBORS = 8


def stability_sections(subjects: Sequence[Subject], words: Sequence[str]) -> list[PageSection]:
    """Return how stable the neighbourhoods of each run with replicates are.

    There are two sections for a run: all words by frequency, if there are two replicates of a kind
    to compare; and the neighbours of some words, with intervals.

    Parameters
    ----------
    subjects
        Of the report.
    words
        Whose neighbours to show.

    Raises
    ------
    RunError
        If a file of the replicates is damaged.
    """
    sections = []
    for subject in subjects:
        if subject.config is not None and ReplicateFolder(subject.path).replicates():
            where = f" of {subject.name}" if len(subjects) > 1 else ""
            sections += _sections(subject.path, where, words)
    return sections


def _sections(run: Path, where: str, words: Sequence[str]) -> list[PageSection]:
    sections = []
    folder = ReplicateFolder(run)
    if any(len(folder.replicates(kind)) > 1 for kind in KINDS):
        about = (
            f"The share of a word's ten nearest words that two replicates have in common, by how "
            f"often the word occurs. There are {replicates_of_run(run)}."
        )
        header, rows = stability_rows(stability_of_run(run))
        sections.append(PageSection(f"Stability{where}", about, header, [list(r) for r in rows]))
    replicates = Replicates(run)
    known = [word for word in words if word in replicates.vectors]
    if known:
        found = replicates.neighbors_of(known, _NEIGHBORS)
        cells = [
            ", ".join(f"{own.word} {interval_text(own)} ({own.share:.0%})" for own in near)
            for near in found
        ]
        about = (
            f"The nearest words; {100 * LEVEL:g} % intervals of their cosines in {len(replicates)} "
            f"replicates; and how many of these have the word among their {_NEIGHBORS} nearest."
        )
        rows = [list(row) for row in zip(known, cells, strict=True)]
        header = ("word", "nearest, with intervals")
        sections.append(PageSection(f"Neighbours with intervals{where}", about, header, rows))
    return sections
