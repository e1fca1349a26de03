from itertools import pairwise

import numpy as np
import pytest

from embedder.config_files import make_config
from embedder.examples.cells import Cooccurrences, stack_rows
from embedder.examples.columns import Columns, group_counts
from embedder.examples.cooccurrence import (
    CountingOptions,
    context_words,
    count_cooccurrences,
    token_sample,
)
from embedder.examples.spectral import PmiOptions, multiplication, positive_pmi_cells
from embedder.text.corpus import read_text
from embedder.text.listing import find_shards
from embedder.text.merging import merge_words, words_of
from embedder.text.phrases import Phrases
from embedder.text.vocabulary import choose_vocabulary, encode_corpus
from embedder.training.distributed import counting


def assert_same(one, other):
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a, b)
        assert a.dtype == b.dtype


@pytest.fixture
def text(write, rng):
    words = [f"w{int(i)}" for i in rng.zipf(1.6, 20_000).clip(max=300)]
    lines = [" ".join(words[i : i + 13]) for i in range(0, len(words), 13)]
    return write("text.txt", "\n".join(lines) + "\n")


@pytest.fixture
def make(text):
    def make_for(unknown=None, **examples):
        tree = {
            "corpus": {"files": [str(text)]},
            "vocabulary": {"min_count": 4, "subsample": 1e-2, "unknown": unknown},
            "examples": {"near_contexts": 20} | examples,
            "validation": {"fraction": 0.2},
        }
        return make_config(tree, "test")

    return make_for


def read_in_shards(config, size):
    """The vocabulary, the ids of each shard, and what is before it."""
    shards = find_shards(config.corpus.files, size)
    read = [counting.read_shard(config, Phrases(), shard) for shard in shards]
    vocabulary = choose_vocabulary(merge_words(*(words for words, _, _ in read)), config.vocabulary)
    others = -1 if config.vocabulary.unknown is None else vocabulary.ids[config.vocabulary.unknown]
    known, place, sentence, found = words_of(vocabulary), 0, 0, []
    for words, numbers, _ in read:
        ids, (length, sentences) = counting.encode_shard(known, others, words, numbers)
        found.append((ids, (place, sentence)))
        place, sentence = place + length, sentence + sentences
    return vocabulary, found


def count_in_shards(config, vocabulary, shards, ranges, validation):
    """The counts of each range of words."""
    V = len(vocabulary)
    wanted = token_sample(config, vocabulary, validation)
    cuts = counting.cut_words(vocabulary.counts * wanted.keep, config, ranges)
    assert len(cuts) == min(ranges, V) + 1
    pieces = [counting.count_shard(config, wanted, cuts, *shard) for shard in shards]
    found = []
    for number in range(len(cuts) - 1):
        own = [piece[number] for piece in pieces]
        if len(own) > 2:  # in two rounds
            own = [counting.add_shards(config, V, False, *own[:2])[0], *own[2:]]
        counts, (totals, cells) = counting.add_shards(config, V, True, *own)
        np.testing.assert_array_equal(totals, counts.row_totals())
        assert cells == len(counts.columns)
        found.append(counts)
    return cuts, found


@pytest.mark.parametrize(
    "examples", [{}, {"window_weights": "harmonic", "window": 8}, {"near": 0, "unknown": "<unk>"}]
)
@pytest.mark.parametrize(("size", "ranges"), [(10**9, 1), (3000, 5), (300, 3), (3000, 1000)])
def test_counts_from_shards_have_the_bits_of_one_machine(make, tmp_path, size, ranges, examples):
    config = make(**examples)
    expected_words, corpus = encode_corpus(read_text(config.corpus), config.vocabulary, tmp_path)
    vocabulary, shards = read_in_shards(config, size)
    assert vocabulary.words == expected_words.words
    np.testing.assert_array_equal(vocabulary.counts, expected_words.counts)
    np.testing.assert_array_equal(np.concatenate([ids for ids, _ in shards]), corpus.ids)
    for validation in (False, True):
        cuts, found = count_in_shards(config, vocabulary, shards, ranges, validation)
        wanted = token_sample(config, vocabulary, validation)
        expected = count_cooccurrences(
            corpus.ids, wanted, CountingOptions(config.examples), tmp_path
        )
        assert_same(stack_rows(found), expected)
        for counts, (first, last) in zip(found, pairwise(cuts.tolist()), strict=True):
            assert_same(counts, expected.rows(first, last))


def test_ranges_are_weighed_multiplied_and_grouped_as_the_whole_is(make, tmp_path, rng):
    config = make()
    vocabulary, shards = read_in_shards(config, 3000)
    cuts, found = count_in_shards(config, vocabulary, shards, 4, validation=False)
    whole, V = stack_rows(found), len(vocabulary)
    words, totals = context_words(V, config.examples), whole.row_totals()
    masked, dense = np.where(words < 50, words, -1), rng.normal(size=(50, 7)).astype(np.float32)
    cells = positive_pmi_cells(whole, masked, totals, PmiOptions(tmp_path))
    kept = vocabulary.counts * vocabulary.keep_probabilities(1e-2)
    columns = Columns(np.r_[np.arange(30), 30 + np.arange(V - 30) % 9].astype(np.int32), 20)
    grouped, constants = group_counts(whole, columns, kept, tmp_path / "grouped")
    column_totals = 0
    for counts, (first, last) in zip(found, pairwise(cuts.tolist()), strict=True):
        own = counting.weigh_range(masked, totals, first, counts)
        assert_same(own, cells.rows(first, last))
        product = counting.multiply_range(own, dense, 1, last - first)
        np.testing.assert_array_equal(product, multiplication(cells)(dense)[first + 1 : last])
        own, sums = counting.group_range(columns, kept, counts)
        assert_same(own, grouped.rows(first, last))
        np.testing.assert_array_equal(sums.totals, grouped.rows(first, last).row_totals())
        np.testing.assert_array_equal(sums.constants, constants[first:last])
        column_totals = column_totals + sums.column_totals
        alone = Columns(np.arange(V, dtype=np.int32), 20)
        assert counting.group_range(alone, kept, counts)[0] is None
    np.testing.assert_array_equal(column_totals, grouped.column_totals(columns.total))


@pytest.mark.parametrize(
    ("size", "cpus", "shards"), [(1000, 1, 1), (1000, 4, 4), (300, 2, 4), (100, 3, 12), (7, 1, 129)]
)
def test_shards_are_as_many_for_each_cpu(write, size, cpus, shards):
    path = write("lines.txt", "one two\n" * 112 + "three\n")
    corpus = make_config({"corpus": {"files": [str(path)]}}, "test").corpus
    found = counting.find_even_shards(corpus, size, cpus)
    assert len(found) == shards
    assert max(shard.end - shard.start for shard in found) <= size
    nothing = corpus.model_copy(update={"files": [str(write("empty.txt", ""))]})
    assert len(counting.find_even_shards(nothing, size, cpus)) == 1


def test_frequent_words_are_in_shorter_ranges(make):
    kept = np.r_[[1e5] * 10, [1.0] * 990]
    cuts = counting.cut_words(kept, make(near=0, wide_window=0), 6)
    assert (np.diff(cuts) > 0).all()
    assert cuts[1] < 5
    assert cuts[-1] - cuts[-2] > 100
    assert list(counting.cut_words(np.ones(3), make(near=0), 10)) == [0, 1, 2, 3]


def test_rows_from_several_parts_are_gathered_on_disk(tmp_path, rng):
    def part(rows):
        lengths = rng.integers(0, 4, rows)
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        weights = rng.random(offsets[-1]).astype(np.float32)
        return Cooccurrences(offsets, rng.integers(0, 9, offsets[-1], np.int32), weights)

    parts = [part(rows) for rows in (3, 1, 5)]
    found = counting.gather_rows(iter(parts), tmp_path / "rows")
    assert_same(found, stack_rows(parts))
    assert_same(found.rows(3, 4), parts[1])
    empty = Cooccurrences(np.zeros(3, np.int64), np.empty(0, np.int32), np.empty(0, np.float32))
    assert list(counting.gather_rows(iter([empty]), tmp_path / "rows").offsets) == [0, 0, 0]


@pytest.mark.parametrize("size", [1, 5, 11, 12, 13, 40, 1000])
@pytest.mark.parametrize("content", ["one two\nthree\n\nfour five six\nend", "a\n", "", "\n\n"])
def test_shards_of_a_file_contain_each_line_once(write, size, content):
    path = write("lines.txt", content)
    config = make_config({"corpus": {"files": [str(path)]}}, "test")
    shards = find_shards(config.corpus.files, size)
    parts = [b"".join(read_text(config.corpus, shards=[shard])) for shard in shards]
    assert b"".join(parts).split() == content.encode().split()
    lines = [line.split() for part in parts for line in part.split(b"\n") if line.strip()]
    assert lines == [line.split() for line in content.encode().split(b"\n") if line.strip()]
