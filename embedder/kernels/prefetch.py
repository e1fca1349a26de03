"""A hint to the processor that an address will be read soon."""

from typing import Any

from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

_BYTES_PER_LINE = 64
_TO_READ, _KEEP_IN_CACHE, _DATA = 0, 3, 1


def _define_prefetch(typing_context, array, offset):
    """Prefetch the cache line of the byte at an offset from the start of an array."""

    def generate(context, builder, signature, arguments):
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        address = builder.gep(builder.bitcast(data, cgutils.voidptr_t), [arguments[1]])
        function = cgutils.get_or_insert_function(
            builder.module,
            ir.FunctionType(ir.VoidType(), [cgutils.voidptr_t, *[cgutils.int32_t] * 3]),
            "llvm.prefetch.p0",
        )
        options = [cgutils.int32_t(value) for value in (_TO_READ, _KEEP_IN_CACHE, _DATA)]
        builder.call(function, [address, *options])
        return context.get_dummy_value()

    return types.void(array, types.intp), generate


_prefetch_byte: Any = intrinsic(_define_prefetch)


@njit(inline="always")
def prefetch(array, index):
    """Prefetch the cache line of ``array[index]``, of a one-dimensional contiguous array.

    This is only a hint; an index out of range has no effect.
    """
    _prefetch_byte(array, index * array.itemsize)


@njit(inline="always")
def prefetch_row(table, row):
    """Prefetch a row of a contiguous table (V, D)."""
    size = table.shape[1] * table.itemsize
    for offset in range(0, size, _BYTES_PER_LINE):
        _prefetch_byte(table, row * size + offset)
