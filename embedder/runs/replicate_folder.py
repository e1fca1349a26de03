"""The vectors of a run's replicates, in its folder `replicates`.

bootstrap-NUMBER.safetensors   vectors trained on a bootstrap sample of the text
seed-NUMBER.safetensors        vectors trained on the same text with another seed
bootstrap-NUMBER/, …           the run of the replicate that is being trained

A replicate has one unit vector per word of the run's vocabulary, in float16, and zeros for words
that its sample of the text lacks. Whatever files there are, they are complete.
"""

import re
import shutil
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from embedder.arrays import Array
from embedder.config import Config
from embedder.errors import RunError
from embedder.runs.tensor_file import load_arrays, save_arrays

Kind = Literal["bootstrap", "seed"]
KINDS: tuple[Kind, ...] = ("bootstrap", "seed")
DTYPE = np.float16
_FORMAT = "embedder-replicate-1"
_NAME = re.compile(r"(bootstrap|seed)-(\d{4})\.safetensors")


class Replicate(NamedTuple):
    """One replicate of a run.

    ``kind``
        Whether its text was drawn (and its seed another) or only its seed another.
    ``number``
        From 1.
    """

    kind: Kind
    number: int

    @property
    def name(self) -> str:
        """The name of its file, without the suffix."""
        return f"{self.kind}-{self.number:04d}"

    def __str__(self) -> str:
        return f"{'bootstrap sample' if self.kind == 'bootstrap' else 'other seed'} {self.number}"


class ReplicateFolder:
    """The paths of the replicates of a run.

    Parameters
    ----------
    run
        The run's folder.
    """

    def __init__(self, run: Path) -> None:
        self.path = run / "replicates"

    def replicates(self, kind: Kind | None = None) -> list[Replicate]:
        """Return the finished replicates, by default of all kinds, in order."""
        if not self.path.is_dir():
            return []
        names = (_NAME.fullmatch(entry.name) for entry in self.path.iterdir())
        found = [Replicate(name[1], int(name[2])) for name in names if name]  # type: ignore[arg-type]
        return sorted(each for each in found if kind in (None, each.kind))

    def file_of(self, replicate: Replicate) -> Path:
        """Return the file with a replicate's vectors."""
        return self.path / f"{replicate.name}.safetensors"

    def run_of(self, replicate: Replicate) -> Path:
        """Return the folder in which a replicate is trained."""
        return self.path / replicate.name

    def save(self, replicate: Replicate, vectors: Array, metadata: dict[str, Any]) -> None:
        """Write the vectors of a replicate, (V, D) with zeros for words that it lacks.

        Raises
        ------
        RunError
            If the file cannot be written.
        """
        arrays = {"vectors": np.asarray(vectors, DTYPE)}
        save_arrays(self.file_of(replicate), arrays, metadata, _FORMAT)

    def load(self, replicate: Replicate) -> tuple[Array, dict[str, Any]]:
        """Read what `save` wrote.

        Raises
        ------
        RunError
            If the file is missing or damaged.
        """
        path = self.file_of(replicate)
        arrays, metadata = load_arrays(path, _FORMAT, "the vectors of a replicate")
        vectors = arrays.get("vectors")
        if vectors is None or vectors.ndim != 2:
            raise RunError(f"{path}: damaged; remove it, and train it again.")
        return vectors, metadata

    def remove(self) -> None:
        """Remove the replicates, if there are any."""
        shutil.rmtree(self.path, ignore_errors=True)


def missing_replicates(config: Config, run: Path) -> list[Replicate]:
    """Return the replicates that a run is to have, and does not have yet, in order."""
    numbers = {"bootstrap": config.replicates.bootstrap, "seed": config.replicates.seeds}
    found = set(ReplicateFolder(run).replicates())
    wanted = [Replicate(kind, i) for kind in KINDS for i in range(1, numbers[kind] + 1)]
    return [each for each in wanted if each not in found]
