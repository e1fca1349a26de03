"""What runs of an experiment share: corpora as ids, and counts, kept by what they were made of.

An entry's name is the SHA-256 of everything that decides its content: the bytes of the corpus's
files, and the settings that matter. It is made in a folder of another name and renamed, so that it
is whole or not there; beyond a size limit the entries that were not used for longest go.
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
from embedder.storage import describe_write_error
from embedder.text.sources import Source, as_corpus_errors
from embedder.version import __version__

DEFAULT_LIMIT = 10**10
_UNFINISHED = ".making-"


class Cache:
    """A folder of entries, each a folder.

    Parameters
    ----------
    folder
        Where; by default `$EMBEDDER_CACHE`, or `embedder` in the user's cache folder.
    limit
        Bytes that all entries may take together; the one made last stays in any case.
    """

    def __init__(self, folder: Path | None = None, limit: int = DEFAULT_LIMIT) -> None:
        self.folder = folder or default_folder()
        self.limit = limit

    def entry(self, name: str, make: Callable[[Path], None]) -> Path:
        """Return an entry's folder, made first if it is not there.

        Parameters
        ----------
        name
            From `address`.
        make
            Fills the folder that it is given.

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
                    if not path.is_dir():  # another process may have been faster
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
        """Return the entries and their bytes, those used last first."""
        if not self.folder.is_dir():
            return []
        found = [entry for entry in self.folder.iterdir() if not entry.name.startswith(".")]
        found.sort(key=lambda entry: entry.stat().st_mtime, reverse=True)
        return [(entry, _size(entry)) for entry in found]

    def clear(self) -> int:
        """Remove all entries and what crashes left; return the bytes that they took."""
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
    """Return `$EMBEDDER_CACHE`, or the user's cache folder for this program."""
    own = os.environ.get("EMBEDDER_CACHE")
    return Path(own) if own else user_cache_path("embedder", appauthor=False)


def address(kind: str, settings: dict[str, Any], sources: Sequence[Source] = ()) -> str | None:
    """Return the name of an entry; None if a source can be read only once.

    Parameters
    ----------
    kind
        What it holds, such as "corpus".
    settings
        What decides its content, as JSON can hold it.
    sources
        Files whose bytes decide it too.

    Raises
    ------
    CorpusError
        For a file that cannot be read.
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
