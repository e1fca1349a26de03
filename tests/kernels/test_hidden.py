import naive
import numpy as np
import pytest

from embedder.kernels.hidden import hidden_backward, hidden_forward
from embedder.kernels.threads import kernel_threads
from embedder.network.activation import SLOPES, activate, kernel_constant

SIZES = [(1, 1, 1, 1), (127, 5, 3, 2), (128, 4, 9, 3), (129, 3, 4, 5), (400, 6, 5, 2)]


@pytest.mark.parametrize("direct", [False, True])
@pytest.mark.parametrize("activation", SLOPES)
@pytest.mark.parametrize(("B", "D", "H", "threads"), SIZES)
def test_forward_and_backward_agree_with_numpy(rng, activation, direct, B, D, H, threads):
    code = kernel_constant(activation)
    x, W1, b1 = rng.normal(size=(B, D)), rng.normal(size=(D, H)), rng.normal(size=H)
    features = np.empty((B, H + D if direct else H))
    with kernel_threads(threads):
        hidden_forward(x, W1, b1, code, features)
    expected = naive.hidden_forward(x, W1, b1, activation, direct)
    np.testing.assert_allclose(features, expected, rtol=1e-12, atol=1e-12)
    d_features = rng.normal(size=features.shape)
    found = np.empty_like(x), np.empty_like(W1), np.empty_like(b1)
    with kernel_threads(threads):
        hidden_backward(x, W1, features, d_features, code, found)
    expected = naive.hidden_backward(x, W1, b1, d_features, activation, direct)
    for mine, true in zip(found, expected, strict=True):
        np.testing.assert_allclose(mine, true, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("activation", SLOPES)
def test_the_numpy_form_for_reading_vectors_is_the_kernels(rng, activation):
    r = np.r_[rng.normal(size=50) * 5, -1000.0, 1000.0]
    features = np.empty((1, len(r)))
    code = kernel_constant(activation)
    hidden_forward(np.zeros((1, 1)), np.zeros((1, len(r))), r, code, features)
    np.testing.assert_allclose(activate(r, activation), features[0], rtol=1e-12, atol=1e-15)
