"""Measure training on a cluster: its throughput on this machine, and the cost of its exchanges.

python scripts/benchmark_cluster.py throughput   # 2 workers versus one process with 2 threads
python scripts/benchmark_cluster.py exchange     # fits the scaling model of docs/distributed.md
python scripts/benchmark_cluster.py predict      # applies the model to larger clusters
"""

import argparse
import json
import math
import multiprocessing
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

_CASES = [(B, H) for B in (256, 1024, 4096) for H in (100, 300)]
_WORKERS = (2, 3, 4)
_REPEATS = 200


class Costs(NamedTuple):
    """The parameters of the scaling model.

    ``latency``
        Seconds that a message takes to arrive, regardless of its size.
    ``seconds_per_byte``
        Inverse bandwidth of a link.
    ``products``
        Floating-point operations per second of one worker in a step.
    """

    latency: float
    seconds_per_byte: float
    products: float


def features(B: int, H: int, p: int) -> tuple[float, float]:
    """Return the number of sequential messages of a step, and its bytes through one link.

    A broadcast follows a tree, the gather ends at one process, and gloo's all-reduce sends p
    segments around a ring, once to add them up and once to collect them.
    """
    if p == 1:
        return 0.0, 0.0
    depth = math.ceil(math.log2(p))
    batch, sums = 4 * B * (H + 4), 8 * B
    messages = 2 * depth + (p - 1) + 2 * (p - 1)
    moved = depth * (batch + sums) + (p - 1) * 2 * sums + 2 * 4 * B * H * (p - 1) / p
    return messages, moved


def step_seconds(costs: Costs, V: int, H: int, B: int, p: int, D: int = 300) -> tuple[float, float]:
    """Return the seconds of a step's products, and of its exchanges.

    The three products of 2 V H B operations each are shared by p workers; the three of the hidden
    layer, 2 D H B each, are computed by process 0 alone.
    """
    messages, moved = features(B, H, p)
    products = 6 * H * B * (V / p + D) / costs.products
    return products, messages * costs.latency + moved * costs.seconds_per_byte


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _exchange_alone(rank: int, size: int, port: int, found: "multiprocessing.Queue[float]") -> None:
    """Run the exchanges of a step without its products, for each case."""
    from embedder.training.distributed.exchange import Exchange

    exchange = Exchange(rank, size, "127.0.0.1", port, "127.0.0.1", 60.0)
    for B, H in _CASES:
        message = np.zeros(4 * B * (H + 4), np.uint8)
        sums, everyones, merged = np.zeros((2, B)), np.zeros((size, 2, B)), np.zeros(B)
        d_features, total = np.zeros((B, H), np.float32), np.zeros((B, H), np.float32)
        seconds = []
        for _ in range(_REPEATS):
            started = time.perf_counter()
            exchange.broadcast(message)
            exchange.gather(sums, everyones)
            exchange.broadcast(merged)
            exchange.add_up(d_features, total)
            seconds.append(time.perf_counter() - started)
        if rank == 0:
            found.put(statistics.median(seconds[50:]))
    exchange.close()


def _measure_exchange(size: int) -> list[float]:
    context = multiprocessing.get_context("spawn")
    found = context.Queue()
    port = _free_port()
    processes = [
        context.Process(target=_exchange_alone, args=(rank, size, port, found))
        for rank in range(size)
    ]
    for process in processes:
        process.start()
    seconds = [found.get(timeout=120) for _ in _CASES]
    for process in processes:
        process.join()
    return seconds


def exchange() -> None:
    """Print the exchange time of a step for each case, and the fitted latency and bandwidth."""
    rows, seconds = [], []
    print("| workers | B | H | bytes per step | exchange, ms |\n|--:|--:|--:|--:|--:|")
    for size in _WORKERS:
        for (B, H), found in zip(_CASES, _measure_exchange(size), strict=True):
            rows.append(features(B, H, size))
            seconds.append(found)
            print(f"| {size} | {B:,} | {H} | {8 * B * (H + 5):,} | {1e3 * found:.2f} |")
    A, b = np.array(rows), np.array(seconds)
    weights = 1 / b  # relative errors
    latency, seconds_per_byte = np.linalg.lstsq(A * weights[:, None], b * weights, rcond=None)[0]
    fitted = A @ [latency, seconds_per_byte]
    error = statistics.median(np.abs(fitted / b - 1))
    print(
        f"\nfit: {1e6 * latency:.0f} µs per message, {1e-9 / seconds_per_byte:.2f} GB/s; "
        f"median deviation {error:.0%}"
    )


def _zipf_text(words: int, tokens: int) -> Iterator[str]:
    """Yield sentences of generated words with Zipfian frequencies, each word at least twice."""
    rng = np.random.default_rng(1)
    shares = 1 / np.arange(1, words + 1)
    drawn = rng.choice(words, tokens - 2 * words, p=shares / shares.sum())
    ids = rng.permutation(np.concatenate([drawn, np.repeat(np.arange(words), 2)]))
    for start in range(0, len(ids), 20):
        yield " ".join(f"w{i}" for i in ids[start : start + 20]) + "\n"


def throughput(V: int, H: int, B: int, repeats: int) -> None:
    """Train with both engines in turn; print their words per second and the median ratio."""
    ratios = []
    with tempfile.TemporaryDirectory() as folder:
        text = Path(folder) / "text.txt"
        with text.open("w") as file:
            file.writelines(_zipf_text(V, 20 * V))
        config = {
            "corpus": {"files": [str(text)]},
            "vocabulary": {"min_count": 1},
            "network": {"dimension": H, "hidden": H, "initialisation": "random"},
            "training": {"batch_size": B, "passes": 1, "checkpoint_every": 0},
        }
        settings = Path(folder) / "config.yaml"
        settings.write_text(json.dumps(config))
        for _ in range(repeats):
            rates = {}
            for name, options in (
                ("one process", ["--threads", "2"]),
                ("two workers", ["--engine", "ray", "--workers", "2", "--threads", "1"]),
            ):
                run = Path(folder) / "run"
                program = str(Path(sys.executable).with_name("embedder"))
                command = [program, "train", str(settings), "--quiet", "--overwrite"]
                command += ["--output", str(run), *options]
                subprocess.run(command, check=True)
                lines = (run / "metrics.jsonl").read_text().splitlines()
                rates[name] = json.loads(lines[-1])["words_per_second"]
            ratios.append(rates["two workers"] / rates["one process"])
            print(", ".join(f"{k} {v:,.0f} words/s" for k, v in rates.items()), ratios[-1])
            from safetensors import safe_open

            with safe_open(run / "model.safetensors", "np") as model:
                metadata = model.metadata()
            print({k: v for k, v in metadata.items() if k.startswith(("exchange", "trained"))})
    print(f"median ratio {statistics.median(ratios):.3f}")


def predict(costs: Costs, V: int, H: int) -> None:
    """Print a table of step times for several clusters and batches."""
    print("| machines | B | products, ms | exchange, ms | share of exchange | rows/s |")
    print("|--:|--:|--:|--:|--:|--:|")
    for p in (1, 8, 64, 256):
        for B in (1024, 4096, 16384):
            products, moving = step_seconds(costs, V, H, B, p)
            both = products + moving
            print(
                f"| {p} | {B:,} | {1e3 * products:,.1f} | {1e3 * moving:.1f} | "
                f"{moving / both:.0%} | {B / both:,.0f} |"
            )


def main() -> None:
    """Run the measurement that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("what", choices=["throughput", "exchange", "predict"])
    parser.add_argument("--words", type=int, default=100_000)
    parser.add_argument("--hidden", type=int, default=300)
    parser.add_argument("--batch", type=int, default=1024)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--latency", type=float, default=50e-6, help="Seconds per message.")
    parser.add_argument("--bandwidth", type=float, default=1.25e9, help="Bytes per second.")
    parser.add_argument("--products", type=float, default=1e12, help="Operations per second.")
    given = parser.parse_args()
    if given.what == "throughput":
        throughput(given.words, given.hidden, given.batch, given.repeats)
    elif given.what == "exchange":
        exchange()
    else:
        costs = Costs(given.latency, 1 / given.bandwidth, given.products)
        predict(costs, 2_000_000 if given.words == 100_000 else given.words, given.hidden)


if __name__ == "__main__":
    main()
