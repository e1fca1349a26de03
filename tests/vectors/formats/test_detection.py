import io
import tarfile
import zipfile

import numpy as np
import pytest

from embedder.errors import FormatError
from embedder.vectors.formats import detect, load

TEXT = "2 3\nking 1 2 3\nof 4 5 6\n"


def archive(kind):
    stream = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(stream, "w") as packed:
            packed.writestr("v.vec", TEXT)
    else:
        with tarfile.open(fileobj=stream, mode="w") as packed:
            packed.addfile(tarfile.TarInfo("v.vec"))
    return stream.getvalue()


FOREIGN = {
    "zip archive": archive("zip"),
    "tar archive": archive("tar"),
    "pointer of Git LFS": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n",
    "UTF-16 text": TEXT.encode("utf-16"),
    "UTF-16LE text": TEXT.encode("utf-16-le"),
    "UTF-32BE text": TEXT.encode("utf-32-be"),
    "UTF-32 text; convert it to UTF-8": TEXT.encode("utf-32"),
    "web page": b"<!DOCTYPE html>\n<p>404\n",
    "HDF5": b"\x89HDF\r\n\x1a\n" + bytes(80),
    "SQLite": b"SQLite format 3\0" + bytes(80),
    "Parquet": b"PAR1" + bytes(80),
    "floret's table of hashed n-grams": b"200 3 3 4 2 2166136261 < >\n0 1 2 3 \n",
}


@pytest.mark.parametrize("what", FOREIGN)
@pytest.mark.parametrize("name", ["v.vec", "v.bin"])
def test_what_is_not_vectors_is_called_by_its_name(write, what, name):
    with pytest.raises(FormatError, match=f"{name}: .*{what}"):
        load(write(name, FOREIGN[what]))


@pytest.mark.parametrize("name", ["v.txt", "v.bin", "v.npy", "v.ftbin", "v.gz", "v"])
def test_the_content_decides_and_not_the_name(write, name):
    assert detect(write(name, TEXT)) == "word2vec"
    binary = b"1 2\nking " + np.array([1, 2], "<f4").tobytes()
    assert detect(write(name, binary)) == "word2vec-binary"


def test_tab_separated_vectors_are_told_from_the_projectors(write):
    path = write("v.tsv", "king\t1\t2\nof\t3\t4\n")
    assert load(path).words == ["king", "of"]
    write("v.metadata.tsv", "a\nb\n")
    assert detect(path) == "projector"
    matrix = write("m/v.tsv", "1.5\t2\n3\t4\n")
    with pytest.raises(FormatError, match=r"v\.metadata\.tsv: no such file"):
        load(matrix)


def test_a_first_row_that_resembles_a_magic_is_a_row(write):
    for word in ("BZh9", "PKs", "version", "7z", "cat", "(d", "\x1f"):
        assert load(write("v.txt", f"{word} 1 2\nof 3 4\n")).words == [word, "of"]
    assert load(write("v.txt", "5 1 2 3 4 5 6 7\nof 1 2 3 4 5 6 7\n")).words == ["5", "of"]


def test_a_name_that_promises_compression_in_vain_is_mentioned(write):
    with pytest.raises(FormatError, match=r"line 1: .*'some prose'.*ends in \.gz, but"):
        load(write("v.vec.gz", "some prose\n"))


def test_the_user_may_name_the_format(write):
    path = write("v", TEXT)
    with pytest.raises(FormatError, match="nosuch: unknown format; expected one of word2vec"):
        load(path, file_format="nosuch")
    with pytest.raises(FormatError, match="v: a file; expected a folder"):
        load(path, file_format="static-embedding")
    with pytest.raises(FormatError, match="a folder with a run; expected a file"):
        load(path.parent, file_format="glove")
    with pytest.raises(FormatError, match="not a model of fastText"):
        load(path, file_format="fasttext")
