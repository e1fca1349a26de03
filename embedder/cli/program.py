"""The program itself: what every command has in common."""

from typing import Any

import click

from embedder.errors import EmbedderError
from embedder.version import __version__


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
