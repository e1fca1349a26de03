import numpy as np
from numba import njit

from embedder.kernels.exp import exp


@njit
def exp_all(x, out):
    for i in range(len(x)):
        out[i] = exp(x[i])


def test_float32_is_right_to_two_parts_in_ten_million():
    x = np.linspace(-87, 88, 1_000_003, dtype=np.float32)
    out = np.empty_like(x)
    exp_all(x, out)
    assert np.abs(out / np.exp(x.astype(np.float64)) - 1).max() < 2e-7


def test_float32_is_clamped_beyond_its_range():
    x = np.array([-np.inf, -1e30, -88, 89, 1e30, np.inf], np.float32)
    out = np.empty_like(x)
    exp_all(x, out)
    assert (out[:3] < 2e-38).all()
    assert (out[3:] > 1e38).all()
    assert np.isfinite(out).all()


def test_float64_is_numpys():
    x = np.linspace(-700, 700, 1001)
    out = np.empty_like(x)
    exp_all(x, out)
    np.testing.assert_allclose(out, np.exp(x), rtol=1e-15)
