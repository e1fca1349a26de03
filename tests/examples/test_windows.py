from collections import Counter

import naive
import numpy as np
import pytest

from embedder.config_files import make_config
from embedder.errors import CorpusError
from embedder.examples.windows import WindowStream, list_windows, split_text
from embedder.text.vocabulary import Vocabulary

V = 20


def vocabulary():
    return Vocabulary([f"w{i}" for i in range(V)], np.arange(V, 0, -1))


def text(rng, n=3000):
    ids = rng.integers(0, V, n).astype(np.int32)
    ids[rng.random(n) < 0.1] = -1
    return ids


def config(inputs="mean", batch_size=64, passes=2, subsample=0.0, validation=None, **examples):
    return make_config(
        {
            "corpus": {"files": ["a"]},
            "vocabulary": {"subsample": subsample},
            "examples": {"source": "windows", "window": 2} | examples,
            "network": {"input": inputs},
            "training": {"batch_size": batch_size, "passes": passes},
            "validation": validation or {},
        },
        "test",
    )


def examples_of(batches):
    return Counter(
        (tuple(context), int(target))
        for batch in batches
        for context, target in zip(batch.inputs.tolist(), batch.targets.columns, strict=True)
    )


@pytest.mark.parametrize("shuffle_windows", [1, 7, 5000])
@pytest.mark.parametrize("shuffle_tokens", [1 << 20, 400])
def test_a_pass_contains_every_window_once(rng, shuffle_tokens, shuffle_windows):
    ids = text(rng)
    settings = config(passes=1, shuffle_tokens=shuffle_tokens, shuffle_windows=shuffle_windows)
    batches = list(WindowStream(ids, vocabulary(), settings).batches())
    expected = Counter((tuple(c), int(t)) for c, t in naive.window_examples(ids, 2, False))
    found = examples_of(batches)
    if shuffle_tokens > len(ids):
        # Windows do not cross pieces: 16 of these, each with two words on either side of its ends.
        assert sum((expected - found).values()) <= 16 * 4
    assert sum(found.values()) == sum(expected.values())
    assert Counter(t for _, t in found.elements()) == Counter(t for _, t in expected.elements())


def test_words_predict_their_neighbours(rng):
    ids = text(rng)
    stream = WindowStream(ids, vocabulary(), config("word", passes=1, shuffle_tokens=1 << 20))
    found = examples_of(stream.batches())
    pairs = Counter((centre, neighbour) for centre, neighbour, _, _ in pairs_of(ids))
    assert sum(found.values()) == pytest.approx(sum(pairs.values()), rel=0.03)
    # An estimate: it ignores sentence ends.
    assert stream.steps_per_pass == pytest.approx(sum(pairs.values()) / 64, rel=0.4)


def pairs_of(ids):
    sentences = [part[part >= 0].tolist() for part in np.split(ids, np.flatnonzero(ids < 0))]
    return naive.windows(sentences, [1.0, 1.0])


def test_progress_rises_to_one_and_passes_end_at_whole_numbers(rng):
    batches = list(WindowStream(text(rng), vocabulary(), config(shuffle_tokens=700)).batches())
    progress = [batch.progress for batch in batches]
    assert progress[0] == 0
    assert progress == sorted(progress)
    assert batches[-1].passes == 2
    assert sum(batch.passes == 1 for batch in batches) == 1
    assert all(len(batch.inputs) <= 64 for batch in batches)


def test_the_order_is_random_and_differs_between_passes(rng):
    batches = list(WindowStream(text(rng), vocabulary(), config()).batches())
    half = next(i for i, batch in enumerate(batches) if batch.passes == 1) + 1
    first, second = (
        np.concatenate([batch.targets.columns for batch in part])
        for part in (batches[:half], batches[half:])
    )
    assert first.tolist() != second.tolist()
    assert sorted(first) == sorted(second)
    assert np.abs(np.diff(first)).mean() > 3  # neighbours in the text are apart


@pytest.mark.parametrize("inputs", ["mean", "word"])
def test_successive_windows_may_stay_together(rng, inputs):
    ids = np.arange(1, 71, dtype=np.int32)  # a different word everywhere
    words = Vocabulary([f"w{i}" for i in range(71)], np.ones(71, np.int64))
    stream = WindowStream(ids, words, config(inputs, shuffle_tokens=10_000, shuffle_windows=7))
    contexts = np.concatenate([batch.inputs[:, 0] for batch in stream.batches()])
    steps = np.diff(contexts[:70]) if inputs == "mean" else np.diff(contexts[:200])
    assert 0.7 < (np.abs(steps) <= 4).mean() < 1  # apart from the seams of blocks and pieces


def test_a_stream_resumes_from_any_position(rng):
    ids = text(rng)
    settings = config(shuffle_tokens=700, subsample=1e-2, dynamic=True)
    whole = list(WindowStream(ids, vocabulary(), settings).batches())
    stream = WindowStream(ids, vocabulary(), settings)
    positions = []
    for _ in stream.batches():
        positions.append(stream.position())
    for number in (0, 1, len(whole) // 2, len(whole) - 1):
        again = WindowStream(ids, vocabulary(), settings)
        again.seek(positions[number])
        rest = list(again.batches())
        assert len(rest) == len(whole) - number - 1
        for one, other in zip(rest, whole[number + 1 :], strict=True):
            np.testing.assert_array_equal(one.inputs, other.inputs)
            np.testing.assert_array_equal(one.targets.columns, other.targets.columns)
            assert one.progress == pytest.approx(other.progress)


def test_each_pass_drops_other_occurrences(rng):
    stream = WindowStream(text(rng), vocabulary(), config(subsample=1e-3))
    found = [Counter(), Counter()]
    for batch in stream.batches():
        found[int(np.ceil(batch.passes)) - 1].update(batch.targets.columns.tolist())
    assert found[0] != found[1]
    assert found[0].total() < 0.5 * 2700


def test_windows_across_sentences_have_gaps_only_at_the_ends_of_pieces(rng):
    ids = text(rng)
    settings = config(shuffle_tokens=1 << 20, across_sentences=True, passes=1)
    batches = list(WindowStream(ids, vocabulary(), settings).batches())
    gaps = sum(int((batch.inputs < 0).any(1).sum()) for batch in batches)
    assert gaps <= 16 * 4


@pytest.mark.parametrize("inputs", ["mean", "concat", "word"])
def test_listed_windows_are_in_the_order_of_the_text(rng, inputs):
    ids = text(rng, 200)
    settings = config(inputs, sides="left")
    windows = list_windows(ids, np.flatnonzero(ids >= 0), settings)
    expected = list(naive.window_examples(ids, 2, True))
    if inputs == "word":
        expected = [([t], c) for slots, t in expected for c in slots if c >= 0]
    assert windows.contexts.tolist() == [list(slots) for slots, _ in expected]
    assert windows.targets.tolist() == [t for _, t in expected]


def test_a_text_is_split_by_the_number_of_words(rng, tmp_path):
    ids = text(rng)
    split = split_text(ids, vocabulary(), config(validation={"split": [1000, 500]}), tmp_path)
    assert [int((part >= 0).sum()) for part in split[:2]] == [1000, 500]
    np.testing.assert_array_equal(np.concatenate(split), ids)
    with pytest.raises(CorpusError, match="requires 9,000 words"):
        split_text(ids, vocabulary(), config(validation={"split": [8000, 1000]}), tmp_path)


def test_a_fraction_holds_out_whole_sentences(rng, tmp_path):
    ids = text(rng)
    split = split_text(ids, vocabulary(), config(validation={"fraction": 0.3}), tmp_path)
    sizes = [int((part >= 0).sum()) for part in split[:2]]
    assert sum(sizes) == (ids >= 0).sum()
    assert sizes[1] / sum(sizes) == pytest.approx(0.3, abs=0.08)
    assert split.test is None


def test_validation_files_are_encoded_with_the_vocabulary(tmp_path, write):
    path = write("held-out.txt", "w3 w1 nothing w4\nw2\n")
    split = split_text(
        np.zeros(5, np.int32), vocabulary(), config(validation={"files": [str(path)]}), tmp_path
    )
    assert split.validation.tolist() == [3, 1, 4, -1, 2, -1]
