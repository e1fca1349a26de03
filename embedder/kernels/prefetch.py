"""A hint to the processor that an address will be read soon."""

from typing import Any

from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

_NUMBERS_PER_LINE = 16
"""Number of float32 per cache line; for float64, every other line is prefetched."""
_TO_READ, _KEEP_IN_CACHE, _DATA = 0, 3, 1


def _prefetch(typing_context, array, index):
    """Prefetch the cache line of ``array[index]``, of a one-dimensional contiguous array.

    This is only a hint; an index out of range has no effect.
    """

    def generate(context, builder, signature, arguments):
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        address = builder.bitcast(builder.gep(data, [arguments[1]]), cgutils.voidptr_t)
        function = cgutils.get_or_insert_function(
            builder.module,
            ir.FunctionType(ir.VoidType(), [cgutils.voidptr_t, *[cgutils.int32_t] * 3]),
            "llvm.prefetch.p0",
        )
        options = [cgutils.int32_t(value) for value in (_TO_READ, _KEEP_IN_CACHE, _DATA)]
        builder.call(function, [address, *options])
        return context.get_dummy_value()

    return types.void(array, types.intp), generate


prefetch: Any = intrinsic(_prefetch)


@njit(inline="always")
def prefetch_row(table, row):
    """Prefetch a row of a contiguous table (V, D)."""
    flat = table.reshape(-1)
    size = table.shape[1]
    for j in range(0, size, _NUMBERS_PER_LINE):
        prefetch(flat, row * size + j)
