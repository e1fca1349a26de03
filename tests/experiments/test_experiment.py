import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml
from click.testing import CliRunner

from embedder.cli import main
from embedder.config_files import load_config
from embedder.errors import ConfigError, RunError
from embedder.examples.cache import Cache, address
from embedder.experiments import experiment as experiments
from embedder.experiments.experiment import (
    Experiment,
    Range,
    load_experiment,
    plan,
    run_experiment,
    run_name,
)
from embedder.experiments.results import Row, as_csv, as_markdown, best_row
from embedder.text.sources import Source
from embedder.training.trainer import Trainer


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("EMBEDDER_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def describe(toy_tree, toy_files, write, tmp_path):
    """Write a base configuration and an experiment on it."""

    def make(**parts):
        tree = {**toy_tree, "evaluation": {"analogies": [str(toy_files[1])]}}
        base = write("base.yaml", yaml.safe_dump(tree))
        whole = {
            "base": str(base),
            "overrides": {"training.passes": 1},
            "output": str(tmp_path / "study"),
        }
        return write("study.yaml", yaml.safe_dump(whole | parts))

    return make


def test_a_grid_is_every_combination_with_every_seed(describe):
    path = describe(grid={"examples.window": [2, 5], "network.hidden": [8, 16]}, seeds=[1, 2])
    runs = plan(load_experiment(path))
    found = [(r.config.examples.window, r.config.network.hidden, r.seed) for r in runs]
    assert found == [(w, h, s) for w in (2, 5) for h in (8, 16) for s in (1, 2)]
    assert all(run.config.training.passes == 1 for run in runs)
    assert all(run.config.training.seed == run.seed for run in runs)
    assert len({run.config.output for run in runs}) == 8


def test_a_random_sample_depends_on_its_seed_and_stays_within_its_ranges(describe):
    keys = {
        "training.learning_rate": {"low": 1e-3, "high": 1e-1, "log": True},
        "examples.window": {"low": 2, "high": 9, "whole": True},
        "training.optimizer": ["adam", "sgd"],
    }
    described = load_experiment(describe(random={"runs": 40, "keys": keys, "seed": 5}))
    runs = plan(described)
    assert runs == plan(described)
    rates = [run.config.training.learning_rate for run in runs]
    assert all(1e-3 <= rate <= 1e-1 for rate in rates)
    assert 10 < sum(rate < 1e-2 for rate in rates) < 30
    assert {run.config.examples.window for run in runs} >= {2, 5, 9}
    assert {run.config.training.optimizer for run in runs} == {"adam", "sgd"}


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({}, "expected one of grid, list, random and optuna"),
        ({"grid": {"a": [1]}, "list": [{}]}, "expected one of grid, list, random and optuna"),
        ({"grid": {"network.hiden": [1]}}, "unknown key"),
        ({"grid": {"network.hidden": ["many"]}}, "expected a valid integer"),
        ({"grid": {"network.hidden": []}}, "grid"),
        ({"list": [{}], "seed": 1}, r"seed: unknown key. Did you mean 'seeds'\?"),
        ({"random": {"runs": 1, "keys": {"a": {"low": 2, "high": 1}}}}, "low ≤ high"),
        ({"list": [{"network": 3}]}, "network"),
    ],
)
def test_a_mistake_is_reported_in_one_sentence(describe, parts, message):
    with pytest.raises(ConfigError, match=message):
        plan(load_experiment(describe(**parts)))


def test_names_of_runs_stay_below_their_folder_for_any_value():
    for value in ("../../etc", "/root", "..", "a/b\\c", "x" * 300, "naïve"):
        name = run_name({"corpus.files": value}, 1)
        assert "/" not in name
        assert "\\" not in name
        assert not name.startswith(".")
        assert len(name) <= 150
    assert run_name({"a": "x" * 300}, 1) != run_name({"a": "x" * 301}, 1)
    assert run_name({"examples.window": 5}, 2) == "window-5_seed-2"


def test_an_experiment_writes_results_and_the_best_configuration(describe):
    path = describe(grid={"training.passes": [1, 8]}, seeds=[1, 2])
    described = load_experiment(path)
    rows = run_experiment(described, quiet=True)
    study = Path(described.output)
    assert [row.setting for row in rows] == [{"training.passes": 1}, {"training.passes": 8}]
    assert all(len(row.metrics["analogies"]) == 2 for row in rows)
    better = max(rows, key=lambda row: row.mean("analogies"))
    assert rows[0].mean("analogies") != rows[1].mean("analogies")
    found = list(csv.DictReader((study / "results.csv").read_text().splitlines()))
    assert float(found[1]["analogies"]) == rows[1].mean("analogies")
    assert found[0]["analogies runs"] == "2"
    assert "± " in (study / "results.md").read_text()
    best = load_config(study / "best.yaml")
    assert best.training.passes == better.setting["training.passes"]
    assert best.output == str(study / "best")
    pytest.importorskip("altair", reason="altair is not installed")
    drawn = {file.name for file in (study / "plots").iterdir()}
    assert "analogies-against-training.passes.svg" in drawn


def test_keys_with_non_numeric_values_are_plotted(describe):
    pytest.importorskip("altair", reason="altair is not installed")
    grid = {"training.optimizer": ["adam", "sgd"], "examples.window": [2, 5]}
    described = load_experiment(describe(grid=grid))
    run_experiment(described, quiet=True)
    drawn = Path(described.output) / "plots" / "analogies-against-training.optimizer.svg"
    assert "adam" in drawn.read_text()


def test_finished_runs_are_skipped_and_missing_ones_are_trained(describe, monkeypatch):
    path = describe(grid={"examples.window": [2, 5]})
    described = load_experiment(path)
    first = run_experiment(described, quiet=True)
    trained = []
    original = experiments.train

    def train(config, **options):
        trained.append(Path(config.output).name)
        return original(config, **options)

    monkeypatch.setattr(experiments, "train", train)
    assert run_experiment(described, quiet=True) == first
    assert trained == []
    shutil.rmtree(Path(described.output) / "window-5_seed-1")
    again = run_experiment(described, quiet=True)
    assert trained == ["window-5_seed-1"]
    assert [r.metrics["analogies"] for r in again] == [r.metrics["analogies"] for r in first]


def test_an_interrupted_experiment_resumes_where_it_stopped(describe, monkeypatch):
    described = load_experiment(describe(list=[{}], overrides={"training.passes": 6}))
    whole = run_experiment(described, quiet=True)
    shutil.rmtree(described.output)
    original = Trainer.steps
    numbers = []

    def steps(self, batches):
        numbers.append(self.number)
        if len(numbers) == 25:
            raise KeyboardInterrupt
        return original(self, batches)

    monkeypatch.setattr(Trainer, "steps", steps)
    frequent = described.model_copy(
        update={"overrides": described.overrides | {"training.checkpoint_every": "10 steps"}}
    )
    with pytest.raises(KeyboardInterrupt):
        run_experiment(frequent, quiet=True)
    rows = run_experiment(frequent, quiet=True)
    assert numbers[25] == 20
    assert rows[0].metrics["analogies"] == whole[0].metrics["analogies"]


def test_a_folder_with_another_configuration_is_rejected(describe):
    run_experiment(load_experiment(describe(list=[{}])), quiet=True)
    other = load_experiment(describe(list=[{}], overrides={"training.passes": 2}))
    with pytest.raises(RunError, match="contains a run with another configuration"):
        run_experiment(other, quiet=True)


def test_runs_from_a_shared_cache_are_bit_identical(describe, make_toy_config, tmp_path):
    from embedder.runs.checkpoint import load_model
    from embedder.training.train import train

    cache = Cache(tmp_path / "c")
    plain = make_toy_config("plain", training={"passes": 2}, validation={"fraction": 0.1})
    train(plain, quiet=True)
    for name in ("builds", "reuses"):
        config = make_toy_config(name, training={"passes": 2}, validation={"fraction": 0.1})
        train(config, quiet=True, cache=cache)
        for a, b in zip(
            load_model(Path(config.output)).parameters,
            load_model(Path(plain.output)).parameters,
            strict=True,
        ):
            np.testing.assert_array_equal(a, b)
        kinds = sorted(entry.name.partition("-")[0] for entry, _ in cache.entries())
        assert kinds == ["corpus", "counts", "counts"]
    other = make_toy_config("other", training={"passes": 1}, network={"dimension": 8, "hidden": 8})
    train(other, quiet=True, cache=cache)  # without validation: different counts, the same corpus
    kinds = sorted(entry.name.partition("-")[0] for entry, _ in cache.entries())
    assert kinds == ["corpus", "counts", "counts", "counts"]


def test_an_address_depends_on_the_contents_and_the_settings(write):
    one, same = write("a.txt", "a b"), write("b.txt", "a b")
    other = write("c.txt", "a c")
    names = [address("corpus", {}, [Source(str(p), p)]) for p in (one, same, other)]
    assert names[0] == names[1] != names[2]
    assert address("corpus", {"x": 1}, [Source("a", one)]) != names[0]
    assert address("corpus", {}, [Source("standard input", None)]) is None


def test_a_cache_removes_the_least_recently_used_entries(tmp_path):
    cache = Cache(tmp_path / "c", limit=250)

    def make(folder):
        (folder / "data").write_bytes(bytes(100))

    for i, name in enumerate(["a", "b", "c"]):
        path = cache.entry(name, make)
        import os

        os.utime(path, (i, i))
    os.utime(cache.entry("b", make), (9, 9))
    cache.entry("d", make)
    assert sorted(entry.name for entry, _ in cache.entries()) == ["b", "d"]
    assert cache.clear() == 200
    assert cache.entries() == []


def test_an_entry_that_cannot_be_built_is_not_stored(tmp_path):
    cache = Cache(tmp_path / "c")

    def fail(folder):
        (folder / "half").write_text("x")
        raise KeyError

    with pytest.raises(KeyError):
        cache.entry("a", fail)
    assert list((tmp_path / "c").iterdir()) == []


def test_tables_show_means_and_deviations():
    rows = [
        Row({"k": 1}, {"analogies": [0.1, 0.3], "seconds": [1.0, 2.0]}),
        Row({"k": 2}, {"analogies": [0.2], "seconds": [1.0]}),
    ]
    assert "| 1 | 0.200 ± 0.141 | 1.5 ± 0.7 |" in as_markdown(rows)
    assert "| 2 | 0.200 | 1.0 |" in as_markdown(rows)
    assert as_csv(rows).splitlines()[2] == "2,0.2,nan,1,1.0,nan,1"
    assert best_row(rows, "seconds").setting == {"k": 2}
    with pytest.raises(ConfigError, match="no run has x; expected one of analogies, seconds"):
        best_row(rows, "x")


def test_ranges_are_drawn_uniformly_in_the_logarithm(rng):
    drawn = [Range(low=1, high=10_000, log=True).draw(rng) for _ in range(2000)]
    assert 0.45 < np.mean([value < 100 for value in drawn]) < 0.55
    assert isinstance(Range(low=1, high=5, whole=True).draw(rng), int)


def test_the_command_runs_an_experiment_and_shows_the_table(describe, tmp_path):
    path = describe(grid={"examples.window": [2, 4]})
    names = CliRunner().invoke(main, ["run", str(path), "--dry-run"]).output
    assert names.split() == [str(tmp_path / "study" / f"window-{w}_seed-1") for w in (2, 4)]
    result = CliRunner().invoke(main, ["run", str(path), "--quiet"])
    assert result.exit_code == 0, result.output
    assert "[2 of 2] window-4_seed-1: trained in" in result.output
    assert "Best setting by analogies: embedder train" in result.output
    shown = CliRunner().invoke(main, ["cache"]).output
    assert "in 3 entries of" in shown
    assert "Removed" in CliRunner().invoke(main, ["cache", "--clear"]).output
    evaluation = tmp_path / "study" / "window-2_seed-1" / "evaluation.json"
    evaluation.write_text("{")
    result = CliRunner().invoke(main, ["run", str(path), "--quiet"])
    assert "evaluation.json: missing or damaged" in result.output
    assert json.loads(json.dumps(Experiment.model_json_schema()))


@pytest.fixture
def searched(describe):
    pytest.importorskip("optuna", reason="optuna is not installed")

    def make(trials, **more):
        keys = {
            "training.learning_rate": {"low": 1e-4, "high": 1e-1, "log": True},
            "examples.window": [2, 5],
        }
        path = describe(optuna={"trials": trials, "keys": keys, "seed": 1} | more.pop("optuna", {}))
        return load_experiment(path).model_copy(update=more)

    return make


def test_optuna_proposes_settings_and_resumes_where_it_stopped(searched):
    rows = run_experiment(searched(3), quiet=True)
    assert len(rows) == 3
    assert all(1e-4 <= row.setting["training.learning_rate"] <= 1e-1 for row in rows)
    assert {row.setting["examples.window"] for row in rows} <= {2, 5}
    more = run_experiment(searched(5), quiet=True)
    assert more[:3] == rows
    assert len(more) == 5
    best = max(more, key=lambda row: row.mean("analogies"))
    study = Path(searched(5).output)
    assert load_config(study / "best.yaml").training.learning_rate == pytest.approx(
        best.setting["training.learning_rate"]
    )


def test_a_search_without_its_metric_is_refused(searched):
    with pytest.raises(ConfigError, match=r"best_by: no run has analogies; a search requires"):
        run_experiment(
            searched(2, overrides={"training.passes": 1, "evaluation.analogies": []}), quiet=True
        )


def test_an_interrupted_trial_is_repeated(searched, monkeypatch):
    original = experiments.train
    calls = []

    def train(config, **options):
        calls.append(config.training.learning_rate)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return original(config, **options)

    monkeypatch.setattr(experiments, "train", train)
    with pytest.raises(KeyboardInterrupt):
        run_experiment(searched(2), quiet=True)
    rows = run_experiment(searched(2), quiet=True)
    assert calls[1] == calls[2]
    assert len(rows) == 2


def test_poor_trials_are_pruned_and_left_out(searched, monkeypatch):
    lines = []
    described = searched(
        12,
        optuna={"pruning": True},
        overrides={"training.passes": 6, "validation.fraction": 0.1},
        best_by="perplexity",
    )
    rows = run_experiment(described, lines.append, quiet=True)
    pruned = [line for line in lines if line.endswith(": pruned")]
    assert len(pruned) > 0
    assert len(rows) == 12 - len(pruned)
    monkeypatch.setattr(experiments, "train", None)  # everything is finished
    assert run_experiment(described, quiet=True) == rows


def test_pruning_without_validation_is_an_error(searched):
    with pytest.raises(ConfigError, match=r"optuna\.pruning: requires validation"):
        run_experiment(searched(2, optuna={"pruning": True}), quiet=True)


def test_a_seed_among_the_settings_is_an_error(describe):
    with pytest.raises(ConfigError, match=r"training\.seed: cannot be a setting"):
        plan(load_experiment(describe(grid={"training.seed": [1, 2]})))
