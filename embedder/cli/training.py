"""Commands that read text: train, run, phrases, and what belongs to them."""

import json
from pathlib import Path

import click

from embedder.cli.measuring import show_evaluation
from embedder.cli.program import main
from embedder.errors import EmbedderError

_INTERRUPTED = 130


@main.command()
@click.argument("config", type=click.Path(path_type=Path), required=False)
@click.argument("overrides", metavar="[KEY=VALUE]...", nargs=-1)
@click.option("--output", metavar="DIR", help="The run folder, instead of the config's `output`.")
@click.option("--overwrite", is_flag=True, help="Replace a run that is already in the folder.")
@click.option(
    "--resume",
    type=click.Path(path_type=Path),
    metavar="RUN",
    help="Go on with an interrupted run (instead of CONFIG).",
)
@click.option("--threads", type=click.IntRange(min=1), metavar="N", help="As training.threads.")
@click.option("--memory-limit", metavar="SIZE", help="As training.memory_limit, such as 2GB.")
@click.option(
    "--max-minutes",
    type=click.FloatRange(min=0, min_open=True),
    metavar="M",
    help="As training.max_minutes: end in time, with a model.",
)
@click.option(
    "--engine", type=click.Choice(["local", "ray"]), help="As training.engine: ray for a cluster."
)
@click.option(
    "--address", metavar="HOST:PORT", help="As cluster.address; without it on this machine."
)
@click.option("--workers", type=click.IntRange(min=1), metavar="N", help="As cluster.workers.")
@click.option(
    "--dry-run", is_flag=True, help="Read, count, say what it would take, and train nothing."
)
@click.option("--quiet", is_flag=True, help="No progress bar and no tables.")
def train(
    config: Path | None,
    overrides: tuple[str, ...],
    output: str | None,
    overwrite: bool,
    resume: Path | None,
    threads: int | None,
    memory_limit: str | None,
    max_minutes: float | None,
    engine: str | None,
    address: str | None,
    workers: int | None,
    dry_run: bool,
    quiet: bool,
) -> None:
    """Train the network that CONFIG describes.

    Any key can be changed on the command line, dotted:

        embedder train configs/quickstart.yaml training.passes=5 corpus.files=my.txt
    """
    from embedder.config_files import load_config, with_overrides
    from embedder.runs.run_folder import RunFolder

    options = {
        "training.threads": threads,
        "training.memory_limit": memory_limit,
        "training.max_minutes": max_minutes,
        "training.engine": engine,
        "cluster.address": None if address is None else json.dumps(address),
        "cluster.workers": workers,
    }
    given = [f"{key}={value}" for key, value in options.items() if value is not None]
    if (config is None) == (resume is None):
        raise click.UsageError("give either CONFIG or --resume RUN.")
    if resume is not None:
        if overwrite or output:
            raise click.UsageError("--resume goes on in its own folder, as its config says.")
        settings = with_overrides(RunFolder(resume).read_config(), given, str(resume))
        settings = settings.model_copy(update={"output": str(resume)})
    else:
        assert config is not None
        settings = load_config(config, [*overrides, *given])
        if output is not None:
            settings = settings.model_copy(update={"output": output})

    from embedder.training.train import rehearse
    from embedder.training.train import train as run_training
    from embedder.training.trainer import Interrupted

    if dry_run:
        click.echo(rehearse(settings, quiet))
        return
    try:
        result = run_training(settings, overwrite=overwrite, resume=resume is not None, quiet=quiet)
    except Interrupted as stop:
        click.echo(
            f"Stopped at {stop}; nothing is lost. "
            f"Go on with: embedder train --resume {settings.output}",
            err=True,
        )
        raise SystemExit(_INTERRUPTED) from None
    except KeyboardInterrupt:
        click.echo("Stopped before training began; nothing was saved.", err=True)
        raise SystemExit(_INTERRUPTED) from None
    if not quiet:
        _summarise(result.folder)


def _summarise(run: Path) -> None:
    from embedder.reporting import tables
    from embedder.runs.checkpoint import load_model
    from embedder.vectors.from_run import load_vectors

    model = load_model(run)
    vectors = load_vectors(run)
    words = tables.example_words(model.config, vectors)
    click.echo()
    words_count, dimension = vectors.matrix.shape
    click.echo(
        tables.timing_line(
            words_count, dimension, model.metadata["tokens"], model.metadata["seconds"]
        )
    )
    click.echo(tables.held_out_table(model.metadata))
    click.echo(f"{tables.neighbor_table(vectors, words)}\n")
    evaluation = model.config.evaluation
    if evaluation.analogies or evaluation.similarity:
        from embedder.evaluation.suite import configured_tasks

        try:
            tasks = configured_tasks(evaluation)
            show_evaluation(vectors, tasks, restrict_vocab=evaluation.restrict_vocab)
        except EmbedderError as error:
            # The model is saved; a file that is missing from its evaluation is no reason to fail.
            click.echo(f"Not evaluated: {error}\n", err=True)
    click.echo(tables.next_steps(run, words))


@main.command("run")
@click.argument("experiment", type=click.Path(path_type=Path))
@click.option("--quiet", is_flag=True, help="No progress bars.")
@click.option("--dry-run", is_flag=True, help="Name the runs and do none.")
@click.option(
    "--cache-limit",
    type=click.FloatRange(min=0),
    default=10.0,
    show_default=True,
    metavar="GB",
    help="Keep at most so much of what runs share for later.",
)
def run_experiment(experiment: Path, quiet: bool, dry_run: bool, cache_limit: float) -> None:
    """Train and compare all settings that EXPERIMENT describes.

    Runs that are done are not done again, and an interrupted one goes on: type the same command
    until the experiment is complete. Results are in its folder: results.csv, results.md, best.yaml
    and plots.
    """
    from embedder.examples.cache import Cache
    from embedder.experiments import experiment as experiments
    from embedder.experiments import results
    from embedder.reporting import tables
    from embedder.training.trainer import Interrupted

    described = experiments.load_experiment(experiment)
    runs = experiments.plan(described)
    if dry_run:
        for run in runs:
            click.echo(run.config.output)
        return
    try:
        rows = experiments.run_experiment(
            described,
            lambda line: click.echo(line, err=True),
            quiet,
            Cache(limit=round(cache_limit * 1e9)),
        )
    except Interrupted as stop:
        click.echo(f"Stopped at {stop}; go on with: embedder run {experiment}", err=True)
        raise SystemExit(_INTERRUPTED) from None
    heading, cells = results.as_cells(rows)
    click.echo(tables.table(heading, cells))
    if results.best_row(rows, described.best_by) is not None:
        best = Path(described.output) / "best.yaml"
        click.echo(f"\nThe best by {described.best_by}: embedder train {best}")


@main.command()
@click.option("--clear", is_flag=True, help="Remove everything.")
def cache(clear: bool) -> None:
    """Show what runs of experiments share: corpora as ids, and counts.

    They are in $EMBEDDER_CACHE, or embedder in the user's cache folder; beyond 10 GB, or what
    `embedder run --cache-limit` says, those that were not used for longest go.
    """
    from embedder.examples.cache import Cache

    shared = Cache()
    if clear:
        click.echo(f"Removed {shared.clear() / 2**20:,.1f} MiB from {shared.folder}.")
        return
    entries = shared.entries()
    for entry, size in entries:
        click.echo(f"{size / 2**20:10,.1f} MiB  {entry.name}")
    total = sum(size for _, size in entries) / 2**20
    click.echo(f"{total:10,.1f} MiB  in {len(entries)} entries of {shared.folder}")


@main.command()
@click.argument("config", type=click.Path(path_type=Path))
@click.argument("overrides", metavar="[KEY=VALUE]...", nargs=-1)
@click.option(
    "-n",
    "--count",
    type=click.IntRange(min=0),
    default=50,
    show_default=True,
    help="How many of each pass are shown.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write all of them here, for corpus.phrases.file.",
)
def phrases(config: Path, overrides: tuple[str, ...], count: int, out: Path | None) -> None:
    """Print the strongest phrases in the text of CONFIG, as corpus.phrases says; train nothing.

    Where it asks for none, those of one pass with its other settings.
    """
    from embedder.config_files import load_config
    from embedder.reporting import tables
    from embedder.text.phrases import learn_phrases
    from embedder.training.engine import reading_bar

    with reading_bar(quiet=False) as bar:
        found = learn_phrases(load_config(config, overrides), bar.update)
    click.echo(tables.phrase_table(found, count))
    if out is not None:
        found.save(out)
        click.echo(f"\nWrote {out}; give it as corpus.phrases.file={out}.")


@main.command("check-gradients")
@click.argument("config", type=click.Path(path_type=Path))
@click.argument("overrides", metavar="[KEY=VALUE]...", nargs=-1)
def check_gradients(config: Path, overrides: tuple[str, ...]) -> None:
    """Compare the kernels' gradients with finite differences and with explicit Jacobians.

    For the network that CONFIG describes, with random parameters in double precision. Each figure
    is the largest deviation relative to the largest gradient.
    """
    from embedder.config_files import load_config
    from embedder.reporting import tables
    from embedder.training import gradient_check

    comparisons = gradient_check.check_gradients(load_config(config, overrides))
    click.echo(tables.gradient_rows(comparisons))
    if not all(comparison.passed for comparison in comparisons):
        raise click.ClickException(f"a deviation exceeds {gradient_check.TOLERANCE:g}.")
