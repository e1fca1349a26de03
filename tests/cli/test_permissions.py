"""Files that may not be read, simulated, since the tests may run as a user who may read all."""

import builtins
import errno
import io
import os
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from embedder.cli import main


@pytest.fixture
def locked(tmp_path, monkeypatch):
    """A folder in which nothing may be looked at."""
    folder = tmp_path / "locked"

    def forbid(owner, name):
        allowed = getattr(owner, name)

        def call(path, *arguments, **options):
            own = isinstance(path, str | Path) and Path(path).is_relative_to(folder)
            if own and not (name == "stat" and Path(path) == folder):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
            return allowed(path, *arguments, **options)

        monkeypatch.setattr(owner, name, call)

    folder.mkdir()
    calls = [(os, name) for name in ("stat", "lstat", "listdir", "scandir", "open", "unlink")]
    for owner, name in [*calls, (io, "open"), (builtins, "open")]:
        forbid(owner, name)
    return folder


COMMANDS = [
    ["train", "{locked}"],
    ["train", "{locked}/a.txt"],
    ["train", "{locked}/*.txt"],
    ["train", "{locked}/a.yaml"],
    ["train", "{text}", "--output", "{locked}/run"],
    ["train", "--resume", "{locked}/run"],
    ["train", "{text}", "corpus.phrases.file={locked}/p.tsv"],
    ["train", "{text}", "subwords.parts={locked}/p.tsv"],
    ["train", "{text}", "examples.source=windows", "validation.files={locked}/v.txt"],
    ["eval", "{locked}/v.txt", "--similarity", "{text}"],
    ["eval", "{run}", "--similarity", "{locked}/s.txt"],
    ["eval", "{run}", "--analogies", "{locked}/bats"],
    ["eval", "{run}", "--analogies", "{locked}"],
    ["eval", "{run}", "--outliers", "{locked}/o.txt"],
    ["eval", "{run}", "--perplexity", "{locked}/t.txt"],
    ["compare", "{run}", "{locked}/v.txt", "--similarity", "{text}"],
    ["report", "{locked}/run"],
    ["info", "{locked}/run"],
    ["neighbors", "{locked}/run", "king"],
    ["index", "{run}", "{locked}/i"],
    ["export", "{run}", "{locked}/v.txt"],
    ["convert", "{locked}/v.txt", "{text}.vec"],
    ["phrases", "{locked}/t.txt"],
    ["run", "{locked}/e.yaml"],
    ["init", "--output", "{locked}/q.yaml"],
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_what_may_not_be_read_or_written_is_named_without_a_traceback(
    locked, command, write, toy_run, monkeypatch
):
    monkeypatch.chdir(locked.parent)
    text = write("text.txt", "king queen 5\nman woman 6\n" * 50)
    arguments = [each.format(locked=locked, text=text, run=toy_run) for each in command]
    result = CliRunner().invoke(main, [*arguments, *(["--quiet"] if command[0] == "train" else [])])
    assert result.exit_code == 1, result.output
    assert isinstance(result.exception, SystemExit)
    message = result.output.splitlines()[-1]
    assert message.startswith("Error: ")
    assert str(locked) in message
    assert "Permission denied" in message


@pytest.mark.parametrize(
    "command",
    [
        ["eval", "", "--similarity", "s.txt"],
        ["eval", "v.txt", "--similarity", ""],
        ["report", "v.txt", "--out", ""],
        ["train", "--resume", ""],
        ["train", "a.txt", "--output", ""],
        ["train", ""],
        ["train", "a.txt", "evaluation.similarity=['']"],
    ],
)
def test_an_empty_name_is_not_the_current_folder(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, command)
    assert result.exit_code in (1, 2)
    assert re.search("name (of a text )?is empty|expected the name of a file", result.output)
