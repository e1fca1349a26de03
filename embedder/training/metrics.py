"""Running loss, and the lines of `metrics.jsonl`."""

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from embedder.storage import write_atomically
from embedder.training.tracking import Listener

_SECONDS_BETWEEN_LINES = 1.0


class Metrics:
    """The metrics of a training in progress.

    Parameters
    ----------
    path
        The file that lines are appended to.
    words
        Words per pass.
    step, passes
        Where the training resumes; lines of later steps are deleted, because these are repeated.
    listeners
        Called with each line.
    """

    def __init__(
        self,
        path: Path,
        words: int,
        step: int,
        passes: float,
        listeners: Sequence[Listener] = (),
    ) -> None:
        self._path = path
        self._listeners = listeners
        self._words = words
        self._started = self._last_written = time.perf_counter()
        self._seconds_before = 0.0
        self._first_pass = passes
        self._sums = np.zeros(2)
        self._smoothed = np.zeros(2)
        if path.exists():
            self._drop_lines_after(step)

    def _drop_lines_after(self, number: int) -> None:
        """Delete the lines of steps that a resumed run repeats."""
        lines = self._path.read_text(encoding="utf-8").splitlines() if self._path.exists() else []
        kept = [line for line in map(_read_line, lines) if line and line["step"] <= number]
        self._seconds_before = kept[-1]["seconds"] if kept else 0.0
        write_atomically(self._path, "".join(json.dumps(line) + "\n" for line in kept).encode())

    @property
    def smoothed_loss(self) -> float:
        """Moving average of the loss over about the last hundred steps, in nats per word."""
        return float(self._smoothed[0] / self._smoothed[1])

    def add(self, loss: float, weight: float) -> None:
        """Add the loss of one step, and the weight that it is a sum over."""
        self._sums += (loss, weight)
        self._smoothed = 0.99 * self._smoothed + (loss, weight)

    def write(self, step: int, passes: float, held_out: float | None, end_of_pass: bool) -> None:
        """Append a line at validations and ends of passes, else at most once per second.

        Parameters
        ----------
        step, passes
            The number of steps and passes completed.
        held_out
            The validation loss, if it has just been computed.
        end_of_pass
            Whether a pass has just ended.
        """
        now = time.perf_counter()
        due = end_of_pass or held_out is not None
        if not due and now - self._last_written < _SECONDS_BETWEEN_LINES:
            return
        elapsed = now - self._started
        line: dict[str, Any] = {
            "step": step,
            "pass": passes,
            "loss": float(self._sums[0] / self._sums[1]),
            "seconds": self._seconds_before + elapsed,
            "words_per_second": (passes - self._first_pass) * self._words / elapsed,
        }
        if held_out is not None:
            line["validation_loss"] = held_out
        if end_of_pass:
            line["end_of_pass"] = True
            self._sums[:] = 0
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        self._last_written = now
        for listen in self._listeners:
            listen(line)


def _read_line(text: str) -> dict[str, Any] | None:
    """Return a line, or None if a crash or a disk error damaged it."""
    try:
        line = json.loads(text)
        return line if {"step", "seconds"} <= line.keys() else None
    except (ValueError, AttributeError):
        return None
