"""Word embeddings from text through a neural network with an exact softmax, on ordinary CPUs.

import embedder
vectors = embedder.load("runs/quickstart")      # or a word2vec, GloVe, fastText .vec, .npy file
vectors["king"], vectors.neighbors("king"), vectors.analogy("man", "king", "woman")

vectors = embedder.train("configs/quickstart.yaml", ["training.passes=5"])
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from embedder.config import VectorKind
    from embedder.vectors.word_vectors import WordVectors

__all__ = ["load", "train"]


def load(path: str | Path, kind: "VectorKind | None" = None) -> "WordVectors":
    """Read word vectors: a run's folder, or a file that `embedder.vectors.formats` can read."""
    from embedder.vectors.formats import load as load_any

    return load_any(path, kind)


def train(
    config: str | Path | dict[str, Any], overrides: Sequence[str] = (), overwrite: bool = False
) -> "WordVectors":
    """Train what a YAML file or a nested dictionary describes, and return its vectors.

    Parameters
    ----------
    config
        The file, or its content.
    overrides
        For a file, such as ``["training.passes=5"]``.
    overwrite
        Replace a run that is already in the folder that `output` names.

    Raises
    ------
    embedder.errors.EmbedderError
        For anything that a user can mend.
    """
    from embedder.config_files import load_config, make_config
    from embedder.training.train import train as run_training
    from embedder.vectors.from_run import load_vectors

    if isinstance(config, dict):
        settings = make_config(config, "config")
    else:
        settings = load_config(Path(config), overrides)
    return load_vectors(run_training(settings, overwrite=overwrite, quiet=True).folder)
