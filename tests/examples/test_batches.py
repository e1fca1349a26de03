import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embedder.examples.batches import RowSampler


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.just(0.0) | st.floats(0.01, 1e6), min_size=2, max_size=50).filter(
        lambda x: sum(v > 0 for v in x)
    ),
    st.integers(1, 60),
    st.sampled_from([0.0, 0.5, 1.0]),
)
def test_batches_contain_distinct_words_that_have_neighbours(totals, size, exponent):
    totals = np.array(totals)
    sampler = RowSampler(totals, size, exponent, seed=3)
    for step in range(5):
        rows, scales = sampler.draw(step)
        assert len(rows) == min(size, (totals > 0).sum()) == len(set(rows.tolist()))
        assert (totals[rows] > 0).all()
        assert np.isfinite(scales).all()


@pytest.mark.parametrize("exponent", [0.0, 0.5, 1.0])
def test_scaled_draws_are_unbiased_for_the_corpus(exponent):
    totals = 1000.0 / np.arange(1, 41)
    sampler = RowSampler(totals, 8, exponent, seed=1)
    drawn = np.zeros(40)
    steps = 12000
    for step in range(steps):
        rows, scales = sampler.draw(step)
        drawn[rows] += totals[rows] * scales
    expected = 8 * totals / totals.sum()
    assert np.abs(drawn / steps / expected - 1).max() < 0.15
    assert drawn.sum() / steps == pytest.approx(8, rel=0.02)


def test_frequent_words_are_drawn_more_often():
    totals = np.array([100.0] * 10 + [1.0] * 10)
    counts = np.zeros(20)
    sampler = RowSampler(totals, 2, 0.5, seed=1)
    for step in range(3000):
        counts[sampler.draw(step).rows] += 1
    assert counts[:10].mean() / counts[10:].mean() == pytest.approx(10, rel=0.15)


def test_a_draw_depends_only_on_the_seed_and_the_step():
    sampler = RowSampler(np.arange(1.0, 30.0), 5, 0.5, seed=2)
    later = sampler.draw(17)
    again = RowSampler(np.arange(1.0, 30.0), 5, 0.5, seed=2).draw(17)
    np.testing.assert_array_equal(later.rows, again.rows)
    assert RowSampler(np.arange(1.0, 30.0), 5, 0.5, seed=3).draw(17).rows.tolist() != (
        later.rows.tolist()
    )
