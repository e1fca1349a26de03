"""What is measured and shown when a run ends, and where its metrics go."""

from typing import Annotated

from pydantic import Field

from embedder.config_sections.section import PathNames, Positive, Section, Words


class EvaluationConfig(Section):
    """What `embedder train` shows when it ends."""

    words: Words = []
    """Words whose neighbours are printed; by default a few from the vocabulary."""
    analogies: PathNames = []
    """Files of analogy questions, or `package:NAME/PATH`."""
    similarity: PathNames = []
    """Files of word pairs with human similarity scores, or `package:NAME/PATH`."""
    restrict_vocab: Positive | None = None
    """Use only this many of the most frequent words."""
    ngram: Annotated[int, Field(ge=0, le=9)] = 0
    """Order of a Kneser–Ney model of the training text, to compare the network's perplexity on
    held-out text with, and to mix it with; 0 for none. The model is built in memory."""


class TrackingConfig(Section):
    """Where metrics go, besides the run's folder."""

    tensorboard: bool = False
    """Write event files to the folder `tensorboard` of the run."""
    mlflow: str | None = None
    """MLflow's tracking server or store, such as `sqlite:///mlflow.db`."""
    experiment: str = "embedder"
    """Name of the MLflow experiment."""
