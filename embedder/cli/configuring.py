"""Commands about configurations and models: init, config, info."""

import re
from pathlib import Path
from typing import Any

import click

from embedder.cli.options import FROM, OVERRIDES, VECTORS, PathName, complete_key
from embedder.cli.program import main
from embedder.errors import ConfigError

TEMPLATES = {
    "quickstart": ("configs/quickstart.yaml", "the King James Bible, in half a minute"),
    "books": ("configs/books.yaml", "a text of millions of words, from its counts"),
    "cbow": ("configs/books-cbow.yaml", "CBOW, from windows of the text"),
    "subwords": ("configs/books-subwords.yaml", "character n-grams, for unknown words"),
    "language-model": ("configs/language-model.yaml", "ten words predict the next"),
    "experiment": ("configs/experiments/study.yaml", "many settings and seeds, compared"),
}
"""The file of each packaged configuration, and what it is for."""
_OWN_TEXT = ("books", "cbow", "subwords")
"""Configurations whose text does not come with a package."""


@main.command()
@click.argument("template", type=click.Choice(list(TEMPLATES)), default="quickstart")
@OVERRIDES
@click.option("--output", "-o", type=PathName(), help="The file; by default TEMPLATE.yaml.")
@click.option("--overwrite", is_flag=True, help="Replace an existing file.")
def init(template: str, overrides: tuple[str, ...], output: Path | None, overwrite: bool) -> None:
    """Write a configuration with comments, to edit and to train.

    TEMPLATE is one of: quickstart (the default; the King James Bible), books (a text of your own,
    from its counts), cbow, subwords, language-model, or experiment (many runs, for `embedder run`).

    For example:

        embedder init
        embedder init books corpus.files=my.txt --output my.yaml
    """
    from embedder.config_files import apply_overrides, commented, make_config, read_yaml
    from embedder.resources import resource
    from embedder.storage import is_stream, write_atomically

    output = output or Path(f"{template}.yaml")
    if output.exists() and not is_stream(output) and not overwrite:
        raise ConfigError(f"{output}: exists; choose another --output, or replace it: --overwrite.")
    packaged, _ = TEMPLATES[template]
    source = resource(packaged)
    if source is None:
        raise ConfigError(f"{packaged}: missing from this installation; install embedder again.")
    tree = read_yaml(source)
    if template in _OWN_TEXT:
        tree["corpus"] = {"files": ["my.txt"]}
    apply_overrides(tree, overrides)
    if template != "experiment":
        make_config(tree, str(output))
    heading = source.read_text(encoding="utf-8")
    lines = [line for line in heading.splitlines() if line.startswith("#")]
    if template in _OWN_TEXT:
        lines = [f"# {TEMPLATES[template][1][0].upper()}{TEMPLATES[template][1][1:]}."]
    write_atomically(output, "\n".join([*lines, commented(tree), ""]).encode())
    command = "run" if template == "experiment" else "train"
    click.echo(f"Wrote {output}; edit it, then: embedder {command} {output}", err=is_stream(output))


@main.command("config")
@click.argument("key", required=False, shell_complete=complete_key)
def describe_config(key: str | None) -> None:
    """List the keys of configurations, with types, defaults and descriptions.

    KEY is a section, a key, or a part of one.

    For example:

        embedder config
        embedder config training
        embedder config subsample
    """
    from embedder.config_files import describe_keys, nearest_keys

    found = describe_keys(key or "")
    if not found:
        near = nearest_keys(key or "")
        advice = f"did you mean {' or '.join(near)}?" if near else "`embedder config` lists all."
        raise ConfigError(f"{key}: no key contains this; {advice}")
    whole = key is not None and len(found) <= 12
    width = max(len(name) for name, *_ in found)
    for name, kind, default, description in found:
        if not whole:
            click.echo(f"{name:<{width}}  {default:<14}  {_summary(description)}")
            continue
        click.echo(f"{name}\n    type: {kind}\n    default: {default}")
        click.echo(click.wrap_text(description, 88, "    ", "    "))


def _summary(description: str) -> str:
    """Return the first sentence; "e.g. 50GB" and "et al. 2013" end none."""
    return re.split(r"\.(?= [^a-z0-9(]|$)|; ", description)[0]


@main.command()
@click.argument("model", type=PathName())
@VECTORS
@FROM
def info(model: Path, kind: Any, source_format: str | None) -> None:
    """Say what a run or a file of vectors is: words, dimensions, settings, loss.

    For example:

        embedder info runs/my
        embedder info vectors.bin
    """
    from embedder.reporting import tables
    from embedder.vectors.formats import load

    vectors = load(model, kind, True, source_format)
    rows = tables.description_of_vectors(vectors)
    if model.is_dir() and (model / "config.yaml").exists():
        from embedder.runs.checkpoint import load_model

        rows += tables.description_of_run(load_model(model))
        replicates = tables.replicates_of_run(model)
        if replicates:
            rows.append(("replicates", f"{replicates}; `embedder stability` compares them"))
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        click.echo(f"{name:<{width}}  {value}")
    for repair in vectors.repairs:
        click.echo(f"{model}: {repair}.", err=True)
