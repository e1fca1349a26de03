import os
import signal
import subprocess
import sys
import time

import pytest
import yaml
from click.testing import CliRunner

from embedder.cli import main
from embedder.training import train as training
from embedder.training.local import LocalEngine
from embedder.training.trainer import Trainer

PROGRAM = [sys.executable, "-c", "from embedder.cli import main; main()"]
NUMBERS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


@pytest.fixture
def train(toy_tree, write, tmp_path, monkeypatch):
    """Train, and send a signal when a method is called; return the result and the run's folder."""

    def run(number, owner, name):
        original = getattr(owner, name)

        def kill(*arguments, **options):
            os.kill(os.getpid(), number)
            return original(*arguments, **options)

        monkeypatch.setattr(owner, name, kill)
        config = write("toy.yaml", yaml.safe_dump(toy_tree))
        folder = tmp_path / "run"
        options = ["--output", str(folder), "--quiet", "training.passes=1"]
        return CliRunner().invoke(main, ["train", str(config), *options]), folder

    return run


@pytest.mark.parametrize("number", NUMBERS)
def test_a_stopped_training_exits_with_128_and_the_signal_and_says_how_to_resume(train, number):
    result, folder = train(number, Trainer, "_is_done")
    assert result.exit_code == 128 + number
    assert f"Resume with: embedder train --resume {folder}" in result.output


def test_a_training_stopped_before_it_began_says_that_nothing_was_saved(train):
    result, folder = train(signal.SIGTERM, LocalEngine, "read")
    assert (result.exit_code, result.output) == (143, "Stopped; nothing new was saved.\n")
    assert not folder.exists()


def test_a_training_stopped_at_its_very_end_names_the_model(train):
    result, folder = train(signal.SIGTERM, training, "save_model_with_fallback")
    assert result.exit_code == 143
    assert f"the model is saved in {folder}" in result.output


def test_any_command_ends_with_128_and_the_signal(monkeypatch, toy_run):
    monkeypatch.setattr(
        "embedder.vectors.formats.load", lambda *_: os.kill(os.getpid(), signal.SIGTERM)
    )
    result = CliRunner().invoke(main, ["info", str(toy_run)])
    assert (result.exit_code, result.output) == (143, "Stopped.\n")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes of Unix")
def test_a_signal_ends_a_training_that_waits_for_its_text(tmp_path, start):
    arguments = ["train", "-", "--output", str(tmp_path / "run"), "--quiet"]
    process = start([*PROGRAM, *arguments], stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 100
    while not list(tmp_path.glob("run/.work-*/*")):  # the text is being read
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    errors = process.stderr.read().decode()
    assert process.wait(60) == 143
    assert errors == "Stopped; nothing new was saved.\n"
    assert not list(tmp_path.iterdir())
