"""The command line: options in, one call, text out. Imports wait until a command needs them."""

from embedder.cli import measuring, training, vectors  # noqa: F401 - they add their commands
from embedder.cli.program import main

__all__ = ["main"]
