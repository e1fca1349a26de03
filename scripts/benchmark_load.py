"""What the training step loses where other programs use the processor.

    python scripts/benchmark_load.py --repetitions 5 --json load.json

Times steps in processes of their own, in turn: on one thread and on all, alone and beside a process
that computes all the time; and in two processes at once, each on all threads. The share of the
processor that the other process leaves is computed from the processor time that it got.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

from benchmark import Case, embedder_step

from embedder.kernels.threads import available_threads, kernel_threads

SHAPE = (30_000, 100, 512)
_SECONDS = 4.0
_LOOP = "import time\nwhile True: print(time.process_time(), flush=True) or sum(range(10**6))"


class Rate(NamedTuple):
    """Steps a second, and processors that the process got."""

    steps: float
    processors: float


def measure(threads: int, seconds: float) -> Rate:
    """Return the rate of steps in this process."""
    with kernel_threads(threads):
        step = embedder_step(Case(*SHAPE))
        for _ in range(3):
            step()
        steps, processor, started = 0, time.process_time(), time.perf_counter()
        while time.perf_counter() - started < seconds:
            step()
            steps += 1
        elapsed = time.perf_counter() - started
        return Rate(steps / elapsed, (time.process_time() - processor) / elapsed)


def start(threads: int) -> "subprocess.Popen[str]":
    """Start a process that measures."""
    command = [sys.executable, __file__, "--worker", str(threads)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def rate_of(process: "subprocess.Popen[str]") -> Rate:
    """Return what a process has measured."""
    printed, _ = process.communicate()
    if process.returncode:
        raise SystemExit(f"A measurement failed with exit code {process.returncode}.")
    return Rate(*json.loads(printed))


def beside_a_loop(threads: int) -> tuple[Rate, float]:
    """Return the rate beside a process that computes, and how much of a processor that one got."""
    loop = subprocess.Popen([sys.executable, "-c", _LOOP], stdout=subprocess.PIPE, text=True)
    assert loop.stdout is not None
    before, started = float(loop.stdout.readline()), time.perf_counter()
    process = start(threads)
    last = before
    while process.poll() is None:
        last = float(loop.stdout.readline())
    taken = (last - before) / (time.perf_counter() - started)
    loop.kill()
    loop.communicate()
    return rate_of(process), taken


def measure_load(repetitions: int) -> dict[str, Any]:
    """Print and return the rates in all conditions, medians of some repetitions."""
    every = available_threads()
    found: dict[str, list[float]] = {}

    def add(name: str, value: float) -> None:
        found.setdefault(name, []).append(value)

    for _ in range(repetitions):
        for threads in (1, every):
            add(f"alone, {threads}", rate_of(start(threads)).steps)
            rate, taken = beside_a_loop(threads)
            add(f"beside a loop, {threads}", rate.steps)
            if threads == every:
                add("left", every - taken)
        pair = start(every), start(every)
        add("two at once", sum(rate_of(process).steps for process in pair))
    medians = {name: statistics.median(values) for name, values in found.items()}
    V, H, B = SHAPE
    print(f"\nsteps/s (V = {V:,}, H = {H}, B = {B}), medians of {repetitions}:")
    for name, value in medians.items():
        if name != "left":
            print(f"  {name:18} {value:6.2f}")
    gain = medians[f"beside a loop, {every}"] / medians["beside a loop, 1"]
    left = medians["left"]
    pair_share = medians["two at once"] / medians[f"alone, {every}"]
    print(f"  beside a loop, {every} threads are {gain:.2f} × one; it leaves {left:.2f} processors")
    print(f"  two at once make {pair_share:.2f} × the steps of one alone", flush=True)
    return medians


def main() -> None:
    """Measure, or be one of the processes that are measured."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    parser.add_argument("--worker", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        print(json.dumps(measure(options.worker, _SECONDS)))
        return
    medians = measure_load(options.repetitions)
    if options.json:
        options.json.write_text(json.dumps(medians, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
