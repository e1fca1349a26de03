import numpy as np
import pytest

from embedder.errors import EvaluationError
from embedder.evaluation.similarity import evaluate_similarity, read_similarities
from embedder.text.vocabulary import Vocabulary
from embedder.vectors.word_vectors import WordVectors


@pytest.fixture
def vectors(rng):
    words = [f"w{i}" for i in range(30)]
    return WordVectors(
        Vocabulary(words, np.arange(30, 0, -1)), rng.normal(size=(30, 4)).astype(np.float32)
    )


def test_tabs_commas_spaces_headings_and_comments_are_read(write):
    for separator in "\t, ":
        lines = ["word1,word2,score".replace(",", separator), "# note", "a b 1.5", "", "c d 2"]
        text = "\n".join(
            line.replace(" ", separator) if i > 1 else line for i, line in enumerate(lines)
        )
        found = read_similarities(write("s.txt", text))
        assert found == [("a", "b", 1.5), ("c", "d", 2.0)]


@pytest.mark.parametrize(
    ("content", "message"),
    [("a b 1\na b\n", "line 2"), ("a b 1\na b x\n", "line 2"), ("", "no pairs")],
)
def test_an_error_names_the_file_and_the_line(write, content, message):
    with pytest.raises(EvaluationError, match=message):
        read_similarities(write("s.txt", content))


def test_equal_ranks_correlate_perfectly_and_unknown_pairs_are_counted(vectors, write):
    unit = vectors.unit_rows(np.arange(len(vectors)))
    lines = [f"W{i}\tw{i + 1}\t{unit[i] @ unit[i + 1]:.6f}\n" for i in range(20)]
    path = write("s.txt", "".join(lines) + "w1\tnil\t3\n")
    result = evaluate_similarity(vectors, read_similarities(path))
    assert result.spearman == pytest.approx(1.0)
    assert (result.pairs, result.total) == (20, 21)


def test_too_few_or_constant_pairs_have_no_correlation(vectors, write):
    one = evaluate_similarity(vectors, read_similarities(write("s.txt", "w1 w2 3\nx y 2\n")))
    assert (one.spearman, one.pairs) == (None, 1)


def test_gensim_finds_the_same_correlation(vectors, rng, write, tmp_path):
    models = pytest.importorskip("gensim.models", reason="gensim is not installed")
    path = write(
        "s.txt",
        "".join(f"w{i}\tw{j}\t{rng.integers(10)}\n" for i in range(12) for j in range(20, 32)),
    )
    vectors.save(tmp_path / "v", "word2vec-binary")
    theirs = models.KeyedVectors.load_word2vec_format(str(tmp_path / "v"), binary=True)
    pearson, spearman, unknown = theirs.evaluate_word_pairs(str(path))
    ours = evaluate_similarity(vectors, read_similarities(path))
    assert ours.spearman == pytest.approx(spearman.statistic, abs=1e-6)
    assert ours.pearson == pytest.approx(pearson.statistic, abs=1e-6)
    assert 100 * (1 - ours.pairs / ours.total) == pytest.approx(unknown)
