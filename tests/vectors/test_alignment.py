import numpy as np
import pytest
from click.testing import CliRunner
from scipy.stats import ortho_group

import embedder
from embedder.cli import main
from embedder.errors import VocabularyError
from embedder.text.vocabulary import Vocabulary
from embedder.vectors.alignment import CSLS_NEIGHBORS, align, neighbors_across
from embedder.vectors.word_vectors import WordVectors

V, D = 120, 8
WORDS = [f"w{i}" for i in range(V)]


def vectors_of(words, matrix):
    counts = np.arange(len(words), 0, -1)
    return WordVectors(Vocabulary(list(words), counts), matrix.astype(np.float32))


@pytest.fixture
def pair(rng):
    """A model, the same turned and scaled with some noise and other words, and the rotation."""
    matrix = rng.normal(size=(V, D))
    rotation = ortho_group.rvs(D, random_state=3)
    noisy = matrix + 0.01 * rng.normal(size=(V, D))
    other = np.vstack([3 * noisy[::-1] @ rotation.T, rng.normal(size=(5, D))])
    words = [*WORDS[::-1], *(f"only{i}" for i in range(5))]
    return vectors_of(WORDS, matrix), vectors_of(words, other), rotation


def test_models_that_differ_by_a_rotation_are_brought_together(pair):
    first, second, rotation = pair
    turned, found = align(first, second)
    np.testing.assert_allclose(found.rotation, rotation, atol=0.02)
    np.testing.assert_allclose(found.rotation @ found.rotation.T, np.eye(D), atol=1e-5)
    assert turned.words == second.words
    np.testing.assert_allclose(turned.matrix, second.matrix @ rotation, atol=0.2)
    assert (found.pairs, found.unknown) == (V, 0)
    assert found.before > 0.3
    assert found.after <= found.held_out < 0.01
    assert found.nearest == 1


def test_distances_within_the_turned_model_stay(pair):
    first, second, _ = pair
    turned, _ = align(first, second)
    for a, b in ((0, 1), (5, 60), (3, V + 2)):
        before, after = (own.similarity(own.words[a], own.words[b]) for own in (second, turned))
        assert before == pytest.approx(after, abs=1e-5)


def test_unrelated_models_keep_their_distance_for_pairs_left_out(rng):
    one, other = (vectors_of(WORDS, rng.normal(size=(V, 50))) for _ in range(2))
    _, found = align(one, other)
    assert found.after < 0.7
    assert 0.8 < found.held_out < 1.2
    assert found.nearest < 0.1


def test_a_dictionary_pairs_the_words_of_two_languages(pair, write):
    first, second, rotation = pair
    foreign = vectors_of([f"x{word}" for word in second.words], second.matrix)
    lines = ["# a comment", "", *(f"w{i}\txw{i}" for i in range(40)), "w1 unknown", "none xw2"]
    path = write("dictionary.txt", "\n".join(lines))
    turned, found = align(first, foreign, path)
    assert (found.pairs, found.unknown) == (40, 2)
    np.testing.assert_allclose(found.rotation, rotation, atol=0.03)
    near = neighbors_across(first, ["w100"], turned, 1)
    assert near[0][0].word == "xw100"
    same = embedder.align(first, foreign, dictionary=path)
    np.testing.assert_array_equal(same.matrix, turned.matrix)


def test_too_few_pairs_to_hold_any_out(pair, write):
    first, second, _ = pair
    _, found = align(first, second, write("few.txt", "w1 w1\nw2 w2\nw3 w3\n"))
    assert found.held_out is None
    assert found.after < found.before


def test_what_cannot_be_aligned_is_one_sentence(pair, rng, write, tmp_path):
    first, second, _ = pair
    with pytest.raises(VocabularyError, match="8 and 3 dimensions; expected the same number"):
        align(first, vectors_of(WORDS, rng.normal(size=(V, 3))))
    with pytest.raises(VocabularyError, match="0 pairs of words are in both models"):
        align(first, vectors_of(["x", "y"], rng.normal(size=(2, D))))
    with pytest.raises(VocabularyError, match=r"line 2: expected two words .* got 'a b c'"):
        align(first, second, write("d.txt", "w1 w1\na b c\n"))
    with pytest.raises(VocabularyError, match="no such file"):
        align(first, second, tmp_path / "none.txt")
    with pytest.raises(VocabularyError, match=r"1 pairs of words of .* are known"):
        align(first, second, write("one.txt", "w1 w1\nw1 none\n"))
    with pytest.raises(VocabularyError, match="expected two models in one space"):
        neighbors_across(first, ["w1"], vectors_of(WORDS, rng.normal(size=(V, 3))))


def test_csls_is_what_its_definition_says(rng):
    one, other = vectors_of(WORDS, rng.normal(size=(V, D))), vectors_of(
        WORDS[:70], rng.normal(size=(70, D))
    )  # fmt: skip
    a, b = (own.matrix / np.linalg.norm(own.matrix, axis=1)[:, None] for own in (one, other))
    cosines = a @ b.T

    def closeness(rows):
        return np.sort(rows, axis=1)[:, -CSLS_NEIGHBORS:].mean(axis=1)

    expected = 2 * cosines - closeness(cosines)[:, None] - closeness(cosines.T)
    found = neighbors_across(one, ["w3", "w50"], other, 5, csls=True)
    for row, near in zip(expected[[3, 50]], found, strict=True):
        best = np.argsort(-row)[:5]
        assert [own.word for own in near] == [WORDS[i] for i in best]
        np.testing.assert_allclose([own.similarity for own in near], row[best], rtol=1e-4)


def test_csls_takes_a_hub_out(rng):
    """One word is near to all queries; each query's own partner is a little farther away."""
    common = np.eye(30)[0]
    sources = common + 0.25 * rng.normal(size=(V, 30))
    targets = np.vstack([common, sources + 0.6 * rng.normal(size=(V, 30))])
    one, other = vectors_of(WORDS, sources), vectors_of(["hub", *WORDS], targets)
    firsts = [
        [near[0].word for near in neighbors_across(one, WORDS, other, 1, csls=csls)]
        for csls in (False, True)
    ]
    assert firsts[0].count("hub") > 3 * firsts[1].count("hub")
    right = [sum(a == b for a, b in zip(own, WORDS, strict=True)) for own in firsts]
    assert right[1] > right[0]


def test_the_commands_align_and_search(pair, tmp_path):
    first, second, _ = pair
    files = [str(tmp_path / name) for name in ("a.bin", "b.bin", "b2.bin")]
    embedder.save(first, files[0])
    embedder.save(second, files[1])

    def run(*arguments):
        return CliRunner().invoke(main, arguments)

    found = run("align", files[0], files[1], "--output", files[2])
    assert found.exit_code == 0, found.output
    assert "Mean cosine distance of 120 pairs: " in found.output
    assert "100.0% have their partner nearest" in found.output
    for options in ([], ["--csls"]):
        near = run("neighbors", files[0], "w7", "--in", files[2], "-n", "1", *options)
        assert near.output.split()[-1] == "w7"
    assert "give the file" in run("align", *files[:2]).output
    assert "give the other one: --in" in run("neighbors", files[0], "w7", "--csls").output
    both = run("neighbors", files[0], "w7", "--in", files[2], "--index", "x")
    assert "omit --index" in both.output
