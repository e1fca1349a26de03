"""Numba as a compiler: the folder in which it keeps machine code, and the wait until it is done."""

import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numba
from numba.core import event
from numba.core.dispatcher import Dispatcher

from embedder.errors import ConfigError
from embedder.storage import home_is_known, private_folder

_CACHE = "NUMBA_CACHE_DIR"
_PATIENCE = 2.0
"""Seconds of compilation that need no explanation; loading all kernels from the cache takes one."""
_NOTICE = "Compiling kernels: up to a minute, once per installation and kind of network."


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


def require_compiler() -> None:
    """Reject a process in which Numba is switched off.

    Kernels would be executed as Python: a thousand times as slowly, with integers that do not wrap,
    and without the few instructions that Python does not have.

    Raises
    ------
    ConfigError
        If `NUMBA_DISABLE_JIT` is set.
    """
    if numba.config.DISABLE_JIT:  # type: ignore[attr-defined]
        raise ConfigError(
            "NUMBA_DISABLE_JIT is set, but the kernels run only when Numba compiles them; unset it "
            "(unset NUMBA_DISABLE_JIT), and start again."
        )


@contextmanager
def compiling(report: Callable[[str], object] | None = None) -> Iterator[None]:
    """Run kernels; say so if it takes seconds to compile them, and how many it took.

    Parameters
    ----------
    report
        Called with a line of text: once from another thread, and once at the end.

    Raises
    ------
    ConfigError
        See `require_compiler`.
    """
    require_compiler()
    if report is None:
        yield
        return
    patience = _Patience(report)
    with event.install_listener("numba:compile", patience):
        yield
    patience.finish()


class _Patience(event.Listener):
    """Reports once that compilation takes time, as soon as it has taken more than `_PATIENCE`.

    Numba compiles under a lock, and what it finds in the cache is no event.
    """

    def __init__(self, report: Callable[[str], object]) -> None:
        self._report = report
        self._told = False
        self._depth = 0  # a kernel is compiled within those that call it
        self._spent = self._started = 0.0
        self._timer = threading.Timer(0, self._tell)

    def on_start(self, event: event.Event) -> None:
        self._depth += 1
        if self._depth == 1:
            self._started = time.perf_counter()
            if not self._told:
                self._timer = threading.Timer(max(0.0, _PATIENCE - self._spent), self._tell)
                self._timer.daemon = True
                self._timer.start()

    def on_end(self, event: event.Event) -> None:
        self._depth -= 1
        if self._depth == 0:
            self._timer.cancel()
            self._spent += time.perf_counter() - self._started

    def _tell(self) -> None:
        if not self._told:
            self._told = True
            self._report(_NOTICE)

    def finish(self) -> None:
        """Say how long compilation took, if it was worth a notice."""
        if self._told:
            self._report(
                f"Compiling kernels took {self._spent:.0f} s; the next run starts at once."
            )


def _say(line: str) -> None:
    # Kernels must be usable without a stderr, or with one that cannot be written.
    with suppress(OSError, ValueError):
        if sys.stderr is not None:
            print(line, file=sys.stderr)
