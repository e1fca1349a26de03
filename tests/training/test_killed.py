"""A training killed at any moment resumes with bit-identical results.

`pytest tests/training/test_killed.py --moments 200` produces the figures in docs/reliability.md.
"""

import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import yaml

from embedder.errors import EmbedderError
from embedder.runs.checkpoint import load_model
from embedder.runs.run_folder import RunFolder
from embedder.vectors.formats import load

PROGRAM = [sys.executable, "-c", "from embedder.cli import main; main()"]


def program(*arguments):
    return subprocess.Popen(
        [*PROGRAM, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


def finish(*arguments):
    process = program(*arguments)
    output = process.communicate()[0].decode()
    assert process.returncode == 0, output


def kill_after(seconds, process):
    time.sleep(seconds)
    process.send_signal(signal.SIGKILL)
    process.communicate()


def assert_bit_identical(one, other):
    for a, b in zip(load_model(one).parameters, load_model(other).parameters, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.fixture(scope="module")
def whole(toy_tree, tmp_path_factory):
    """Return a configuration with frequent checkpoints, an undisturbed run, and its seconds."""
    folder = tmp_path_factory.mktemp("killed")
    training = {"passes": 60, "checkpoint_every": "3 steps"}
    tree = toy_tree | {"training": toy_tree["training"] | training}
    config = folder / "c.yaml"
    config.write_text(yaml.safe_dump(tree))
    finish("train", config, "--output", folder / "warm", "--quiet")  # compiles
    started = time.perf_counter()
    finish("train", config, "--output", folder / "whole", "--quiet")
    return config, folder / "whole", time.perf_counter() - started


@pytest.mark.slow
def test_training_killed_at_random_moments_resumes_bit_identically(whole, tmp_path, request, rng):
    config, expected, seconds = whole
    resumed = restarted = 0
    for i in range(request.config.getoption("--moments")):
        run = tmp_path / f"run{i}"
        kill_after(rng.uniform(0, seconds), program("train", config, "--output", run, "--quiet"))
        folder = RunFolder(run)
        if folder.model.exists():  # the kill came too late, or between the last files
            pass
        elif folder.checkpoints():
            resumed += 1
            load_model(run)
            finish("train", "--resume", run, "--quiet")
        else:
            restarted += 1
            overwrite = ["--overwrite"] if folder.config.exists() else []
            if run.exists() and not overwrite:
                leftover = [entry.name for entry in run.iterdir()]
                assert all(name.startswith((".work-", ".lock", ".config")) for name in leftover)
            finish("train", config, "--output", run, "--quiet", *overwrite)
        assert_bit_identical(run, expected)
        left = {entry.name for entry in run.iterdir() if not entry.name.startswith(".")}
        assert left >= {"config.yaml", "vocabulary.tsv", "metrics.jsonl", "model.safetensors"}
    print(f"\n{resumed} resumed, {restarted} started again")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["v.txt", "v.bin", "v.npy", "v.safetensors", "v.fifu"])
def test_an_export_killed_at_random_moments_leaves_the_old_or_the_new_file(
    whole, tmp_path, request, rng, name
):
    _, run, _ = whole
    out = tmp_path / name
    finish("export", run, out, "--vectors", "input")
    old = load(out).matrix.copy()
    new = load(run, "output").matrix
    started = time.perf_counter()
    finish("export", run, tmp_path / f"timed{name}", "--vectors", "output")
    seconds = time.perf_counter() - started
    for _ in range(max(1, request.config.getoption("--moments") // 5)):
        export = program("export", run, out, "--vectors", "output", "--overwrite")
        kill_after(rng.uniform(0, seconds), export)
        try:
            found = load(out).matrix
        except EmbedderError as error:
            pytest.fail(str(error))
        same = [np.allclose(found, matrix, rtol=1e-5) for matrix in (old, new)]
        assert any(same)
