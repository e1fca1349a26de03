from collections import Counter

import naive
import numpy as np
import pytest

from embedder.kernels.phrases import (
    Triples,
    add_triples,
    count_ids,
    count_triples,
    find,
    grown,
    join_pairs,
    list_pairs,
    new_triples,
    place_of,
)

WORDS = 12
CONNECTORS = [[], [3], [0, 3, 7]]


def random_triples(rng, n, largest=9):
    return rng.integers(0, largest, (n, 3)).astype(np.int32)


def random_sentences(rng, sentences=60):
    return [rng.integers(0, WORDS, rng.integers(0, 15)).tolist() for _ in range(sentences)]


def stream(sentences):
    return np.array([i for sentence in sentences for i in [*sentence, -1]], np.int32)


def connects(connectors):
    return np.isin(np.arange(WORDS), connectors)


def contents(table):
    """{triple: value} in order of places."""
    used = int(table.used[0])
    keys = [tuple(key) for key in table.keys[:used].tolist()]
    return dict(zip(keys, table.values[:used].tolist(), strict=True))


def test_find_gives_the_triples_slot_or_a_free_one():
    keys = np.array([[1, 2, 3], [4, 5, 6], [7, 8, 9]], np.int32)
    slots = np.array([1, -1, -1, -1, -1, 2, 0, 1], np.int32)
    slots[[0, 5, 6, 7]] = [2, -1, 0, 1]
    table = Triples(slots, keys, np.zeros(3, np.int64), np.array([3]))
    code = np.uint64(6)  # all three wanted slot 6; the last went round to slot 0
    assert [int(find(table, code, *key)) for key in keys] == [6, 7, 0]
    for key in [(1, 2, 4), (1, 0, 3), (0, 2, 3)]:
        assert find(table, code, *np.array(key, np.int32)) == 1
    assert find(table, np.uint64(5), *keys[0]) == 5


@pytest.mark.parametrize("n", [0, 1, 31, 32])
def test_places_are_in_the_order_of_first_appearance(rng, n):
    table, keys = new_triples(32), random_triples(rng, n)
    add_triples(keys, table)
    expected = naive.number_triples(map(tuple, keys.tolist()))
    assert list(contents(table)) == list(expected)
    for a in range(9):
        for between in range(9):
            for b in range(9):
                found = place_of(table, a, between, b)
                assert found == expected.get((a, between, b), -1)


def test_adding_what_is_there_changes_nothing(rng):
    table, keys = new_triples(32), random_triples(rng, 20)
    add_triples(keys, table)
    before = [array.copy() for array in table]
    add_triples(keys[::-1].copy(), table)
    for one, other in zip(before, table, strict=True):
        np.testing.assert_array_equal(one, other)


def test_triples_are_added_up_to_the_last_place(rng):
    keys = np.unique(random_triples(rng, 99), axis=0)[:32]
    table = new_triples(32)
    add_triples(keys, table)
    assert table.used[0] == 32
    places = [place_of(table, *key) for key in keys.tolist()]
    assert places == list(range(32))
    assert place_of(table, 99, 99, 99) == -1


def test_a_grown_table_has_the_same_triples_and_twice_the_room(rng):
    table = new_triples(1)
    keys = [tuple(key) for key in random_triples(rng, 200, 2**31 - 1).tolist()]
    for number, key in enumerate(keys):
        if table.used[0] == len(table.keys):
            before = contents(table)
            table = grown(table)
            assert contents(table) == before
            assert len(table.keys) == len(table.values) == 2 * len(before)
        add_triples(np.array([key], np.int32), table)
        table.values[number] = 7 * number
    assert contents(table) == {key: 7 * number for number, key in enumerate(keys)}
    assert [place_of(table, *key) for key in keys] == list(range(200))


def inner_words(sequences, number):
    """The words that connect which a sequence's number stands for."""
    words = ()
    while number:
        number, _, word = sequences.keys[number - 1].tolist()
        words = (word, *words)
    return words


def list_all(ids, connectors, parts=1, room=1024, piece=10**6):
    """[((first, between…, second), part)], and how often the table had to grow."""
    state, stops = np.array([0, -1, 0]), 0
    sequences, found = new_triples(room), []
    for start in range(0, len(ids), piece):
        own = ids[start : start + piece]
        state[0] = 0
        while state[0] < len(own):
            pairs, owners = np.full((len(own), 3), -9, np.int32), np.full(len(own), -9)
            n = list_pairs(own, connects(connectors), parts, state, sequences, pairs, owners)
            found += zip(pairs[:n].tolist(), owners[:n].tolist(), strict=True)
            if state[0] < len(own):
                assert len(sequences.keys) == sequences.used[0]
                sequences, stops = grown(sequences), stops + 1
    named = [((a, *inner_words(sequences, s), b), part) for (a, s, b), part in found]
    return named, stops


def count(ids, connectors, **options):
    """{(first, between…, second): times}."""
    return Counter(pair for pair, _ in list_all(ids, connectors, **options)[0])


@pytest.mark.parametrize("connectors", CONNECTORS)
def test_pairs_are_those_of_a_plain_loop(rng, connectors):
    sentences = random_sentences(rng)
    found = count(stream(sentences), connectors)
    assert found == naive.count_pairs(sentences, connectors)
    assert max(map(len, found)) > 2 or not connectors


@pytest.mark.parametrize("sentence", [[], [3], [5], [5, 3], [3, 5], [5, 3, 3, 5], [5, 5, 5]])
def test_pairs_of_short_texts_are_counted_without_a_sentence_end(sentence):
    found = count(np.array(sentence, np.int32), [3])
    assert found == naive.count_pairs([sentence], [3])


@pytest.mark.parametrize("parts", [2, 3, 7])
def test_equal_pairs_belong_to_one_part_and_every_part_has_some(rng, parts):
    found, _ = list_all(stream(random_sentences(rng)), [0, 3], parts)
    assert {part for _, part in found} == set(range(parts))
    assert len(set(found)) == len({pair for pair, _ in found})


@pytest.mark.parametrize("piece", [1, 2, 7, 100])
def test_pairs_are_the_same_whatever_the_pieces(rng, piece):
    ids = stream(random_sentences(rng))
    assert list_all(ids, [0, 3, 7], piece=piece) == list_all(ids, [0, 3, 7])


def test_a_list_that_stops_at_a_full_table_goes_on_where_it_stopped(rng):
    ids = stream(random_sentences(rng))
    found, stops = list_all(ids, [0, 3, 7], room=1)
    assert found == list_all(ids, [0, 3, 7])[0]
    assert stops > 3


def test_triples_are_counted_until_the_table_is_full(rng):
    keys = random_triples(rng, 300, 4)
    expected = Counter(map(tuple, keys.tolist()))
    table, counted, stops = new_triples(1), 0, 0
    while (counted := count_triples(keys, counted, table)) < len(keys):
        assert table.used[0] == len(table.keys)
        table, stops = grown(table), stops + 1
    assert contents(table) == expected
    assert list(contents(table)) == list(expected)
    assert stops >= 6
    assert count_triples(keys[:0], 0, table) == 0


@pytest.mark.parametrize("phrases", [0, 1, 20, 200])
@pytest.mark.parametrize("connectors", CONNECTORS)
def test_phrases_are_joined_as_by_a_plain_loop(rng, connectors, phrases):
    sentences = random_sentences(rng)
    pairs = sorted(naive.count_pairs(sentences, connectors))
    chosen = [pairs[i] for i in rng.permutation(len(pairs))[:phrases]]
    joined = {pair: WORDS + i for i, pair in enumerate(chosen)}
    sequences, table = new_triples(1024), new_triples(1024)
    for number, (first, *inner, second) in enumerate(chosen):
        between = 0
        for word in inner:
            add_triples(np.array([[between, 0, word]], np.int32), sequences)
            between = int(place_of(sequences, between, 0, word)) + 1
        add_triples(np.array([[first, between, second]], np.int32), table)
        table.values[number] = WORDS + number
    expected = stream([naive.join_pairs(s, joined, connectors) for s in sentences])
    for end in (len(expected), len(expected) - 1):  # with the last sentence's end, and without
        ids = stream(sentences)[: end - len(expected) or None].copy()
        left = join_pairs(ids, connects(connectors), sequences, table)
        assert ids[:left].tolist() == expected[:end].tolist()


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        ([], []),
        ([1, 2], [20]),
        ([1, 2, 2], [20, 2]),
        ([1, 1, 2, 1, 2], [1, 20, 20]),
        ([1, 3, 2], [21]),
        ([1, 3, 3, 2], [1, 3, 3, 2]),
        ([1, 0, 2], [1, 0, 2]),
        ([1, 3, 1, 2, 3], [1, 3, 20, 3]),
        ([3, 1, 3, 2, 3, 2], [3, 21, 3, 2]),
        ([1, 3], [1, 3]),
        ([1, -1, 2], [1, -1, 2]),
        ([1, 3, -1, 2], [1, 3, -1, 2]),
    ],
)
def test_words_and_connectors_that_are_no_phrase_stay(sentence, expected):
    sequences, table = new_triples(4), new_triples(4)
    add_triples(np.array([[0, 0, 3]], np.int32), sequences)
    add_triples(np.array([[1, 0, 2], [1, 1, 2]], np.int32), table)
    table.values[:2] = 20, 21
    ids = np.array(sentence, np.int32)
    left = join_pairs(ids, connects([0, 3]), sequences, table)
    assert ids[:left].tolist() == expected


def test_ids_are_added_to_their_counts(rng):
    ids = stream(random_sentences(rng))
    counts = np.zeros(WORDS + 1, np.int64)
    count_ids(ids[:0], counts)
    count_ids(ids, counts)
    count_ids(ids, counts)
    assert counts.tolist() == [2 * n for n in naive.count_ids(ids, WORDS + 1)]
