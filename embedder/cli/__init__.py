"""The command line. Each command imports the rest of the package only when it runs."""

from embedder.cli import configuring, measuring, training, updating, vectors  # noqa: F401 - register their commands
from embedder.cli.program import main

__all__ = ["main"]
