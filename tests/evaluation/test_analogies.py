import naive
import numpy as np
import pytest

from embedder.errors import EvaluationError
from embedder.evaluation.analogies import SKIPPED, AnalogyResult, Score, evaluate_analogies
from embedder.evaluation.questions import Question, Section, read_analogies
from embedder.text.vocabulary import Vocabulary
from embedder.vectors.from_run import load_vectors
from embedder.vectors.word_vectors import WordVectors


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
def test_answers_agree_with_a_naive_computation(rng, vectors, write, method):
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
    ("content", "message"),
    [
        (": a\nw0 w1 w2 w3\nw0 w1 w2\n", "line 3: expected four words.*got 3"),
        ("w0 w1 w2 w3 w4\n", "line 1.*got 5"),
        (": a\n", "no questions"),
        ("", "no questions"),
        (b"\xff\xfe", "UTF-16 text"),
        (b"a \xff b", "byte 2 is not UTF-8"),
    ],
)
def test_an_error_names_the_file_and_the_line(write, content, message):
    with pytest.raises(EvaluationError, match=message):
        read_analogies(write("q.txt", content))


def test_a_missing_file_is_an_error(tmp_path):
    with pytest.raises(EvaluationError, match="no such file"):
        read_analogies(tmp_path / "none.txt")


def test_crlf_and_blank_lines_are_read(write):
    (section,) = read_analogies(write("q.txt", b"\xef\xbb\xbf: a b\r\n\r\nw x y z\r\n"))
    assert section == ("a b", [("w", "x", "y", ("z",))])


def test_the_interval_agrees_with_the_bootstrap(rng):
    score = Score(correct=60, questions=200, skipped=0)
    answers = np.r_[np.ones(60), np.zeros(140)]
    means = [rng.choice(answers, 200).mean() for _ in range(4000)]
    np.testing.assert_allclose(score.interval(), np.quantile(means, [0.025, 0.975]), atol=0.012)
    assert Score(0, 0, 3).interval() == (0.0, 0.0)


def test_gensim_gives_the_same_answers(toy_run, toy_files, tmp_path):
    models = pytest.importorskip("gensim.models", reason="gensim is not installed")
    vectors = load_vectors(toy_run)
    vectors.save(tmp_path / "v.bin")
    theirs = models.KeyedVectors.load_word2vec_format(str(tmp_path / "v.bin"), binary=True)
    for restrict in (300, 100_000):
        _, sections = theirs.evaluate_word_analogies(str(toy_files[1]), restrict_vocab=restrict)
        questions = read_analogies(toy_files[1])
        ours = evaluate_analogies(vectors, questions, restrict_vocab=restrict)
        for theirs_section, section in zip(sections[:-1], questions, strict=True):
            assert theirs_section["section"] == section.name
            assert_same_answers(theirs_section, section, ours.ranks[section.name])
    assert ours.total().correct > 20


def assert_same_answers(theirs, section, ranks):
    right, wrong = (
        [
            tuple(word.upper() for word in (*question[:3], *question.answers))
            for question, rank in zip(section.questions, ranks, strict=True)
            if (rank == 0) == correct and rank != SKIPPED
        ]
        for correct in (True, False)
    )
    assert theirs["correct"] == right
    assert theirs["incorrect"] == wrong


@pytest.mark.parametrize("method", ["3CosAdd", "3CosMul", "PairDistance"])
def test_ranks_count_the_better_candidates_of_many_blocks(rng, monkeypatch, method):
    monkeypatch.setattr("embedder.vectors.search._ROWS_PER_BLOCK", 16)
    words = [f"w{i}" for i in range(70)]
    matrix = rng.normal(size=(70, 6)).astype(np.float32)
    vectors = WordVectors(Vocabulary(words, np.ones(70)), matrix)
    questions = [Question(*q[:3], (q[3],)) for q in random_questions(rng, words, 40)]
    ranks = evaluate_analogies(vectors, [Section("s", questions)], method).ranks["s"]
    unit = matrix / np.linalg.norm(matrix, axis=1, keepdims=True)
    for question, rank in zip(questions, ranks, strict=True):
        a, b, c, d = (words.index(w) for w in (*question[:3], *question.answers))
        to_a, to_b, to_c = (unit @ unit[i].astype(float) for i in (a, b, c))
        difference = unit[b] - unit[a].astype(float)
        with np.errstate(divide="ignore", invalid="ignore"):
            scores = {
                "3CosAdd": to_b - to_a + to_c,
                "3CosMul": (1 + to_b) * (1 + to_c) / (1 + to_a + 2e-3),
                "PairDistance": (unit - unit[c]) @ difference / np.sqrt(2 - 2 * to_c),
            }[method]
        candidates = [i for i in range(70) if i not in (a, b, c)]
        assert rank == sum(scores[i] > scores[d] for i in candidates)


def test_top_k_and_averages(vectors):
    ranks = {"a": np.array([0, 3, SKIPPED, 7]), "b": np.array([0]), "c": np.array([SKIPPED])}
    result = AnalogyResult(ranks)
    assert result.total() == (2, 4, 2)
    assert [result.total(k).correct for k in (1, 3, 4, 8)] == [2, 2, 3, 4]
    assert result.macro() == pytest.approx((1 / 3 + 1) / 2)
    assert result.macro(5) == pytest.approx((2 / 3 + 1) / 2)


def test_an_answer_that_occurs_in_the_question_is_never_correct(vectors):
    question = Question("w0", "w1", "w2", ("w1",))
    result = evaluate_analogies(vectors, [Section("s", [question])])
    assert result.ranks["s"].tolist() == [40]
    assert result.total().correct == 0


def test_the_first_of_equal_vectors_is_the_answer():
    words = ["a", "b", "c", "d", "e"]
    vectors = WordVectors(Vocabulary(words, np.ones(5)), np.ones((5, 3), np.float32))
    sections = [Section("s", [Question("a", "b", "c", ("d",)), Question("a", "b", "c", ("e",))])]
    assert evaluate_analogies(vectors, sections).ranks["s"].tolist() == [0, 1]


def test_the_best_of_several_answers_counts(vectors):
    one, other, both = (
        evaluate_analogies(vectors, [Section("s", [Question("w0", "w1", "w2", answers)])])
        for answers in (("w5",), ("w9", "nil"), ("w5", "w9", "nil"))
    )
    ranks = [result.ranks["s"][0] for result in (one, other, both)]
    assert ranks[2] == min(ranks[:2])


def test_msr_answers_are_read_from_a_file_of_their_own(write):
    path = write("t/word.questions", "good better rough\nsee saw go\nbig bigger old\n")
    write("t/word.answers", "JJ_JJR rougher\nVB_VBD went\nJJ_JJR older\n")
    adjectives, verbs = read_analogies(path)
    assert adjectives == (
        "JJ_JJR",
        [("good", "better", "rough", ("rougher",)), ("big", "bigger", "old", ("older",))],
    )
    assert verbs == ("VB_VBD", [("see", "saw", "go", ("went",))])
    write("t/word.answers", "JJ_JJR rougher\n")
    with pytest.raises(EvaluationError, match="1 answers for 3 questions"):
        read_analogies(path)
    write("t/word.answers", "JJ_JJR rougher\nwent\nJJ_JJR older\n")
    with pytest.raises(EvaluationError, match="line 2"):
        read_analogies(path)


def test_bats_pairs_form_questions_in_both_directions(write):
    write("bats/1_I/I01 [plural].txt", "cat\tcats\nox\toxen/oxes\n")
    path = write("bats/2_D/D01 [un].txt", "able\tunable\r\nfair\tunfair\r\n").parent.parent
    plural, un = read_analogies(path)
    assert plural == (
        "I01 [plural]",
        [("cat", "cats", "ox", ("oxen", "oxes")), ("ox", "oxen", "cat", ("cats",))],
    )
    assert un.name == "D01 [un]"
    assert len(un.questions) == 2
    with pytest.raises(EvaluationError, match="line 2: expected 'word answer/answer"):
        read_analogies(write("bats/x.txt", "a\tb\nc\n"))
    (path / "empty").mkdir()
    with pytest.raises(EvaluationError, match=r"no \.txt files"):
        read_analogies(path / "empty")


@pytest.mark.parametrize("restrict", [40, 25])
def test_gensim_gives_the_same_answers_for_spellings_in_both_cases(rng, write, tmp_path, restrict):
    models = pytest.importorskip("gensim.models", reason="gensim is not installed")
    words = [f"w{i}" for i in range(20)] + [f"W{i}" for i in range(20)]
    # Spellings of one word have similar vectors, so they compete as answers.
    matrix = np.repeat(rng.normal(size=(1, 20, 4)), 2, axis=0).reshape(40, 4)
    matrix = (matrix + 0.3 * rng.normal(size=(40, 4))).astype(np.float32)
    vectors = WordVectors(Vocabulary(words, np.arange(40, 0, -1)), matrix)
    path = as_file(write, random_questions(rng, words, 400))
    vectors.save(tmp_path / "v.bin")
    theirs = models.KeyedVectors.load_word2vec_format(str(tmp_path / "v.bin"), binary=True)
    _, sections = theirs.evaluate_word_analogies(str(path), restrict_vocab=restrict)
    (section,) = read_analogies(path)
    ranks = evaluate_analogies(vectors, [section], restrict_vocab=restrict).ranks["s"]
    assert_same_answers(sections[0], section, ranks)
    assert sections[0]["correct"]
