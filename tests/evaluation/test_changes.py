import numpy as np
import pytest

from embedder.arrays import unit_rows
from embedder.errors import VocabularyError
from embedder.evaluation.changes import SlicedRun, false_discovery_rates
from embedder.runs.slice_folder import SliceFolder
from embedder.vectors.from_run import load_vectors


def test_a_word_that_takes_the_place_of_another_has_changed_most(sliced_run, planted):
    _, (old, new, *_) = planted
    sliced = SlicedRun(sliced_run)
    changed = sliced.most_changed()
    assert changed[0].word == new
    assert changed[0].q < 0.05
    assert changed[0].change > 3 * changed[1].change  # words beside it have other neighbours now
    assert all(own.q <= 0.05 for own in changed)
    assert len(changed) < 30  # of 164 words
    found = sliced.trajectory(new)
    assert found.slices == ["1900", "1910", "1920"]
    before = load_vectors(SliceFolder(sliced_run).run_of("1900"))
    place = unit_rows(before[[old]])[0]
    nearness = [float(unit_rows(own[None])[0] @ place) for own in found.vectors]
    assert nearness[2] > max(nearness[:2]) + 0.2
    assert found.cosines[0] == pytest.approx(1)
    assert found.cosines[1] > 0.95
    assert found.cosines[2] == sliced.change(new).similarity < 0.9
    assert sliced.count_changed() == len(changed)
    assert sliced.count_changed(1.0) == len(sliced.most_changed(level=1.0))


def test_a_trajectory_has_a_gap_where_the_word_does_not_occur(sliced_run, planted):
    _, (_, _, early, late) = planted
    sliced = SlicedRun(sliced_run)
    found = sliced.trajectory(early, 4)
    assert [own is None for own in found.neighbors] == [False, True, True]
    assert [own is None for own in found.vectors] == [False, True, True]
    assert found.counts[1:] == [0, 0]
    assert found.cosines == [pytest.approx(1), None, None]
    assert len(found.similarities) == 4
    assert all(
        own[0] is not None and own[1:] == [None, None] for own in found.similarities.values()
    )
    found = sliced.trajectory(late)
    assert found.neighbors[0] is None
    assert found.cosines[:2] == [None, pytest.approx(1)]
    assert found.cosines[2] == sliced.change(late).similarity
    with pytest.raises(VocabularyError, match="'nothing' does not occur in the slices"):
        sliced.trajectory("nothing")


def test_q_values_are_those_of_benjamini_and_hochberg():
    p = [0.01, 0.02, 0.03, 0.5, 0.04]
    np.testing.assert_allclose(false_discovery_rates(p), [0.05, 0.05, 0.05, 0.5, 0.05])
    assert false_discovery_rates([]) == []
