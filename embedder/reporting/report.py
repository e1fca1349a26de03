"""A page about a model: curves, evaluation, a map of words, neighbours and configuration.

The page is a single file that makes no network requests: it contains the data and the Vega
libraries, and its content security policy forbids loading anything. Words enter it only as escaped
text or JSON.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from embedder.arrays import Array
from embedder.config_sections import EvaluationConfig, VectorKind
from embedder.errors import CorpusError, EmbedderError, EvaluationError
from embedder.evaluation.similarity import pair_cosines
from embedder.evaluation.suite import Tasks, configured_tasks, evaluate
from embedder.reporting.tables import example_words
from embedder.runs.run_folder import RunFolder
from embedder.storage import write_atomically
from embedder.vectors.formats import load
from embedder.vectors.word_vectors import Neighbor, WordVectors

Projection = Literal["pca", "umap"]
_GROUPS = 12
_POINTS = 3000
_NEIGHBORS = 8
_WORDS_SHOWN = 12
_PICTURE_SCALE = 2.0


class Report(NamedTuple):
    """The contents of a page.

    ``charts``
        Pairs of a name and a chart, by heading; the map is under "map".
    """

    title: str
    lead: str
    charts: dict[str, list[tuple[str, Any]]]
    map_words: list[str]
    map_about: str
    neighbors: list[tuple[str, list[Neighbor]]]
    config: str


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
    ``projection``
        How the words are projected onto the plane.
    ``restrict_vocab``
        Evaluate with only this many of the most frequent words; by default as in the run's
        configuration.
    ``pictures``
        Whether to write each chart as PNG and SVG too.
    """

    kind: VectorKind | None = None
    source_format: str | None = None
    tasks: Tasks | None = None
    words: Sequence[str] = ()
    map_words: int = 2000
    projection: Projection = "pca"
    restrict_vocab: int | None = None
    pictures: bool = True


def write_report(path: Path, out: Path, options: ReportOptions | None = None) -> Path:
    """Write a page about a run or a file of vectors, and its charts as pictures.

    Parameters
    ----------
    path
        The run folder, or the file of vectors.
    out
        The page; the pictures go to a folder with the same name without ``.html``.
    options
        What to show.

    Returns
    -------
    Path
        The page.

    Raises
    ------
    EmbedderError
        If packages of the extra `report` are missing, or the run or file cannot be read.
    """
    options = options or ReportOptions()
    vega = _vega_converter()
    report = _assemble(path, options)
    from embedder.reporting.charts import specification

    specifications = {
        name: specification(chart) for charts in report.charts.values() for name, chart in charts
    }
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EmbedderError(f"{out.parent}: cannot be created ({error.strerror}).") from None
    write_atomically(out, _page(report, specifications, vega.javascript_bundle()).encode())
    if options.pictures:
        folder = out.with_suffix("")
        folder.mkdir(exist_ok=True)
        for name, drawn in specifications.items():
            write_atomically(folder / f"{name}.svg", vega.vegalite_to_svg(drawn).encode())
            png = vega.vegalite_to_png(drawn, scale=_PICTURE_SCALE)
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


def _assemble(path: Path, options: ReportOptions) -> Report:
    from embedder.reporting import charts

    tasks, words, restrict_vocab = options.tasks, options.words, options.restrict_vocab
    vectors = load(path, options.kind, file_format=options.source_format)
    folder = RunFolder(path)
    config = folder.read_config() if path.is_dir() and folder.config.exists() else None
    if config is not None:
        if tasks is None:
            tasks = _tasks_of_run(config.evaluation)
        restrict_vocab = restrict_vocab or config.evaluation.restrict_vocab
        words = words or example_words(config, vectors)[:_WORDS_SHOWN]
    lines = _metrics(folder.metrics) if config is not None else []
    training: list[tuple[str, Any]] = []
    if lines:
        training = [("loss", charts.losses(lines)), ("throughput", charts.throughput(lines))]
    evaluation, vocabulary = _evaluation(vectors, tasks, restrict_vocab), []
    if vectors.vocabulary.counts.any():
        some = charts.log_spaced_sample(len(vectors), _POINTS)
        names = [vectors.vocabulary.words[i] for i in some]
        lengths = np.linalg.norm(vectors.matrix[some].astype(np.float64), axis=1)
        chart = charts.norms(names, vectors.vocabulary.counts[some], lengths)
        vocabulary.append(("frequency-and-length", chart))
    shown = vectors.vocabulary.words[: options.map_words]
    coordinates, about = _project(vectors, len(shown), options.projection)
    name = path.name or str(path)
    drawn = charts.word_map(shown, coordinates, _groups(vectors, len(shown)), f"Words of {name}")
    V, D = vectors.matrix.shape
    chosen = list(words or vectors.vocabulary.words[: _WORDS_SHOWN // 2])
    return Report(
        name,
        f"{V:,} word vectors of {D} dimensions" + _training_time(lines) + ".",
        {
            "map": [("map", drawn)],
            "Training": training,
            "Evaluation": evaluation,
            "Vocabulary": vocabulary,
        },
        shown,
        about,
        list(zip(chosen, vectors.neighbors_of(chosen, _NEIGHBORS), strict=True)),
        config.to_yaml() if config is not None else "",
    )


def _tasks_of_run(evaluation: EvaluationConfig) -> Tasks | None:
    try:
        return configured_tasks(evaluation)
    except (CorpusError, EvaluationError):
        return None  # the page is useful even if evaluation files are gone


def _metrics(path: Path) -> list[dict[str, Any]]:
    try:
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, ValueError):
        return []


def _training_time(lines: Sequence[dict[str, Any]]) -> str:
    if not lines:
        return ""
    return f", trained for {lines[-1]['pass']:g} passes in {lines[-1]['seconds']:,.0f} s"


def _evaluation(
    vectors: WordVectors, tasks: Tasks | None, restrict_vocab: int | None
) -> list[tuple[str, Any]]:
    from embedder.reporting import charts

    if tasks is None:
        return []
    results = evaluate(vectors, tasks, restrict_vocab=restrict_vocab)
    found: list[tuple[str, Any]] = []
    if results.analogies is not None:
        found.append(("analogies", charts.analogies(results.analogies)))
    for i, (name, judgements) in enumerate(tasks.similarity.items(), start=1):
        correlation = results.similarity[name].spearman
        figure = "no correlation" if correlation is None else f"Spearman {correlation:.3f}"
        cosines = pair_cosines(vectors, judgements, restrict_vocab)
        found.append((f"similarity-{i}", charts.similarity(name, judgements, cosines, figure)))
    return found


def _project(vectors: WordVectors, count: int, projection: Projection) -> tuple[Array, str]:
    """Return the coordinates of words on the map, (n, 2), and a sentence about the projection."""
    unit = vectors.unit_rows(np.arange(count)).astype(np.float64)
    if projection == "umap":
        try:
            from umap import UMAP
        except ImportError:
            raise EmbedderError(
                "--map umap needs umap-learn; run: pip install 'exact-embedder[umap]'."
            ) from None
        neighbors = min(15, max(2, count - 1))
        reducer = UMAP(metric="cosine", n_neighbors=neighbors, random_state=0, n_jobs=1)
        return reducer.fit_transform(unit), "UMAP of the unit vectors (cosine metric)."
    centred = unit - unit.mean(axis=0)
    left, sizes, _ = np.linalg.svd(centred, full_matrices=False)
    coordinates = left[:, :2] * sizes[:2]
    if coordinates.shape[1] < 2:
        coordinates = np.column_stack([coordinates, np.zeros(len(coordinates))])
    total = float((sizes**2).sum()) or 1.0
    share = float((sizes[:2] ** 2).sum()) / total
    about = f"The first two principal components of the unit vectors ({share:.0%} of the variance)"
    about += "; words of the same colour are close to each other in all dimensions."
    return coordinates, about


def _groups(vectors: WordVectors, count: int) -> Array:
    from scipy.cluster.vq import kmeans2

    unit = vectors.unit_rows(np.arange(count)).astype(np.float64)
    groups = min(_GROUPS, count)
    rng = np.random.default_rng(0)
    _, found = kmeans2(unit, groups, minit="++", missing="warn", rng=rng)
    return np.asarray(found)


def _page(report: Report, specifications: dict[str, Any], bundle: str) -> str:
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    # Escape every "<", so that no word can end the script element or begin a comment in it.
    embedded = {**specifications, "map": specifications["map"] | {"words": report.map_words}}
    as_json = json.dumps(embedded, ensure_ascii=False).replace("<", "\\u003c")
    environment = Environment(
        loader=PackageLoader("embedder.reporting", "."), autoescape=True, undefined=StrictUndefined
    )
    template = environment.get_template("report.html")
    return template.render(
        title=report.title,
        lead=report.lead,
        map={"name": "map"},
        map_words=len(report.map_words),
        map_about=report.map_about,
        sections=[
            (heading, [{"name": name} for name, _ in charts])
            for heading, charts in report.charts.items()
            if heading != "map"
        ],
        neighbors=report.neighbors,
        config=report.config,
        specifications=Markup(as_json),
        bundle=Markup(bundle.replace("</script", "<\\/script")),
    )
