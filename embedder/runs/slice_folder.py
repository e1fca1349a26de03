"""The slices of a run, in its folder `slices`.

slices.json   the names of the slices, in order
changes.tsv   a line per word: the weight of its neighbours, by how much they differ between the
              slices, and the p-value of that
NAME/         a run for each slice

The folder is written under another name and renamed, so it is always complete or absent.
"""

import json
import shutil
from pathlib import Path
from typing import NamedTuple

from embedder.errors import RunError
from embedder.storage import read_utf8, write_atomically

_HEADER = "word\tneighbours\tchange\tp"


class WordTest(NamedTuple):
    """Whether a word's neighbours differ between slices.

    ``neighbours``
        The weight of its neighbours in all slices.
    ``change``
        What vectors of their own save the slices, in nats per neighbour, without what they would
        save if nothing had changed; below 0 if they save less than that.
    ``p``
        The share of permutations of the text between slices in which they save as much.
    """

    word: str
    neighbours: float
    change: float
    p: float


class SliceFolder:
    """The paths of the slices of a run.

    Parameters
    ----------
    run
        The run's folder.
    """

    def __init__(self, run: Path) -> None:
        self.path = run / "slices"
        self._index = self.path / "slices.json"
        self._tests = self.path / "changes.tsv"

    def exists(self) -> bool:
        """Return whether the run has slices."""
        return self._index.exists()

    def names(self) -> list[str]:
        """Return the names of the slices, in order.

        Raises
        ------
        RunError
            If the run has no slices, or the file is damaged.
        """
        missing = (
            f"{self.path.parent}: a run without slices; expected one written by `embedder slices`."
        )
        text = read_utf8(self._index, RunError, missing)
        try:
            return [str(name) for name in json.loads(text)["slices"]]
        except (ValueError, KeyError, TypeError):
            raise RunError(f"{self._index}: damaged; write the slices again.") from None

    def run_of(self, name: str) -> Path:
        """Return the run of a slice."""
        return self.path / name

    def tests(self) -> list[WordTest]:
        """Return the tests of all words that occur, in the order of the vocabulary.

        Raises
        ------
        RunError
            If the file is missing or damaged; the message states the line.
        """
        self.names()  # the better error for a run without slices
        text = read_utf8(self._tests, RunError, f"{self._tests}: missing; write the slices again.")
        header, *lines = text.split("\n")[:-1] or [""]
        found = []
        for number, line in enumerate(lines, start=2):
            try:
                word, *numbers = line.split("\t")
                neighbours, change, p = map(float, numbers)
            except ValueError:
                raise RunError(f"{self._tests}, line {number}: damaged: {line!r}.") from None
            found.append(WordTest(word, neighbours, change, p))
        if header != _HEADER or not text.endswith("\n"):
            raise RunError(f"{self._tests}: damaged; write the slices again.")
        return found

    def write(self, staged: Path, names: list[str], tests: list[WordTest]) -> None:
        """Put a folder with the runs of all slices in place of existing slices.

        Parameters
        ----------
        staged
            The folder, on the same disk.
        names
            The names of the slices, in order.
        tests
            Of all words that occur.
        """
        lines = [f"{w.word}\t{w.neighbours:.9g}\t{w.change:.9g}\t{w.p:.9g}" for w in tests]
        text = "\n".join([_HEADER, *lines]) + "\n"
        write_atomically(staged / self._tests.name, text.encode())
        index = json.dumps({"slices": names}, ensure_ascii=False) + "\n"
        write_atomically(staged / self._index.name, index.encode())
        self.remove()
        staged.rename(self.path)

    def remove(self) -> None:
        """Remove the slices, if there are any."""
        shutil.rmtree(self.path, ignore_errors=True)
