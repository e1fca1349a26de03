import numpy as np
import pytest

from embedder.config_sections import ExamplesConfig
from embedder.examples.cooccurrence import context_words
from embedder.training.distributed.slices import OwnCounts, OwnWords, contexts_of_ranges, cut_words


@pytest.mark.parametrize("parts", [1, 2, 7, 50])
@pytest.mark.parametrize("near", [0, 2])
def test_runs_share_the_contexts_and_cover_each_once(parts, near):
    examples = ExamplesConfig(near=near, near_contexts=13)
    cuts = cut_words(50, examples, parts)
    assert len(cuts) == parts + 1
    assert (np.diff(cuts) > 0).all()
    runs = contexts_of_ranges(cuts, 50, examples)
    contexts = len(context_words(50, examples))
    assert sorted(np.concatenate(runs)) == list(range(contexts))
    if parts <= 7:
        sizes = [len(run) for run in runs]
        assert max(sizes) - min(sizes) <= 6  # a frequent word has three


def test_no_more_runs_than_words():
    assert list(cut_words(3, ExamplesConfig(near=0), 10)) == [0, 1, 2, 3]


def test_a_run_has_all_contexts_of_its_words():
    examples = ExamplesConfig(near=1, near_contexts=3)
    cuts = np.array([0, 1, 4, 5])
    assert list(contexts_of_ranges(cuts, 5, examples)[1]) == [1, 2, 3, 6, 7, 9, 10]
    windows = ExamplesConfig(source="windows")
    assert list(contexts_of_ranges(cuts, 5, windows)[1]) == [1, 2, 3]


def test_words_of_other_workers_are_no_targets_here():
    rows = np.array([5, 2, 9, 3])
    ones = np.ones(4, np.float32)
    found = OwnWords(2, 5).select(rows, ones, ones)
    own = [list(found.columns[a:b]) for a, b in zip(found.starts, found.ends, strict=True)]
    assert own == [[], [0], [], [1]]


def test_the_targets_of_all_workers_are_those_of_the_whole(rng):
    from embedder.examples.cooccurrence import Cooccurrences

    counts = Cooccurrences(
        np.array([0, 2, 2, 5]), np.array([0, 3, 1, 2, 3], np.int32), np.ones(5, np.float32)
    )
    ones = np.ones(2, np.float32)
    found = OwnCounts(counts).select(np.array([2, 1]), ones, ones)
    assert (list(found.starts), list(found.ends)) == ([2, 2], [5, 2])
