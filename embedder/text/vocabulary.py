"""Vocabularies (count, prune, index, save) and the corpus encoded as word ids."""

import difflib
import hashlib
import os
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from embedder.arrays import Array
from embedder.config_sections.text import Normalisation, VocabularyConfig
from embedder.errors import RunError, UnknownWordError, VocabularyError
from embedder.storage import read_utf8, write_atomically
from embedder.text.normalisation import (
    SPACE_IN_WORD,
    describe_difference,
    find_in_other_form,
    normalise,
)

_THRESHOLDS = (10_000_000, 1e-3), (60_000_000, 3e-4), (float("inf"), 1e-4)
"""Below so many occurrences of words, this threshold is best, on books."""
MIN_VOCABULARY = 2
_HEADER = "word\tcount\n"
_MAX_DIGITS = 18
"""Maximum digits of a count, so that it fits an int64."""
_IDS_PER_READ = 1 << 20
_SHOWN = 40


class WordIds(dict[str, int]):
    """The id of every word; one that is not there is looked up in a normal form as well."""

    def __init__(self, words: Sequence[str], form: Normalisation) -> None:
        super().__init__(zip(words, range(len(words)), strict=True))
        self._form = form

    def __missing__(self, word: str) -> int:
        found: int | None = super().get(normalise(word, self._form))
        if found is None:
            raise KeyError(word)
        return found

    def __contains__(self, word: object) -> bool:
        return isinstance(word, str) and self.get(word) is not None

    def get(self, word: str, default: Any = None) -> Any:
        """Return a word's id, or the default for an unknown word."""
        found = super().get(word)
        return super().get(normalise(word, self._form), default) if found is None else found


class Vocabulary:
    """An ordered set of words with counts; a word's id is its index.

    Parameters
    ----------
    words
        Distinct words, most frequent first; words with equal counts are in code point order.
    counts : (V,) int64
        How often each word occurs in the corpus.
    normalisation
        The Unicode normal form of the text that the words are from, in which other words are looked
        up; ``none`` for words from elsewhere.
    """

    def __init__(
        self, words: list[str], counts: Array, normalisation: Normalisation = "none"
    ) -> None:
        self.words = words
        self.counts = counts
        self.normalisation = normalisation

    def __len__(self) -> int:
        return len(self.words)

    @cached_property
    def ids(self) -> dict[str, int]:
        """The id of every word; words are found in other normal forms of Unicode, too."""
        if self.normalisation == "none":
            return {word: i for i, word in enumerate(self.words)}
        return WordIds(self.words, self.normalisation)

    def id_of(self, word: str) -> int:
        """Return a word's id.

        Raises
        ------
        UnknownWordError
            For an unknown word; the message says which known word differs only in case, Unicode
            form or invisible characters, or suggests similar spellings.
        """
        found = self.ids.get(word)
        if found is None:
            raise UnknownWordError(f"'{word}' is not in the vocabulary{self._suggestion(word)}.")
        return found

    def _suggestion(self, word: str) -> str:
        if word and (known := self._in_other_form(word)) is not None:
            return f"; '{known}' is, and differs only in {describe_difference(word, known)}"
        near = difflib.get_close_matches(word.lower(), self.words, n=3, cutoff=0.7)
        return f"; similar spellings: {', '.join(near)}" if near else f" of {len(self):,} words"

    def _in_other_form(self, word: str) -> str | None:
        if word.lower() in self.ids:
            return self.words[self.ids[word.lower()]]
        return find_in_other_form(word, self.words)

    def keep_probabilities(self, threshold: float | Literal["auto"]) -> Array:
        """Return the probability of keeping an occurrence of each word, (V,) float64.

        The rule of Mikolov et al. 2013 (section 2.3) in the form of word2vec.c: min(1,
        (√(f/t) + 1) · t/f), where f is the word's share of the corpus and t the threshold. A
        threshold of 0 keeps everything; `auto` depends on the number of occurrences.
        """
        tokens = int(self.counts.sum())
        if threshold == "auto":
            threshold = automatic_threshold(tokens)
        return keep_probabilities(self.counts, tokens, threshold)

    def save(self, path: Path) -> None:
        """Write a TSV with a header: word, count."""
        lines = (f"{word}\t{count}\n" for word, count in zip(self.words, self.counts, strict=True))
        write_atomically(path, (_HEADER + "".join(lines)).encode())

    def digest(self) -> str:
        """Return the SHA-256 of the words and counts."""
        found = hashlib.sha256("\n".join(self.words).encode())
        found.update(np.ascontiguousarray(self.counts, "<i8").data)
        return found.hexdigest()

    @classmethod
    def load(cls, path: Path, normalisation: Normalisation = "none") -> "Vocabulary":
        """Read a file written by `save`; the normal form of its text is in the configuration.

        Raises
        ------
        RunError
            For a missing or damaged file; the message states the line.
        """
        text = read_utf8(path, RunError, f"{path}: no such file; is this a run folder?")
        if not text.startswith(_HEADER):
            raise RunError(f"{path}, line 1: expected the header 'word<TAB>count'.")
        words: list[str] = []
        counts: list[int] = []
        for number, line in enumerate(text[len(_HEADER) :].split("\n")[:-1], start=2):
            word, tab, count = line.partition("\t")
            known = count.isdecimal() and count.isascii() and len(count) <= _MAX_DIGITS
            if not (word and tab and known):
                raise RunError(f"{path}, line {number}: expected 'word<TAB>count', got {line!r}.")
            words.append(word)
            counts.append(int(count))
        if not text.endswith("\n") or len(set(words)) != len(words):
            raise RunError(f"{path}: truncated, or a word occurs twice.")
        return cls(words, np.array(counts, np.int64), normalisation)


def automatic_threshold(tokens: int) -> float:
    """Return the threshold of subsampling for a text with so many occurrences of words."""
    return next(threshold for most, threshold in _THRESHOLDS if tokens < most)


def keep_probabilities(counts: Array, tokens: int, threshold: float) -> Array:
    """Return the probability of keeping an occurrence of each word, (n,) float64.

    Parameters
    ----------
    counts : (n,) int64
        Positive.
    tokens
        The number of words in the text.
    threshold
        See `Vocabulary.keep_probabilities`.
    """
    if threshold == 0.0:
        return np.ones(len(counts))
    relative = counts / (tokens * threshold)
    return np.asarray(np.minimum(1.0, (np.sqrt(relative) + 1.0) / relative))


class WordCounts(NamedTuple):
    """The n distinct words of a text, numbered from 0, with their counts.

    ``letters (bytes,) uint8``
        The concatenated words in UTF-8, with `SPACE_IN_WORD` for spaces.
    ``starts (n + 1,) int64``
        Word i is ``letters[starts[i]:starts[i + 1]]``.
    ``counts (n,) int64``
    """

    letters: Array
    starts: Array
    counts: Array

    def words(self) -> list[str]:
        """Return the words ordered by number."""
        return self.words_at(range(len(self.counts)))

    def words_at(self, numbers: Iterable[int]) -> list[str]:
        """Return the words of some numbers."""
        text, starts = self.letters.tobytes(), self.starts.tolist()
        words = (text[starts[i] : starts[i + 1]].decode("utf-8") for i in numbers)
        return [word.replace(SPACE_IN_WORD, " ") for word in words]


def encoded_words(words: Iterable[str]) -> list[bytes]:
    """Return words as they are in a text: UTF-8, with `SPACE_IN_WORD` for spaces."""
    return [word.replace(" ", SPACE_IN_WORD).encode() for word in words]


Join = Callable[[Path, WordCounts], WordCounts]
"""Joins words of a file from `count_words` in place and returns the words it then contains."""


class EncodedCorpus(NamedTuple):
    """The corpus as ids in a memory-mapped file.

    ``ids (n,) int32``
        Vocabulary ids in reading order, −1 where a sentence ends; words outside the vocabulary are
        dropped.
    ``tokens``
        Number of words read, including those outside the vocabulary.
    """

    ids: Array
    tokens: int


def encode_corpus(
    blocks: Iterable[bytes], config: VocabularyConfig, folder: Path, join: Join | None = None
) -> tuple[Vocabulary, EncodedCorpus]:
    """Count the words, choose the vocabulary and write the corpus as ids, reading the text once.

    Memory grows with the number of distinct words (about 40 bytes each), not with the corpus.

    Parameters
    ----------
    blocks
        Words between ASCII whitespace, as `embedder.text.corpus.read_text` yields them; with
        `SPACE_IN_WORD` for spaces within words.
    config
        `min_count`, `max_size` and `unknown`.
    folder
        Folder for the file of ids.
    join
        Joins phrases first.

    Raises
    ------
    VocabularyError
        If the text has no words, or fewer than two words remain.
    """
    path = folder / "ids.int32"
    words = count_words(blocks, path, join)
    kept = _choose(words, config)
    vocabulary = _vocabulary_of(kept)
    others = -1 if config.unknown is None else vocabulary.ids[config.unknown]
    new_ids = np.full(len(words.counts), others, np.int32)
    for new, (_, _, old) in enumerate(kept):
        if old >= 0:
            new_ids[old] = new
    return vocabulary, EncodedCorpus(renumber_file(path, new_ids), int(words.counts.sum()))


def choose_vocabulary(words: WordCounts, config: VocabularyConfig) -> Vocabulary:
    """Return the vocabulary of a text's words; see `encode_corpus`."""
    return _vocabulary_of(_choose(words, config))


def _vocabulary_of(kept: list[tuple[str, int, int]]) -> Vocabulary:
    return Vocabulary(
        [word for word, _, _ in kept], np.array([count for _, count, _ in kept], np.int64)
    )


def _with_unknown(
    kept: list[tuple[str, int, int]], symbol: str, tokens: int
) -> list[tuple[str, int, int]]:
    """Add the symbol for all other words, sorted by count; the text may contain it already."""
    own = next((old for word, _, old in kept if word == symbol), -1)
    kept = [entry for entry in kept if entry[0] != symbol]
    count = tokens - sum(count for _, count, _ in kept)
    return sorted([*kept, (symbol, max(count, 1), own)], key=lambda entry: (-entry[1], entry[0]))


def encode_text(
    blocks: Iterable[bytes],
    vocabulary: Vocabulary,
    unknown: str | None,
    folder: Path,
    name: str = "text",
    join: Join | None = None,
) -> tuple[EncodedCorpus, int]:
    """Encode more text with an existing vocabulary; return it and its number of unknown tokens.

    Parameters
    ----------
    blocks
        As for `encode_corpus`.
    vocabulary
        The vocabulary of a trained network.
    unknown
        The word that represents words outside the vocabulary; None drops them.
    folder
        Folder for the file of ids.
    name
        Name of that file, without its extension.
    join
        Joins phrases first.

    Raises
    ------
    VocabularyError
        If the text has no words, or none of its words is in the vocabulary.
    """
    path = folder / f"{name}.int32"
    words = count_words(blocks, path, join)
    new_ids = ids_in(vocabulary, words, unknown)
    known = ids_in(vocabulary, words, None) >= 0
    if not (new_ids >= 0).any():
        raise VocabularyError("The text has no words in the vocabulary.")
    corpus = EncodedCorpus(renumber_file(path, new_ids), int(words.counts.sum()))
    return corpus, int(words.counts[~known].sum())


def extend_vocabulary(
    blocks: Iterable[bytes],
    vocabulary: Vocabulary,
    config: VocabularyConfig,
    folder: Path,
    join: Join | None = None,
) -> tuple[Vocabulary, EncodedCorpus]:
    """Encode more text with an existing vocabulary and the words that the text brings.

    Parameters
    ----------
    blocks
        As for `encode_corpus`.
    vocabulary
        The vocabulary of a trained network.
    config
        `min_count`, for new words, and `unknown`.
    folder
        Folder for the file of ids.
    join
        Joins phrases first.

    Returns
    -------
    Vocabulary
        The V known words in their order, then the new ones; with their counts in this text only.
    EncodedCorpus

    Raises
    ------
    VocabularyError
        If the text has no words, or none to learn from.
    """
    path = folder / "ids.int32"
    words = count_words(blocks, path, join)
    names = words.words()
    ids = ids_in(vocabulary, words, None)
    frequent = np.flatnonzero((ids < 0) & (words.counts >= config.min_count))
    new = sorted(frequent.tolist(), key=lambda i: (-words.counts[i], names[i]))
    V = len(vocabulary)
    ids[new] = np.arange(V, V + len(new))
    if not (ids >= 0).any():
        raise VocabularyError(
            "The text has no words of the vocabulary, and none that occurs "
            f"{config.min_count} times; use more text, or lower vocabulary.min_count."
        )
    if config.unknown in vocabulary.ids:
        ids[ids < 0] = vocabulary.ids[config.unknown]
    known = ids >= 0
    counts = np.zeros(V + len(new), np.int64)
    np.add.at(counts, ids[known], words.counts[known])
    corpus = EncodedCorpus(renumber_file(path, ids), int(words.counts.sum()))
    return Vocabulary([*vocabulary.words, *(names[i] for i in new)], counts), corpus


def ids_in(vocabulary: Vocabulary, words: WordCounts, unknown: str | None) -> Array:
    """Return the id of each word, (n,) int32; unknown words get the id of `unknown`, or −1."""
    others = -1 if unknown is None else vocabulary.ids.get(unknown, -1)
    return np.array([vocabulary.ids.get(name, others) for name in words.words()], np.int32)


def count_words(blocks: Iterable[bytes], path: Path, join: Join | None = None) -> WordCounts:
    """Write a text as word numbers, in order of first occurrence, and return its words.

    Parameters
    ----------
    blocks
        As for `encode_corpus`.
    path
        Receives an int32 per word, and −1 where a sentence ends.
    join
        Joins phrases; their numbers follow those of all words.
    """
    from embedder.kernels.tokens import encode_block, grown_lexicon, new_lexicon

    lexicon = new_lexicon()
    with path.open("wb") as file:
        for block in blocks:
            text = np.frombuffer(block, np.uint8)
            ids = np.empty(len(text) + 1, np.int32)
            position = 0
            while position < len(text):
                position, written = encode_block(text, position, lexicon, ids)
                file.write(ids[:written].data)
                if position < len(text):
                    lexicon = grown_lexicon(lexicon, len(text))
    words = int(lexicon.used[0])
    starts = lexicon.starts[: words + 1]
    found = WordCounts(lexicon.letters[: starts[-1]], starts, lexicon.counts[:words])
    return found if join is None else join(path, found)


def _choose(words: WordCounts, config: VocabularyConfig) -> list[tuple[str, int, int]]:
    """Return (word, count, number) of the words to keep, in vocabulary order; number −1 if none."""
    counts = words.counts
    if len(counts) == 0:
        raise VocabularyError("The corpus has no words; use more text.")
    if len(counts) < MIN_VOCABULARY:
        raise VocabularyError(
            f"The corpus has one distinct word, {words.words()[0][:_SHOWN]!r}, but at least "
            f"{MIN_VOCABULARY} are needed; use more text, or put spaces between its words, with a "
            "segmenter for languages that have none."
        )
    numbers = np.flatnonzero(counts >= config.min_count).tolist()
    names = words.words_at(numbers)
    frequent = sorted(zip((-counts[numbers]).tolist(), names, numbers, strict=True))
    kept = frequent[: config.max_size]
    if len(kept) < MIN_VOCABULARY:
        most = int(counts.max())
        advice = (
            "raise vocabulary.max_size"
            if len(frequent) >= MIN_VOCABULARY
            else "lower vocabulary.min_count"
        )
        raise VocabularyError(
            f"The vocabulary has {len(kept)} of the corpus's {len(counts):,} distinct words with "
            f"min_count {config.min_count}, but at least {MIN_VOCABULARY} are needed; {advice} "
            f"(the most frequent word occurs {most:,} time{'s' * (most > 1)}), or use more text."
        )
    chosen = [(word, -count, i) for count, word, i in kept]
    if config.unknown is None:
        return chosen
    return _with_unknown(chosen, config.unknown, int(counts.sum()))


def renumber_file(path: Path, new_ids: Array) -> Array:
    """Replace the numbers in a file from `count_words` with ids in place; return the ids, mapped.

    `new_ids`, (n,) int32, maps a word's number to its id. Words with id −1 are dropped, and so are
    the ends of sentences that are left without words.
    """
    from embedder.kernels.tokens import SENTENCE_END, renumber

    if path.stat().st_size == 0:
        return np.empty(0, np.int32)
    ids = np.memmap(path, np.int32, mode="r+")
    kept = 0
    for start in range(0, len(ids), _IDS_PER_READ):
        previous = ids[kept - 1] if kept else SENTENCE_END
        # Safe in place, since writing never overtakes reading.
        kept += renumber(
            np.asarray(ids[start : start + _IDS_PER_READ]),
            new_ids,
            np.asarray(ids[kept : kept + _IDS_PER_READ]),
            int(previous),
        )
    ids.flush()
    del ids
    os.truncate(path, 4 * kept)
    return map_numbers(path)


def map_numbers(path: Path) -> Array:
    """Return a file of int32, memory-mapped unless it is empty."""
    if path.stat().st_size == 0:
        return np.empty(0, np.int32)
    return np.memmap(path, np.int32, mode="r+")
