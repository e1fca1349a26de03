import json
from pathlib import Path

import pytest

from embedder.config_sections.text import CorpusConfig
from embedder.errors import CorpusError
from embedder.text.slices import split_by_field

RECORDS = [
    {"body": "one two", "year": 1990},
    {"body": "three", "year": 1950},
    {"body": None, "year": 1950},
    {"body": "four\nfive", "year": "1950"},
    {"body": "lost", "year": None},
    {"body": ["six", "seven"], "year": 900},
]


def texts_of(files):
    return {
        name: [json.loads(line)["text"] for line in Path(*own).read_text().splitlines()]
        for name, own in files.items()
    }


def split(folder, *files, field="year", text_field="body"):
    config = CorpusConfig(files=[str(file) for file in files], text_field=text_field)
    return split_by_field(config, field, folder)


WANTED = {"900": ["six seven"], "1950": ["three", "four\nfive"], "1990": ["one two"]}


@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a.parquet"])
def test_each_value_of_the_field_is_a_slice(write, tmp_path, name):
    if name.endswith(".parquet"):
        pa = pytest.importorskip("pyarrow")
        from pyarrow import parquet

        same = [own | {"year": own["year"] and int(own["year"])} for own in RECORDS]
        same[-1]["body"] = "six seven"
        parquet.write_table(pa.Table.from_pylist(same), tmp_path / name)
        path = tmp_path / name
    elif name.endswith(".jsonl"):
        path = write(name, "".join(json.dumps(own) + "\n" for own in RECORDS))
    else:
        path = write(name, json.dumps(RECORDS))
    found = split(tmp_path, path)
    assert list(found) == ["900", "1950", "1990"]
    assert texts_of(found) == WANTED


def test_tables_in_text_and_several_files_are_read_in_order(write, tmp_path):
    one = write("a.csv", "year,body\n1950,three\n1990,one two\n")
    two = write("b.tsv", "body\tyear\nsix seven\t900\nfour\t1950\n")
    assert texts_of(split(tmp_path, one, two)) == WANTED | {"1950": ["three", "four"]}


def test_names_that_are_no_numbers_are_in_their_own_order(write, tmp_path):
    path = write("a.csv", "year,body\nlate,b\n7,c\nearly,a\n")
    assert list(split(tmp_path, path)) == ["7", "early", "late"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", "plain text", r"a\.txt: plain text has no field 'year', which is set by slices"),
        ("a.csv", "body\nx\n", "no text in the column 'year'"),
        ("a.csv", "year,body\n1,x\n1,y\n", "'year' has 1 values in all records"),
        ("a.csv", "year,body\n1/2,x\n3,y\n", "'1/2' in the field 'year', which is set by slices"),
        (
            "a.csv",
            "year,body\n" + "".join(f"{i},x\n" for i in range(300)),
            "has more than 200 values",
        ),
    ],
)
def test_fields_that_name_no_slices_are_refused(write, tmp_path, name, content, message):
    with pytest.raises(CorpusError, match=message):
        split(tmp_path, write(name, content))
