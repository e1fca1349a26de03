"""Where a training happens: in this process, or spread over a cluster.

The loop in `embedder.training.trainer` is the same for both. An engine reads and counts the text,
and knows where the rows of the output layer are: the loop trains on those that this process owns.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from tqdm import tqdm

from embedder.arrays import Array
from embedder.examples.prepare import Examples
from embedder.network.losses import Loss
from embedder.network.parameters import Parameters
from embedder.text.phrases import Phrases
from embedder.text.vocabulary import Vocabulary


class WorkerLost(Exception):  # noqa: N818 - no error of the user's
    """A process or machine that a training ran on is gone; what it held must be made again."""


class Engine(Protocol):
    """What the loop needs of it."""

    threads: int
    """Parts that the work of this process is cut into."""
    processes: int
    """How many share the output layer."""

    phrases: Phrases
    """What was joined in the text, once it is read."""

    def read(self, work: Path, quiet: bool) -> tuple[Vocabulary, int]:
        """Read the corpus; return the vocabulary, and how many tokens there are."""

    def examples(self) -> Examples:
        """Return what to train on, counted at the first call."""

    def loss(self, parameters: Parameters, batch_size: int) -> Loss:
        """Return the output layer's loss, for this process's rows of W2 and b2."""

    def scatter_rows(self, arrays: dict[str, Array]) -> dict[str, Array]:
        """Keep this process's rows of the output layer, giving others theirs.

        Parameters
        ----------
        arrays
            By the names of `Parameters` and `Optimizer.state`; what belongs to other layers stays
            whole.
        """

    def gather_rows(self, arrays: dict[str, Array]) -> dict[str, Array]:
        """Undo `scatter_rows`."""

    def recover(self, lost: WorkerLost, step: int) -> None:
        """Make `examples` and the rest possible again, to go on from a step."""

    def statistics(self) -> dict[str, Any]:
        """Return what the model's metadata should tell of this engine, if anything."""


@contextmanager
def reading_bar(quiet: bool) -> "Iterator[tqdm[Any]]":
    """Show how many bytes are read."""
    bar: tqdm[Any] = tqdm(
        desc="reading", unit="B", unit_scale=True, disable=quiet or None, leave=False
    )
    with bar:
        yield bar
