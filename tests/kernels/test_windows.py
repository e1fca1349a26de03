import naive
import numpy as np
import pytest

from embedder.kernels.windows import drop_tokens, pairs_around, windows_around


def text(rng, n=60, words=9):
    ids = rng.integers(0, words, n).astype(np.int32)
    ids[rng.random(n) < 0.15] = -1
    return ids


def lay(ids, window, left_only, dynamic=False, seed=3, first=0, last=None):
    last = len(ids) if last is None else last
    places = first + np.flatnonzero(ids[first:last] >= 0)
    contexts = np.empty((len(places), window * (1 if left_only else 2)), np.int32)
    centres = np.empty(len(places), np.int32)
    windows_around(ids, places, window, left_only, dynamic, seed, (contexts, centres))
    return contexts, centres


@pytest.mark.parametrize("window", [1, 3, 70])
@pytest.mark.parametrize("left_only", [False, True])
def test_every_word_has_the_window_that_its_sentence_gives_it(rng, window, left_only):
    ids = text(rng)
    contexts, centres = lay(ids, window, left_only)
    expected = list(naive.window_examples(ids, window, left_only))
    assert centres.tolist() == [centre for _, centre in expected]
    assert contexts.tolist() == [slots for slots, _ in expected]


def test_windows_of_a_part_reach_beyond_it(rng):
    ids = text(rng)
    whole, part = lay(ids, 3, False), lay(ids, 3, False, first=20, last=31)
    before = int((ids[:20] >= 0).sum())
    np.testing.assert_array_equal(part[0], whole[0][before : before + len(part[0])])


def test_dynamic_windows_have_every_size_equally_often(rng):
    ids = rng.integers(0, 9, 20_000).astype(np.int32)
    sizes = (lay(ids, 5, True, dynamic=True)[0][5:] >= 0).sum(1)
    shares = np.bincount(sizes, minlength=6)[1:] / len(sizes)
    np.testing.assert_allclose(shares, 0.2, atol=0.015)


@pytest.mark.parametrize("left_only", [False, True])
def test_pairs_are_the_windows_taken_apart(rng, left_only):
    ids = text(rng)
    centres, neighbours = np.empty((600, 1), np.int32), np.empty(600, np.int32)
    places = np.flatnonzero(ids >= 0)
    found = pairs_around(ids, places, 4, left_only, True, 5, centres, neighbours)
    contexts, middles = lay(ids, 4, left_only, dynamic=True, seed=5)
    expected = [(m, c) for m, row in zip(middles, contexts, strict=True) for c in row if c >= 0]
    pairs = zip(centres[:found, 0], neighbours[:found], strict=True)
    assert [(int(a), int(b)) for a, b in pairs] == [(int(a), int(b)) for a, b in expected]


@pytest.mark.parametrize("window", [1, 3, 7])
@pytest.mark.parametrize("left_only", [False, True])
@pytest.mark.parametrize("seed", [0, 5])
def test_dynamic_windows_are_those_of_a_plain_loop(rng, window, left_only, seed):
    ids = text(rng)
    contexts, centres = lay(ids, window, left_only, dynamic=True, seed=seed)
    expected = list(naive.window_examples(ids, window, left_only, seed))
    assert centres.tolist() == [centre for _, centre in expected]
    assert contexts.tolist() == [slots for slots, _ in expected]


@pytest.mark.parametrize("dynamic", [False, True])
@pytest.mark.parametrize("left_only", [False, True])
@pytest.mark.parametrize("n", [0, 1, 60])
def test_pairs_are_those_of_a_plain_loop(rng, n, left_only, dynamic):
    ids = text(rng, n)
    centres, neighbours = np.full((8 * n, 1), -9, np.int32), np.full(8 * n, -9, np.int32)
    places = np.flatnonzero(ids >= 0)
    found = pairs_around(ids, places, 4, left_only, dynamic, 5, centres, neighbours)
    examples = naive.window_examples(ids, 4, left_only, 5 if dynamic else None)
    expected = [(int(centre), c) for slots, centre in examples for c in slots if c >= 0]
    assert list(zip(centres[:, 0].tolist(), neighbours.tolist(), strict=True))[:found] == expected
    assert (neighbours[found:] == -9).all()


@pytest.mark.parametrize("drop_ends", [False, True])
@pytest.mark.parametrize("n", [0, 1, 60])
def test_dropped_words_are_those_of_a_plain_loop(rng, n, drop_ends):
    ids, keep = text(rng, n), rng.uniform(0, 1.3, 9)
    out = np.full(n, -9, np.int32)
    written = drop_tokens(ids, keep, 7, 100, drop_ends, out)
    assert out[:written].tolist() == naive.drop_tokens(ids, keep, 7, 100, drop_ends)
    assert (out[written:] == -9).all()


def test_frequent_words_are_dropped_with_their_probability(rng):
    ids = np.tile(np.array([0, 1, -1], np.int32), 20_000)
    out = np.empty_like(ids)
    keep = np.array([0.3, 1.0])
    written = drop_tokens(ids, keep, 7, 0, False, out)
    kept = np.bincount(out[:written] + 1)
    assert kept[0] == kept[2] == 20_000
    assert kept[1] == pytest.approx(6000, rel=0.05)
    assert drop_tokens(ids, np.ones(2), 7, 0, True, out) == 40_000  # without ends of sentences


def test_which_words_are_dropped_depends_on_seed_and_place_alone(rng):
    ids, keep = rng.integers(0, 5, 1000).astype(np.int32), np.full(5, 0.5)
    whole, half, other = (np.empty_like(ids) for _ in range(3))
    n = drop_tokens(ids, keep, 7, 100, False, whole)
    m = drop_tokens(ids[500:], keep, 7, 600, False, half)
    np.testing.assert_array_equal(whole[n - m : n], half[:m])
    k = drop_tokens(ids, keep, 8, 100, False, other)
    assert whole[:n].tolist() != other[:k].tolist()
