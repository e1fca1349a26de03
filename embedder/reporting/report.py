"""A report on one model, or on two side by side: the page, and its map and charts as pictures."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from embedder.config_sections.network import VectorKind
from embedder.errors import EmbedderError
from embedder.evaluation.neighborhoods import neighborhood_overlaps
from embedder.evaluation.similarity import pair_cosines
from embedder.evaluation.suite import Tasks, compare, evaluate
from embedder.reporting.changes import change_sections
from embedder.reporting.explorer import WordMap, explorer_data, make_map, words_that_fit
from embedder.reporting.page import Page, PageChart, PageSection, render
from embedder.reporting.picture import map_svg
from embedder.reporting.projection import Projection, check_installed
from embedder.reporting.stability import stability_sections
from embedder.reporting.subject import Subject, read_subjects
from embedder.reporting.tables import difference_rows, example_words
from embedder.storage import is_stream, write_atomically

_POINTS = 3000
_NEIGHBORS = 8
_WORDS_SHOWN = 12
_DIFFERENCES_SHOWN = 100
_PICTURE_SCALE = 2.0


class ReportOptions(NamedTuple):
    """What to show, and how.

    ``kind``
        Which vectors of a run to use; by default those that its configuration names.
    ``source_format``
        The format of a file of vectors; by default its content decides.
    ``tasks``
        The tasks to evaluate on; by default those that the run's configuration names.
    ``words``
        Words whose neighbours to show; by default those that the configuration names, or a few.
    ``map_words``
        Number of the most frequent words that the map shows.
    ``page_words``
        Number of the most frequent words that can be searched and have neighbours in the page; by
        default as many as fit into 15 MB.
    ``projection``
        How the words are placed in the plane.
    ``restrict_vocab``
        Evaluate with only this many of the most frequent words; by default as in the run's
        configuration.
    ``pictures``
        Whether to write the map and each chart as PNG and SVG too.
    """

    kind: VectorKind | None = None
    source_format: str | None = None
    tasks: Tasks | None = None
    words: Sequence[str] = ()
    map_words: int = 20_000
    page_words: int | None = None
    projection: Projection = "graph"
    restrict_vocab: int | None = None
    pictures: bool = True


class Pictures(NamedTuple):
    """What a report draws: SVGs of maps and Altair charts, by name."""

    maps: dict[str, str]
    charts: dict[str, Any]


def write_report(
    models: Path | Sequence[Path], out: Path, options: ReportOptions | None = None
) -> Path:
    """Write a page about a model or two, and its charts as pictures.

    Parameters
    ----------
    models
        A run folder or a file of vectors, or two of them, which are shown side by side.
    out
        The page; the pictures go to a folder with the same name without ``.html``. `-` writes the
        page to standard output, and no pictures.
    options
        What to show.

    Returns
    -------
    Path
        The page.

    Raises
    ------
    EmbedderError
        If packages of the extra `report` are missing, or a run or file cannot be read.
    """
    options = options or ReportOptions()
    vega = _vega_converter()
    check_installed(options.projection)
    from embedder.reporting.charts import page_specification, specification

    paths = [models] if isinstance(models, Path) else models
    subjects = read_subjects(paths, options.kind, options.source_format)
    page, pictures = _assemble(subjects, options)
    page = page._replace(charts={n: page_specification(c) for n, c in pictures.charts.items()})
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EmbedderError(f"{out.parent}: cannot be created ({error.strerror}).") from None
    write_atomically(out, render(page, vega.javascript_bundle()).encode())
    if options.pictures and not is_stream(out):
        folder = out.with_suffix("")
        folder.mkdir(exist_ok=True)
        for name, drawn in pictures.maps.items():
            write_atomically(folder / f"{name}.svg", drawn.encode())
            write_atomically(folder / f"{name}.png", vega.svg_to_png(drawn, scale=1.0))
        for name, chart in pictures.charts.items():
            themed = specification(chart)
            write_atomically(folder / f"{name}.svg", vega.vegalite_to_svg(themed).encode())
            png = vega.vegalite_to_png(themed, scale=_PICTURE_SCALE)
            write_atomically(folder / f"{name}.png", png)
    return out


def _vega_converter() -> Any:
    try:
        import altair  # noqa: F401
        import jinja2  # noqa: F401
        import vl_convert
    except ImportError:
        raise EmbedderError(
            "A report needs altair, vl-convert-python and jinja2; run: "
            "pip install 'exact-embedder[report]'."
        ) from None
    return vl_convert


def _assemble(subjects: list[Subject], options: ReportOptions) -> tuple[Page, Pictures]:
    first = subjects[0]
    tasks = options.tasks if options.tasks is not None else first.configured_tasks()
    restrict_vocab = options.restrict_vocab or first.restrict_vocab
    examples = _examples(subjects, options.words)
    charts: dict[str, Any] = {}
    sections = [
        *_evaluation(subjects, tasks, restrict_vocab, charts),
        *change_sections(subjects, charts),
        *_training(subjects, charts),
        *_vocabulary(subjects, charts),
        _neighbors(subjects, examples),
        *stability_sections(subjects, examples),
        *_descriptions(subjects),
    ]
    maps: list[WordMap] = []
    for subject in subjects:
        like = maps[0] if maps else None
        maps.append(make_map(subject.vectors, options.map_words, options.projection, like))
    count = options.page_words or words_that_fit([subject.vectors for subject in subjects])
    overlaps = []
    if len(subjects) > 1:
        overlaps = neighborhood_overlaps(first.vectors, subjects[1].vectors)[:_DIFFERENCES_SHOWN]
    page = Page(
        title=" and ".join(subject.name for subject in subjects),
        lead=_lead(subjects),
        models=[
            explorer_data(subject.name, subject.vectors, drawn, count)
            for subject, drawn in zip(subjects, maps, strict=True)
        ],
        examples=examples,
        sections=sections,
        differences=overlaps,
        differences_about=(
            "Frequent words whose 50 nearest words differ most, and the share of these that is the "
            "same in both models (Gonen et al. 2020)."
        ),
    )
    names = ["map", "map-2"]
    titles = [f"The {len(drawn.words):,} most frequent words of " for drawn in maps]
    svgs = {
        name: map_svg(drawn, title + subject.name)
        for name, title, drawn, subject in zip(names, titles, maps, subjects, strict=False)
    }
    return page, Pictures(svgs, charts)


def _lead(subjects: list[Subject]) -> str:
    if len(subjects) == 1:
        return f"{subjects[0].lead()}."
    return "; ".join(f"{subject.name}: {subject.lead()}" for subject in subjects) + "."


def _examples(subjects: list[Subject], words: Sequence[str]) -> list[str]:
    """Return the words that were asked for, or a few that all models have."""
    if words:
        for subject in subjects:
            subject.vectors.neighbors_of(list(words), 1)  # names an unknown word
        return list(words)
    first = subjects[0]
    chosen = example_words(first.config, first.vectors)[:_WORDS_SHOWN]
    return [word for word in chosen if all(word in each.vectors for each in subjects)]


def _evaluation(
    subjects: list[Subject], tasks: Tasks | None, restrict_vocab: int | None, charts: dict[str, Any]
) -> list[PageSection]:
    from embedder.reporting import charts as draw

    if tasks is None:
        return []
    results = {
        each.name: evaluate(each.vectors, tasks, "3CosAdd", restrict_vocab) for each in subjects
    }
    shown: list[PageChart] = []

    def add(name: str, chart: Any) -> None:
        charts[name] = chart
        shown.append(PageChart(name, chart.title))

    found = {name: r.analogies for name, r in results.items() if r.analogies is not None}
    section = PageSection("Evaluation")
    if len(subjects) > 1:
        one, two = subjects
        pairs = compare(one.vectors, two.vectors, tasks, "3CosAdd", restrict_vocab)
        header, rows = difference_rows(one.name, two.name, pairs)
        about = "On the questions that both models know; intervals from the paired bootstrap."
        section = section._replace(about=about, header=header, rows=rows)
        if any(pair is not None for pair in pairs.values()):
            add("differences", draw.differences(pairs, one.name, two.name))
    if found:
        add("analogies", draw.analogies(found))
    for i, (name, judgements) in enumerate(tasks.similarity.items(), start=1):
        cosines = {
            each.name: pair_cosines(each.vectors, judgements, restrict_vocab) for each in subjects
        }
        figures = _correlations({each: r.similarity[name].spearman for each, r in results.items()})
        add(f"similarity-{i}", draw.similarity(name, judgements, cosines, figures))
    return [section._replace(charts=shown)] if shown else []


def _correlations(found: Mapping[str, float | None]) -> str:
    figures = ["none" if value is None else f"{value:.3f}" for value in found.values()]
    return "Spearman " + " and ".join(figures)


def _training(subjects: list[Subject], charts: dict[str, Any]) -> list[PageSection]:
    from embedder.reporting import charts as draw

    runs = {subject.name: subject.metrics for subject in subjects if subject.metrics}
    if not runs:
        return []
    charts |= {"loss": draw.losses(runs), "throughput": draw.throughput(runs)}
    shown = [PageChart("loss", "Loss"), PageChart("throughput", "Throughput")]
    return [PageSection("Training", charts=shown)]


def _vocabulary(subjects: list[Subject], charts: dict[str, Any]) -> list[PageSection]:
    from embedder.reporting import charts as draw

    models = {}
    for subject in subjects:
        vectors = subject.vectors
        if vectors.vocabulary.counts.any():
            some = draw.log_spaced_sample(len(vectors), _POINTS // len(subjects))
            lengths = np.linalg.norm(vectors.matrix[some].astype(np.float64), axis=1)
            words = [vectors.words[i] for i in some]
            models[subject.name] = draw.Lengths(words, vectors.vocabulary.counts[some], lengths)
    if not models:
        return []
    chart = draw.norms(models)
    charts["frequency-and-length"] = chart
    return [PageSection("Vocabulary", charts=[PageChart("frequency-and-length", chart.title)])]


def _neighbors(subjects: list[Subject], words: list[str]) -> PageSection:
    """Return the neighbours of the examples, for print and for browsers without JavaScript."""
    columns = [
        [", ".join(f"{near.word} {near.similarity:.2f}" for near in found) for found in lists]
        for lists in (each.vectors.neighbors_of(words, _NEIGHBORS) for each in subjects if words)
    ]
    heads = [each.name for each in subjects] if len(subjects) > 1 else ["nearest, with cosine"]
    rows = [list(row) for row in zip(words, *columns, strict=True)] if words else []
    return PageSection("Neighbours", header=["word", *heads], rows=rows)


def _descriptions(subjects: list[Subject]) -> list[PageSection]:
    """Return what the models are, what training took, and their configurations."""
    sections = []
    several = len(subjects) > 1
    for subject in subjects:
        name = f" of {subject.name}" if several else ""
        sections.append(
            PageSection(
                f"Model and training{name}",
                header=("what", "value"),
                rows=subject.description(),
                summary="Configuration",
                text=subject.config.to_yaml() if subject.config is not None else "",
            )
        )
    return sections
