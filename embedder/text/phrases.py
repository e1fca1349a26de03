"""Find pairs of words that belong together and join each pair into one word.

A pair a b that occurs more often than the counts of its words would suggest is a phrase (Mikolov et
al. 2013, section 4). With counts n, m = `min_count`, N the number of distinct words and pairs, and
p the shares of all tokens, its score is:

    original   (n_ab − m) N / (n_a n_b)            Mikolov et al. 2013, (6), scaled as in gensim
    npmi       ln(p_ab / (p_a p_b)) / −ln p_ab     Bouma 2009; for n_ab ≥ m

Connectors such as "of" may occur between the two words; they never begin or end a phrase. Each pass
joins pairs of the words produced by the previous pass, so two passes find phrases of up to four
words. The text is read from disk as word numbers. To bound memory, pairs are written to files by
their hashes, and counted one file at a time, so that time grows with the text and not with its
square.
"""

import contextlib
import os
import tempfile
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from embedder.arrays import Array
from embedder.config import Config
from embedder.config_sections.text import CorpusConfig, Normalisation, PhrasesConfig
from embedder.errors import RunError
from embedder.storage import read_utf8, write_atomically
from embedder.text.corpus import read_text
from embedder.text.normalisation import normalise
from embedder.text.vocabulary import WordCounts, count_words, encoded_words, map_numbers

if TYPE_CHECKING:
    from embedder.kernels.phrases import Triples

_PAIRS_PER_PARTITION = 1 << 25
_BYTES_PER_PAIR = 50
_IDS_PER_PIECE = 1 << 20
_MAX_PARTITIONS = 512
"""Files open at a time: enough for 17 billion tokens with the default memory."""
_HEADER = "pass\tscore\tcount\tphrase\twords"


class Phrase(NamedTuple):
    """A phrase to join.

    ``words``
        Its two words, with any connectors between them.
    ``joined``
        The word that replaces them.
    ``score``, ``times``
        Its score and count in the text it was learned from.
    """

    words: tuple[str, ...]
    joined: str
    score: float
    times: int


class Phrases:
    """The phrases of each pass, highest score first.

    Parameters
    ----------
    passes
        The phrases of the first pass, of the second, …; by default none, which joins nothing.

    Examples
    --------
    >>> learned = Phrases([[Phrase(("new", "york"), "new_york", 20.0, 9)]])
    >>> learned.join(["in", "new", "york"])
    ['in', 'new_york']
    """

    def __init__(self, passes: Sequence[Sequence[Phrase]] = ()) -> None:
        self.passes = [list(phrases) for phrases in passes]

    def join(self, sentence: Sequence[str]) -> list[str]:
        """Return a sentence's words with its phrases joined, exactly as in `join_file`."""
        words = list(sentence)
        for table, connectors in self._tables:
            words = _join_sentence(words, table, connectors)
        return words

    @cached_property
    def _tables(self) -> list[tuple[dict[tuple[str, ...], str], set[str]]]:
        return [
            (
                {phrase.words: phrase.joined for phrase in phrases},
                {word for phrase in phrases for word in phrase.words[1:-1]},
            )
            for phrases in self.passes
        ]

    def join_file(self, path: Path, words: WordCounts) -> WordCounts:
        """Join the phrases in a file of word numbers; return its words, followed by the phrases.

        Parameters
        ----------
        path
            A file written by `embedder.text.vocabulary.count_words`; modified in place.
        words
            The words of the file.
        """
        for phrases in self.passes:
            words = _join_in_file(path, words, phrases)
        return words

    def save(self, path: Path) -> None:
        """Write a TSV with a header: pass, score, count, phrase, and a column for each word."""
        lines = [_HEADER]
        for number, phrases in enumerate(self.passes, start=1):
            for words, joined, score, count in phrases:
                lines.append(f"{number}\t{score:.9g}\t{count}\t{joined}\t" + "\t".join(words))
        write_atomically(path, ("\n".join(lines) + "\n").encode())

    @classmethod
    def load(cls, path: str | Path, form: Normalisation = "none") -> "Phrases":
        """Read a file written by `save`, in the normal form of the text whose phrases are joined.

        Raises
        ------
        RunError
            If the file is missing or damaged; the message states the line.
        """
        missing = f"{path}: no such file; create it with: embedder phrases CONFIG --out {path}"
        text = read_utf8(Path(path), RunError, missing)
        header, *lines = text.split("\n")
        if header.rstrip("\r") != _HEADER:
            raise RunError(f"{path}, line 1: expected the header that `embedder phrases` writes.")
        passes: list[list[Phrase]] = []
        for number, line in enumerate(lines, start=2):
            if not line.strip():
                continue
            try:
                which, score, count, joined, *words = normalise(line, form).rstrip("\r").split("\t")
                phrase = Phrase(tuple(words), joined, float(score), int(count))
                complete = len(words) >= 2 and joined and all(words)
                if not complete or int(which) - len(passes) not in (0, 1):
                    raise ValueError
            except ValueError:
                raise RunError(
                    f"{path}, line {number}: expected 'pass<TAB>score<TAB>count<TAB>phrase<TAB>"
                    f"word<TAB>word…' with passes in order, got {line!r}."
                ) from None
            if int(which) > len(passes):
                passes.append([])
            passes[-1].append(phrase)
        return cls(passes)


def _join_sentence(
    sentence: list[str], table: dict[tuple[str, ...], str], connectors: set[str]
) -> list[str]:
    joined: list[str] = []
    waiting: list[str] = []
    for word in sentence:
        if word in connectors:
            (waiting if waiting else joined).append(word)
            continue
        phrase = table.get((*waiting, word)) if waiting else None
        if phrase is not None:
            joined.append(phrase)
            waiting = []
        else:
            joined += waiting
            waiting = [word]
    return joined + waiting


class PhraseJoiner:
    """Joins the phrases set by `corpus.phrases` in a file of word numbers.

    Afterwards, its attribute `phrases` has the phrases that were joined.

    Parameters
    ----------
    config
        The corpus section.
    memory_limit
        Memory for counts of pairs in bytes; by default about 1.5 GB.

    Raises
    ------
    RunError
        If `corpus.phrases.file` is missing or damaged.
    """

    def __init__(self, config: CorpusConfig, memory_limit: int | None = None) -> None:
        form = config.normalisation
        connectors = [normalise(word, form) for word in config.phrases.connectors]
        self._config = config.phrases.model_copy(update={"connectors": connectors})
        self._pairs = _PAIRS_PER_PARTITION
        if memory_limit is not None:
            self._pairs = max(1 << 16, min(self._pairs, memory_limit // (2 * _BYTES_PER_PAIR)))
        file = self._config.file
        self.phrases = Phrases() if file is None else Phrases.load(Path(file), form)

    def __call__(self, path: Path, words: WordCounts) -> WordCounts:
        """Join phrases, learning them first unless a file lists them; see `Phrases.join_file`."""
        if self._config.file is not None:
            return self.phrases.join_file(path, words)
        found = []
        for _ in range(self._config.passes):
            found.append(find_phrases(path, words, self._config, self._pairs))
            words = _join_in_file(path, words, found[-1])
        self.phrases = Phrases(found)
        return words


def learn_phrases(config: Config, progress: Callable[[int], object] | None = None) -> Phrases:
    """Learn the phrases of a run's text, in one pass if the configuration sets none.

    Parameters
    ----------
    config
        The configuration of the run.
    progress
        Called with the number of bytes in each block that is read.

    Raises
    ------
    EmbedderError
        If the text cannot be read.
    """
    from embedder.kernels.compiler import require_compiler

    require_compiler()
    phrases = config.corpus.phrases
    if not phrases.used:
        phrases = phrases.model_copy(update={"passes": 1})
    corpus = config.corpus.model_copy(update={"phrases": phrases})
    join = PhraseJoiner(corpus, config.training.memory_limit)
    if phrases.file is None:
        with tempfile.TemporaryDirectory(prefix="embedder-") as folder:
            count_words(read_text(corpus, progress), Path(folder) / "numbers.int32", join)
    return join.phrases


def find_phrases(
    path: Path,
    words: WordCounts,
    config: PhrasesConfig,
    pairs_per_partition: int = _PAIRS_PER_PARTITION,
) -> list[Phrase]:
    """Return the pairs of words that are phrases, highest score first.

    Parameters
    ----------
    path, words
        The file that `embedder.text.vocabulary.count_words` wrote, and the words it returned.
    config
        Scoring, threshold, minimum count and connectors.
    pairs_per_partition
        Pairs counted at a time.
    """
    ids = map_numbers(path)
    names = words.words()
    is_connector = np.zeros(len(names), np.bool_)
    connectors = set(config.connectors)
    is_connector[[i for i, name in enumerate(names) if name in connectors]] = True
    partitions = min(max(1, -(-len(ids) // pairs_per_partition)), _MAX_PARTITIONS)
    distinct = int((words.counts[~is_connector] > 0).sum())
    candidates: list[tuple[Array, Array]] = []
    with tempfile.TemporaryDirectory(prefix="pairs-", dir=path.parent) as folder:
        paths = [Path(folder) / f"{number}.int32" for number in range(partitions)]
        sequences = _write_pairs(ids, is_connector, paths)
        for own in paths:
            table = _count_pairs(map_numbers(own).reshape(-1, 3))
            found = int(table.used[0])
            distinct += found
            frequent = np.flatnonzero(table.values[:found] >= config.min_count)
            candidates.append((table.keys[frequent], table.values[frequent]))
            own.unlink()
    keys = np.concatenate([own for own, _ in candidates])
    counts = np.concatenate([own for _, own in candidates])
    scores = _scores(config, words.counts, distinct, keys, counts)
    chosen = np.flatnonzero(scores > config.threshold)
    phrases = []
    for i in chosen:
        first, between, second = keys[i].tolist()
        inner: list[str] = []
        while between:
            between, _, word = sequences.keys[between - 1].tolist()
            inner.append(names[word])
        own_words = (names[first], *reversed(inner), names[second])
        joined = config.joiner.join(own_words)
        phrases.append(Phrase(own_words, joined, float(scores[i]), int(counts[i])))
    return sorted(phrases, key=lambda phrase: (-phrase.score, -phrase.times, phrase.words))


def _write_pairs(ids: Array, is_connector: Array, paths: Sequence[Path]) -> "Triples":
    """Write the pairs of adjacent words to files, each pair to its own; return the sequences."""
    from embedder.kernels.phrases import grown, list_pairs, new_triples

    sequences = new_triples()
    state = np.array([0, -1, 0])
    pairs, owners = np.empty((_IDS_PER_PIECE, 3), np.int32), np.empty(_IDS_PER_PIECE, np.int64)
    parts = np.arange(len(paths) + 1)
    with contextlib.ExitStack() as stack:
        files = [stack.enter_context(path.open("wb")) for path in paths]
        for start in range(0, len(ids), _IDS_PER_PIECE):
            piece = np.asarray(ids[start : start + _IDS_PER_PIECE])
            state[0] = 0
            while state[0] < len(piece):
                found = list_pairs(piece, is_connector, len(paths), state, sequences, pairs, owners)
                order = np.argsort(owners[:found], kind="stable")
                cuts = np.searchsorted(owners[order], parts)
                for file, low, high in zip(files, cuts[:-1], cuts[1:], strict=True):
                    file.write(pairs[order[low:high]].data)
                if state[0] < len(piece):
                    sequences = grown(sequences)
    return sequences


def _count_pairs(pairs: Array) -> "Triples":
    """Return the distinct ones of pairs (n, 3), with their counts."""
    from embedder.kernels.phrases import count_triples, grown, new_triples

    table = new_triples()
    counted = 0
    while (counted := count_triples(pairs, counted, table)) < len(pairs):
        table = grown(table)
    return table


def _scores(
    config: PhrasesConfig, word_counts: Array, distinct: int, keys: Array, counts: Array
) -> Array:
    first, second = word_counts[keys[:, 0]].astype(float), word_counts[keys[:, 2]].astype(float)
    if config.scoring == "original":
        return np.asarray((counts - config.min_count) / first / second * distinct)
    tokens = float(word_counts.sum())
    share = counts / tokens
    with np.errstate(divide="ignore", invalid="ignore"):  # if the text is one pair, its share is 1
        found = np.log(share / (first / tokens * (second / tokens))) / -np.log(share)
    return np.where(share < 1, found, -1.0)


def _join_in_file(path: Path, words: WordCounts, phrases: Sequence[Phrase]) -> WordCounts:
    from embedder.kernels.phrases import add_triples, count_ids, join_pairs, new_triples, place_of

    names = words.words()
    # The joined form of a phrase may already occur in the text.
    wanted = {word for phrase in phrases for word in (*phrase.words, phrase.joined)}
    numbers = {name: i for i, name in enumerate(names) if name in wanted}
    new: list[str] = []
    keys, values = [], []
    room = 1 << max(12, (2 * sum(len(phrase.words) for phrase in phrases)).bit_length())
    sequences, table = new_triples(room), new_triples(room)
    is_connector = np.zeros(len(names), np.bool_)
    for phrase in phrases:
        if not all(word in numbers for word in phrase.words):
            continue  # a word of the phrase does not occur in this text
        first, *inner, second = (numbers[word] for word in phrase.words)
        between = 0
        for word in inner:
            is_connector[word] = True
            add_triples(np.array([[between, 0, word]], np.int32), sequences)
            between = int(place_of(sequences, between, 0, word)) + 1
        if phrase.joined not in numbers:
            numbers[phrase.joined] = len(names) + len(new)
            new.append(phrase.joined)
        keys.append((first, between, second))
        values.append(numbers[phrase.joined])
    add_triples(np.array(keys, np.int32).reshape(-1, 3), table)
    table.values[: len(values)] = values
    ids = map_numbers(path)
    length = join_pairs(ids, is_connector, sequences, table)
    counts = np.zeros(len(names) + len(new), np.int64)
    count_ids(ids[:length], counts)
    del ids
    os.truncate(path, 4 * length)
    encoded = encoded_words(new)
    starts = words.starts[-1] + np.cumsum([len(name) for name in encoded], dtype=np.int64)
    letters = np.concatenate([words.letters, np.frombuffer(b"".join(encoded), np.uint8)])
    return WordCounts(letters, np.concatenate([words.starts, starts]), counts)
