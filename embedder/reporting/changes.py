"""The sections of a report on the words that changed between the slices of a run."""

from collections.abc import Sequence
from typing import Any

from embedder.evaluation.changes import LEVEL, SlicedRun, Trajectory
from embedder.reporting.page import PageChart, PageSection
from embedder.reporting.subject import Subject
from embedder.reporting.tables import change_rows
from embedder.runs.slice_folder import SliceFolder


def change_sections(subjects: Sequence[Subject], charts: dict[str, Any]) -> list[PageSection]:
    """Return what changed in each run that has slices, and add a chart of it to `charts`.

    There are two sections for a run: the words with their chart, and their neighbours.

    Raises
    ------
    RunError
        If a file of the slices is damaged.
    """
    sliced = [
        subject
        for subject in subjects
        if subject.config is not None and SliceFolder(subject.path).exists()
    ]
    sections = []
    for number, subject in enumerate(sliced, start=1):
        name = f"change-{number}" if number > 1 else "change"
        where = f" in {subject.name}" if len(subjects) > 1 else ""
        sections += _sections(SlicedRun(subject.path), where, name, charts)
    return sections


def _sections(run: SlicedRun, where: str, name: str, charts: dict[str, Any]) -> list[PageSection]:
    from embedder.reporting import charts as draw

    heading = f"Change{where}"
    changed, slices = run.count_changed(), f"the {len(run.names)} slices (q ≤ {LEVEL:g})."
    if not changed:
        return [PageSection(heading, f"No word changed between {slices}")]
    found = run.most_changed(draw.MOST_LINES)
    shown = f" These {len(found)} changed most." if changed > len(found) else ""
    about = (
        f"{changed:,} word{'s' * (changed > 1)} changed between {slices}{shown} Change is what "
        "vectors of their own save the slices, in nats per neighbour, without what noise alone "
        "would save; the cosine is between the first and the last slice."
    )
    paths = [run.trajectory(own.word) for own in found]
    header, rows = change_rows(run.names, found)
    chart = draw.trajectories(paths)
    charts[name] = chart
    return [
        PageSection(heading, about, header, rows, [PageChart(name, chart.title)]),
        PageSection(
            f"Neighbours before and after{where}",
            "The nearest words, with cosines, of each word that changed.",
            ("word", f"in {run.names[0]}", f"in {run.names[-1]}"),
            [[path.word, *_nearest(path)] for path in paths],
        ),
    ]


def _nearest(path: Trajectory) -> list[str]:
    """Return a word's neighbours in the first and the last slice in which it occurs.

    Slices other than the first and the last of all are named.
    """
    known = [i for i, near in enumerate(path.neighbors) if near is not None]
    cells = []
    for i, named in ((known[0], 0), (known[-1], len(path.slices) - 1)):
        near = ", ".join(f"{own.word} {own.similarity:.2f}" for own in path.neighbors[i] or ())
        cells.append(near if i == named else f"in {path.slices[i]}: {near}")
    return cells
