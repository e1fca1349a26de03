import doctest
import importlib

import pytest


@pytest.mark.parametrize("name", ["embedder.vectors.word_vectors"])
def test_the_examples_of_docstrings_are_true(name):
    found = doctest.testmod(importlib.import_module(name))
    assert found.attempted > 0
    assert found.failed == 0
