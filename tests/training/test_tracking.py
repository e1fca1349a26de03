from pathlib import Path

import pytest

from embedder.errors import EmbedderError
from embedder.training.train import train


def metric_lines(config):
    import json

    lines = (Path(config.output) / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def test_tensorboard_reads_what_is_written(make_toy_config):
    pytest.importorskip("tensorboardX", reason="tensorboardX is not installed")
    accumulator = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator",
        reason="tensorboard is not installed",
        exc_type=ImportError,
    )
    config = make_toy_config(
        training={"passes": 3}, tracking={"tensorboard": True}, validation={"fraction": 0.1}
    )
    train(config, quiet=True)
    events = accumulator.EventAccumulator(str(Path(config.output) / "tensorboard"))
    events.Reload()
    lines = metric_lines(config)
    assert set(events.Tags()["scalars"]) == {
        "loss", "pass", "seconds", "validation_loss", "words_per_second",
    }  # fmt: skip
    for name in ("loss", "validation_loss"):
        found = [(event.step, event.value) for event in events.Scalars(name)]
        expected = [(line["step"], line[name]) for line in lines if name in line]
        assert [step for step, _ in found] == [step for step, _ in expected]
        assert [value for _, value in found] == pytest.approx([value for _, value in expected])


@pytest.mark.filterwarnings("default")
def test_mlflow_receives_the_parameters_and_every_metric(make_toy_config, tmp_path):
    tracking = pytest.importorskip("mlflow.tracking", reason="mlflow is not installed")
    pytest.importorskip("sqlalchemy", reason="mlflow's store needs sqlalchemy")
    store = f"sqlite:///{tmp_path / 'mlflow.db'}"
    config = make_toy_config(
        training={"passes": 2}, tracking={"mlflow": store, "experiment": "toys"}
    )
    train(config, quiet=True)
    client = tracking.MlflowClient(tracking_uri=store)
    experiment = client.get_experiment_by_name("toys")
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.status == "FINISHED"
    assert run.info.run_name == "run"
    assert run.data.params["network.dimension"] == "32"
    losses = client.get_metric_history(run.info.run_id, "loss")
    expected = [(line["step"], line["loss"]) for line in metric_lines(config)]
    assert [(metric.step, metric.value) for metric in losses] == expected


@pytest.mark.filterwarnings("default")
def test_an_unusable_store_is_an_error_before_training(make_toy_config):
    pytest.importorskip("mlflow.tracking", reason="mlflow is not installed")
    config = make_toy_config(tracking={"mlflow": "nonsense://x"})
    with pytest.raises(EmbedderError, match=r"tracking\.mlflow: nonsense://x cannot be used"):
        train(config, quiet=True)
