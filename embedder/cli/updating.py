"""Commands about text that comes later, and change: update, slices, changes."""

from functools import partial
from pathlib import Path
from typing import Any

import click

from embedder.cli.options import (
    COUNT,
    JSON,
    PathName,
    WholeNumber,
    complete_files,
    config_option,
    engine_options,
    given_overrides,
    grouped,
    write_json,
)
from embedder.cli.program import exit_code_of, main

_SHOWN = 5
_MOST_MOVED = 10


@main.command()
@click.argument("run", type=PathName())
@click.option(  # a URL is no path, which would lose one of its slashes
    "--text",
    multiple=True,
    metavar="TEXT",
    shell_complete=complete_files,
    help="The new text: files, folders, globs, URLs, or - for standard input.",
)
@click.option("--output", "-o", type=PathName(), metavar="DIR", help="Folder of the new run.")
@config_option(
    "--min-count",
    key="vocabulary.min_count",
    help="Ignore new words that are rarer in the new text; by default as in RUN.",
    type=WholeNumber(min=1),
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
@engine_options("ray fits rows on a cluster.")
@click.option("--overwrite", is_flag=True, help="Replace an existing run in the folder.")
@click.option("--quiet", "-q", is_flag=True, help="Show no progress bar and no tables.")
@grouped("options", "refine", "overwrite", "quiet")
def update(
    run: Path,
    text: tuple[str, ...],
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
    from embedder.training.train import open_row_map
    from embedder.training.update import UpdateOptions
    from embedder.training.update import update as run_update

    if not text:
        raise click.UsageError("give the new text: --text TEXT.")
    if output is None:
        raise click.UsageError(f"give the folder of the new run, such as --output {run}-updated.")
    files = list(text)
    # The cluster that a run was trained on is not asked again, unless that is wanted.
    overrides = ["training.engine=local", "cluster.address=null", *given_overrides()]
    settings = with_overrides(RunFolder(run).read_config(), overrides, str(run))
    read = partial(read_text, settings.corpus.model_copy(update={"files": files}))
    wanted = UpdateOptions(output, files, settings.vocabulary.min_count, **options)
    try:
        with open_row_map(settings) as fit_rows:
            found = run_update(run, read, wanted, fit_rows)
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
        click.echo(found.describe_left_out())
    if found.new:
        click.echo(f"\n{tables.neighbor_table(load_vectors(run), found.new[:_SHOWN])}")
    if found.moved:
        rows = [
            (own.word, f"{own.cosine:.3f}", f"{own.before:,.0f}", f"{own.new:,.0f}")
            for own in found.moved[:_MOST_MOVED]
        ]
        heading = "moved most", "cosine", "neighbours before", "new"
        click.echo(f"\n{tables.table(heading, rows)}")


@main.command()
@click.argument(
    "inputs", metavar="[CONFIG] [KEY=VALUE]...", nargs=-1, shell_complete=complete_files
)
@click.option(
    "--output", "-o", type=PathName(), metavar="DIR", help="Run folder; by default that of CONFIG."
)
@click.option("--overwrite", is_flag=True, help="Replace an existing run in the folder.")
@click.option(
    "--resume",
    type=PathName(),
    metavar="RUN",
    help="Finish a run whose training or slices are not finished, or fit its slices again.",
)
@engine_options("ray counts and fits rows on a cluster.")
@click.option("--quiet", "-q", is_flag=True, help="Show no progress bars.")
def slices(
    inputs: tuple[str, ...], output: Path | None, resume: Path | None, overwrite: bool, quiet: bool
) -> None:
    """Train on all text, and fit vectors for each of its slices, in one space.

    CONFIG names the slices and their files, such as `slices: {1900s: a.txt, 1950s: b/*.txt}`. The
    network is trained on all of them; then each slice's vectors are fitted to it. The slices are
    runs, RUN/slices/NAME, and `embedder changes RUN` lists what changed between them.

    For example:

        embedder slices decades.yaml
        embedder slices decades.yaml slices.prior=previous --output runs/decades
        embedder slices --resume runs/decades slices.prior_weight=50
    """
    from embedder.cli.training import settings_of
    from embedder.runs.run_folder import RunFolder
    from embedder.training.slices import fit_slices
    from embedder.training.train import open_row_map
    from embedder.training.train import train as run_training
    from embedder.training.trainer import Interrupted

    settings = settings_of(inputs, None if output is None else str(output), resume, overwrite)
    if not (settings.slices.files or settings.slices.field):
        raise click.UsageError("no slices: expected a configuration with slices: {NAME: FILES, …}.")
    run = Path(settings.output)
    try:
        if resume is None or not RunFolder(run).model.exists():
            run_training(settings, overwrite, resume is not None, quiet)
        with open_row_map(settings) as fit_rows:
            names = fit_slices(run, settings, quiet, fit_rows)
    except (Interrupted, KeyboardInterrupt) as stop:
        where = f" at {stop}" if isinstance(stop, Interrupted) else ""
        saved = RunFolder(run).model.exists() or isinstance(stop, Interrupted)
        advice = f"resume with: embedder slices --resume {run}" if saved else "nothing was saved."
        click.echo(f"Stopped{where}; {advice}", err=True)
        raise SystemExit(exit_code_of(stop)) from None
    if not quiet:
        click.echo(f"Wrote {run}, and the slices {', '.join(names)} below it.")
        click.echo(f"What changed: embedder changes {run}")


@main.command()
@click.argument("run", type=PathName())
@click.argument("words", nargs=-1)
@COUNT
@JSON
def changes(run: Path, words: tuple[str, ...], count: int, out: Path | None) -> None:
    """List the words that changed most between the slices of RUN, or how each WORD changed.

    The change of a word is what vectors of their own save the slices, in nats per neighbour,
    without what noise alone would save. p comes from permutations of blocks of text between the
    slices, and q is the false discovery rate among all words with a p at most as large; words with
    a q up to 0.05 are listed.

    For example:

        embedder changes runs/decades
        embedder changes runs/decades gay broadcast --json changes.json
    """
    from embedder.evaluation.changes import LEVEL, SlicedRun
    from embedder.reporting import tables

    found = SlicedRun(run)
    listed = [found.change(word) for word in words] or found.most_changed(count)
    if not words:
        changed = found.count_changed()
        number = "1 word" if changed == 1 else f"{changed:,} words"
        click.echo(f"{number} changed (q ≤ {LEVEL:g}).\n")
    paths = [found.trajectory(own.word) for own in listed]
    if listed:
        click.echo(tables.table(*tables.change_rows(found.names, listed)))
    for path in paths:
        known = [i for i, near in enumerate(path.neighbors) if near is not None]
        click.echo(f"\n{path.word}")
        for i in known if words else (known[0], known[-1]):
            near = ", ".join(f"{own.word} {own.similarity:.2f}" for own in path.neighbors[i] or ())
            click.echo(f"  {path.slices[i]}: {near}")
    if out is not None:
        write_json(
            out,
            {
                own.word: own._asdict()
                | {
                    "slices": path.slices,
                    "neighbors": path.neighbors,
                    "similarities": path.similarities,
                }
                for own, path in zip(listed, paths, strict=True)
            },
        )
