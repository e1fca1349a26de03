import naive
import numpy as np
import pytest

from embedder.kernels.frozen import WORDS_PER_BLOCK, loss_of_inputs
from embedder.kernels.threads import kernel_threads
from embedder.network.activation import SLOPES, kernel_constant

SIZES = [(1, 1, 1, 1), (5, 4, 3, 7), (2 * WORDS_PER_BLOCK + 3, 3, 4, 512), (130, 5, 2, 1030)]


def problem(rng, n, D, H, C, direct=False, dtype=np.float64):
    F = H + D if direct else H
    shapes = (D, H), (H,), (C, F), (C,)
    parameters = tuple(rng.normal(size=shape).astype(dtype) for shape in shapes)
    y = rng.random((n, C)) * (rng.random((n, C)) < 0.3)
    y[:, 0] += 0.1
    return rng.normal(size=(n, D)).astype(dtype), parameters, y / y.sum(axis=1, keepdims=True)


def found(x, parameters, activation, y):
    _, _, W2, b2 = parameters
    targets = (y @ W2).astype(x.dtype), (y @ b2).astype(x.dtype)
    losses, d_x = np.empty(len(x)), np.empty_like(x)
    loss_of_inputs(x, parameters, kernel_constant(activation), targets, losses, d_x)
    return losses, d_x


@pytest.mark.parametrize("direct", [False, True])
@pytest.mark.parametrize("activation", SLOPES)
@pytest.mark.parametrize(("n", "D", "H", "C"), SIZES)
def test_losses_and_gradients_agree_with_the_twin(rng, activation, direct, n, D, H, C):
    x, parameters, y = problem(rng, n, D, H, C, direct)
    losses, d_x = found(x, parameters, activation, y)
    true_losses, true_d_x = naive.loss_of_inputs(x, parameters, activation, y, direct)
    np.testing.assert_allclose(losses, true_losses, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(d_x, true_d_x, rtol=1e-10, atol=1e-12)


def test_gradients_agree_with_finite_differences(rng):
    x, parameters, y = problem(rng, 9, 4, 6, 700)
    _, d_x = found(x, parameters, "sigmoid", y)
    for k in range(4):
        shift = 1e-6 * np.eye(4)[k]
        above, _ = found(x + shift, parameters, "sigmoid", y)
        below, _ = found(x - shift, parameters, "sigmoid", y)
        np.testing.assert_allclose((above - below) / 2e-6, d_x[:, k], atol=1e-8)


def test_single_precision_survives_large_logits_that_rise_from_block_to_block(rng):
    x, parameters, y = problem(rng, 20, 4, 3, 2000, dtype=np.float32)
    W1, b1, W2, b2 = parameters
    b2 += np.linspace(-300, 300, 2000, dtype=np.float32)
    losses, d_x = found(x, parameters, "tanh", y)
    doubles = tuple(array.astype(np.float64) for array in (W1, b1, W2, b2))
    true_losses, true_d_x = naive.loss_of_inputs(x.astype(np.float64), doubles, "tanh", y)
    np.testing.assert_allclose(losses, true_losses, rtol=1e-5)
    np.testing.assert_allclose(d_x, true_d_x, rtol=1e-3, atol=1e-4)


def test_the_number_of_threads_changes_no_bit(rng):
    x, parameters, y = problem(rng, 1000, 5, 4, 600, dtype=np.float32)
    results = []
    for threads in (1, 2):
        with kernel_threads(threads):
            results.append(found(x, parameters, "sigmoid", y))
    for one, two in zip(*results, strict=True):
        np.testing.assert_array_equal(one, two)
