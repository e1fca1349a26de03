"""Commands that measure vectors and show them: eval, compare, report."""

from pathlib import Path
from typing import Any

import click

from embedder.cli.options import (
    ANALOGIES,
    DTYPE,
    JSON,
    METHOD,
    POST,
    RESTRICT,
    RUN,
    SIMILARITY,
    VECTORS,
    FileLists,
    file_list,
    read_vectors,
    write_json,
)
from embedder.cli.program import main


@main.command("eval", cls=FileLists)
@RUN
@ANALOGIES
@SIMILARITY
@file_list("--outliers", "Groups of words, an empty line, outliers; or a folder of such files.")
@file_list("--categories", "Lines 'word category'.")
@click.option(
    "--perplexity", multiple=True, metavar="FILE", help="Text for the network to predict."
)
@VECTORS
@METHOD
@click.option(
    "--top-k",
    type=click.IntRange(min=1),
    multiple=True,
    metavar="K",
    help="Also count analogies whose answer is among the K best.",
)
@RESTRICT
@POST
@DTYPE
@JSON
def evaluate(
    run: Path,
    analogies: tuple[Path, ...],
    similarity: tuple[Path, ...],
    outliers: tuple[Path, ...],
    categories: tuple[Path, ...],
    perplexity: tuple[str, ...],
    vectors: Any,
    method: Any,
    top_k: tuple[int, ...],
    restrict_vocab: int | None,
    post: tuple[str, ...],
    dtype: str,
    out: Path | None,
) -> None:
    """Measure the vectors of a run or file RUN on questions, and a run's network on text.

    Several values may follow one option, as in --analogies FILE FILE.
    """
    if not any((analogies, similarity, outliers, categories, perplexity)):
        raise click.UsageError(
            "nothing to evaluate: give --analogies FILE, --similarity FILE, --outliers FILE, "
            "--categories FILE or --perplexity FILE."
        )
    figures: dict[str, Any] = {}
    if analogies or similarity or outliers or categories:
        from embedder.evaluation.suite import read_tasks

        tasks = read_tasks(analogies, similarity, outliers, categories)
        loaded = read_vectors(run, vectors, post)
        tops = tuple(sorted({1, *top_k}))
        figures = show_evaluation(loaded, tasks, method, restrict_vocab, tops, dtype)
    if perplexity:
        figures["perplexity"] = _perplexities(run, perplexity)
    if out is not None:
        write_json(out, figures)


def show_evaluation(
    vectors: Any,
    tasks: Any,
    method: Any = "3CosAdd",
    restrict_vocab: int | None = None,
    tops: tuple[int, ...] = (1,),
    dtype: str = "float32",
) -> dict[str, Any]:
    """Print tables and return the same figures for JSON."""
    from embedder.evaluation import suite
    from embedder.reporting import tables
    from embedder.vectors.rounding import rounded

    rounded_vectors = rounded(vectors, dtype)
    results = suite.evaluate(rounded_vectors, tasks, method, restrict_vocab)
    click.echo(tables.result_tables(results, tops))
    figures = results.figures(tops)
    if dtype != "float32":
        lost = suite.compare(vectors, rounded_vectors, tasks, method, restrict_vocab)
        click.echo(tables.difference_table("float32", dtype, lost) + "\n")
        figures["rounding"] = {name: found and found._asdict() for name, found in lost.items()}
    return figures


@main.command(cls=FileLists)
@click.argument("models", nargs=-1, required=True, type=click.Path(path_type=Path))
@ANALOGIES
@SIMILARITY
@METHOD
@RESTRICT
@JSON
def compare(
    models: tuple[Path, ...],
    analogies: tuple[Path, ...],
    similarity: tuple[Path, ...],
    method: Any,
    restrict_vocab: int | None,
    out: Path | None,
) -> None:
    """Compare the first of MODELS with each other one, on what both know.

    MODELS are runs or files of vectors. Intervals and p-values are of the paired bootstrap over
    questions.
    """
    from embedder.evaluation import suite
    from embedder.reporting import tables

    if len(models) < 2:
        raise click.UsageError("give at least two models: embedder compare A B --analogies FILE.")
    if not analogies and not similarity:
        raise click.UsageError("nothing to compare on: give --analogies FILE or --similarity FILE.")
    tasks = suite.read_tasks(analogies, similarity)
    first = read_vectors(models[0], None)
    figures = {}
    for model in models[1:]:
        found = suite.compare(first, read_vectors(model, None), tasks, method, restrict_vocab)
        click.echo(tables.difference_table(str(models[0]), str(model), found) + "\n")
        figures[str(model)] = {name: pair and pair._asdict() for name, pair in found.items()}
    if out is not None:
        write_json(out, {"first": str(models[0]), "second": figures})


def _perplexities(run: Path, files: tuple[str, ...]) -> dict[str, Any]:
    from embedder.evaluation.perplexity import evaluate_perplexity
    from embedder.reporting import tables
    from embedder.runs.checkpoint import load_model

    model = load_model(run)
    results = {file: evaluate_perplexity(model, file) for file in files}
    click.echo(tables.perplexity_table(results) + "\n")
    return {file: result._asdict() for file, result in results.items()}


@main.command(cls=FileLists)
@RUN
@click.option("--out", type=click.Path(path_type=Path), help="The page; RUN/report.html for a run.")
@ANALOGIES
@SIMILARITY
@RESTRICT
@VECTORS
@click.option("--words", multiple=True, metavar="WORD", help="Show the neighbours of these.")
@click.option(
    "--map-words",
    type=click.IntRange(min=2, max=20_000),
    default=2000,
    show_default=True,
    metavar="N",
    help="How many of the most frequent words are on the map.",
)
@click.option(
    "--map",
    "projection",
    type=click.Choice(["pca", "umap"]),
    default="pca",
    show_default=True,
    help="How the map is laid out; umap needs 'embedder[umap]'.",
)
@click.option("--open", "browse", is_flag=True, help="Open the page in a browser.")
def report(
    run: Path,
    out: Path | None,
    analogies: tuple[Path, ...],
    similarity: tuple[Path, ...],
    restrict_vocab: int | None,
    vectors: Any,
    words: tuple[str, ...],
    map_words: int,
    projection: Any,
    browse: bool,
) -> None:
    """Write a page that shows the run or file of vectors RUN, and its charts as PNG and SVG.

    The page is one file and needs no network. Evaluation is on the files that the run's
    configuration names, or on those given here. Needs: pip install 'embedder[report]'.
    """
    from embedder.evaluation.suite import read_tasks
    from embedder.reporting.report import write_report

    if out is None:
        out = run / "report.html" if run.is_dir() else run.with_suffix(".html")
    tasks = read_tasks(analogies, similarity) if analogies or similarity else None
    page = write_report(run, out, vectors, tasks, words, map_words, projection, restrict_vocab)
    click.echo(f"Wrote {page}, and its charts to {page.with_suffix('')}.")
    if browse:
        click.launch(str(page.resolve()))
