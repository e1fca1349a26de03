"""The command line: options in, one call, text out. Imports wait until a command needs them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from embedder import __version__
from embedder.errors import EmbedderError

_F = TypeVar("_F", bound=Callable[..., Any])
_INTERRUPTED = 130
_RUN = click.argument("run", type=click.Path(path_type=Path))
_VECTORS = click.option(
    "--vectors",
    type=click.Choice(["input", "hidden", "output", "sum"]),
    help="Which vectors; by default those that the run names.",
)
_COUNT = click.option(
    "-n", "--count", type=click.IntRange(min=1), default=10, show_default=True, help="How many."
)


class _Program(click.Group):
    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except EmbedderError as error:
            raise click.ClickException(str(error)) from None
        except MemoryError:
            raise click.ClickException(
                "out of memory; lower vocabulary.max_size or training.batch_size."
            ) from None


@click.group(cls=_Program, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="embedder")
def main() -> None:
    """Train word embeddings from your own text on ordinary CPUs, and use them."""


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
    from embedder.checkpoint import RunFolder
    from embedder.config import load_config, with_overrides

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

    from embedder.trainer import Interrupted, rehearse
    from embedder.trainer import train as run_training

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
    from embedder import tables
    from embedder.checkpoint import load_model
    from embedder.vectors import load_vectors

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
            _evaluate(vectors, tasks, restrict_vocab=evaluation.restrict_vocab)
        except EmbedderError as error:
            # The model is saved; a file that is missing from its evaluation is no reason to fail.
            click.echo(f"Not evaluated: {error}\n", err=True)
    click.echo(tables.next_steps(run, words))


class _FileLists(click.Command):
    """A command whose repeatable options take all the files that follow them.

    Only where the command's argument comes first: behind an option it would look like a file.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args or args[0].startswith("-"):
            return super().parse_args(ctx, args)
        repeatable = {
            name
            for parameter in self.params
            if isinstance(parameter, click.Option) and parameter.multiple
            for name in parameter.opts
        }
        expanded: list[str] = []
        option: str | None = None
        for before, argument in zip(["", *args], args, strict=False):
            if argument.startswith("-"):
                option = argument if argument in repeatable else None
            elif option is not None and before != option:
                expanded.append(option)
            expanded.append(argument)
        return super().parse_args(ctx, expanded)


def _file_list(name: str, what: str) -> Callable[[_F], _F]:
    return click.option(
        name, type=click.Path(path_type=Path), multiple=True, metavar="FILE", help=what
    )


_ANALOGIES = _file_list("--analogies", "Questions: Google's, MSR's (NAME.questions) or BATS's.")
_SIMILARITY = _file_list("--similarity", "Lines 'word word score'.")
_METHOD = click.option(
    "--method",
    type=click.Choice(["3CosAdd", "3CosMul", "PairDistance"]),
    default="3CosAdd",
    show_default=True,
    help="How analogies are answered.",
)
_RESTRICT = click.option(
    "--restrict-vocab",
    type=click.IntRange(min=1),
    metavar="N",
    help="Use only the N most frequent words.",
)
_JSON = click.option(
    "--json", "out", type=click.Path(path_type=Path), help="Write the figures here too."
)
_POST = click.option(
    "--post",
    multiple=True,
    metavar="STEP",
    help="First, in this order: normalise, centre, all-but-the-top[=N].",
)
_DTYPE = click.option(
    "--dtype",
    type=click.Choice(["float32", "float16", "int8"]),
    default="float32",
    show_default=True,
    help="Round the vectors, and say what is lost.",
)


@main.command("eval", cls=_FileLists)
@_RUN
@_ANALOGIES
@_SIMILARITY
@_file_list("--outliers", "Groups of words, an empty line, outliers; or a folder of such files.")
@_file_list("--categories", "Lines 'word category'.")
@click.option(
    "--perplexity", multiple=True, metavar="FILE", help="Text for the network to predict."
)
@_VECTORS
@_METHOD
@click.option(
    "--top-k",
    type=click.IntRange(min=1),
    multiple=True,
    metavar="K",
    help="Also count analogies whose answer is among the K best.",
)
@_RESTRICT
@_POST
@_DTYPE
@_JSON
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
        loaded = _load(run, vectors, post)
        tops = tuple(sorted({1, *top_k}))
        figures = _evaluate(loaded, tasks, method, restrict_vocab, tops, dtype)
    if perplexity:
        figures["perplexity"] = _perplexities(run, perplexity)
    if out is not None:
        _write_json(out, figures)


def _evaluate(
    vectors: Any,
    tasks: Any,
    method: Any = "3CosAdd",
    restrict_vocab: int | None = None,
    tops: tuple[int, ...] = (1,),
    dtype: str = "float32",
) -> dict[str, Any]:
    """Print tables and return the same figures for JSON."""
    from embedder import tables
    from embedder.evaluation import suite
    from embedder.postprocessing import rounded

    rounded_vectors = rounded(vectors, dtype)
    results = suite.evaluate(rounded_vectors, tasks, method, restrict_vocab)
    click.echo(tables.result_tables(results, tops))
    figures = results.figures(tops)
    if dtype != "float32":
        lost = suite.compare(vectors, rounded_vectors, tasks, method, restrict_vocab)
        click.echo(tables.difference_table("float32", dtype, lost) + "\n")
        figures["rounding"] = {name: found and found._asdict() for name, found in lost.items()}
    return figures


@main.command(cls=_FileLists)
@click.argument("models", nargs=-1, required=True, type=click.Path(path_type=Path))
@_ANALOGIES
@_SIMILARITY
@_METHOD
@_RESTRICT
@_JSON
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
    from embedder import tables
    from embedder.evaluation import suite

    if len(models) < 2:
        raise click.UsageError("give at least two models: embedder compare A B --analogies FILE.")
    if not analogies and not similarity:
        raise click.UsageError("nothing to compare on: give --analogies FILE or --similarity FILE.")
    tasks = suite.read_tasks(analogies, similarity)
    first = _load(models[0], None)
    figures = {}
    for model in models[1:]:
        found = suite.compare(first, _load(model, None), tasks, method, restrict_vocab)
        click.echo(tables.difference_table(str(models[0]), str(model), found) + "\n")
        figures[str(model)] = {name: pair and pair._asdict() for name, pair in found.items()}
    if out is not None:
        _write_json(out, {"first": str(models[0]), "second": figures})


def _write_json(out: Path, figures: dict[str, Any]) -> None:
    from embedder.storage import write_atomically

    text = json.dumps(figures, indent=2, ensure_ascii=False)
    write_atomically(out, (text + "\n").encode())


def _perplexities(run: Path, files: tuple[str, ...]) -> dict[str, Any]:
    from embedder import tables
    from embedder.checkpoint import load_model
    from embedder.evaluation.perplexity import evaluate_perplexity

    model = load_model(run)
    results = {file: evaluate_perplexity(model, file) for file in files}
    click.echo(tables.perplexity_table(results) + "\n")
    return {file: result._asdict() for file, result in results.items()}


@main.command()
@_RUN
@click.argument("words", nargs=-1, required=True)
@_VECTORS
@_COUNT
@click.option(
    "--index",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Look there, approximately: a file that `embedder index` wrote.",
)
def neighbors(
    run: Path, words: tuple[str, ...], vectors: Any, count: int, index: Path | None
) -> None:
    """Print the words nearest to each WORD, by cosine."""
    loaded = _load(run, vectors)
    searched = loaded
    if index is not None:
        from embedder.index import ApproximateIndex

        searched = ApproximateIndex.load(index, loaded)
    found = searched.neighbors_of(words, count)
    for word, near in zip(words, found, strict=True):
        if len(words) > 1:
            click.echo(f"{word}:")
        _say_what_is_composed(loaded, [word])
        _print_neighbors(near)


@main.command("index")
@_RUN
@click.argument("out", type=click.Path(path_type=Path))
@_VECTORS
def build_index(run: Path, out: Path, vectors: Any) -> None:
    """Write an approximate index of RUN's vectors to OUT, for `neighbors --index OUT`.

    Needs usearch: pip install 'embedder[index]'. Worth it for vocabularies of a million words and
    more; below, exact search answers in a tenth of a second.
    """
    from embedder.index import ApproximateIndex

    index = ApproximateIndex.build(_load(run, vectors))
    index.save(out)
    click.echo(f"Wrote {out}; it finds {index.recall():.1%} of the ten nearest of 200 words.")


@main.command()
@_RUN
@click.argument("a")
@click.argument("b")
@click.argument("c")
@_VECTORS
@_COUNT
def analogy(run: Path, a: str, b: str, c: str, vectors: Any, count: int) -> None:
    """Complete "A is to B as C is to …"."""
    loaded = _load(run, vectors)
    _say_what_is_composed(loaded, [a, b, c])
    _print_neighbors(loaded.analogy(a, b, c, count))


def _say_what_is_composed(vectors: Any, words: list[str]) -> None:
    for word in words:
        if vectors.is_composed(word):
            near = f" ('{word.lower()}' is known.)" if word.lower() in vectors else ""
            click.echo(f"'{word}' is unknown; its vector is composed of its parts.{near}", err=True)


def _print_neighbors(found: list[Any]) -> None:
    for neighbor in found:
        click.echo(f"{neighbor.similarity:7.4f}  {neighbor.word}")


_FORMAT = click.option(
    "--format",
    "file_format",
    type=click.Choice(
        [
            "word2vec",
            "word2vec-binary",
            "glove",
            "npy",
            "fasttext",
            "safetensors",
            "finalfusion",
            "projector",
            "static-embedding",
        ]
    ),
    help="By default as OUT's name says: .bin, .npy, .safetensors, .fifu, .tsv, .glove, .ftbin; "
    "word2vec's text otherwise.",
)


@main.command(cls=_FileLists)
@_RUN
@click.argument("out", type=click.Path(path_type=Path))
@_FORMAT
@_VECTORS
@_POST
@_DTYPE
def export(
    run: Path, out: Path, file_format: Any, vectors: Any, post: tuple[str, ...], dtype: str
) -> None:
    """Write RUN's vectors to the file (static-embedding: folder) OUT for other tools."""
    _export(run, out, file_format, vectors, post, dtype)


@main.command(cls=_FileLists)
@click.argument("source", metavar="IN", type=click.Path(path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
@_FORMAT
@_POST
@_DTYPE
def convert(source: Path, out: Path, file_format: Any, post: tuple[str, ...], dtype: str) -> None:
    """Write the vectors of the file or run IN to OUT in another format.

    What IN is, is found out: word2vec's text or binary, GloVe, fastText's .vec or .bin, .npy,
    safetensors, finalfusion, the embedding projector's .tsv, or a folder of model2vec or
    sentence-transformers.
    """
    _export(source, out, file_format, None, post, dtype)


def _export(
    source: Path, out: Path, file_format: Any, vectors: Any, post: tuple[str, ...], dtype: str
) -> None:
    from embedder.formats import save
    from embedder.postprocessing import rounded, rounding_loss

    loaded = _load(source, vectors, post)
    save(loaded, out, file_format, progress=True, dtype=dtype)
    words, dimension = loaded.matrix.shape
    click.echo(f"Wrote {words:,} vectors of {dimension} dimensions to {out}.")
    if dtype != "float32":
        loss = rounding_loss(loaded, rounded(loaded, dtype))
        click.echo(
            f"As {dtype}, the mean cosine of a vector with what it was is {loss.cosine:.6f}, and "
            f"{loss.neighbors:.1%} of words' ten nearest are the same; eval --dtype {dtype} shows "
            "what that costs."
        )


def _load(path: Path, vectors: Any, post: tuple[str, ...] = ()) -> Any:
    """Read a run's or a file's vectors, saying what had to be repaired."""
    from embedder.formats import load
    from embedder.postprocessing import postprocess

    loaded = load(path, vectors, progress=True)
    for repair in loaded.repairs:
        click.echo(f"{path}: {repair}.", err=True)
    return postprocess(loaded, post)


@main.command(cls=_FileLists)
@_RUN
@click.option("--out", type=click.Path(path_type=Path), help="The page; RUN/report.html for a run.")
@_ANALOGIES
@_SIMILARITY
@_RESTRICT
@_VECTORS
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
    from embedder.report import write_report

    if out is None:
        out = run / "report.html" if run.is_dir() else run.with_suffix(".html")
    tasks = read_tasks(analogies, similarity) if analogies or similarity else None
    page = write_report(run, out, vectors, tasks, words, map_words, projection, restrict_vocab)
    click.echo(f"Wrote {page}, and its charts to {page.with_suffix('')}.")
    if browse:
        click.launch(str(page.resolve()))


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
    from embedder import experiment as experiments
    from embedder import results, tables
    from embedder.cache import Cache
    from embedder.trainer import Interrupted

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
    from embedder.cache import Cache

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
    from embedder import tables
    from embedder.config import load_config
    from embedder.engine import reading_bar
    from embedder.phrases import learn_phrases

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
    from embedder import gradient_check, tables
    from embedder.config import load_config

    comparisons = gradient_check.check_gradients(load_config(config, overrides))
    click.echo(tables.gradient_rows(comparisons))
    if not all(comparison.passed for comparison in comparisons):
        raise click.ClickException(f"a deviation exceeds {gradient_check.TOLERANCE:g}.")
