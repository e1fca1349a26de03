"""Numba as a compiler: the folder in which it keeps machine code."""

import os
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

import numba
from numba.core.dispatcher import Dispatcher

from embedder.storage import home_is_known, private_folder

_CACHE = "NUMBA_CACHE_DIR"


def prepare_cache() -> None:
    """Make sure that `njit(cache=True)` works, wherever this process may write.

    Numba keeps machine code beside the package or in the user's cache folder, and raises if it can
    write to neither: another user's installation, without a home of one's own. Machine code then
    goes to a private folder for temporary files, as that of other packages in this process does,
    which would fail just as well. Without even such a folder, every process compiles for itself.
    """
    if _finds_a_folder():
        return
    folder = private_folder("embedder-kernels")
    if folder is not None:
        is_new = not any(folder.iterdir())
        os.environ[_CACHE] = str(folder)  # for child processes, and Numba reads it again
        numba.config.CACHE_DIR = str(folder)  # type: ignore[attr-defined]
        if _finds_a_folder():
            if is_new:
                _say(
                    f"Compiled kernels are kept in {folder}, since neither the package's folder "
                    f"nor the user's cache can be written; {_CACHE}=FOLDER chooses another."
                )
            return
    Dispatcher.enable_caching = lambda self: None  # type: ignore[method-assign]
    _say(
        "Compiled kernels are not kept, since no folder can be written: every run compiles them "
        f"again, for about a minute; set {_CACHE} to a folder that can be written."
    )


def _finds_a_folder() -> bool:
    """Return whether Numba finds a folder in which to keep this package's machine code."""
    if not home_is_known():
        # Numba would take the user's cache to be a folder called '~' in the working directory.
        given = numba.config.CACHE_DIR  # type: ignore[attr-defined]
        folders = [Path(given)] if given else []
        if not any(map(_is_writable, [*folders, Path(__file__).parent / "__pycache__"])):
            return False
    try:
        numba.njit(cache=True)(_finds_a_folder)
    except RuntimeError:
        return False
    return True


def _is_writable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError:
        return False
    return True


def _say(line: str) -> None:
    # Kernels must be usable without a stderr, or with one that cannot be written.
    with suppress(OSError, ValueError):
        if sys.stderr is not None:
            print(line, file=sys.stderr)
