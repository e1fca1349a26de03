"""A hint to the processor that an address will be read soon."""

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic


@intrinsic
def prefetch(typing_context, array, index):
    """Start to fetch the cache line of ``array[index]``, one-dimensional and contiguous.

    A hint only: an index out of range reads nothing and fails nothing.
    """

    def generate(context, builder, signature, arguments):
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        address = builder.bitcast(
            builder.gep(data, [arguments[1]]), cgutils.voidptr_t
        )
        hint = cgutils.get_or_insert_function(
            builder.module,
            ir.FunctionType(ir.VoidType(), [cgutils.voidptr_t] + [cgutils.int32_t] * 3),
            "llvm.prefetch.p0",
        )
        read, keep, of_data = (cgutils.int32_t(value) for value in (0, 3, 1))
        builder.call(hint, [address, read, keep, of_data])
        return context.get_dummy_value()

    return types.void(array, types.intp), generate
