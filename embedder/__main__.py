"""`python -m embedder`: the same program as `embedder`."""

from embedder.cli import main

main(prog_name="python -m embedder")
