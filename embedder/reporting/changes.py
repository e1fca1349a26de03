"""The section of a report on the words that changed between the slices of a run."""

from collections.abc import Sequence
from typing import Any

from embedder.evaluation.changes import LEVEL, SlicedRun, Trajectory
from embedder.reporting.page import PageChart, PageSection
from embedder.reporting.subject import Subject
from embedder.reporting.tables import change_rows
from embedder.runs.slice_folder import SliceFolder


def change_sections(subjects: Sequence[Subject], charts: dict[str, Any]) -> list[PageSection]:
    """Return a section for each run that has slices, and add its chart to `charts`.

    Raises
    ------
    RunError
        If a file of the slices is damaged.
    """
    sections = []
    for subject in subjects:
        if subject.config is not None and SliceFolder(subject.path).exists():
            heading = f"Change in {subject.name}" if len(subjects) > 1 else "Change"
            name = f"change-{len(sections) + 1}" if sections else "change"
            sections.append(_section(SlicedRun(subject.path), heading, name, charts))
    return sections


def _section(run: SlicedRun, heading: str, name: str, charts: dict[str, Any]) -> PageSection:
    from embedder.reporting import charts as draw

    changed, slices = run.count_changed(), f"the {len(run.names)} slices (q ≤ {LEVEL:g})."
    if not changed:
        return PageSection(heading, f"No word changed between {slices}")
    about = (
        f"{changed:,} word{'s' * (changed > 1)} changed between {slices} Change is what vectors of "
        "their own save the slices, in nats per neighbour, without what noise alone would save; "
        "the cosine is that of the vectors in the first and the last slice."
    )
    found = run.most_changed(draw.MOST_LINES)
    paths = [run.trajectory(own.word) for own in found]
    header, rows = change_rows(run.names, found)
    chart = draw.trajectories(paths)
    charts[name] = chart
    return PageSection(
        heading,
        about,
        [*header, f"nearest in {run.names[0]}", f"nearest in {run.names[-1]}"],
        [[*row, *_nearest(path)] for row, path in zip(rows, paths, strict=True)],
        [PageChart(name, chart.title)],
    )


def _nearest(path: Trajectory) -> list[str]:
    """Return a word's neighbours in the first and the last slice, or the nearest that have it."""
    known = [i for i, near in enumerate(path.neighbors) if near is not None]
    cells = []
    for i, named in ((known[0], 0), (known[-1], len(path.slices) - 1)):
        near = ", ".join(f"{own.word} {own.similarity:.2f}" for own in path.neighbors[i] or ())
        cells.append(near if i == named else f"in {path.slices[i]}: {near}")
    return cells
