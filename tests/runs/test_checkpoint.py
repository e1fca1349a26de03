import errno
import shutil
from pathlib import Path

import numpy as np
import pytest

from embedder import storage
from embedder.errors import EmbedderError, RunError
from embedder.network.parameters import Parameters
from embedder.runs.checkpoint import (
    SavedState,
    load_checkpoint,
    load_model,
    save_checkpoint,
    save_model,
    save_model_with_fallback,
)
from embedder.runs.run_folder import RunFolder
from embedder.training.metrics import Metrics


@pytest.fixture
def run_copy(toy_run, tmp_path):
    return Path(shutil.copytree(toy_run, tmp_path / "copy"))


def small_parameters():
    return Parameters(
        *(np.ones(shape, np.float32) for shape in [(3, 2), (2, 2), (2,), (3, 2), (3,)])
    )


def test_the_run_folder_contains_the_documented_files(toy_run):
    assert sorted(file.name for file in toy_run.iterdir()) == [
        "config.yaml",
        "metrics.jsonl",
        "model.safetensors",
        "vocabulary.tsv",
    ]


@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.999])
def test_a_truncated_model_raises_an_error(run_copy, share):
    model = run_copy / "model.safetensors"
    content = model.read_bytes()
    model.write_bytes(content[: int(share * len(content))])
    with pytest.raises(RunError, match=r"model\.safetensors: truncated or damaged"):
        load_model(run_copy)


def test_files_from_different_runs_are_detected(run_copy):
    save_model(run_copy / "model.safetensors", small_parameters(), {})
    with pytest.raises(RunError, match="not from the same run"):
        load_model(run_copy)


def test_numbers_that_are_not_finite_are_rejected(run_copy):
    parameters = small_parameters()
    parameters.E[0, 0] = np.nan
    save_model(run_copy / "model.safetensors", parameters, {})
    with pytest.raises(RunError, match="not finite"):
        load_model(run_copy)


def test_folders_without_a_run_and_unfinished_runs_raise_errors(tmp_path, run_copy):
    with pytest.raises(RunError, match="not a run"):
        load_model(tmp_path / "none")
    (run_copy / "model.safetensors").unlink()
    with pytest.raises(RunError, match="did not finish"):
        load_model(run_copy)


def fill_the_disk(monkeypatch, folder):
    """Make every file below a folder fail to sync, as on a full disk."""
    original = storage.os.fsync

    def fsync(descriptor):
        if Path(f"/proc/self/fd/{descriptor}").readlink().is_relative_to(folder):
            raise OSError(errno.ENOSPC, "No space left on device")
        original(descriptor)

    monkeypatch.setattr(storage.os, "fsync", fsync)


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="finds a file's path in /proc")
def test_a_model_is_saved_elsewhere_if_the_disk_is_full(tmp_path, monkeypatch):
    path = tmp_path / "run" / "model.safetensors"
    path.parent.mkdir()
    path.write_bytes(b"before")
    fallback = tmp_path / "fallback"
    fallback.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(fallback))
    fill_the_disk(monkeypatch, path.parent)
    with pytest.raises(RunError, match=r"the disk is full.*was saved as .*fallback"):
        save_model_with_fallback(path, small_parameters(), {})
    assert [file.name for file in path.parent.iterdir()] == ["model.safetensors"]
    assert path.read_bytes() == b"before"
    assert len(list(fallback.rglob("model.safetensors"))) == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_device_without_space_is_reported_as_full(tmp_path, monkeypatch):
    def to_full_device(path):
        with open("/dev/full", "wb", buffering=0) as file:  # noqa: PTH123
            file.write(b"x")

    with pytest.raises(RunError, match="the disk is full"):
        storage.write_atomically(tmp_path / "a", to_full_device)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["model.safetensors", "vocabulary.tsv", "config.yaml"])
def test_any_flipped_bit_of_a_run_raises_an_error_or_has_no_effect(
    toy_run, tmp_path, rng, request, name
):
    run = tmp_path / "run"
    shutil.copytree(toy_run, run)
    whole = load_model(run)
    content = (run / name).read_bytes()
    flips = min(len(content), request.config.getoption("--flips"))
    detected = 0
    for position in rng.choice(len(content), flips, replace=False):
        damaged = bytearray(content)
        damaged[position] ^= 1 << int(rng.integers(8))
        (run / name).write_bytes(damaged)
        try:
            found = load_model(run)
        except EmbedderError:
            detected += 1
            continue
        assert found.vocabulary.words == whole.vocabulary.words
        assert found.config == whole.config
        for one, other in zip(found.parameters, whole.parameters, strict=True):
            np.testing.assert_array_equal(one, other)
    if name != "config.yaml":
        assert detected >= flips - 2


def test_any_flipped_bit_of_a_checkpoint_raises_an_error_or_has_no_effect(tmp_path, rng, request):
    folder = RunFolder(tmp_path)
    moments = {"first.E": rng.normal(size=(3, 2)), "visits.E": np.arange(3)}
    metadata = {"step": 7, "passes": 0.5, "position": [1, 2], "best": [0.25, 1]}
    save_checkpoint(folder, SavedState(small_parameters(), moments, metadata), 1)
    (path,) = folder.checkpoints()
    content = path.read_bytes()
    for position in rng.integers(0, len(content), request.config.getoption("--flips")):
        damaged = bytearray(content)
        damaged[position] ^= 1 << int(rng.integers(8))
        path.write_bytes(damaged)
        try:
            found, errors = load_checkpoint(folder)
        except RunError:
            continue
        assert errors == []
        assert found.metadata == metadata
        for name, array in moments.items():
            np.testing.assert_array_equal(found.optimizer[name], array)


def test_damaged_lines_of_metrics_are_skipped(tmp_path):
    path = tmp_path / "metrics.jsonl"
    good = '{"step": 3, "pass": 0.5, "loss": 1.0, "seconds": 2.5}'
    path.write_text(f'{good}\n{{"step": 5, "sec\n\x00\n[]\n{good.replace("3", "9")}\n')
    Metrics(path, 10, 5, 0.6)
    assert path.read_text() == good + "\n"
