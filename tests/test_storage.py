import os
import tempfile
import threading

import pytest

from embedder.storage import home_is_known, private_folder, write_atomically

posix = pytest.mark.skipif(os.name != "posix", reason="permissions of Unix")


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@posix
def test_a_private_folder_is_the_same_for_all_processes_of_a_user_and_closed_to_others(place):
    folder = private_folder("test")
    assert folder == private_folder("test") == place / f"test-{os.getuid()}"
    assert folder.stat().st_mode & 0o777 == 0o700


@posix
@pytest.mark.parametrize("taken", ["file", "link", "writable by all"])
def test_a_private_folder_is_none_that_somebody_else_prepared(place, taken):
    name = place / f"test-{os.getuid()}"
    if taken == "file":
        name.touch()
    elif taken == "link":
        (place / "elsewhere").mkdir(mode=0o700)
        name.symlink_to(place / "elsewhere")
    else:
        name.mkdir()
        name.chmod(0o777)
    folder = private_folder("test")
    assert folder != name
    assert folder.stat().st_mode & 0o777 == 0o700
    assert private_folder("test") == folder


def test_there_is_no_private_folder_without_a_place_for_temporary_files(monkeypatch):
    def fail():
        raise FileNotFoundError("No usable temporary directory found")

    monkeypatch.setattr(tempfile, "gettempdir", fail)
    assert private_folder("test") is None


@posix
def test_a_user_without_a_name_has_no_home_unless_the_environment_says_so(monkeypatch):
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", "/home/somebody")
    assert home_is_known()
    monkeypatch.setenv("HOME", "~")
    assert not home_is_known()
    monkeypatch.setenv("XDG_CACHE_HOME", "/cache")
    assert home_is_known()


@posix
@pytest.mark.parametrize("content", [b"text", lambda path: path.write_bytes(b"text")])
def test_a_pipe_is_written_to_and_not_replaced(tmp_path, content):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    found = []
    reader = threading.Thread(target=lambda: found.append(pipe.read_bytes()))
    reader.start()
    write_atomically(pipe, content)
    reader.join()
    assert found == [b"text"]
    assert pipe.is_fifo()
