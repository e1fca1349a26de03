import naive
import numpy as np
import pytest
from scipy.stats import kstest

from embedder.arrays import offsets_from_lengths
from embedder.kernels import changes as kernels
from embedder.kernels.changes import ChangeTests, Outputs, Slices, permute_slices
from embedder.kernels.counts import PositionIndex, index_positions
from embedder.kernels.threads import kernel_threads

V, N, C, D, S = 30, 4, 20, 5, 3
WEIGHTS = np.array([1.0, 0.6, 0.2])


@pytest.fixture
def outputs(rng):
    columns = rng.integers(-1, C, V + 2 * N).astype(np.int32)
    projected = rng.normal(size=(C, D)).astype(np.float32)
    return Outputs(columns, 2, WEIGHTS, projected, rng.uniform(0.1, 1, D), 3.0)


def text_of(rng, length, block=20, slices=S):
    """A text of all words but the last, in slices of blocks."""
    ids = rng.integers(0, V - 1, length).astype(np.int32)
    ids[rng.random(length) < 0.1] = -1
    blocks = (np.arange(length) // block).astype(np.int32)
    number = blocks[-1] + 1
    return ids, Slices(blocks, (np.arange(number) * slices // number).astype(np.int32), slices)


def run(ids, slices, outputs, most=50, seed=1, threads=1, words=V):
    counts = np.bincount(ids[ids >= 0], minlength=words)
    starts = offsets_from_lengths(counts)
    index = PositionIndex(ids, starts, np.empty(starts[-1], np.int64))
    index_positions(index, 0)
    tests = ChangeTests(*(np.empty(words) for _ in ChangeTests._fields))
    with kernel_threads(threads):
        permute_slices(index, slices, outputs, most, seed, tests)
    return tests


def test_the_observed_statistic_is_that_of_its_definition(rng, outputs):
    ids, slices = text_of(rng, 2000)
    found = run(ids, slices, outputs)
    sums = naive.occurrence_sums(
        ids, slices.blocks, outputs.columns, 2, WEIGHTS, outputs.projected, V
    )
    for word in range(V - 1):
        blocks = list(sums[word])
        totals, weights = zip(*(sums[word][block] for block in blocks), strict=True)
        totals = [np.zeros(D) + total for total in totals]
        labels = slices.slices[blocks]
        expected = naive.score_statistic(
            totals, weights, labels, S, outputs.curvature, outputs.strength
        )
        assert found.observed[word] == pytest.approx(expected, rel=1e-6)
        assert found.totals[word] == pytest.approx(sum(weights))
        rng_own = np.random.default_rng(word)
        drawn = [
            naive.score_statistic(
                totals,
                weights,
                rng_own.permutation(labels),
                S,
                outputs.curvature,
                outputs.strength,
            )
            for _ in range(100)
        ]
        deviation = np.std(drawn) / np.sqrt(20)
        assert found.noise[word] == pytest.approx(np.mean(drawn), abs=5 * deviation)
        assert found.deviation[word] == pytest.approx(np.std(drawn), rel=0.5)
        assert 0 < found.p[word] <= 1
    assert np.isnan(found.p[V - 1])
    assert found.totals[V - 1] == 0


def test_blocks_beyond_the_most_are_joined_within_a_slice(rng, outputs):
    """The observed statistic does not depend on how blocks of a slice are joined."""
    ids, slices = text_of(rng, 20_000, block=5)
    assert len(slices.slices) > 2 * kernels.MOST_UNITS
    many = run(ids, slices, outputs)
    coarse = Slices(slices.slices[slices.blocks], np.arange(S, dtype=np.int32), S)
    one = run(ids, coarse, outputs)
    np.testing.assert_allclose(many.observed[:-1], one.observed[:-1], rtol=1e-6)
    assert (one.p[:-1] == 1).all()  # which slice has which name is of no consequence
    assert many.noise[:-1].mean() == pytest.approx(many.observed[:-1].mean(), rel=0.4)


@pytest.mark.parametrize(("length", "block"), [(6000, 20), (12_000, 5)])  # joined in the latter
def test_p_values_are_uniform_without_change(rng, outputs, length, block):
    found = []
    for _ in range(15):
        found.append(run(*text_of(rng, length, block), outputs, most=400).p[:-1])
    assert kstest(np.concatenate(found), "uniform").pvalue > 0.01


def test_a_word_that_changes_has_a_small_p_value_and_others_do_not(rng, outputs):
    ids, slices = text_of(rng, 20_000)
    outputs = outputs._replace(columns=(np.arange(V + 2 * N) % C).astype(np.int32))
    last = slices.slices[slices.blocks] == S - 1
    places = np.flatnonzero(last & (ids == 3))[:-1]
    ids[places + 1] = 7  # in the last slice, word 3 always precedes word 7
    found = run(ids, slices, outputs, most=999)
    assert found.p[3] == 0.001
    assert found.reached[3] == 0
    assert found.observed[3] > 2 * found.noise[3]
    others = np.delete(found.p[:-1], [3, 7])
    assert np.median(others) > 0.1


def test_frequency_alone_is_no_change(rng, outputs):
    """A word that becomes ten times as frequent among the same neighbours has not changed."""
    columns = np.where(np.arange(V + 2 * N) < 8, -1, outputs.columns).astype(np.int32)
    outputs = outputs._replace(columns=columns)
    p = []
    for _ in range(10):
        ids, slices = text_of(rng, 12_000)
        first = slices.slices[slices.blocks] == 0
        gone = first & (ids >= 0) & (ids < 8) & (rng.random(len(ids)) < 0.9)
        ids[gone] = rng.integers(8, V - 1, gone.sum())
        p.append(run(ids, slices, outputs, most=200).p[:8])
    assert np.mean(np.concatenate(p) <= 0.05) < 0.15


def test_threads_change_no_bit_and_the_seed_decides(rng, outputs):
    text = text_of(rng, 4000)
    one, two, other = (
        run(*text, outputs, seed=seed, threads=threads)
        for seed, threads in ((1, 1), (1, 2), (5, 1))
    )
    for a, b in zip(one, two, strict=True):
        np.testing.assert_array_equal(a, b)
    assert (one.p[:-1] != other.p[:-1]).any()
    np.testing.assert_array_equal(one.observed, other.observed)


def test_few_permutations_suffice_for_a_large_p_value(rng, outputs):
    """No p-value is above 20 / 20, and small ones have as many permutations as there may be."""
    found = run(*text_of(rng, 4000), outputs, most=100_000)
    assert (found.p[:-1] > 2e-5).all()
    assert (found.p[:-1] <= 1).all()


def test_a_word_of_one_block_did_not_change(rng, outputs):
    ids = np.array([0, 1, 2, -1, 3, 4, -1], np.int32)
    slices = Slices(np.array([0, 0, 0, 0, 1, 1, 1], np.int32), np.array([0, 1], np.int32), 2)
    outputs = outputs._replace(columns=np.abs(outputs.columns))
    found = run(ids, slices, outputs)
    assert (found.p[:5] == 1).all()
    assert np.isnan(found.p[5:]).all()
