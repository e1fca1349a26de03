"""Measure training on a cluster, and predict how it scales.

python scripts/benchmark_cluster.py measure TEXT --nodes 2 --json nodes.json
    # trains on simulated machines of one core each, and prints the seconds of each stage
python scripts/benchmark_cluster.py measure TEXT --nodes 0 --threads 2 --json process.json
    # the same in one process
python scripts/benchmark_cluster.py fit nodes.json …
    # fits the scaling model of docs/distributed.md, and prints its errors
python scripts/benchmark_cluster.py predict nodes.json …
    # applies it to larger texts and clusters
"""

import argparse
import functools
import json
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple
from unittest.mock import patch

import numpy as np

_STAGES = "read", "count", "factorise", "classes", "group", "joint", "fit"
_SPREAD = "read", "count", "factorise", "group", "fit"
"""Stages whose work all machines share; the others are the leader's."""
_EVALUATIONS = 2.6
"""Of a row's loss until it has converged; see `embedder.training.row_fit`."""
_BYTES_PER_ID = 4
_BYTES_PER_CELL = 12
_GROWTH = 0.69
"""Cells grow with this power of the text: 67 M in 17 M words, 343 M in 182 M."""
_SECONDS_TO_JOIN = 10e-9
"""Of one core, per token of a group."""
_SECONDS_TO_ADD = 40e-9
"""Of one core, per cell of a group that is added to those of others."""


class Size(NamedTuple):
    """What a training is about.

    ``tokens``, ``words``, ``cells``
        Of the text; V; cells of the counts, one per pair of a word and a context.
    ``dimension``
        D = H.
    ``columns``, ``classes``, ``joint``, ``passes``, ``steps``
        C, K, R; passes over the joint rows, and closing steps.
    """

    tokens: float
    words: float
    cells: float
    dimension: float
    columns: float
    classes: float
    joint: float
    passes: float
    steps: float

    def work(self) -> dict[str, float]:
        """Return the operations of each stage, up to factors that are measured."""
        rest, closing = self.words - self.joint, (self.steps + 1 if self.steps else 0) * self.joint
        return {
            "read": self.tokens,
            "count": self.tokens,
            "factorise": self.cells * self.dimension,
            "classes": self.words * self.classes * self.dimension,
            "group": self.cells,
            "joint": self.passes * self.joint * self.columns * (6 * self.dimension + 450),
            "fit": (closing + _EVALUATIONS * rest) * self.columns * (4 * self.dimension + 450),
        }


class Cluster(NamedTuple):
    """``machines``, their ``cores``, and bytes per second of each one's network."""

    machines: int
    cores: int
    bandwidth: float = 1.25e9

    def cores_of(self, stage: str) -> int:
        """Return how many cores share the work of a stage."""
        return self.cores * (self.machines if stage in _SPREAD else 1)

    def seconds_around_counting(self, size: Size) -> float:
        """Return the seconds in which tokens are joined and fetched, and counts fetched and added.

        See `embedder.training.distributed.counting.group_shards`.
        """
        cpus = self.cores * self.machines
        groups = max(np.ceil(size.tokens / 2**28), np.ceil(cpus / 32))
        seconds = size.tokens * _SECONDS_TO_JOIN / min(groups, cpus)
        if self.machines > 1:
            fetched = _BYTES_PER_ID * size.tokens / min(groups, self.machines)
            seconds += fetched / self.bandwidth
        if groups > 1:
            cells = size.cells * groups ** (1 - _GROWTH)
            moved = _BYTES_PER_CELL * cells * (self.machines - 1) / self.machines**2
            seconds += moved / self.bandwidth + cells * _SECONDS_TO_ADD / cpus
        return float(seconds)


def predict(size: Size, costs: dict[str, float], cluster: Cluster) -> dict[str, float]:
    """Return the seconds of each stage, from the seconds of a core per unit of its work."""
    work = size.work()
    seconds = {stage: work[stage] * costs[stage] / cluster.cores_of(stage) for stage in _STAGES}
    seconds["count"] += cluster.seconds_around_counting(size)
    return seconds


def fit(measured: list[dict[str, Any]]) -> dict[str, float]:
    """Fit the seconds of a core to measurements on simulated machines, by their medians."""
    found: dict[str, list[float]] = {stage: [] for stage in _STAGES}
    for own in measured:
        size, cluster = Size(*own["size"]), Cluster(own["machines"], own["cores"], np.inf)
        for stage, work in size.work().items():
            spent = own["seconds"][stage]
            if stage == "count":
                spent -= cluster.seconds_around_counting(size)
            found[stage].append(spent * cluster.cores_of(stage) / work)
    return {stage: float(np.median(costs)) for stage, costs in found.items()}


@contextmanager
def _timed_calls(seconds: dict[str, float], where: Any, name: str, stage: str) -> Iterator[None]:
    """Add the duration of all calls of a function, or of what a generator takes, to a stage."""
    original = getattr(where, name)

    def add(started: float) -> None:
        seconds[stage] = seconds.get(stage, 0.0) + time.perf_counter() - started

    @functools.wraps(original)
    def call(*arguments: Any, **options: Any) -> Any:
        started = time.perf_counter()
        found = original(*arguments, **options)
        if stage != "fit":
            add(started)
            return found
        return _timed_items(found, started, add)

    is_static = isinstance(vars(where).get(name), staticmethod)
    with patch.object(where, name, staticmethod(call) if is_static else call):
        yield


def _timed_items(items: Any, started: float, add: Callable[[float], None]) -> Iterator[Any]:
    yield from items
    add(started)


def _run(config: Any) -> tuple[dict[str, float], Size]:
    """Train; return the seconds of each stage, and the size."""
    from embedder.config_automatic import closing_steps, context_classes, joint_rows, passes
    from embedder.examples import cooccurrence, prepare, spectral
    from embedder.examples.cells import Cooccurrences
    from embedder.runs.checkpoint import load_model
    from embedder.training import local, train, trainer
    from embedder.training.distributed import ray_engine, row_map

    seconds: dict[str, float] = {}
    cells = 0
    counted = cooccurrence.count_cooccurrences

    def count(*arguments: Any) -> Cooccurrences:
        nonlocal cells
        found = counted(*arguments)
        cells = len(found.columns)
        return found

    timers: list[tuple[Any, str, str]]
    timers = [(spectral, "factorise", "factorise"), (prepare, "choose_columns", "classes")]
    timers.append((trainer.Trainer, "_train", "joint"))
    if config.training.engine == "ray":
        engine = ray_engine.RayEngine
        timers += [(engine, "read", "read"), (engine, "count", "count"), (engine, "group", "group")]
        timers.append((row_map.ClusterRowMap, "__call__", "fit"))
    else:
        timers += [(local.LocalEngine, "read", "read"), (prepare, "count_cooccurrences", "count")]
        timers += [(prepare, "group_counts", "group"), (local.LocalEngine, "fit_rows", "fit")]
    with ExitStack() as stack:
        stack.enter_context(patch.object(prepare, "count_cooccurrences", count))
        for timer in timers:
            stack.enter_context(_timed_calls(seconds, *timer))
        started = time.perf_counter()
        train.train(config, overwrite=True, quiet=True)
        seconds["whole"] = time.perf_counter() - started
    model = load_model(Path(config.output))
    V, C = len(model.vocabulary), len(model.parameters.W2)
    sizes = joint_rows(config, V), passes(config, V), closing_steps(config)
    dimension, tokens = config.network.dimension, model.metadata["tokens"]
    cells = cells or model.metadata["cells"]
    return seconds, Size(tokens, V, cells, dimension, C, context_classes(config, V), *sizes)


def measure(given: argparse.Namespace) -> None:
    """Train on simulated machines, or in one process; print the seconds of each stage."""
    from embedder.config_files import make_config

    with TemporaryDirectory(prefix="embedder-") as folder, ExitStack() as stack:
        engine, cluster = "local", {}
        if given.nodes:
            import ray
            from ray.cluster_utils import Cluster as RayCluster

            # By default, simulated machines have room for 150 MB only, and spill the rest.
            each = {"num_cpus": given.threads, "object_store_memory": given.store}
            nodes = RayCluster(initialize_head=True, head_node_args=each)
            stack.callback(nodes.shutdown)
            for _ in range(1, given.nodes):
                nodes.add_node(**each)
            # Stay connected, so that the processes of the first run serve the second.
            ray.init(nodes.address, log_to_driver=False, logging_level=logging.ERROR)
            stack.callback(ray.shutdown)
            engine, cluster = "ray", {"address": nodes.address}
        tree = {
            "corpus": {"files": [given.text], "tokenizer": "whitespace"},
            "network": {"dimension": given.dimension, "hidden": given.dimension},
            "training": {"engine": engine, "threads": given.threads, "passes": given.passes},
            "cluster": cluster | ({"shard_size": given.shard_size} if given.shard_size else {}),
            "output": f"{folder}/run",
        }
        for number in range(given.repeats):  # the first run starts processes
            seconds, size = _run(make_config(tree, "benchmark"))
            print(
                f"{number + 1}: "
                + ", ".join(f"{name} {seconds.get(name, 0):.2f}" for name in (*_STAGES, "whole")),
                flush=True,
            )
    if given.json:
        found = {"seconds": seconds, "size": size, "cores": given.threads}
        found["machines"] = max(1, given.nodes)
        Path(given.json).write_text(json.dumps(found) + "\n")


def show_fit(measured: list[dict[str, Any]]) -> None:
    """Print the fitted costs, and the errors of predictions from the other measurements."""
    for stage, cost in fit(measured).items():
        print(f"{stage}: {1e9 * cost:.4g} ns")
    if len(measured) == 1:
        return
    print("\n| machines | tokens | words | stage | measured, s | predicted, s |")
    print("|--:|--:|--:|---|--:|--:|")
    for own in measured:
        others = [each for each in measured if each is not own]
        size, cluster = Size(*own["size"]), Cluster(own["machines"], own["cores"], np.inf)
        found = predict(size, fit(others), cluster)
        total = sum(own["seconds"][stage] for stage in _STAGES)
        rows = [(stage, own["seconds"][stage], found[stage]) for stage in _STAGES]
        for stage, true, predicted in [*rows, ("all", total, sum(found.values()))]:
            print(
                f"| {own['machines']} | {size.tokens:,.0f} | {size.words:,.0f} | {stage} "
                f"| {true:.1f} | {predicted:.1f} |"
            )


def show_predictions(measured: list[dict[str, Any]], given: argparse.Namespace) -> None:
    """Print what the fitted model predicts for a large text on clusters."""
    like = Size(*measured[0]["size"])
    costs = {stage: cost / given.speed for stage, cost in fit(measured).items()}
    size = like._replace(
        tokens=given.tokens,
        words=given.words,
        cells=given.cells,
        dimension=given.dimension,
        joint=30_000,
        passes=20,
    )
    print("| machines | " + " | ".join(_STAGES) + " | all |\n|--:" + "|--:" * 8 + "|")
    for machines in (1, 8, 64):
        found = predict(size, costs, Cluster(machines, 16))
        cells = [f"{found[stage]:,.0f}" for stage in _STAGES]
        print(f"| {machines} | " + " | ".join(cells) + f" | {sum(found.values()):,.0f} |")


def main() -> None:
    """Run what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    commands = parser.add_subparsers(dest="what", required=True)
    own = commands.add_parser("measure")
    own.add_argument("text")
    own.add_argument("--nodes", type=int, default=2, help="0 for one process.")
    own.add_argument("--threads", type=int, default=1)
    own.add_argument("--dimension", type=int, default=100)
    own.add_argument("--passes", type=int, default=2)
    own.add_argument("--shard-size", type=int)
    own.add_argument("--store", type=int, default=1 << 32, help="Bytes of each object store.")
    own.add_argument("--repeats", type=int, default=2)
    own.add_argument("--json")
    for name in ("fit", "predict"):
        own = commands.add_parser(name)
        own.add_argument("measured", nargs="+", type=Path)
    own.add_argument("--tokens", type=float, default=1e10)
    own.add_argument("--words", type=float, default=2e6)
    own.add_argument("--cells", type=float, default=6e9)
    own.add_argument("--dimension", type=float, default=300)
    own.add_argument("--speed", type=float, default=1.0, help="Of a core, relative to one here.")
    given = parser.parse_args()
    if given.what == "measure":
        measure(given)
        return
    measured = [json.loads(path.read_text()) for path in given.measured]
    if given.what == "fit":
        show_fit(measured)
    else:
        show_predictions(measured, given)


if __name__ == "__main__":
    main()
