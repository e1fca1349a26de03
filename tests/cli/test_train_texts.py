import io
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from embedder.cli import main
from embedder.runs.run_folder import RunFolder
from embedder.text.sources import name_of

QUICK = ["--passes", "1", "--dimension", "8", "--quiet"]


@pytest.fixture
def invoke(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def run(*arguments, text=None):
        return CliRunner().invoke(main, [str(argument) for argument in arguments], input=text)

    return run


def config_of(run):
    return RunFolder(Path(run)).read_config()


def test_a_text_trains_without_a_configuration(invoke, toy_files):
    for name in ("runs/world", "runs/world-2", "runs/world-3"):
        result = invoke("train", toy_files[0], *QUICK)
        assert result.exit_code == 0, result.output
        config = config_of(name)
        assert config.corpus.files == [str(toy_files[0])]
        assert (config.network.dimension, config.network.hidden) == (8, 8)
    assert invoke("train", toy_files[0], *QUICK, "--overwrite").exit_code == 0
    assert not Path("runs/world-4").exists()
    assert invoke("train", toy_files[0], *QUICK, "-o", "mine").exit_code == 0
    assert config_of("mine").training.passes == 1
    assert "639" in invoke("info", "runs/world").output


def test_options_set_what_they_say(invoke, toy_files):
    result = invoke(
        "train", toy_files[0], *QUICK, "--window", 3, "--min-count", 2, "--max-words", 100,
        "--subwords", "--phrases", "--threads", 1, "--memory-limit", "1GB", "training.seed=5",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    config = config_of("runs/world")
    assert config.examples.window == 3
    assert (config.vocabulary.min_count, config.vocabulary.max_size) == (2, 100)
    assert (config.subwords.max_n, config.subwords.mode) == (6, "after")
    assert config.corpus.phrases.passes == 2
    assert (config.training.threads, config.training.seed) == (1, 5)
    assert config.training.memory_limit == 10**9


def test_several_texts_and_folders_are_one_corpus(invoke, toy_files, write, tmp_path):
    write("texts/a.txt", toy_files[0].read_text())
    write("texts/b.txt", toy_files[0].read_text())
    assert invoke("train", "texts", *QUICK).exit_code == 0
    assert invoke("train", "texts/a.txt", "texts/b.txt", *QUICK).exit_code == 0
    assert invoke("train", "texts/*.txt", *QUICK).exit_code == 0
    counts = [
        Path("runs", name, "vocabulary.tsv").read_text() for name in ("texts", "a", "texts-2")
    ]
    assert counts[0] == counts[1] == counts[2]


def test_standard_input_trains(invoke, toy_files, monkeypatch):
    stream = io.TextIOWrapper(io.BufferedReader(io.BytesIO(toy_files[0].read_bytes())))
    monkeypatch.setattr(sys, "stdin", stream)
    assert invoke("train", "-", *QUICK, text=toy_files[0].read_bytes()).exit_code == 0
    assert len(embedder_words("runs/stdin")) == 639


def embedder_words(run):
    return RunFolder(Path(run)).vocabulary.read_text().splitlines()[1:]


def test_tables_are_read_by_field_or_refused(invoke, write, toy_files):
    rows = toy_files[0].read_text().splitlines()
    write("t.csv", "id,body\n" + "".join(f'{i},"{row}"\n' for i, row in enumerate(rows)))
    result = invoke("train", "t.csv", *QUICK)
    assert result.exit_code == 1
    assert "set --text-field to the column that contains the text, one of: id, body" in (
        result.output
    )
    assert not Path("runs/t").exists()
    assert invoke("train", "t.csv", "--text-field", "body", *QUICK).exit_code == 0
    assert len(embedder_words("runs/t")) == 639


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["t.csv"], "t.csv: a CSV file; set --text-field to the column"),
        (["t.csv", "--text-field", "title"], "'title', which is set by --text-field;"),
        (["t.csv", "corpus.text_field=title"], "'title', which is set by corpus.text_field;"),
        (["long.txt", "--memory-limit", "1kB"], "but --memory-limit is 1 KiB; lower --max-words,"),
        (["t.csv", "--text-field", "id"], "; lower --min-count ("),
        (["t.csv", "network.dimension=0"], "the command line: network.dimension: expected"),
        (["t.csv", "network.hidden=0"], "the command line: network.hidden: expected"),
        (["t.csv", "--memory-limit", "much"], "the command line: --memory-limit: "),
        (["c.yaml"], "t.csv: a CSV file; set corpus.text_field to the column"),
        (["c.yaml", "--text-field", "title"], "'title', which is set by --text-field;"),
        (["c.yaml", "corpus.text_field=id"], "; lower vocabulary.min_count ("),
    ],
)
def test_errors_name_what_was_typed(invoke, write, arguments, message):
    write("t.csv", "id\na b c\n")
    write("long.txt", "a b c\n" * 9)
    write("c.yaml", "corpus: {files: t.csv}\n")
    result = invoke("train", *arguments)
    assert result.exit_code == 1
    assert message in result.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere.txt"], "nowhere.txt: no such file or folder in "),
        (["nowhere.yaml"], "nowhere.yaml: no such configuration file"),
        ([""], "The name of a text is empty"),
        ([], "give a text or a configuration, such as: embedder train my.txt"),
        (["a.txt", "--resume", "runs/x"], "omit the text"),
        (["a.txt", "--dimension", "0"], "0 is not in the range"),
        (["a.txt", "network.dimensions=5"], "Did you mean 'network.dimension'?"),
    ],
)
def test_mistakes_are_one_sentence_and_leave_nothing(invoke, arguments, message):
    result = invoke("train", *arguments)
    assert result.exit_code in (1, 2)
    assert message in result.output
    assert "Traceback" not in result.output
    assert not Path("runs").exists() or not list(Path("runs").iterdir())


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        ("my.txt", "my"),
        ("a/b/my.txt.gz", "my"),
        ("texts/", "texts"),
        ("texts/*.txt", "texts"),
        ("*.txt", "text"),
        ("-", "stdin"),
        ("s3://bucket/some/file.jsonl.zst", "file"),
        ("package:bible/data/kjv.jsonl", "kjv"),
        ("Mein Text (2).txt", "Mein-Text-2"),
        ("../..", "text"),
    ],
)
def test_runs_are_named_after_their_text(pattern, name):
    assert name_of(pattern) == name


def test_what_is_left_out_is_reported_in_a_sentence(invoke, write):
    rows = '{"text": "a b a b a b a b a b"}\n{"text": null}\n'
    path = write("texts/a.jsonl", rows)
    (path.parent / "gone.txt").symlink_to(path.parent / "missing")
    arguments = ["train", path.parent, "--text-field", "text", *QUICK, "vocabulary.subsample=0"]
    refused = invoke(*arguments)
    assert refused.exit_code == 1
    assert "gone.txt: cannot be read (a link to a missing file)" in refused.output
    result = invoke(*arguments, "corpus.unreadable=skip")
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    gone = path.parent / "gone.txt"
    assert lines.count(f"{gone}: cannot be read (a link to a missing file); left out.") == 1
    assert lines.count(f"{path}: 'text' is null in 1 of 2 records, which have no text.") == 1
    assert "Warning" not in result.output
    assert config_of("runs/texts").corpus.unreadable == "skip"


def test_later_text_and_words_are_treated_like_those_of_the_training(invoke, write):
    nfc, nfd = "café", "cafe\u0301"
    text = write("t.txt", f"{nfc} noir {nfd} rouge co\u00adop İzmir {nfc} noir coop izmir\n" * 20)
    result = invoke("train", text, *QUICK, "-o", "run", "vocabulary.subsample=0")
    assert result.exit_code == 0, result.output
    for word in (nfc, nfd, "co\u00adop", "izmir"):
        assert invoke("neighbors", "run", word).exit_code == 0
    unknown = invoke("neighbors", "run", "İzmir")
    assert (
        "'İzmir' is not in the vocabulary; 'izmir' is, and differs only in case" in unknown.output
    )
    pairs = write("s.txt", f"{nfd}\tnoir\t5\nİZMIR\tCO\u00adOP\t1\nrouge\tizmir\t2\n")
    assert "3   3" in invoke("eval", "run", "--similarity", pairs).output
    assert invoke("export", "run", "v.txt").exit_code == 0
    foreign = invoke("neighbors", "v.txt", nfd)
    assert foreign.exit_code == 1
    assert "differs only in Unicode normal form (NFD, not NFC)" in foreign.output
