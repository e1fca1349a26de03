"""Compare what gensim and embedder read from the files of vectors in gensim's own test data.

    pip install gensim
    python scripts/compare_readers.py

Prints a table for docs/formats.md: every file there that is vectors or a fastText model, with what
comes out of each program. Pickles, which embedder never loads, are only counted. A difference
between numbers is the largest one over all words that both have.
"""

import argparse
import logging
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from embedder.errors import EmbedderError
from embedder.vectors.formats import detect, load
from embedder.vectors.word_vectors import WordVectors

_LONGEST_ERROR = 90
_PICKLE = "never loaded"
NOT_VECTORS = {"DTM", "old_d2v_models", "PathLineSentences"}
"""Folders of other models and of text."""


class Row(NamedTuple):
    """A file, what it is here, and what comes out in both programs."""

    file: str
    format: str
    ours: str
    theirs: str
    difference: str


def data_folder() -> Path:
    """Return the folder of gensim's test data."""
    import gensim

    return Path(gensim.__file__).parent / "test" / "test_data"


def read_here(path: Path) -> WordVectors | str:
    """Return the vectors of a file, or the error."""
    try:
        return load(path)
    except EmbedderError as error:
        return str(error).replace(f"{path.parent}/", "")


def read_there(path: Path, found: str) -> Any:
    """Return gensim's vectors of a file of one of our formats, or the error."""
    from gensim.models import KeyedVectors
    from gensim.models.fasttext import load_facebook_vectors

    def word2vec(**options: Any) -> Callable[[], Any]:
        return lambda: KeyedVectors.load_word2vec_format(str(path), **options)

    readers: dict[str, Callable[[], Any]] = {
        "word2vec": word2vec(),
        "word2vec-binary": word2vec(binary=True),
        "glove": word2vec(no_header=True),
        "fasttext": lambda: load_facebook_vectors(str(path)),
    }
    try:
        return readers[found]()
    except Exception as error:  # gensim has no error class of its own
        return f"{type(error).__name__}: {error}"


def compare(path: Path, folder: Path) -> Row | None:
    """Return the row of a file; None if it is neither vectors nor a fastText model."""
    name = str(path.relative_to(folder))
    try:
        found = detect(path)
    except EmbedderError:
        return None
    if found not in ("word2vec", "word2vec-binary", "glove", "fasttext"):
        return None
    ours, theirs = read_here(path), read_there(path, found)
    if isinstance(ours, str) and isinstance(theirs, str):
        return None
    return Row(name, found, describe(ours), describe(theirs), difference(ours, theirs))


def describe(vectors: Any) -> str:
    """Return the size of vectors and what was repaired, or the error."""
    if isinstance(vectors, str):
        return f"error: {vectors[:_LONGEST_ERROR]}"
    words = vectors.words if isinstance(vectors, WordVectors) else vectors.index_to_key
    dimension = vectors.matrix.shape[1] if isinstance(vectors, WordVectors) else vectors.vector_size
    repairs = "; ".join(vectors.repairs) if isinstance(vectors, WordVectors) else ""
    return f"{len(words):,} × {dimension}" + (f" ({repairs})" if repairs else "")


def difference(ours: WordVectors | str, theirs: Any) -> str:
    """Return how the vectors of two programs differ."""
    if isinstance(ours, str) or isinstance(theirs, str):
        return "–"
    shared = [word for word in ours.words if word in theirs.key_to_index]
    errors = np.array([np.abs(ours[word] - theirs[word]).max() for word in shared])
    parts = []
    if ours.words != theirs.index_to_key:
        parts.append(f"{len(shared):,} words shared")
    odd = [word for word, error in zip(shared, errors, strict=True) if error > 1e-6]
    if odd:
        parts.append(f"up to {errors.max():.2g} for `{'`, `'.join(odd[:3])}`")
    return "; ".join(parts) or "none"


def pickles(folder: Path) -> list[str]:
    """Return the names of files that are rejected because they are pickles."""
    names = [
        str(path.relative_to(folder))
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not NOT_VECTORS & set(path.relative_to(folder).parts)
    ]
    return [name for name in names if _PICKLE in str(read_here(folder / name))]


def rows(folder: Path) -> list[Row]:
    """Return a row for each file that is vectors or a fastText model."""
    warnings.simplefilter("ignore")
    logging.disable(logging.ERROR)
    files = [
        path
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not NOT_VECTORS & set(path.relative_to(folder).parts)
    ]
    return [row for row in (compare(path, folder) for path in files) if row is not None]


def main() -> None:
    """Print the table."""
    argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    ).parse_args()
    folder = data_folder()
    print("| file | format | here | gensim | difference |\n| --- | --- | --- | --- | --- |")
    for row in rows(folder):
        print(f"| `{row.file}` | {row.format} | {row.ours} | {row.theirs} | {row.difference} |")
    count = len(pickles(folder))
    print(
        f"\n{count} other files are pickles (`.model`, `.mdl`, …), which are rejected by name here."
    )


if __name__ == "__main__":
    main()
