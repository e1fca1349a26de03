"""Token ids → weighted co-occurrence counts, one sparse target row per word.

For a network whose input is one word, the loss of all windows of a corpus depends on the corpus
only through C[w, c], the weighted number of times that c occurs in a window around w:

    Σ_windows −log ŷ_c(x_w)  =  Σ_w Σ_c C[w, c] (−log ŷ_c(x_w))

so that one step on row w covers all windows of that word at once, without sampling noise.

A context is a word in any position or, with `examples.near`, a frequent word directly before or
directly after the centre word (position-specific contexts, as in the structured skip-gram of Ling
et al. 2015), because these positions reveal more about grammar than the rest of the window.
Contexts are numbered: the V words of the vocabulary in any position; then the N most frequent ones
before the centre word; then the same N after it.
"""

import math
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from embedder.arrays import Array, offsets_from_lengths
from embedder.config import Config
from embedder.config_sections.network import ExamplesConfig
from embedder.errors import CorpusError
from embedder.examples.cells import (
    Cooccurrences,
    cells_per_slab,
    cut_rows,
    fill_rows,
    stack_rows,
    store_rows,
)
from embedder.text.vocabulary import Vocabulary

if TYPE_CHECKING:
    from embedder.kernels.counts import ContextRules, PositionIndex, RowBuffers

_LARGEST_DIVISOR = 1 << 24
"""For harmonic weights up to distance 18. Cells of 500 million neighbours are then still exact."""


def distance_multiples(config: ExamplesConfig) -> tuple[Array, float]:
    """Return the weights of neighbours as multiples of a fraction.

    Sums of whole multiples do not depend on the order of their terms, so that a text counted in
    pieces has the same counts to the bit.

    Returns
    -------
    (reach,) float64
        Of distance 1 … reach; whole numbers, except for harmonic weights in very wide windows.
    float
        What to divide by.
    """
    window = config.window
    distance = np.arange(1, config.reach + 1, dtype=np.float64)
    if config.window_weights == "linear":
        if not config.wide:
            return window + 1 - distance, float(window)
        hundredths = round(100 * config.wide_weight)
        divisor = math.lcm(window, 100 * config.wide // math.gcd(hundredths, 100 * config.wide))
        narrow = divisor // window * np.maximum(0, window + 1 - distance)
        wide = divisor * hundredths // (100 * config.wide) * (config.wide + 1 - distance)
        return narrow + np.maximum(0, wide), float(divisor)
    if config.window_weights == "harmonic":
        divisor = math.lcm(*range(1, window + 1))
        if divisor > _LARGEST_DIVISOR:
            return 1.0 / distance, 1.0
        return divisor / distance, float(divisor)
    return np.ones(window), 1.0


def distance_weights(config: ExamplesConfig) -> Array:
    """Return the weight of a neighbour at distance 1 … reach, (reach,) float64."""
    multiples, divisor = distance_multiples(config)
    return multiples / divisor


def context_words(vocabulary: int, config: ExamplesConfig) -> Array:
    """Return the word of every context, (C,) int64.

    C is V, or V + 2 N with position-specific contexts.
    """
    words = np.arange(vocabulary)
    near = words[: config.near_contexts if config.near else 0]
    return np.concatenate([words, near, near])


class TokenSample(NamedTuple):
    """Which tokens of a corpus are counted.

    ``keep (V,) float64``
        The probability of keeping an occurrence of each word.
    ``seed``
        Determines which occurrences are dropped and which sentences are held out.
    ``held_out``
        The share of the sentences held out for validation.
    ``validation``
        Whether to count the held-out sentences instead of the rest.
    """

    keep: Array
    seed: int
    held_out: float = 0.0
    validation: bool = False


def token_sample(config: Config, vocabulary: Vocabulary, validation: bool) -> TokenSample:
    """Return which tokens a run counts: to train, or those held out for validation."""
    keep = vocabulary.keep_probabilities(config.vocabulary.subsample)
    return TokenSample(keep, config.training.seed, config.validation.fraction, validation)


class CountingOptions(NamedTuple):
    """How tokens are counted.

    ``examples``
        The window and its weights.
    ``memory_limit``
        Maximum bytes for the positions of words and for cells not yet on disk; None for no limit.
        With a limit, words are counted in slabs and the stream is read once per slab; the counts
        stay the same. One word's positions and one row of cells per thread are always in memory.
    """

    examples: ExamplesConfig
    memory_limit: int | None = None


def count_cooccurrences(
    ids: Array, wanted: TokenSample, options: CountingOptions, folder: Path
) -> Cooccurrences:
    """Count the neighbours of every word of the vocabulary.

    Occurrences of frequent words are dropped before windows are formed, as in word2vec.c, which
    makes the windows reach further.

    Parameters
    ----------
    ids : (n,) int32
        The corpus, −1 at sentence ends.
    wanted
        Which tokens to count.
    options
        How to count them.
    folder
        Folder for the sampled ids and the cells, which are memory-mapped.

    Raises
    ------
    CorpusError
        If no two words occur in one window.
    """
    from embedder.kernels.counts import sample_tokens

    name = "validation" if wanted.validation else "cells"
    sample: Array = np.memmap(folder / f"{name}.sample", np.int32, mode="w+", shape=len(ids))
    sample = sample[: sample_tokens(np.asarray(ids), *wanted, sample)]
    counts = count_sample(sample, len(wanted.keep), options, folder / name)
    if len(counts.columns) == 0:
        raise no_pairs_error(wanted.keep, wanted.validation)
    return counts


def no_pairs_error(keep: Array, validation: bool = False) -> CorpusError:
    """Return the error for a corpus, or its held-out part, without two words in one window.

    `keep` (V,) are the probabilities with which occurrences of the words were kept.
    """
    what = "the text held out by validation.fraction" if validation else "the corpus"
    sampled = (keep < 1).any()
    left = " after frequent words were dropped at random" if sampled else ""
    instead = "set vocabulary.subsample=0 to keep all, use" if sampled else "use"
    return CorpusError(
        f"No two words of the vocabulary occur in one window of {what}{left}; {instead} more "
        "text, or lower vocabulary.min_count."
    )


def count_sample(
    sample: Array, vocabulary: int, options: CountingOptions, path: Path
) -> Cooccurrences:
    """Count the neighbours of every word in a sample of a corpus; there may be none.

    Parameters
    ----------
    sample : (n,) int32
        Ids of the tokens to count, −1 at sentence ends.
    vocabulary
        V.
    options
        How to count.
    path
        The path of the files for the cells, without their suffixes.
    """
    from embedder.kernels.counts import count_tokens

    tokens = np.zeros(vocabulary, np.int64)
    count_tokens(sample, tokens)
    starts, room = offsets_from_lengths(tokens), _room(tokens, options.examples)
    slabs = [
        first + high
        for first, last in cut_rows(starts, _tokens_per_index(sample, options.memory_limit))
        for _, high in cut_rows(room[first : last + 1], cells_per_slab(options.memory_limit))
    ]
    cuts = np.array([0, *slabs])
    return store_rows(count_ranges(sample, tokens, cuts, options), path)


def count_ranges(
    sample: Array,
    tokens: Array,
    cuts: Array,
    options: CountingOptions,
    as_multiples: bool = False,
) -> Iterator[Cooccurrences]:
    """Count the neighbours of ranges of words, and yield the counts of one range after the other.

    Parameters
    ----------
    sample : (n,) int32
        Ids of the tokens to count, −1 at sentence ends.
    tokens : (V,) int64
        How often each word occurs in the sample.
    cuts : (ranges + 1,) int64
        Where the ranges start, and the last one ends. The positions and the cells of a range should
        fit in memory.
    options
        How to count. Positions are listed for as many ranges at a time as the limit allows.
    as_multiples
        For a piece of a text: return the weights as float64, not yet divided (see
        `distance_multiples`), so that `add_counts` can add them to those of other pieces.
    """
    from embedder.kernels.counts import ContextRules

    examples = options.examples
    multiples, divisor = distance_multiples(examples)
    divisor = 1.0 if as_multiples else divisor
    contexts = len(context_words(len(tokens), examples))
    rules = ContextRules(len(tokens), contexts, examples.near, multiples, divisor)
    dtype = np.float64 if as_multiples else np.float32
    starts, room = offsets_from_lengths(tokens), _room(tokens, examples)
    for low, high in cut_rows(starts[cuts], _tokens_per_index(sample, options.memory_limit)):
        own_cuts = cuts[low : high + 1]
        start, end = own_cuts[0], own_cuts[-1] + 1
        index = _index_words(sample, start, starts[start:end])
        count = partial(_count_slab, index, rules)
        yield from fill_rows(room[start:end], pairwise(own_cuts - start), count, dtype)


def _count_slab(
    index: "PositionIndex", rules: "ContextRules", first: int, last: int, rows: "RowBuffers"
) -> None:
    """Count the neighbours of words first … last − 1 of an index."""
    from embedder.kernels.counts import count_rows

    count_rows(index._replace(starts=index.starts[first : last + 1]), rules, rows)


def _room(tokens: Array, examples: ExamplesConfig) -> Array:
    """Return offsets (V + 1,) of rows of as many cells as there are contexts, or neighbours."""
    contexts = len(context_words(len(tokens), examples))
    return offsets_from_lengths(np.minimum(tokens * (2 * examples.reach), contexts))


def add_counts(
    pieces: Sequence[Cooccurrences],
    vocabulary: int,
    options: CountingOptions,
    as_multiples: bool = False,
) -> Cooccurrences:
    """Add the counts of the same words in several pieces of a text, in memory.

    Parameters
    ----------
    pieces
        From `count_ranges` as multiples.
    vocabulary
        V.
    options
        How they were counted.
    as_multiples
        Do not divide the sums yet.
    """
    from embedder.kernels.counts import add_rows

    contexts = len(context_words(vocabulary, options.examples))
    divisor = 1.0 if as_multiples else distance_multiples(options.examples)[1]
    starts = np.stack([piece.offsets for piece in pieces])

    def add(first: int, last: int, rows: "RowBuffers") -> None:
        own = [piece.rows(first, last) for piece in pieces]
        before = offsets_from_lengths(np.array([len(piece.columns) for piece in own]))
        add_rows(
            np.stack([piece.offsets for piece in own]) + before[:-1, None],
            np.concatenate([piece.columns for piece in own]),
            np.concatenate([piece.weights for piece in own]),
            (contexts, divisor),
            rows,
        )

    room = starts.sum(axis=0)
    slabs = cut_rows(room, cells_per_slab(options.memory_limit))
    dtype = np.float64 if as_multiples else np.float32
    return stack_rows(list(fill_rows(room, slabs, add, dtype)))


def _index_words(sample: Array, first: int, starts: Array) -> "PositionIndex":
    """Return the positions of consecutive words.

    Parameters
    ----------
    sample : (n,) int32
        The ids.
    first
        The first of the words.
    starts : (words + 1,) int64
        Where each word's positions start among those of the whole vocabulary.
    """
    from embedder.kernels.counts import PositionIndex, index_positions

    own_starts = starts - starts[0]
    index = PositionIndex(sample, own_starts, np.empty(own_starts[-1], _position_type(sample)))
    index_positions(index, first)
    return index


def _position_type(sample: Array) -> np.dtype[Any]:
    return np.dtype(np.int32 if len(sample) < 2**31 else np.int64)


def _tokens_per_index(sample: Array, memory_limit: int | None) -> int:
    """Return the maximum number of tokens indexed at a time, half of the limit at most."""
    if memory_limit is None:
        return len(sample)
    return memory_limit // 2 // _position_type(sample).itemsize
