"""Arguments and options that several commands take, and what they do with them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

_F = TypeVar("_F", bound=Callable[..., Any])
RUN = click.argument("run", type=click.Path(path_type=Path))
VECTORS = click.option(
    "--vectors",
    type=click.Choice(["input", "hidden", "output", "sum"]),
    help="Which vectors; by default those that the run names.",
)
COUNT = click.option(
    "-n", "--count", type=click.IntRange(min=1), default=10, show_default=True, help="How many."
)


class FileLists(click.Command):
    """A command whose repeatable options take all the files that follow them.

    Only where the command's argument comes first: behind an option it would look like a file.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put the option before each of its values, and parse."""
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


def file_list(name: str, what: str) -> Callable[[_F], _F]:
    """Return an option that names files; see `FileLists`."""
    return click.option(
        name, type=click.Path(path_type=Path), multiple=True, metavar="FILE", help=what
    )


ANALOGIES = file_list("--analogies", "Questions: Google's, MSR's (NAME.questions) or BATS's.")
SIMILARITY = file_list("--similarity", "Lines 'word word score'.")
METHOD = click.option(
    "--method",
    type=click.Choice(["3CosAdd", "3CosMul", "PairDistance"]),
    default="3CosAdd",
    show_default=True,
    help="How analogies are answered.",
)
RESTRICT = click.option(
    "--restrict-vocab",
    type=click.IntRange(min=1),
    metavar="N",
    help="Use only the N most frequent words.",
)
JSON = click.option(
    "--json", "out", type=click.Path(path_type=Path), help="Write the figures here too."
)
POST = click.option(
    "--post",
    multiple=True,
    metavar="STEP",
    help="First, in this order: normalise, centre, all-but-the-top[=N].",
)
DTYPE = click.option(
    "--dtype",
    type=click.Choice(["float32", "float16", "int8"]),
    default="float32",
    show_default=True,
    help="Round the vectors, and say what is lost.",
)


def read_vectors(path: Path, vectors: Any, post: tuple[str, ...] = ()) -> Any:
    """Read a run's or a file's vectors, saying what had to be repaired."""
    from embedder.vectors.formats import load
    from embedder.vectors.postprocessing import postprocess

    loaded = load(path, vectors, progress=True)
    for repair in loaded.repairs:
        click.echo(f"{path}: {repair}.", err=True)
    return postprocess(loaded, post)


def write_json(out: Path, figures: dict[str, Any]) -> None:
    """Write figures to a file, whole or not at all."""
    from embedder.storage import write_atomically

    text = json.dumps(figures, indent=2, ensure_ascii=False)
    write_atomically(out, (text + "\n").encode())
