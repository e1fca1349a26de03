"""A corpus as ids, and its counts, shared by runs through the cache."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from embedder.config import Config
from embedder.examples.cache import Cache, address
from embedder.examples.cooccurrence import Cooccurrences
from embedder.text.phrases import Phrases
from embedder.text.sources import Source, find_sources
from embedder.text.vocabulary import EncodedCorpus, Vocabulary

_VOCABULARY, _IDS, _TOKENS, _OFFSETS = "vocabulary.tsv", "ids.int32", "tokens.txt", "offsets.npy"
_PHRASES = "phrases.tsv"


class SharedCorpus(NamedTuple):
    """A corpus in the cache.

    ``cache``
        Where it is.
    ``folder``
        Its entry.
    """

    cache: Cache
    folder: Path

    def read(self) -> tuple[Vocabulary, EncodedCorpus, Phrases]:
        """Return the vocabulary, the corpus, and the phrases that were joined.

        The corpus is mapped; what is written to it stays in memory.
        """
        ids = np.memmap(self.folder / _IDS, np.int32, mode="c")
        tokens = int((self.folder / _TOKENS).read_text())
        path = self.folder / _PHRASES
        phrases = Phrases.load(path) if path.exists() else Phrases()
        return Vocabulary.load(self.folder / _VOCABULARY), EncodedCorpus(ids, tokens), phrases

    def counts(
        self, config: Config, validation: bool, count: Callable[[Path], Cooccurrences]
    ) -> Cooccurrences:
        """Return the corpus's counts from the cache, counted first if they are not there.

        Parameters
        ----------
        config
            The run.
        validation
            Whether those of the held-out part are wanted.
        count
            Counts, with its files in the folder that it is given.
        """
        settings = {
            "corpus": self.folder.name,
            "examples": config.examples.model_dump(mode="json"),
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
    """Find a run's corpus in the cache, or put it there; None for standard input.

    Parameters
    ----------
    cache
        Where.
    config
        The run: what of it decides the ids is part of the entry's name, with the files' bytes.
    encode
        Reads and encodes the corpus, with its files in the folder that it is given.

    Raises
    ------
    EmbedderError
        As `encode` does, or if the cache cannot be written.
    """
    vocabulary = config.vocabulary.model_dump(mode="json", exclude={"subsample"})
    corpus = config.corpus.model_dump(mode="json", exclude={"files"})
    sources = find_sources(config.corpus.files)
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
