import bz2
import gzip
import io
import lzma
import tarfile
import zipfile

import pytest

from embedder.config_sections.text import CorpusConfig
from embedder.errors import CorpusError
from embedder.text.content import describe_foreign, table_of
from embedder.text.corpus import read_text
from embedder.text.listing import find_shards
from embedder.text.sources import Source, kind_of

TEXT = "The cat sat on the mat, and the dog did not.\n" * 9


def zipped():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a.txt", TEXT)
    return buffer.getvalue()


def in_tar():
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("a.txt"), io.BytesIO())
    return buffer.getvalue()


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"
FOREIGN = {
    "gzip": (
        gzip.compress(TEXT.encode()),
        r"compressed with gzip; .* to end in \.gz",
    ),
    "bzip2": (bz2.compress(TEXT.encode()), r"bzip2; decompress it, or rename it to end in \.bz2"),
    "xz": (lzma.compress(TEXT.encode()), r"xz; decompress it, or rename it to end in \.xz"),
    "zip": (zipped(), "a zip archive .*; unpack it"),
    "tar": (in_tar(), "a tar archive; unpack it"),
    "pdf": (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", "a PDF document"),
    "rtf": (rb"{\rtf1\ansi some text}", "Rich Text Format; save it as text"),
    "html": (b"\n<!DOCTYPE html>\n<title>a</title>", "a web page; extract its text"),
    "xml": (b'<?xml version="1.0"?><a>b</a>', "an XML document; extract its text"),
    "lfs": (POINTER, "a pointer of Git LFS.*git lfs pull"),
    "utf-32": (TEXT.encode("utf-32"), "UTF-32 text; .*iconv -f UTF-32 -t UTF-8"),
    "utf-32-be": (b"\0\0\xfe\xff" + TEXT.encode("utf-32-be"), "UTF-32 text"),
    "utf-16": (TEXT.encode("utf-16"), "UTF-16 text; .*iconv -f UTF-16 -t UTF-8"),
    "utf-16-le": (TEXT.encode("utf-16-le"), "UTF-16LE text; .*iconv -f UTF-16LE"),
    "utf-16-be": (TEXT.encode("utf-16-be"), "UTF-16BE text; .*iconv -f UTF-16BE"),
    "utf-32-le": (TEXT.encode("utf-32-le"), "UTF-32LE text; .*iconv -f UTF-32LE"),
}


@pytest.mark.parametrize("name", ["a.txt", "a", "a.jsonl", "a.csv", "a.json", "a.parquet"])
@pytest.mark.parametrize("kind", FOREIGN)
def test_what_is_no_text_is_called_by_its_name(write, kind, name):
    content, message = FOREIGN[kind]
    path = write(name, content)
    config = CorpusConfig(files=[str(path)], text_field="text")
    with pytest.raises(CorpusError, match=rf"{name}: .*{message}"):
        list(read_text(config))


def test_shards_are_checked_too(write):
    path = write("a.txt", FOREIGN["utf-16"][0])
    config = CorpusConfig(files=[str(path)])
    with pytest.raises(CorpusError, match="UTF-16"):
        list(read_text(config, shards=find_shards([str(path)], 100)))


@pytest.mark.parametrize("ending", [".gz", ".bz2", ".xz", ".zst"])
def test_what_only_its_name_calls_compressed_is_described(write, ending):
    for content, message in (
        (TEXT.encode(), "not compressed, whatever its name says; rename it"),
        (POINTER, "a pointer of Git LFS"),
        (zipped(), "a zip archive"),
    ):
        path = write(f"a.txt{ending}", content)
        with pytest.raises(CorpusError, match=message):
            list(read_text(CorpusConfig(files=[str(path)])))


def test_one_compression_under_the_name_of_another_is_described(write):
    path = write("a.gz", bz2.compress(TEXT.encode()))
    with pytest.raises(CorpusError, match=r"with bzip2; .* to end in \.bz2"):
        list(read_text(CorpusConfig(files=[str(path)])))


PROSE = "It is a truth, universally acknowledged"
TABLES = {
    "csv": f'id,body\n1,"{PROSE}"\n2,"He said ""no"",\nand left early"\n3,"{PROSE}',
    "tsv": f"label\tText\npos\t{PROSE}\nneg\tNot a good one\n",
}
NO_TABLES = [
    "home,alone\nat,last\nfor,ever\n",  # as many words in each line, but no prose
    "Hello, world and so on\nthis is, well, a text\nthat has, commas now\n",
    "id,body\nis what a table, called my table,\nhas in its first line, it seems\n",
    "The\tDT\ncat\tNN\nsat\tVBD\n",
    "good\nThis is all there is of it\nand this is all as well\n",
]


@pytest.mark.parametrize("kind", TABLES)
def test_tables_are_recognised_by_their_content(kind):
    content = TABLES[kind].encode()
    assert table_of(content) == table_of(b"\xef\xbb\xbf" + content) == kind
    assert kind_of(Source("a.txt", None), content) == kind
    assert table_of(content.replace(b"\n", b"\r\n")) == kind
    assert table_of(content[:30]) is None


@pytest.mark.parametrize("text", NO_TABLES)
def test_text_with_commas_or_tabs_is_no_table(text):
    assert table_of(text.encode()) is None


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"a",
        b"<s> a text with marks </s>",
        b"\0",
        b"text",
        "日本語のテキスト。".encode(),
        b"BZ and PK, 7z or Rar",
        b"{}",
    ],
)
def test_text_and_what_is_unknown_is_not_described(content):
    assert describe_foreign(content) is None
