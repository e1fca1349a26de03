import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import numba
import pytest

import embedder
from embedder.errors import ConfigError
from embedder.kernels import compiler


@pytest.fixture
def restored(monkeypatch):
    """Restore what a process changes if Numba finds no folder."""
    monkeypatch.setenv("NUMBA_CACHE_DIR", "")
    monkeypatch.setattr(numba.config, "CACHE_DIR", "")
    monkeypatch.setattr(compiler.Dispatcher, "enable_caching", compiler.Dispatcher.enable_caching)
    return monkeypatch


def test_where_neither_package_nor_home_can_be_written_kernels_are_kept_in_a_private_folder(
    tmp_path,
):
    package = shutil.copytree(
        Path(embedder.__file__).parent,
        tmp_path / "embedder",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    (package / "kernels" / "__pycache__").touch()  # in the way, even of root
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    own = {"PYTHONPATH": str(tmp_path), "TMPDIR": str(temporary), "XDG_CACHE_HOME": os.devnull}
    environment = {k: v for k, v in os.environ.items() if k != "NUMBA_CACHE_DIR"} | own
    code = "from embedder.kernels.tokens import encode_block as k; print(k.stats.cache_path)"
    for number in range(2):
        done = subprocess.run(
            [sys.executable, "-c", code],
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
        (folder,) = temporary.iterdir()
        assert done.stdout.startswith(f"{folder}{os.sep}"), done.stderr
        # Once is enough: the next process finds what this one compiled.
        assert done.stderr.count("\n") == (number == 0)
        assert number > 0 or f"Compiled kernels are kept in {folder}" in done.stderr


def test_without_any_folder_kernels_are_compiled_but_not_kept(restored, capsys):
    restored.setattr(compiler, "_finds_a_folder", lambda: False)
    restored.setattr(compiler, "private_folder", lambda name: None)
    compiler.prepare_cache()
    assert "set NUMBA_CACHE_DIR" in capsys.readouterr().err
    kernel = numba.njit(cache=True)(lambda x: x + 1)
    assert kernel(1) == 2
    assert kernel.stats.cache_path is None


def test_the_cache_is_not_a_folder_called_tilde_where_the_user_has_no_home(
    restored, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    restored.setenv("HOME", "~")
    restored.delenv("XDG_CACHE_HOME", raising=False)
    restored.setattr(compiler, "__file__", str(tmp_path / "file" / "compiler.py"))
    (tmp_path / "file").touch()
    assert not compiler._finds_a_folder()
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]
    restored.setattr(numba.config, "CACHE_DIR", str(tmp_path / "cache"))
    assert compiler._finds_a_folder()


def compile_a_kernel():
    def kernel(x):
        return x + 1

    assert numba.njit(kernel)(1) == 2


def test_compilation_is_reported_when_it_takes_long_and_when_it_is_done(monkeypatch):
    monkeypatch.setattr(compiler, "_PATIENCE", 0.0)
    said = []
    reported = threading.Event()

    def report(line):
        said.append(line)
        reported.set()

    with compiler.compiling(report):
        compile_a_kernel()
        assert reported.wait(60)
        compile_a_kernel()
    assert len(said) == 2
    assert "Compiling kernels: up to a minute" in said[0]
    assert "Compiling kernels took " in said[1]


def test_short_compilation_is_not_worth_a_line(monkeypatch):
    monkeypatch.setattr(compiler, "_PATIENCE", 1e4)
    said = []
    with compiler.compiling(said.append):
        compile_a_kernel()
    assert said == []


def test_switching_numba_off_is_an_error_that_names_the_variable(monkeypatch):
    monkeypatch.setattr(numba.config, "DISABLE_JIT", 1)
    with pytest.raises(ConfigError, match="unset NUMBA_DISABLE_JIT"), compiler.compiling():
        pytest.fail("kernels would run as Python")
