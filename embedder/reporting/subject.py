"""What a report is about: a run or a file of vectors, with a name that tells it from the other."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from embedder.config import Config
from embedder.config_sections.network import VectorKind
from embedder.errors import CorpusError, EmbedderError, EvaluationError
from embedder.evaluation.suite import Tasks, configured_tasks
from embedder.reporting.tables import description_of_run, description_of_vectors
from embedder.runs.checkpoint import load_model
from embedder.runs.run_folder import RunFolder
from embedder.vectors.formats import load
from embedder.vectors.word_vectors import WordVectors

_MOST = 2


class Subject(NamedTuple):
    """A model that a report is about.

    ``name``
        What the report calls it.
    ``config, metrics``
        None and empty for a file of vectors.
    """

    name: str
    path: Path
    vectors: WordVectors
    config: Config | None
    metrics: list[dict[str, Any]]

    @property
    def restrict_vocab(self) -> int | None:
        """Number of most frequent words that its configuration evaluates."""
        return self.config.evaluation.restrict_vocab if self.config is not None else None

    def configured_tasks(self) -> Tasks | None:
        """Return the tasks that its configuration names; None if there are none, or no longer."""
        if self.config is None:
            return None
        try:
            return configured_tasks(self.config.evaluation)
        except (CorpusError, EvaluationError):
            return None  # the page is useful all the same

    def lead(self) -> str:
        """Return a phrase about its size and training."""
        V, D = self.vectors.matrix.shape
        text = f"{V:,} word vectors of {D} dimensions"
        if self.metrics:
            last = self.metrics[-1]
            text += f", trained for {last['pass']:.3g} passes in {last['seconds']:,.0f} s"
        return text

    def description(self) -> list[tuple[str, str]]:
        """Return names and values that describe it."""
        rows = [("path", str(self.path)), *description_of_vectors(self.vectors)]
        return rows + (description_of_run(load_model(self.path)) if self.config else [])


def read_subjects(
    paths: Sequence[Path], kind: VectorKind | None = None, source_format: str | None = None
) -> list[Subject]:
    """Read the models of a report.

    Parameters
    ----------
    paths
        One or two run folders or files of vectors.
    kind
        Which vectors of runs to use; by default those that their configurations name.
    source_format
        The format of files; by default their content decides.

    Raises
    ------
    EmbedderError
        If there are more than two, or one cannot be read.
    """
    if not 1 <= len(paths) <= _MOST:
        raise EmbedderError(f"A report shows one model or two side by side, got {len(paths)}.")
    found = []
    for name, path in zip(_names(paths), paths, strict=True):
        vectors = load(path, kind, file_format=source_format)
        folder = RunFolder(path)
        config = folder.read_config() if path.is_dir() and folder.config.exists() else None
        metrics = _metrics(folder.metrics) if config is not None else []
        found.append(Subject(name, path, vectors, config, metrics))
    return found


def _names(paths: Sequence[Path]) -> list[str]:
    """Return the last parts of the paths, as many as tell them apart."""
    parts = [path.parts for path in paths]
    for count in range(1, max(map(len, parts), default=0) + 1):
        names = ["/".join(own[-count:]) for own in parts]
        if len(set(names)) == len(names):
            return names
    return [f"{path} ({i})" for i, path in enumerate(paths, start=1)]


def _metrics(path: Path) -> list[dict[str, Any]]:
    try:
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, ValueError):
        return []
