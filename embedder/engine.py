"""Where a training happens: in this process, or spread over a cluster.

The loop in `embedder.trainer` is the same for both. An engine reads and counts the text, and knows
where the rows of the output layer are: the loop trains on those that this process owns.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from tqdm import tqdm

from embedder.arrays import Array
from embedder.cache import Cache
from embedder.config import Config
from embedder.corpus import read_text
from embedder.examples import Examples, prepare_examples
from embedder.losses import Loss, make_loss
from embedder.network import Parameters
from embedder.phrases import PhraseJoiner, Phrases
from embedder.sharing import SharedCorpus, share_corpus
from embedder.vocabulary import EncodedCorpus, Vocabulary, encode_corpus


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

    def own(self, arrays: dict[str, Array]) -> dict[str, Array]:
        """Keep this process's rows of the output layer, giving others theirs.

        Parameters
        ----------
        arrays
            By the names of `Parameters` and `embedder.optimizer.Optimizer.state`; what belongs to
            other layers stays whole.
        """

    def whole(self, arrays: dict[str, Array]) -> dict[str, Array]:
        """Undo `own`."""

    def recover(self, lost: WorkerLost, step: int) -> None:
        """Make `examples` and the rest possible again, to go on from a step."""

    def figures(self) -> dict[str, Any]:
        """Return what the model's metadata should tell of this engine, if anything."""


class LocalEngine:
    """One process on this machine.

    Parameters
    ----------
    config
        The run.
    cache
        Where the corpus as ids and the counts are looked for, and kept.
    """

    processes = 1

    def __init__(self, config: Config, cache: Cache | None = None) -> None:
        from embedder.kernels.threads import available_threads

        self._config = config
        self._cache = cache
        self.threads = config.training.threads or available_threads()
        self.phrases = Phrases()

    def read(self, work: Path, quiet: bool) -> tuple[Vocabulary, int]:
        """See `Engine`."""
        config = self._config
        self._work = work
        self._shared: SharedCorpus | None = None
        with reading_bar(quiet) as bar:

            def encode(folder: Path) -> tuple[Vocabulary, EncodedCorpus, Phrases]:
                join = PhraseJoiner(config.corpus, config.training.memory_limit)
                blocks = read_text(config.corpus, bar.update)
                return *encode_corpus(blocks, config.vocabulary, folder, join), join.phrases

            if self._cache is not None:
                self._shared = share_corpus(self._cache, config, encode)
            found = self._shared.read() if self._shared is not None else encode(work)
        self._vocabulary, self._corpus, self.phrases = found
        return self._vocabulary, self._corpus.tokens

    def examples(self) -> Examples:
        """See `Engine`."""
        return prepare_examples(
            self._config,
            self._vocabulary,
            self._corpus,
            self.threads,
            self._work,
            self._shared,
            self.phrases.join_file,
        )

    def loss(self, parameters: Parameters, batch_size: int) -> Loss:
        """See `Engine`."""
        counts, seed = self._vocabulary.counts, self._config.training.seed
        return make_loss(self._config.loss, counts, parameters, batch_size, self.threads, seed)

    def own(self, arrays: dict[str, Array]) -> dict[str, Array]:
        """See `Engine`; all are."""
        return arrays

    def whole(self, arrays: dict[str, Array]) -> dict[str, Array]:
        """See `Engine`."""
        return arrays

    def recover(self, lost: WorkerLost, step: int) -> None:
        """See `Engine`; nothing is lost but with this process."""
        raise lost

    def figures(self) -> dict[str, Any]:
        """See `Engine`."""
        return {}


@contextmanager
def reading_bar(quiet: bool) -> "Iterator[tqdm[Any]]":
    """Show how many bytes are read."""
    bar: tqdm[Any] = tqdm(
        desc="reading", unit="B", unit_scale=True, disable=quiet or None, leave=False
    )
    with bar:
        yield bar


@contextmanager
def open_engine(config: Config, cache: Cache | None = None) -> Iterator[Engine]:
    """Make the engine that the configuration names.

    Parameters
    ----------
    config
        The run.
    cache
        As for `LocalEngine`; a cluster has none.
    """
    if config.training.engine == "local":
        yield LocalEngine(config, cache)
        return
    from embedder.distributed.engine import RayEngine

    engine = RayEngine(config)
    try:
        yield engine
    finally:
        engine.close()
