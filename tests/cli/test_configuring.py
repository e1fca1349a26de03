from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from embedder.cli import main
from embedder.cli.configuring import TEMPLATES
from embedder.config_files import load_config
from embedder.experiments.experiment import load_experiment


@pytest.fixture
def invoke(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.mark.parametrize("template", [name for name in TEMPLATES if name != "experiment"])
def test_every_template_is_a_configuration_with_comments(invoke, template):
    result = invoke("init", template)
    assert result.exit_code == 0, result.output
    assert f"embedder train {template}.yaml" in result.output
    config = load_config(Path(f"{template}.yaml"))
    text = Path(f"{template}.yaml").read_text()
    assert "  # Files, folders, globs" in text
    packaged = load_config(Path(__file__).parents[2] / TEMPLATES[template][0])
    assert config.training == packaged.training
    assert config.network == packaged.network
    assert "shared" not in text


def test_the_experiment_is_one(invoke, monkeypatch):
    assert "embedder run experiment.yaml" in invoke("init", "experiment").output
    assert load_experiment(Path("experiment.yaml")).seeds == [1, 2]
    result = invoke("run", "experiment.yaml", "--dry-run")
    assert len(result.output.splitlines()) == 8, result.output


def test_init_takes_overrides_and_replaces_nothing(invoke):
    invoke("init", "books", "corpus.files=mine.txt", "training.passes=3", "-o", "a.yaml")
    config = load_config(Path("a.yaml"))
    assert (config.corpus.files, config.training.passes) == (["mine.txt"], 3)
    result = invoke("init", "-o", "a.yaml")
    assert result.exit_code == 1
    assert "a.yaml: exists; choose another --output" in result.output
    assert "Did you mean" in invoke("init", "books", "network.dimensions=5").output
    assert not Path("books.yaml").exists()
    assert invoke("init", "-o", "a.yaml", "--overwrite").exit_code == 0
    assert yaml.safe_load(Path("a.yaml").read_text())["training"] == {"passes": 20}


def test_config_lists_keys(invoke):
    output = invoke("config").output
    assert "network.dimension" in output
    assert "corpus.phrases.threshold" in output
    assert len(output.splitlines()) > 80
    assert "Fail if the uncompressed text exceeds this (e.g. 50GB)\n" in output  # a whole sentence
    one = invoke("config", "training.passes").output
    assert one.startswith("training.passes\n    type: integer or auto\n    default: auto\n    Numb")
    assert "near_contexts" in invoke("config", "near").output
    result = invoke("config", "nothing")
    assert result.exit_code == 1
    assert "nothing: no key contains this; `embedder config` lists all." in result.output
    assert "did you mean network.dimension?" in invoke("config", "dimenson").output


def test_info_says_what_a_run_or_a_file_is(invoke, toy_run, tmp_path):
    output = invoke("info", toy_run).output
    for text in ("words", "639, such as", "dimensions", "32", "20 passes from cooccurrence",
                 "127,620 tokens", "sum; --vectors", "seconds"):  # fmt: skip
        assert text in output
    invoke("export", toy_run, "v.txt")
    output = invoke("info", "v.txt").output
    assert "639, such as" in output
    assert "passes" not in output
    assert invoke("info", "nowhere").exit_code == 1
