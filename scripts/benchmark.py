"""How close the training step comes to the machine's matrix-product rate, and what the rest costs.

    python scripts/benchmark.py --json benchmark.json --plot benchmark.png

Prints, all from one run: the rate of a 4096³ single-precision matrix product; the step's rate,
counted as 6·B·H·V floating-point operations (three products; softmax, targets and optimizer are not
counted), next to the same step in plain NumPy and, if installed, in PyTorch; the step's rate on
windows of text, by loss, and by number of threads, also beside other programs; the time of
analogies and neighbours; and the time and peak memory of a whole training run. Most figures are
medians of several repetitions. The benchmark takes a quarter of an hour; `--quick` two minutes.
"""

import argparse
import json
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, get_args

import numpy as np
import scipy.linalg
from threadpoolctl import threadpool_limits

from embedder.arrays import Array
from embedder.config_sections.network import LossConfig, NetworkConfig
from embedder.config_sections.training import TrainingConfig
from embedder.evaluation.analogies import Method, evaluate_analogies
from embedder.evaluation.questions import Question, Section
from embedder.examples.batches import one_hot, target_rows
from embedder.examples.cells import Cooccurrences
from embedder.kernels.threads import available_threads, kernel_threads
from embedder.network.composition import OwnRows
from embedder.network.losses import make_loss
from embedder.network.losses.classes import with_class_rows
from embedder.network.network import Network
from embedder.network.optimizer import Optimizer
from embedder.network.parameters import Parameters, Start, initial_parameters
from embedder.runs.checkpoint import load_model
from embedder.text.vocabulary import Vocabulary
from embedder.vectors.word_vectors import WordVectors

CELLS_PER_ROW = 1000
"""The average number of contexts of a word in a 17-million-token corpus."""
SHAPES = [
    (V, H, B) for V in (10_000, 30_000, 100_000, 400_000) for H in (100, 300) for B in (256, 1024)
]
QUICK_SHAPES = [(30_000, H, 1024) for H in (100, 300)]
WINDOWS_SHAPES = [(30_000, 100, 1024), (400_000, 100, 1024)]
WINDOW = 10
SCALING_SHAPE = (30_000, 300, 1024)


def median_seconds(call: Callable[[], object], least: float = 2.0) -> float:
    """Return the median time of a call, repeated for `least` seconds and at least three times."""
    call()
    times: list[float] = []
    while len(times) < 3 or sum(times) < least:
        started = time.perf_counter()
        call()
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def matrix_product_rate(threads: int) -> float:
    """Return GFLOP/s of a 4096³ product with SciPy's BLAS, which the kernels call."""
    n = 4096
    a, b, c = (
        np.asfortranarray(np.random.default_rng(0).random((n, n), np.float32)) for _ in "abc"
    )

    def product() -> None:
        scipy.linalg.blas.sgemm(1.0, a, b, c=c, overwrite_c=True)

    with threadpool_limits(threads, "blas"):
        return 2 * n**3 / median_seconds(product) / 1e9


class Case:
    """A network, a batch and its targets, shared by all implementations."""

    def __init__(self, V: int, H: int, B: int) -> None:
        rng = np.random.default_rng(0)
        self.B = B
        columns = rng.integers(0, V, (B, CELLS_PER_ROW), np.int32)
        columns.sort(axis=1)
        weights = rng.random(columns.size, np.float32) / CELLS_PER_ROW
        offsets = np.full(V + 1, columns.size, np.int64)
        offsets[: B + 1] = np.arange(B + 1) * CELLS_PER_ROW
        self.counts = Cooccurrences(offsets, columns.reshape(-1), weights)
        self.totals = np.zeros(V)
        self.totals[:B] = weights.reshape(B, -1).sum(1)
        self.config = NetworkConfig(dimension=H, hidden=H)
        start = Start(np.ones(V), np.arange(V), OwnRows(V))
        self.parameters = initial_parameters(self.config, start, rng)
        self.rows = np.arange(B)


def embedder_step(case: Case) -> Callable[[], object]:
    """Return the step of this package."""
    parameters = Parameters(*(array.copy() for array in case.parameters))
    network = Network(case.config, parameters, case.B)
    optimizer = Optimizer(parameters, TrainingConfig())
    targets = target_rows(case.counts, case.totals, case.rows, np.ones(case.B))
    inputs = case.rows[:, None]
    return lambda: network.step(inputs, targets, optimizer, 10, 1e-3)


def numpy_step(case: Case) -> Callable[[], object]:
    """Return the step in plain NumPy."""
    E, W1, b1, W2, b2 = (array.copy() for array in case.parameters)
    learned = {"W1": W1, "b1": b1, "W2": W2, "b2": b2}
    moments = {name: (np.zeros_like(p), np.zeros_like(p)) for name, p in learned.items()}
    e_first, e_second = np.zeros_like(E), np.zeros_like(E)
    rows, n = case.rows, case.totals[: case.B, None].astype(np.float32)
    example = np.repeat(np.arange(case.B), CELLS_PER_ROW)
    column, weight = case.counts.columns, case.counts.weights

    def adam(p: Array, g: Array, m: Array, s: Array) -> None:
        m += np.float32(0.1) * (g - m)
        s += np.float32(0.001) * (g * g - s)
        p -= np.float32(1e-3) * m / (np.sqrt(s) + np.float32(1e-8))

    def step() -> float:
        x = E[rows]
        a = 1 / (1 + np.exp(-(x @ W1 + b1)))
        h = a - np.float32(0.5)
        theta = h @ W2.T + b2
        theta -= theta.max(1, keepdims=True)
        y = np.exp(theta)
        sums = y.sum(1, keepdims=True)
        loss = float((n * np.log(sums)).sum() - (weight * theta[example, column]).sum())
        d_theta = y * (n / sums)
        np.subtract.at(d_theta, (example, column), weight)
        d_h = d_theta @ W2
        d_r = d_h * a * (1 - a)
        d_x = d_r @ W1.T
        gradients = {"W1": x.T @ d_r, "b1": d_r.sum(0), "W2": d_theta.T @ h, "b2": d_theta.sum(0)}
        for name, p in learned.items():
            adam(p, gradients[name], *moments[name])
        own, first, second = E[rows], e_first[rows], e_second[rows]
        adam(own, d_x, first, second)
        E[rows], e_first[rows], e_second[rows] = own, first, second
        return loss

    return step


def torch_step(case: Case, threads: int) -> Callable[[], object] | None:
    """Return the step in PyTorch; None if it is not installed."""
    try:
        import torch
    except ImportError:
        return None
    torch.set_num_threads(threads)
    tensors = [torch.from_numpy(array.copy()) for array in case.parameters]
    table = torch.nn.Embedding.from_pretrained(tensors[0], freeze=False, sparse=True)
    W1, b1, W2, b2 = (torch.nn.Parameter(tensor) for tensor in tensors[1:])
    dense = torch.optim.Adam([W1, b1, W2, b2], lr=1e-3, fused=True)
    sparse = torch.optim.SparseAdam(table.parameters(), lr=1e-3)
    rows = torch.from_numpy(case.rows)
    n = torch.from_numpy(case.totals[: case.B].astype(np.float32))
    column = torch.from_numpy(case.counts.columns.astype(np.int64)).reshape(case.B, -1)
    weight = torch.from_numpy(case.counts.weights).reshape(case.B, -1)

    def step() -> float:
        dense.zero_grad()
        sparse.zero_grad()
        h = torch.sigmoid(table(rows) @ W1 + b1) - 0.5
        theta = torch.nn.functional.linear(h, W2, b2)
        loss = (n * theta.logsumexp(1)).sum() - (weight * theta.gather(1, column)).sum()
        loss.backward()
        dense.step()
        sparse.step()
        return float(loss.item())

    return step


def measure_steps(shapes: list[tuple[int, int, int]], peak: float) -> list[dict[str, Any]]:
    """Print and return the step's rates, next to those of the plain implementations."""
    threads = available_threads()
    print(f"\n{'V':>8} {'H':>4} {'B':>5} {'GFLOP/s':>8} {'of peak':>8} {'words/s':>8}", end="")
    print(f" {'× NumPy':>8} {'× PyTorch':>9}")
    results = []
    for V, H, B in shapes:
        case = Case(V, H, B)
        with kernel_threads(threads):
            seconds = {"embedder": median_seconds(embedder_step(case))}
        seconds["numpy"] = median_seconds(numpy_step(case), least=1.0)
        step = torch_step(case, threads)
        if step:
            seconds["torch"] = median_seconds(step, least=1.0)
        rate = 6 * V * H * B / seconds["embedder"] / 1e9
        results.append(
            {"V": V, "H": H, "B": B, "seconds": seconds, "gflops": rate, "of_peak": rate / peak}
        )
        slower = [seconds.get(name, np.nan) / seconds["embedder"] for name in ("numpy", "torch")]
        print(f"{V:8,} {H:4} {B:5} {rate:8.0f} {rate / peak:8.2f} {B / seconds['embedder']:8,.0f}",
              f"{slower[0]:8.1f} {slower[1]:9.1f}", flush=True)  # fmt: skip
    return results


def measure_windows(shape: tuple[int, int, int], peak: float) -> list[dict[str, Any]]:
    """Print and return the step's rates on windows of ten words, by loss.

    Sampled losses as in configs/books-cbow.yaml: with Adafactor, and without a hidden layer.
    """
    V, H, B = shape
    threads = available_threads()
    print(f"\nwindows of {WINDOW} words (V = {V:,}, H = {H}, B = {B}): examples/s, of peak")
    results = []
    rng = np.random.default_rng(0)
    contexts, words = (zipf_draws(rng, V, size).astype(np.int32) for size in ((B, WINDOW), B))
    counts = (1e7 * zipf_weights(V)).astype(np.int64)
    for name in ("softmax", "class-softmax", "sampled-softmax", "negative-sampling"):
        loss_config = LossConfig(name=name)
        is_exact = name in ("softmax", "class-softmax")
        config = NetworkConfig(
            input="mean", dimension=H, hidden=H, activation="sigmoid" if is_exact else "identity"
        )
        training = TrainingConfig()
        if not is_exact:
            training = TrainingConfig(optimizer="adafactor", hidden_rate_factor=0.0)
        start = Start(counts, np.arange(V), OwnRows(V))
        parameters = initial_parameters(config, start, rng)
        parameters = with_class_rows(loss_config, counts, parameters)
        optimizer = Optimizer(parameters, training, "windows")
        loss = make_loss(loss_config, counts, parameters, B, 0)
        network = Network(config, parameters, B, loss)
        batches = [(contexts, one_hot(words))] * network.steps_at_once
        rates = [1e-3] * len(batches)
        with kernel_threads(threads):
            seconds = median_seconds(partial(network.steps, batches, optimizer, 10, rates))
        seconds /= len(batches)
        of_peak = 6 * V * H * B / seconds / 1e9 / peak
        rate = B / seconds
        results.append({"V": V, "loss": name, "examples_per_second": rate, "of_peak": of_peak})
        share = f"{of_peak:5.2f}" if name == "softmax" else ""
        print(f"  {name:18} {rate:10,.0f} {share}", flush=True)
    return results


def measure_scaling() -> list[dict[str, float]]:
    """Print and return the step's rate on 1 … all threads."""
    V, H, B = SCALING_SHAPE
    print(f"\nthreads  GFLOP/s  (V = {V:,}, H = {H}, B = {B})")
    case = Case(V, H, B)
    results = []
    for threads in range(1, available_threads() + 1):
        with kernel_threads(threads):
            rate = 6 * V * H * B / median_seconds(embedder_step(case)) / 1e9
        results.append({"threads": threads, "gflops": rate})
        print(f"{threads:7}  {rate:7.0f}", flush=True)
    return results


def zipf_weights(words: int) -> Array:
    """Return the relative frequency of each word, up to a constant factor."""
    return np.asarray(1 / np.arange(10, words + 10))


def zipf_draws(rng: np.random.Generator, words: int, size: int | tuple[int, ...]) -> Array:
    """Return word ids drawn from a Zipf distribution."""
    weights = zipf_weights(words)
    return np.searchsorted(np.cumsum(weights) / weights.sum(), rng.random(size))


def write_zipf_corpus(path: Path, tokens: int) -> None:
    """Write words drawn from a Zipf distribution over 200,000 words, twenty per line."""
    rng = np.random.default_rng(0)
    words = np.char.add("w", np.arange(200_000).astype(str))
    with path.open("w", encoding="utf-8") as file:
        for _ in range(tokens // 1_000_000):
            lines = words[zipf_draws(rng, len(words), 1_000_000)].reshape(-1, 20)
            file.writelines(" ".join(line) + "\n" for line in lines)


def measure_training(corpus: Path | None, tokens: int) -> dict[str, float]:
    """Print and return seconds by stage and peak memory of one pass with V = 30,000."""
    with tempfile.TemporaryDirectory() as folder:
        if corpus is None:
            corpus = Path(folder) / "zipf.txt"
            write_zipf_corpus(corpus, tokens)
        run = Path(folder) / "run"
        config = Path(folder) / "config.yaml"
        config.write_text(
            f"corpus: {{files: [{json.dumps(str(corpus))}], tokenizer: whitespace,"
            " lowercase: false}\n"
            "vocabulary: {max_size: 30000}\ntraining: {passes: 1}\noutput: unused\n"
        )
        program = [sys.executable, "-c", "from embedder.cli import main; main()"]
        train = [*program, "train", str(config), "--output", str(run), "--quiet", "--overwrite"]
        for _ in range(2):  # the first run includes compiling the kernels
            started = time.perf_counter()
            subprocess.run(train, check=True)
            whole = time.perf_counter() - started
        metadata = load_model(run).metadata
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    if sys.platform == "darwin":
        peak //= 1024  # macOS reports bytes
    seconds = {name: float(value) for name, value in metadata["seconds"].items()}
    tokens = int(metadata["tokens"])
    print(f"one pass over {tokens:,} tokens, 30,000 words, H = 100, B = 256:")
    for name, value in seconds.items():
        print(f"  {name:15} {value:6.2f} s")
    print(f"  {'whole process':15} {whole:6.2f} s")
    print(f"  reading and encoding {tokens / seconds['reading'] / 1e6:.1f} M tokens/s")
    print(f"  peak memory {peak / 2**20:,.0f} MiB")
    return seconds | {"whole": whole, "tokens": tokens, "peak_bytes": peak}


def measure_search(questions: int, words: int, peak: float) -> dict[str, float]:
    """Time analogies among 300,000 random vectors and neighbours of 1,000 words, D = 300."""
    rng = np.random.default_rng(0)

    def vectors(V: int) -> WordVectors:
        matrix = rng.standard_normal((V, 300), np.float32)
        found = WordVectors(Vocabulary([f"w{i}" for i in range(V)], np.ones(V)), matrix)
        _ = found.lengths  # computed once, outside the measurement
        return found

    few = vectors(300_000)
    drawn = rng.integers(0, len(few), (questions, 4))
    asked = [Question(f"w{a}", f"w{b}", f"w{c}", (f"w{d}",)) for a, b, c, d in drawn]
    sections = [Section("all", asked)]
    seconds: dict[str, float] = {}
    for method in get_args(Method):
        started = time.perf_counter()
        evaluate_analogies(few, sections, method)
        seconds[method] = time.perf_counter() - started
    many = vectors(words)
    names = [f"w{i}" for i in rng.choice(words, 1000, replace=False)]
    seconds["neighbors"] = median_seconds(lambda: many.neighbors_of(names, 10))
    seconds["one word"] = median_seconds(lambda: many.neighbors_of(names[:1], 10))
    rate = 2 * 1000 * words * 300 / seconds["neighbors"] / 1e9
    print(f"\nsearch, D = 300: {questions:,} analogies among 300,000 words:")
    for method in get_args(Method):
        print(f"  {method:15} {seconds[method]:6.2f} s")
    print(f"the ten nearest among {words:,} words:")
    print(f"  of 1,000 words  {seconds['neighbors']:6.2f} s, {rate / peak:.2f} of the product rate")
    print(f"  of one word     {seconds['one word']:6.2f} s")
    return seconds


def plot(results: dict[str, Any], path: Path) -> None:
    """Plot the step's share of the matrix-product rate, by size."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    peak = results["matrix_product_gflops"]
    steps = results["steps"]
    for H, B in sorted({(step["H"], step["B"]) for step in steps}):
        own = [step for step in steps if (step["H"], step["B"]) == (H, B)]
        V = [step["V"] for step in own]
        color = axes.plot(V, [s["of_peak"] for s in own], "o-", label=f"H = {H}, B = {B}")[0]
        for name, style in (("torch", "--"), ("numpy", ":")):
            if name in own[0]["seconds"]:
                rates = [6 * s["V"] * H * B / s["seconds"][name] / 1e9 / peak for s in own]
                axes.plot(V, rates, style, color=color.get_color())
    axes.set(
        xscale="log",
        ylim=(0, 1),
        xlabel="vocabulary",
        ylabel=f"share of the matrix-product rate ({peak:.0f} GFLOP/s)",
        title="One training step: embedder (—), PyTorch (– –), NumPy (···)",
    )
    axes.legend()
    figure.savefig(path, dpi=150)


def main() -> None:
    """Run all measurements and write the requested files."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    parser.add_argument("--plot", type=Path, help="plot to this PNG or SVG file (needs matplotlib)")
    parser.add_argument("--corpus", type=Path, help="a text file, instead of generated text")
    parser.add_argument("--quick", action="store_true", help="two sizes and a small corpus")
    options = parser.parse_args()
    from benchmark_load import measure_load  # which imports this script

    threads = available_threads()
    print(f"{platform.processor() or platform.machine()}, {threads} threads")
    # First, because the peak memory of a child process starts at that of its parent.
    training = measure_training(options.corpus, 2_000_000 if options.quick else 20_000_000)
    peak = matrix_product_rate(threads)
    print(f"\n4096³ matrix product: {peak:.0f} GFLOP/s; on one thread {matrix_product_rate(1):.0f}")
    results: dict[str, Any] = {
        "threads": threads,
        "matrix_product_gflops": peak,
        "steps": measure_steps(QUICK_SHAPES if options.quick else SHAPES, peak),
        "windows": [
            row
            for shape in WINDOWS_SHAPES[: 1 if options.quick else None]
            for row in measure_windows(shape, peak)
        ],
        "scaling": measure_scaling(),
        "load": measure_load(1 if options.quick else 3),
        "search": measure_search(
            2_000 if options.quick else 19_544, 100_000 if options.quick else 1_000_000, peak
        ),
        "training": training,
    }
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    if options.plot:
        plot(results, options.plot)


if __name__ == "__main__":
    main()
