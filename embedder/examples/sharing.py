"""An encoded corpus and its counts, shared by runs through the cache."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from embedder.config import Config
from embedder.examples.cache import Cache, address
from embedder.examples.cells import Cooccurrences
from embedder.text.listing import find_sources
from embedder.text.phrases import Phrases
from embedder.text.sources import Source
from embedder.text.vocabulary import EncodedCorpus, Vocabulary

_VOCABULARY, _IDS, _TOKENS, _OFFSETS = "vocabulary.tsv", "ids.int32", "tokens.txt", "offsets.npy"
_PHRASES = "phrases.tsv"


class SharedCorpus(NamedTuple):
    """A corpus in the cache.

    ``cache``
        The cache that contains it.
    ``folder``
        Its entry.
    """

    cache: Cache
    folder: Path

    def read(self) -> tuple[Vocabulary, EncodedCorpus, Phrases]:
        """Return the vocabulary, the corpus, and the phrases that were joined.

        The corpus is memory-mapped copy-on-write.
        """
        ids = np.memmap(self.folder / _IDS, np.int32, mode="c")
        tokens = int((self.folder / _TOKENS).read_text())
        path = self.folder / _PHRASES
        phrases = Phrases.load(path) if path.exists() else Phrases()
        return Vocabulary.load(self.folder / _VOCABULARY), EncodedCorpus(ids, tokens), phrases

    def counts(
        self, config: Config, validation: bool, count: Callable[[Path], Cooccurrences]
    ) -> Cooccurrences:
        """Return the corpus's counts from the cache; count first if they are not there.

        Parameters
        ----------
        config
            The run.
        validation
            Whether to return the counts of the held-out part.
        count
            Counts, and writes its files to the folder passed to it.
        """
        settings = {
            "corpus": self.folder.name,
            "examples": config.examples.model_dump(
                mode="json", exclude={"contexts", "context_classes"}
            ),
            "subsample": config.vocabulary.subsample,
            "seed": config.training.seed,
            "held out": config.validation.fraction,
            "validation": validation,
        }

        def make(folder: Path) -> None:
            np.save(folder / _OFFSETS, count(folder).offsets)
            for sample in folder.glob("*.sample"):  # needed for counting only
                sample.unlink()

        name = address("counts", settings)
        assert name is not None
        entry = self.cache.entry(name, make)
        (columns,), (weights,) = entry.glob("*.columns"), entry.glob("*.weights")
        return Cooccurrences(
            np.load(entry / _OFFSETS),
            np.asarray(np.memmap(columns, np.int32, mode="c")),
            np.asarray(np.memmap(weights, np.float32, mode="c")),
        )


def share_corpus(
    cache: Cache,
    config: Config,
    encode: Callable[[Path], tuple[Vocabulary, EncodedCorpus, Phrases]],
) -> SharedCorpus | None:
    """Return a run's corpus from the cache, encoded first if necessary; None for standard input.

    Parameters
    ----------
    cache
        The cache.
    config
        The run; the settings that determine the ids, and the files' bytes, determine the entry.
    encode
        Reads and encodes the corpus, and writes its files to the folder passed to it.

    Raises
    ------
    EmbedderError
        As raised by `encode`, or if the cache cannot be written.
    """
    vocabulary = config.vocabulary.model_dump(mode="json", exclude={"subsample"})
    corpus = config.corpus.model_dump(mode="json", exclude={"files", "unreadable"})
    sources = find_sources(config.corpus.files, config.corpus.unreadable)
    if config.corpus.phrases.file is not None:
        sources.append(Source(config.corpus.phrases.file, Path(config.corpus.phrases.file)))
    name = address("corpus", {"corpus": corpus, "vocabulary": vocabulary}, sources)
    if name is None:
        return None

    def make(folder: Path) -> None:
        words, ids, phrases = encode(folder)
        words.save(folder / _VOCABULARY)
        if phrases.passes:
            phrases.save(folder / _PHRASES)
        (folder / _TOKENS).write_text(str(ids.tokens))

    return SharedCorpus(cache, cache.entry(name, make))
