import naive
import numpy as np
import pytest
from numba import njit

from embedder.arrays import offsets_from_lengths
from embedder.kernels.counts import (
    ContextRules,
    PositionIndex,
    RowBuffers,
    add_rows,
    close_gaps,
    count_rows,
    count_tokens,
    group_rows,
    index_positions,
    lowest_bit,
    positive_pmi_rows,
    sample_tokens,
    uniform,
)
from embedder.kernels.threads import kernel_threads

MULTIPLES, DIVISOR = np.array([10.0, 7.0, 1.0]), 10.0
WEIGHTS = MULTIPLES / DIVISOR


def random_sentences(rng, V, sentences=25, longest=12):
    """Among them empty ones."""
    return [rng.integers(0, V, rng.integers(0, longest)).tolist() for _ in range(sentences)]


def stream(sentences):
    return np.array([i for sentence in sentences for i in [*sentence, -1]], np.int32)


def test_uniform_is_splitmix64():
    published = [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]  # from seed 0
    assert [uniform(0, n) for n in (1, 2, 3)] == [(z >> 11) / 2**53 for z in published]


def test_uniform_is_that_of_whole_numbers_modulo_two_to_the_64(rng):
    seeds = [0, 1, 7, 2**32, 2**62, *rng.integers(0, 2**62, 200).tolist()]
    for seed in seeds:
        for counter in (0, 1, 63, 2**31, 2**62 - 1):
            assert uniform(seed, counter) == naive.uniform(seed, counter)


def test_uniform_numbers_fill_their_range_evenly():
    numbers = np.array([uniform(3, i) for i in range(10_000)])
    assert numbers.min() >= 0
    assert numbers.max() < 1
    np.testing.assert_allclose(np.histogram(numbers, 10, (0, 1))[0], 1000, rtol=0.12)


def sample(ids, keep, seed, held_out, side, place=0, sentence=0):
    out = np.full(len(ids), -9, np.int32)
    written = sample_tokens(ids, keep, seed, held_out, side, out, place, sentence)
    assert (out[written:] == -9).all()
    return out[:written].tolist()


@pytest.mark.parametrize("before", [(0, 0), (1000, 17)])
@pytest.mark.parametrize("held_out", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("side", [False, True])
def test_a_sample_is_that_of_a_plain_loop(rng, side, held_out, before):
    ids = stream(random_sentences(rng, 5))
    keep = np.array([0.0, 0.2, 0.7, 1.0, 1.5])
    for text in (ids, ids[:-1], ids[:1], ids[:0]):
        expected = naive.sample_tokens(text, keep, 3, held_out, side, *before)
        assert sample(text, keep, 3, held_out, side, *before) == expected


def test_the_sides_of_the_split_have_each_sentence_once(rng):
    sentences = [s for s in random_sentences(rng, 5) if s]
    parts = [sample(stream(sentences), np.ones(5), 3, 0.4, side) for side in (False, True)]
    assert sum(len(part) for part in parts) == len(stream(sentences))
    assert all(parts)
    for i, sentence in enumerate(sentences):
        part = parts[naive.uniform(4, i) < 0.4]
        assert part[: len(sentence) + 1] == [*sentence, -1]
        del part[: len(sentence) + 1]


def test_text_begins_at_the_beginning_unless_told_otherwise(rng):
    ids, out = stream(random_sentences(rng, 5)), np.empty(400, np.int32)
    keep = np.full(5, 0.5)
    written = sample_tokens(ids, keep, 3, 0.3, False, out)
    assert out[:written].tolist() == sample(ids, keep, 3, 0.3, False, 0, 0)


@pytest.mark.parametrize("side", [False, True])
def test_a_text_in_two_parts_has_the_sample_of_the_whole(rng, side):
    ids = stream(random_sentences(rng, 5))
    keep = np.array([0.1, 0.3, 0.5, 0.8, 1.0])
    whole = sample(ids, keep, 8, 0.3, side)
    assert whole
    for cut in (0, *(np.flatnonzero(ids < 0) + 1)):
        one = sample(ids[:cut], keep, 8, 0.3, side)
        place, sentence = int(cut), int((ids[:cut] < 0).sum())
        assert one + sample(ids[cut:], keep, 8, 0.3, side, place, sentence) == whole


def test_tokens_are_counted_and_added_to_the_counts(rng):
    ids = stream(random_sentences(rng, 5))
    counts = np.zeros(6, np.int64)
    count_tokens(ids, counts)
    assert counts.tolist() == naive.count_ids(ids, 6)
    count_tokens(ids[:0], counts)
    count_tokens(ids, counts)
    assert counts.tolist() == [2 * n for n in naive.count_ids(ids, 6)]


@njit
def lowest(bits):
    return lowest_bit(bits)


def test_the_lowest_bit_is_found():
    for bits in (1, 2, 3, 12, 1 << 31, 1 << 63, (1 << 64) - 1, 0b1011 << 60 & (1 << 64) - 1):
        assert lowest(np.uint64(bits)) == (bits & -bits).bit_length() - 1


def index_of(ids, words, dtype=np.int32):
    """The index of some consecutive words, in Python."""
    places = naive.positions(ids, words)
    starts = offsets_from_lengths(np.array([len(own) for own in places], np.int64))
    return PositionIndex(ids, starts, np.array([p for own in places for p in own], dtype))


@pytest.mark.parametrize("dtype", [np.int32, np.int64])
@pytest.mark.parametrize(("first", "last"), [(0, 7), (2, 5), (6, 7), (3, 3)])
def test_the_positions_of_words_are_listed_in_order(rng, first, last, dtype):
    ids = stream(random_sentences(rng, 6))  # the last word stands nowhere
    expected = index_of(ids, range(first, last), dtype)
    found = expected._replace(positions=np.full_like(expected.positions, -9))
    index_positions(found, first)
    np.testing.assert_array_equal(found.positions, expected.positions)


def count(ids, words, rules, threads, spare=3):
    """Counts (words, C) of some consecutive words, dense, and the rows as they came out."""
    room = np.arange(len(words) + 1) * (rules.contexts + spare)
    columns, weights = np.full(room[-1], -9, np.int32), np.full(room[-1], np.nan)
    rows = RowBuffers(room, columns, weights, np.full(len(words), -9))
    with kernel_threads(threads):
        count_rows(index_of(ids, words), rules, rows)
    dense = np.zeros((len(words), rules.contexts))
    for i, n in enumerate(rows.used):
        own = slice(room[i], room[i] + n)
        assert (np.diff(columns[own]) > 0).all()
        assert (columns[own.stop : room[i + 1]] == -9).all()
        dense[i, columns[own]] = weights[own]
    return dense, rows


NEAR = [(0, 0), (1, 1), (2, 40), (9, 1000)]  # distance, contexts


@pytest.mark.parametrize("threads", [1, 2, 7])
@pytest.mark.parametrize(("near", "near_contexts"), NEAR)
@pytest.mark.parametrize("V", [1, 2, 63, 64, 65, 130])  # 64 are marked at a time
def test_rows_of_counts_agree_with_plain_windows(rng, V, near, near_contexts, threads):
    sentences = random_sentences(rng, V)
    expected = naive.cooccurrences(sentences, V, WEIGHTS, near, near_contexts)
    rules = ContextRules(V, expected.shape[1], near, MULTIPLES, DIVISOR)
    found, rows = count(stream(sentences), range(V), rules, threads)
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    assert rows.used.tolist() == (expected > 0).sum(1).tolist()


def test_rows_of_some_words_are_theirs_among_all(rng):
    sentences = random_sentences(rng, 40)
    expected = naive.cooccurrences(sentences, 40, WEIGHTS, 1, 9)
    rules = ContextRules(40, 58, 1, MULTIPLES, DIVISOR)
    for words in (range(0, 1), range(11, 31), range(39, 40), range(5, 5)):
        found, _ = count(stream(sentences), words, rules, 2)
        np.testing.assert_allclose(found, expected[words.start : words.stop], rtol=1e-12)


def test_rows_are_in_order_in_a_large_vocabulary(rng):
    words = np.array([0, 63, 64, 4095, 4096, 8191, 9999])  # 64² are marked at a time
    sentences = random_sentences(rng, len(words), 60)
    expected = naive.cooccurrences(sentences, len(words), WEIGHTS)
    ids = stream([words[sentence].tolist() for sentence in sentences])
    for number, word in enumerate(words):
        rules = ContextRules(10_000, 10_000, 0, MULTIPLES, DIVISOR)
        found, _ = count(ids, range(word, word + 1), rules, 1)
        np.testing.assert_array_equal(np.flatnonzero(found), words[expected[number] > 0])
        np.testing.assert_allclose(found[0, words], expected[number], rtol=1e-12)


def test_windows_end_with_the_text_also_without_a_sentence_end(rng):
    ids = rng.integers(0, 4, 30).astype(np.int32)
    for text in (ids, ids[:1], ids[:0]):
        found, _ = count(text, range(4), ContextRules(4, 4, 0, MULTIPLES, DIVISOR), 2)
        np.testing.assert_allclose(found, naive.cooccurrences([text], 4, WEIGHTS), rtol=1e-12)


def test_counts_have_the_same_bits_for_any_number_of_threads(rng):
    ids = stream(random_sentences(rng, 50, 300))
    rules = ContextRules(50, 70, 2, MULTIPLES, DIVISOR)
    runs = [count(ids, range(50), rules, n)[1] for n in (1, 2, 7)]
    for rows in runs[1:]:
        for one, other in zip(runs[0], rows, strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("used", [[], [0], [3], [0, 2, 0, 5, 1, 0], [4, 4, 4]])
def test_rows_are_moved_together(rng, used):
    used = np.array(used, np.int64)
    room = offsets_from_lengths(used + rng.integers(0, 4, len(used)))
    columns = rng.integers(0, 99, room[-1]).astype(np.int32)
    weights = rng.random(room[-1])
    expected = [naive.close_gaps(array, room, used) for array in (columns, weights)]
    cells = close_gaps(columns, weights, room, used)
    assert cells == used.sum()
    assert [columns[:cells].tolist(), weights[:cells].tolist()] == expected


def random_counts(rng, V, contexts, density=0.4):
    """Dense, with an empty row, and as compressed rows."""
    dense = rng.random((V, contexts)) * (rng.random((V, contexts)) < density)
    dense[V // 2] = 0
    rows, columns = np.nonzero(dense)
    offsets = offsets_from_lengths(np.bincount(rows, minlength=V))
    return dense, (offsets, columns.astype(np.int32), dense[rows, columns])


def buffers(counts, first, last):
    offsets, columns, weights = counts
    room = offsets[first : last + 1] - offsets[first]
    used = np.full(last - first, -9)
    own = np.full(room[-1], -9, np.int32), np.full(room[-1], np.nan)
    return (offsets[first : last + 1], columns, weights), RowBuffers(room, *own, used)


def dense_rows(rows, width):
    """What is in each row of buffers, dense; no column occurs twice."""
    out = np.zeros((len(rows.used), width))
    for row, n in enumerate(rows.used):
        own = slice(rows.room[row], rows.room[row] + n)
        assert len(set(rows.columns[own])) == n
        out[row, rows.columns[own]] = rows.weights[own]
    return out


@pytest.mark.parametrize("threads", [1, 2, 7])
@pytest.mark.parametrize("divisor", [1.0, 10.0])
@pytest.mark.parametrize("pieces", [1, 2, 5])
@pytest.mark.parametrize("shape", [(1, 1), (9, 63), (30, 64), (40, 130)])
def test_rows_of_pieces_are_added_up(rng, shape, pieces, divisor, threads):
    found = [random_counts(rng, *shape, density=0.2) for _ in range(pieces)]
    dense = np.array([np.round(9 * own) for own, _ in found])
    offsets = np.array([own[0] for _, own in found])
    columns, weights = (np.concatenate([own[i] for _, own in found]) for i in (1, 2))
    room = offsets.sum(axis=0)
    starts = offsets + offsets_from_lengths(offsets[:, -1])[:-1, None]
    rows = RowBuffers(
        room, np.full(room[-1], -9, np.int32), np.full(room[-1], np.nan), np.full(shape[0], -9)
    )
    with kernel_threads(threads):
        add_rows(starts, columns, np.round(9 * weights), (shape[1], divisor), rows)
    np.testing.assert_array_equal(dense_rows(rows, shape[1]), naive.add(dense) / divisor)
    assert rows.used.tolist() == [len(np.flatnonzero(own.any(0))) for own in dense_cells(found)]
    for row, n in enumerate(rows.used):
        assert (np.diff(rows.columns[room[row] :][:n]) > 0).all()


def dense_cells(found):
    """For each row, which cells it has in each piece."""
    return np.array([own > 0 for own, _ in found]).swapaxes(0, 1)


@pytest.mark.parametrize("cuts", [[], [200], [31, 77, 350]])
def test_counts_of_pieces_of_a_text_have_the_bits_of_the_whole(rng, cuts):
    ids = rng.integers(0, 30, 500).astype(np.int32)
    ids[[30, 76, 199, 349, 499]] = -1
    rules = ContextRules(30, 40, 1, MULTIPLES, DIVISOR)
    expected, _ = count(ids, range(30), rules, 1)
    dense = [
        count(piece, range(30), rules._replace(divisor=1.0), 1)[0] for piece in np.split(ids, cuts)
    ]
    np.testing.assert_array_equal(naive.add(dense) / DIVISOR, expected)


PARTS = [(0.0, 1.0), (0.2, 0.7)]  # all rows, or some


@pytest.mark.parametrize("threads", [1, 2, 7])
@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize(("V", "groups"), [(1, 1), (8, 3), (70, 64), (130, 65), (130, 130)])
def test_contexts_of_one_group_are_added_up(rng, V, groups, part, threads):
    dense, counts = random_counts(rng, V, V)
    group_of = np.r_[np.arange(groups), rng.integers(0, groups, V - groups)].astype(np.int32)
    surprises = rng.random(V)
    first, last = (round(V * share) for share in part)
    own, rows = buffers(counts, first, last)
    constants = np.full(last - first, np.nan)
    with kernel_threads(threads):
        group_rows(own, group_of, surprises, rows, constants)
    expected = naive.group(dense, group_of)[first:last]
    np.testing.assert_allclose(dense_rows(rows, groups), expected, rtol=1e-12)
    np.testing.assert_allclose(constants, (dense @ surprises)[first:last], rtol=1e-12)
    for row, n in enumerate(rows.used):
        assert (np.diff(rows.columns[rows.room[row] :][:n]) > 0).all()


def test_contexts_without_a_group_are_left_out(rng):
    dense, counts = random_counts(rng, 70, 70)
    group_of = rng.integers(-1, 9, 70).astype(np.int32)
    surprises = np.where(group_of < 0, np.inf, 1.0)
    own, rows = buffers(counts, 0, 70)
    constants = np.empty(70)
    group_rows(own, group_of, surprises, rows, constants)
    expected = naive.group(dense, group_of)
    np.testing.assert_allclose(dense_rows(rows, 9), expected, rtol=1e-12)
    np.testing.assert_allclose(constants, expected.sum(axis=1), rtol=1e-12)


@pytest.mark.parametrize("threads", [1, 2, 7])
@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize(("V", "apart"), [(1, 0), (1, 1), (8, 3), (33, 33), (64, 10)])
def test_positive_pmi_is_that_of_contexts_added_up_by_word(rng, V, apart, part, threads):
    words = np.r_[np.arange(V), np.arange(apart), np.arange(apart)]
    dense, counts = random_counts(rng, V, len(words))
    folded = naive.fold(dense, words)
    totals = np.maximum(folded.sum(1), 1e-300)
    expected = naive.positive_pmi(folded, totals)
    shares = np.log(totals / totals.sum()), totals.sum()
    first, last = (round(V * share) for share in part)
    own, rows = buffers(counts, first, last)
    with kernel_threads(threads):
        positive_pmi_rows(own, words, shares, first, rows)
    found = dense_rows(rows, V)
    np.testing.assert_allclose(found, expected[first:last], rtol=1e-5, atol=1e-6)
    assert rows.used.tolist() == (found > 0).sum(1).tolist()

    own, rows = buffers(counts, first, last)
    positive_pmi_rows(own, np.where(words < V // 2, words, -1), shares, first, rows)
    np.testing.assert_array_equal(dense_rows(rows, V)[:, : V // 2], found[:, : V // 2])
    assert rows.used.tolist() == (found[:, : V // 2] > 0).sum(1).tolist()


def test_new_rows_have_the_same_bits_for_any_number_of_threads(rng):
    _, counts = random_counts(rng, 30, 90)
    totals = np.ones(30)
    for number in range(2):
        runs = []
        for threads in (1, 2, 7):
            own, rows = buffers(counts, 0, 30)
            constants = np.empty(30)
            group_of = (np.arange(90) % 13).astype(np.int32)
            with kernel_threads(threads):
                if number:
                    group_rows(own, group_of, np.ones(90), rows, constants)
                else:
                    positive_pmi_rows(own, np.arange(90) % 30, (-totals, 30.0), 0, rows)
            runs.append(rows)
        for other in runs[1:]:
            for one, two in zip(runs[0], other, strict=True):
                np.testing.assert_array_equal(one, two)
