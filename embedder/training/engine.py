"""The interface of engines, which count a text and fit rows in this process or on a cluster.

The loop in `embedder.training.trainer` is the same for both, and trains in this process.
"""

from pathlib import Path
from typing import Any, Protocol

from embedder.arrays import Array
from embedder.errors import RunError
from embedder.examples.prepare import Examples
from embedder.text.phrases import Phrases
from embedder.text.vocabulary import Vocabulary
from embedder.training.row_fit import RowMap


class WorkerLost(Exception):  # noqa: N818 - not a user's error
    """A machine was lost, and with it results that cannot be computed again by themselves."""


class MachineError(RunError):
    """A machine needs attention, such as space on its disk; the run can be continued afterwards."""


class Engine(Protocol):
    """The operations that a training requires."""

    threads: int
    """Number of threads that share the work of this process."""
    fit_rows: RowMap
    """Fits ranges of rows to the counts in `Examples.counted`."""
    keeps_fitted: bool
    """Whether the rows of each range are saved as soon as they are fitted."""
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

    def recover(self, lost: WorkerLost, step: int) -> None:
        """Recover from the loss of a machine, so that training can resume from a step."""

    def statistics(self) -> dict[str, Any]:
        """Return this engine's entries for the model's metadata, if any."""
