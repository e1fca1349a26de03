import numpy as np
import pytest

from embedder.config_sections.text import CorpusConfig
from embedder.errors import CorpusError
from embedder.text.listing import find_sources
from embedder.text.objects import NAME, are_paths, blocks_of, objects_of


def lines(source, field=None, **settings):
    objects = objects_of(source, field)
    config = CorpusConfig(files=[NAME], **settings)
    return b"".join(blocks_of(objects, config)).decode().split("\n")[:-1]


COLUMNS = {
    "id": [1, 2, 3], "text": ["A b", None, "C"], "tokens": [["A", "b"], None, ["C"]],
}  # fmt: skip
ARROW = "pyarrow", "pyarrow.dataset", "pyarrow.parquet"
TOKENS = {"tokenizer": "whitespace", "lowercase": False}


def test_texts_are_tokenised_and_tokens_are_not():
    assert [line.split() for line in lines(["A b, c!", "d-e"])] == [["a", "b", "c"], ["d", "e"]]
    assert lines([["A", "b,"], [], ["c!"]], **TOKENS) == ["A b,", "", "c!"]
    assert lines(iter([("A", "b")]), **TOKENS) == ["A b"]


def test_integers_are_tokens():
    walks = np.array([[1, 2, 3], [3, 2, 1]])
    assert lines(walks, **TOKENS) == ["1 2 3", "3 2 1"]
    assert lines([[1, 2], [3]], **TOKENS) == ["1 2", "3"]


def test_missing_texts_are_left_out():
    assert lines([None, "a", float("nan"), "b"]) == ["a", "b"]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ([], "the iterable of texts is empty"),
        (5, "expected a path, or an iterable of texts or of lists of tokens, got 5"),
        (["a", ["b"]], r"item 2: expected a text like the first, got \['b'\]"),
        ([1, 2], "item 1: expected a text or a list of tokens, got 1"),
        ([b"a text"], "item 1: expected a text or a list of tokens, got b'a text'"),
        ([None, ["a"], [None]], "item 3: expected tokens that are texts or integers, got None"),
        ([["a", 1.5]], "item 1: expected tokens that are texts or integers, got 1.5"),
        ([["a b", "a\tb"]], r"item 1: the token 'a\\tb' is empty or contains a tab, newline"),
        ([["a\nb"]], r"item 1: the token 'a\\nb' is empty or contains a tab, newline"),
        ([["\ud800", "a\0b"]], r"item 1: the token 'a\\x00b' is empty"),
        ([["a"], "b"], "item 2: expected a list of tokens like the first, got 'b'"),
        ([["a"], 3], "item 2: expected a list of tokens like the first, got 3"),
        ([["a"], ["b", ""]], "item 2: the token '' is empty"),
        ([{"a": "x"}], "item 1 is a dictionary; set text_field .* one of: a"),
    ],
)
def test_what_is_no_text_is_one_sentence(source, message):
    with pytest.raises(CorpusError, match=message):
        lines(source)


def test_dictionaries_have_a_field():
    assert lines(({"id": i, "text": f"w{i}"} for i in range(2)), "text") == ["w0", "w1"]


def test_columns_and_tables_of_pandas():
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame({"id": [1, 2, 3], "text": ["a", None, "b"]})
    assert lines(frame["text"]) == lines(frame, "text") == lines(frame[["text"]]) == ["a", "b"]
    with pytest.raises(CorpusError, match=r"several columns; set text_field .* id, text"):
        lines(frame)
    with pytest.raises(CorpusError, match="no column 'body'"):
        lines(frame, "body")
    with pytest.raises(CorpusError, match="has no columns; set text_field"):
        lines(pd.DataFrame())
    with pytest.raises(CorpusError, match="has 2 columns 't'"):
        lines(pd.DataFrame([["a", "b"]], columns=["t", "t"]), "t")


def test_columns_and_tables_of_arrow():
    pa = pytest.importorskip("pyarrow")
    table = pa.table({"id": [1, 2, 3], "text": ["a", None, "b"]})
    assert lines(table["text"]) == lines(table, "text") == ["a", "b"]
    assert lines(pa.array([["a", "b"], ["c"]]), **TOKENS) == ["a b", "c"]


def test_batches_of_arrow_are_read_one_by_one(tmp_path):
    pa, dataset, parquet = map(pytest.importorskip, ARROW)
    table = pa.table(COLUMNS)
    parquet.write_table(table, tmp_path / "t.parquet")
    for source in (table.to_reader, lambda: dataset.dataset(tmp_path / "t.parquet")):
        assert lines(source(), "text") == ["a b", "c"]
        assert lines(source(), "tokens", **TOKENS) == ["A b", "C"]
        with pytest.raises(CorpusError, match=r"several columns; set text_field .* id, text"):
            lines(source())


def test_columns_and_tables_of_polars(tmp_path):
    pl = pytest.importorskip("polars")
    frame = pl.DataFrame(COLUMNS)
    frame.write_parquet(tmp_path / "t.parquet")
    assert lines(frame["text"]) == lines(frame.select("text")) == ["a b", "c"]
    assert lines(frame["tokens"], **TOKENS) == ["A b", "C"]
    assert lines(frame["text"].cast(pl.Categorical)) == ["a b", "c"]
    for table in (frame, frame.lazy(), pl.scan_parquet(tmp_path / "t.parquet")):
        assert lines(table, "text") == ["a b", "c"]
        assert lines(table, "tokens", **TOKENS) == ["A b", "C"]
        with pytest.raises(CorpusError, match=r"several columns; set text_field .* id, text"):
            lines(table)
        with pytest.raises(CorpusError, match="no column 'body'"):
            lines(table, "body")


@pytest.mark.parametrize("form", [None, "numpy", "pandas", "arrow"])
def test_columns_and_tables_of_hugging_face_datasets(form):
    dataset = pytest.importorskip("datasets").Dataset.from_dict(COLUMNS).with_format(form)
    assert lines(dataset["text"]) == lines(dataset.select_columns("text")) == ["a b", "c"]
    assert lines(dataset["tokens"], **TOKENS) == ["A b", "C"]
    for table in (dataset, dataset.to_iterable_dataset()):
        assert lines(table, "text") == ["a b", "c"]
        assert lines(table, "tokens", **TOKENS) == ["A b", "C"]
        with pytest.raises(CorpusError, match=r"several columns; set text_field .* id, text"):
            lines(table)
        with pytest.raises(CorpusError, match="no column 'body'"):
            lines(table, "body")


def test_streams_of_hugging_face_datasets_without_known_columns():
    datasets = pytest.importorskip("datasets")
    stream = datasets.IterableDataset.from_generator(
        lambda: ({"id": i, "text": text} for i, text in enumerate(COLUMNS["text"]))
    )
    assert lines(stream, "text") == ["a b", "c"]
    if hasattr(stream, "__getitem__"):  # from version 4
        assert lines(stream["text"]) == ["a b", "c"]
    with pytest.raises(CorpusError, match=r"item 1 is a dictionary; set text_field .*: id, text"):
        lines(stream)


def test_paths_are_told_from_texts(write):
    path = write("a.txt", "x")
    assert are_paths(path)
    assert are_paths("anything")
    assert are_paths([str(path), "https://a.b/c"])
    assert are_paths([str(path), "missing.txt"])  # an error will name it
    assert are_paths(["package:a/b.txt"])
    assert are_paths([str(path.parent / "*.txt")])
    assert are_paths([str(path.parent / "**" / "*.txt")])
    assert not are_paths([str(path) + "x", "a text"])
    assert not are_paths(["so many words [sic]", "*"[:0], "what?"])
    assert not are_paths([])
    assert not are_paths(["x" * 100_000, "\0"])


def test_objects_cannot_be_read_again():
    with pytest.raises(CorpusError, match="came from Python objects"):
        find_sources([NAME])


def test_progress_counts_bytes():
    found = []
    objects = objects_of(["ab", "cde"])
    list(blocks_of(objects, CorpusConfig(files=[NAME]), found.append))
    assert sum(found) == len("ab\ncde\n")
