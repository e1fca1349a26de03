from itertools import pairwise

import numpy as np
import pytest

from embedder.arrays import cut_evenly
from embedder.config_files import make_config
from embedder.examples.cells import stack_rows
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
    """The vocabulary, the ids of each shard, and how many there are."""
    shards = find_shards(config.corpus.files, size)
    read = [counting.read_shard(config, Phrases(), shard) for shard in shards]
    vocabulary = choose_vocabulary(merge_words(*(words for words, _, _ in read)), config.vocabulary)
    others = -1 if config.vocabulary.unknown is None else vocabulary.ids[config.vocabulary.unknown]
    known = words_of(vocabulary)
    found = [counting.encode_shard(known, others, words, numbers) for words, numbers, _ in read]
    return vocabulary, [ids for ids, _ in found], np.array([sizes for _, sizes in found])


def count_in_groups(config, vocabulary, read, groups, ranges, validation):
    """The counts of each range of words."""
    V, (shards, sizes) = len(vocabulary), read
    wanted = token_sample(config, vocabulary, validation)
    groups = cut_evenly(1 + sizes[:, 0], min(groups, len(shards)))
    cuts = counting.cut_words(vocabulary.counts * wanted.keep, config, len(groups) - 1, ranges)
    ranges, middle = len(cuts) - 1, (len(cuts) - 1) // 2
    before = (np.cumsum(sizes, axis=0) - sizes).tolist()
    is_all = len(groups) == 2
    pieces = []
    for start, end in pairwise(groups.tolist()):
        sample = counting.sample_shards(wanted, before[start:end], *shards[start:end])
        own = []
        for span in (cuts[: middle + 1], cuts[middle:]):  # by two tasks
            own += counting.count_neighbours(config, is_all, span, *sample)
        assert len(own) == 2 * ranges
        pieces.append(own)
    found = []
    for number in range(ranges):
        own = [piece[2 * number] for piece in pieces]
        counts, (totals, cells) = own[0], pieces[0][2 * number + 1]
        if not is_all:
            assert len(totals) == 0
            if len(own) > 2:  # in two rounds
                own = [counting.add_samples(config, V, False, *own[:2])[0], *own[2:]]
            counts, (totals, cells) = counting.add_samples(config, V, True, *own)
        np.testing.assert_array_equal(totals, counts.row_totals())
        assert cells == len(counts.columns)
        found.append(counts)
    return cuts, found


@pytest.mark.parametrize(
    "examples", [{}, {"window_weights": "harmonic", "window": 8}, {"near": 0, "unknown": "<unk>"}]
)
@pytest.mark.parametrize(
    ("size", "groups", "ranges"),
    [(10**9, 1, 1), (3000, 1, 7), (3000, 2, 5), (300, 7, 3), (3000, 10**9, 1000)],
)
def test_counts_from_shards_have_the_bits_of_one_machine(
    make, tmp_path, size, groups, ranges, examples
):
    config = make(**examples)
    expected_words, corpus = encode_corpus(read_text(config.corpus), config.vocabulary, tmp_path)
    vocabulary, *read = read_in_shards(config, size)
    assert vocabulary.words == expected_words.words
    np.testing.assert_array_equal(vocabulary.counts, expected_words.counts)
    np.testing.assert_array_equal(np.concatenate(read[0]), corpus.ids)
    for validation in (False, True):
        cuts, found = count_in_groups(config, vocabulary, read, groups, ranges, validation)
        wanted = token_sample(config, vocabulary, validation)
        expected = count_cooccurrences(
            corpus.ids, wanted, CountingOptions(config.examples), tmp_path
        )
        assert_same(stack_rows(found), expected)
        for counts, (first, last) in zip(found, pairwise(cuts.tolist()), strict=True):
            assert_same(counts, expected.rows(first, last))


def test_ranges_are_weighed_multiplied_and_grouped_as_the_whole_is(make, tmp_path, rng):
    config = make()
    vocabulary, *read = read_in_shards(config, 3000)
    cuts, found = count_in_groups(config, vocabulary, read, 2, 4, validation=False)
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


@pytest.mark.parametrize(
    ("sizes", "cpus", "groups"),
    [([10], 1, 1), ([7, 8], 32, 1), ([5] * 6, 33, 2), ([5] * 6, 320, 6), ([1 << 27] * 5, 1, 3)],
)
def test_text_is_counted_in_as_few_samples_as_memory_and_machines_allow(sizes, cpus, groups):
    found = counting.group_shards(np.array(sizes), cpus)
    assert len(found) == groups + 1
    assert (found[0], found[-1]) == (0, len(sizes))
    assert (np.diff(found) > 0).all()


def test_ranges_of_words_take_about_as_long_to_count(make):
    kept = np.r_[[1e5] * 10, [1.0] * 990]
    config = make(near=0, wide_window=0)
    cuts = counting.cut_words(kept, config, 1, 6)
    assert len(cuts) == 7
    assert (np.diff(cuts) > 0).all()
    assert cuts[1] < 5
    assert cuts[-1] - cuts[-2] > 100
    assert list(counting.cut_words(np.ones(3), config, 1, 10)) == [0, 1, 2, 3]


@pytest.mark.parametrize("groups", [1, 7])
def test_the_cells_of_a_range_fit_in_memory(make, groups):
    kept = 1e6 / np.arange(1, 5001)
    config = make(near=0)
    config = config.model_copy(
        update={"training": config.training.model_copy(update={"memory_limit": 1_200_000})}
    )
    cuts = counting.cut_words(kept, config, groups, 1)
    cells = np.minimum(kept * 2 * config.examples.reach / groups, 5000)
    assert max(np.add.reduceat(cells, cuts[:-1])) <= 50_000 + 5000
    assert len(cuts) - 1 <= 5 + kept.sum() * 2 * config.examples.reach / groups / 50_000


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
