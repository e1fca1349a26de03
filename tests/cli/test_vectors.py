import os
import subprocess
import sys

import pytest
from click.testing import CliRunner

from embedder.cli import main

TEXT = "king 1 2\nof 3 4\nking's 1 2.1\n"
WITH_FORMAT = ["neighbors", "analogy", "info", "eval", "compare", "report", "index", "export"]


@pytest.fixture
def invoke():
    def run(*arguments):
        return CliRunner().invoke(main, [str(argument) for argument in arguments])

    return run


def test_existing_files_are_replaced_only_with_overwrite(invoke, write, tmp_path):
    source = write("in.glove", TEXT)
    out = write("out.txt", "precious")
    for command in ("convert", "export"):
        result = invoke(command, source, out)
        assert result.exit_code == 1
        assert "out.txt: exists; choose another name, or replace it: --overwrite." in result.output
        assert out.read_text() == "precious"
    # What is in the way is known before anything is read.
    assert "out.txt: exists" in invoke("convert", tmp_path / "none", out).output
    assert invoke("convert", source, out, "--overwrite").exit_code == 0
    assert out.read_text().startswith("3 2\nking 1.0 2.0\n")


def test_a_run_is_not_exported_into_itself(invoke, toy_run):
    before = (toy_run / "model.safetensors").read_bytes()
    result = invoke("export", toy_run, toy_run, "--format", "static-embedding", "--overwrite")
    assert "the folder contains something else" in result.output
    result = invoke("export", toy_run, toy_run / "model.safetensors", "--overwrite")
    assert "belongs to the run" in result.output
    assert (toy_run / "model.safetensors").read_bytes() == before


def test_endings_of_no_format_are_rejected_before_anything_is_read(invoke, write, tmp_path):
    for ending in (".kv", ".h5", ".foo", ".txt.zip"):
        result = invoke("convert", tmp_path / "none", tmp_path / f"out{ending}")
        assert result.exit_code == 1
        assert "no format is written to files that end in" in result.output
    assert list(tmp_path.iterdir()) == []
    out = tmp_path / "out.foo"
    assert invoke("convert", write("a.glove", TEXT), out, "--format", "glove").exit_code == 0


def test_words_that_cannot_be_written_are_left_out_or_replaced_with_a_count(
    invoke, write, tmp_path
):
    source = write("in.txt", "2 2\nnew york 1 2\nof 3 4\n")
    out = tmp_path / "out.bin"
    result = invoke("convert", source, out)
    assert "'new york': words that the word2vec-binary format cannot store" in result.output
    result = invoke("convert", source, out, "--unwritable", "replace")
    assert "in.txt: 1 words contain spaces." in result.output
    assert "1 words were written with _" in result.output
    assert "Wrote 2 vectors" in result.output
    result = invoke("convert", source, out, "--unwritable", "skip", "--overwrite")
    assert "1 words that word2vec-binary cannot store were left out" in result.output
    assert "Wrote 1 vectors" in result.output


@pytest.mark.parametrize("command", [*WITH_FORMAT, "convert"])
def test_every_command_that_reads_vectors_takes_their_format(command):
    options = [name for parameter in main.commands[command].params for name in parameter.opts]
    assert "--from" in options


def test_the_format_given_is_the_one_read(invoke, write, tmp_path):
    counts = write("counts.txt", "king 7\nof 9\n")
    assert "--from glove" in invoke("info", counts).output
    for command in (["info", counts], ["neighbors", counts, "king"], ["eval", counts]):
        pairs = ["--similarity", write("p.txt", "king of 1\n")] if command[0] == "eval" else []
        assert invoke(*command, *pairs, "--from", "glove").exit_code == 0
    result = invoke("convert", counts, tmp_path / "out.txt", "--from", "glove")
    assert "Wrote 2 vectors of 1 dimensions" in result.output


def test_a_word_that_looks_like_an_option_gets_advice(invoke, write):
    source = write("in.glove", "-1 1 2\n-2 1 3\n")
    result = invoke("neighbors", source, "-1")
    assert result.exit_code == 2
    assert "No such option '-1'. If it is a word or a file, put -- before it: -- -1" in " ".join(
        result.output.split()
    )
    assert invoke("neighbors", source, "--", "-1").output.split()[1] == "-2"


@pytest.mark.skipif(os.name != "posix", reason="needs shells of Unix")
def test_vectors_come_through_pipes(write, tmp_path):
    source = write("in.glove", "".join(f"w{i} {i} 0.5 0.25\n" for i in range(1000)))
    program = f"{sys.executable} -c 'from embedder.cli import main; main()'"
    for command in (
        f"{program} convert <(cat {source}) {tmp_path}/a.txt",
        f"cat {source} | gzip | {program} convert - {tmp_path}/b.txt",
        f"{program} convert {source} - | {program} convert /dev/stdin {tmp_path}/c.txt",
    ):
        done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
        assert "Wrote 1,000 vectors of 3 dimensions" in done.stdout
    contents = {(tmp_path / name).read_bytes() for name in ("a.txt", "b.txt", "c.txt")}
    assert len(contents) == 1


def test_ngrams_are_added_to_a_file_of_vectors(invoke, write, tmp_path):
    words = [stem + ending for stem in ("walk", "talk", "jump") for ending in ("", "s", "ed")]
    lines = (f"{word} {i // 3} {i % 3} {len(word)}\n" for i, word in enumerate(words))
    source, out = write("in.glove", "".join(lines)), tmp_path / "out.ftbin"
    assert "'talking' is not in the vocabulary" in invoke("neighbors", source, "talking").output
    result = invoke("convert", source, out, "--subwords")
    assert "Wrote 9 vectors of 3 dimensions" in result.output
    result = invoke("neighbors", out, "talking", "-n", 2)
    assert "'talking' is unknown; its vector is composed of its parts." in result.output
    assert "talk" in result.output
    result = invoke("convert", out, tmp_path / "again.ftbin", "--subwords")
    assert result.exit_code == 2
    assert "has vectors of n-grams already; omit --subwords" in result.output
    result = invoke("convert", source, tmp_path / "out.txt", "--subwords")
    assert "word2vec cannot store vectors of n-grams; expected --format fasttext" in result.output
    assert not (tmp_path / "out.txt").exists()
