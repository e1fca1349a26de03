import naive
import numpy as np
import pytest

from embedder.arrays import offsets_from_lengths, unit_rows
from embedder.config_files import make_config
from embedder.examples import cells
from embedder.examples.batches import CountedRows
from embedder.examples.cells import Cooccurrences
from embedder.examples.columns import (
    Columns,
    ColumnSizes,
    choose_columns,
    count_near,
    group_counts,
    one_column_per_word,
)
from embedder.examples.held_out import cooccurrence_loss
from embedder.kernels.threads import kernel_threads
from embedder.network.activation import activate
from embedder.network.network import Network
from embedder.network.parameters import Parameters

V, N = 60, 6


@pytest.fixture
def clusters(rng):
    """Vectors (V, 8) in three directions, of any length, and the direction of each."""
    directions = np.eye(8)[:3]
    which = rng.integers(0, 3, V)
    vectors = directions[which] + rng.normal(0, 0.05, (V, 8))
    return (vectors * rng.uniform(0.5, 3, (V, 1))).astype(np.float32), which


def choose(vectors, own=10, classes=3, near=N, threads=2):
    counts = np.arange(len(vectors), 0, -1.0)
    with kernel_threads(threads):
        return choose_columns(ColumnSizes(own, classes, near), vectors, counts)


def test_frequent_words_have_columns_of_their_own_and_others_share_by_direction(clusters):
    vectors, which = clusters
    columns, words = choose(vectors)
    assert columns.of_words[:10].tolist() == list(range(10))
    groups = columns.of_words[10:] - 10
    assert sorted(set(groups)) == [0, 1, 2]
    for group in range(3):
        assert len(set(which[10:][groups == group])) == 1
    assert columns.positionless == 13
    assert columns.total == len(words) == 13 + 2 * N
    assert columns.are_grouped


def test_the_word_of_a_class_is_its_most_central_member(clusters):
    vectors, _ = clusters
    columns, words = choose(vectors)
    assert words.tolist()[:10] == list(range(10))
    assert words.tolist()[13:] == [*range(N), *range(N)]
    unit = unit_rows(vectors)
    for number in range(10, 13):
        members = np.flatnonzero(columns.of_words == number)
        mean = (unit[members] * np.sqrt(V - members)[:, None]).sum(0)
        assert words[number] in members
        closeness = unit @ mean / np.linalg.norm(mean)
        assert closeness[words[number]] >= closeness[members].max() - 1e-4


def test_classes_are_the_same_for_any_number_of_threads(rng):
    vectors = rng.normal(size=(900, 8)).astype(np.float32)
    one, two = (choose(vectors, 100, 50, threads=threads)[0].of_words for threads in (1, 2))
    np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize(("own", "classes"), [(1, 1), (59, 1), (58, 5), (10, 50), (10, 500)])
def test_classes_may_be_few_or_as_many_as_words(rng, own, classes):
    columns, words = choose(rng.normal(size=(V, 8)).astype(np.float32), own, classes)
    assert sorted(set(columns.of_words)) == list(range(columns.positionless))
    assert columns.positionless <= own + min(classes, V - own)
    assert len(words) == columns.total


def test_words_without_a_direction_are_in_a_class_too():
    columns, _ = choose(np.zeros((V, 8), np.float32))
    assert columns.positionless == 11


def test_contexts_before_and_after_keep_columns_of_their_own():
    columns = Columns(np.array([0, 1, 2, 3, 2], np.int32), 2)
    assert columns.of_contexts().tolist() == [0, 1, 2, 3, 2, 4, 5, 6, 7]
    assert not one_column_per_word(5, 2).are_grouped
    assert Columns(np.array([0, 1, 3, 2], np.int32), 2).are_grouped  # counts must be moved
    assert one_column_per_word(5, 2).of_contexts().tolist() == list(range(9))


def test_surprises_are_those_of_shares_of_a_class():
    columns = Columns(np.array([0, 1, 2, 2, 2], np.int32), 1)
    found = columns.surprises(np.array([50.0, 40.0, 6.0, 3.0, 1.0]))
    np.testing.assert_allclose(np.exp(-found), [1, 1, 0.6, 0.3, 0.1, 1, 1])


def random_counts(rng):
    dense = rng.integers(1, 9, (V, V + 2 * N)) * (rng.random((V, V + 2 * N)) < 0.4)
    rows, numbers = np.nonzero(dense)
    offsets = offsets_from_lengths(np.bincount(rows, minlength=V))
    weights = dense[rows, numbers].astype(np.float32)
    return dense, Cooccurrences(offsets, numbers.astype(np.int32), weights)


@pytest.mark.parametrize("slab", [1, 100, 10_000])
def test_grouped_counts_are_sums_whatever_the_slabs(rng, tmp_path, monkeypatch, clusters, slab):
    monkeypatch.setattr(cells, "CELLS_PER_SLAB", slab)
    dense, counts = random_counts(rng)
    columns, _ = choose(clusters[0])
    n = np.arange(V, 0, -1.0)
    surprises = columns.surprises(n)
    found, constants = group_counts(counts, columns, n, tmp_path / "grouped", 2)
    expected = naive.group(dense, columns.of_contexts())
    np.testing.assert_array_equal(naive.dense_counts(found, columns.total), expected)
    np.testing.assert_allclose(constants, dense @ surprises, rtol=1e-12)


def test_the_loss_is_the_cross_entropy_over_all_words(rng, tmp_path, clusters):
    dense, counts = random_counts(rng)
    columns, _ = choose(clusters[0])
    n = np.arange(V, 0, -1.0)
    grouped = group_counts(counts, columns, n, tmp_path / "grouped", 2)
    shapes = (V, 4), (4, 5), (5,), (columns.total, 5), (columns.total,)
    parameters = Parameters(*(rng.normal(size=shape).astype(np.float32) for shape in shapes))
    config = make_config({"corpus": {"files": ["a"]}}, "test")
    network = Network(config.network, parameters, 7)
    found = cooccurrence_loss(network, CountedRows(*grouped), 7)
    E, W1, b1, W2, b2 = parameters
    theta = activate(E @ W1 + b1, "sigmoid") @ W2.T + b2
    near = np.ones(2 * N)
    expected = naive.loss_within_classes(dense, theta, columns.of_contexts(), np.r_[n, near])
    assert found == pytest.approx(expected / dense.sum(), rel=1e-6)


def test_the_number_of_near_contexts_is_at_most_that_of_words():
    def near(**examples):
        return count_near(make_config({"corpus": {"files": ["a"]}, "examples": examples}, "t"), 50)

    assert near() == 50
    assert near(near_contexts=7) == 7
    assert near(near=0) == near(source="windows") == 0
