import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import ray
from conftest import GROUPED
from ray.exceptions import OutOfDiskError, RayTaskError

from embedder.config_files import load_config
from embedder.errors import ConfigError, CorpusError, RunError
from embedder.runs.checkpoint import load_model
from embedder.runs.run_folder import RunFolder
from embedder.training import row_fit
from embedder.training.distributed import cluster, ray_engine
from embedder.training.distributed.row_map import ClusterRowMap
from embedder.training.engine import MachineError, WorkerLost
from embedder.training.train import train
from embedder.training.trainer import Interrupted, Trainer

pytestmark = pytest.mark.filterwarnings("ignore")  # Ray's own

JOINT = {"passes": 3, "joint_rows": 100}


def lines_of(config):
    return [json.loads(line) for line in (Path(config.output) / "metrics.jsonl").open()]


def assert_same_model(one, other):
    first, second = (load_model(Path(config.output)) for config in (one, other))
    assert first.vocabulary.words == second.vocabulary.words
    for a, b in zip(first.parameters, second.parameters, strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(first.kept.totals, second.kept.totals)
    for key in ("validation_loss", "step"):
        assert first.metadata.get(key) == second.metadata.get(key)
    assert [line.get("loss") for line in lines_of(one) if "end_of_pass" in line] == [
        line.get("loss") for line in lines_of(other) if "end_of_pass" in line
    ]


@pytest.mark.parametrize(
    "sections",
    [
        {"training": JOINT, "examples": GROUPED, "validation": {"fraction": 0.1}},
        {"training": {"passes": 3}, "examples": {"near_contexts": 40}},
        {
            "training": {"passes": 2},
            "subwords": {"max_n": 4},
            "vocabulary": {"max_size": 100, "unknown": "<unk>", "subsample": 1e-2},
            "network": {"initialisation": "random", "dimension": 16},
        },
    ],
    ids=["grouped", "default", "subwords"],
)
def test_a_cluster_trains_the_model_of_one_process_to_the_bit(
    on_cluster, make_toy_config, write, sections
):
    header = "pass\tscore\tcount\tphrase\twords"
    phrases = write("phrases.tsv", f"{header}\n1\t9\t9\tthe_king\tthe\tking\n")
    corpus = {"corpus": {"phrases": {"file": str(phrases)}}}
    local = make_toy_config("local", **sections, **corpus)
    spread = on_cluster("spread", **sections, **corpus)
    train(local, quiet=True)
    train(spread, quiet=True)
    assert_same_model(local, spread)
    model = load_model(Path(spread.output))
    assert model.metadata["machines"] == model.metadata["cpus"] == 2
    assert not RunFolder(Path(spread.output)).fitted()


@pytest.mark.parametrize("engine", ["ray", "local"])
def test_an_interrupted_fit_resumes_with_what_is_missing(
    on_cluster, make_toy_config, monkeypatch, engine
):
    monkeypatch.setattr(row_fit, "ROWS_AT_ONCE", 16)
    whole = make_toy_config("whole", training=JOINT)
    train(whole, quiet=True)
    config = on_cluster("stopped", training=JOINT)
    original = ClusterRowMap.__call__
    fitted = []

    def stop(self, layers, work):
        for number, found in enumerate(original(self, layers, work)):
            fitted.append(found[0])
            yield found
            if number == 4:
                os.kill(os.getpid(), signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr(ClusterRowMap, "__call__", stop)
        with pytest.raises(Interrupted, match="fit of rows"):
            train(config, quiet=True)
    folder = RunFolder(Path(config.output))
    assert len(folder.fitted()) == len(fitted) == 6
    first, damaged = fitted[0], folder.fitted_from(fitted[0])  # tasks end in any order
    damaged.write_bytes(damaged.read_bytes()[:-1])
    settings = load_config(folder.config)
    training = settings.training.model_copy(update={"engine": engine})
    calls, fit_rows = [], row_fit.fit_rows

    def note(layers, own, counts):
        calls.append(own.first)
        return fit_rows(layers, own, counts)

    with monkeypatch.context() as patch:
        patch.setattr(row_fit, "fit_rows", note)
        train(settings.model_copy(update={"training": training}), resume=True, quiet=True)
    assert_same_model(whole, config)
    if engine == "local":
        assert set(calls) & set(fitted) == {first}
    assert not folder.fitted()


def test_a_run_resumes_in_one_process_and_the_other_way_round(
    on_cluster, make_toy_config, monkeypatch
):
    training = JOINT | {"checkpoint_every": 1}
    whole = make_toy_config("whole", training=training)
    train(whole, quiet=True)
    for first, second in ((make_toy_config, on_cluster), (on_cluster, make_toy_config)):
        config = first("stopped", training=training)
        original = Trainer.steps

        def steps(self, batches, original=original):
            if self.number == 3:
                os.kill(os.getpid(), signal.SIGINT)
            return original(self, batches)

        with monkeypatch.context() as patch:
            patch.setattr(Trainer, "steps", steps)
            with pytest.raises(Interrupted):
                train(config, quiet=True)
        other = second("unused", training=training)
        train(other.model_copy(update={"output": config.output}), resume=True, quiet=True)
        assert_same_model(whole, config)
        shutil.rmtree(config.output)


STAGES = {"counting": (ray_engine.RayEngine, "read"), "fit": (ClusterRowMap, "__call__")}


@pytest.mark.slow
@pytest.mark.parametrize("stage", STAGES)
def test_a_node_killed_at_any_moment_of_a_stage_does_not_change_the_model(
    on_cluster, machines, request, monkeypatch, stage, capfd
):
    monkeypatch.setattr(row_fit, "ROWS_AT_ONCE", 4)
    sections = {"training": JOINT, "examples": GROUPED, "cluster": {"shard_size": 20_000}}
    begun, killers, left = [], [], []
    moments = request.config.getoption("--moments")
    original = getattr(*STAGES[stage])

    def begin(self, *arguments):
        begun.append(time.monotonic())
        if killers and killers[-1].ident is None:  # rows are fitted in two phases
            killers[-1].start()
        return original(self, *arguments)

    monkeypatch.setattr(*STAGES[stage], begin)
    for name in ("whole", "timed"):  # the first compiles kernels
        whole = on_cluster(name, 2, **sections)
        result = train(whole, quiet=True)
    seconds = time.monotonic() - begun[-1]
    if stage == "counting":
        seconds = result.seconds["reading"] + result.seconds["counting"]
    rng = np.random.default_rng(5)
    for number in range(moments):

        def kill(replaces=number % 2 == 0):
            machines.kill()
            if replaces:
                machines.add()
            left.append(machines.others)

        config = on_cluster(f"run{number}", 2, **sections)
        killers.append(threading.Timer(rng.uniform(0, seconds), kill))
        train(config, quiet=True)
        killers[-1].join()
        assert_same_model(whole, config)
        assert not RunFolder(Path(config.output)).checkpoints()
    assert left == [2 - number % 2 for number in range(moments)]
    with capfd.disabled():
        print(f"\n{moments} nodes killed in {stage}, which takes {seconds:.1f} s")


LEADER = """
import sys
from pathlib import Path
from embedder.config_files import load_config
from embedder.training import row_fit
from embedder.training.train import train

row_fit.ROWS_AT_ONCE = 4
train(load_config(Path(sys.argv[1])), quiet=True)
"""


@pytest.mark.slow
def test_a_run_whose_leader_and_head_are_lost_resumes_on_another_cluster(
    on_cluster, make_toy_config, machines, other_machines, write, start, monkeypatch
):
    monkeypatch.setattr(row_fit, "ROWS_AT_ONCE", 4)
    whole = make_toy_config("whole", training=JOINT)
    train(whole, quiet=True)
    lost = on_cluster("run", training=JOINT, cluster={"address": other_machines.address})
    path = write("config.yaml", lost.to_yaml())
    folder = RunFolder(Path(lost.output))
    process = start([sys.executable, "-c", LEADER, str(path)])
    while len(folder.fitted()) < 3 and process.poll() is None:
        time.sleep(0.01)
    process.kill()
    process.wait()
    other_machines.shutdown()
    assert folder.fitted()
    assert not folder.model.exists()
    resumed = on_cluster("run", training=JOINT)
    machines.leave()  # the training joins
    train(resumed, resume=True, quiet=True)
    assert_same_model(whole, lost)
    assert not folder.fitted()


def test_no_cluster_at_the_address_is_one_sentence(on_cluster, machines):
    for address, what in (
        ("127.0.0.1:1", r"127\.0\.0\.1:1: no Ray cluster can be joined there"),
        ("ray://head:10001", "expected HOST:PORT or auto"),
    ):
        config = on_cluster("run", cluster={"address": address})
        machines.leave()
        with pytest.raises(RunError, match=what):
            train(config, quiet=True)


def test_repeated_loss_of_machines_ends_the_training(on_cluster, monkeypatch):
    config = on_cluster("run", training={"passes": 1})

    def lost(*_, **__):
        raise WorkerLost("A machine of the cluster was lost (gone)")

    monkeypatch.setattr(ray_engine.RayEngine, "count", lost)
    monkeypatch.setattr(ray_engine, "_LOSSES_WITHOUT_PROGRESS", 2)
    with pytest.raises(RunError, match=r"was lost \(gone\); once the cluster is .* train again"):
        train(config, quiet=True)


def test_a_cluster_that_has_lost_all_machines_ends_the_training(on_cluster, monkeypatch):
    monkeypatch.setattr(cluster.Cluster, "cpus", lambda _: 0)
    monkeypatch.setattr(cluster, "_SECONDS_BETWEEN_LOOKS", 1e-3)
    config = on_cluster("run", cluster={"wait_minutes": 0})
    with pytest.raises(RunError, match="no machine with CPUs left; once the cluster is running"):
        train(config, quiet=True)


def test_a_cluster_whose_tasks_wait_for_objects_for_ever_ends_the_training(on_cluster, monkeypatch):
    monkeypatch.setattr(ray, "available_resources", lambda: {"CPU": 1e9})  # none in use
    monkeypatch.setattr(cluster, "_SECONDS_BETWEEN_LOOKS", 1e-3)
    monkeypatch.setattr(cluster, "_SECONDS_TO_MOVE_OBJECTS", 0)
    config = on_cluster("run", cluster={"wait_minutes": 0})
    with pytest.raises(
        RunError, match=r"waiting for objects .* elsewhere, then train again: there"
    ):
        train(config, quiet=True)


def test_another_version_on_a_machine_is_refused(on_cluster, monkeypatch):
    monkeypatch.setattr(cluster, "fingerprint", lambda: "0.0 (another)")
    with pytest.raises(RunError, match=r"has embedder .*, but the leader has 0\.0 \(another\); in"):
        train(on_cluster("run"), quiet=True)


def full_disk(*_):
    raise OSError(28, "No space left on device", "/tmp/embedder-1/cells")


def test_a_full_disk_on_a_machine_is_one_sentence():
    with pytest.raises(RunError, match="a machine of the cluster: /tmp/embedder-1/cells: the disk"):
        cluster.run_checked(cluster.fingerprint(), full_disk)


@pytest.mark.parametrize(
    ("kind", "where"), [(RayTaskError, "10.0.0.7: this machine"), (None, "A machine")]
)
def test_a_disk_full_of_spilled_objects_is_one_sentence(monkeypatch, kind, where):
    full = OutOfDiskError("Local disk is full")
    if kind is not None:
        full = kind("count", "Traceback …", full, pid=7, ip="10.0.0.7").as_instanceof_cause()
    found = cluster._translated(full)
    assert isinstance(found, MachineError)
    assert str(found) == (
        f"{where} of the cluster has no disk space left for spilled objects; free some, or start "
        "Ray there with --object-spilling-directory elsewhere."
    )


def test_a_run_stopped_by_a_full_disk_in_the_fit_says_how_to_resume(on_cluster, monkeypatch):
    def full(*_):
        raise MachineError("10.0.0.7: no disk space left; free some.")

    config = on_cluster("run", training=JOINT | {"checkpoint_every": 1}, others=0)
    monkeypatch.setattr(ClusterRowMap, "__call__", full)
    with pytest.raises(RunError, match=r"run: 10\.0\.0\.7: .* free some, then resume with: emb"):
        train(config, quiet=True)
    assert RunFolder(Path(config.output)).checkpoints()


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
    config = on_cluster("run", corpus={"files": [str(broken)]})
    with pytest.raises(CorpusError, match=r"broken\.txt: byte 330,000 is not UTF-8"):
        train(config, quiet=True)
    config = on_cluster("run", corpus={"files": ["-"]})
    with pytest.raises(CorpusError, match="one process only"):
        train(config, quiet=True)
    config = on_cluster("run", corpus={"files": [str(broken)], "limit": 1000, "errors": "ignore"})
    with pytest.raises(CorpusError, match=r"corpus\.limit \(1,000 bytes\)"):
        train(config, quiet=True)
    apart = write("apart.txt", "a\nb\n" * 20)
    with pytest.raises(CorpusError, match="No two words"):
        train(on_cluster("run", corpus={"files": [str(apart)]}), quiet=True)


def test_windows_are_refused(make_toy_config):
    with pytest.raises(ConfigError, match=r"training\.engine: ray .* examples\.source cooccurr"):
        make_toy_config(examples={"source": "windows"}, training={"engine": "ray"})
