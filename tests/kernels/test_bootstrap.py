import naive
import numpy as np
import pytest

from embedder.kernels.bootstrap import cut_blocks, repeat_blocks

ANY = 1 << 62


def cut(ids, length, longest):
    starts = np.empty(len(ids) + 1, np.int64)
    return starts[: cut_blocks(ids, length, longest, starts) + 1].tolist()


def text(rng, words, ends):
    """Random ids with sentence ends, never two in a row, as corpora have them."""
    ids = rng.integers(0, 50, words).astype(np.int32)
    ids[rng.random(words) < ends] = -1
    return ids[(ids >= 0) | (np.append(0, ids[:-1]) >= 0)]


@pytest.mark.parametrize("ends", [0.0, 0.05, 0.3])
@pytest.mark.parametrize(("length", "longest"), [(1, ANY), (7, 14), (7, 7), (1000, 2000)])
def test_blocks_end_with_sentences_that_reach_the_length(rng, length, longest, ends):
    for words in (1, 6, 7, 8, 300):
        ids = text(rng, words, ends)
        assert cut(ids, length, longest) == naive.cut_blocks(ids.tolist(), length, longest)


def test_a_short_text_is_one_block_and_an_empty_one_is_none():
    assert cut(np.array([3, 4, -1], np.int32), 10, 20) == [0, 3]
    assert cut(np.empty(0, np.int32), 10, 20) == [0]
    assert cut(np.array([3, -1, 4, -1], np.int32), 1, ANY) == [0, 2, 4]
    assert cut(np.array([3, 4, 5, 6, 7], np.int32), 2, 2) == [0, 2, 4, 5]


def test_blocks_are_repeated_as_often_as_they_were_drawn_each_as_sentences(rng):
    for ends in (0.0, 0.1):
        ids = text(rng, 200, ends)
        starts = np.array(cut(ids, 5, 10))
        times = rng.integers(0, 4, len(starts) - 1)
        out = np.empty(int(times @ (np.diff(starts) + 1)), np.int32)
        written = repeat_blocks(ids, starts, times, out)
        assert out[:written].tolist() == naive.repeat_blocks(ids.tolist(), starts, times)


def test_no_block_drawn_is_no_text():
    ids = np.array([1, 2, -1], np.int32)
    assert repeat_blocks(ids, np.array([0, 3]), np.array([0]), np.empty(0, np.int32)) == 0
