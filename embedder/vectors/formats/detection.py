"""Which format a file has: its content decides, and its name only where that leaves a doubt."""

import re

from embedder.errors import FormatError
from embedder.text.content import describe_foreign
from embedder.text.sources import COMPRESSED
from embedder.vectors.formats import binary, fasttext, finalfusion, projector, text
from embedder.vectors.formats.complaints import complaint_about, has_numbers, separators_of
from embedder.vectors.formats.opening import InputFile
from embedder.vectors.formats.rows import check_dimension

_MAGIC = {
    fasttext.MAGIC: "fasttext",
    finalfusion.MAGIC: "finalfusion",
    b"\x93NUMPY": "npy",
}
_LONGEST_JSON = 100_000_000
"""safetensors' limit of the bytes in a header, which follows its length, an 8-byte integer."""
_EXPORT = (
    "export the vectors from the original program in word2vec's format (gensim: "
    "save_word2vec_format)"
)
_UNPICKLED = f"a pickle, which could run code and is never loaded; {_EXPORT}"
_FOREIGN = {
    b"PK\x03\x04": "a zip archive (PyTorch's are pickles, which are never loaded); unpack it, or "
    + _EXPORT,
    b"\x80\x02": _UNPICKLED,
    b"\x80\x03": _UNPICKLED,
    b"\x80\x04": _UNPICKLED,
    b"\x80\x05": _UNPICKLED,
    b"\x89HDF\r\n": f"an HDF5 file; {_EXPORT}",
    b"SQLite format 3\0": f"a database of SQLite, as Magnitude writes; {_EXPORT}",
    b"PAR1": f"a Parquet table; {_EXPORT}",
    b"\x1f\x8b\x08": "compressed twice; run gunzip on it",
    b"\xfd7zXZ\0": "compressed twice; run unxz on it",
    b"\x28\xb5\x2f\xfd": "compressed twice; run unzstd on it",
}
_OLD_PICKLE = re.compile(rb"(c[\w.]+\n\w+\n|\(([dl]p\d|i[\w.]+\n))")
"""The beginning of a pickle of protocol 0."""
_HTML = re.compile(rb"\s*<(!doctype|html)\b", re.IGNORECASE)
_FLORET = re.compile(rb"\d+( \d+){5}( [^\s\d.+-]\S*){2}\s*")
"""The first line of floret's table: buckets, D, n-grams, hashes, their seed, marks of words."""
_CONTROL = re.compile(rb"[\0-\x08\x0e-\x1a\x1c-\x1f]")


def detect_content(file: InputFile) -> str:
    """Return the name of a file's format.

    Raises
    ------
    FormatError
        If it is unknown; the message says what the file is, or quotes its first line.
    """
    head = file.head
    for magic, name in _MAGIC.items():
        if head.startswith(magic):
            return name
    if head[8:10] == b'{"' and int.from_bytes(head[:8], "little") < _LONGEST_JSON:
        return "safetensors"
    if what := _foreign(head):
        raise FormatError(f"{file.path}: {what}.")
    if fasttext.is_oldest(head):
        return "fasttext"
    if projector.has_metadata(file):
        return "projector"
    layout = text.survey(head, file.is_in_head)
    if layout.is_text or (layout.declared is not None and not _is_binary(file, layout)):
        return _text_format(file, layout)
    if layout.declared is not None:
        check_dimension(file.path, layout.declared[1])
        return "word2vec-binary"
    found = {".npy": "npy", ".safetensors": "safetensors"}.get(file.suffix)
    if found is None:
        raise FormatError(
            f"{file.path}, line 1: {complaint_about(_first_line(head), 0)}{_about_name(file)}"
        )
    return found


def _about_name(file: InputFile) -> str:
    """Return what to add to an error about a name that promises compression in vain."""
    ending = file.path.suffix.lower()
    if file.compression or ending not in COMPRESSED:
        return ""
    return f" (The name ends in {ending}, but the content is not compressed so.)"


def _text_format(file: InputFile, layout: text.Layout) -> str:
    if layout.wordless:
        if file.suffix == ".tsv":
            return "projector"
        raise FormatError(
            f"{file.path}: every line begins with a number, as in a matrix without words; "
            "expected a word before the numbers of each; if these are words, say so: --from glove, "
            "or --from word2vec if there is a header."
        )
    if layout.declared is not None:
        check_dimension(file.path, layout.dimension)
        return "word2vec"
    if layout.dimension == 1:
        if separators_of(first := _first_line(file.head)):
            raise FormatError(f"{file.path}, line 1: {complaint_about(first, 0)}")
        raise FormatError(
            f"{file.path}, line 1: a single number per word, as in a list of counts, and no header "
            "'V 1'; if they are vectors, say so: --from glove."
        )
    return "glove"


def _foreign(head: bytes) -> str:
    """Return what a file is that is not vectors, and what to do; empty if it may be vectors."""
    first = head.partition(b"\n")[0]
    for magic, what in _FOREIGN.items():
        if head.startswith(magic):
            return what
    if _OLD_PICKLE.match(head):
        return _UNPICKLED
    if _HTML.match(head):
        return "a web page, not vectors; download the file itself"
    if _FLORET.fullmatch(first):
        return (
            "floret's table of hashed n-grams, which has no words; write those with floret's "
            "save_vectors"
        )
    return describe_foreign(head) or ""


def _is_binary(file: InputFile, layout: text.Layout) -> bool:
    """Return whether a header is followed by binary, where most lines do not end in numbers."""
    head = file.head.removeprefix(text.MARK)
    rest = head.partition(b"\n")[2]
    if not layout.rows and not rest.strip():
        return False
    try:
        rest.decode("utf-8")
    except UnicodeDecodeError as error:
        return error.end < len(rest) or file.is_in_head
    if _CONTROL.search(rest):
        return True
    # The bytes of a few numbers may all be letters: 0.7 is 333?.
    return not any(map(has_numbers, text.split_lines(rest))) and binary.fits(file)


def _first_line(head: bytes) -> bytes:
    return next((line for line in text.split_lines(head.removeprefix(text.MARK)) if line), b"")
