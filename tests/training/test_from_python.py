import errno
import io
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

import embedder
from embedder.errors import ConfigError, CorpusError, EmbedderError, RunError
from embedder.text.phrases import Phrases
from embedder.training.trainer import Interrupted, Trainer

SMALL = {"dimension": 8, "passes": 2, "threads": 2, "subsample": 0.0, "progress": False}


@pytest.fixture
def sentences(toy_files):
    return [line.split() for line in toy_files[0].read_text().splitlines()]


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def same(one, other):
    assert one.words == other.words
    np.testing.assert_array_equal(one.matrix, other.matrix)


def test_the_same_text_gives_the_same_vectors_from_files_and_objects(toy_files, sentences):
    files = embedder.train(toy_files[0], tokenizer="whitespace", lowercase=False, **SMALL)
    same(files, embedder.train([str(toy_files[0])], tokenizer="whitespace", **SMALL))
    same(files, embedder.train(sentences, **SMALL))
    same(files, embedder.train((each for each in sentences), **SMALL))
    texts = [" ".join(each) for each in sentences]
    same(files, embedder.train(texts, tokenizer="whitespace", **SMALL))
    assert files.matrix.shape[1] == 8
    tree = {"corpus": {"files": [str(toy_files[0])], "tokenizer": "whitespace"}}
    same(files, embedder.train(tree, ["training.passes=2"], **{**SMALL, "passes": 9}))


def test_nothing_stays_on_disk_without_an_output(sentences, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    vectors = embedder.train(sentences, **SMALL)
    assert not list(tmp_path.iterdir())
    assert vectors.predict(vectors.words[0])  # the network is in memory


def test_a_run_may_be_kept_and_is_not_replaced(sentences, tmp_path):
    vectors = embedder.train(sentences, output="kept", **SMALL)
    same(vectors, embedder.load(tmp_path / "kept"))
    with pytest.raises(RunError, match=r"choose another output, or replace it with overwrite=True"):
        embedder.train(sentences, output="kept", **SMALL)
    same(vectors, embedder.train(sentences, output="kept", overwrite=True, **SMALL))


def test_integers_train(tmp_path):
    walks = np.random.default_rng(0).integers(0, 30, (200, 10))
    vectors = embedder.train(walks, **SMALL)
    assert sorted(vectors.words, key=int) == [str(i) for i in range(30)]


PLACES, GOODS = ["New York", "Los Angeles", "Rom", " "], ["Coca Cola 1l", "Club-Mate 0,5l", "x "]


def test_tokens_may_contain_spaces(tmp_path):
    baskets = [
        [*PLACES[:2], GOODS[i % 3]] if i % 2 else [*PLACES[2:], "of", "a"] for i in range(99)
    ]
    vectors = embedder.train(baskets, output="run", **SMALL)
    assert set(vectors) == {*PLACES, *GOODS, "of", "a"}
    assert vectors.most_similar("New York", topn=1)
    assert vectors.predict("New York", topn=1)[0].word == "Los Angeles"
    assert vectors.sentence(["New York", "a"]).any()
    same(vectors, embedder.load("run"))
    new = embedder.update("run", [["New York", "Neu Ulm"]] * 99, progress=False)
    assert set(new) == {*vectors, "Neu Ulm"}
    for name in ("v.safetensors", "v.npy", "v.ftbin", "v.tsv", "v.fifu"):
        embedder.save(vectors, name)
        assert embedder.load(name).words == vectors.words


def test_phrases_of_tokens_with_spaces_are_joined_and_remembered(tmp_path):
    filler = np.random.default_rng(0).choice(["a", "b c", "d", "e f"], (400, 3)).tolist()
    baskets = [[*each, "New York", "Coca Cola"] if i % 2 else each for i, each in enumerate(filler)]
    settings = SMALL | {"phrases": {"passes": 1, "threshold": 0.1}, "output": "run"}
    vectors = embedder.train(baskets, **settings)
    assert "New York_Coca Cola" in vectors
    assert "New York" not in vectors
    phrases = Phrases.load("run/phrases.tsv")
    assert phrases.join(["d", "New York", "Coca Cola"]) == ["d", "New York_Coca Cola"]


def test_settings_change_how_tokens_are_read():
    tokens = [["New\u00a0York", "B", "c-d"]] * 30
    for settings, words in (
        ({}, ["B", "New\u00a0York", "c-d"]),
        ({"lowercase": True}, ["b", "c-d", "new\u00a0york"]),
        ({"normalisation": "nfkc"}, ["B", "New York", "c-d"]),
        ({"tokenizer": "words"}, ["B", "New", "York", "c", "d"]),
    ):
        assert sorted(embedder.train(tokens, **SMALL | settings)) == words


def test_errors_speak_of_arguments(sentences, tmp_path):
    with pytest.raises(ConfigError, match=r"^embedder.train: dimension: [^:]+$"):
        embedder.train(sentences, dimension=-1)
    with pytest.raises(ConfigError, match="Did you mean 'dimension'"):
        embedder.train(sentences, dimensions=5)
    with pytest.raises(CorpusError, match=r"^nowhere.txt: no such .* check the name.$"):
        embedder.train("nowhere.txt")
    with pytest.raises(CorpusError, match="the iterable of texts is empty"):
        embedder.train([])
    for text in ("The cat sat on the mat.", "the cat\nsat\n" * 10_000):
        with pytest.raises(
            CorpusError, match=r"one text \('[Tt]he cat sat.*…'\); put it into a list"
        ):
            embedder.train(text)
    with pytest.raises(CorpusError, match=r"at random; set subsample=0 to keep all, use more"):
        embedder.train([["a", "b"]] * 20, progress=False)
    with pytest.raises(RunError, match="paths instead of objects"):
        embedder.train(sentences, engine="ray")


def test_settings_may_be_numbers_of_numpy(sentences):
    numbers = {name: np.array([SMALL[name]])[0] for name in ("dimension", "passes", "subsample")}
    same(embedder.train(sentences, **SMALL), embedder.train(sentences, **SMALL | numbers))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"text_field": "id", "min_count": 9}, r"min_count 9, .*; lower min_count \("),
        ({"max_words": 2}, r"a CSV file; set text_field to the column .*: id, body"),
        ({"text_field": "title"}, r"in the column 'title', which is set by text_field;"),
        ({"text_field": "body"}, r"not UTF-8 .*, or set errors to 'replace' or 'ignore'"),
        ({"dimension": -1}, r"embedder.train: dimension: expected a number greater"),
        ({"network": {"hidden": -1}}, r"embedder.train: hidden: expected a number greater"),
        ({"fraction": 2}, r"embedder.train: fraction: expected a number less"),
        ({"validation": {"fraction": 2}}, r"embedder.train: validation.fraction: expected"),
    ],
)
def test_errors_of_files_speak_of_arguments(settings, message):
    last = b"\xff" if settings.get("text_field") == "body" else b"y"
    Path("t.csv").write_bytes(b"id,body\na,x\nb," + last)
    with pytest.raises(EmbedderError, match=message):
        embedder.train("t.csv", **settings, progress=False)


def test_errors_of_configurations_speak_of_keys():
    Path("t.csv").write_text("id,body\na,x\n")
    Path("c.yaml").write_text("corpus: {files: t.csv}\n")
    for source in ("c.yaml", {"corpus": {"files": "t.csv"}}):
        with pytest.raises(CorpusError, match=r"set corpus.text_field to the column"):
            embedder.train(source, progress=False)
        with pytest.raises(CorpusError, match=r"'title', which is set by text_field;"):
            embedder.train(source, text_field="title", progress=False)
        with pytest.raises(CorpusError, match=r"'title', which is set by corpus.text_field;"):
            embedder.train(source, ["corpus.text_field=title"], progress=False)
    with pytest.raises(CorpusError, match=r"'title', which is set by corpus.text_field;"):
        embedder.train("t.csv", ["corpus.text_field=title"], progress=False)


def test_an_interrupted_training_is_resumed_with_the_same_objects(sentences, monkeypatch):
    original = Trainer.steps

    def interrupt(self, batches):
        if self.number == 3:
            os.kill(os.getpid(), signal.SIGINT)
        return original(self, batches)

    whole = embedder.train(sentences, **SMALL)
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "steps", interrupt)
        with pytest.raises(KeyboardInterrupt, match=r"output='run', resume=True"):
            embedder.train(sentences, output="run", **SMALL)
    same(whole, embedder.train(sentences, output="run", resume=True, progress=False))


def test_what_is_interrupted_without_an_output_is_lost_and_says_so(sentences, monkeypatch):
    def interrupt(self, batches):
        raise Interrupted("pass 1 of 2")

    monkeypatch.setattr(Trainer, "steps", interrupt)
    with pytest.raises(KeyboardInterrupt, match=r"stopped at pass 1 of 2; nothing was kept"):
        embedder.train(sentences, **SMALL)
    with pytest.raises(RunError, match=r"needs the folder of the run"):
        embedder.train(sentences, resume=True, **SMALL)


def test_an_output_among_the_overrides_is_kept(sentences, tmp_path):
    embedder.train(sentences, ["output=there"], **SMALL)
    assert (tmp_path / "there" / "model.safetensors").exists()


def test_dictionaries_without_sections_are_no_configuration(sentences):
    with pytest.raises(ConfigError, match=r"pass source\['train'\]"):
        embedder.train({"train": sentences})


def test_the_limit_covers_objects(sentences):
    with pytest.raises(CorpusError, match=r"exceeds limit \(1,000 bytes\); raise the limit"):
        embedder.train(sentences, limit=1000, **SMALL)


def test_progress_is_shown_in_notebooks_and_on_demand_only(capsys, monkeypatch, sentences):
    embedder.train(sentences, **SMALL)
    assert capsys.readouterr() == ("", "")
    options = {**SMALL, "progress": True}
    embedder.train(sentences, **options)
    assert "pass 2" not in capsys.readouterr().err  # no terminal
    monkeypatch.setattr("embedder.runs.progress.in_notebook", lambda: True)
    embedder.train(sentences, **options)
    assert "pass 2" in capsys.readouterr().err


def test_a_script_without_files_trains(tmp_path):
    program = (
        "import embedder\n"
        "v = embedder.train([['a', 'b', 'c']] * 50, dimension=4, progress=False)\n"
        "print(len(v), sorted(v))\n"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert found.stdout == "3 ['a', 'b', 'c']\n", found.stderr
    assert not list(Path.cwd().iterdir())


class Full(io.StringIO):
    def write(self, text):
        raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("stderr", [None, Full()])
def test_training_needs_no_stderr(monkeypatch, capsys, stderr):
    monkeypatch.setattr(sys, "stderr", stderr)
    sentences = [["the", "cat", "sat"], ["the", "dog", "sat"]] * 50
    vectors = embedder.train(sentences, **SMALL | {"progress": True})
    assert len(vectors) == 4
    assert capsys.readouterr().out == ""
