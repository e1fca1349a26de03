"""Fetch public corpora and questions into data/, and verify their checksums.

    python scripts/fetch.py text8 google-analogies

text8 is the first 10⁸ bytes of a cleaned English Wikipedia (Matt Mahoney): 17,005,207 words, lower
case, without punctuation. Files that are already there and correct are not fetched again. Nothing
is left half-written, and a file with a wrong checksum is discarded.
"""

import argparse
import hashlib
import os
import sys
import tempfile
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, NamedTuple

from tqdm import tqdm

_TIMEOUT = 30
"""In seconds."""
_BLOCK = 1 << 20


class Item(NamedTuple):
    """A file to fetch.

    ``url``
        Address of the file, or of a .zip archive that contains it.
    ``name``
        Name of the file in the folder, and of the member of a .zip archive.
    ``size``
        Size of the file in bytes; no more is ever decompressed.
    ``algorithm``, ``checksum``
        Checksum of the file: MD5 if its author publishes no other.
    """

    url: str
    name: str
    size: int
    algorithm: str
    checksum: str


ITEMS = {
    "text8": Item(
        "https://mattmahoney.net/dc/text8.zip",
        "text8",
        100_000_000,
        "md5",
        "3bea1919949baf155f99411df5fada7e",
    ),
    "google-analogies": Item(
        "https://raw.githubusercontent.com/tmikolov/word2vec/master/questions-words.txt",
        "google-analogies.txt",
        603_955,
        "sha256",
        "8c29b3332afc46f3fb8be04cb5297bf96f39aa7131272dff57869b4485b22a36",
    ),
}


class FetchError(Exception):
    """A file could not be fetched; the message is one sentence for the user."""


def fetch(item: Item, folder: Path) -> Path:
    """Return the path of the file, after fetching it unless it is there.

    Raises
    ------
    FetchError
        If the address cannot be reached, or returns something else.
    """
    path = folder / item.name
    if path.exists() and _checksum(path, item.algorithm) == item.checksum:
        return path
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".fetch-", dir=folder) as work:
        download = Path(work) / "download"
        _download(item.url, download)
        content = download
        if item.url.endswith(".zip"):
            content = Path(work) / "content"
            _extract(item, download, content)
        found = _checksum(content, item.algorithm)
        if found != item.checksum:
            raise FetchError(
                f"{item.url}: its {item.algorithm} is {found}, expected {item.checksum}; the file "
                "has changed or was damaged in transit, and was discarded."
            )
        content.replace(path)
    return path


def _download(url: str, path: Path) -> None:
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT) as response, path.open("wb") as file:
            length = int(response.headers.get("Content-Length") or 0)
            name = os.path.basename(url)  # noqa: PTH119 - an address
            with tqdm(total=length or None, unit="B", unit_scale=True, desc=name) as bar:
                _copy(response, file, progress=bar.update)
        if length and path.stat().st_size != length:
            raise FetchError(f"{url}: ended after {path.stat().st_size:,} of {length:,} bytes.")
    except (urllib.error.URLError, TimeoutError, OSError) as error:
        reason = getattr(error, "reason", None) or error
        raise FetchError(f"{url}: cannot be fetched ({reason}); try again later.") from None


def _extract(item: Item, archive: Path, path: Path) -> None:
    try:
        with (
            zipfile.ZipFile(archive) as files,
            files.open(item.name) as member,
            path.open("wb") as file,
        ):
            if files.getinfo(item.name).file_size > item.size:
                raise FetchError(
                    f"{item.url}: {item.name} decompresses to more than the {item.size:,} bytes "
                    "expected."
                )
            _copy(member, file)
    except (zipfile.BadZipFile, KeyError) as error:
        raise FetchError(f"{item.url}: expected a .zip with {item.name} ({error}).") from None


def _copy(
    source: IO[bytes],
    target: IO[bytes],
    progress: Callable[[int], object] | None = None,
) -> None:
    while block := source.read(_BLOCK):
        target.write(block)
        if progress is not None:
            progress(len(block))


def _checksum(path: Path, algorithm: str) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


def main(arguments: Sequence[str] | None = None) -> None:
    """Fetch the items that the command line names."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("items", nargs="+", choices=ITEMS, metavar="ITEM", help=", ".join(ITEMS))
    parser.add_argument(
        "--folder", type=Path, default=Path("data"), help="target folder (default: data)"
    )
    options = parser.parse_args(arguments)
    for name in options.items:
        try:
            print(fetch(ITEMS[name], options.folder))
        except FetchError as error:
            sys.exit(f"Error: {error}")


if __name__ == "__main__":
    main()
