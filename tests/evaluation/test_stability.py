import numpy as np
import pytest

from embedder.errors import RunError, VocabularyError
from embedder.evaluation.stability import stability_of_models, stability_of_run
from embedder.text.vocabulary import Vocabulary
from embedder.vectors.word_vectors import WordVectors

COUNTS = np.array([20_000, 12_000, 5_000, 400, 200, 40, 29, 6, 6, 5])


def models(rng, number, V=10, noise=0.0, names=None):
    base = rng.normal(size=(V, 4))
    words = names or [f"w{i}" for i in range(V)]
    counts = COUNTS[:V] if len(COUNTS) >= V else np.zeros(V, np.int64)
    return [
        WordVectors(
            Vocabulary(words, counts), (base + rng.normal(0, noise, base.shape)).astype(np.float32)
        )
        for _ in range(number)
    ]


def plain_overlap(one, other, word, k):
    near = [{own.word for own in each.neighbors(word, k)} for each in (one, other)]
    return len(near[0] & near[1])


def test_equal_models_share_all_neighbours(rng):
    bands = stability_of_models(models(rng, 3), 4)
    assert [band.words for band in bands] == [2, 1, 1, 1, 1, 4]
    assert all(band.agreements["models"] == (1, 1) for band in bands)
    labels = [band.label for band in bands]
    assert labels == [
        "10,000 and more",
        "1,000 to 9,999",
        "300 to 999",
        "100 to 299",
        "30 to 99",
        "up to 29",
    ]


def test_agreement_is_the_mean_over_pairs_of_models_and_words(rng):
    found = models(rng, 3, noise=0.5)
    bands = stability_of_models(found, 3)
    (rare,) = [band for band in bands if band.label == "up to 29"]
    shared = np.array(
        [
            plain_overlap(found[i], found[j], word, 3)
            for i, j in ((0, 1), (0, 2), (1, 2))
            for word in found[0].words[6:]
        ]
    )
    assert 0 < shared.mean() < 3
    assert rare.agreements["models"].shared == pytest.approx(shared.mean() / 3)
    assert rare.agreements["models"].jaccard == pytest.approx((shared / (6 - shared)).mean())


def test_only_words_that_all_models_have_are_compared_by_the_counts_given(rng):
    one, two = models(rng, 2)
    other = WordVectors(Vocabulary(two.words[2:], np.zeros(8, np.int64)), two.matrix[2:])
    assert sum(band.words for band in stability_of_models([one, other], 3)) == 8
    assert [band.label for band in stability_of_models([other, one], 3)] == ["all"]
    by_counts = stability_of_models([other, one], 3, one.vocabulary)
    assert by_counts == stability_of_models([one, other], 3)
    with pytest.raises(VocabularyError, match="fewer than two words in common"):
        stability_of_models([one, *models(rng, 1, names=[f"x{i}" for i in range(10)])])


@pytest.mark.parametrize("words", [499, 500, 501, 938, 1700])
def test_large_bands_are_sampled_evenly(rng, words):
    (band,) = stability_of_models(models(rng, 2, words, noise=0.1), 5)
    assert (band.words, band.compared) == (words, min(words, 500))
    assert 0 < band.agreements["models"].shared < 1


def test_replicates_of_a_run_are_compared_by_kind(write_replicates, toy_vectors, rng):
    noisy = [toy_vectors.matrix + rng.normal(0, 0.2, toy_vectors.matrix.shape) for _ in range(3)]
    run = write_replicates(noisy)
    bands = stability_of_run(run, 5)
    assert {*bands[0].agreements} == {"bootstrap"}
    loaded = [WordVectors(toy_vectors.vocabulary, own.astype(np.float32)) for own in noisy]
    for band, own in zip(bands, stability_of_models(loaded, 5), strict=True):
        assert band.agreements["bootstrap"].shared == pytest.approx(
            own.agreements["models"].shared, abs=0.01
        )  # replicates are in half precision


def test_words_that_a_replicate_lacks_are_left_out_and_near_to_nothing(
    write_replicates, toy_vectors
):
    lacking = toy_vectors.matrix.copy()
    lacking[::2] = 0
    bands = stability_of_run(write_replicates([toy_vectors.matrix, lacking, lacking]), 5)
    for band in bands:
        assert 0 < band.agreements["bootstrap"].shared < 0.9
    empty = np.zeros_like(lacking)
    bands = stability_of_run(write_replicates([empty, lacking]), 5)
    assert all(np.isnan(band.agreements["bootstrap"].shared) for band in bands)


def test_one_replicate_has_nothing_to_be_compared_with(write_replicates, toy_vectors, toy_run):
    with pytest.raises(VocabularyError, match="at least two, from: embedder train --resume"):
        stability_of_run(write_replicates([toy_vectors.matrix]))
    with pytest.raises(RunError, match="without replicates"):
        stability_of_run(toy_run)
