"""An exponential function that vectorises."""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic, overload

# e^x = 2^n e^f with n = ⌊x log₂e + ½⌋ and |f| ≤ ½ ln 2. ln 2 is split in two so that x − n ln 2
# loses no bits; the polynomial is Cephes' minimax fit of (e^f − 1 − f)/f² (expf.c, Moshier).
_LOG2_E = np.float32(1.44269504)
_LN2_HIGH = np.float32(0.693359375)
_LN2_LOW = np.float32(-2.12194440e-4)
_P0 = np.float32(1.9875691500e-4)
_P1 = np.float32(1.3981999507e-3)
_P2 = np.float32(8.3334519073e-3)
_P3 = np.float32(4.1665795894e-2)
_P4 = np.float32(1.6666665459e-1)
_P5 = np.float32(5.0000001201e-1)
_LOWEST = np.float32(-87.0)  # below it, 2^n would be subnormal
_HIGHEST = np.float32(88.0)


@intrinsic
def _float32_of_bits(typing_context, bits):
    def generate(context, builder, signature, arguments):
        return builder.bitcast(arguments[0], ir.FloatType())

    return types.float32(types.int32), generate


@njit(inline="always")
def _exp_float32(x):
    x = min(max(x, _LOWEST), _HIGHEST)
    n = np.floor(x * _LOG2_E + np.float32(0.5))
    f = x - n * _LN2_HIGH
    f = f - n * _LN2_LOW
    p = _P0
    p = p * f + _P1
    p = p * f + _P2
    p = p * f + _P3
    p = p * f + _P4
    p = p * f + _P5
    p = p * f * f + f + np.float32(1.0)
    return p * _float32_of_bits((np.int32(n) + np.int32(127)) << np.int32(23))  # type: ignore[call-arg]


def exp(x: Any) -> Any:
    """Return e^x, for use inside kernels.

    float32: relative error below 2e-7 for −87 ≤ x ≤ 88, clamped outside; calls no math library, so
    that LLVM can vectorise loops over it (Numba's wheels contain no vectorised `exp`). float64:
    `np.exp`.
    """
    return np.exp(x)


@overload(exp, inline="always")
def _overload_exp(x):
    if x == types.float32:
        return lambda x: _exp_float32(x)
    return lambda x: np.exp(x)
