"""Which files a list of files, folders, globs, packages and URLs stands for.

Links are followed, and each real file counts once, by whatever names and patterns it is reached.
What may not be read is an error, or left out with a warning, but never in silence.
"""

import difflib
import errno
import fnmatch
import glob
import itertools
import os
import stat
import warnings
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal

from embedder.errors import CorpusError, CorpusWarning
from embedder.text.sources import (
    STANDARD_INPUT,
    Shard,
    Source,
    as_corpus_errors,
    is_compressed,
    is_standard_input,
    kind_of,
    open_source,
    package_resource,
    peek,
)

_RECURSIVE = "**"
_NAMED = 3
"""How many unreadable files an error names."""


def find_sources(
    patterns: Iterable[str], unreadable: Literal["error", "skip"] = "error"
) -> list[Source]:
    """Expand files, folders, globs, `package:` resources, URLs and `-` into input files.

    Folders and globs yield their files sorted by name; hidden files are skipped, and links are
    followed. A file that several patterns match, or to which there are links, is listed once.

    Parameters
    ----------
    patterns
        What to expand; `**` in a glob stands for any folders.
    unreadable
        Whether files and folders without permission, and links to nothing, are an error, or left
        out with a `CorpusWarning`.

    Raises
    ------
    CorpusError
        For a pattern that matches no file, a file or folder that may not be read, or a package that
        is not installed.
    """
    found: dict[str, Source] = {}
    listing = _Listing()
    for pattern in patterns:
        if pattern == STANDARD_INPUT and pattern in found:
            raise CorpusError("-: occurs more than once, but standard input can be read only once.")
        sources = _sources_of(pattern, listing)
        if not sources and not listing.problems:
            raise CorpusError(f"{pattern}: no matching files; check corpus.files.")
        for source in sources:
            name = source.url or (STANDARD_INPUT if source.path is None else None)
            found.setdefault(name or os.path.realpath(source.name), source)
    if listing.problems and (unreadable == "error" or not found):
        advice = "leave out what cannot be read with corpus.unreadable=skip"
        advice = f"change that, or {advice if unreadable == 'error' else 'use another text'}"
        raise CorpusError(f"{listing.describe()}; {advice}.")
    if listing.problems:
        warnings.warn(f"{listing.describe()}; left out.", CorpusWarning, stacklevel=2)
    return list(found.values())


def _sources_of(pattern: str, listing: "_Listing") -> list[Source]:
    if not pattern.strip():
        raise CorpusError("The name of a text is empty; expected a file, folder, glob or URL.")
    if pattern == STANDARD_INPUT:
        return [Source("standard input", None)]
    if pattern.startswith("python:"):
        raise CorpusError(
            "The text of this run came from Python objects, so it can only be read again from "
            "there: embedder.train(objects, output=RUN, resume=True)."
        )
    if "://" in pattern:
        return _remote_sources(pattern)
    if pattern.startswith("package:"):
        paths = [package_resource(pattern)]
    else:
        paths = sorted(listing.files_of(pattern))
    return [Source(str(path), path) for path in paths]


def matches_files(pattern: str) -> bool:
    """Return whether a glob matches any file, readable or not."""
    listing = _Listing()
    try:
        return next(listing.files_of(pattern), None) is not None or bool(listing.problems)
    except CorpusError:
        return False


def files_below(folder: Path) -> list[Path]:
    """Return the files in a folder and its subfolders, sorted by name, without hidden ones.

    Raises
    ------
    CorpusError
        For what may not be read.
    """
    listing = _Listing()
    found = {os.path.realpath(path): path for path in listing.files_of(str(folder))}
    if listing.problems:
        raise CorpusError(f"{listing.describe()}; change that, or move it elsewhere.")
    return sorted(found.values())


class _Listing:
    """Lists files, and collects what cannot be read.

    ``problems``
        Paths, with the reasons.
    """

    def __init__(self) -> None:
        self.problems: dict[str, str] = {}

    def files_of(self, pattern: str) -> Iterator[Path]:
        """Yield the files that a file, folder or glob stands for."""
        path = Path(pattern)
        if self._is_folder(path):
            for folder in self._folders_below(path):
                yield from self._readable(self._entries(folder))
        elif str(path) in self.problems:
            return
        elif self._is_there(path):
            yield from self._readable([path], any_kind=True)
        elif glob.has_magic(pattern):
            start = 1 if path.anchor else 0
            yield from self._matches(Path(path.anchor), path.parts[start:])
        else:
            raise CorpusError(_describe_missing(path))

    def describe(self) -> str:
        """Return what cannot be read, and why."""
        if len(self.problems) == 1:
            ((path, reason),) = self.problems.items()
            return f"{path}: cannot be read ({reason})"
        named = [f"{path} ({reason})" for path, reason in self.problems.items()]
        more = f" and {len(named) - _NAMED:,} more" if len(named) > _NAMED else ""
        return f"{', '.join(named[:_NAMED])}{more} cannot be read"

    def _matches(self, folder: Path, parts: Sequence[str]) -> Iterator[Path]:
        """Yield the files below a folder whose names match the parts of a glob."""
        name, *rest = parts
        if name == _RECURSIVE:
            for below in self._folders_below(folder):
                yield from self._matches(below, rest or ["*"])
            return
        if glob.has_magic(name):
            entries = self._entries(folder, hidden=name.startswith("."))
            found = [entry for entry in entries if fnmatch.fnmatch(entry.name, name)]
        else:
            found = [folder / name] if self._is_there(folder / name) else []
        if not rest:
            yield from self._readable(found)
            return
        for entry in found:
            if self._is_folder(entry):
                yield from self._matches(entry, rest)

    def _folders_below(self, folder: Path) -> Iterator[Path]:
        """Yield a folder and its subfolders, each real one once: links may lead back."""
        seen, waiting = set(), [folder]
        while waiting:
            folder = waiting.pop()
            real = os.path.realpath(folder)
            if real in seen:
                continue
            seen.add(real)
            yield folder
            waiting += [entry for entry in self._entries(folder) if self._is_folder(entry)]

    def _entries(self, folder: Path, hidden: bool = False) -> list[Path]:
        try:
            names = sorted(os.listdir(folder))  # noqa: PTH208 - as iterdir, but "." adds nothing
        except OSError as error:
            self.problems[str(folder)] = str(error.strerror)
            return []
        return [folder / name for name in names if hidden or not name.startswith(".")]

    def _is_folder(self, path: Path) -> bool:
        try:
            return stat.S_ISDIR(path.stat().st_mode)
        except PermissionError as error:
            self.problems[str(path)] = str(error.strerror)
            return False
        except (OSError, ValueError):  # nothing there, or no possible name
            return False

    def _is_there(self, path: Path) -> bool:
        """Return whether a file, folder or link exists."""
        try:
            path.lstat()
        except PermissionError as error:
            self.problems[str(path)] = str(error.strerror)
            return False
        except (OSError, ValueError):
            return False
        return True

    def _readable(self, paths: Iterable[Path], any_kind: bool = False) -> Iterator[Path]:
        """Yield the files among paths; only files named by themselves may be pipes or devices."""
        for path in paths:
            try:
                mode = path.stat().st_mode
            except OSError as error:
                missing = error.errno == errno.ENOENT
                reason = "a link to a missing file" if missing else str(error.strerror)
                self.problems[str(path)] = reason
                continue
            if not (stat.S_ISREG(mode) or any_kind):
                continue
            if os.access(path, os.R_OK):
                yield path
            else:
                self.problems[str(path)] = os.strerror(errno.EACCES)


def _describe_missing(path: Path) -> str:
    """Return the error for a missing file, with the name that was perhaps meant."""
    folder = path.parent
    try:
        near = difflib.get_close_matches(path.name, os.listdir(folder), n=1, cutoff=0.7)  # noqa: PTH208
    except (OSError, ValueError):
        near = []
    hint = f"did you mean '{folder / near[0]}'?" if near else "check corpus.files"
    where = "" if path.is_absolute() else f" in {Path.cwd()}"
    return f"{path}: no such file or folder{where}; {hint}{'' if near else '.'}"


_STORAGES = {"s3": " s3fs", "gs": " gcsfs", "gcs": " gcsfs", "az": " adlfs", "abfs": " adlfs"}
"""What else to install for URLs that begin like this."""


def _remote_sources(pattern: str) -> list[Source]:
    """List the files that a URL matches: a file, folder or glob in any storage fsspec supports."""
    try:
        import fsspec

        storage, path = fsspec.core.url_to_fs(pattern)
        if glob.has_magic(path):
            found = storage.glob(path)
        else:
            found = storage.find(path) if storage.isdir(path) else [path]
        files = sorted(name for name in found if storage.isfile(name))
        names = [storage.unstrip_protocol(name) for name in files]
    except ImportError as error:
        own = _STORAGES.get(pattern.partition("://")[0].lower(), "")
        raise CorpusError(
            f"{pattern}: reading it requires a package that is not installed ({error}); pip "
            f"install 'exact-embedder[remote]'{own}."
        ) from None
    except Exception as error:  # each storage raises its own errors
        raise CorpusError(f"{pattern}: cannot be listed ({error}).") from None
    return [Source(name, None, name) for name in names]


def find_shards(
    patterns: Iterable[str], size: int, unreadable: Literal["error", "skip"] = "error"
) -> list[Shard]:
    """Return the input files as shards; uncompressed files are split.

    Parameters
    ----------
    patterns, unreadable
        As for `find_sources`.
    size
        Approximate shard size in bytes. A compressed file is one shard, and so is a table, which
        cannot be read from the middle.

    Raises
    ------
    CorpusError
        As for `find_sources`, and for standard input, which only one process can read.
    """
    shards = []
    for source in find_sources(patterns, unreadable):
        if is_standard_input(source):
            raise CorpusError(
                "-: standard input can be read by one process only; write the text to a file."
            )
        with as_corpus_errors(source), open_source(source) as stream:
            kind = kind_of(source, peek(stream))
            if is_compressed(source) or kind not in (None, "json lines"):
                shards.append(Shard(source))
                continue
            length = stream.seek(0, 2)
        cuts = [*range(0, length, size), length] if length else [0, 0]
        shards += [Shard(source, *cut, kind) for cut in itertools.pairwise(cuts)]
    return shards
