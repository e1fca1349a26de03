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
    found = run_program(program, tmp_path)
    assert found.stdout == "trained\n", found.stderr


WORDS = 60_000
MEMORY_LIMIT = 100 << 20
MARGIN = 64 << 20
"""For what is not counted by a limit: the words as Python strings, and buffers of threads."""


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs RLIMIT_DATA and /proc")
@pytest.mark.parametrize("limited", [True, False])
def test_all_stages_from_counting_to_the_fit_of_rows_keep_the_memory_limit(tmp_path, limited):
    """Private memory; the counts are memory-mapped. Without the limit, the same fails."""
    limit = MEMORY_LIMIT if limited else None
    program = f"""
        import resource
        import numpy as np
        from embedder.config_files import make_config
        from embedder.training.train import train

        def run(path, limit):
            train(make_config({{
                "corpus": {{"files": [path], "tokenizer": "whitespace"}},
                "vocabulary": {{"subsample": 0.0, "min_count": 1}},
                "examples": {{"contexts": 1000, "context_classes": 100, "near_contexts": 1000}},
                "network": {{"dimension": 8, "hidden": 8}},
                "training": {{"passes": 1, "joint_rows": 2000, "threads": 2,
                             "memory_limit": limit}},
                "output": path + "-run",
            }}, "test"), quiet=True)

        def write(path, words, lines):
            rng = np.random.default_rng(0)
            with open(path, "w") as file:
                file.write(" ".join(f"w{{i}}" for i in range(words)) + "\\n")
                for _ in range(lines):
                    ids = np.exp(rng.random(100_000) * np.log(words)).astype(int)
                    file.write(" ".join(f"w{{i}}" for i in ids) + "\\n")

        write("short", 3000, 1)
        write("long", {WORDS}, 40)
        run("short", 1 << 30)  # compiles, and starts the threads
        (line,) = [line for line in open("/proc/self/status") if line.startswith("VmData")]
        most = 1024 * int(line.split()[1]) + {MEMORY_LIMIT + MARGIN}
        resource.setrlimit(resource.RLIMIT_DATA, (most, most))
        try:
            run("long", {limit})
            print("trained")
        except MemoryError:
            print("out of memory")
    """
    found = run_program(program, tmp_path)
    assert found.stdout == ("trained\n" if limited else "out of memory\n"), found.stderr


def run_program(program, folder):
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
