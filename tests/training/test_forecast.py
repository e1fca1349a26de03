import re

import numpy as np
import pytest

from embedder.config_files import make_config
from embedder.errors import ConfigError, RunError
from embedder.network.composition import OwnRows
from embedder.network.optimizer import Optimizer
from embedder.network.parameters import Start, initial_parameters
from embedder.runs.checkpoint import load_model
from embedder.training.forecast import (
    Needs,
    describe_sizes,
    estimate_needs,
    refuse_too_large,
)
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

    def run(self, *arguments):
        workspace = self.network.output.workspace
        found["parameters"] = sum(a.nbytes for a in self.network.parameters) + sum(
            a.nbytes
            for moments in (self.optimizer.first, self.optimizer.second)
            for a in moments.values()
        )
        found["logits"] = workspace.logits.nbytes
        found["V"] = len(self.network.parameters.E)
        original(self, *arguments)

    monkeypatch.setattr(Trainer, "run", run)
    config = make_toy_config(training={"passes": 1})
    train(config, quiet=True)
    needs = estimate_needs(config, OwnRows(found["V"]), 127_620, 2)
    assert needs.parameters == found["parameters"]
    assert found["logits"] < needs.batch < 1.5 * found["logits"]


@pytest.mark.parametrize("optimizer", ["adam", "adafactor", "adagrad", "sgd"])
def test_the_estimate_has_the_state_of_each_optimizer(make_toy_config, optimizer):
    config = make_toy_config(
        examples={"source": "windows"},
        network={"input": "mean"},
        loss={"name": "nce"},
        training={"optimizer": optimizer},
    )
    start = Start(np.ones(70), np.arange(70), OwnRows(70))
    parameters = initial_parameters(config.network, start, np.random.default_rng(0))
    own = Optimizer(parameters, config.training, "windows")
    state = [*own.first.values(), *own.second.values()]
    expected = sum(array.nbytes for array in (*parameters, *state))
    assert estimate_needs(config, OwnRows(70), 1000, 2).parameters == expected


def test_a_run_that_does_not_fit_in_memory_is_rejected_before_it_starts(make_toy_config):
    with pytest.raises(RunError, match=r"memory_limit is 100 KiB; lower vocabulary.max_size"):
        train(make_toy_config(training={"memory_limit": 102_400}), quiet=True)
    needs = Needs(parameters=1, batch=1, counting=2**60, start=1, ids=1, cells=1)
    with pytest.raises(RunError, match=r"set training.memory_limit"):
        refuse_too_large(needs, None)
    refuse_too_large(needs, 100)
    with pytest.raises(RunError, match=r"this machine has"):
        refuse_too_large(needs._replace(parameters=2**60), None)


def test_a_spectral_start_that_does_not_fit_is_rejected_before_counting():
    needs = Needs(parameters=1, batch=1, counting=1, start=2**30, ids=1, cells=1)
    with pytest.raises(RunError, match=r"The spectral start needs 1\.0 GiB .* is 1023\.0 MiB"):
        refuse_too_large(needs, 1023 << 20)
    refuse_too_large(needs, 1 << 30)


def test_only_rows_trained_jointly_need_moments_and_only_outputs_are_counted(make_toy_config):
    config = make_toy_config(network={"dimension": 100, "hidden": 100})
    small, large = (estimate_needs(config, OwnRows(V), 10**9, 2) for V in (100_000, 1_100_000))
    assert large.parameters - small.parameters == 1_000_000 * 100 * 4
    assert large.batch == small.batch
    assert large.start > 5 * small.start


def test_a_run_says_what_it_trains(make_toy_config, capsys):
    train(make_toy_config(training={"passes": 1}))
    assert re.search(r"words: (\d+); outputs: \1, \1 just before and \1 just after; passes: 1\n",
                     capsys.readouterr().err)  # fmt: skip
    config = make_toy_config("none", training={"passes": "auto"})
    assert describe_sizes(config, 1_234_567) == (
        "words: 1,234,567; outputs: 12,000, 4,000 classes of the others, 10,000 just before and "
        "10,000 just after; 30,000 trained jointly, 1,204,567 fitted afterwards; passes: 20"
    )
    windows = make_toy_config(
        "windows", examples={"source": "windows"}, training={"passes": "auto"}
    )
    assert describe_sizes(windows, 50_000) == "words: 50,000; outputs: 50,000; passes: 5"


def test_memory_limits_are_accepted_with_or_without_a_unit():
    def limit(value):
        tree = {"corpus": {"files": "x"}, "training": {"memory_limit": value}}
        return make_config(tree, "test").training.memory_limit

    assert limit("2GB") == 2_000_000_000
    assert limit("1 MiB") == 2**20
    assert limit(5) == 5
    with pytest.raises(ConfigError, match="memory_limit"):
        limit("plenty")


def test_the_leader_of_a_cluster_needs_no_room_for_the_text(make_toy_config):
    local, ray = (make_toy_config(training={"engine": engine}) for engine in ("local", "ray"))
    found = estimate_needs(ray, OwnRows(2_000_000), 10**10, 16)
    alone = estimate_needs(local, OwnRows(2_000_000), 10**10, 16)
    assert found.parameters == alone.parameters
    assert found.ids == 0
    assert alone.counting > 4 * 10**10 > 100 * found.counting
    assert found.cells <= 8 * 30_000 * 36_000 < alone.cells
