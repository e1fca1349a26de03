import io
import os
import subprocess
import sys

import pytest

from embedder.cli.streams import _Output

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs shells and devices of Unix")
PROGRAM = f"{sys.executable} -c 'from embedder.cli import main; main()'"


def shell(command, **environment):
    return subprocess.run(
        ["/bin/sh", "-c", command.replace("embedder", PROGRAM, 1)],
        env=os.environ | environment,
        capture_output=True,
        encoding="latin-1",
    )


@pytest.fixture
def vectors(write):
    return write("vectors.txt", "2 2\n\u4e2d\u6587 1 0\n\u0141\u00f3\u017a 1 1\n")


@pytest.fixture
def pairs(write):
    return write("pairs.txt", "\u4e2d\u6587 \u0141\u00f3\u017a 1\n")


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs Linux")  # noqa: PTH110
def test_a_full_stdout_is_reported_and_files_are_written_nevertheless(
    vectors, pairs, tmp_path, unbuffered
):
    out = tmp_path / "figures.json"
    done = shell(
        f"embedder eval {vectors} --similarity {pairs} --json {out} > /dev/full",
        PYTHONUNBUFFERED=unbuffered,
    )
    assert done.returncode == 1
    assert done.stderr == "Error: standard output cannot be written (No space left on device).\n"
    assert out.exists()


def test_closed_streams_are_errors_where_something_is_to_be_said(vectors):
    done = shell("embedder --version >&-")
    assert done.returncode == 1
    assert done.stderr.startswith("Error: standard output cannot be written")
    done = shell(f"embedder neighbors {vectors} nowhere 2>&-")
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "")


def test_a_reader_that_has_gone_is_no_news(vectors):
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        ["/bin/sh", "-c", f"{PROGRAM} --version"], stdout=write, stderr=subprocess.PIPE, text=True
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (141, "")


def test_words_that_an_encoding_lacks_are_escaped(vectors):
    done = shell(f"embedder neighbors {vectors} \u4e2d\u6587", PYTHONIOENCODING="latin-1:strict")
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[1] == "\\u0141\u00f3\\u017a"


def test_vectors_go_to_standard_output_without_the_message_about_them(vectors):
    done = shell(f"embedder convert {vectors} - --format glove")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0].split()[1:] == ["1.0", "0.0"]
    assert "Wrote 2 vectors" in done.stderr


def test_output_waits_for_a_slow_reader_of_a_pipe_that_does_not_block():
    read, write = os.pipe()
    os.set_blocking(write, False)
    size = 1_000_000
    child = subprocess.Popen(["/bin/sh", "-c", "sleep 0.2; wc -c"], stdin=read,
                             stdout=subprocess.PIPE)  # fmt: skip
    os.close(read)
    with io.BufferedWriter(_Output(write, "wb")) as stream:
        stream.write(b"x" * size)
    assert int(child.communicate()[0]) == size
