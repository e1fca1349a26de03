import pkgutil
from pathlib import Path

import pytest

from embedder import kernels

NAMES = [module.name for module in pkgutil.iter_modules(kernels.__path__)]


def test_there_are_kernels():
    assert {"softmax", "counts"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_every_module_of_kernels_has_tests_of_its_own(name):
    assert (Path(__file__).parent / f"test_{name}.py").is_file()
