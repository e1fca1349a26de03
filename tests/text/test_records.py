import bz2
import gzip
import io
import json

import pytest

from embedder.config_sections.text import CorpusConfig
from embedder.errors import CorpusError, CorpusWarning
from embedder.text.corpus import read_text
from embedder.text.listing import find_shards
from embedder.text.normalisation import SPACE_IN_WORD
from embedder.text.sources import Source, kind_of


def texts(path, **settings):
    config = CorpusConfig(files=[str(path)], tokenizer="whitespace", **settings)
    return b"".join(read_text(config)).decode().split("\n")


ROWS = [("1", "Ein Satz, mit Komma"), ("2", 'two "quoted" words'), ("3", "über\nzwei Zeilen")]
EXPECTED = ["ein satz, mit komma", 'two "quoted" words', "über", "zwei zeilen"]


def csv_text(delimiter=","):
    lines = [f"id{delimiter}body"]
    lines += [f'{number}{delimiter}"{text.replace(chr(34), chr(34) * 2)}"' for number, text in ROWS]
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_a_column_of_csv_is_read(write, delimiter):
    path = write("a.csv", "\ufeff" + csv_text(delimiter))
    assert texts(path, text_field="body")[:4] == EXPECTED


def test_quotes_are_letters_like_others_in_tsv(write):
    path = write("a.tsv", 'id\tbody\n1\t"Well, he said\n2\tb "c" d\n\n')
    assert texts(path, text_field="body")[:2] == ['"well, he said', 'b "c" d']


@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress])
def test_compressed_tables_are_read(write, compress):
    suffix = {gzip.compress: "gz", bz2.compress: "bz2"}[compress]
    path = write(f"a.csv.{suffix}", compress(csv_text().encode()))
    assert texts(path, text_field="body")[:4] == EXPECTED


@pytest.mark.parametrize("indent", [None, 2])
def test_a_json_array_is_read(write, indent, monkeypatch):
    monkeypatch.setattr("embedder.text.records._CHARACTERS_PER_READ", 7)
    rows = [{"id": i, "body": body} for i, body in ROWS]
    path = write("a.json", json.dumps(rows, indent=indent))
    assert texts(path, text_field="body")[:4] == EXPECTED
    path = write("b.json", json.dumps([body for _, body in ROWS], indent=indent))
    assert texts(path)[:4] == EXPECTED  # an array of texts needs no field


def test_tokens_in_a_field_are_joined(write):
    path = write("a.jsonl", '{"words": ["a", "b"]}\n')
    assert texts(path, text_field="words")[0] == "a b"
    path = write("b.jsonl", '{"words": ["New York", "b"]}\n')
    (line, *_) = texts(path, text_field="words", lowercase=False)
    assert [word.replace(SPACE_IN_WORD, " ") for word in line.split()] == ["New York", "b"]


@pytest.mark.parametrize("name", ["a.txt", "a", "a.json", "a.jsonl", "a.ndjson"])
def test_json_lines_are_recognised_by_their_content(write, name):
    path = write(name, '\n{"title": "x", "body": "a b"}\n{"body": "c"}\n')
    with pytest.raises(CorpusError, match=r"a JSON Lines file; set corpus.text_field .* title, bo"):
        texts(path)
    assert texts(path, text_field="body")[:2] == ["a b", "c"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", csv_text(), "a CSV file; set corpus.text_field to the column .*: id, body"),
        ("a.tsv", "id\tbody\n", "a TSV file; set corpus.text_field to the column .*: id, body"),
        (
            "a.json",
            '[{"id": 1, "b": "x"}]',
            "a JSON file; set corpus.text_field .* field .*: id, b",
        ),
        ("a.txt", '[{"id": 1}]', "a JSON file"),
        ("a.csv", "", "a CSV file"),
    ],
)
def test_records_without_a_named_field_are_refused_with_those_there_are(
    write, name, content, message
):
    with pytest.raises(CorpusError, match=message):
        texts(write(name, content))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", csv_text(), "no text in the column 'text'.*its columns are: id, body"),
        ("a.csv", "id,text\n1\n", "line 2: 1 columns, but the heading has 2"),
        (
            "a.json",
            '[{"text": "a"}, {"text": 5}]',
            "record 2: the field 'text' contains the number 5",
        ),
        ("a.json", '[{"text": "a"}, {"text"', "record 2: not JSON"),
        ("a.json", '[{"text": "a"}', "record 2: not JSON"),
        ("a.csv", "id,text\n1,a, b\n", "line 2: 3 columns, but the heading has 2"),
        ("a.json", '{\n "text": 1\n}', "line 1: not JSON .* expected one object per line, or an"),
        ("a.jsonl", b'{"text": "\xff"}', "not UTF-8"),
        ("a.json", '"a text"', 'line 1: the text "a text"; expected an object with a field'),
        ("a.JSON", "no JSON", "line 1: not JSON"),
        ("a.csv", b"id,text\n1,\xff\xfe\n", "not UTF-8"),
        ("a.parquet", b"PAR1 nonsense", "damaged Parquet file|requires pyarrow"),
        ("a.arrow", b"ARROW1 nonsense", "damaged Arrow file|requires pyarrow"),
    ],
)
def test_damaged_records_are_one_sentence(write, name, content, message):
    with pytest.raises(CorpusError, match=message):
        texts(write(name, content), text_field="text")


def test_undecodable_bytes_may_be_replaced(write):
    path = write("a.csv", b"id,text\n1,a \xff b\n")
    assert texts(path, text_field="text", errors="ignore")[0] == "a  b"


@pytest.mark.parametrize(
    "text", ["plain {text}", "[Illustration]", '"quoted"', "[ 5 ]", "{ braces"]
)
def test_plain_text_is_no_record_and_needs_no_field(write, text):
    path = write("a.txt", text)
    assert texts(path)[0] == texts(path, text_field="body")[0] == text.lower()


@pytest.fixture
def table():
    pa = pytest.importorskip("pyarrow")
    body = pa.array([*(text for _, text in ROWS), None])
    words = pa.array([["a", "b"], ["c"], [], None])
    return pa.table({"id": [1, 2, 3, 4], "body": body, "words": words})


@pytest.mark.filterwarnings("ignore::embedder.errors.CorpusWarning")
def test_a_column_of_parquet_is_read(table, tmp_path):
    from pyarrow import parquet

    path = tmp_path / "a.parquet"
    parquet.write_table(table, path, row_group_size=2)
    assert texts(path, text_field="body")[:4] == EXPECTED
    assert texts(path, text_field="words")[:2] == ["a b", "c"]
    check_refusals(path, "Parquet")
    path.rename(tmp_path / "unnamed")
    assert texts(tmp_path / "unnamed", text_field="body")[:4] == EXPECTED


@pytest.mark.filterwarnings("ignore::embedder.errors.CorpusWarning")
@pytest.mark.parametrize("kind", ["file", "stream"])
def test_a_column_of_arrow_is_read(table, tmp_path, kind):
    import pyarrow as pa

    path = tmp_path / "a.arrow"
    make = pa.ipc.new_file if kind == "file" else pa.ipc.new_stream
    with path.open("wb") as file, make(file, table.schema) as writer:
        writer.write_table(table, max_chunksize=2)
    assert texts(path, text_field="body")[:4] == EXPECTED
    check_refusals(path, "Arrow")


def check_refusals(path, name):
    with pytest.raises(
        CorpusError, match=f"an? {name} file; set corpus.text_field .*: id, body, wo"
    ):
        texts(path)
    with pytest.raises(CorpusError, match=r"the column 'id'.* contains int64, not text"):
        texts(path, text_field="id")


@pytest.mark.filterwarnings("ignore::embedder.errors.CorpusWarning")
def test_tables_come_through_a_pipe(table, tmp_path, monkeypatch):
    from pyarrow import parquet

    path = tmp_path / "a.parquet"
    parquet.write_table(table, path)
    for content in (path.read_bytes(), csv_text().encode(), b'{"body": "Ein Satz, mit Komma"}'):
        name = "-"
        stream = io.TextIOWrapper(io.BufferedReader(io.BytesIO(content)))
        monkeypatch.setattr("sys.stdin", stream)
        if content.startswith(b"id"):  # nothing tells that this is CSV
            continue
        assert texts(name, text_field="body")[0] == EXPECTED[0]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.jsonl", '{"text": null}\n{"text": "a"}\n'),
        ("a.json", '[{"text": null}, {"text": "a"}]'),
    ],
)
def test_nulls_are_left_out_with_a_warning(write, name, content):
    with pytest.warns(CorpusWarning, match=rf"{name}: 'text' is null in 1 of 2 records"):
        assert texts(write(name, content), text_field="text")[0] == "a"


@pytest.mark.parametrize(
    "name", ["a.NDJSON", "a.JSONL", "a.Json", "a.jsonlines", "a.jl", "A.JSONL.GZ"]
)
def test_endings_have_no_case(write, name):
    content = b'\n{"id": 7,\t"text": "hello world"}\n'
    path = write(name, gzip.compress(content) if name.endswith("GZ") else content)
    with pytest.raises(CorpusError, match=r"a JSON Lines file; set corpus.text_field.*: id, text"):
        texts(path)
    assert texts(path, text_field="text")[0] == "hello world"


def test_json_lines_are_read_in_shards(write):
    path = write("a.txt", "".join(f'{{"text": "w{i}"}}\n' for i in range(20)))
    shards = find_shards([str(path)], 50)
    assert len(shards) > 3
    config = CorpusConfig(files=[str(path)], text_field="text")
    found = b"".join(read_text(config, shards=shards)).decode().split()
    assert found == [f"w{i}" for i in range(20)]
    plain = write("b.txt", 'once\n{"text": "w"}\n' * 20)
    config = CorpusConfig(files=[str(plain)])
    found = b"".join(read_text(config, shards=find_shards([str(plain)], 5))).decode().split()
    assert found == ["once", "text", "w"] * 20


def test_a_table_is_one_shard(write):
    path = write("a.csv", csv_text())
    assert [(shard.start, shard.end) for shard in find_shards([str(path)], 5)] == [(0, None)]


@pytest.mark.parametrize(
    ("name", "head", "kind"),
    [
        ("a.CSV.gz", b"", "csv"),
        ("a.parquet", b"", "parquet"),
        ("a.bin", b"PAR1", "parquet"),
        ("a.feather", b"ARROW1", "arrow"),
        ("a.txt", b"once", None),
        ("a.json", b" [1", "json"),
    ],
)
def test_the_kind_of_a_file_is_told_by_its_name_and_start(name, head, kind):
    assert kind_of(Source(name, None), head) == kind
