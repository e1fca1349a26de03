"""Token ids → minibatches of windows, streamed in constant memory.

The corpus is cut into pieces of consecutive tokens. A pass reads the pieces in random order, one
group at a time, shuffles the windows of the group and cuts them into minibatches. Only one group of
`examples.shuffle_tokens` is in memory, regardless of the corpus's length.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from embedder.arrays import Array
from embedder.config import Config
from embedder.config_automatic import passes
from embedder.config_sections.network import ExamplesConfig, NetworkConfig
from embedder.errors import CorpusError
from embedder.examples.batches import Batch, one_hot
from embedder.text.corpus import read_text
from embedder.text.vocabulary import Join, Vocabulary, encode_text

_PIECES_PER_GROUP = 16
_BATCHES_PER_LIST = 16
"""Batches whose windows are listed at once, which takes less time than one by one."""
_WORDS_PER_COUNT = 1 << 20


class Windows(NamedTuple):
    """Examples from windows.

    ``contexts (n, K) int32``
        Ids of the words that form the input, −1 for none.
    ``targets (n,) int32``
        The word to predict from each.
    """

    contexts: Array
    targets: Array


def words_around(examples: ExamplesConfig) -> int:
    """Return the number of words in a full window, without its centre word."""
    return examples.window * (1 if examples.sides == "left" else 2)


def window_width(examples: ExamplesConfig, network: NetworkConfig) -> int:
    """Return K, the number of words that form one input."""
    return 1 if network.input == "word" else words_around(examples)


def vectors_per_input(examples: ExamplesConfig, network: NetworkConfig) -> int:
    """Return the number of vectors that x concatenates: K, or 1 if x is a single vector."""
    return words_around(examples) if network.input == "concat" else 1


class Split(NamedTuple):
    """The parts of a text, (n,) int32 each; None for those that do not exist."""

    training: Array
    validation: Array | None
    test: Array | None


def split_text(
    ids: Array,
    vocabulary: Vocabulary,
    config: Config,
    folder: Path,
    join: Join | None = None,
) -> Split:
    """Return the training, validation and test text as configured in section `validation`.

    Parameters
    ----------
    ids : (n,) int32
        The corpus, −1 at sentence ends.
    vocabulary
        Encodes `validation.files`.
    config
        The run.
    folder
        Folder for copies.
    join
        Joins phrases in `validation.files`.

    Raises
    ------
    CorpusError
        If a requested part would have no words.
    """
    from embedder.kernels.counts import sample_tokens

    validation = config.validation
    if validation.files:
        blocks = read_text(config.corpus.model_copy(update={"files": validation.files}))
        corpus, _ = encode_text(blocks, vocabulary, config.vocabulary.unknown, folder, join=join)
        return Split(ids, corpus.ids, None)
    if validation.split:
        return _split_by_words(ids, *validation.split)
    if validation.fraction == 0:
        return Split(ids, None, None)
    everything = np.ones(len(vocabulary))
    parts = []
    for held_out, name in ((False, "training"), (True, "validation")):
        out = np.memmap(folder / f"{name}.int32", np.int32, mode="w+", shape=len(ids))
        written = sample_tokens(
            np.asarray(ids), everything, config.training.seed, validation.fraction, held_out, out
        )
        if written == 0:
            raise CorpusError(
                f"validation.fraction {validation.fraction:g} leaves no text for {name}; "
                "change it, or use more text."
            )
        parts.append(out[:written])
    return Split(parts[0], parts[1], None)


def _split_by_words(ids: Array, training: int, validation: int) -> Split:
    """Cut a text after `training` words and again after `validation` more; the rest is the test."""
    words = 0
    cuts = []
    for start in range(0, len(ids), _WORDS_PER_COUNT):
        positions = np.flatnonzero(ids[start : start + _WORDS_PER_COUNT] >= 0)
        for wanted in (training, training + validation):
            if words < wanted <= words + len(positions):
                cuts.append(start + int(positions[wanted - words - 1]) + 1)
        words += len(positions)
    if len(cuts) < 2:
        raise CorpusError(
            f"validation.split requires {training + validation:,} words, but the corpus has "
            f"{words:,} of the vocabulary; lower the two numbers."
        )
    parts = np.split(ids, cuts)
    return Split(parts[0], parts[1], parts[2] if len(parts[2]) else None)


def list_windows(
    ids: Array, places: Array, config: Config, dynamic: bool = False, seed: int = 0
) -> Windows:
    """Return the windows around the words at some positions.

    Parameters
    ----------
    ids : (n,) int32
        Word ids, −1 at sentence ends, which no window crosses.
    places : (B,) int
        The positions of the centre words.
    config
        The window, its sides, and the network's input: with `word`, every pair of a centre word
        (the input) and a neighbour (the target) is an example.
    dynamic
        Draw each window's size, as determined by `seed` and the position.
    seed
        For `dynamic`.
    """
    from embedder.kernels.windows import pairs_around, windows_around

    examples = config.examples
    left_only = examples.sides == "left"
    arguments = ids, places, examples.window, left_only, dynamic, seed
    if config.network.input == "word":
        room = len(places) * words_around(examples)
        centres, neighbours = np.empty((room, 1), np.int32), np.empty(room, np.int32)
        found = pairs_around(*arguments, centres, neighbours)
        return Windows(centres[:found], neighbours[:found])
    contexts = np.empty((len(places), window_width(examples, config.network)), np.int32)
    windows = Windows(contexts, np.empty(len(places), np.int32))
    windows_around(*arguments, windows)
    return windows


class WindowStream:
    """Minibatches of windows in random order, pass after pass; a `Stream`.

    Parameters
    ----------
    ids : (n,) int32
        The training text, memory-mapped or not; −1 at sentence ends.
    vocabulary
        Its counts and `vocabulary.subsample` determine how often words are dropped; each pass draws
        again.
    config
        The run.
    """

    def __init__(self, ids: Array, vocabulary: Vocabulary, config: Config) -> None:
        self._ids = ids
        self._keep = vocabulary.keep_probabilities(config.vocabulary.subsample)
        self._config = config
        self.batch_size = config.training.batch_size
        self._passes = passes(config, len(vocabulary))
        # There are more pairs than tokens: a word has one for every neighbour.
        share = 2 * config.examples.window if config.network.input == "word" else 1
        tokens = max(1, config.examples.shuffle_tokens // share)
        self._piece = max(1, -(-tokens // _PIECES_PER_GROUP))
        self._pieces = max(1, -(-len(ids) // self._piece))
        self._groups = -(-self._pieces // _PIECES_PER_GROUP)
        self._position = 0, 0, 0  # passes, groups of this pass, batches of this group completed
        self.words = _count_words(ids)
        kept = float(vocabulary.counts @ self._keep) / float(vocabulary.counts.sum())
        neighbours = words_around(config.examples)
        if config.examples.dynamic:
            neighbours = (neighbours + 1) // 2
        examples = self.words * kept * (neighbours if config.network.input == "word" else 1)
        self.steps_per_pass = max(1, round(examples / self.batch_size))

    def batches(self) -> Iterator[Batch]:
        """See `Stream`."""
        while self._position[0] < self._passes:
            number, group, start = self._position
            examples = self._examples_of_group(number, group)
            count = max(1, -(-len(examples) // self.batch_size))
            for batch in range(start, count):
                contexts, targets = examples.windows(batch, self.batch_size)
                if batch + 1 < count:
                    self._position = number, group, batch + 1
                elif group + 1 < self._groups:
                    self._position = number, group + 1, 0
                else:
                    self._position = number + 1, 0, 0
                before, after = (
                    number + (group + done / count) / self._groups for done in (batch, batch + 1)
                )
                if len(targets):
                    yield Batch(contexts, one_hot(targets), before / self._passes, after)

    def position(self) -> list[int]:
        """See `Stream`."""
        return list(self._position)

    def seek(self, position: list[int]) -> None:
        """See `Stream`."""
        passes, group, batch = position
        self._position = passes, group, batch

    def _examples_of_group(self, number: int, group: int) -> "_Shuffled":
        from embedder.kernels.windows import drop_tokens

        seed = self._config.training.seed
        order = np.random.default_rng([seed, number]).permutation(self._pieces)
        rng = np.random.default_rng([seed, number, group])
        draw = int(rng.integers(1 << 62))
        tokens = np.empty(_PIECES_PER_GROUP * (self._piece + 1), np.int32)
        written = 0
        for piece in np.array_split(order, self._groups)[group]:
            low = int(piece) * self._piece
            high = min(len(self._ids), low + self._piece)
            written += drop_tokens(
                np.asarray(self._ids[low:high]),
                self._keep,
                draw,
                low,
                self._config.examples.across_sentences,
                tokens[written:],
            )
            tokens[written] = -1  # windows do not extend across pieces
            written += 1
        return _Shuffled(tokens[:written], self._config, rng, draw + 1)


def _count_words(ids: Array) -> int:
    """Count the words, without sentence ends, in pieces."""
    starts = range(0, len(ids), _WORDS_PER_COUNT)
    return sum(int((ids[start : start + _WORDS_PER_COUNT] >= 0).sum()) for start in starts)


def _shuffled(order: Array, together: int, rng: np.random.Generator) -> Array:
    """Return the entries (n,) in random order, but blocks of some successive ones as they are."""
    if together == 1:
        rng.shuffle(order)
        return order
    starts = together * rng.permutation(-(-len(order) // together))
    places = (starts[:, None] + np.arange(together)).reshape(-1)
    return np.asarray(order[places[places < len(order)]])


class _Shuffled:
    """The windows of some tokens in random order, formed as they are needed."""

    def __init__(self, tokens: Array, config: Config, rng: np.random.Generator, seed: int) -> None:
        self._tokens = tokens
        self._config = config
        self._seed = seed
        self._order = np.flatnonzero(tokens >= 0).astype(np.int32)
        self._listed = Windows(np.empty((0, 0), np.int32), np.empty(0, np.int32))
        self._first_listed = 0
        self._pairs: Windows | None = None
        if config.network.input == "word":
            # The number of pairs at a position is not known in advance: list them, then shuffle.
            self._pairs = list_windows(tokens, self._order, config, config.examples.dynamic, seed)
            self._order = np.arange(len(self._pairs.targets), dtype=np.int32)
        self._order = _shuffled(self._order, config.examples.shuffle_windows, rng)

    def __len__(self) -> int:
        return len(self._order)

    def windows(self, batch: int, batch_size: int) -> Windows:
        """Return the windows of a batch."""
        start = batch * batch_size - self._first_listed
        if not 0 <= start < len(self._listed.targets):
            start, self._first_listed = 0, batch * batch_size
            stop = self._first_listed + batch_size * _BATCHES_PER_LIST
            self._listed = self._list(self._order[self._first_listed : stop])
        contexts, targets = self._listed
        return Windows(contexts[start : start + batch_size], targets[start : start + batch_size])

    def _list(self, chosen: Array) -> Windows:
        if self._pairs is not None:
            return Windows(*(array[chosen] for array in self._pairs))
        dynamic = self._config.examples.dynamic
        return list_windows(self._tokens, chosen, self._config, dynamic, self._seed)
