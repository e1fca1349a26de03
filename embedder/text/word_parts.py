"""Files that list parts of words (lemmas, stems or classes) as lines 'word<TAB>part<TAB>…'."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from embedder.config import Config
from embedder.config_sections.text import Normalisation
from embedder.errors import VocabularyError
from embedder.storage import read_utf8, write_atomically
from embedder.text.normalisation import normalise

WordParts = Mapping[str, Sequence[str]]
"""The parts of each word, as listed in a file."""


def load_word_parts(config: Config) -> dict[str, tuple[str, ...]]:
    """Return the parts of words from the configured file, in the normal form of the run's text.

    Without a file, the dict is empty.
    """
    file = config.subwords.parts
    return {} if file is None else read_word_parts(Path(file), config.corpus.normalisation)


def read_word_parts(path: Path, form: Normalisation = "none") -> dict[str, tuple[str, ...]]:
    """Read lines 'word<TAB>part<TAB>part…' in a normal form, lines for the same word combined.

    Raises
    ------
    VocabularyError
        If the file is missing or not text, or a line does not have this form.
    """
    missing = f"{path}: no such file; check subwords.parts."
    text = read_utf8(path, VocabularyError, missing)
    found: dict[str, tuple[str, ...]] = {}
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        word, *parts = normalise(line, form).rstrip("\r").split("\t")
        if not word or not parts or not all(part.strip() for part in parts):
            raise VocabularyError(
                f"{path}, line {number}: expected 'word<TAB>part<TAB>…', got {line!r}."
            )
        found[word] = found.get(word, ()) + tuple(parts)
    return found


def save_word_parts(path: Path, parts: WordParts) -> None:
    """Write a file that `read_word_parts` can read."""
    lines = ("\t".join([word, *own]) + "\n" for word, own in parts.items())
    write_atomically(path, "".join(lines).encode())
