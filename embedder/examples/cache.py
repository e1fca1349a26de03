"""The cache shared by runs: encoded corpora and counts, addressed by what they are computed from.

An entry's name contains the SHA-256 of everything that determines its content: the bytes of the
corpus's files and the relevant settings. An entry is written to a temporary folder that is then
renamed, so that it is complete or absent. Above a size limit, the least recently used entries are
removed.
"""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from platformdirs import user_cache_path

from embedder.errors import RunError
from embedder.storage import describe_write_error, home_is_known
from embedder.text.sources import Source, as_corpus_errors
from embedder.version import __version__

DEFAULT_LIMIT = 10**10
_UNFINISHED = ".making-"


class Cache:
    """A folder of entries, each a folder.

    Parameters
    ----------
    folder
        By default `$EMBEDDER_CACHE`, or `embedder` in the user's cache folder.
    limit
        Maximum total size of all entries in bytes; the newest entry is always retained.
    """

    def __init__(self, folder: Path | None = None, limit: int = DEFAULT_LIMIT) -> None:
        self.folder = folder or default_folder()
        self.limit = limit

    def entry(self, name: str, make: Callable[[Path], None]) -> Path:
        """Return an entry's folder; create the entry if it does not exist.

        Parameters
        ----------
        name
            From `address`.
        make
            Fills the folder passed to it.

        Raises
        ------
        RunError
            If the cache cannot be written.
        """
        path = self.folder / name
        if not path.is_dir():
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
                work = Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=self.folder))
                try:
                    make(work)
                    if not path.is_dir():  # another process may have created it meanwhile
                        work.rename(path)
                finally:
                    shutil.rmtree(work, ignore_errors=True)
            except OSError as error:
                raise RunError(
                    describe_write_error(self.folder, error, "set EMBEDDER_CACHE")
                ) from None
            self._shrink(but=path)
        os.utime(path)
        return path

    def entries(self) -> list[tuple[Path, int]]:
        """Return the entries and their sizes in bytes, most recently used first."""
        if not self.folder.is_dir():
            return []
        found = [entry for entry in self.folder.iterdir() if not entry.name.startswith(".")]
        found.sort(key=lambda entry: entry.stat().st_mtime, reverse=True)
        return [(entry, _size(entry)) for entry in found]

    def clear(self) -> int:
        """Remove all entries and leftovers of crashes; return the bytes that the entries took."""
        freed = sum(size for _, size in self.entries())
        for entry in self.folder.glob("*") if self.folder.is_dir() else ():
            shutil.rmtree(entry, ignore_errors=True)
        return freed

    def _shrink(self, but: Path) -> None:
        total = 0
        for entry, size in self.entries():
            total += size
            if total > self.limit and entry != but:
                shutil.rmtree(entry, ignore_errors=True)


def default_folder() -> Path:
    """Return `$EMBEDDER_CACHE`, or the user's cache folder for this program.

    Raises
    ------
    RunError
        If the user has no home, and so no cache folder.
    """
    own = os.environ.get("EMBEDDER_CACHE")
    if own:
        return Path(own)
    if not home_is_known():
        raise RunError("The user has no home folder for the cache; set EMBEDDER_CACHE to a folder.")
    return user_cache_path("embedder", appauthor=False)


def address(kind: str, settings: dict[str, Any], sources: Sequence[Source] = ()) -> str | None:
    """Return the name of an entry; None if a source is not a file and can be read only once.

    Parameters
    ----------
    kind
        The kind of content, such as "corpus".
    settings
        Settings that determine the content, representable as JSON.
    sources
        Files whose bytes determine it as well.

    Raises
    ------
    CorpusError
        If a file cannot be read.
    """
    found = hashlib.sha256(json.dumps([__version__, kind, settings], sort_keys=True).encode())
    for source in sources:
        if source.path is None or not source.path.is_file():
            return None
        with as_corpus_errors(source), source.path.open("rb") as file:
            found.update(hashlib.file_digest(file, "sha256").digest())
    return f"{kind}-{found.hexdigest()[:32]}"


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
