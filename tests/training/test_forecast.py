import re

import pytest

from embedder.config_files import make_config
from embedder.errors import ConfigError, RunError
from embedder.network.composition import OwnRows
from embedder.runs.checkpoint import load_model
from embedder.training.forecast import Needs, estimate_needs, refuse_too_large, time_step
from embedder.training.train import train
from embedder.training.trainer import Trainer


def test_a_memory_limit_does_not_change_the_model(make_toy_config, tmp_path):
    for name, limit in (("free", None), ("limited", "2MB")):
        train(make_toy_config(name, training={"passes": 2, "memory_limit": limit}), quiet=True)
    free, limited = (load_model(tmp_path / name).parameters for name in ("free", "limited"))
    for one, other in zip(free, limited, strict=True):
        assert (one == other).all()


def test_the_estimate_matches_the_allocation(make_toy_config, monkeypatch):
    found = {}
    original = Trainer.run

    def run(self, folder, quiet, listeners):
        workspace = self.network.output.workspace
        found["parameters"] = sum(a.nbytes for a in self.network.parameters) + sum(
            a.nbytes
            for moments in (self.optimizer.first, self.optimizer.second)
            for a in moments.values()
        )
        found["logits"] = workspace.logits.nbytes
        found["V"] = len(self.network.parameters.E)
        original(self, folder, quiet, listeners)

    monkeypatch.setattr(Trainer, "run", run)
    config = make_toy_config(training={"passes": 1})
    train(config, quiet=True)
    needs = estimate_needs(config, OwnRows(found["V"]), 127_620, 2)
    assert needs.parameters == found["parameters"]
    assert found["logits"] < needs.batch < 1.5 * found["logits"]


def test_a_run_that_does_not_fit_in_memory_is_rejected_before_it_starts(make_toy_config):
    with pytest.raises(RunError, match=r"memory_limit is 100 KiB; lower vocabulary.max_size"):
        train(make_toy_config(training={"memory_limit": 102_400}), quiet=True)
    needs = Needs(parameters=1, batch=1, counting=2**60, start=1, ids=1, cells=1)
    with pytest.raises(RunError, match=r"set training.memory_limit"):
        refuse_too_large(needs, None)
    refuse_too_large(needs, 100)
    with pytest.raises(RunError, match=r"this machine has"):
        refuse_too_large(needs._replace(parameters=2**60), None)


def test_the_time_of_a_step_is_measured_and_extrapolated(make_toy_config, monkeypatch):
    times = iter(range(1000))
    monkeypatch.setattr("embedder.training.forecast.time.perf_counter", lambda: next(times))
    config = make_toy_config()
    # By this clock, each timed step takes a second; at most 2**14 contexts are timed.
    assert time_step(config, 100, 5.0, 20, 2, OwnRows(100)) == 1.0
    assert time_step(config, 10 * 2**14, 5.0, 20, 2, OwnRows(100)) == 10.0


def test_a_run_reports_its_expected_duration(make_toy_config, capsys):
    train(make_toy_config(training={"passes": 1}))
    output = capsys.readouterr().err
    assert re.search(r"time: about [\d.]+ s per pass \(\d+ steps\), [\d.]+ s of training", output)


def test_memory_limits_are_accepted_with_or_without_a_unit():
    def limit(value):
        tree = {"corpus": {"files": "x"}, "training": {"memory_limit": value}}
        return make_config(tree, "test").training.memory_limit

    assert limit("2GB") == 2_000_000_000
    assert limit("1 MiB") == 2**20
    assert limit(5) == 5
    with pytest.raises(ConfigError, match="memory_limit"):
        limit("plenty")
