"""What the first bytes of a file say about it, when its name says otherwise or nothing."""

import codecs
import csv
import io
import re
from typing import Literal

_COMPRESSIONS = {
    ".gz": (re.compile(rb"\x1f\x8b"), "gzip"),
    ".bz2": (re.compile(rb"BZh[1-9](1AY&SY|\x17rE8P\x90)"), "bzip2"),  # the second: nothing
    ".xz": (re.compile(rb"\xfd7zXZ\x00"), "xz"),
    ".zst": (re.compile(rb"\x28\xb5\x2f\xfd"), "zstd"),
}
_OTHERS = {
    b"PK\x03\x04": "a zip archive (as .docx, .xlsx and .epub are); unpack it, or save it as text",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive; unpack it",
    b"Rar!\x1a\x07": "a rar archive; unpack it",
    b"%PDF-": "a PDF document; extract its text, for example with pdftotext",
    b"{\\rtf": "a document in Rich Text Format; save it as text",
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": "a document of an office program; save it as text",
    b"version https://git-lfs.github.com/spec/": (
        "a pointer of Git LFS and not the file itself; get it with `git lfs pull`"
    ),
    # The marks of UTF-32 come first, since that of UTF-16 is the beginning of one.
    codecs.BOM_UTF32_LE: "UTF-32 text; convert it to UTF-8 (iconv -f UTF-32 -t UTF-8)",
    codecs.BOM_UTF32_BE: "UTF-32 text; convert it to UTF-8 (iconv -f UTF-32 -t UTF-8)",
    codecs.BOM_UTF16_LE: "UTF-16 text; convert it to UTF-8 (iconv -f UTF-16 -t UTF-8)",
    codecs.BOM_UTF16_BE: "UTF-16 text; convert it to UTF-8 (iconv -f UTF-16 -t UTF-8)",
}
_MARKUP = re.compile(rb"\s*<(?:(!doctype html|html)\b|\?xml|mediawiki)", re.IGNORECASE)
_COLUMN = re.compile(r"[^\W\d][\w.-]*")
_MIN_ROWS = 2
_WORDS_OF_PROSE = 3
_TAR, _TAR_PLACE = b"ustar", 257
_MIN_UNITS = 4
_MOSTLY = 0.7
_HARDLY = 0.1


def compression_of(head: bytes) -> str | None:
    """Return the file name extension for the compression that a file begins with."""
    return next((end for end, (mark, _) in _COMPRESSIONS.items() if mark.match(head)), None)


def describe_foreign(head: bytes) -> str | None:
    """Return what a file is that is no UTF-8 text, and what to do with it; None if unknown."""
    for mark, what in _OTHERS.items():
        if head.startswith(mark):
            return what
    if found := _MARKUP.match(head):
        return f"{'a web page' if found[1] else 'an XML document'}; extract its text"
    if head[_TAR_PLACE:].startswith(_TAR):
        return "a tar archive; unpack it"
    suffix = compression_of(head)
    if suffix is not None:
        name = _COMPRESSIONS[suffix][1]
        return f"compressed with {name}; decompress it, or rename it to end in {suffix}"
    encoding = _wide_encoding(head)
    if encoding is not None:
        return f"{encoding} text; convert it to UTF-8 (iconv -f {encoding} -t UTF-8)"
    return None


def _wide_encoding(head: bytes) -> str | None:
    """Return the encoding of Latin text with several bytes per character and no mark."""
    for width, encoding in ((4, "UTF-32"), (2, "UTF-16")):
        units = len(head) // width
        if units < _MIN_UNITS:
            continue
        zeros = [head[i : units * width : width].count(0) / units for i in range(width)]
        if zeros[0] < _HARDLY and min(zeros[1:]) > _MOSTLY:
            return f"{encoding}LE"
        if zeros[-1] < _HARDLY and min(zeros[:-1]) > _MOSTLY:
            return f"{encoding}BE"
    return None


def table_of(head: bytes) -> Literal["csv", "tsv"] | None:
    """Return which table a text is, whatever its name; None for any other text.

    Its first line consists of names without spaces, its rows have as many fields, and most of the
    fields in one column are prose: otherwise, commas or tabs may just divide a text into words.
    """
    text = head.removeprefix(codecs.BOM_UTF8).decode("utf-8", "replace")
    heading = text.partition("\n")[0].rstrip("\r")
    delimiter = max("\t,;|", key=heading.count)
    columns = [name.strip('"') for name in heading.split(delimiter)]
    if len(columns) < 2 or not all(map(_COLUMN.fullmatch, columns)):
        return None
    quoting: Literal[0, 3] = csv.QUOTE_NONE if delimiter == "\t" else csv.QUOTE_MINIMAL
    lines = io.StringIO(text, newline="")
    try:
        rows = list(csv.reader(lines, delimiter=delimiter, quoting=quoting))
    except csv.Error:
        return None
    # The last one may be cut off.
    rows = [row for row in rows[1 : None if text.endswith("\n") else -1] if row]
    if len(rows) < _MIN_ROWS or any(len(row) != len(columns) for row in rows):
        return None
    prose = max(
        sum(len(field.split()) >= _WORDS_OF_PROSE for field in column)
        for column in zip(*rows, strict=True)
    )
    if 2 * prose <= len(rows):
        return None
    return "tsv" if delimiter == "\t" else "csv"
