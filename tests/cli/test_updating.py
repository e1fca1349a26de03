import json
from pathlib import Path

import pytest
from click.testing import CliRunner

import embedder
from embedder.cli import main


@pytest.fixture
def run():
    def invoke(*arguments, **options):
        return CliRunner().invoke(main, [str(each) for each in arguments], **options)

    return invoke


def test_update_reports_new_words_and_what_moved(run, toy_run, tmp_path):
    known = embedder.load(toy_run).words[:3]
    text = tmp_path / "text.jsonl"
    records = [{"body": f"{known[0]} zebra {known[1]} {known[2]}"}] * 4
    text.write_text("".join(json.dumps(record) + "\n" for record in records))
    output = tmp_path / "new"
    found = run(
        *("update", toy_run, "--text", text, "--text-field", "body"),
        *("--min-count", 3, "--refine", "--output", output),
    )
    assert found.exit_code == 0, found.output
    assert "1 of them new, from 16 tokens" in found.output
    assert "zebra" in found.output
    assert "moved most" in found.output
    assert "zebra" in embedder.load(output)
    assert run("neighbors", output, "zebra").exit_code == 0


def test_the_new_text_may_be_at_urls(run, toy_run, tmp_path):
    pytest.importorskip("fsspec")
    known = embedder.load(toy_run).words[:2]
    for name in "ab":
        (tmp_path / f"{name}.txt").write_text(f"{known[0]} zebra {known[1]}\n" * 3)
    urls = [f"{tmp_path.as_uri()}/{name}.txt" for name in "ab"]
    found = run("update", toy_run, "--text", *urls, "--output", tmp_path / "new")
    assert found.exit_code == 0, found.output
    assert "1 of them new, from 18 tokens" in found.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give the new text: --text TEXT"),
        (["--text", "none.txt"], "give the folder of the new run, such as --output"),
        (["--text", "none.txt", "-o", "new"], "none.txt: no such file or folder in "),
        (["--text", "a.jsonl", "-o", "new"], "set --text-field to the field"),
        (["--text", "-", "-o", "new"], "or lower --min-count"),
        (["--text", "-", "-o", "new", "--min-count", "0"], "0 is not in the range"),
    ],
)
def test_mistakes_are_one_sentence(run, toy_run, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.jsonl").write_text('{"body": "x"}\n')
    found = run("update", toy_run, *arguments, input="qqq")
    assert found.exit_code != 0
    assert message in " ".join(found.output.split())
    assert not (tmp_path / "new").exists()


def test_a_folder_that_is_no_run_is_named(run, tmp_path):
    found = run("update", tmp_path, "--text", "a.txt", "--output", tmp_path / "new")
    assert "not a run (no config.yaml)" in found.output


def test_slices_are_trained_fitted_and_listed(
    run, make_sliced_config, planted, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    config = make_sliced_config("run")
    Path("my.yaml").write_text(config.to_yaml())
    found = run("slices", "my.yaml")
    assert found.exit_code == 0, found.output
    assert "the slices 1900, 1910, 1920 below it" in found.output
    new = planted[1][1]
    listed = run("changes", "run", "-n", "1", "--json", "changes.json")
    assert listed.exit_code == 0, listed.output
    assert f"\n{new}\n  1900: " in listed.output
    assert Path("changes.json").read_text().startswith(f'{{\n  "{new}"')
    asked = run("changes", "run", planted[1][2])
    assert "1900: " in asked.output
    assert "1910: " not in asked.output
    again = run("slices", "--resume", "run", "slices.prior=previous", "-q")
    assert again.exit_code == 0, again.output
    assert run("neighbors", "run/slices/1920", new).exit_code == 0


def test_mistakes_about_slices_are_one_sentence(run, toy_run, tmp_path):
    assert "a run without slices" in run("changes", toy_run).output
    assert "no slices: expected a configuration with" in run("slices", toy_run / "x.txt").output
    assert "no such configuration file" in run("slices", tmp_path / "none.yaml").output
