"""The engine that trains in this process."""

import shutil
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

from embedder.arrays import Array
from embedder.config import Config
from embedder.examples.cache import Cache
from embedder.examples.prepare import Examples, prepare_examples
from embedder.examples.sharing import SharedCorpus, share_corpus
from embedder.runs.progress import reading_bar
from embedder.text.corpus import read_text
from embedder.text.phrases import PhraseJoiner, Phrases
from embedder.text.vocabulary import EncodedCorpus, Vocabulary, encode_corpus
from embedder.training.engine import WorkerLost
from embedder.training.row_fit import fit_here

_EXAMPLES = "examples"
TextReader = Callable[[Callable[[int], object]], Iterable[bytes]]


class LocalEngine:
    """One process on this machine.

    Parameters
    ----------
    config
        The run.
    cache
        The cache to look up and store the encoded corpus and the counts.
    text
        If the text is not in files: returns blocks as `embedder.text.corpus.read_text` yields them,
        given a function to report progress to.
    """

    fit_rows = staticmethod(fit_here)
    keeps_fitted = False

    def __init__(
        self, config: Config, cache: Cache | None = None, text: TextReader | None = None
    ) -> None:
        from embedder.kernels.threads import available_threads

        self._config = config
        self._cache = cache
        self._text = text
        self.corpus: EncodedCorpus | None = None  # once it is read
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
                read = self._text or partial(read_text, config.corpus)
                blocks = read(bar.update)
                return *encode_corpus(blocks, config.vocabulary, folder, join), join.phrases

            if self._cache is not None:
                self._shared = share_corpus(self._cache, config, encode)
            found = self._shared.read() if self._shared is not None else encode(work)
        self._vocabulary, self.corpus, self.phrases = found
        return self._vocabulary, self.corpus.tokens

    def examples(self, saved: Array | None = None) -> Examples:
        """See `Engine`."""
        assert self.corpus is not None
        folder = self._work / _EXAMPLES
        folder.mkdir(exist_ok=True)
        return prepare_examples(
            self._config,
            self._vocabulary,
            self.corpus,
            folder,
            self._shared,
            self.phrases.join_file,
            saved,
        )

    def discard_examples(self) -> None:
        """Remove the files of the examples, which take most of the disk."""
        shutil.rmtree(self._work / _EXAMPLES, ignore_errors=True)

    def recover(self, lost: WorkerLost, step: int) -> None:
        """See `Engine`; there are no other machines to lose."""
        raise lost

    def statistics(self) -> dict[str, Any]:
        """See `Engine`."""
        return {}


class EncodedTextEngine(LocalEngine):
    """One process that trains on text which is encoded already.

    Parameters
    ----------
    config
        The run.
    vocabulary
        The words of the ids.
    phrases
        Those that were joined in the text.
    encode
        Returns the text, given a folder for its file.
    """

    def __init__(
        self,
        config: Config,
        vocabulary: Vocabulary,
        phrases: Phrases,
        encode: Callable[[Path], EncodedCorpus],
    ) -> None:
        super().__init__(config)
        self._vocabulary = vocabulary
        self.phrases = phrases
        self._encode = encode

    def read(self, work: Path, quiet: bool) -> tuple[Vocabulary, int]:
        """See `Engine`."""
        self._work = work
        self._shared = None
        self.corpus = self._encode(work)
        return self._vocabulary, self.corpus.tokens
