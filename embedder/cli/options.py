"""Arguments and options shared by several commands, and functions that handle them."""

import functools
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
from click.core import ParameterSource
from click.shell_completion import CompletionItem

_F = TypeVar("_F", bound=Callable[..., Any])
_OVERRIDES = "embedder.overrides"


class PathName(click.Path):
    """The path of a file or folder; an empty name, as of an unset variable, is none."""

    def __init__(self) -> None:
        super().__init__(path_type=Path, readable=False)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path; see `click.Path.convert`."""
        if isinstance(value, str) and not value.strip():
            self.fail("the name is empty; expected a file or folder.", param, ctx)
        return super().convert(value, param, ctx)


class WholeNumber(click.IntRange):
    """A whole number in a range, which errors call so."""

    name = "whole number"


class Number(click.FloatRange):
    """A number in a range, which errors call so."""

    name = "number"


CONFIG = click.argument("config", type=PathName())


def complete_files(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Let the shell complete the name of a file or folder, among arguments that may be others."""
    return [CompletionItem(incomplete, type="file")]


def complete_key(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Return the keys of configurations that begin so."""
    from embedder.config_files import all_keys

    keys = (".".join(key) for key in all_keys())
    return [CompletionItem(key) for key in keys if key.startswith(incomplete)]


OVERRIDES = click.argument("overrides", metavar="[KEY=VALUE]...", nargs=-1)
MODEL = click.argument("model", type=PathName())
FORMATS = [
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
"""The names of the formats, as `embedder.vectors.formats` has them; the help must not load that."""
FROM = click.option(
    "--from",
    "source_format",
    type=click.Choice(FORMATS),
    metavar="FORMAT",
    help="The format of a file of vectors; by default its content decides.",
)
VECTORS = click.option(
    "--vectors",
    "kind",
    type=click.Choice(["input", "hidden", "output", "sum"]),
    help="Which vectors of a run to use; by default those that its configuration names.",
)
COUNT = click.option(
    "-n",
    "--count",
    type=WholeNumber(min=1),
    default=10,
    show_default=True,
    help="How many words.",
)


def file_list(name: str, description: str) -> Callable[[_F], _F]:
    """Return an option that names one or more files."""
    return click.option(name, type=PathName(), multiple=True, metavar="FILE", help=description)


ANALOGIES = file_list(
    "--analogies", "Questions in the format of Google, MSR (NAME.questions) or BATS."
)
SIMILARITY = file_list("--similarity", "Lines 'word word score'.")
METHOD = click.option(
    "--method",
    type=click.Choice(["3CosAdd", "3CosMul", "PairDistance"]),
    help="How to answer analogies; 3CosAdd by default.",
)
RESTRICT = click.option(
    "--restrict-vocab",
    type=WholeNumber(min=1),
    metavar="N",
    help="Use only the N most frequent words.",
)
JSON = click.option(
    "--json", "out", type=PathName(), metavar="FILE", help="Also write the results to this file."
)
POST = click.option(
    "--post",
    multiple=True,
    metavar="STEP",
    help="Postprocess, in the given order: normalise, centre, temper, all-but-the-top[=N], "
    "reduce=N, spelling[=WEIGHT].",
)
DTYPE = click.option(
    "--dtype",
    type=click.Choice(["float32", "float16", "int8"]),
    default="float32",
    show_default=True,
    help="Round the vectors to this type, and report the loss.",
)


class ConfigOption(click.Option):
    """An option that sets a configuration key; errors name it instead of the key."""

    def __init__(self, *arguments: Any, key: str, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.key = key


def config_option(*names: str, key: str, help: str, **settings: Any) -> Callable[[_F], _F]:
    """Return an option that sets a configuration key; see `given_overrides`."""

    def remember(ctx: click.Context, _: click.Parameter, value: Any) -> None:
        if value is not None:
            ctx.meta.setdefault(_OVERRIDES, []).append(f"{key}={json.dumps(value)}")

    settings.update(cls=ConfigOption, key=key, expose_value=False, callback=remember)
    return click.option(*names, help=help, **settings)


def config_switch(name: str, keys: dict[str, Any], help: str) -> Callable[[_F], _F]:
    """Return a flag that sets configuration keys; see `given_overrides`."""

    def remember(ctx: click.Context, _: click.Parameter, given: bool) -> None:
        if given:
            found = [f"{key}={json.dumps(value)}" for key, value in keys.items()]
            ctx.meta.setdefault(_OVERRIDES, []).extend(found)

    return click.option(name, is_flag=True, expose_value=False, callback=remember, help=help)


def engine_options(description: str) -> Callable[[_F], _F]:
    """Return the options that choose an engine, and its cluster."""
    engine = config_option(
        "--engine",
        key="training.engine",
        help=description,
        type=click.Choice(["local", "ray"]),
    )
    address = config_option(
        "--address",
        key="cluster.address",
        help="Of the cluster; by default Ray starts here.",
        metavar="HOST:PORT",
    )
    return lambda command: engine(address(command))


def given_overrides() -> list[str]:
    """Return the configuration keys that the command's options set, as 'key=value'."""
    found: list[str] = click.get_current_context().meta.get(_OVERRIDES, [])
    return found


def option_names(ctx: click.Context) -> dict[str, str]:
    """Return what errors call the keys that a command's options set.

    If a configuration contains the keys, only those given as options are called so.
    """
    from embedder.settings import TEXT_NAME, is_configuration, split_inputs

    files, overrides = split_inputs(ctx.params.get("inputs", ()))
    options = [option for option in ctx.command.params if isinstance(option, ConfigOption)]
    configured = any(map(is_configuration, files))
    if configured:
        options = [each for each in options if _is_given(ctx, each)]
    typed = {override.partition("=")[0] for override in overrides}
    names = {each.key: max(each.opts, key=len) for each in options if each.key not in typed}
    return names if configured or not options else {**names, **TEXT_NAME}


def _is_given(ctx: click.Context, option: click.Option) -> bool:
    return ctx.get_parameter_source(option.name or "") is ParameterSource.COMMANDLINE


def grouped(name: str, *fields: str) -> Callable[[_F], _F]:
    """Pass some of a command's options as one dictionary, without those that are not given."""

    def decorate(command: _F) -> _F:
        @functools.wraps(command)
        def with_group(**options: Any) -> Any:
            group = {field: options.pop(field) for field in fields}
            given = {field: value for field, value in group.items() if value not in (None, ())}
            return command(**options, **{name: given})

        return with_group  # type: ignore[return-value]

    return decorate


def read_vectors(
    path: Path,
    kind: Any = None,
    post: tuple[str, ...] = (),
    source_format: str | None = None,
) -> Any:
    """Read and postprocess the vectors of a run or file, and report repairs."""
    from embedder.vectors.formats import load
    from embedder.vectors.postprocessing import postprocess

    loaded = load(path, kind, True, source_format)
    for repair in loaded.repairs:
        click.echo(f"{path}: {repair}.", err=True)
    return postprocess(loaded, post)


def write_json(out: Path, figures: dict[str, Any]) -> None:
    """Write figures to a file atomically."""
    from embedder.storage import write_atomically

    text = json.dumps(_finite(figures), indent=2, ensure_ascii=False, allow_nan=False)
    write_atomically(out, (text + "\n").encode())


def _finite(figure: Any) -> Any:
    """Return figures with null for numbers that are not finite, which JSON does not have."""
    if isinstance(figure, dict):
        return {key: _finite(value) for key, value in figure.items()}
    if isinstance(figure, list | tuple):
        return [_finite(value) for value in figure]
    return None if isinstance(figure, float) and not math.isfinite(figure) else figure
