"""Commands that train or prepare training: train, run, cache, phrases, check-gradients."""

from pathlib import Path
from typing import Any

import click

from embedder.cli.measuring import show_evaluation
from embedder.cli.options import (
    CONFIG,
    OVERRIDES,
    Number,
    PathName,
    WholeNumber,
    complete_files,
    config_option,
    config_switch,
    engine_options,
    given_overrides,
    grouped,
)
from embedder.cli.program import exit_code_of, main
from embedder.errors import EmbedderError
from embedder.settings import SWITCHES, split_inputs

_COUNT = WholeNumber(min=1)


@main.command()
@click.argument(
    "inputs",
    metavar="[TEXT... | CONFIG] [KEY=VALUE]...",
    nargs=-1,
    shell_complete=complete_files,
)
@click.option(
    "--output",
    "-o",
    type=PathName(),
    metavar="DIR",
    help="Run folder; by default runs/NAME of the text.",
)
@click.option("--overwrite", is_flag=True, help="Replace an existing run in the folder.")
@click.option(
    "--resume",
    type=PathName(),
    metavar="RUN",
    help="Resume an interrupted run (instead of a text).",
)
@config_option(
    "--dimension",
    "-d",
    key="network.dimension",
    help="Length of the vectors; 100 by default.",
    type=_COUNT,
    metavar="D",
)
@config_option(
    "--passes",
    key="training.passes",
    help="More are better, up to a point; chosen by default.",
    type=_COUNT,
    metavar="N",
)
@config_option(
    "--window",
    key="examples.window",
    help="Words on each side of a word; 5 by default.",
    type=_COUNT,
    metavar="N",
)
@config_option(
    "--min-count",
    key="vocabulary.min_count",
    help="Ignore rarer words; 5 by default.",
    type=_COUNT,
    metavar="N",
)
@config_option(
    "--max-words",
    key="vocabulary.max_size",
    help="Keep the most frequent words only.",
    type=WholeNumber(min=2),
    metavar="N",
)
@config_switch("--subwords", SWITCHES["subwords"], "Learn n-grams too: vectors for unknown words.")
@config_switch("--phrases", SWITCHES["phrases"], "Join frequent pairs, such as new_york.")
@config_option(
    "--text-field",
    key="corpus.text_field",
    help="The field or column with the text.",
    metavar="NAME",
)
@config_option(
    "--threads",
    key="training.threads",
    help="By default, all that the machine offers.",
    type=_COUNT,
    metavar="N",
)
@config_option(
    "--memory-limit",
    key="training.memory_limit",
    help="E.g. 2GB: counting then uses the disk.",
    metavar="SIZE",
)
@config_option(
    "--max-minutes",
    key="training.max_minutes",
    help="Stop in time, with a usable model.",
    type=Number(min=0, min_open=True),
    metavar="M",
)
@engine_options("ray counts and fits rows on a cluster.")
@config_option(
    "--bootstrap",
    key="replicates.bootstrap",
    help="Then train on K bootstrap samples of the text: intervals for neighbours.",
    type=WholeNumber(min=0, max=9999),
    metavar="K",
)
@config_option(
    "--seeds",
    key="replicates.seeds",
    help="Then train with K other seeds, to tell chance in training from that in the text.",
    type=WholeNumber(min=0, max=9999),
    metavar="K",
)
@click.option(
    "--dry-run", is_flag=True, help="Read and count, report what training would take, and stop."
)
@click.option("--quiet", "-q", is_flag=True, help="Show no progress bar and no tables.")
@grouped("mode", "overwrite", "dry_run", "quiet")
def train(
    inputs: tuple[str, ...],
    output: Path | None,
    resume: Path | None,
    mode: dict[str, bool],
) -> None:
    """Train word vectors on TEXT: files, folders, globs, URLs, or - for standard input.

    Instead of a text, CONFIG describes a run in YAML (`embedder init` writes one). Any key of the
    configuration can be set as a dotted KEY=VALUE; `embedder config` lists them all.

    For example:

        embedder train my.txt
        embedder train texts/ more/*.txt.gz --dimension 200 --output runs/mine
        embedder train reviews.csv --text-field body vocabulary.subsample=1e-4
        embedder train quickstart.yaml training.passes=5
        embedder train --resume runs/my
        embedder train --resume runs/my --bootstrap 40
    """
    settings = settings_of(
        inputs, None if output is None else str(output), resume, mode["overwrite"]
    )
    quiet = mode["quiet"]

    from embedder.training.train import rehearse
    from embedder.training.train import train as run_training
    from embedder.training.trainer import Interrupted

    if mode["dry_run"]:
        click.echo(rehearse(settings, quiet))
        return
    try:
        result = run_training(settings, mode["overwrite"], resume is not None, quiet)
    except Interrupted as stop:
        done = f"the model is saved in {settings.output}."
        if not stop.finished:
            done = f"all progress is saved. Resume with: embedder train --resume {settings.output}"
        click.echo(f"Stopped at {stop}; {done}", err=True)
        raise SystemExit(exit_code_of(stop)) from None
    except KeyboardInterrupt as stop:
        click.echo("Stopped; nothing new was saved.", err=True)
        raise SystemExit(exit_code_of(stop)) from None
    if not quiet:
        _summarise(result.folder)


def settings_of(
    inputs: tuple[str, ...], output: str | None, resume: Path | None, overwrite: bool
) -> Any:
    """Return the configuration of a new or resumed run, with the command line's overrides."""
    from embedder.config_files import with_overrides
    from embedder.runs.run_folder import RunFolder, unused_folder
    from embedder.settings import config_of
    from embedder.text.sources import name_of

    files, overrides = split_inputs(inputs)
    overrides = [*given_overrides(), *overrides]
    if bool(files) == (resume is not None):
        raise click.UsageError(
            "give a text or a configuration, such as: embedder train my.txt"
            if resume is None
            else "--resume continues a run with its own text; omit the text."
        )
    if resume is not None:
        if overwrite or output:
            raise click.UsageError(
                "--resume continues in the run's own folder; omit --output and --overwrite."
            )
        settings = with_overrides(RunFolder(resume).read_config(), overrides, str(resume))
        return settings.model_copy(update={"output": str(resume)})
    settings = config_of(files, overrides)
    if output is None and "output" not in settings.model_fields_set:
        name = name_of(files[0])
        output = str(Path("runs") / name if overwrite else unused_folder(name))
    return settings if output is None else settings.model_copy(update={"output": output})


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
            # The model is saved; a missing evaluation file is no reason to fail.
            click.echo(f"Not evaluated: {error}\n", err=True)
    click.echo(tables.next_steps(run, words))
    replicates = tables.replicates_of_run(run)
    if replicates:
        click.echo(f"\nReplicates: {replicates}.")


@main.command("run")
@click.argument("experiment", type=PathName())
@click.option("--quiet", is_flag=True, help="Show no progress bars.")
@click.option("--dry-run", is_flag=True, help="List the runs and stop.")
@click.option(
    "--cache-limit",
    type=Number(min=0),
    default=10.0,
    show_default=True,
    metavar="GB",
    help="Size limit of the cache shared by runs.",
)
def run_experiment(experiment: Path, quiet: bool, dry_run: bool, cache_limit: float) -> None:
    """Train and compare all settings of an experiment.

    EXPERIMENT is a YAML file. Finished runs are skipped and an interrupted one is resumed: repeat
    the command until the experiment is complete. Its folder then contains results.csv, results.md,
    best.yaml and plots.

    For example:

        embedder run configs/experiments/study.yaml
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
        click.echo(f"Stopped at {stop}; resume with: embedder run {experiment}", err=True)
        raise SystemExit(exit_code_of(stop)) from None
    heading, cells = results.as_cells(rows)
    click.echo(tables.table(heading, cells))
    if results.best_row(rows, described.best_by) is not None:
        best = Path(described.output) / "best.yaml"
        click.echo(f"\nBest setting by {described.best_by}: embedder train {best}")


@main.command()
@click.option("--clear", is_flag=True, help="Remove all entries.")
def cache(clear: bool) -> None:
    """Show or clear the cache shared by the runs of experiments.

    It contains encoded corpora and co-occurrence counts, in $EMBEDDER_CACHE or the user's cache
    folder. Beyond 10 GB, or the limit set by `embedder run --cache-limit`, the least recently used
    entries are removed.

    For example:

        embedder cache
        embedder cache --clear
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
@CONFIG
@OVERRIDES
@click.option(
    "-n",
    "--count",
    type=WholeNumber(min=0),
    default=50,
    show_default=True,
    help="How many phrases to show from each pass.",
)
@click.option(
    "--out",
    type=PathName(),
    metavar="FILE",
    help="Write all phrases to this file, for corpus.phrases.file.",
)
def phrases(config: Path, overrides: tuple[str, ...], count: int, out: Path | None) -> None:
    """Print the phrases in a text, or in that of a configuration, without training.

    CONFIG is a YAML file or a text; the settings are those of corpus.phrases, and if these set no
    passes, one is made.

    For example:

        embedder phrases configs/quickstart.yaml corpus.phrases.passes=2 -n 20
        embedder phrases my.txt --out phrases.tsv
    """
    from embedder.kernels.compiler import compiling
    from embedder.reporting import tables
    from embedder.runs.progress import reading_bar, say
    from embedder.settings import config_of
    from embedder.text.phrases import learn_phrases

    with compiling(say), reading_bar(quiet=False) as bar:
        found = learn_phrases(config_of([str(config)], overrides), bar.update)
    click.echo(tables.phrase_table(found, count))
    if out is not None:
        found.save(out)
        click.echo(f"\nWrote {out}; use it with corpus.phrases.file={out}.")


@main.command("check-gradients")
@CONFIG
@OVERRIDES
def check_gradients(config: Path, overrides: tuple[str, ...]) -> None:
    """Check a network's gradients against finite differences and Jacobians.

    The network is the one that CONFIG describes, with random parameters in double precision. Each
    figure is the largest deviation relative to the largest gradient.

    For example:

        embedder check-gradients configs/quickstart.yaml network.activation=tanh
    """
    from embedder.config_files import load_config
    from embedder.kernels.compiler import compiling
    from embedder.reporting import tables
    from embedder.runs.progress import say
    from embedder.training import gradient_check

    settings = load_config(config, overrides)
    with compiling(say):
        comparisons = gradient_check.check_gradients(settings)
    click.echo(tables.gradient_rows(comparisons))
    if not all(comparison.passed for comparison in comparisons):
        raise click.ClickException(f"a deviation exceeds {gradient_check.TOLERANCE:g}.")
