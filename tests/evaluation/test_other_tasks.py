import numpy as np
import pytest

from embedder.errors import EvaluationError
from embedder.evaluation.bootstrap import compare_answers, compare_correlations
from embedder.evaluation.categories import evaluate_categories, read_categories
from embedder.evaluation.outliers import Group, evaluate_outliers, read_outliers
from embedder.evaluation.similarity import spearman
from embedder.text.vocabulary import Vocabulary
from embedder.vectors.word_vectors import WordVectors


@pytest.fixture
def vectors(rng):
    """Three groups of ten words around three directions."""
    words = [f"{group}{i}" for group in "abc" for i in range(10)]
    matrix = np.repeat(np.eye(3), 10, axis=0) + 0.1 * rng.normal(size=(30, 3))
    return WordVectors(Vocabulary(words, np.arange(30, 0, -1)), matrix.astype(np.float32))


def compactness_position(vectors, words, outlier):
    """The definition of Camacho-Collados and Navigli, literally."""
    everything = [*words, outlier]
    scores = []
    for left_out in everything:
        rest = [word for word in everything if word != left_out]
        pairs = [vectors.similarity(p, q) for p in rest for q in rest if p != q]
        scores.append(sum(pairs) / len(pairs))
    return sorted(range(len(scores)), key=lambda i: scores[i]).index(len(words))


def test_outlier_positions_are_those_of_the_paper(rng):
    words = [f"w{i}" for i in range(12)]
    vectors = WordVectors(Vocabulary(words, np.ones(12)), rng.normal(size=(12, 4)).astype("f4"))
    positions = [compactness_position(vectors, words[:5], outlier) for outlier in words[5:]]
    result = evaluate_outliers(vectors, [Group("g", words[:5], words[5:])])
    assert result.accuracy == pytest.approx(np.mean([position == 5 for position in positions]))
    assert result.opp == pytest.approx(np.mean(positions) / 5)
    assert (result.sets, result.total) == (7, 7)


def test_outliers_of_clear_groups_are_detected_and_unknown_ones_counted(vectors, write):
    path = write("g/one.txt", "a0\nA1\na2\nnil\n\nb0\nc0\nunknown\n").parent
    write("g/two.txt", "b1\r\nb2\r\n\r\nc3\r\n")
    result = evaluate_outliers(vectors, read_outliers(path))
    assert result == (1.0, 1.0, 3, 4)
    assert evaluate_outliers(vectors, read_outliers(path), restrict_vocab=1) == (None, None, 0, 4)


@pytest.mark.parametrize("content", ["a\nb\n", "a\n\nb\n", ""])
def test_a_group_without_words_or_outliers_is_an_error(write, content):
    with pytest.raises(EvaluationError, match=r"g\.txt: expected two or more words"):
        read_outliers(write("g.txt", content))


def test_clear_categories_are_pure_and_mixed_ones_are_not(vectors, write):
    words = vectors.vocabulary.words
    clear = write("clear.txt", "".join(f"{word}\t{word[0]}\n" for word in words) + "nil,a\n")
    result = evaluate_categories(vectors, read_categories(clear))
    assert result == (1.0, 3, 30, 31)
    # Three words each of b and c are labelled a, but lie in the clusters of b and c.
    mixed = write("mixed.txt", "".join(f"{w} {'a' if w[1] < '3' else w[0]}\n" for w in words))
    purity = evaluate_categories(vectors, read_categories(mixed)).purity
    assert purity == pytest.approx((10 + 7 + 7) / 30)
    assert evaluate_categories(vectors, read_categories(mixed), restrict_vocab=2).purity is None


@pytest.mark.parametrize(
    "content",
    [
        "word,category\ncat,animal\nNew York,city\n",
        '"cat","animal"\n"New York","city"\n',
        "# note\nconcept\tclass\ncat\tanimal\nNew York\tcity\n",
        "cat;animal\r\nNew York;city\r\n",
    ],
)
def test_categories_are_read_as_they_are_distributed(write, content):
    found = read_categories(write("c.txt", content))
    assert found == [("cat", "animal"), ("New York", "city")]


def test_a_category_may_be_called_class(write):
    assert len(read_categories(write("c.txt", "cat class\ndog class\nx y\n"))) == 3


def test_all_files_of_a_folder_are_read_whatever_the_case_of_their_endings(write, tmp_path):
    write("g/one.TXT", "a\nb\n\nc\n")
    write("g/sub/two.txt", "a\rb\r\rc\r")
    (tmp_path / "g" / "back").symlink_to(tmp_path / "g")
    assert [group.name for group in read_outliers(tmp_path / "g")] == ["one", "two"]


@pytest.mark.parametrize(
    ("content", "message"),
    [("a b c\n", "line 1"), ("a x\nb x\n", "at least two"), ("", "at least")],
)
def test_an_error_names_the_file_of_categories(write, content, message):
    with pytest.raises(EvaluationError, match=message):
        read_categories(write("c.txt", content))


def test_the_paired_bootstrap_agrees_with_resampling_questions(rng):
    first, second = rng.random(300) < 0.4, rng.random(300) < 0.5
    found = compare_answers(first, second)
    drawn = [rng.integers(0, 300, 300) for _ in range(4000)]
    differences = [second[d].mean() - first[d].mean() for d in drawn]
    assert found.difference == pytest.approx(second.mean() - first.mean())
    np.testing.assert_allclose(found.interval, np.quantile(differences, [0.025, 0.975]), atol=0.01)
    assert found.items == 300


def test_equal_models_do_not_differ_and_better_ones_do():
    answers = np.arange(500) % 3 == 0
    same = compare_answers(answers, answers)
    assert same[2:] == ((0.0, 0.0), 1.0, 500)
    better = compare_answers(answers, answers | (np.arange(500) % 3 == 1))
    assert better.p == 0.0
    assert better.interval[0] > 0.2
    assert compare_answers(answers[:0], answers[:0]) is None


def test_correlations_are_compared_on_resampled_pairs(rng):
    scores = rng.normal(size=200)
    good, bad = scores + 0.3 * rng.normal(size=200), scores + 3 * rng.normal(size=200)
    found = compare_correlations(bad, good, scores)
    assert found.first == spearman(bad, scores)
    assert found.second == spearman(good, scores)
    assert found.interval[0] > 0.3
    assert found.p == 0.0
    assert compare_correlations(bad, np.zeros(200), scores) is None
