"""Commands for text that comes later: update."""

from functools import partial
from pathlib import Path
from typing import Any

import click

from embedder.cli.options import config_option, file_list, given_overrides, grouped
from embedder.cli.program import exit_code_of, main

_SHOWN = 5
_MOST_MOVED = 10


@main.command()
@click.argument("run", type=click.Path(path_type=Path))
@file_list("--text", "The new text: files, folders, globs, URLs, or - for standard input.")
@click.option(
    "--output", "-o", type=click.Path(path_type=Path), metavar="DIR", help="Folder of the new run."
)
@config_option(
    "--min-count",
    key="vocabulary.min_count",
    help="Ignore new words that are rarer in the new text; by default as in RUN.",
    type=click.IntRange(min=1),
    metavar="N",
)
@click.option(
    "--refine", is_flag=True, help="Also move known words by what the new text says about them."
)
@config_option(
    "--text-field",
    key="corpus.text_field",
    help="The field or column with the text; by default as in RUN.",
    metavar="NAME",
)
@click.option("--overwrite", is_flag=True, help="Replace an existing run in the folder.")
@click.option("--quiet", "-q", is_flag=True, help="Show no progress bar and no tables.")
@grouped("options", "refine", "overwrite", "quiet")
def update(
    run: Path,
    text: tuple[Path, ...],
    output: Path | None,
    options: dict[str, Any],
) -> None:
    """Add the words that new text brings to a trained RUN, without training it again.

    New words get vectors in the space of the old ones, which stay as they are to the bit. With
    --refine, known words move by what the new text says, weighted against the text that they were
    trained on. The result is a run like any other: it can be updated again, evaluated and exported.

    For example:

        embedder update runs/news --text 2024/*.txt --output runs/news-2024
        embedder update runs/news --text today.txt --output runs/news-today --min-count 3 --refine
    """
    from embedder.config_files import with_overrides
    from embedder.runs.run_folder import RunFolder
    from embedder.text.corpus import read_text
    from embedder.training.update import UpdateOptions
    from embedder.training.update import update as run_update

    if not text:
        raise click.UsageError("give the new text: --text FILE.")
    if output is None:
        raise click.UsageError(f"give the folder of the new run, such as --output {run}-updated.")
    files = [str(file) for file in text]
    settings = with_overrides(RunFolder(run).read_config(), given_overrides(), str(run))
    read = partial(read_text, settings.corpus.model_copy(update={"files": files}))
    wanted = UpdateOptions(output, files, settings.vocabulary.min_count, **options)
    try:
        found = run_update(run, read, wanted)
    except KeyboardInterrupt as stop:
        click.echo("Stopped; nothing new was saved.", err=True)
        raise SystemExit(exit_code_of(stop)) from None
    if not options["quiet"]:
        _summarise(output, found)


def _summarise(run: Path, found: Any) -> None:
    from embedder.reporting import tables
    from embedder.vectors.from_run import load_vectors

    click.echo(
        f"Wrote {run}: {found.words:,} words, {len(found.new):,} of them new, from "
        f"{found.tokens:,} tokens in {found.seconds:.1f} s."
    )
    if found.left_out:
        click.echo(
            f"Left out {len(found.left_out):,} new words that have no known word beside them: "
            f"{', '.join(found.left_out[:_SHOWN])}{', …' * (len(found.left_out) > _SHOWN)}"
        )
    if found.new:
        click.echo(f"\n{tables.neighbor_table(load_vectors(run), found.new[:_SHOWN])}")
    if found.moved:
        rows = [
            (own.word, f"{own.cosine:.3f}", f"{own.before:,.0f}", f"{own.new:,.0f}")
            for own in found.moved[:_MOST_MOVED]
        ]
        heading = "moved most", "cosine", "neighbours before", "new"
        click.echo(f"\n{tables.table(heading, rows)}")
