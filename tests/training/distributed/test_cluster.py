import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import ray

from embedder.errors import ConfigError, CorpusError, RunError
from embedder.runs.checkpoint import load_model
from embedder.training.distributed import cluster
from embedder.training.distributed import ray_engine as engine
from embedder.training.engine import WorkerLost
from embedder.training.train import train
from embedder.training.trainer import Interrupted, Trainer

pytestmark = pytest.mark.filterwarnings("ignore")  # Ray's own


class Machines:
    """A Ray cluster of several one-CPU nodes on this machine; the driver joins the first."""

    def __init__(self):
        from ray.cluster_utils import Cluster

        # Ray should detect within seconds that a node is lost.
        checks = {"health_check_period_ms": 500, "health_check_failure_threshold": 2}
        head = {"num_cpus": 1, "_system_config": checks}
        self._cluster = Cluster(initialize_head=True, head_node_args=head)
        self.address = self._cluster.address
        self._others = []

    def add(self):
        self._others.append(self._cluster.add_node(num_cpus=1))

    def kill(self):
        self._cluster.remove_node(self._others.pop(), allow_graceful=False)

    def fill_up(self, count):
        while len(self._others) < count:
            self.add()
        self._cluster.wait_for_nodes()

    def shutdown(self):
        self._cluster.shutdown()


@pytest.fixture(scope="module")
def machines():
    found = Machines()
    yield found
    found.shutdown()


@pytest.fixture
def on_cluster(machines, make_toy_config):
    """Return a function that makes a toy run's configuration for the cluster."""

    def make(output, workers, **sections):
        machines.fill_up(workers - 1)
        where = {
            "address": machines.address,
            "workers": workers,
            "shard_size": 100_000,
            "wait_minutes": 1.0,
        }
        training = {"engine": "ray", "threads": 1} | sections.pop("training", {})
        where |= sections.pop("cluster", {})
        return make_toy_config(output, training=training, cluster=where, **sections)

    return make


def lines_of(config):
    return [json.loads(line) for line in (Path(config.output) / "metrics.jsonl").open()]


def assert_equal_up_to_rounding(one, other):
    a, b = (load_model(Path(config.output)).parameters for config in (one, other))
    for first, second in zip(a, b, strict=True):
        np.testing.assert_allclose(first, second, rtol=2e-2, atol=2e-2 * np.abs(first).max())
    assert_same_losses(one, other)


def assert_same_losses(one, other):
    first, second = lines_of(one), lines_of(other)
    assert first[-1]["step"] == second[-1]["step"]
    assert first[-1]["loss"] == pytest.approx(second[-1]["loss"], rel=1e-5)


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_a_cluster_trains_the_same_model_as_one_process(on_cluster, make_toy_config, workers):
    sections = {"validation": {"fraction": 0.1}, "examples": {"near_contexts": 40}}
    # Not Adam: it normalises gradients, so that rounding errors alone could cause full steps.
    training = {"passes": 4, "optimizer": "sgd", "learning_rate": 0.1}
    # A cluster does not fit rows.
    local = make_toy_config("local", training=training | {"closing_steps": 0}, **sections)
    spread = on_cluster("spread", workers, training=training, **sections)
    train(local, quiet=True)
    train(spread, quiet=True)
    assert_equal_up_to_rounding(local, spread)
    first, second = (lines_of(config)[-1]["validation_loss"] for config in (local, spread))
    assert first == pytest.approx(second, rel=1e-5)
    metadata = load_model(Path(spread.output)).metadata
    assert metadata["workers"] == workers
    assert (metadata["exchanged_bytes_per_step"] > 64 * 32 * 4) == (workers > 1)


def test_a_cluster_reaches_the_loss_of_one_process_with_adam(on_cluster, make_toy_config, write):
    header = "pass\tscore\tcount\tphrase\twords"
    phrases = write("phrases.tsv", f"{header}\n1\t9\t9\tthe_king\tthe king\n")
    sections = {
        "corpus": {"phrases": {"file": str(phrases)}},
        "subwords": {"max_n": 4},
        "training": {"passes": 4},
    }
    local, spread = make_toy_config("local", **sections), on_cluster("spread", 2, **sections)
    for config in (local, spread):
        train(config, quiet=True)
    assert_same_losses(local, spread)
    assert "the_king" in load_model(Path(spread.output)).vocabulary.ids


@pytest.mark.parametrize(
    "network",
    [
        {"input": "mean", "direct": True, "dropout": 0.1},
        {"input": "word", "initialisation": "random"},
        {"input": "concat", "initialisation": "random"},
    ],
    ids=lambda network: network["input"],
)
def test_a_cluster_can_train_on_windows(on_cluster, make_toy_config, network):
    sections = {
        "examples": {"source": "windows", "window": 2},
        "network": {"dimension": 16, "hidden": 16, "vectors": "input"} | network,
        "validation": {"fraction": 0.1},
    }
    training = {"passes": 1, "batch_size": 512, "optimizer": "sgd", "learning_rate": 0.01}
    local = make_toy_config("local", training=training, **sections)
    spread = on_cluster("spread", 2, training=training, **sections)
    train(local, quiet=True)
    train(spread, quiet=True)
    assert_equal_up_to_rounding(local, spread)


@pytest.mark.parametrize("optimizer", ["adagrad"])
def test_a_run_resumes_with_another_number_of_workers(on_cluster, monkeypatch, optimizer):
    training = {"passes": 4, "checkpoint_every": 1, "optimizer": optimizer, "learning_rate": 0.1}
    whole = on_cluster("whole", 2, training=training)
    train(whole, quiet=True)
    stopped = on_cluster("stopped", 3, training=training)
    with monkeypatch.context() as patch:
        original = Trainer.steps

        def steps(self, batches):
            if self.number == 11:
                os.kill(os.getpid(), signal.SIGINT)
            return original(self, batches)

        patch.setattr(Trainer, "steps", steps)
        with pytest.raises(Interrupted):
            train(stopped, quiet=True)
    settings = stopped.model_copy(
        update={"cluster": stopped.cluster.model_copy(update={"workers": 2})}
    )
    train(settings, resume=True, quiet=True)
    assert_equal_up_to_rounding(whole, stopped)


@pytest.mark.slow
def test_a_node_killed_at_any_moment_does_not_change_the_result(
    on_cluster, machines, request, monkeypatch, capfd
):
    training = {"passes": 40, "checkpoint_every": 3}
    whole = on_cluster("whole", 3, training=training)
    started = time.monotonic()
    train(whole, quiet=True)
    seconds = time.monotonic() - started
    original = cluster.Cluster.wait_for_room
    replaces = True

    def wait_for_room(self, minutes):
        if replaces:
            machines.add()
        return original(self, minutes)

    monkeypatch.setattr(cluster.Cluster, "wait_for_room", wait_for_room)
    rng = np.random.default_rng(5)
    moments = request.config.getoption("--moments")
    for number in range(moments):
        # Every other time, the lost node is not replaced.
        replaces = number % 2 == 0
        wait = 1.0 if replaces else 0.0
        config = on_cluster(f"run{number}", 3, training=training, cluster={"wait_minutes": wait})
        killer = threading.Timer(rng.uniform(0.5, seconds), machines.kill)
        killer.start()
        train(config, quiet=True)
        killer.join()
        assert lines_of(config)[-1]["loss"] == pytest.approx(lines_of(whole)[-1]["loss"], abs=1e-5)
        assert lines_of(config)[-1]["step"] == lines_of(whole)[-1]["step"]
        assert not list(Path(config.output).glob("checkpoint-*"))
    lost = capfd.readouterr().err.count("A worker was lost")
    with capfd.disabled():
        print(f"\n{moments} nodes killed within {seconds:.1f} s; {lost} trainings were disturbed")


@pytest.mark.parametrize("before_a_checkpoint", [True, False])
def test_a_worker_killed_in_training_is_replaced(
    on_cluster, monkeypatch, capfd, before_a_checkpoint
):
    training = {"passes": 6, "checkpoint_every": 2}
    whole = on_cluster("whole", 2, training=training)
    train(whole, quiet=True)
    config = on_cluster("disturbed", 2, training=training)
    original = Trainer.steps
    killed = []

    def steps(self, batches):
        if not killed and self.number == (3 if before_a_checkpoint else 40):
            killed.extend(self._engine._group._placement.actors)
            ray.kill(killed[0])
        return original(self, batches)

    monkeypatch.setattr(Trainer, "steps", steps)
    train(config, quiet=True)
    assert "A worker was lost" in capfd.readouterr().err
    a, b = (load_model(Path(c.output)).parameters for c in (whole, config))
    assert all((first == second).all() for first, second in zip(a, b, strict=True))
    assert [line["step"] for line in lines_of(config) if "end_of_pass" in line] == [
        line["step"] for line in lines_of(whole) if "end_of_pass" in line
    ]


def test_repeated_loss_of_workers_ends_the_training(on_cluster, monkeypatch):
    config = on_cluster("run", 2, training={"passes": 1})

    def lost(*_):
        raise WorkerLost("gone")

    monkeypatch.setattr(engine, "Group", lost)
    monkeypatch.setattr(engine, "_LOSSES_WITHOUT_PROGRESS", 2)
    with pytest.raises(RunError, match=r"the workers were lost \(gone\).*--resume"):
        train(config, quiet=True)


def test_more_workers_than_the_cluster_has_room_for_are_rejected(on_cluster):
    config = on_cluster("run", 2, cluster={"workers": 99})
    with pytest.raises(RunError, match=r"cluster\.workers: 99 workers of 1 CPUs each exceed"):
        train(config, quiet=True)


def test_no_cluster_at_the_address_is_one_sentence(on_cluster):
    for address, what in (
        ("127.0.0.1:1", r"127\.0\.0\.1:1: no Ray cluster can be joined there"),
        ("ray://head:10001", "expected HOST:PORT or auto"),
    ):
        config = on_cluster("run", 1, cluster={"address": address})
        with pytest.raises(RunError, match=what):
            train(config, quiet=True)


def test_a_temporary_folder_that_ray_cannot_use_is_one_sentence(make_toy_config, write, tmp_path):
    config = write("config.yaml", make_toy_config(training={"engine": "ray"}).to_yaml())
    process = subprocess.run(
        [sys.executable, "-m", "embedder", "train", str(config), "--quiet"],
        env=os.environ | {"RAY_TMPDIR": str(tmp_path / ("long" * 30))},
        capture_output=True,
        text=True,
    )
    assert process.returncode == 1
    assert process.stderr.strip().splitlines()[-1].startswith("Error: Ray cannot start (")
    assert "Traceback" not in process.stderr


def test_errors_in_the_text_are_reported_as_by_one_process(on_cluster, write):
    broken = write("broken.txt", b"fine words\n" * 30_000 + b"\xff bad\n")
    config = on_cluster("run", 2, corpus={"files": [str(broken)]})
    with pytest.raises(CorpusError, match=r"broken\.txt: byte 330,000 is not UTF-8"):
        train(config, quiet=True)
    config = on_cluster("run", 2, corpus={"files": ["-"]})
    with pytest.raises(CorpusError, match="one process only"):
        train(config, quiet=True)
    config = on_cluster(
        "run", 2, corpus={"files": [str(broken)], "limit": 1000, "errors": "ignore"}
    )
    with pytest.raises(CorpusError, match=r"corpus\.limit \(1,000 bytes\)"):
        train(config, quiet=True)


def test_losses_other_than_the_exact_softmax_are_rejected(make_toy_config):
    with pytest.raises(ConfigError, match=r"training\.engine: ray splits the exact softmax"):
        make_toy_config(
            examples={"source": "windows"},
            loss={"name": "negative-sampling"},
            training={"engine": "ray"},
        )
