"""Commands that evaluate models: eval, compare, stability, report."""

from pathlib import Path
from typing import Any

import click

from embedder.cli.options import (
    ANALOGIES,
    COUNT,
    DTYPE,
    FROM,
    JSON,
    METHOD,
    MODEL,
    POST,
    RESTRICT,
    SIMILARITY,
    VECTORS,
    PathName,
    WholeNumber,
    file_list,
    grouped,
    read_vectors,
    write_json,
)
from embedder.cli.program import main


@main.command("eval")
@MODEL
@ANALOGIES
@SIMILARITY
@file_list(
    "--outliers", "A group of words, an empty line, and outliers; or a folder of such files."
)
@file_list("--categories", "Lines 'word category'.")
@click.option(
    "--perplexity", multiple=True, metavar="FILE", help="Text for a run's network to predict."
)
@VECTORS
@METHOD
@click.option(
    "--top-k",
    type=WholeNumber(min=1),
    multiple=True,
    metavar="K",
    help="Also count analogies whose answer is among the K best candidates.",
)
@RESTRICT
@POST
@DTYPE
@FROM
@JSON
@grouped("files", "analogies", "similarity", "outliers", "categories")
@grouped("source", "kind", "post", "source_format")
@grouped("options", "method", "restrict_vocab", "top_k", "dtype")
def evaluate(
    model: Path,
    files: dict[str, tuple[Path, ...]],
    perplexity: tuple[str, ...],
    source: dict[str, Any],
    options: dict[str, Any],
    out: Path | None,
) -> None:
    """Evaluate vectors on analogies and other tasks, or a run's network on text.

    MODEL is a run or a file of vectors. Several values may follow one option.

    For example:

        embedder eval runs/quickstart --analogies data/bible-analogies.txt --top-k 5
        embedder eval vectors.bin --similarity ws-353-all.txt simlex-999.txt
        embedder eval runs/language-model --perplexity README.md
    """
    if not files and not perplexity:
        raise click.UsageError(
            "nothing to evaluate: give --analogies FILE, --similarity FILE, --outliers FILE, "
            "--categories FILE or --perplexity FILE."
        )
    figures: dict[str, Any] = {}
    if files:
        from embedder.evaluation.suite import read_tasks

        tasks = read_tasks(**files)
        figures = show_evaluation(read_vectors(model, **source), tasks, **options)
    if perplexity:
        figures["perplexity"] = _perplexities(model, perplexity)
    if out is not None:
        write_json(out, figures)


def show_evaluation(
    vectors: Any, tasks: Any, dtype: str = "float32", top_k: tuple[int, ...] = (), **options: Any
) -> dict[str, Any]:
    """Print tables and return the same figures for JSON.

    Parameters
    ----------
    vectors, tasks
        As for `embedder.evaluation.suite.evaluate`, as are the remaining options.
    dtype
        Round the vectors to this type first, and report the loss.
    top_k
        Also count analogies whose answer is among this many best candidates.
    """
    from embedder.evaluation import suite
    from embedder.reporting import tables
    from embedder.vectors.rounding import rounded

    tops = tuple(sorted({1, *top_k}))
    rounded_vectors = rounded(vectors, dtype)
    results = suite.evaluate(rounded_vectors, tasks, **options)
    click.echo(tables.result_tables(results, tops))
    figures = results.figures(tops)
    if dtype != "float32":
        lost = suite.compare(vectors, rounded_vectors, tasks, **options)
        click.echo(tables.difference_table("float32", dtype, lost) + "\n")
        figures["rounding"] = {name: found and found._asdict() for name, found in lost.items()}
    return figures


@main.command()
@click.argument("models", nargs=-1, required=True, type=PathName())
@ANALOGIES
@SIMILARITY
@METHOD
@RESTRICT
@FROM
@JSON
@grouped("files", "analogies", "similarity")
@grouped("options", "method", "restrict_vocab")
def compare(
    models: tuple[Path, ...],
    files: dict[str, tuple[Path, ...]],
    options: dict[str, Any],
    source_format: str | None,
    out: Path | None,
) -> None:
    """Compare two or more models on the words that both know.

    MODELS are runs or files of vectors; the first is compared with each of the others. Intervals
    and p-values come from the paired bootstrap over questions.

    For example:

        embedder compare runs/five-passes runs/tutorial --analogies data/bible-analogies.txt
        embedder compare gensim.bin runs/books --similarity ws-353-all.txt --json difference.json
    """
    from embedder.evaluation import suite
    from embedder.reporting import tables

    if len(models) < 2:
        raise click.UsageError("give at least two models: embedder compare A B --analogies FILE.")
    if not files:
        raise click.UsageError("nothing to compare on: give --analogies FILE or --similarity FILE.")
    tasks = suite.read_tasks(**files)
    # A format is that of the files; runs have none.
    formats = [None if model.is_dir() else source_format for model in models]
    first = read_vectors(models[0], source_format=formats[0])
    figures = {}
    for model, name in zip(models[1:], formats[1:], strict=True):
        vectors = read_vectors(model, source_format=name)
        found = suite.compare(first, vectors, tasks, **options)
        click.echo(tables.difference_table(str(models[0]), str(model), found) + "\n")
        figures[str(model)] = {name: pair and pair._asdict() for name, pair in found.items()}
    if out is not None:
        write_json(out, {"first": str(models[0]), "second": figures})


@main.command()
@click.argument("models", nargs=-1, required=True, type=PathName())
@COUNT
@click.option(
    "--counts",
    type=PathName(),
    metavar="RUN",
    help="The run whose words are compared, by their counts there; by default the first model.",
)
@FROM
@JSON
def stability(
    models: tuple[Path, ...],
    count: int,
    counts: Path | None,
    source_format: str | None,
    out: Path | None,
) -> None:
    """Say how stable neighbourhoods are, by the frequency of words.

    MODELS are one run with replicates (see `embedder train --bootstrap`), or two or more runs or
    files of vectors, such as trainings with other seeds. The table has the share of a word's
    nearest words that two of them have in common, on average over pairs of models and up to 500
    words per row.

    For example:

        embedder stability runs/quickstart
        embedder stability gensim-1.bin gensim-2.bin --counts runs/quickstart --json gensim.json
    """
    from embedder.evaluation.stability import stability_of_models, stability_of_run
    from embedder.reporting import tables

    if len(models) == 1:
        if counts is not None:
            raise click.UsageError("--counts is for several models; a run has its own counts.")
        bands = stability_of_run(models[0], count)
    else:
        formats = [None if model.is_dir() else source_format for model in models]
        loaded = [
            read_vectors(model, source_format=name)
            for model, name in zip(models, formats, strict=True)
        ]
        vocabulary = None if counts is None else read_vectors(counts).vocabulary
        bands = stability_of_models(loaded, count, vocabulary)
    click.echo(f"Shared of the {count} nearest words, by how often a word occurs:\n")
    click.echo(tables.table(*tables.stability_rows(bands)))
    if out is not None:
        rows = [
            own._asdict() | {"agreements": {k: v._asdict() for k, v in own.agreements.items()}}
            for own in bands
        ]
        write_json(out, {"neighbors": count, "bands": rows})


def _perplexities(run: Path, files: tuple[str, ...]) -> dict[str, Any]:
    from embedder.evaluation.perplexity import evaluate_perplexity
    from embedder.kernels.compiler import compiling
    from embedder.reporting import tables
    from embedder.runs.checkpoint import load_model
    from embedder.runs.progress import say

    model = load_model(run)
    with compiling(say):
        results = {file: evaluate_perplexity(model, file) for file in files}
    click.echo(tables.perplexity_table(results) + "\n")
    return {file: result._asdict() for file, result in results.items()}


@main.command()
@click.argument("models", nargs=-1, required=True, type=PathName())
@click.option(
    "--out",
    type=PathName(),
    help="The page to write; report.html in the folder of the first run by default.",
)
@ANALOGIES
@SIMILARITY
@RESTRICT
@VECTORS
@FROM
@click.option(
    "--words", multiple=True, metavar="WORD", help="Words whose neighbours the page shows."
)
@click.option(
    "--map-words",
    type=WholeNumber(min=2, max=100_000),
    metavar="N",
    help="Map the N most frequent words; 20,000 by default.",
)
@click.option(
    "--map",
    "projection",
    type=click.Choice(["graph", "umap", "tsne", "pca"]),
    help="How the map is laid out: by the graph of neighbours by default; umap and tsne need "
    "'exact-embedder[maps]'.",
)
@click.option(
    "--page-words",
    type=WholeNumber(min=2),
    metavar="N",
    help="Search, neighbours and analogies in the page know the N most frequent words; as many as "
    "fit into 15 MB by default.",
)
@click.option("--open", "browse", is_flag=True, help="Open the page in a browser.")
@grouped("files", "analogies", "similarity")
@grouped(
    "options",
    "kind",
    "source_format",
    "words",
    "map_words",
    "page_words",
    "projection",
    "restrict_vocab",
)
def report(
    models: tuple[Path, ...],
    out: Path | None,
    files: dict[str, tuple[Path, ...]],
    options: dict[str, Any],
    browse: bool,
) -> None:
    """Write a page to explore a model, or two side by side.

    MODELS are one or two runs or files of vectors. The page has a map of words, search,
    neighbours, analogies, clusters, evaluation and training curves; of a run with slices, also the
    words that changed; of one with replicates, how stable neighbours are; of two models, also the
    words that they see differently. It is a single file
    that needs no network; its map and charts are also written as PNG and SVG. By default, the
    evaluation uses the files that the first run's configuration names. Needs: pip install
    'exact-embedder[report]'.

    For example:

        embedder report runs/quickstart --open
        embedder report vectors.bin --words king sea --out king.html
        embedder report runs/five-passes runs/tutorial --out comparison.html
    """
    from embedder.evaluation.suite import read_tasks
    from embedder.reporting.report import ReportOptions, write_report
    from embedder.storage import is_stream

    if len(models) > 2:
        raise click.UsageError(f"expected one model or two, got {len(models)}.")
    if out is None:
        out = _page_of(models)
    tasks = read_tasks(**files) if files else None
    page = write_report(models, out, ReportOptions(tasks=tasks, **options))
    if is_stream(page):
        return
    size = page.stat().st_size / 1e6
    click.echo(f"Wrote {page} ({size:.1f} MB), and its charts to {page.with_suffix('')}.")
    if browse:
        click.launch(str(page.resolve()))


def _page_of(models: tuple[Path, ...]) -> Path:
    """Return where the report of models goes: into the first one's folder, or beside its file."""
    first, *others = models
    against = f"-{others[0].stem or 'other'}" if others else ""
    if first.is_dir():
        return first / f"report{against}.html"
    return first.with_name(f"{first.stem}{against}.html")
