import naive
import numpy as np
import pytest

from embedder.kernels.optimizer import ADAM, GRADIENT, SGD, Rule
from embedder.kernels.softmax import (
    BLOCK_ROWS,
    OutputMoments,
    Targets,
    new_workspace,
    softmax_loss,
    softmax_step,
    step_output_rows,
)
from embedder.kernels.threads import kernel_threads

ODD_VOCABULARIES = [1, 2, BLOCK_ROWS - 1, BLOCK_ROWS, BLOCK_ROWS + 1, 3 * BLOCK_ROWS + 5]


def sparse(dense, scales, dtype=np.float64):
    """Targets whose scaled rows are `dense`."""
    rows, columns = np.nonzero(dense)
    ends = np.cumsum(np.bincount(rows, minlength=len(dense)))
    return Targets(
        np.r_[0, ends[:-1]],
        ends,
        columns.astype(np.int32),
        (dense[rows, columns] / scales[rows]).astype(dtype),
        scales.astype(dtype),
        dense.sum(1).astype(dtype),
    )


def example(rng, V, B, H, kind, dtype=np.float64):
    hidden = rng.normal(size=(B, H)).astype(dtype)
    W = rng.normal(size=(V, H)).astype(dtype)
    b = rng.normal(size=V).astype(dtype)
    if kind == "one-hot":
        dense = np.eye(V)[rng.integers(0, V, B)]
        scales = np.ones(B)
    else:
        dense = rng.random((B, V)) * (rng.random((B, V)) < 0.3)
        dense[:, rng.integers(0, V)] += 0.5
        scales = rng.uniform(0.1, 5.0, B)
    return hidden, W, b, dense, scales


def gradients(hidden, W, b, targets):
    moments = OutputMoments(np.zeros_like(W), W[:0], np.zeros_like(b), b[:0])
    d_hidden = np.empty_like(hidden)
    workspace = new_workspace(*W.shape, len(hidden), W.dtype.type)
    loss = softmax_loss(hidden, W, b, targets, workspace)
    rule = Rule(GRADIENT, 0.0, 0.0, 0.0, 0.0)
    softmax_step(W, b, targets, workspace, rule, moments, d_hidden)
    return loss, d_hidden, moments.weights_first, moments.bias_first


@pytest.mark.parametrize("kind", ["soft", "one-hot"])
@pytest.mark.parametrize("V", ODD_VOCABULARIES)
@pytest.mark.parametrize(("B", "H", "threads"), [(1, 1, 1), (5, 7, 2), (33, 3, 4)])
def test_loss_and_gradients_agree_with_numpy_in_float64(rng, kind, V, B, H, threads):
    hidden, W, b, dense, scales = example(rng, V, B, H, kind)
    with kernel_threads(threads):
        found = gradients(hidden, W, b, sparse(dense, scales))
    for mine, expected in zip(found, naive.softmax(hidden, W, b, dense), strict=True):
        np.testing.assert_allclose(mine, expected, rtol=1e-10, atol=1e-10)


def test_a_workspace_serves_any_smaller_batch(rng):
    W, b = rng.normal(size=(700, 6)), rng.normal(size=700)
    workspace = new_workspace(700, 6, 512, np.float64)  # rows of 4,096 bytes, so padded
    rule = Rule(GRADIENT, 0.0, 0.0, 0.0, 0.0)
    for B in (512, 3, 100):
        hidden, _, _, dense, scales = example(rng, 700, B, 6, "soft")
        moments = OutputMoments(np.zeros_like(W), W[:0], np.zeros_like(b), b[:0])
        d_hidden = np.empty_like(hidden)
        targets = sparse(dense, scales)
        loss = softmax_loss(hidden, W, b, targets, workspace)
        softmax_step(W, b, targets, workspace, rule, moments, d_hidden)
        found = loss, d_hidden, moments.weights_first, moments.bias_first
        for mine, expected in zip(found, naive.softmax(hidden, W, b, dense), strict=True):
            np.testing.assert_allclose(mine, expected, rtol=1e-10, atol=1e-10)


def test_float32_agrees_to_its_precision(rng):
    hidden, W, b, dense, scales = example(rng, 2000, 64, 50, "soft", np.float32)
    W /= np.sqrt(50)
    found = gradients(hidden, W, b, sparse(dense, scales, np.float32))
    expected = naive.softmax(hidden.astype(float), W.astype(float), b.astype(float), dense)
    for mine, true in zip(found, expected, strict=True):
        assert np.abs(mine - true).max() < 1e-5 * np.abs(true).max()


@pytest.mark.parametrize("kind", ["soft", "one-hot"])
def test_gradients_agree_with_finite_differences(rng, kind):
    hidden, W, b, dense, scales = example(rng, 13, 4, 3, kind)
    targets = sparse(dense, scales)
    _, *found = gradients(hidden, W, b, targets)
    workspace = new_workspace(*W.shape, len(hidden), np.float64)
    for array, gradient in zip((hidden, W, b), found, strict=True):
        differences = np.empty_like(array)
        for place in np.ndindex(array.shape):
            value = array[place]
            losses = []
            for step in (1e-5, -1e-5):
                array[place] = value + step
                losses.append(softmax_loss(hidden, W, b, targets, workspace))
            array[place] = value
            differences[place] = (losses[0] - losses[1]) / 2e-5
        assert np.abs(differences - gradient).max() < 1e-5 * np.abs(gradient).max()


def test_large_logits_neither_overflow_nor_lose_the_loss(rng):
    hidden, W, b, dense, scales = example(rng, 700, 6, 5, "soft", np.float32)
    hidden *= 60
    loss, *found = gradients(hidden, W, b, sparse(dense, scales, np.float32))
    expected = naive.softmax(hidden.astype(float), W.astype(float), b.astype(float), dense)
    assert loss == pytest.approx(expected[0], rel=1e-5)
    for mine, true in zip(found, expected[1:], strict=True):
        assert np.abs(mine - true).max() < 1e-4 * np.abs(true).max()


@pytest.mark.parametrize("raised", [30, 60, 300])
def test_later_blocks_may_outweigh_the_first(rng, raised):
    hidden, W, b, dense, scales = example(rng, 3 * BLOCK_ROWS, 6, 5, "soft", np.float32)
    b[BLOCK_ROWS : BLOCK_ROWS + 7] += raised
    b[:9] -= raised
    found = gradients(hidden, W, b, sparse(dense, scales, np.float32))
    expected = naive.softmax(hidden.astype(float), W.astype(float), b.astype(float), dense)
    for mine, true in zip(found, expected, strict=True):
        assert np.abs(mine - true).max() < 1e-5 * np.abs(true).max()


@pytest.mark.parametrize("kind", [SGD, ADAM])
def test_the_fused_step_is_the_gradient_followed_by_the_optimizer(rng, kind):
    hidden, W, b, dense, scales = example(rng, BLOCK_ROWS + 9, 8, 6, "soft")
    targets = sparse(dense, scales)
    workspace = new_workspace(*W.shape, len(hidden), np.float64)
    found_W, found_b = W.copy(), b.copy()
    moments = OutputMoments(*(np.zeros_like(a) for a in (W, W, b, b)))
    d_hidden = np.empty_like(hidden)
    m_W, s_W, m_b, s_b = moments
    m_W, s_W, m_b, s_b = (a.copy() for a in moments)
    for t in (1, 2, 3):
        _, _, d_W, d_b = naive.softmax(hidden, W, b, dense)
        name = {SGD: "sgd", ADAM: "adam"}[kind]
        arguments = (t, 0.05, (0.9, 0.999), 1e-8)
        W, m_W, s_W = naive.optimizer_step(name, W, d_W, m_W, s_W, *arguments)
        b, m_b, s_b = naive.optimizer_step(name, b, d_b, m_b, s_b, *arguments)
        correction = np.sqrt(1 - 0.999**t) / (1 - 0.9**t) if kind == ADAM else 1.0
        rule = Rule(kind, 0.05 * correction, 0.9, 0.999, 1e-8)
        softmax_loss(hidden, found_W, found_b, targets, workspace)
        softmax_step(found_W, found_b, targets, workspace, rule, moments, d_hidden)
    np.testing.assert_allclose(found_W, W, rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(found_b, b, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize(("low", "high"), [(0, 1), (2, 7), (5, 9), (0, 9), (4, 4)])
@pytest.mark.parametrize("kind", [SGD, ADAM])
def test_some_rows_step_with_their_bias_and_the_bias_does_not_decay(rng, kind, low, high):
    W, b = rng.normal(size=(9, 3)), rng.normal(size=9)
    d_W, d_b = rng.normal(size=(high - low, 3)), rng.normal(size=high - low)
    moments = OutputMoments(*(np.zeros_like(a) for a in (W, W, b, b)))
    expected_W, expected_b = W.copy(), b.copy()
    name = {SGD: "sgd", ADAM: "adam"}[kind]
    own = slice(low, high)
    for p, g, kept in ((expected_W, d_W, 0.9), (expected_b, d_b, 1.0)):
        p[own], _, _ = naive.optimizer_step(
            name, kept * p[own], g, 0.0, 0.0, 1, 0.05, (0.9, 0.999), 1e-8
        )
    correction = np.sqrt(1 - 0.999) / (1 - 0.9) if kind == ADAM else 1.0
    rule = Rule(kind, 0.05 * correction, 0.9, 0.999, 1e-8, 0.1)
    step_output_rows(W, b, low, high, d_W, d_b, rule, moments)
    np.testing.assert_allclose(W, expected_W, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(b, expected_b, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("blocks", [1, 5, 33, 150])
def test_results_have_the_same_bits_for_any_number_of_threads(rng, blocks):
    hidden, W, b, dense, scales = example(rng, blocks * BLOCK_ROWS, 70, 3, "soft", np.float32)
    targets = sparse(dense, scales, np.float32)
    runs = []
    for threads in (1, 2, 3, 7):
        with kernel_threads(threads):
            runs.append(gradients(hidden, W, b, targets))
    for other in runs[1:]:
        for one, two in zip(runs[0], other, strict=True):
            np.testing.assert_array_equal(one, two)
