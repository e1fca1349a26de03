import pytest

from embedder.errors import RunError
from embedder.runs.slice_folder import SliceFolder, WordTest


def test_damaged_files_are_named(tmp_path):
    folder = SliceFolder(tmp_path / "run")
    (tmp_path / "staged").mkdir()
    (tmp_path / "run").mkdir()
    tests = [WordTest("a", 12.5, 0.25, 0.5), WordTest("b", 3, -0.1, 1)]
    assert not folder.exists()
    folder.write(tmp_path / "staged", ["x", "y"], tests)
    assert folder.exists()
    assert folder.tests() == tests
    assert folder.names() == ["x", "y"]
    path = folder.path / "changes.tsv"
    path.write_text(path.read_text().replace("0.25", "zero"))
    with pytest.raises(RunError, match="line 2: damaged"):
        folder.tests()
    (folder.path / "slices.json").write_text("{}")
    with pytest.raises(RunError, match=r"slices\.json: damaged"):
        folder.names()
