import doctest
import importlib
from pathlib import Path

import pytest

import embedder

FOLDER = Path(embedder.__file__).parent


def module_name(path):
    parts = path.relative_to(FOLDER.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = sorted(
    module_name(path) for path in FOLDER.rglob("*.py") if ">>>" in path.read_text(encoding="utf-8")
)


def test_examples_are_found():
    assert len(MODULES) >= 2


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_docstrings_are_true(name):
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name.split(".")[0] == "embedder":
            raise
        pytest.skip(f"{error.name} is not installed")
    found = doctest.testmod(module)
    assert found.attempted > 0
    assert found.failed == 0
