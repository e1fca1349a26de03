"""Progress bars, in terminals and notebooks."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from tqdm import tqdm


def progress_bar(quiet: bool, **options: Any) -> "tqdm[Any]":
    """Return a bar with the options of tqdm, hidden where nobody would see it."""
    # With None, tqdm shows a bar in terminals only; a notebook is none, but shows its output.
    disable = True if quiet or _has_no_stderr() else (False if in_notebook() else None)
    return tqdm(disable=disable, **options)


def say(line: str) -> None:
    """Write a line to stderr, above the bars; that nobody can read it is no reason to fail."""
    if not _has_no_stderr():  # tqdm takes None to be stdout
        with suppress(OSError, ValueError):
            tqdm.write(line, file=sys.stderr)


def _has_no_stderr() -> bool:
    return sys.stderr is None or sys.stderr.closed  # without a console, as in pythonw


def in_notebook() -> bool:
    """Return whether this process runs the cells of a notebook."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return getattr(shell, "kernel", None) is not None


@contextmanager
def reading_bar(quiet: bool) -> "Iterator[tqdm[Any]]":
    """Show a progress bar of the bytes read."""
    with progress_bar(quiet, desc="reading", unit="B", unit_scale=True, leave=False) as bar:
        yield bar
