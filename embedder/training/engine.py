"""The interface of engines, which train in this process or on a cluster.

The loop in `embedder.training.trainer` is the same for both. An engine reads and counts the text,
and distributes the rows of the output layer; the loop updates the rows that this process owns.
"""

from pathlib import Path
from typing import Any, Protocol

from embedder.arrays import Array
from embedder.examples.prepare import Examples
from embedder.network.losses import Loss
from embedder.network.parameters import Parameters
from embedder.text.phrases import Phrases
from embedder.text.vocabulary import Vocabulary


class WorkerLost(Exception):  # noqa: N818 - not a user's error
    """A process or machine of a training was lost; its state must be recreated."""


class Engine(Protocol):
    """The operations that the training loop requires."""

    threads: int
    """Number of threads that share the work of this process."""
    processes: int
    """Number of processes that share the output layer."""

    phrases: Phrases
    """The phrases joined in the text; available after `read`."""

    def read(self, work: Path, quiet: bool) -> tuple[Vocabulary, int]:
        """Read the corpus; return the vocabulary and the number of tokens."""

    def examples(self, saved: Array | None = None) -> Examples:
        """Return the training examples; the first call counts the text if necessary.

        Parameters
        ----------
        saved
            The column of each word in a run to resume, if words are grouped.
        """

    def loss(self, parameters: Parameters, batch_size: int) -> Loss:
        """Return the output layer's loss, for this process's rows of W2 and b2."""

    def scatter_rows(self, arrays: dict[str, Array]) -> dict[str, Array]:
        """Send other processes their rows of the output layer; return this process's rows.

        Parameters
        ----------
        arrays
            By the names of `Parameters` and `Optimizer.state`; arrays of other layers are returned
            whole.
        """

    def gather_rows(self, arrays: dict[str, Array]) -> dict[str, Array]:
        """Undo `scatter_rows`."""

    def recover(self, lost: WorkerLost, step: int) -> None:
        """Recover from the loss of a worker, so that training can resume from a step."""

    def statistics(self) -> dict[str, Any]:
        """Return this engine's entries for the model's metadata, if any."""
