import gzip
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import embedder
from embedder.cli import main
from embedder.errors import EmbedderError, FormatError, RunError, VocabularyError
from embedder.text.vocabulary import Vocabulary
from embedder.vectors.formats import FORMATS, detect, format_of, load, save
from embedder.vectors.rounding import rounded
from embedder.vectors.word_vectors import WordVectors

WORDS = ["king", "naïve", "-1", "10", "日本", "a"]
EXACT = [name for name in FORMATS if name != "finalfusion"]
NAMES = {
    "word2vec": "v.txt",
    "word2vec-binary": "v.bin",
    "glove": "v.glove",
    "npy": "v.npy",
    "fasttext": "v.ftbin",
    "safetensors": "v.safetensors",
    "finalfusion": "v.fifu",
    "projector": "v.tsv",
    "static-embedding": "v",
}


@pytest.fixture
def vectors(rng):
    matrix = rng.normal(size=(6, 5)).astype(np.float32)
    matrix[2] = [0.0, -0.0, 1e-38, 3.4e38, 1 / 3]
    return WordVectors(Vocabulary(WORDS, np.arange(6, 0, -1)), matrix)


def assert_same(found, expected):
    assert found.vocabulary.words == expected.vocabulary.words
    np.testing.assert_array_equal(found.matrix, expected.matrix)
    assert found.repairs == ()


@pytest.mark.parametrize("name", EXACT)
def test_saved_vectors_load_exactly(vectors, tmp_path, name):
    path = tmp_path / NAMES[name]
    vectors.save(path, name)
    assert detect(path) == name
    assert_same(load(path), vectors)
    assert_same(embedder.load(str(path)), vectors)


@pytest.mark.parametrize("name", ["word2vec", "word2vec-binary", "glove"])
def test_compressed_files_are_read(vectors, tmp_path, name):
    vectors.save(tmp_path / "plain", name)
    path = tmp_path / "packed.gz"
    path.write_bytes(gzip.compress((tmp_path / "plain").read_bytes()))
    assert_same(load(path), vectors)


@pytest.mark.parametrize("damage", [b"\x1f\x8b\x08\0", None])
@pytest.mark.parametrize("name", ["a.vec.gz", "a.vec.xz", "a.vec.bz2", "a.vec.zst"])
def test_errors_for_damaged_compressed_files_name_the_file(vectors, tmp_path, name, damage):
    path = tmp_path / name
    if damage is None:  # cut off
        vectors.save(tmp_path / "plain", "word2vec")
        damage = gzip.compress((tmp_path / "plain").read_bytes())[:-30]
    path.write_bytes(damage)
    with pytest.raises(
        EmbedderError, match=f"{name}: (damaged|cannot be read|not compressed|compressed with)"
    ):
        load(path)


@pytest.mark.parametrize("binary", [False, True])
def test_files_from_gensim_are_read(vectors, tmp_path, binary):
    models = pytest.importorskip("gensim.models", reason="gensim is not installed")
    theirs = models.KeyedVectors(5)
    theirs.add_vectors(WORDS, vectors.matrix)
    path = tmp_path / "theirs"
    theirs.save_word2vec_format(str(path), binary=binary)
    found = load(path)
    assert found.vocabulary.words == WORDS
    np.testing.assert_array_equal(found.matrix, vectors.matrix)


def test_crlf_line_endings_and_spaces_in_words_are_parsed(write):
    path = write("a.txt", "2 2\r\nking 1 2 \r\n. . . 3 4\r\n")
    found = load(path)
    assert found.vocabulary.words == ["king", ". . ."]
    assert found.matrix.tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"3 2\na 1 2\nb 3 4\n", "declares 3 words, but the file has 2"),
        (b"2 2\na 1 2\na 3 4\n", "1 duplicate words"),
        (b"1 2\n\xff\xfe 1 2\n", "1 words are not UTF-8"),
    ],
)
def test_repairs_are_reported(write, content, message):
    found = load(write("a.txt", content))
    assert message in " ".join(found.repairs)
    assert found.matrix[0].tolist() == [1, 2]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "line 1: neither a header"),
        (b"one\n", "line 1: neither a header"),
        (b"2 2\n", "has no vectors"),
        (b"2 2\na 1 2\nb 3\n", "line 3: expected a word and 2 numbers"),
        (b"2 2\na 1 two\n", "line 2: expected a word and 2 numbers"),
        (b"a 1 2\nb 1\n", "line 2: expected a word and 2 numbers"),
        (b"2 2\na 1 nan\n", r"line 2 \('a'\): a number is not finite"),
        (b"2 2\na 1 inf\n", "not finite"),
        (b"2 0\n", "vectors of 0 dimensions"),
        (b"2 999999999999\na 1\n", "vectors of 999,999,999,999 dimensions"),
        (b"2 99999999999999999999999\na 1\n", "vectors of 99,999,999,999,999,999,999,999 dim"),
        (b"2 2\na \x00\x00\x80\x3f\x00\x00", "byte 6: the file ends within a vector"),
        (b"2 2\na \x00\x00\x80\x3f\x00\x00\x80\x3f", "no word followed by a space"),
        (b"1 1\na \x00\x00\xc0\x7f", "not finite"),
    ],
)
def test_malformed_files_raise_errors_that_state_the_position(write, content, message):
    with pytest.raises(FormatError, match=message):
        load(write("a.txt", content))


def test_matrices_without_matching_words_are_rejected(tmp_path, vectors):
    path = tmp_path / "v.npy"
    np.save(path, vectors.matrix)
    with pytest.raises(FormatError, match=r"v\.vocab\.txt: no such file"):
        load(path)
    (tmp_path / "v.vocab.txt").write_text("a\nb\n")
    with pytest.raises(FormatError, match="one row for each of the 2 words"):
        load(path)
    np.save(path, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(FormatError, match="not a matrix"):  # no pickle is ever loaded
        load(path)


def test_a_missing_path_is_neither_a_run_nor_a_file(tmp_path):
    with pytest.raises(RunError, match="nowhere: no such file or folder; expected a run or"):
        load(tmp_path / "nowhere")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs RLIMIT_AS")
@pytest.mark.parametrize("kind", ["text", "binary"])
def test_a_header_that_declares_a_huge_size_allocates_no_memory(write, kind):
    row = b"a 1 2\n" if kind == "text" else b"a \x00\x00\x80\x3f\x00\x00\x80\x3f"
    path = write("a.txt", b"1000000000000 2\n" + row)
    program = (
        "import resource, sys; from embedder.vectors.formats import load\n"
        "from embedder.errors import *\n"
        "size = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()\n"
        "resource.setrlimit(resource.RLIMIT_AS, (size + (64 << 20),) * 2)\n"
        "try: print(len(load(sys.argv[1])))\n"
        "except FormatError: print('rejected')\n"
    )
    found = subprocess.run(
        [sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=False
    )
    assert found.stdout.strip() == ("1" if kind == "text" else "rejected"), found.stderr


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    content=st.one_of(
        st.binary(max_size=60),
        st.builds(
            lambda v, d, rest: b"%d %d\n" % (v, d) + rest,
            st.integers(0, 10**13),
            st.integers(0, 4),
            st.one_of(st.binary(max_size=60), st.text(" 10.e-na\n", max_size=60).map(str.encode)),
        ),
    )
)
def test_arbitrary_bytes_give_vectors_or_an_error_message(write, content):
    path = write("any", content)
    message = None
    try:
        found = load(path)
    except EmbedderError as error:
        message = str(error)
    if message is not None:
        assert str(path) in message
    else:
        assert len(found) == len(found.matrix) > 0
        assert np.isfinite(found.matrix).all()


def test_finalfusion_vectors_load_within_float32_rounding(vectors, tmp_path):
    save(vectors, tmp_path / "v.fifu")
    assert detect(tmp_path / "v.fifu") == "finalfusion"
    found = load(tmp_path / "v.fifu")
    assert found.vocabulary.words == WORDS
    error = np.abs(found.matrix.astype(float) - vectors.matrix).max(axis=1)
    assert (error <= 2e-7 * np.linalg.norm(vectors.matrix.astype(float), axis=1)).all()


@pytest.mark.parametrize("name", FORMATS)
def test_a_flipped_bit_or_truncation_gives_vectors_or_an_error_message(
    vectors, tmp_path, rng, request, name
):
    path = tmp_path / NAMES[name]
    save(vectors, path, name)
    files = [file for file in [path, *tmp_path.rglob("*")] if file.is_file()]
    for file in set(files):
        whole = file.read_bytes()
        for position in rng.integers(0, len(whole), request.config.getoption("--flips")):
            damaged = bytearray(whole)
            damaged[position] ^= 1 << int(rng.integers(8))
            file.write_bytes(damaged)
            assert_rejected_or_valid(path)
            file.write_bytes(whole[:position])
            assert_rejected_or_valid(path)
        file.write_bytes(whole)


def assert_rejected_or_valid(path):
    message = None
    try:
        found = load(path)
    except EmbedderError as error:
        message = str(error)
    if message is not None:
        assert str(path.parent) in message
        return
    assert len(found) == len(found.matrix) == len(set(found.vocabulary.words)) > 0
    assert np.isfinite(found.matrix).all()


def test_rows_are_mapped_instead_of_copied_where_the_file_allows_it(vectors, tmp_path):
    for name in ("npy", "safetensors", "fasttext"):
        save(vectors, tmp_path / NAMES[name], name)
        matrix = load(tmp_path / NAMES[name]).matrix
        assert isinstance(matrix, np.memmap)
        assert Path(matrix.filename) == tmp_path / NAMES[name]
        assert not matrix.flags.writeable


@pytest.mark.parametrize("name", ["npy", "safetensors"])
@pytest.mark.parametrize("dtype", ["float16", "int8"])
def test_rounded_vectors_take_less_space_and_load_approximately(rng, tmp_path, name, dtype):
    matrix = rng.normal(size=(300, 64)).astype(np.float32)
    vectors = WordVectors(Vocabulary([f"w{i}" for i in range(300)], np.ones(300)), matrix)
    path = tmp_path / NAMES[name]
    if (name, dtype) == ("npy", "int8"):
        with pytest.raises(FormatError, match="npy cannot store int8; expected --format safet"):
            save(vectors, path, dtype=dtype)
        return
    save(vectors, path, dtype=dtype)
    found = load(path)
    assert path.stat().st_size < 0.6 * matrix.nbytes
    np.testing.assert_array_equal(found.matrix, rounded(vectors, dtype).matrix)
    np.testing.assert_allclose(found.matrix, matrix, atol=0.02)


def test_pickles_are_never_loaded(tmp_path):
    for name, content in {
        "a.kv": pickle.dumps({"a": 1}),
        "b.pt": b"PK\x03\x04 1 2 3\n",
        "c.vec": b"PK\x03\x04",
        "d.npy": b"PK\x03\x04",
        "e.pkl": pickle.dumps({"a": 1}, protocol=0),
    }.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(FormatError, match=r"pickle.*never loaded.*save_word2vec_format"):
            load(tmp_path / name)


def test_numbers_cannot_shift_from_one_row_to_the_next(write):
    for odd in ("a 1\t2 3\nb 4 \nc 5 6", "a 1 2 3\nb  4\nc 5 6", "a 1 2\nb 3\x0b4 5\nc 6 "):
        with pytest.raises(FormatError, match="expected a word and 2 numbers"):
            load(write("a.txt", f"3 2\n{odd}\n"))


def test_the_projectors_metadata_may_have_columns_or_another_name(write):
    path = write("a.tsv", "1\t2\n3\t4\n")
    write("metadata.tsv", "Index\tWord\n0\tking\n1\tqueen\n")
    assert load(path).vocabulary.words == ["king", "queen"]
    write("a.metadata.tsv", "man\nwoman\n")
    assert load(path).vocabulary.words == ["man", "woman"]
    write("a.metadata.tsv", "man\n")
    with pytest.raises(FormatError, match="2 vectors, but 1 words"):
        load(path)


def test_the_convert_command_offers_all_formats():
    (option,) = [p for p in main.commands["convert"].params if p.name == "file_format"]
    assert tuple(option.type.choices) == FORMATS


def test_file_names_determine_formats(tmp_path):
    for expected, name in NAMES.items():
        if expected != "static-embedding":
            assert format_of(tmp_path / name) == expected
    assert format_of(tmp_path / "a.vec") == format_of(tmp_path / "a") == "word2vec"
    assert format_of(tmp_path / "a.BIN") == format_of(tmp_path / "a.bin.gz") == "word2vec-binary"
    for unknown in ("a.kv", "a.foo", "a.h5.gz"):
        with pytest.raises(
            FormatError, match=r"no format .* '\.(kv|foo|h5)'; expected one of \.bin"
        ):
            format_of(tmp_path / unknown)


def test_vectors_are_looked_up_by_word(vectors):
    assert "king" in vectors
    assert "queen" not in vectors
    assert len(vectors) == 6
    np.testing.assert_array_equal(vectors["日本"], vectors.matrix[4])
    with pytest.raises(ValueError, match="read-only"):
        vectors["king"][0] = 1
    with pytest.raises(VocabularyError, match="similar spellings: king"):
        vectors["kinng"]
    a, b = vectors.matrix[0], vectors.matrix[5]
    cosine = a @ b / np.linalg.norm(a) / np.linalg.norm(b)
    assert vectors.similarity("king", "a") == pytest.approx(cosine, rel=1e-5)


def test_training_from_python_returns_the_vectors(toy_tree, tmp_path):
    tree = toy_tree | {"training": {"passes": 1}, "output": str(tmp_path / "run")}
    vectors = embedder.train(tree)
    assert_same(embedder.load(tmp_path / "run"), vectors)
    assert embedder.load(tmp_path / "run", "input").matrix.shape == (len(vectors), 32)


@pytest.mark.parametrize("number", ["1e300", "-1e39"])
@pytest.mark.parametrize("separator", [" ", "  "])
def test_numbers_too_large_for_float32_are_rejected(write, number, separator):
    with pytest.raises(FormatError, match=r"a number is not finite|expected a word and 1 numbers"):
        load(write("a.txt", f"2 1\na {number}\nb{separator}1\n"))


@pytest.mark.parametrize("one", FORMATS)
@pytest.mark.parametrize("other", FORMATS)
def test_any_format_converts_to_any_other(vectors, tmp_path, one, other):
    (tmp_path / "one").mkdir()
    (tmp_path / "other").mkdir()
    source, out = tmp_path / "one" / NAMES[one], tmp_path / "other" / NAMES[other]
    save(vectors, source, one)
    arguments = ["convert", str(source), str(out), "--format", other]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    assert "Wrote 6 vectors of 5 dimensions" in result.output
    found = load(out)
    assert found.vocabulary.words == WORDS
    if "finalfusion" in (one, other):
        np.testing.assert_allclose(found.matrix[3:], vectors.matrix[3:], rtol=1e-6)
    else:
        np.testing.assert_array_equal(found.matrix, vectors.matrix)


@pytest.mark.parametrize("name", ["word2vec", "word2vec-binary", "finalfusion", "projector"])
def test_a_missing_temporary_folder_gives_a_one_sentence_error(
    vectors, tmp_path, monkeypatch, name
):
    save(vectors, tmp_path / NAMES[name], name)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "none"))
    with pytest.raises(FormatError, match=r"none: cannot be written .*; set TMPDIR\."):
        load(tmp_path / NAMES[name])
