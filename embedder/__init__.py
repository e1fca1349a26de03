"""Word embeddings from text through a neural network with an exact softmax, on ordinary CPUs.

import embedder

vectors = embedder.train("configs/quickstart.yaml", ["training.passes=5"])
vectors = embedder.load("runs/quickstart")      # or a file of another program
vectors["king"], vectors.neighbors("king"), vectors.analogy("man", "king", "woman")
embedder.save(vectors, "vectors.bin")
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from embedder.errors import EmbedderError
from embedder.version import __version__

if TYPE_CHECKING:
    from embedder.config_sections import VectorKind
    from embedder.vectors.word_vectors import WordVectors

__all__ = ["EmbedderError", "WordVectors", "__version__", "load", "save", "train"]


def load(path: str | Path, kind: "VectorKind | None" = None) -> "WordVectors":
    """Read word vectors from a run's folder, or from a file of another program.

    Parameters
    ----------
    path
        The folder or file; its format is detected (see `embedder.vectors.formats`).
    kind
        Which vectors of a run: input, hidden, output or sum; by default those that its
        configuration names.

    Raises
    ------
    EmbedderError
        If it is missing, damaged or in no known format.
    """
    from embedder.vectors.formats import load as load_any

    return load_any(path, kind)


def save(vectors: "WordVectors", path: str | Path, file_format: str | None = None) -> None:
    """Write word vectors for other programs.

    Parameters
    ----------
    vectors
        What to write.
    path
        The file, or for static-embedding the folder; an existing one is replaced.
    file_format
        One of the formats of `embedder export`; by default the suffix of the path decides.

    Raises
    ------
    EmbedderError
        If the format is unknown, a word cannot be written in it, or the file cannot be written.
    """
    from embedder.vectors.formats import save as save_any

    save_any(vectors, path, file_format)


def train(
    config: str | Path | dict[str, Any], overrides: Sequence[str] = (), overwrite: bool = False
) -> "WordVectors":
    """Train the network that a YAML file or a nested dictionary describes, and return its vectors.

    Parameters
    ----------
    config
        The file, or its content.
    overrides
        Changes to it, such as ``["training.passes=5"]``.
    overwrite
        Replace a run that is already in the folder that `output` names.

    Raises
    ------
    EmbedderError
        For anything that a user can fix.
    """
    from embedder.config_files import load_config, make_config, with_overrides
    from embedder.training.train import train as run_training
    from embedder.vectors.from_run import load_vectors

    if isinstance(config, dict):
        settings = with_overrides(make_config(config, "config"), overrides, "config")
    else:
        settings = load_config(Path(config), overrides)
    return load_vectors(run_training(settings, overwrite=overwrite, quiet=True).folder)


def __getattr__(name: str) -> Any:
    # Imported late: the command line shows its help without NumPy.
    if name == "WordVectors":
        from embedder.vectors.word_vectors import WordVectors

        return WordVectors
    raise AttributeError(f"module 'embedder' has no attribute {name!r}")
