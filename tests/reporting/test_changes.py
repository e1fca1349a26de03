import json
import re
import shutil

import pytest

from embedder.errors import RunError
from embedder.evaluation.changes import SlicedRun
from embedder.runs.slice_folder import SliceFolder, WordTest

pytest.importorskip("altair", reason="altair is not installed")
pytest.importorskip("vl_convert", reason="vl-convert-python is not installed")

from embedder.reporting.changes import change_sections
from embedder.reporting.charts import MOST_LINES, specification
from embedder.reporting.report import ReportOptions, write_report
from embedder.reporting.subject import read_subjects


@pytest.fixture
def found(sliced_run):
    """The sections of the sliced run: its words and their neighbours; and its charts."""
    charts = {}
    words, neighbors = change_sections(read_subjects([sliced_run]), charts)
    return words, neighbors, charts


@pytest.fixture
def rewritten(sliced_run, tmp_path):
    """A function that returns a copy of the sliced run with other tests of its words."""

    def rewrite(change):
        run = tmp_path / "copy"
        shutil.copytree(sliced_run, run)
        folder = SliceFolder(run)
        staged = run / "staged"
        shutil.copytree(folder.path, staged)
        folder.write(staged, folder.names(), [change(test) for test in folder.tests()])
        return run

    return rewrite


def test_the_words_that_changed_are_listed_as_by_the_command(found, sliced_run, planted):
    section, *_ = found
    sliced = SlicedRun(sliced_run)
    expected = sliced.most_changed(MOST_LINES)
    assert section.heading == "Change"
    assert f"{len(sliced.most_changed())} word" in section.about
    assert [row[0] for row in section.rows] == [own.word for own in expected]
    assert section.rows[0][0] == planted[1][1]
    for row, own in zip(section.rows, expected, strict=True):
        assert row[1] == f"{own.change:.3f}"
        assert row[5] == " ".join(f"{count:,}" for count in own.counts)
        assert len(row) == len(section.header)


def test_the_chart_has_the_trajectory_of_each_word(found, sliced_run):
    section, _, charts = found
    sliced = SlicedRun(sliced_run)
    assert [chart.name for chart in section.charts] == list(charts) == ["change"]
    drawn = specification(charts["change"])
    lines = {}
    for value in drawn["data"]["values"]:
        lines.setdefault(value["word"], []).append((value["slice"], value["cosine"]))
    assert list(lines) == [row[0] for row in section.rows]
    for word, line in lines.items():
        assert line == list(zip(sliced.names, sliced.trajectory(word).cosines, strict=True))
    assert lines[section.rows[0][0]][0] == ("1900", pytest.approx(1))


def test_lines_of_one_colour_have_different_dashes(found):
    drawn = specification(found[2]["change"])
    colours = drawn["config"]["range"]["category"]
    dashes = drawn["encoding"]["strokeDash"]["scale"]["range"]
    assert drawn["encoding"]["color"]["legend"] == drawn["encoding"]["strokeDash"]["legend"]
    looks = {(colours[i % len(colours)], tuple(dashes[i])) for i in range(MOST_LINES)}
    assert len(looks) == MOST_LINES >= 12


def test_the_table_has_the_nearest_words_in_the_first_and_the_last_slice(found, sliced_run):
    words, neighbors, _ = found
    assert neighbors.heading == "Neighbours before and after"
    assert list(neighbors.header) == ["word", "in 1900", "in 1920"]
    assert [row[0] for row in neighbors.rows] == [row[0] for row in words.rows]
    word, *cells = neighbors.rows[0]
    path = SlicedRun(sliced_run).trajectory(word)
    for cell, near in zip(cells, (path.neighbors[0], path.neighbors[2]), strict=True):
        assert cell == ", ".join(f"{own.word} {own.similarity:.2f}" for own in near)
    assert cells[0] != cells[1]


def test_a_word_that_a_slice_lacks_has_a_gap_and_the_neighbours_of_another(rewritten, planted):
    late = planted[1][3]
    run = rewritten(lambda test: test._replace(change=9.0, p=1e-9) if test.word == late else test)
    charts = {}
    words, neighbors = change_sections(read_subjects([run]), charts)
    assert words.rows[0][0] == late
    assert words.rows[0][2] == "< 0.0001"
    assert neighbors.rows[0][1].startswith("in 1910: ")
    assert not neighbors.rows[0][2].startswith("in 1920")
    values = specification(charts["change"])["data"]["values"]
    assert [value["cosine"] for value in values[:2]] == [None, pytest.approx(1)]
    assert values[2]["cosine"] < 1


def test_if_no_word_changed_the_section_says_so(rewritten):
    charts = {}
    run = rewritten(lambda test: WordTest(test.word, test.neighbours, 0.0, 0.9))
    (section,) = change_sections(read_subjects([run]), charts)
    assert section.about == "No word changed between the 3 slices (q ≤ 0.05)."
    assert charts == {}
    assert not section.rows


def test_at_most_a_dozen_words_are_shown_and_all_are_counted(rewritten):
    run = rewritten(lambda test: test._replace(change=1.0, p=1e-9))
    charts = {}
    words, neighbors = change_sections(read_subjects([run]), charts)
    assert len(words.rows) == len(neighbors.rows) == MOST_LINES
    assert words.about.startswith(f"{len(SliceFolder(run).tests()):,} words changed")
    assert f"These {MOST_LINES} changed most." in words.about


def test_runs_without_slices_and_files_have_no_such_section(toy_run, sliced_run, tmp_path):
    from embedder.vectors.formats import load

    load(sliced_run).save(tmp_path / "vectors.safetensors")
    charts = {}
    for path in (toy_run, tmp_path / "vectors.safetensors", SliceFolder(sliced_run).run_of("1900")):
        assert change_sections(read_subjects([path]), charts) == []
    assert charts == {}


def test_two_runs_have_sections_and_charts_of_their_own(sliced_run, tmp_path, toy_run):
    shutil.copytree(sliced_run, tmp_path / "other")
    charts = {}
    subjects = read_subjects([sliced_run, tmp_path / "other"])
    headings = [section.heading for section in change_sections(subjects, charts)]
    assert headings == [
        f"{what} in {name}"
        for name in (sliced_run.name, "other")
        for what in ("Change", "Neighbours before and after")
    ]
    assert list(charts) == ["change", "change-2"]
    charts = {}
    section, _ = change_sections(read_subjects([toy_run, sliced_run]), charts)
    assert section.heading == f"Change in {sliced_run.name}"
    assert list(charts) == ["change"]


def test_damaged_slices_are_named(rewritten):
    run = rewritten(lambda test: test)
    (run / "slices" / "changes.tsv").write_text("word\n")
    with pytest.raises(RunError, match=r"changes\.tsv: damaged; write the slices again"):
        change_sections(read_subjects([run]), {})


def test_the_page_has_the_section_and_its_chart_as_pictures(sliced_run, planted, tmp_path):
    options = ReportOptions(map_words=50, projection="pca")
    page = write_report(sliced_run, tmp_path / "run.html", options)
    text = page.read_text(encoding="utf-8")
    data = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    values = json.loads(data[1])["charts"]["change"]["data"]["values"]
    assert values[0]["word"] == planted[1][1]
    assert "<h2>Change</h2>" in text
    assert f'<th scope="row"><bdi>{planted[1][1]}</bdi></th>' in text
    assert 'aria-label="Save Words that changed as SVG"' in text
    assert planted[1][1] in (tmp_path / "run" / "change.svg").read_text(encoding="utf-8")
    assert (tmp_path / "run" / "change.png").read_bytes().startswith(b"\x89PNG")
