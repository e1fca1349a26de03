import os
import shutil
import signal
import subprocess
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from make_toy_world import write_toy_world

from embedder.arrays import unit_rows
from embedder.config_files import make_config

GROUPED = {"contexts": 60, "context_classes": 20, "near_contexts": 30}
"""Words in classes, in the toy world."""


def pytest_addoption(parser):
    parser.addoption(
        "--moments",
        type=int,
        default=2,
        help="number of random moments at which tests kill a training (docs/reliability.md: 200)",
    )
    parser.addoption(
        "--flips",
        type=int,
        default=100,
        help="number of positions per file at which tests flip a bit (docs/reliability.md: 1000)",
    )
    parser.addoption(
        "--fuzz",
        type=int,
        default=60,
        help="number of inputs per test of tests/test_fuzz.py (docs/reliability.md: 5000)",
    )


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config):
    """Run all tests in several processes, unless `-n` says in how many; chosen files, in this one.

    Without pytest-xdist, all run in this one.
    """
    options, everything = config.option, pytest.Config.ArgsSource.TESTPATHS
    if hasattr(config, "workerinput") or config.args_source is not everything or options.usepdb:
        return
    if getattr(options, "numprocesses", 0) is None:
        options.numprocesses = min(4, os.cpu_count() or 1)
        options.dist = "loadfile"
        options.loadscopereorder = False  # in this order, no process ends long after the others


def pytest_configure(config):
    heed_signals()
    settings.register_profile(
        "project",
        max_examples=config.getoption("--fuzz"),
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
        database=None,
        derandomize=True,  # the same inputs every time
    )
    settings.load_profile("project")


def heed_signals():
    """Undo what a shell does to what it starts in the background, or `nohup`: signals are ignored.

    So would be those that tests send to trainings.
    """
    for number, handler in (
        (signal.SIGINT, signal.default_int_handler),
        (signal.SIGHUP, signal.SIG_DFL),
    ):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, handler)


@pytest.fixture
def rng():
    return np.random.default_rng(7)


@pytest.fixture(scope="session")
def toy_files(tmp_path_factory):
    """The generated corpus and its analogies."""
    folder = tmp_path_factory.mktemp("toy")
    files = folder / "world.txt", folder / "analogies.txt"
    write_toy_world(*files)
    return files


@pytest.fixture(scope="session")
def toy_tree(toy_files):
    """A small network on the toy world, as the nested dictionary of a YAML file."""
    return {
        "corpus": {"files": [str(toy_files[0])], "tokenizer": "whitespace"},
        "vocabulary": {"subsample": 0.0},
        "network": {"dimension": 32, "hidden": 32},
        "training": {"passes": 20, "batch_size": 64, "threads": 2},
    }


@pytest.fixture
def make_toy_config(toy_tree, tmp_path):
    def make(output="run", **sections):
        tree = {name: dict(section) for name, section in toy_tree.items()}
        for name, section in sections.items():
            tree[name] = tree.get(name, {}) | section
        return make_config(tree | {"output": str(tmp_path / output)}, "test")

    return make


@pytest.fixture(scope="session")
def toy_run(toy_tree, tmp_path_factory):
    """A trained run folder; tests must not write to it."""
    from embedder.training.train import train

    folder = tmp_path_factory.mktemp("runs") / "toy"
    train(make_config(toy_tree | {"output": str(folder)}, "test"), quiet=True)
    return Path(folder)


@pytest.fixture(scope="session")
def planted(toy_files, tmp_path_factory):
    """Three slices of the toy world; in the last, one word takes the place of another.

    A word occurs in the first slice only, another one not in the first.
    """
    folder = tmp_path_factory.mktemp("slices")
    lines = toy_files[0].read_text().splitlines()
    order = np.random.default_rng(3).permutation(len(lines))
    counts = Counter(word for line in lines for word in line.split())
    words = [word for word, _ in counts.most_common()]
    old, new, early, late = words[30], words[60], words[90], words[91]
    texts = []
    for slice_ in range(3):
        own = [lines[i].split() for i in order[slice_::3]]
        if slice_ == 2:
            own = [[new if word == old else word for word in line] for line in own]
        gone = late if slice_ == 0 else early
        texts.append([[word for word in line if word != gone] for line in own])
    files = []
    for number, text in enumerate(texts):
        files.append(folder / f"{number}.txt")
        files[-1].write_text("".join(" ".join(line) + "\n" for line in text))
    return files, (old, new, early, late)


def sliced_config(toy_tree, files, output, **sections):
    tree = {name: dict(section) for name, section in toy_tree.items()}
    tree["corpus"] = {"tokenizer": "whitespace"}
    tree["slices"] = {str(1900 + 10 * i): str(file) for i, file in enumerate(files)}
    tree["slices"] |= {"block": 50, "permutations": 500}
    tree["training"]["passes"] = 5
    for name, section in sections.items():
        tree[name] = tree.get(name, {}) | section
    return make_config(tree | {"output": str(output)}, "test")


@pytest.fixture(scope="session")
def make_sliced_config(toy_tree, planted):
    return lambda output, files=planted[0], **own: sliced_config(toy_tree, files, output, **own)


@pytest.fixture(scope="session", params=[{}, GROUPED])
def sliced_run(request, make_sliced_config, tmp_path_factory):
    """A trained run with slices, with one column per word and with classes of words."""
    from embedder.training.slices import fit_slices
    from embedder.training.train import train

    folder = tmp_path_factory.mktemp("sliced") / "run"
    config = make_sliced_config(folder, examples=request.param)
    train(config, quiet=True)
    fit_slices(folder, config, quiet=True)
    return folder


@pytest.fixture(scope="session")
def toy_vectors(toy_run):
    from embedder.vectors.from_run import load_vectors

    return load_vectors(toy_run)


@pytest.fixture
def write_replicates(toy_run, toy_vectors, tmp_path):
    """Write replicates with given vectors into a copy of the toy run, and return the copy."""
    from embedder.runs.replicate_folder import Replicate, ReplicateFolder

    def write_copy(matrices, kind="bootstrap"):
        run = tmp_path / "toy"
        if not run.exists():
            shutil.copytree(toy_run, run)
        folder = ReplicateFolder(run)
        folder.remove()
        folder.path.mkdir()
        origin = {
            "vocabulary": toy_vectors.vocabulary.digest(),
            "vectors": "sum",
            "block": 1000,
        }
        for number, matrix in enumerate(matrices, start=1):
            folder.save(Replicate(kind, number), unit_rows(matrix), origin)
        return run

    return write_copy


@pytest.fixture
def start():
    """Start a program as `subprocess.Popen` does, and end it with the test."""
    with ExitStack() as programs:

        def start_program(command, **options):
            program = programs.enter_context(subprocess.Popen(command, **options))
            programs.callback(program.kill)  # before it is waited for
            return program

        yield start_program


@pytest.fixture
def write(tmp_path):
    """Write a file below the test's folder and return its path."""

    def write_file(name, content):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            path.write_text(content, encoding="utf-8")
        return path

    return write_file
