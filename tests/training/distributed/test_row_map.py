from functools import partial
from pathlib import Path

import numpy as np
import pytest

from embedder.runs.checkpoint import load_model
from embedder.text.corpus import read_text
from embedder.training import row_fit
from embedder.training.distributed.row_map import SpreadCounts
from embedder.training.slices import fit_slices
from embedder.training.train import open_row_map, train
from embedder.training.update import UpdateOptions, update

pytestmark = pytest.mark.filterwarnings("ignore")  # Ray's own


@pytest.mark.parametrize(
    ("first", "last", "parts", "own"),
    [
        (0, 10, "abc", (0, 10)),
        (0, 3, "a", (0, 3)),
        (3, 4, "b", (0, 1)),
        (2, 4, "ab", (2, 4)),
        (5, 7, "bc", (2, 4)),
        (9, 10, "c", (3, 4)),
    ],
)
def test_rows_are_in_the_ranges_that_contain_them(first, last, parts, own):
    counts = SpreadCounts(np.array([0, 3, 6, 10]), ["a", "b", "c"])
    assert counts.rows(first, last) == (tuple(parts), *own)
    assert list(counts.spans()) == [(0, 3, "a"), (3, 6, "b"), (6, 10, "c")]


def assert_same(one, other):
    for a, b in zip(load_model(one).parameters, load_model(other).parameters, strict=True):
        np.testing.assert_array_equal(a, b)


def test_an_update_on_a_cluster_has_the_bits_of_one_process(
    on_cluster, toy_run, write, tmp_path, monkeypatch
):
    monkeypatch.setattr(row_fit, "ROWS_AT_ONCE", 50)
    known = load_model(toy_run).vocabulary.words[:9]
    new = write("new.txt", "".join(f"{word} brandnew {word}\n" for word in known) * 9)
    read = partial(
        read_text, load_model(toy_run).config.corpus.model_copy(update={"files": [str(new)]})
    )
    folders = [tmp_path / name for name in ("local", "spread")]
    with open_row_map(on_cluster("unused")) as on_machines:
        for folder, fit_rows in zip(folders, (row_fit.fit_here, on_machines), strict=True):
            found = update(
                toy_run, read, UpdateOptions(folder, [], refine=True, quiet=True), fit_rows
            )
            assert found.new == ["brandnew"]
    assert_same(*folders)


def test_slices_on_a_cluster_have_the_bits_of_one_process(
    make_sliced_config, on_cluster, tmp_path, monkeypatch
):
    monkeypatch.setattr(row_fit, "ROWS_AT_ONCE", 50)
    config = make_sliced_config(tmp_path / "run")
    train(config, quiet=True)
    names = fit_slices(tmp_path / "run", config, quiet=True)
    expected = tmp_path / "run" / "slices"
    expected = expected.rename(tmp_path / "run" / "before")
    with open_row_map(on_cluster("unused")) as on_machines:
        assert fit_slices(tmp_path / "run", config, True, on_machines) == names
    for name in names:
        assert_same(Path(expected) / name, tmp_path / "run" / "slices" / name)
