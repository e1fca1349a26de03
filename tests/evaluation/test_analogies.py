import naive
import numpy as np
import pytest

from embedder.errors import EvaluationError
from embedder.evaluation.analogies import Score, evaluate_analogies, read_analogies
from embedder.vectors import WordVectors, load_vectors
from embedder.vocabulary import Vocabulary


@pytest.fixture
def vectors(rng):
    words = [f"w{i}" for i in range(40)]
    return WordVectors(
        Vocabulary(words, np.arange(40, 0, -1)), rng.normal(size=(40, 3)).astype(np.float32)
    )


def random_questions(rng, words, count=300):
    return [tuple(rng.choice(words, 4, replace=False).tolist()) for _ in range(count)]


def as_file(write, questions):
    return write("q.txt", ": s\n" + "".join(" ".join(q) + "\n" for q in questions))


@pytest.mark.parametrize("method", ["3CosAdd", "3CosMul", "PairDistance"])
def test_answers_agree_with_one_question_at_a_time(rng, vectors, write, method):
    words = vectors.vocabulary.words
    questions = random_questions(rng, words)
    result = evaluate_analogies(vectors, read_analogies(as_file(write, questions)), method)
    expected = naive.analogy_accuracy(vectors.matrix.astype(float), words, questions, method)
    assert result.total().correct == expected > 0


def test_unknown_and_restricted_words_are_skipped_and_counted(vectors, write):
    path = write("q.txt", ": a\nw0 w1 w2 w3\nw0 w1 w2 nil\n: b\nW0 W1 W2 W39\n")
    result = evaluate_analogies(vectors, read_analogies(path))
    assert [(s.questions, s.skipped) for s in result.sections().values()] == [(1, 1), (1, 0)]
    restricted = evaluate_analogies(vectors, read_analogies(path), restrict_vocab=10)
    assert [(s.questions, s.skipped) for s in restricted.sections().values()] == [(1, 1), (0, 1)]
    total = restricted.total()
    assert (total.questions, total.skipped) == (1, 2)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (": a\nw0 w1 w2 w3\nw0 w1 w2\n", "line 3: expected four words.*got 3"),
        ("w0 w1 w2 w3 w4\n", "line 1.*got 5"),
        (": a\n", "no questions"),
        ("", "no questions"),
        (b"\xff\xfe", "not UTF-8"),
    ],
)
def test_a_bad_file_is_named_with_its_line(write, content, said):
    with pytest.raises(EvaluationError, match=said):
        read_analogies(write("q.txt", content))


def test_a_missing_file_is_an_error(tmp_path):
    with pytest.raises(EvaluationError, match="no such file"):
        read_analogies(tmp_path / "none.txt")


def test_crlf_and_blank_lines_are_read(write):
    (section,) = read_analogies(write("q.txt", b"\xef\xbb\xbf: a b\r\n\r\nw x y z\r\n"))
    assert section == ("a b", [("w", "x", "y", ("z",))])


def test_the_interval_is_the_bootstraps(rng):
    score = Score(correct=60, questions=200, skipped=0)
    answers = np.r_[np.ones(60), np.zeros(140)]
    means = [rng.choice(answers, 200).mean() for _ in range(4000)]
    np.testing.assert_allclose(score.interval(), np.quantile(means, [0.025, 0.975]), atol=0.012)
    assert Score(0, 0, 3).interval() == (0.0, 0.0)


def test_gensim_finds_the_same_score_in_every_section(toy_run, toy_files, tmp_path):
    models = pytest.importorskip("gensim.models", reason="gensim is not installed")
    vectors = load_vectors(toy_run)
    path = tmp_path / "vectors"
    vectors.save(path, "word2vec-binary")
    theirs = models.KeyedVectors.load_word2vec_format(str(path), binary=True)
    for restrict in (300, 100_000):
        _, sections = theirs.evaluate_word_analogies(str(toy_files[1]), restrict_vocab=restrict)
        questions = read_analogies(toy_files[1])
        ours = evaluate_analogies(vectors, questions, restrict_vocab=restrict)
        for section in sections[:-1]:
            name = section["section"]
            (asked,) = [s.questions for s in questions if s.name == name]
            right, wrong = (
                [
                    (*q[:3], *q.answers)
                    for q, rank in zip(asked, ours.ranks[name], strict=True)
                    if ok(rank)
                ]
                for ok in (lambda rank: rank == 0, lambda rank: rank > 0)
            )
            folded = [tuple(word.upper() for word in question) for question in right]
            assert section["correct"] == folded
            assert len(section["incorrect"]) == len(wrong)
