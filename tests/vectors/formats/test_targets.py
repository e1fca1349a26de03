import gzip
import os

import numpy as np
import pytest

from embedder.errors import FormatError, RunError
from embedder.text.vocabulary import Vocabulary
from embedder.vectors.formats import load, save
from embedder.vectors.formats.static_embedding import FILES
from embedder.vectors.word_vectors import WordVectors


@pytest.fixture
def vectors(rng):
    matrix = rng.normal(size=(3, 2)).astype(np.float32)
    return WordVectors(Vocabulary(["a", "b", "c"], np.ones(3, np.int64)), matrix)


@pytest.fixture
def run(tmp_path):
    """A folder that looks like a run's."""
    folder = tmp_path / "run"
    folder.mkdir()
    for name in ("config.yaml", "vocabulary.tsv", "model.safetensors"):
        (folder / name).write_text("precious")
    return folder


@pytest.mark.parametrize(
    ("name", "companion"),
    [("v.txt", None), ("v.npy", "v.vocab.txt"), ("v.tsv", "v.metadata.tsv")],
)
def test_files_in_the_way_are_replaced_only_on_demand(vectors, tmp_path, name, companion):
    save(vectors, tmp_path / name, overwrite=False)
    for existing in filter(None, (name, companion)):
        with pytest.raises(RunError, match=f"{existing}: exists.*--overwrite"):
            save(vectors, tmp_path / name, overwrite=False)
        (tmp_path / existing).unlink()
    save(vectors, tmp_path / name, overwrite=False)
    save(vectors, tmp_path / name)
    assert load(tmp_path / name).words == vectors.words


@pytest.mark.parametrize(
    "name",
    [
        "model.safetensors",
        "vocabulary.tsv",
        "parts.tsv",
        "checkpoint-1.safetensors",
        "replicates/seed-0001.safetensors",
        "slices/changes.tsv",
    ],
)
def test_the_files_of_a_run_are_never_replaced(vectors, run, name):
    (run / name).parent.mkdir(exist_ok=True)
    with pytest.raises(RunError, match=f"{name}: belongs to the run in .*never replaced"):
        save(vectors, run / name)
    (run / "mine").mkdir()
    for own in ("vectors.bin", "mine/checkpoint-1.safetensors"):
        save(vectors, run / own)
    assert (run / "model.safetensors").read_text() == "precious"


def test_a_folder_with_anything_else_in_it_is_never_replaced(vectors, run, tmp_path):
    for folder in (run, tmp_path):
        with pytest.raises(RunError, match="the folder contains something else"):
            save(vectors, folder, "static-embedding")
    assert (run / "model.safetensors").read_text() == "precious"
    (tmp_path / "empty").mkdir()
    for _ in range(2):
        save(vectors, tmp_path / "empty", "static-embedding")
    assert {file.name for file in (tmp_path / "empty").iterdir()} == set(FILES)
    with pytest.raises(RunError, match="empty: exists"):
        save(vectors, tmp_path / "empty", "static-embedding", overwrite=False)
    with pytest.raises(RunError, match="a file is in the way"):
        save(vectors, run / "config.yaml", "static-embedding")


def test_a_folder_is_no_file(vectors, tmp_path):
    (tmp_path / "v.txt").mkdir()
    with pytest.raises(RunError, match="a folder; expected a file, or --format static-embedding"):
        save(vectors, tmp_path / "v.txt")


@pytest.mark.parametrize("ending", [".gz", ".bz2", ".xz", ".zst", ".GZ"])
@pytest.mark.parametrize("inner", ["", ".txt", ".bin", ".ftbin", ".SAFETENSORS", ".fifu"])
def test_names_that_end_in_a_compression_are_compressed(vectors, tmp_path, inner, ending):
    path = tmp_path / f"v{inner}{ending}"
    save(vectors, path)
    found = load(path)
    assert found.words == vectors.words
    np.testing.assert_allclose(found.matrix, vectors.matrix, rtol=1e-6)
    before = path.read_bytes()
    assert before[:2] in (b"\x1f\x8b", b"BZ", b"\xfd7", b"\x28\xb5")
    save(vectors, path)
    assert path.read_bytes() == before


def test_gensims_way_to_save_compresses_too(vectors, tmp_path):
    vectors.keyed_vectors().save_word2vec_format(str(tmp_path / "v.txt.gz"))
    assert gzip.decompress((tmp_path / "v.txt.gz").read_bytes()).startswith(b"3 2\na ")


@pytest.mark.parametrize("name", ["v.npy.gz", "v.tsv.xz"])
def test_formats_of_several_files_are_not_compressed(vectors, tmp_path, name):
    with pytest.raises(FormatError, match=r"several files, which are not compressed; choose .*v\."):
        save(vectors, tmp_path / name)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["npy", "projector", "static-embedding"])
def test_formats_of_several_files_do_not_go_into_a_pipe(vectors, name):
    with pytest.raises(FormatError, match="several files, which cannot be written to a pipe"):
        save(vectors, "-", name)


@pytest.mark.skipif(os.name != "posix", reason="permissions of Unix")
@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
@pytest.mark.parametrize("name", ["v.txt", "v.npy", "v.safetensors", "v.txt.gz"])
def test_the_umask_decides_who_may_read_a_file(vectors, tmp_path, umask, name):
    before = os.umask(umask)
    try:
        save(vectors, tmp_path / name)
    finally:
        os.umask(before)
    assert (tmp_path / name).stat().st_mode & 0o777 == 0o666 & ~umask
