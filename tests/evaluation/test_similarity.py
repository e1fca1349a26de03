import csv
import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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


SIMLEX = "word1\tword2\tPOS\tSimLex999\tconc(w1)\n"
DISTRIBUTED = {
    "SimLex-999": f"{SIMLEX}old\tnew\tA\t1.58\t2.72\nsmart\tbright\tA\t9.2\t1.75\n",
    "SimVerb-3500": "old\tnew\tV\t1.58\tNONE\nsmart\tbright\tV\t9.2\tSYNONYMS\n",
    "HyperLex": "WORD1 WORD2 POS TYPE AVG_SCORE AVG_SCORE_0_10\n"
    "old new N hyp-1 1.58 2.6\nsmart bright N no-rel 9.2 9.9\n",
    "WordSim-353": "Word 1\tWord 2\tHuman (mean)\t1\t2\n"
    "old\tnew\t1.58\t1\t2\nsmart\tbright\t9.2\t9\t10\n",
    "a heading after comments": "# 2002\n#\nWord,Word 2,Human\nold,new,1.58\nsmart,bright,9.2\n",
    "MEN": "old new 1.580000\nsmart bright 9.200000\n",
    "RG-65": "old;new;1.58\nsmart;bright;9.2\n",
    "quoted": '"old","new",1.58\n"smart","bright","9.2"\n',
    "a quoted heading": '# note\n\n"a","b","score"\n"old","new","1.58"\n"smart","bright","9.2"\n',
    "quotes between spaces": '"old" "new" 1.58\n"smart" bright 9.2\n',
    "decimal commas": "old;new;1,58\nsmart;bright;9,2\n",
    "decimal commas and tabs": "old\tnew\t1,58\nsmart\tbright\t9,2\n",
    "decimal commas and spaces": "old new 1,58\nsmart bright 9,2\n",
    "quoted decimal commas": 'old,new,"1,58"\nsmart,bright,"9,2"\n',
    "spaces after separators": "old ; new;  1.58\nsmart;  bright ; 9.2\n",
    "a byte-order mark": "\ufeffold\tnew\t1.58\nsmart\tbright\t9.2\n",
    "line ends of Windows": "old\tnew\t1.58\r\nsmart\tbright\t9.2\r\n",
    "line ends of old Macs": "old\tnew\t1.58\rsmart\tbright\t9.2\r",
    "numbered by pandas": ",word1,word2,score\n0,old,new,1.58\n1,smart,bright,9.2\n",
    "numbered, with a part of speech": "id,a,b,pos,score\n7,old,new,A,1.58\n9,smart,bright,A,9.2\n",
    "exponents": "old new 158e-2\nsmart bright 0.92E1\n",
}


@pytest.mark.parametrize("name", DISTRIBUTED)
def test_files_are_read_as_they_are_distributed(write, name):
    found = read_similarities(write("s.txt", DISTRIBUTED[name]))
    assert found == [("old", "new", 1.58), ("smart", "bright", 9.2)]


PAIRS = st.tuples(*[st.text("ab é'-;,\"", min_size=1, max_size=6).map(str.strip).filter(bool)] * 2)


@settings(max_examples=300, deadline=None)
@given(
    rows=st.lists(st.tuples(PAIRS, st.floats(-1e3, 1e3)), min_size=1, max_size=6),
    separator=st.sampled_from("\t;,"),
    quoting=st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL, csv.QUOTE_NONNUMERIC]),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
    extras=st.tuples(*[st.booleans()] * 5),
)
def test_what_other_programs_write_is_read_back(write, rows, separator, quoting, end, extras):
    heading, mark, part_of_speech, decimal_comma, more = extras
    buffer = io.StringIO()
    writer = csv.writer(buffer, delimiter=separator, quoting=quoting, lineterminator=end)
    kinds = ["N"] if part_of_speech else []
    if heading:
        buffer.write(f"# comment{end}{end}")
        writer.writerow(["word1", "word2", *(["POS"] if kinds else []), "score"])
    for (first, second), score in rows:
        shown = str(score).replace(".", ",") if decimal_comma else score
        writer.writerow([first, second, *kinds, shown, *([7] if more else [])])
    path = write("s.csv", ("\ufeff" if mark else "") + buffer.getvalue())
    assert read_similarities(path) == [(*pair, score) for pair, score in rows]


def test_words_of_several_words_and_quotes_are_kept(write):
    content = 'New York,"San Francisco, CA",5\n"say ""no""",x,3\n'
    assert read_similarities(write("s.csv", content)) == [
        ("New York", "San Francisco, CA", 5.0),
        ('say "no"', "x", 3.0),
    ]
    assert read_similarities(write("s.tsv", 'a"\tb\t5\n')) == [('a"', "b", 5.0)]


@pytest.mark.parametrize("score", ["nan", "inf", "-inf", "NaN", "Infinity", "1e999"])
def test_scores_that_are_not_finite_are_refused_with_file_and_line(write, score):
    for content in (f"a b 1\nc d {score}\n", f"a\tb\tN\t1\nc\td\tN\t{score}\n"):
        with pytest.raises(EvaluationError, match=rf"s\.txt, line 2: the score is {score};"):
            read_similarities(write("s.txt", content))


def test_the_score_is_in_the_column_where_most_lines_have_it(write):
    content = "a\tb\tN\t1\t5\nc\td\tN\t2\t6\ne\tf\tN\t\t7\n"
    with pytest.raises(EvaluationError, match="line 3: expected 'word word score'"):
        read_similarities(write("s.txt", content))


@pytest.mark.parametrize(
    "content", [b"\x1f\x8b\x08\0", b"PK\x03\x04", "a b 1".encode("utf-16")], ids=["gz", "zip", "16"]
)
def test_what_is_no_text_is_called_by_its_name(write, content):
    with pytest.raises(EvaluationError, match=r"s\.txt: (compressed with gzip|a zip arch|UTF-16)"):
        read_similarities(write("s.txt", content))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a b 1\na b\n", "line 2"),
        ("a b 1\na b x\n", "line 2"),
        ("a,,1\nb,c,2\n", "line 1"),
        ("a b 1\nc d 1_0\n", "line 2"),
        ("a b 1\nc d 1,000.5\n", "line 2"),
        ("a b\nc d\n", "line 2"),
        ("word1 word2 score\n", "no pairs"),
        ("# only a comment\n", "no pairs"),
        ("", "no pairs"),
    ],
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
