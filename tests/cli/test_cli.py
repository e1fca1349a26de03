import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import yaml
from click.testing import CliRunner

from embedder.cli import main
from embedder.text.vocabulary import Vocabulary
from embedder.vectors.subwords import Subwords
from embedder.vectors.word_vectors import WordVectors

PROGRAM = [sys.executable, "-c", "from embedder.cli import main; main()"]


@pytest.fixture
def invoke():
    def run(*arguments):
        return CliRunner().invoke(main, [str(argument) for argument in arguments])

    return run


@pytest.fixture
def config_file(toy_tree, write):
    return write("toy.yaml", yaml.safe_dump(toy_tree))


def fails(result, *messages):
    """Check for exit code 1 or 2 and a message without a traceback."""
    assert result.exit_code in (1, 2), result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)
    assert "Traceback" not in result.output
    for text in messages:
        assert text in result.output


def test_train_ends_with_neighbours_accuracy_and_next_steps(
    invoke, config_file, toy_files, tmp_path
):
    run = tmp_path / "run"
    result = invoke(
        "train", config_file, "--output", run, "training.passes=30",
        f"evaluation.analogies=[{toy_files[1]}]", "evaluation.words=[king, nowhere]",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    for text in (
        "639 word vectors of 32 dim",
        "king ",
        "male-female",
        "total",
        f"embedder neighbors {run} king",
    ):
        assert text in result.output
    assert yaml.safe_load((run / "config.yaml").read_text())["training"]["passes"] == 30


def test_a_missing_analogy_file_does_not_fail_a_finished_training(invoke, config_file, tmp_path):
    result = invoke(
        "train",
        config_file,
        "--output",
        tmp_path / "run",
        "training.passes=1",
        "evaluation.analogies=[none.txt]",
    )
    assert result.exit_code == 0
    assert "Not evaluated: none.txt: no such file." in result.output


def test_eval_prints_tables_and_writes_the_documented_json(invoke, toy_run, toy_files, write):
    pairs = write("pairs.txt", "king queen 9\nking road 1\ncat cats 8\npeople nowhere 3\n")
    out = pairs.parent / "out.json"
    result = invoke(
        "eval",
        toy_run,
        "--analogies",
        toy_files[1],
        "--similarity",
        pairs,
        "--json",
        out,
        "--vectors",
        "output",
        "--method",
        "3CosMul",
    )
    assert result.exit_code == 0, result.output
    figures = json.loads(out.read_text())
    total = figures["analogies"]["total"]
    assert set(total) == {"accuracy", "correct", "questions", "skipped", "interval"}
    assert total["questions"] + total["skipped"] == 666
    assert total["interval"][0] <= total["accuracy"] <= total["interval"][1]
    assert set(figures["analogies"]["sections"]) >= {"capital", "plural"}
    assert figures["similarity"]["pairs"]["pairs"] == 3
    assert f"{total['accuracy']:.3f}" in result.output


def test_eval_accepts_several_files_after_one_option(invoke, toy_run, toy_files, write):
    second = write("more.txt", ": mine\nking queen man woman\n")
    pairs = write("pairs.txt", "king queen 9\nking road 1\ncat cats 8\n")
    result = invoke("eval", toy_run, "--analogies", toy_files[1], second, "--similarity", pairs,
                    pairs, "--vectors", "sum")  # fmt: skip
    assert "mine" in result.output
    assert "pairs found" in result.output
    result = invoke("eval", "--analogies", second, "--analogies", toy_files[1], toy_run)
    assert "mine" in result.output
    assert "male-female" in result.output
    fails(invoke("eval", toy_run, second), "unexpected extra argument")
    fails(invoke("eval", toy_run), "nothing to evaluate")


def test_neighbors_and_analogy_print_answers(invoke, toy_run):
    result = invoke("neighbors", toy_run, "king", "paris", "-n", 3)
    assert [line for line in result.output.splitlines() if line.endswith(":")] == [
        "king:",
        "paris:",
    ]
    assert len(result.output.splitlines()) == 8
    result = invoke("analogy", toy_run, "france", "paris", "italy", "--vectors", "output")
    assert result.output.splitlines()[0].split()[1] == "rome"


def test_export_writes_vectors(invoke, toy_run, tmp_path):
    result = invoke("export", toy_run, tmp_path / "v.txt", "--format", "word2vec")
    assert result.exit_code == 0
    assert (tmp_path / "v.txt").read_text().startswith("639 32\n")


def test_eval_measures_perplexity_on_any_text(invoke, toy_run, toy_files, write, tmp_path):
    text = write("new.txt", "\n".join(toy_files[0].read_text().splitlines()[:200]) + "\nqqq zzz\n")
    out = tmp_path / "figures.json"
    result = invoke("eval", toy_run, "--perplexity", text, toy_files[0], "--json", out)
    assert result.exit_code == 0, result.output
    assert "perplexity" in result.output
    figures = json.loads(out.read_text())["perplexity"]
    assert set(figures) == {str(text), str(toy_files[0])}
    assert figures[str(text)]["unknown"] >= 2
    assert 1 < figures[str(text)]["perplexity"] < 700
    fails(invoke("eval", toy_run, "--perplexity", tmp_path / "none"), "no such file or folder")
    fails(invoke("eval", toy_run), "--perplexity FILE")


def test_training_a_language_model_ends_with_its_perplexity(invoke, config_file, tmp_path):
    result = invoke(
        "train", config_file, "--output", tmp_path / "run", "training.passes=1",
        "examples.source=windows", "network.input=concat", "examples.sides=left",
        "validation.split=[80000, 20000]", "evaluation.ngram=3",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    rows = [line.split() for line in result.output.splitlines()]
    assert ["perplexity", "validation", "test"] in rows
    assert {"network", "n-gram", "mixture,"} <= {row[0] for row in rows if row}


def test_vectors_of_any_format_are_converted_and_queried(invoke, toy_run, toy_files, tmp_path):
    files = [tmp_path / name for name in ("a.vec", "b.bin", "c.npy", "d.txt")]
    for source, target in zip([toy_run, *files], files, strict=False):
        result = invoke("convert", source, target)
        assert result.exit_code == 0, result.output
    assert files[0].read_bytes() == files[3].read_bytes()
    for command in (["neighbors", "king"], ["analogy", "man", "king", "woman"]):
        answers = {invoke(command[0], path, *command[1:]).output for path in (toy_run, *files)}
        assert len(answers) == 1
    assert "total" in invoke("eval", files[1], "--analogies", toy_files[1]).output
    twice = tmp_path / "twice.txt"
    twice.write_text("2 1\na 1\na 2\n")
    assert "1 duplicate words" in invoke("convert", twice, tmp_path / "once.txt").output
    fails(invoke("neighbors", files[0], "king", "--vectors", "input"), "--vectors is for runs")
    fails(invoke("convert", toy_files[0], tmp_path / "no.txt"), "line 1")


def test_compare_shows_differences_with_intervals(invoke, toy_run, toy_files, write, tmp_path):
    words = [line.split("\t")[0] for line in (toy_run / "vocabulary.tsv").read_text().split("\n")]
    pairs = write(
        "pairs.txt", "".join(f"{words[i]} {words[i + 2]} {i % 5}\n" for i in range(1, 40))
    )
    invoke("export", toy_run, tmp_path / "input.bin", "--vectors", "input")
    result = invoke(
        "compare", toy_run, toy_run, tmp_path / "input.bin", "--analogies", toy_files[1],
        "--similarity", pairs, "--json", tmp_path / "c.json",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    found = json.loads((tmp_path / "c.json").read_text())
    own, other = found["second"][str(toy_run)], found["second"][str(tmp_path / "input.bin")]
    assert own["analogies"]["interval"] == [0.0, 0.0]
    assert own["analogies"]["p"] == 1.0
    assert other["analogies"]["first"] == own["analogies"]["first"]
    assert "pairs" in other
    assert f"{tmp_path / 'input.bin'} − {toy_run}" in result.output
    fails(invoke("compare", toy_run, "--analogies", toy_files[1]), "at least two models")
    fails(invoke("compare", toy_run, toy_run), "nothing to compare on")


def test_eval_counts_the_top_k_after_postprocessing_and_reports_the_rounding_loss(
    invoke, toy_run, toy_files, write, tmp_path
):
    words = [line.split("\t")[0] for line in (toy_run / "vocabulary.tsv").read_text().split("\n")]
    outliers = write("group.txt", "\n".join([*words[1:5], "", *words[50:53]]))
    categories = write("c.txt", "".join(f"{word} {i % 2}\n" for i, word in enumerate(words[1:31])))
    result = invoke(
        "eval", toy_run, "--analogies", toy_files[1], "--top-k", 1, 5, "--post", "centre",
        "normalise", "--dtype", "int8", "--outliers", outliers, "--categories", categories,
        "--method", "PairDistance", "--json", tmp_path / "e.json",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    for text in ("top 5", "mean of sections", "OPP", "purity", "int8 − float32"):
        assert text in result.output
    found = json.loads((tmp_path / "e.json").read_text())
    assert found["analogies"]["method"] == "PairDistance"
    top = found["analogies"]["top"]
    assert top["5"]["micro"] >= top["1"]["micro"] == found["analogies"]["total"]["accuracy"] > 0.5
    assert found["outliers"]["group"]["sets"] == 3
    assert found["categories"]["c"]["categories"] == 2
    assert "analogies" in found["rounding"]
    fails(invoke("eval", toy_run, "--analogies", toy_files[1], "--post", "x"), "x: unknown step")


def test_export_rounds_and_reports_the_loss(invoke, toy_run, tmp_path):
    out = tmp_path / "v.safetensors"
    result = invoke("export", toy_run, out, "--post", "normalise", "--dtype", "int8")
    assert result.exit_code == 0
    assert "the mean cosine of a vector with the original is 0.99" in result.output
    fails(
        invoke("export", toy_run, tmp_path / "v.txt", "--dtype", "int8"),
        "word2vec cannot store int8; expected --format safetensors",
    )


def test_unknown_words_of_a_fasttext_file_are_composed_and_reported(invoke, rng, tmp_path):
    words = ["king", "kingdom", "queen"]
    subwords = Subwords(rng.normal(size=(3 + 20, 4)).astype("f4"), 3, 5, 20, 3)
    vocabulary = Vocabulary(words, np.ones(3))
    vectors = WordVectors(vocabulary, subwords.compose(words), (), subwords)
    vectors.save(tmp_path / "m.bin", "fasttext")
    result = invoke("neighbors", tmp_path / "m.bin", "kings")
    assert result.exit_code == 0
    assert "'kings' is unknown; its vector is composed of its parts." in result.output
    assert len(result.output.splitlines()) == 4
    result = invoke("analogy", tmp_path / "m.bin", "King", "kingdom", "queen")
    assert "'King' is unknown; its vector is composed of its parts. ('king' is known.)" in (
        result.output
    )
    pairs = tmp_path / "pairs.txt"
    pairs.write_text("king queen 5\nkings queens 4\nkingdom queen 1\n")
    result = invoke("eval", tmp_path / "m.bin", "--similarity", pairs)
    assert "Unknown words with vectors composed of their parts: 2;" in result.output
    result = invoke("eval", tmp_path / "m.bin", "--similarity", pairs, "--restrict-vocab", 3)
    assert "composed" not in result.output


def test_phrases_are_printed_and_written_for_runs(invoke, toy_files, tmp_path):
    config = tmp_path / "c.yaml"
    config.write_text(f"corpus: {{files: [{toy_files[0]}]}}\n")
    result = invoke(
        "phrases", config, "corpus.phrases.threshold=1.0", "-n", 3, "--out", tmp_path / "p.tsv"
    )
    assert result.exit_code == 0
    table = [line.split() for line in result.stdout.splitlines()]
    assert table[0][:2] == ["pass", "1:"]
    assert all("_" in row[0] for row in table[1:4])
    assert [float(row[1]) for row in table[1:4]] == sorted(
        (float(row[1]) for row in table[1:4]), reverse=True
    )
    assert f"corpus.phrases.file={tmp_path / 'p.tsv'}." in result.stdout
    again = invoke("phrases", config, f"corpus.phrases.file={tmp_path / 'p.tsv'}", "-n", 3)
    assert again.stdout.splitlines() == result.stdout.splitlines()[:4]


def test_report_and_index_print_their_paths(invoke, toy_run, toy_files, tmp_path):
    pytest.importorskip("altair", reason="altair is not installed")
    pytest.importorskip("usearch", reason="usearch is not installed")
    result = invoke(
        "report", toy_run, "--out", tmp_path / "r.html", "--analogies", toy_files[1],
        "--map-words", 50,
    )  # fmt: skip
    size = (tmp_path / "r.html").stat().st_size / 1e6
    written = f"Wrote {tmp_path / 'r.html'} ({size:.1f} MB), and its charts to {tmp_path / 'r'}.\n"
    assert result.output == written
    assert (tmp_path / "r" / "analogies.png").exists()
    result = invoke("index", toy_run, tmp_path / "i.usearch")
    assert "of the ten nearest neighbours of 200 words" in result.output
    fails(invoke("index", toy_run, tmp_path / "i.usearch"), "i.usearch: exists", "--overwrite")
    assert invoke("index", toy_run, tmp_path / "i.usearch", "--overwrite").exit_code == 0
    word = (toy_run / "vocabulary.tsv").read_text().split("\n")[1].split("\t")[0]
    exact = invoke("neighbors", toy_run, word, "-n", 1).output
    assert (
        invoke("neighbors", toy_run, word, "-n", 1, "--index", tmp_path / "i.usearch").output
        == exact
    )


def test_report_shows_two_models_and_writes_beside_the_first(invoke, toy_run, tmp_path):
    pytest.importorskip("altair", reason="altair is not installed")
    paths = [tmp_path / "one.safetensors", tmp_path / "two.safetensors"]
    for path in paths:
        invoke("export", toy_run, path)
    assert invoke("report", *paths, "--map", "pca").exit_code == 0
    page = (tmp_path / "one-two.html").read_text(encoding="utf-8")
    assert "<h1>one.safetensors and two.safetensors</h1>" in page
    assert (tmp_path / "one-two" / "map-2.png").exists()
    result = invoke("report", *paths, toy_run)
    assert result.exit_code == 2
    assert "expected one model or two, got 3." in result.output


def test_report_writes_nothing_but_the_page_to_standard_output(capfdbinary, toy_run):
    pytest.importorskip("altair", reason="altair is not installed")
    main(["report", str(toy_run), "--map", "pca", "--out", "-"], standalone_mode=False)
    output = capfdbinary.readouterr().out
    assert output.startswith(b"<!doctype html>")
    assert output.endswith(b"</html>")
    assert not Path("-").exists()


def test_check_gradients_prints_a_table(invoke, config_file):
    result = invoke("check-gradients", config_file, "network.dimension=5", "network.hidden=3")
    assert result.exit_code == 0, result.output
    assert result.output.count(" ok") == 5


def test_mistakes_are_reported_in_one_sentence(invoke, config_file, toy_run, write, tmp_path):
    out = ["--output", tmp_path / "new"]
    fails(invoke("train", tmp_path / "none.yaml"), "no such configuration file")
    fails(invoke("train"), "give a text or a configuration")
    fails(invoke("train", config_file, *out, "corpus.files=none.txt"), "none.txt: no such file")
    fails(invoke("train", config_file, *out, "trainin.passes=3"), "Did you mean 'training'?")
    fails(invoke("train", config_file, *out, "network.dimension=0"), "network.dimension")
    fails(invoke("train", config_file, *out, "vocabulary.min_count=999999"), "min_count")
    empty = write("empty.txt", "")
    fails(invoke("train", config_file, *out, f"corpus.files={empty}"), "no words")
    binary = write("binary.txt", b"\0\1\2")
    fails(invoke("train", config_file, *out, f"corpus.files={binary}"), "binary")
    fails(invoke("train", config_file, "--output", toy_run), "--overwrite")
    fails(invoke("train", "--resume", tmp_path / "none"), "not a run")
    fails(invoke("train", "--resume", toy_run), "this run is finished")
    fails(invoke("neighbors", toy_run, "knig"), "'knig' is not in the vocabulary", "king")
    fails(invoke("neighbors", tmp_path / "none", "king"), "no such file or folder")
    questions = write("bad.txt", ": a\nking queen man\n")
    fails(invoke("eval", toy_run, "--analogies", questions), "bad.txt, line 2")
    fails(invoke("export", toy_run, tmp_path / "no/such/folder/v.txt"), "cannot be written")


def test_a_truncated_model_is_reported_in_one_sentence(invoke, toy_run, tmp_path):
    run = Path(shutil.copytree(toy_run, tmp_path / "copy"))
    model = run / "model.safetensors"
    model.write_bytes(model.read_bytes()[:-100])
    fails(invoke("neighbors", run, "king"), "truncated or damaged")


def program(*arguments, **options):
    return subprocess.run(
        [*PROGRAM, *map(str, arguments)], capture_output=True, text=True, timeout=120, **options
    )


def test_the_program_trains_from_standard_input(config_file, toy_files, tmp_path):
    with toy_files[0].open("rb") as corpus:
        result = program("train", config_file, "corpus.files=-", "training.passes=1",
                         "--output", tmp_path / "run", stdin=corpus)  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert "Trained 639 word vectors" in result.stdout


def test_help_imports_neither_numba_nor_numpy():
    code = "import sys; from embedder.cli import main; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout
    assert "click" in loaded.split()
    assert not {"numba", "numpy", "pydantic", "yaml", "scipy"} & set(loaded.split())


def test_ctrl_c_stops_cleanly_and_prints_how_to_resume(config_file, tmp_path, start):
    run = tmp_path / "run"
    arguments = ["train", config_file, "--output", run, "training.passes=100000"]
    process = start([*PROGRAM, *map(str, arguments)], stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 100
    while not (run / "metrics.jsonl").exists():
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert f"Resume with: embedder train --resume {run}" in errors
    assert "Traceback" not in errors
    assert list(run.glob("checkpoint-*.safetensors"))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs Unix limits of file sizes")
def test_a_full_disk_is_reported_in_one_sentence(config_file, tmp_path):
    import resource

    result = program(
        "train", config_file, "--output", tmp_path / "run",
        preexec_fn=lambda: (
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN),
            resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000)),
        ),
    )  # fmt: skip
    assert result.returncode == 1
    assert "the disk is full" in result.stderr
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "run").exists()
