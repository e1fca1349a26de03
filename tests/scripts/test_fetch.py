import hashlib
import threading
import zipfile
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import fetch as fetch_module
import pytest
from fetch import FetchError, Item, fetch, main

CONTENT = b"anarchism originated as a term\n" * 1000


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture
def server(tmp_path):
    """A folder, and the address at which its files are served."""
    folder = tmp_path / "served"
    folder.mkdir()
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as httpd:
        thread = threading.Thread(target=httpd.serve_forever, args=(0.01,))  # asks to end
        thread.start()
        yield folder, f"http://127.0.0.1:{httpd.server_port}"
        httpd.shutdown()
        thread.join()


def item(address, file, **changes):
    checksum = hashlib.sha256(CONTENT).hexdigest()
    return Item(f"{address}/{file}", "text", len(CONTENT), "sha256", checksum)._replace(**changes)


def files_in(folder):
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def test_a_file_is_fetched_once_and_checked(server, tmp_path):
    served, address = server
    (served / "plain").write_bytes(CONTENT)
    path = fetch(item(address, "plain"), tmp_path / "data")
    assert path.read_bytes() == CONTENT
    (served / "plain").unlink()
    assert fetch(item(address, "plain"), tmp_path / "data") == path  # not fetched again
    path.write_bytes(b"damaged")
    with pytest.raises(FetchError, match=r"cannot be fetched \(File not found\)"):
        fetch(item(address, "plain"), tmp_path / "data")


def test_an_archive_is_extracted(server, tmp_path):
    served, address = server
    with zipfile.ZipFile(served / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("text", CONTENT)
    assert fetch(item(address, "a.zip"), tmp_path / "data").read_bytes() == CONTENT
    assert files_in(tmp_path / "data") == ["text"]


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("plain", b"something else", "was discarded"),
        ("a.zip", b"no archive", "expected a .zip with text"),
        ("bomb.zip", None, "more than the 31,000 bytes"),
    ],
)
def test_a_wrong_file_is_discarded(server, tmp_path, file, content, message):
    served, address = server
    if content is None:
        with zipfile.ZipFile(served / file, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("text", bytes(50_000_000))
    else:
        (served / file).write_bytes(content)
    with pytest.raises(FetchError, match=message):
        fetch(item(address, file), tmp_path / "data")
    assert files_in(tmp_path / "data") == []


def test_the_command_prints_the_path_of_the_fetched_file(server, tmp_path, monkeypatch, capsys):
    served, address = server
    (served / "plain").write_bytes(CONTENT)
    monkeypatch.setattr(fetch_module, "ITEMS", {"text8": item(address, "plain")})
    main(["text8", "--folder", str(tmp_path / "data")])
    assert capsys.readouterr().out.strip() == str(tmp_path / "data" / "text")
    monkeypatch.setattr(fetch_module, "ITEMS", {"text8": item(address, "missing", name="other")})
    with pytest.raises(SystemExit, match="Error: http"):
        main(["text8", "--folder", str(tmp_path / "data")])
