"""The command line: options in, one call, text out. Imports wait until a command needs them."""

import json
from pathlib import Path
from typing import Any

import click

from embedder import __version__
from embedder.errors import EmbedderError

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
@click.option("--quiet", is_flag=True, help="No progress bar and no tables.")
def train(
    config: Path | None,
    overrides: tuple[str, ...],
    output: str | None,
    overwrite: bool,
    resume: Path | None,
    quiet: bool,
) -> None:
    """Train the network that CONFIG describes.

    Any key can be changed on the command line, dotted:

        embedder train configs/quickstart.yaml training.passes=5 corpus.files=my.txt
    """
    from embedder.checkpoint import RunFolder
    from embedder.config import load_config

    if (config is None) == (resume is None):
        raise click.UsageError("give either CONFIG or --resume RUN.")
    if resume is not None:
        if overwrite or output:
            raise click.UsageError("--resume goes on in its own folder, as its config says.")
        settings = RunFolder(resume).read_config().model_copy(update={"output": str(resume)})
    else:
        assert config is not None
        settings = load_config(config, overrides)
        if output is not None:
            settings = settings.model_copy(update={"output": output})

    from embedder.trainer import Interrupted
    from embedder.trainer import train as run_training

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
        try:
            _evaluate(
                vectors,
                [Path(file) for file in evaluation.analogies],
                [Path(file) for file in evaluation.similarity],
                "3CosAdd",
                evaluation.restrict_vocab,
            )
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


@main.command("eval", cls=_FileLists)
@_RUN
@click.option("--analogies", type=click.Path(path_type=Path), multiple=True, metavar="FILE")
@click.option("--similarity", type=click.Path(path_type=Path), multiple=True, metavar="FILE")
@click.option(
    "--perplexity", multiple=True, metavar="FILE", help="Text for the network to predict."
)
@_VECTORS
@click.option(
    "--method", type=click.Choice(["3CosAdd", "3CosMul"]), default="3CosAdd", show_default=True
)
@click.option(
    "--restrict-vocab",
    type=click.IntRange(min=1),
    metavar="N",
    help="Use only the N most frequent words.",
)
@click.option("--json", "out", type=click.Path(path_type=Path), help="Write the figures here too.")
def evaluate(
    run: Path,
    analogies: tuple[Path, ...],
    similarity: tuple[Path, ...],
    perplexity: tuple[str, ...],
    vectors: Any,
    method: Any,
    restrict_vocab: int | None,
    out: Path | None,
) -> None:
    """Measure RUN's vectors on analogies and similarities, and its network on text.

    Several files may follow one --analogies, --similarity or --perplexity.
    """
    from embedder.storage import write_atomically

    if not analogies and not similarity and not perplexity:
        raise click.UsageError(
            "nothing to evaluate: give --analogies FILE, --similarity FILE or --perplexity FILE."
        )
    figures: dict[str, Any] = {}
    if analogies or similarity:
        figures = _evaluate(
            _load(run, vectors), list(analogies), list(similarity), method, restrict_vocab
        )
    if perplexity:
        figures["perplexity"] = _perplexities(run, perplexity)
    if out is not None:
        text = json.dumps(figures, indent=2, ensure_ascii=False)
        write_atomically(out, (text + "\n").encode())


def _evaluate(
    vectors: Any,
    analogies: list[Path],
    similarity: list[Path],
    method: Any,
    restrict_vocab: int | None,
) -> dict[str, Any]:
    """Print tables and return the same figures for JSON."""
    from embedder import tables
    from embedder.evaluation.analogies import evaluate_analogies, read_analogies
    from embedder.evaluation.similarity import evaluate_similarity, read_similarities

    figures: dict[str, Any] = {}
    sections = [section for file in analogies for section in read_analogies(file)]
    judgements = {file.stem: read_similarities(file) for file in similarity}
    if sections:
        result = evaluate_analogies(vectors, sections, method, restrict_vocab)
        click.echo(tables.analogy_table(result) + "\n")
        figures["analogies"] = {
            "method": method,
            "total": _score_figures(result.total),
            "sections": {name: _score_figures(score) for name, score in result.sections.items()},
        }
    if judgements:
        results = {
            name: evaluate_similarity(vectors, pairs, restrict_vocab)
            for name, pairs in judgements.items()
        }
        click.echo(tables.similarity_table(results) + "\n")
        figures["similarity"] = {name: result._asdict() for name, result in results.items()}
    return figures


def _perplexities(run: Path, files: tuple[str, ...]) -> dict[str, Any]:
    from embedder import tables
    from embedder.checkpoint import load_model
    from embedder.evaluation.perplexity import evaluate_perplexity

    model = load_model(run)
    results = {file: evaluate_perplexity(model, file) for file in files}
    click.echo(tables.perplexity_table(results) + "\n")
    return {file: result._asdict() for file, result in results.items()}


def _score_figures(score: Any) -> dict[str, Any]:
    return {**score._asdict(), "accuracy": score.accuracy, "interval": list(score.interval())}


@main.command()
@_RUN
@click.argument("words", nargs=-1, required=True)
@_VECTORS
@_COUNT
def neighbors(run: Path, words: tuple[str, ...], vectors: Any, count: int) -> None:
    """Print the words nearest to each WORD, by cosine."""
    loaded = _load(run, vectors)
    found = {word: loaded.neighbors(word, count) for word in words}
    for word, near in found.items():
        if len(found) > 1:
            click.echo(f"{word}:")
        _print_neighbors(near)


@main.command()
@_RUN
@click.argument("a")
@click.argument("b")
@click.argument("c")
@_VECTORS
@_COUNT
def analogy(run: Path, a: str, b: str, c: str, vectors: Any, count: int) -> None:
    """Complete "A is to B as C is to …"."""
    _print_neighbors(_load(run, vectors).analogy(a, b, c, count))


def _print_neighbors(found: list[Any]) -> None:
    for neighbor in found:
        click.echo(f"{neighbor.similarity:7.4f}  {neighbor.word}")


_FORMAT = click.option(
    "--format",
    "file_format",
    type=click.Choice(["word2vec", "word2vec-binary", "glove", "npy"]),
    help="By default as OUT's name says: .bin, .npy, or else word2vec's text.",
)


@main.command()
@_RUN
@click.argument("out", type=click.Path(path_type=Path))
@_FORMAT
@_VECTORS
def export(run: Path, out: Path, file_format: Any, vectors: Any) -> None:
    """Write RUN's vectors to the file OUT for other tools."""
    _export(run, out, file_format, vectors)


@main.command()
@click.argument("source", metavar="IN", type=click.Path(path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
@_FORMAT
def convert(source: Path, out: Path, file_format: Any) -> None:
    """Write the vectors of the file or run IN to the file OUT in another format.

    IN is word2vec text or binary, GloVe, fastText .vec or .npy with its words; which, is found out.
    """
    _export(source, out, file_format, None)


def _export(source: Path, out: Path, file_format: Any, vectors: Any) -> None:
    from embedder.vectors import export_format

    loaded = _load(source, vectors)
    loaded.save(out, file_format or export_format(out))
    words, dimension = loaded.matrix.shape
    click.echo(f"Wrote {words:,} vectors of {dimension} dimensions to {out}.")


def _load(path: Path, vectors: Any) -> Any:
    """Read a run's or a file's vectors, saying what had to be repaired."""
    from embedder.formats import load

    loaded = load(path, vectors)
    for repair in loaded.repairs:
        click.echo(f"{path}: {repair}.", err=True)
    return loaded


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
