import pytest

pytest.importorskip("altair", reason="altair is not installed")
pytest.importorskip("vl_convert", reason="vl-convert-python is not installed")

from embedder.reporting.report import ReportOptions, write_report
from embedder.reporting.stability import stability_sections
from embedder.reporting.subject import read_subjects


@pytest.fixture
def noisy(toy_vectors, rng):
    return [toy_vectors.matrix + rng.normal(0, 0.05, toy_vectors.matrix.shape) for _ in range(3)]


def test_a_run_with_replicates_has_a_table_by_frequency_and_intervals(
    write_replicates, toy_vectors, noisy
):
    subjects = read_subjects([write_replicates(noisy)])
    word = toy_vectors.words[5]
    bands, neighbors = stability_sections(subjects, [word, "qqq"])
    assert bands.heading == "Stability"
    assert "There are 3 bootstrap samples of the text." in bands.about
    assert list(bands.header) == ["count", "words", "bootstrap"]
    assert [row[0] for row in bands.rows][-1] == "30 to 99"
    assert [row[0] for row in neighbors.rows] == [word]
    near = toy_vectors.neighbors(word, 1)[0].word
    assert neighbors.rows[0][1].startswith(f"{near} ")
    assert "(100%)" in neighbors.rows[0][1]


def test_one_replicate_has_intervals_only_and_none_nothing(write_replicates, toy_run, noisy):
    (neighbors,) = stability_sections(read_subjects([write_replicates(noisy[:1])]), ["the"])
    assert neighbors.heading == "Neighbours with intervals"
    assert stability_sections(read_subjects([toy_run]), ["the"]) == []


def test_the_page_contains_them(write_replicates, toy_vectors, noisy, tmp_path):
    run = write_replicates(noisy)
    options = ReportOptions(words=toy_vectors.words[5:7], map_words=20, pictures=False)
    page = write_report(run, tmp_path / "page.html", options).read_text()
    assert "Stability" in page
    assert "Neighbours with intervals" in page
