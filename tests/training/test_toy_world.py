from collections import Counter

from make_analogies import question_lines, read_pairs
from make_toy_world import RELATIONS, toy_sentences


def test_the_corpus_is_deterministic():
    assert list(toy_sentences(repeats=2)) == list(toy_sentences(repeats=2))
    assert list(toy_sentences(repeats=2)) != list(toy_sentences(repeats=2, seed=2))


def test_every_word_of_every_pair_is_frequent():
    counts = Counter(word for sentence in toy_sentences() for word in sentence.split())
    for relation in RELATIONS.values():
        for pair in relation.pairs:
            assert min(counts[word] for word in pair) >= 100


def test_pairs_become_questions_within_their_section():
    pairs = read_pairs("# note\n: a\nx y\nu v # here\n: b\n1 2\n")
    assert list(question_lines(pairs)) == [": a\n", "x y u v\n", "u v x y\n", ": b\n"]


def test_committed_analogies_match_the_scripts_output(pytestconfig, toy_files):
    data = pytestconfig.rootpath / "data"
    assert (data / "toy-analogies.txt").read_text() == toy_files[1].read_text()
    pairs = read_pairs((data / "bible-pairs.txt").read_text())
    assert (data / "bible-analogies.txt").read_text() == "".join(question_lines(pairs))
