import subprocess
import sys
import textwrap

import pytest

TOKENS = 8_000_000
HEADROOM = 160 << 20


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs RLIMIT_AS and /proc")
def test_a_long_text_trains_within_a_limit_on_address_space(tmp_path):
    """All its windows would take 350 MB; its words as Python strings, even more."""
    program = f"""
        import resource
        import numpy as np
        from embedder.config_files import make_config
        from embedder.training.train import train

        def run(path, output):
            train(make_config({{
                "corpus": {{"files": [path], "tokenizer": "whitespace"}},
                "vocabulary": {{"subsample": 0.0}},
                "examples": {{"source": "windows", "shuffle_tokens": 500_000}},
                "network": {{"input": "mean", "dimension": 4, "hidden": 4}},
                "loss": {{"name": "negative-sampling", "samples": 8}},
                "training": {{"passes": 1, "batch_size": 16384, "threads": 2}},
                "validation": {{"split": [60_000, 1000]}} if path == "short" else {{}},
                "output": output,
            }}, "test"), quiet=True)

        words = np.array([f"w{{i}}" for i in range(300)])
        rng = np.random.default_rng(0)

        def write(path, lines):
            with open(path, "w") as file:
                for _ in range(lines):
                    file.write(" ".join(words[rng.integers(0, 300, 100_000)]) + "\\n")

        write("short", 1)
        write("long", {TOKENS} // 100_000)
        run("short", "warm")  # compiles, and starts the threads
        size = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
        limit = size + 4 * {TOKENS} + {HEADROOM}  # the memory-mapped ids count as well
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        run("long", "run")
        print("trained")
    """
    found = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.stdout == "trained\n", found.stderr
