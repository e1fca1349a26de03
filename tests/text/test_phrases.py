from collections import Counter
from pathlib import Path

import naive
import numpy as np
import pytest

from embedder.config_sections.text import PhrasesConfig
from embedder.errors import RunError
from embedder.evaluation.perplexity import evaluate_perplexity
from embedder.runs.checkpoint import load_model
from embedder.text.phrases import Phrase, PhraseJoiner, Phrases, find_phrases, learn_phrases
from embedder.text.vocabulary import count_words, map_numbers
from embedder.training.train import train


@pytest.fixture
def text(rng):
    """Sentences of random words that include pairs, some with connectors between the two words."""
    pairs = ["new york", "bank of america", "bank of the america", "san juan", "new zealand"]
    units = [*pairs, *(f"w{i}" for i in range(60)), "of", "the", "york"]
    shares = rng.dirichlet(np.ones(len(units)))
    return [" ".join(rng.choice(units, rng.integers(1, 12), p=shares)).split() for _ in range(1500)]


def as_bytes(sentences):
    return "".join(" ".join(sentence) + "\n" for sentence in sentences).encode()


def read_back(path, words):
    """Return the sentences in a file of word numbers."""
    names = words.words()
    line = [names[i] if i >= 0 else "\n" for i in map_numbers(path)]
    return [sentence.split() for sentence in " ".join(line).split("\n")[:-1]]


SETTINGS = [
    {"threshold": 1.0},
    {"threshold": 0.7, "connectors": ["of", "the"], "min_count": 3},
    {"scoring": "npmi", "threshold": 0.1},
    {"scoring": "npmi", "threshold": 0.2, "connectors": ["of", "the"], "min_count": 2},
]


@pytest.mark.parametrize("options", SETTINGS)
def test_phrases_and_scores_agree_with_a_plain_loop(text, tmp_path, options):
    config = PhrasesConfig(passes=1, **options)
    words = count_words([as_bytes(text)], tmp_path / "ids")
    found = find_phrases(tmp_path / "ids", words, config)
    expected = naive.phrases(
        text, config.scoring, config.min_count, config.threshold, config.connectors
    )
    assert len(expected) > 2
    assert {phrase.words for phrase in found} == set(expected)
    for phrase in found:
        assert phrase.joined == "_".join(phrase.words)
        np.testing.assert_allclose(phrase.score, expected[phrase.words], rtol=1e-12)
    assert [phrase.score for phrase in found] == sorted((p.score for p in found), reverse=True)


def test_counting_in_partitions_finds_the_same_phrases(text, tmp_path):
    config = PhrasesConfig(passes=1, threshold=1.0, connectors=["of"])
    words = count_words([as_bytes(text)], tmp_path / "ids")
    whole = find_phrases(tmp_path / "ids", words, config)
    assert find_phrases(tmp_path / "ids", words, config, pairs_per_partition=500) == whole
    assert whole


def test_tables_grow_with_the_pairs(rng, tmp_path):
    sentences = [[f"a{i}", f"b{i % 977}"] for i in range(9000)] * 2
    words = count_words([as_bytes(sentences)], tmp_path / "ids")
    config = PhrasesConfig(passes=1, min_count=1, threshold=1e-9)
    found = find_phrases(tmp_path / "ids", words, config)
    assert {phrase.words for phrase in found} == {tuple(sentence) for sentence in sentences}
    assert {phrase.times for phrase in found} == {2}


@pytest.mark.parametrize("passes", [1, 2])
@pytest.mark.parametrize("connectors", [[], ["of", "the"]])
def test_files_sentences_and_new_text_are_joined_alike(
    text, make_joiner, tmp_path, passes, connectors
):
    join = make_joiner(passes=passes, threshold=1.0, connectors=connectors)
    words = count_words([as_bytes(text)], tmp_path / "ids", join)
    joined = read_back(tmp_path / "ids", words)
    assert joined == [join.phrases.join(sentence) for sentence in text]
    assert any("_" in word for sentence in joined for word in sentence)
    for name, count in zip(words.words(), words.counts, strict=True):
        assert count == sum(sentence.count(name) for sentence in joined)
    # New text has other words, so all words have other numbers.
    new = [["unheard", "of"], *text[700:900]]
    words = count_words([as_bytes(new)], tmp_path / "new", join.phrases.join_file)
    assert read_back(tmp_path / "new", words) == [join.phrases.join(sentence) for sentence in new]


@pytest.fixture
def make_joiner(make_toy_config):
    def make(**options):
        return PhraseJoiner(make_toy_config(corpus={"phrases": options}).corpus)

    return make


def test_two_passes_join_more_than_two_words(make_toy_config, write):
    rng = np.random.default_rng(1)
    filler = [f"w{i}" for i in range(40)]
    lines = [" ".join([*rng.choice(filler, 3), "new", "york", "city"]) for _ in range(60)]
    file = write("t.txt", "\n".join(lines))
    config = make_toy_config(
        corpus={"files": [str(file)], "phrases": {"passes": 2, "threshold": 1.0}}
    )
    found = learn_phrases(config)
    assert found.join(["in", "new", "york", "city"]) == ["in", "new_york_city"]
    assert found.join(["york", "new", "city"]) == ["york", "new", "city"]


def test_a_phrase_whose_joined_form_is_in_the_text_already_becomes_that_word(tmp_path):
    phrases = Phrases([[Phrase(("new", "york"), "new_york", 9.0, 9)]])
    words = count_words([b"new_york new york\nyork new\n"], tmp_path / "ids", phrases.join_file)
    assert read_back(tmp_path / "ids", words) == [["new_york", "new_york"], ["york", "new"]]
    assert len(set(words.words())) == len(words.words())


def test_saved_phrases_load_unchanged(text, tmp_path, make_joiner):
    join = make_joiner(passes=2, threshold=1.0, connectors=["of"])
    count_words([as_bytes(text)], tmp_path / "ids", join)
    join.phrases.save(tmp_path / "p.tsv")
    again = Phrases.load(tmp_path / "p.tsv")
    assert [again.join(sentence) for sentence in text] == [join.phrases.join(s) for s in text]
    assert [len(found) for found in again.passes] == [len(found) for found in join.phrases.passes]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("word\tcount\n", "line 1: expected the header"),
        ("pass\tscore\tcount\tphrase\twords\n1\t3\t4\ta_b\n", "line 2: expected 'pass<TAB>score"),
        ("pass\tscore\tcount\tphrase\twords\n2\t3\t4\ta_b\ta\tb\n", "line 2: expected"),
        ("pass\tscore\tcount\tphrase\twords\n1\t3\t4\ta\ta\n", "line 2: expected"),
        ("pass\tscore\tcount\tphrase\twords\n1\t3\t4\ta\ta\t\n", "line 2: expected"),
        (b"\xff", "cannot be read"),
    ],
)
def test_a_damaged_phrase_file_raises_an_error_that_states_the_line(write, content, message):
    with pytest.raises(RunError, match=message):
        Phrases.load(write("p.tsv", content))


@pytest.mark.parametrize("options", SETTINGS)
def test_phrases_and_joined_text_agree_with_gensim(text, make_joiner, tmp_path, options):
    models = pytest.importorskip("gensim.models.phrases", reason="gensim is not installed")
    config = PhrasesConfig(passes=2, **options)
    join = make_joiner(passes=2, **options)
    count_words([as_bytes(text)], tmp_path / "ids", join)
    names = {"original": "default", "npmi": "npmi"}
    sentences = text
    for number in range(2):
        theirs = models.Phrases(
            sentences,
            min_count=config.min_count,
            threshold=config.threshold,
            scoring=names[config.scoring],
            connector_words=frozenset(config.connectors),
        )
        if number == 0:  # in later passes, gensim also lists words that contain the delimiter
            expected = theirs.export_phrases()
            found = {phrase.joined: phrase.score for phrase in join.phrases.passes[0]}
            assert found.keys() == expected.keys()
            for phrase, score in expected.items():
                np.testing.assert_allclose(found[phrase], score, rtol=1e-12)
        sentences = [theirs[sentence] for sentence in sentences]
        ours = Phrases(join.phrases.passes[: number + 1])
        assert [ours.join(sentence) for sentence in text] == sentences


def test_a_run_joins_phrases_and_new_text_in_the_same_way(make_toy_config, toy_files):
    phrases = {"passes": 1, "threshold": 1.0, "connectors": ["of"]}
    config = make_toy_config(
        corpus={"phrases": phrases}, training={"passes": 1}, validation={"fraction": 0.1}
    )
    train(config, quiet=True)
    model = load_model(Path(config.output))
    joined = [word for word in model.vocabulary.words if "_" in word]
    assert joined
    assert {phrase.joined for phrase in model.phrases.passes[0]} >= set(joined)
    text = toy_files[0].read_text().splitlines()[:300]
    counts = Counter(word for line in text for word in model.phrases.join(line.split()))
    file = toy_files[0].parent / "some.txt"
    file.write_text("\n".join(text))
    found = evaluate_perplexity(model, str(file))
    assert found.tokens == counts.total()
    assert found.unknown == sum(n for word, n in counts.items() if word not in model.vocabulary.ids)


def test_phrases_loaded_from_a_file_give_the_same_run(make_toy_config, tmp_path):
    learning = make_toy_config(
        "one", corpus={"phrases": {"passes": 2, "threshold": 1.0}}, training={"passes": 1}
    )
    train(learning, quiet=True)
    file = str(Path(learning.output) / "phrases.tsv")
    given = make_toy_config("two", corpus={"phrases": {"file": file}}, training={"passes": 1})
    train(given, quiet=True)
    one, two = (load_model(Path(config.output)) for config in (learning, given))
    assert one.vocabulary.words == two.vocabulary.words
    np.testing.assert_array_equal(one.parameters.E, two.parameters.E)
    again = make_toy_config("three", corpus={"phrases": {"file": "missing.tsv"}})
    with pytest.raises(RunError, match=r"missing.tsv: no such file; create it with"):
        train(again, quiet=True)
