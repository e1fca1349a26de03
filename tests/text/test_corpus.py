import bz2
import functools
import gzip
import io
import json
import lzma
import sys
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import naive
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embedder.config_sections.text import CorpusConfig
from embedder.errors import CorpusError
from embedder.text import corpus
from embedder.text.corpus import _read_blocks, read_text, split_words
from embedder.text.listing import find_sources
from embedder.text.sources import Shard, Source

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

TEXT = "The cat isn't here.\nÜber-Katzen! «L’été» 2nd\n"
WORDS = ["the", "cat", "isn't", "here", "über", "katzen", "l’été", "2nd"]


def words(*files, **options):
    return b"".join(read_text(CorpusConfig(files=[str(f) for f in files], **options))).split()


def decoded(*files, **options):
    return [word.decode() for word in words(*files, **options)]


def test_default_words_are_lower_case_with_inner_apostrophes(write):
    assert decoded(write("a.txt", TEXT)) == WORDS


def test_whitespace_tokens_are_unchanged(write):
    found = decoded(write("a.txt", TEXT), tokenizer="whitespace", lowercase=False)
    assert found == TEXT.split()


@pytest.mark.parametrize(
    ("ending", "compress"),
    [
        (".gz", gzip.compress),
        (".bz2", bz2.compress),
        (".xz", lzma.compress),
        (".zst", zstd.compress),
        (".GZ", gzip.compress),
    ],
)
def test_the_extension_selects_the_decompressor(write, ending, compress):
    twice = compress(TEXT.encode()) + compress(TEXT.encode())  # like concatenated files
    assert decoded(write("a.txt" + ending, twice)) == WORDS * 2


@pytest.mark.parametrize("ending", [".gz", ".bz2", ".xz", ".zst"])
def test_the_error_for_a_damaged_compressed_file_names_it(write, ending):
    compress = {
        ".gz": gzip.compress,
        ".bz2": bz2.compress,
        ".xz": lzma.compress,
        ".zst": zstd.compress,
    }[ending]
    whole = compress(np.random.default_rng(1).bytes(5000).hex().encode())
    for content in (whole[: len(whole) // 2], b"no such magic"):
        path = write("a" + ending, content)
        with pytest.raises(CorpusError, match=path.name):
            words(path)


def test_folders_and_globs_yield_files_sorted_by_name(write, tmp_path):
    write("d/b.txt", "two")
    write("d/a.txt", "one")
    write("d/sub/c.txt", "three")
    write("d/.hidden", "never")
    assert decoded(tmp_path / "d") == ["one", "two", "three"]
    assert decoded(tmp_path / "d/*.txt") == ["one", "two"]
    assert decoded(tmp_path / "d/**/*.txt") == ["one", "two", "three"]


def test_the_end_of_a_file_ends_a_word_and_a_sentence(write):
    files = [str(write("a.txt", "one")), str(write("b.txt", "two"))]
    assert b"".join(read_text(CorpusConfig(files=files))).split() == [b"one", b"two"]
    assert b"".join(read_text(CorpusConfig(files=files))).count(b"\n") == 2


def test_json_lines_yield_one_field(write):
    lines = [{"text": "a b", "id": 1}, {"text": "c\nd"}, {"text": "\ud800 \0e"}]
    path = write("a.jsonl", "".join(json.dumps(line) + "\n" for line in lines) + "\n")
    assert decoded(path, text_field="text") == ["a", "b", "c", "d", "e"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            '{"text": "a"}\n{"body": "b"}\n',
            "line 2: no text in the field 'text'.*fields are: body",
        ),
        ('{"text": 5}\n', "line 1: the field 'text' contains the number 5; expected text"),
        ('{"text": true}\n', "line 1: the field 'text' contains true; expected text"),
        ('{"text": [1, "a"]}\n', r"contains a list with other values than words, \[1, \"a\"\]"),
        ('{"text": ["a", null]}\n', r"contains a list with other values than words, \["),
        ('{"text": {"de": "x"}}\n', 'contains an object, {"de": "x"}; expected text'),
        ('["text"]\n', r"line 1: a list .*; expected an object with a field 'text'"),
        ('{"text": "a"}\nnull\n', "line 2: null; expected an object with a field 'text'"),
        ("{\n", "line 1: not JSON"),
        ("[" * 100_000, "line 1: not JSON"),
    ],
)
def test_the_error_for_a_bad_json_line_states_the_line(write, content, message):
    with pytest.raises(CorpusError, match=message):
        words(write("a.jsonl", content), text_field="text")


def test_json_lines_require_a_field(write):
    with pytest.raises(CorpusError, match=r"set corpus\.text_field"):
        words(write("a.jsonl.gz", gzip.compress(b"{}")))


def test_a_package_resource_is_found_without_importing_the_package(tmp_path, monkeypatch, write):
    write("carrier/__init__.py", "raise RuntimeError('imported')")
    write("carrier/data/a.txt", "inside")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert words("package:carrier/data/a.txt") == [b"inside"]
    for missing in ("package:carrier/data/b.txt", "package:carrier/../secret", "package:nothing/a"):
        with pytest.raises(CorpusError, match="package"):
            find_sources([missing])


def test_standard_input_can_be_read_only_once(monkeypatch):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"from a pipe")))
    assert words("-") == [b"from", b"a", b"pipe"]
    with pytest.raises(CorpusError, match="more than once"):
        find_sources(["-", "-"])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"good text\nbad \xff byte", "byte 14 is not UTF-8"),
        (b"text\0more", r"binary file \(byte 4 is zero\)"),
        ("text".encode("utf-16"), "UTF-16"),
    ],
)
def test_text_that_is_not_utf8_raises_an_error_that_states_why(write, content, message):
    with pytest.raises(CorpusError, match=message):
        words(write("a.txt", content))


def test_undecodable_bytes_can_be_replaced_or_ignored(write):
    path = write("a.txt", b"a\xffb c")
    assert decoded(path, errors="ignore") == ["ab", "c"]
    assert decoded(path, errors="replace", tokenizer="whitespace") == ["a�b", "c"]


def test_a_byte_order_mark_is_not_part_of_the_first_word(write):
    assert words(write("a.txt", b"\xef\xbb\xbfone two"), tokenizer="whitespace")[0] == b"one"


def test_missing_files_and_empty_globs_raise_errors(tmp_path):
    for pattern in ("none.txt", "*.nothing"):
        with pytest.raises(CorpusError, match=r"check corpus\.files"):
            find_sources([str(tmp_path / pattern)])


def test_a_long_line_is_split_only_between_words(write, monkeypatch):
    monkeypatch.setattr(corpus, "BLOCK_BYTES", 7)
    text = " ".join(f"wörd{i}" for i in range(300))
    assert decoded(write("a.txt", text)) == text.split()


def test_an_endless_word_is_rejected(write, monkeypatch):
    monkeypatch.setattr(corpus, "BLOCK_BYTES", 64)
    monkeypatch.setattr(corpus, "MAX_WORD_BYTES", 1000)
    with pytest.raises(CorpusError, match="without a space"):
        words(write("a.txt", "x" * 5000))


def test_an_abandoned_reader_leaves_no_thread_running(write):
    import threading
    import time

    blocks = read_text(CorpusConfig(files=[str(write("a.txt", "word " * 3_000_000))]))
    next(blocks)
    blocks.close()
    deadline = time.monotonic() + 60
    while any(thread.name == "corpus reader" for thread in threading.enumerate()):
        assert time.monotonic() < deadline
        time.sleep(0.01)


@settings(max_examples=300, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40))
def test_words_agree_with_the_naive_tokenizer(text):
    expected = [" ".join(line).split() for line in naive.split_words(text)]
    found = [line.decode().split(" ") for line in split_words(text.encode()).split(b"\n")]
    assert [[word for word in line if word] for line in found] == expected


@settings(max_examples=200, deadline=None)
@given(st.text("ab'’-é \n\u0301\u200c\u200d\xad\u093f", max_size=30))
def test_apostrophes_and_joiners_agree_with_the_naive_tokenizer(text):
    expected = naive.split_words(text)
    assert [line.decode().split() for line in split_words(text.encode()).split(b"\n")] == expected


def test_a_file_that_changes_while_it_is_read_is_detected(write):
    path = write("growing.txt", "a b c\n" * 500_000)
    blocks = _read_blocks([Shard(Source(str(path), path))], None)
    next(blocks)
    with path.open("a") as file:
        file.write("more\n")
    with pytest.raises(CorpusError, match=r"growing\.txt: changed while it was being"):
        list(blocks)


def test_text_beyond_the_limit_raises_an_error_even_if_its_file_is_small(write):
    path = write("bomb.gz", gzip.compress(b"a " * 10_000_000))
    assert path.stat().st_size < 100_000
    config = CorpusConfig(files=[str(path)], limit="5MB")
    with pytest.raises(CorpusError, match=r"bomb\.gz.*corpus\.limit \(5,000,000 bytes\)"):
        for _ in read_text(config):
            pass
    everything = CorpusConfig(files=[str(path)], limit="21MB")
    assert sum(block.count(b"a") for block in read_text(everything)) == 10_000_000


def test_urls_are_read_like_files(write, tmp_path):
    pytest.importorskip("fsspec")
    write("texts/a.txt", "one two\n")
    write("texts/b.txt.gz", gzip.compress(b"three\n"))
    write("other.txt", "four\n")
    folder = tmp_path.as_uri()
    assert words(f"{folder}/texts") == [b"one", b"two", b"three"]
    assert words(f"{folder}/texts/*.gz", f"{folder}/other.txt") == [b"three", b"four"]
    assert words(f"{folder}/other.txt") == [b"four"]
    for url, what in (
        (f"{folder}/missing.txt", "no matching files"),
        ("nosuchscheme://x", "cannot be listed"),
        ("s3://bucket/x", r"embedder\[remote\]' s3fs\.$|cannot be listed"),
    ):
        with pytest.raises(CorpusError, match=what):
            words(url)


def test_texts_are_read_over_http(write, tmp_path, monkeypatch):
    pytest.importorskip("aiohttp")
    pytest.importorskip("fsspec")
    write("a.txt", "one two\n")
    write("b.txt.gz", gzip.compress(b"three\n"))
    monkeypatch.setattr(SimpleHTTPRequestHandler, "log_message", lambda *_: None)
    handler = functools.partial(SimpleHTTPRequestHandler, directory=tmp_path)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        assert words(f"{address}/a.txt", f"{address}/b.txt.gz") == [b"one", b"two", b"three"]
        with pytest.raises(CorpusError, match="no matching files"):
            words(f"{address}/none.txt")
        server.shutdown()
    with pytest.raises(CorpusError, match=r"cannot be (listed|read)"):
        words(f"{address}/a.txt")
