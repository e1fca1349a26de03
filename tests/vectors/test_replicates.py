import itertools

import numpy as np
import pytest

from embedder.config_files import make_config
from embedder.errors import RunError, UnknownWordError
from embedder.runs.replicate_folder import Replicate, ReplicateFolder
from embedder.vectors.from_run import load_vectors
from embedder.vectors.replicates import Replicates


def rotated(vectors, angle):
    """The unit vectors turned by an angle in the plane of the first two axes."""
    turn = np.eye(vectors.shape[1])
    turn[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    return vectors @ turn


def test_an_estimate_has_the_similarity_of_the_run_and_percentiles_of_the_replicates(
    write_replicates, toy_vectors, rng
):
    noise = [rng.normal(0, 0.05, toy_vectors.matrix.shape) for _ in range(40)]
    run = write_replicates([toy_vectors.matrix + own for own in noise])
    replicates = Replicates(run)
    assert len(replicates) == 40
    word = toy_vectors.words[5]
    found = replicates.neighbors(word, 4)
    plain = toy_vectors.neighbors(word, 4)
    assert [own.word for own in found] == [near.word for near in plain]
    matrices = list(replicates)
    for own, near in zip(found, plain, strict=True):
        assert own.similarity == pytest.approx(near.similarity, abs=1e-6)
        i, j = (toy_vectors.vocabulary.ids[each] for each in (word, own.word))
        cosines = [matrix[i] @ matrix[j] for matrix in matrices]
        low, high = np.quantile(cosines, [0.025, 0.975])
        assert (own.low, own.high) == (pytest.approx(low), pytest.approx(high))
        assert own.low < np.mean(cosines) < own.high
        near_in = 0
        for matrix in matrices:
            order = np.argsort(-(matrix @ matrix[i]))
            near_in += j in order[order != i][:4]
        assert own.share == near_in / 40


def test_the_axes_of_replicates_do_not_matter(write_replicates, toy_vectors):
    run = write_replicates([rotated(toy_vectors.matrix, angle) for angle in (0, 1, 2)])
    for own in Replicates(run).neighbors(toy_vectors.words[3], 5):
        assert own.low == pytest.approx(own.similarity, abs=2e-3)
        assert own.high == pytest.approx(own.similarity, abs=2e-3)
        assert own.share == 1


def test_a_replicate_that_lacks_a_word_says_nothing_about_it(write_replicates, toy_vectors):
    word, near = toy_vectors.words[5], toy_vectors.neighbors(toy_vectors.words[5], 1)[0].word
    ids = toy_vectors.vocabulary.ids
    without_word, without_other = toy_vectors.matrix.copy(), toy_vectors.matrix.copy()
    without_word[ids[word]] = 0
    without_other[ids[near]] = 0
    run = write_replicates([toy_vectors.matrix, without_word, without_other])
    found = Replicates(run).neighbors(word, 1)[0]
    assert found.share == 0.5  # of the two that have the word
    assert found.low == pytest.approx(found.similarity, abs=2e-3)
    run = write_replicates([without_other, without_word])
    assert np.isnan(Replicates(run).neighbors(word, 1)[0].low)


def test_many_words_at_once_are_the_same_as_each_by_itself(write_replicates, toy_vectors, rng):
    run = write_replicates([toy_vectors.matrix + rng.normal(0, 0.1, toy_vectors.matrix.shape)] * 2)
    replicates = Replicates(run)
    words = toy_vectors.words[3:6]
    together = replicates.neighbors_of(words, 3)
    for word, found in zip(words, together, strict=True):
        for one, other in zip(replicates.neighbors(word, 3), found, strict=True):
            assert one.word == other.word
            np.testing.assert_allclose(one[1:], other[1:], atol=1e-6)


def test_the_similarity_of_two_words_has_an_interval(write_replicates, toy_vectors, rng):
    noisy = [toy_vectors.matrix + rng.normal(0, 0.05, toy_vectors.matrix.shape) for _ in range(5)]
    replicates = Replicates(write_replicates(noisy))
    a, b = toy_vectors.words[3], toy_vectors.words[90]
    found = replicates.similarity(a, b)
    assert found.word == b
    assert found.similarity == pytest.approx(toy_vectors.similarity(a, b), abs=1e-6)
    assert found.low < found.high
    with pytest.raises(UnknownWordError):
        replicates.similarity(a, "qqq")
    with pytest.raises(UnknownWordError):
        replicates.neighbors("qqq")


def test_bootstrap_samples_come_before_seeds_and_either_can_be_asked_for(
    write_replicates, toy_vectors
):
    run = write_replicates([toy_vectors.matrix] * 2, "seed")
    assert Replicates(run).kind == "seed"
    folder = ReplicateFolder(run)
    origin = folder.load(Replicate("seed", 1))[1]
    folder.save(Replicate("bootstrap", 1), toy_vectors.matrix, origin)
    assert (Replicates(run).kind, len(Replicates(run))) == ("bootstrap", 1)
    assert len(Replicates(run, "seed")) == 2
    assert repr(Replicates(run, "seed")).startswith("<Replicates: 2 of kind seed, of <WordVectors")


def test_a_run_without_replicates_says_how_to_train_them(toy_run, tmp_path):
    with pytest.raises(RunError, match=r"without replicates; .* --resume .*toy --bootstrap K$"):
        Replicates(toy_run)
    with pytest.raises(RunError, match=r"without other seeds; .* --seeds K$"):
        Replicates(toy_run, "seed")


def test_replicates_of_another_run_or_damaged_ones_are_refused(write_replicates, toy_vectors):
    run = write_replicates([toy_vectors.matrix] * 2)
    folder, second = ReplicateFolder(run), Replicate("bootstrap", 2)
    origin = folder.load(second)[1]
    folder.save(second, toy_vectors.matrix, origin | {"vocabulary": "another"})
    with pytest.raises(RunError, match=r"bootstrap-0002.safetensors: not a replicate of this run"):
        Replicates(run).neighbors(toy_vectors.words[0])
    content = bytearray(folder.file_of(second).read_bytes())
    content[-1] ^= 1
    folder.file_of(second).write_bytes(content)
    with pytest.raises(RunError, match=r"bootstrap-0002.safetensors: damaged \(wrong checksum\)"):
        Replicates(run).neighbors(toy_vectors.words[0])


def test_intervals_contain_similarities_in_other_texts(toy_tree, toy_files, tmp_path):
    """Most of them: two texts vary √2 times as much as one, so that 95 % become about 83 %."""
    from embedder.training.train import train

    lines = np.array(toy_files[0].read_text().splitlines())
    halves = np.random.default_rng(3).permutation(len(lines)) % 2
    vectors = []
    for half in (0, 1):
        text = tmp_path / f"{half}.txt"
        text.write_text("\n".join(lines[halves == half]) + "\n")
        tree = {name: dict(section) for name, section in toy_tree.items()}
        tree["corpus"]["files"] = [str(text)]
        tree["training"]["passes"] = 3
        tree["replicates"] = {"bootstrap": 0 if half else 15, "block": "sentence"}
        run = tmp_path / str(half)
        train(make_config(tree | {"output": str(run)}, "test"), quiet=True)
        vectors.append(load_vectors(run))
    replicates = Replicates(tmp_path / "0")
    words = [word for word in vectors[0].words[:60] if word in vectors[1]]
    pairs = list(itertools.combinations(words, 2))
    contained = [
        own.low <= vectors[1].similarity(*pair) <= own.high
        for own, pair in zip(replicates.similarities(pairs), pairs, strict=True)
    ]
    assert 0.7 < np.mean(contained) < 0.97
