import naive
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embedder.config_sections.network import ExamplesConfig
from embedder.errors import CorpusError
from embedder.examples import cells
from embedder.examples.cells import Cooccurrences
from embedder.examples.cooccurrence import (
    CountingOptions,
    TokenSample,
    context_words,
    count_cooccurrences,
    distance_multiples,
    distance_weights,
    no_pairs_error,
)
from embedder.kernels.threads import kernel_threads

KEEP_ALL = np.ones(6)


def stream(sentences):
    return np.array([i for sentence in sentences for i in [*sentence, -1]], np.int32)


def count(sentences, folder, keep=KEEP_ALL, threads=2, seed=1, **options):
    how = CountingOptions(ExamplesConfig(**options))
    with kernel_threads(threads):
        return count_cooccurrences(stream(sentences), TokenSample(keep, seed), how, folder)


def dense(counts, contexts=18):
    V = len(counts.offsets) - 1
    out = np.zeros((V, contexts))
    for row in range(V):
        here = slice(counts.offsets[row], counts.offsets[row + 1])
        assert (np.diff(counts.columns[here]) > 0).all()
        out[row, counts.columns[here]] = counts.weights[here]
    return out


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.lists(st.integers(0, 5), max_size=9), min_size=1, max_size=6),
    st.integers(1, 7),
    st.sampled_from(["linear", "uniform", "harmonic"]),
    st.integers(1, 3),
    st.sampled_from([(0, 5), (1, 6), (2, 4), (3, 100)]),
)
def test_counts_agree_with_naive_windows(tmp_path_factory, sentences, window, shape, threads, near):
    folder = tmp_path_factory.mktemp("cells")
    options = dict(zip(("near", "near_contexts"), near, strict=True))
    config = ExamplesConfig(window=window, window_weights=shape, **options)
    expected = naive.cooccurrences(sentences, 6, distance_weights(config), *near)
    contexts = len(context_words(6, config))
    assert expected.shape == (6, contexts)
    if expected.sum() == 0:
        with pytest.raises(CorpusError, match="No two words"):
            count(sentences, folder, window=window, window_weights=shape, **options)
        return
    found = count(
        sentences, folder, threads=threads, window=window, window_weights=shape, **options
    )
    np.testing.assert_allclose(dense(found, contexts), expected, rtol=1e-6)
    np.testing.assert_allclose(found.row_totals(), expected.sum(1), rtol=1e-6)
    np.testing.assert_allclose(found.column_totals(contexts), expected.sum(0), rtol=1e-6)


@pytest.mark.parametrize("sampled", [True, False])
def test_a_text_that_subsampling_left_nothing_of_may_keep_all(sampled):
    error = no_pairs_error(np.array([1.0, 0.1 if sampled else 1.0]))
    assert ("vocabulary.subsample=0" in str(error)) == sampled


def test_distance_weights():
    def weights(shape, **options):
        return distance_weights(ExamplesConfig(window=4, window_weights=shape, **options)).tolist()

    assert weights("linear", wide_window=0) == [1.0, 0.75, 0.5, 0.25]
    assert weights("uniform") == [1.0] * 4
    assert weights("harmonic") == [1.0, 1 / 2, 1 / 3, 1 / 4]


@pytest.mark.parametrize(("window", "wide", "weight"), [(5, "auto", 0.3), (7, 9, 0.37), (6, 4, 1)])
def test_a_wide_window_adds_a_share_of_its_own_linear_weights(window, wide, weight):
    config = ExamplesConfig(window=window, wide_window=wide, wide_weight=weight)
    width = 3 * window if wide == "auto" else wide
    distance = np.arange(1, max(window, width) + 1)
    expected = np.maximum(0, 1 - (distance - 1) / window)
    expected += weight * np.maximum(0, 1 - (distance - 1) / width)
    np.testing.assert_allclose(distance_weights(config), expected, rtol=1e-12)
    multiples, _ = distance_multiples(config)
    np.testing.assert_array_equal(multiples, np.round(multiples))


def test_wide_windows_need_counts_with_linear_weights():
    for options in ({"window_weights": "harmonic"}, {"source": "windows"}):
        assert ExamplesConfig(**options).reach == 5
        with pytest.raises(ValueError, match=r"wide_window.*expected 0 or auto"):
            ExamplesConfig(**options, wide_window=20)


def long_text(rng):
    return [rng.integers(0, 6, 30).tolist() for _ in range(200)]


def test_slabs_do_not_change_the_counts(tmp_path, rng, monkeypatch):
    sentences = long_text(rng)
    whole = dense(count(sentences, tmp_path))
    monkeypatch.setattr(cells, "CELLS_PER_SLAB", 7)
    np.testing.assert_array_equal(dense(count(sentences, tmp_path)), whole)


@pytest.mark.parametrize("limit", [1, 100, 5000])
def test_a_memory_limit_does_not_change_the_counts(tmp_path, rng, limit):
    sentences = long_text(rng)
    whole = Cooccurrences(*map(np.array, count(sentences, tmp_path)))
    how = CountingOptions(ExamplesConfig(), limit)
    limited = count_cooccurrences(stream(sentences), TokenSample(KEEP_ALL, 1), how, tmp_path)
    for one, other in zip(whole, limited, strict=True):
        np.testing.assert_array_equal(one, other)


def test_dropping_depends_on_the_seed_and_not_on_threads(tmp_path, rng):
    sentences = long_text(rng)
    keep = np.array([0.1, 0.5, 1.0, 1.0, 1.0, 1.0])
    found = [
        dense(count(sentences, tmp_path, keep, threads, seed))
        for threads, seed in [(1, 1), (3, 1), (1, 2)]
    ]
    np.testing.assert_array_equal(found[0], found[1])
    assert (found[0] != found[2]).any()


def test_words_are_dropped_at_their_rate_and_windows_span_the_gaps(tmp_path):
    sentence = [[0, 1, 2] * 4000]
    keep = np.array([1.0, 0.25, 1.0, 1.0, 1.0, 1.0])
    found = dense(count(sentence, tmp_path, keep, window=1, wide_window=0, near=0))
    # A 1 remains between 0 and 2 with probability 1/4; otherwise 0 has a 2 on both sides.
    assert found[0, 1] / 4000 == pytest.approx(0.25, abs=0.03)
    assert found[0, 2] / 4000 == pytest.approx(1.75, abs=0.03)


def test_counts_of_held_out_sentences_and_of_the_rest_sum_to_the_whole(tmp_path, rng):
    sentences = long_text(rng)
    ids = stream(sentences)
    parts = [
        dense(
            count_cooccurrences(
                ids,
                TokenSample(KEEP_ALL, 1, 0.3, side),
                CountingOptions(ExamplesConfig()),
                tmp_path,
            )
        )
        for side in (False, True)
    ]
    np.testing.assert_allclose(sum(parts), dense(count(sentences, tmp_path)), rtol=1e-6)
    assert parts[1].sum() / sum(parts).sum() == pytest.approx(0.3, abs=0.1)
