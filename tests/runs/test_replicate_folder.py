import numpy as np
import pytest

from embedder.errors import RunError
from embedder.runs.replicate_folder import DTYPE, Replicate, ReplicateFolder, missing_replicates


def test_what_is_saved_is_loaded_in_half_precision(rng, tmp_path):
    folder = ReplicateFolder(tmp_path)
    folder.path.mkdir()
    vectors = rng.normal(size=(5, 3)).astype(np.float32)
    replicate = Replicate("seed", 12)
    folder.save(replicate, vectors, {"vectors": "sum"})
    found, metadata = folder.load(replicate)
    np.testing.assert_array_equal(found, vectors.astype(DTYPE))
    assert metadata == {"vectors": "sum"}
    assert folder.file_of(replicate).name == "seed-0012.safetensors"


def test_finished_replicates_are_listed_in_order_and_nothing_else(tmp_path):
    folder = ReplicateFolder(tmp_path)
    assert folder.replicates() == []
    for name in ("seed-0002", "bootstrap-0010", "bootstrap-0002"):
        folder.path.mkdir(exist_ok=True)
        (folder.path / f"{name}.safetensors").touch()
    (folder.path / "bootstrap-0011").mkdir()
    (folder.path / ".seed-0003.safetensors.123.tmp").touch()
    samples = [Replicate("bootstrap", 2), Replicate("bootstrap", 10)]
    assert folder.replicates() == [*samples, Replicate("seed", 2)]
    assert folder.replicates("bootstrap") == samples
    assert str(samples[0]) == "bootstrap sample 2"
    folder.remove()
    assert not folder.path.exists()
    folder.remove()


def test_those_missing_come_in_order(make_toy_config, tmp_path):
    config = make_toy_config(replicates={"bootstrap": 2, "seeds": 1})
    folder = ReplicateFolder(tmp_path)
    folder.path.mkdir()
    first = Replicate("bootstrap", 1)
    assert missing_replicates(config, tmp_path)[0] == first
    folder.save(first, np.ones((2, 2)), {})
    assert missing_replicates(config, tmp_path) == [
        Replicate("bootstrap", 2),
        Replicate("seed", 1),
    ]


def test_a_damaged_file_or_another_one_is_named(tmp_path, toy_run):
    folder = ReplicateFolder(tmp_path)
    folder.path.mkdir()
    replicate = Replicate("seed", 1)
    with pytest.raises(RunError, match=r"seed-0001\.safetensors: no such file"):
        folder.load(replicate)
    folder.file_of(replicate).write_bytes(b"x" * 100)
    with pytest.raises(RunError, match=r"seed-0001\.safetensors: truncated or damaged"):
        folder.load(replicate)
    folder.file_of(replicate).write_bytes((toy_run / "model.safetensors").read_bytes())
    with pytest.raises(RunError, match=r"seed-0001\.safetensors: not the vectors of a replicate"):
        folder.load(replicate)
