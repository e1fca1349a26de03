import numpy as np
import pytest

from embedder.config_sections import ExamplesConfig
from embedder.examples.cooccurrence import context_words
from embedder.training.distributed.slices import OwnCounts, OwnWords, contexts_of_ranges, cut_words


@pytest.mark.parametrize("ranges", [1, 2, 7, 50])
@pytest.mark.parametrize("near", [0, 2])
def test_ranges_share_the_contexts_and_cover_each_once(ranges, near):
    examples = ExamplesConfig(near=near, near_contexts=13)
    cuts = cut_words(50, examples, ranges)
    assert len(cuts) == ranges + 1
    assert (np.diff(cuts) > 0).all()
    found = contexts_of_ranges(cuts, 50, examples)
    contexts = len(context_words(50, examples))
    assert sorted(np.concatenate(found)) == list(range(contexts))
    if ranges <= 7:
        sizes = [len(own) for own in found]
        assert max(sizes) - min(sizes) <= 6  # a frequent word has three contexts


def test_there_are_no_more_ranges_than_words():
    assert list(cut_words(3, ExamplesConfig(near=0), 10)) == [0, 1, 2, 3]


def test_a_range_has_all_contexts_of_its_words():
    examples = ExamplesConfig(near=1, near_contexts=3)
    cuts = np.array([0, 1, 4, 5])
    assert list(contexts_of_ranges(cuts, 5, examples)[1]) == [1, 2, 3, 6, 7, 9, 10]
    windows = ExamplesConfig(source="windows")
    assert list(contexts_of_ranges(cuts, 5, windows)[1]) == [1, 2, 3]


def test_words_of_other_workers_are_not_targets():
    rows = np.array([5, 2, 9, 3])
    ones = np.ones(4, np.float32)
    found = OwnWords(2, 5).select(rows, ones, ones)
    own = [list(found.columns[a:b]) for a, b in zip(found.starts, found.ends, strict=True)]
    assert own == [[], [0], [], [1]]


def test_targets_are_selected_rows_of_the_counts(rng):
    from embedder.examples.cells import Cooccurrences

    counts = Cooccurrences(
        np.array([0, 2, 2, 5]), np.array([0, 3, 1, 2, 3], np.int32), np.ones(5, np.float32)
    )
    ones = np.ones(2, np.float32)
    found = OwnCounts(counts).select(np.array([2, 1]), ones, ones)
    assert (list(found.starts), list(found.ends)) == ([2, 2], [5, 2])
