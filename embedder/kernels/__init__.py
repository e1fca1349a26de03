"""Numba-compiled loops: arrays and scalars in, arrays and scalars out, no Python objects."""

from embedder.kernels.compiler import prepare_cache

prepare_cache()  # before the first kernel: each looks for its folder when it is defined
