import json
import os
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from click.testing import CliRunner

import embedder
from embedder.cli import main
from embedder.runs.replicate_folder import ReplicateFolder


@pytest.fixture
def run():
    def invoke(*arguments, **options):
        return CliRunner().invoke(main, [str(each) for each in arguments], **options)

    return invoke


@pytest.fixture
def noisy_run(write_replicates, toy_vectors, rng):
    noise = (rng.normal(0, 0.05, toy_vectors.matrix.shape) for _ in range(4))
    return write_replicates([toy_vectors.matrix + own for own in noise])


def test_training_with_replicates_says_what_they_are(run, toy_files, tmp_path):
    folder = tmp_path / "run"
    found = run(
        *("train", toy_files[0], "-o", folder, "-d", 8, "--passes", 1),
        *("--bootstrap", 2, "--seeds", 1, "replicates.block=20"),
    )
    assert found.exit_code == 0, found.output
    assert "2 on bootstrap samples and 1 with other seeds" in found.output
    assert "Replicates: 2 bootstrap samples of the text and 1 other seed." in found.output
    assert len(ReplicateFolder(folder).replicates()) == 3
    assert "2 bootstrap samples of the text and 1 other seed" in run("info", folder).output
    more = run("train", "--resume", folder, "--bootstrap", 3, "-q")
    assert more.exit_code == 0, more.output
    assert more.output == ""
    assert len(ReplicateFolder(folder).replicates()) == 4


def test_text_from_standard_input_has_replicates(run, toy_files, tmp_path):
    text = toy_files[0].read_text()
    folder = tmp_path / "run"
    wanted = ["-", "-o", folder, "-d", 8, "--passes", 1, "--seeds", 1, "-q"]
    found = run("train", *wanted, input=text)
    assert found.exit_code == 0, found.output
    assert len(ReplicateFolder(folder).replicates()) == 1


def test_neighbors_have_intervals(run, noisy_run, toy_vectors):
    word = toy_vectors.words[5]
    found = run("neighbors", noisy_run, word, "-n", 3)
    assert found.exit_code == 0, found.output
    header, *rows = found.output.splitlines()
    words = " ".join(header.split())
    assert words == "word similarity 95 % interval in the top 3 of 4 samples"
    for row, near in zip(rows, toy_vectors.neighbors(word, 3), strict=True):
        name, similarity, low, to, high, share = row.split()
        assert (name, to) == (near.word, "to")
        assert float(similarity) == pytest.approx(near.similarity, abs=1e-4)
        assert float(low) <= float(high)
        assert re.fullmatch(r"\d+%", share)
    two = run("neighbors", noisy_run, word, toy_vectors.words[6], "-n", 1).output
    assert f"{word}:\n" in two


def test_other_vectors_indexes_and_files_have_none(run, noisy_run, toy_vectors, tmp_path):
    word = toy_vectors.words[5]
    for options in (["--vectors", "hidden"], ["--in", noisy_run]):
        found = run("neighbors", noisy_run, word, *options, "-n", 2)
        assert found.exit_code == 0, found.output
        assert "top" not in found.output
    embedder.save(toy_vectors, tmp_path / "file.bin")
    assert "top" not in run("neighbors", tmp_path / "file.bin", word).output
    assert run("neighbors", noisy_run, "qqq").exit_code == 1
    assert "is not in the vocabulary" in run("neighbors", noisy_run, "qqq").output


def test_stability_of_a_run_and_of_models(run, noisy_run, toy_vectors, tmp_path):
    found = run("stability", noisy_run, "--json", tmp_path / "found.json")
    assert found.exit_code == 0, found.output
    assert "Shared of the 10 nearest words" in found.output
    assert "bootstrap" in found.output
    bands = json.loads((tmp_path / "found.json").read_text())["bands"]
    assert 0 < bands[0]["agreements"]["bootstrap"]["jaccard"] < 1
    for number in (1, 2):
        embedder.save(toy_vectors, tmp_path / f"{number}.bin")
    files = [tmp_path / "1.bin", tmp_path / "2.bin"]
    plain = run("stability", *files)
    assert re.search(r"all +\d+ +100\.0%", plain.output)
    counted = run("stability", *files, "--counts", noisy_run, "-n", 5)
    assert "Shared of the 5 nearest words" in counted.output
    assert "up to" not in plain.output
    assert "100 to 299" in counted.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["stability", "{toy}"], "without replicates; train them with: embedder train --resume"),
        (["stability", "{toy}", "--counts", "{toy}"], "--counts is for several models"),
        (["stability", "nowhere"], "nowhere: not a run (no config.yaml)"),
        (["stability", "none.bin", "none.bin"], "none.bin"),
        (["stability"], "Missing argument"),
        (["train", "none.txt", "--bootstrap", "-1"], "-1 is not in the range"),
        (["train", "none.txt", "--bootstrap", "1", "--engine", "ray"], "expected --engine local"),
        (["train", "--resume", "{toy}"], "unless --bootstrap or --seeds ask for replicates"),
        (["train", "--resume", "{toy}", "--seeds", "1", "-d", "9"], "with --dimension 32"),
        (["train", "none.txt", "replicates.block=words"], "'sentence'"),
    ],
)
def test_mistakes_are_one_sentence(run, toy_run, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    found = run(*(each.format(toy=toy_run) for each in arguments))
    assert found.exit_code != 0
    assert message in " ".join(found.output.split())
    assert "Traceback" not in found.output
    assert not ReplicateFolder(toy_run).path.exists()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM to handle")
def test_a_process_that_is_stopped_says_how_to_resume(toy_files, tmp_path, start):
    folder = tmp_path / "run"
    command = [sys.executable, "-m", "embedder"]
    options = ["-q", "-d", "8", "--passes", "1", "--seeds", "500"]
    process = start(
        [*command, "train", str(toy_files[0]), "-o", str(folder), *options],
        stderr=subprocess.PIPE,
        text=True,
    )
    while not ReplicateFolder(folder).replicates() and process.poll() is None:
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGTERM)
    _, said = process.communicate()
    assert process.returncode == 128 + signal.SIGTERM
    assert re.search(r"Stopped at other seed \d+.*; all progress is saved\.", said)
    assert f"Resume with: embedder train --resume {folder}" in said
    done = ReplicateFolder(folder).replicates()
    assert 1 <= len(done) < 500
    again = CliRunner().invoke(
        main, ["train", "--resume", str(folder), "--seeds", str(len(done) + 1), "-q"]
    )
    assert again.exit_code == 0, again.output
    assert len(ReplicateFolder(folder).replicates()) == len(done) + 1


def test_python_has_the_same(toy_files, tmp_path):
    small = {"dimension": 8, "passes": 1, "tokenizer": "whitespace", "progress": False}
    with pytest.raises(embedder.EmbedderError, match="need a folder for the replicates: output="):
        embedder.train(toy_files[0], seeds=1, **small)
    lines = toy_files[0].read_text().splitlines()
    folder = tmp_path / "run"
    vectors = embedder.train((line for line in lines), seeds=1, output=folder, **small)
    assert len(ReplicateFolder(folder).replicates()) == 1
    again = embedder.train(lines, bootstrap=1, output=folder, resume=True, progress=False)
    np.testing.assert_array_equal(again.matrix, vectors.matrix)
    assert len(ReplicateFolder(folder).replicates()) == 2
