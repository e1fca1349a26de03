import subprocess
import sys

import numpy as np
import pytest

import embedder
from embedder.errors import EmbedderError
from embedder.vectors.word_vectors import WordVectors


def test_the_face_offers_what_it_lists():
    assert {"load", "save", "train", "WordVectors", "EmbedderError"} <= set(embedder.__all__)
    assert embedder.WordVectors is WordVectors
    assert embedder.EmbedderError is EmbedderError
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = embedder.nothing


def test_vectors_are_trained_saved_and_loaded(toy_tree, tmp_path):
    tree = toy_tree | {"output": str(tmp_path / "run")}
    vectors = embedder.train(tree, ["training.passes=1", "network.hidden=16"])
    assert isinstance(vectors, embedder.WordVectors)
    assert vectors.matrix.shape[1] == 16  # an override of a dictionary
    embedder.save(vectors, tmp_path / "vectors.bin")
    again = embedder.load(tmp_path / "vectors.bin")
    assert again.vocabulary.words == vectors.vocabulary.words
    np.testing.assert_array_equal(again.matrix, vectors.matrix)
    hidden = embedder.load(tmp_path / "run", "hidden")
    assert (hidden.matrix != vectors.matrix).any()


def test_what_a_user_can_fix_is_one_kind_of_error(tmp_path):
    with pytest.raises(embedder.EmbedderError, match=r"no such configuration file"):
        embedder.train(tmp_path / "none.yaml")
    with pytest.raises(embedder.EmbedderError):
        embedder.load(tmp_path / "none")


def test_importing_the_face_loads_neither_numpy_nor_numba():
    program = "import sys, embedder; print(sorted({'numpy', 'numba'} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert found.stdout.strip() == "[]", found.stderr


def test_the_package_runs_as_a_module():
    command = [sys.executable, "-m", "embedder", "--version"]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    assert embedder.__version__ in found.stdout
