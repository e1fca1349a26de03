"""Whatever a file contains, the program reads it or rejects it in one sentence.

`pytest tests/test_fuzz.py --fuzz 5000` generates more than a hundred thousand inputs. Most are
valid files with pieces replaced, removed or repeated, which reach deeper than random bytes.
"""

import bz2
import gzip
import lzma
import math
import struct
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from embedder.config_files import load_config
from embedder.config_sections.text import CorpusConfig, VocabularyConfig
from embedder.errors import EmbedderError
from embedder.evaluation.categories import read_categories
from embedder.evaluation.outliers import read_outliers
from embedder.evaluation.questions import read_analogies
from embedder.evaluation.similarity import read_similarities
from embedder.experiments.experiment import load_experiment, plan
from embedder.text.corpus import read_text
from embedder.text.vocabulary import Vocabulary, encode_corpus
from embedder.vectors.formats import FORMATS, load, save
from embedder.vectors.subwords import Subwords
from embedder.vectors.word_vectors import WordVectors

ROOT = Path(__file__).parent.parent
resource = pytest.importorskip("resource", reason="this system does not measure memory")

MAX_MEMORY_GROWTH = 1 << 30
"""Bytes by which the process may grow, over all inputs of a test."""
INTERESTING = [b"", b"\0", b"\n", b"\r\n", b" ", b"\t", b":", b"-", b"[", b"{", b"&a", b"*a", b'"']
INTERESTING += [
    b"nan",
    b"inf",
    b"1e999",
    b"-1",
    b"0",
    b"99999999999999999999",
    b"\xff",
    b"\xef\xbb\xbf",
]
INTERESTING += ["\u200c".encode(), "\xad".encode(), "e\u0301İ".encode(), "\u2028".encode(), b"\r"]
INTERESTING += [b";", b",", b"null", b"PK\x03\x04", b"\x1f\x8b", b"\xff\xfe\0\0"]
INTERESTING += [
    b"\r",
    b"  ",
    b"\t ",
    b"\v",
    b" 0.5",
    b"0,5",
    b"; ",
    b" 0.1 0.2 of 0.3",
    b"# ",
    b"2 2",
]
INTERESTING += ["\u00a0".encode(), "\u2028".encode(), b"\xe9", b"\n\xd7\x23\x3c", b"\x1f\x8b\x08"]
INTERESTING += ["…".encode(), b"<<: *a", b"!!python/object:os.system", b"\x80\x04", b"/../"]


def mutated(whole: bytes):
    """Return a strategy for a file with pieces replaced, removed or repeated, or cut off."""
    position = st.integers(0, len(whole))
    piece = st.one_of(st.sampled_from(INTERESTING), st.binary(max_size=12))
    change = st.tuples(position, st.integers(0, 40), piece, st.integers(1, 3))

    def apply(changes):
        data = whole
        for start, length, new, times in changes:
            data = data[:start] + new * times + data[start + length :]
        return data

    files = st.lists(change, min_size=1, max_size=4).map(apply)
    return st.one_of(files, st.binary(max_size=80), position.map(lambda end: whole[:end]))


@pytest.fixture(autouse=True)
def bounded_memory():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    unit = 1 if sys.platform == "darwin" else 1024
    assert grown * unit < MAX_MEMORY_GROWTH


def reads_or_rejects(call, path):
    """Call, and if it raises, check that the error is one sentence that names the file."""
    message = None
    try:
        return call()
    except EmbedderError as error:
        message = str(error)
    assert str(path) in message or path.name in message
    assert len(message) < 3000
    assert "Traceback" not in message
    return None


CONFIGS = sorted((ROOT / "configs").glob("*.yaml"))


@given(data=st.sampled_from(CONFIGS).flatmap(lambda path: mutated(path.read_bytes())))
def test_configurations(write, data):
    path = write("c.yaml", data)
    reads_or_rejects(lambda: load_config(path), path)


@given(
    override=st.one_of(
        st.text(max_size=40),
        st.builds(
            lambda key, value: f"{key}={value}",
            st.sampled_from(["training.passes", "corpus.files", "network", "output", "a.b.c"]),
            st.text(max_size=20),
        ),
    )
)
def test_overrides(write, override):
    message = None
    try:
        load_config(CONFIGS[0], [override])
    except EmbedderError as error:
        message = str(error)
    assert message is None or len(message) < 3000


@given(data=mutated((ROOT / "configs" / "experiments" / "study.yaml").read_bytes()))
def test_experiments(write, data):
    path = write("e.yaml", data)
    message = None
    try:
        plan(load_experiment(path))
    except EmbedderError as error:
        message = str(error)
    assert message is None or "Traceback" not in message


TEXT = "the cat sat on the mat\nthe naïve dog didn’t sit 日本語\n".encode() * 3
JSON_LINES = b'{"text": "the cat sat"}\n{"text": "on the \\u00e9 mat"}\n' * 3


@given(
    data=mutated(TEXT),
    tokenizer=st.sampled_from(["words", "whitespace"]),
    form=st.sampled_from(["nfc", "nfkc", "none"]),
)
def test_texts(write, tmp_path, data, tokenizer, form):
    path = write("t.txt", data)
    config = CorpusConfig(files=[str(path)], tokenizer=tokenizer, normalisation=form)
    settings = VocabularyConfig(min_count=1)
    message = None
    try:
        vocabulary, corpus = encode_corpus(read_text(config), settings, tmp_path)
        assert (np.asarray(corpus.ids) < len(vocabulary)).all()
    except EmbedderError as error:
        message = str(error)
    assert message is None or len(message) < 3000


@pytest.mark.filterwarnings("ignore::embedder.errors.CorpusWarning")
@given(data=mutated(JSON_LINES))
def test_json_lines(write, data):
    path = write("t.jsonl", data)
    config = CorpusConfig(files=[str(path)], text_field="text")
    reads_or_rejects(lambda: list(read_text(config)), path)


COMPRESSED = {
    "t.gz": gzip.compress(TEXT, mtime=0),
    "t.bz2": bz2.compress(TEXT),
    "t.xz": lzma.compress(TEXT),
}


@pytest.mark.parametrize("name", COMPRESSED)
@given(data=st.data())
def test_compressed_texts(write, name, data):
    path = write(name, data.draw(mutated(COMPRESSED[name])))
    config = CorpusConfig(files=[str(path)])
    reads_or_rejects(lambda: list(read_text(config)), path)


@given(data=mutated("word\tcount\nthe\t12\nnaïve\t3\ncat\t1\n".encode()))
def test_vocabularies(write, data):
    path = write("vocabulary.tsv", data)
    found = reads_or_rejects(lambda: Vocabulary.load(path), path)
    assert found is None or len(set(found.words)) == len(found.words) == len(found.counts)


QUESTIONS = [
    (read_analogies, b": family\nking queen man woman\nboy girl he she\n: b\na b c d\n"),
    (read_similarities, b"word1\tword2\tscore\nking\tqueen\t8.5\ncat\tdog\t7\n"),
    (read_similarities, b"word1\tword2\tPOS\tSimLex999\nold\tnew\tA\t1.58\ncat\tdog\tN\t7\n"),
    (read_similarities, b'# c\n,"w1","w2",s\n0,"old","new","1,58"\n1,"cat","New York",7\n'),
    (read_outliers, b"cat\ndog\nhorse\n\nlondon\ncar\n"),
    (read_categories, b"cat\tanimal\ndog\tanimal\nlondon\tcity\n"),
    (read_categories, b'word,category\n"cat","animal"\n"New York",city\n'),
]


@pytest.mark.parametrize(("read", "whole"), QUESTIONS)
@given(data=st.data())
def test_questions(write, read, whole, data):
    path = write("q.txt", data.draw(mutated(whole)))
    found = reads_or_rejects(lambda: read(path), path)
    if found is not None and read is read_similarities:
        assert all(math.isfinite(pair.score) and pair.first and pair.second for pair in found)


@pytest.fixture(scope="module")
def vector_files(tmp_path_factory):
    """A small file of each format, fastText's with n-grams: the bytes of the whole folder."""
    folder = tmp_path_factory.mktemp("formats")
    rng = np.random.default_rng(3)
    words = ["king", "naïve", "日本", "a"]
    subwords = Subwords(rng.normal(size=(4 + 8, 3)).astype("f4"), 2, 3, 8, 4)
    vectors = WordVectors(
        Vocabulary(words, np.arange(4, 0, -1)), subwords.compose(words), (), subwords
    )
    contents = {}
    for name in FORMATS:
        (folder / name).mkdir()
        save(vectors, folder / name / "v", name)
        if name in ("npy", "projector", "safetensors"):  # detected by the suffix
            (folder / name / "v").rename(folder / name / f"v.{name}")
        files = [path for path in (folder / name).rglob("*") if path.is_file()]
        contents[name] = {str(path.relative_to(folder / name)): path.read_bytes() for path in files}
    return contents


FILE_NAMES = {"npy": "v.npy", "projector": "v.tsv", "safetensors": "v.safetensors"}


@pytest.mark.parametrize("name", FORMATS)
@given(data=st.data())
def test_vectors(write, vector_files, name, data):
    files = dict(vector_files[name])
    chosen = data.draw(st.sampled_from(sorted(files)))
    files[chosen] = data.draw(mutated(files[chosen]))
    for file, content in files.items():
        suffixed = FILE_NAMES.get(name)
        renamed = suffixed if suffixed and file == f"v.{name}" else file
        write(f"{name}/{renamed}", content)
    path = write("x", b"").parent / name / FILE_NAMES.get(name, "v")
    found = reads_or_rejects(lambda: load(path), path.parent)
    if found is not None:
        assert len(found) == len(found.matrix) == len(set(found.vocabulary.words)) > 0
        assert np.isfinite(found.matrix).all()


def binary_rows(*words, dtype="<f4"):
    """Return words and two numbers each as word2vec's binary format has them."""
    return b"".join(
        word + np.array([0.01 + i, -0.2], dtype).tobytes() for i, word in enumerate(words)
    )


ODD_FILES = {
    "marks, tabs and CR": "\ufeff3\t2\r\nthe\t0.1  0.2\r of 0.5 0.6 \n\nking 0.9 1\r".encode(),
    "spaces in words": b"3 2\n. . . 1 2\n 3 4\nnew  york 5 6\n",
    "no header": "the 0.1 0.2\n.\u00a0. 0.3 0.4\na\u2028b 0.5 0.6\n".encode(),
    "a row too many": b"2 2\n" + binary_rows(b"a ", b"b ", b"c "),
    "float64": b"3 2\n" + binary_rows(b"a ", b"b ", b"c ", dtype="<f8"),
    "spaces in binary words": b"2 2\n" + binary_rows(b"a b ", b"c d e "),
    "gzip": gzip.compress(b"1 2\nthe 0.1 0.2\n", mtime=0),
    "UTF-16": "1 2\nthe 0.1 0.2\n".encode("utf-16"),
    "oldest fastText": struct.pack("<12id", 2, 5, 1, 1, 5, 1, 2, 3, 0, 0, 0, 100, 1e-4)
    + struct.pack("<iiiq", 3, 2, 1, 9)
    + b"".join(
        word + b"\0" + struct.pack("<qb", 3, word == b"__label__a")
        for word in (b"caf\xe9", b"of", b"__label__a")
    )
    + struct.pack("<qq4f", 2, 2, 0.1, 0.2, 0.3, 0.4)
    + struct.pack("<qq2f", 1, 2, 0, 0),
}


@pytest.mark.parametrize("name", ODD_FILES)
@given(data=st.data())
def test_vectors_as_people_have_them(write, name, data):
    assert len(load(write("valid", ODD_FILES[name]))) if name != "UTF-16" else True
    path = write("v", data.draw(mutated(ODD_FILES[name])))
    found = reads_or_rejects(lambda: load(path), path)
    if found is None:
        return
    assert len(found) == len(found.matrix) == len(set(found.words)) > 0
    assert np.isfinite(found.matrix).all()
    # What was read can be written, and is then read as the same.
    again = path.with_name("again")
    saved = save(found, again, "word2vec", unwritable="replace")
    assert reads_or_rejects(lambda: len(load(again)) == saved.words, again) is not False


def test_yaml_that_would_run_code_is_rejected(write):
    path = write("c.yaml", "corpus: !!python/object/apply:os.system ['touch owned']\n")
    with pytest.raises(EmbedderError, match="not valid YAML"):
        load_config(path)
    bomb = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"{chr(98 + i)}: &{chr(98 + i)} [{','.join(['*' + chr(97 + i)] * 9)}]\n" for i in range(8)
    )
    assert yaml.safe_load(bomb.split("\n")[0])
    path = write("bomb.yaml", bomb)
    with pytest.raises(EmbedderError, match="unknown key"):
        load_config(path)
