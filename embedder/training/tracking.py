"""Live metrics for TensorBoard and MLflow."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from embedder.config import Config
from embedder.errors import EmbedderError

Listener = Callable[[dict[str, Any]], None]
"""Called with every line of `metrics.jsonl` as it is written."""
_NOT_MEASURED = ("step", "end_of_pass")


@contextmanager
def trackers(config: Config, folder: Path, step: int = 0) -> Iterator[list[Listener]]:
    """Open the trackers configured in section `tracking`, and close them at the end.

    Parameters
    ----------
    config
        The run.
    folder
        The run's folder; event files go to ``tensorboard`` in it.
    step
        Where the training resumes; TensorBoard discards the events of later steps.

    Raises
    ------
    EmbedderError
        If MLflow's store cannot be used.
    """
    with ExitStack() as stack:
        found: list[Listener] = []
        if config.tracking.tensorboard:
            found.append(stack.enter_context(_tensorboard(folder / "tensorboard", step)))
        if config.tracking.mlflow is not None:
            found.append(stack.enter_context(_mlflow(config, config.tracking.mlflow, folder.name)))
        yield found


def _measures(line: dict[str, Any]) -> dict[str, float]:
    return {name: float(value) for name, value in line.items() if name not in _NOT_MEASURED}


@contextmanager
def _tensorboard(folder: Path, step: int) -> Iterator[Listener]:
    from tensorboardX import SummaryWriter

    writer = SummaryWriter(str(folder), purge_step=step or None)

    def listen(line: dict[str, Any]) -> None:
        for name, value in _measures(line).items():
            writer.add_scalar(name, value, line["step"])

    try:
        yield listen
    finally:
        writer.close()


@contextmanager
def _mlflow(config: Config, store: str, name: str) -> Iterator[Listener]:
    from mlflow.exceptions import MlflowException
    from mlflow.tracking import MlflowClient

    title = config.tracking.experiment
    try:
        client = MlflowClient(tracking_uri=store)
        experiment = client.get_experiment_by_name(title)
        number = experiment.experiment_id if experiment else client.create_experiment(title)
        run = client.create_run(number, run_name=name).info.run_id
        for key, value in _flat(config.model_dump(mode="json")):
            client.log_param(run, key, value)
    except (MlflowException, OSError) as error:
        first = str(error).split("\n")[0]
        raise EmbedderError(f"tracking.mlflow: {store} cannot be used ({first}).") from None

    def listen(line: dict[str, Any]) -> None:
        for key, value in _measures(line).items():
            client.log_metric(run, key, value, step=line["step"])

    try:
        yield listen
    except BaseException:
        client.set_terminated(run, "KILLED")
        raise
    client.set_terminated(run)


def _flat(tree: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value
