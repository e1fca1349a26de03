import bz2
import gzip
import io
import lzma
import os
import sys
import threading

import numpy as np
import pytest

from embedder.errors import CorpusError, FormatError
from embedder.text.vocabulary import Vocabulary
from embedder.vectors.formats import FORMATS, load, save
from embedder.vectors.word_vectors import WordVectors

PACKERS = [gzip.compress, bz2.compress, lzma.compress]
SINGLE = [name for name in FORMATS if name not in ("npy", "projector", "static-embedding")]
posix = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes of Unix")


@pytest.fixture
def vectors(rng):
    words = [f"w{i}" for i in range(1000)]
    matrix = rng.normal(size=(1000, 7)).astype(np.float32)
    return WordVectors(Vocabulary(words, np.ones(1000, np.int64)), matrix)


def saved(vectors, folder, name):
    save(vectors, folder / "plain", name)
    return (folder / "plain").read_bytes()


def assert_same(found, vectors):
    assert found.words == vectors.words
    np.testing.assert_allclose(found.matrix, vectors.matrix, rtol=1e-6)


@pytest.mark.parametrize("name", SINGLE)
@pytest.mark.parametrize("pack", PACKERS)
def test_any_file_is_decompressed_under_any_name(vectors, write, tmp_path, name, pack):
    content = pack(saved(vectors, tmp_path, name))
    assert_same(load(write("v.bin", content)), vectors)


@posix
@pytest.mark.parametrize("name", SINGLE)
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_a_pipe_is_read_to_its_end(vectors, tmp_path, name, pack):
    content = pack(saved(vectors, tmp_path, name))
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_bytes(content))
    writer.start()
    found = load(pipe)
    writer.join()
    assert_same(found, vectors)
    assert found.repairs == ()


def test_standard_input_is_read(vectors, tmp_path, monkeypatch):
    content = saved(vectors, tmp_path, "word2vec-binary")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
    assert_same(load("-"), vectors)
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(FormatError, match="standard input is closed"):
        load("-")


def test_temporary_copies_do_not_remain(vectors, write, tmp_path, monkeypatch):
    content = gzip.compress(saved(vectors, tmp_path, "safetensors"))
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    found = load(write("v", content))
    assert not list((tmp_path / "temporary").iterdir())
    assert_same(found, vectors)  # mapped from the file that has gone


def test_a_copy_that_cannot_be_written_is_one_sentence(vectors, write, tmp_path, monkeypatch):
    path = write("v", gzip.compress(saved(vectors, tmp_path, "fasttext")))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "none"))
    with pytest.raises(FormatError, match=r"none: cannot be written .*; set TMPDIR\."):
        load(path)


def test_damaged_compression_is_reported_wherever_it_is(vectors, write, tmp_path):
    content = gzip.compress(saved(vectors, tmp_path, "safetensors"))
    with pytest.raises(CorpusError, match="v: damaged compressed file"):
        load(write("v", content[:-40]))
    with pytest.raises(FormatError, match="compressed twice"):
        load(write("v", gzip.compress(content)))
