import naive
import numpy as np
import pytest

from embedder.kernels.sampled import (
    NCE,
    NEGATIVE_SAMPLING,
    SAMPLED_SOFTMAX,
    Sample,
    SampledGradients,
    sampled_gradients,
)
from embedder.kernels.threads import kernel_threads

KINDS = {"sampled-softmax": SAMPLED_SOFTMAX, "negative-sampling": NEGATIVE_SAMPLING, "nce": NCE}
V = 15


def example(rng, B, H, S, dtype=np.float64):
    q = rng.uniform(0.2, 1.0, V)
    q /= q.sum()
    return (
        rng.normal(size=(B, H)).astype(dtype),
        rng.normal(size=(V, H)).astype(dtype),
        rng.normal(size=V).astype(dtype),
        rng.integers(0, V, B).astype(np.int32),
        rng.uniform(0.5, 2.0, B).astype(dtype),
        rng.choice(V, S, p=q).astype(np.int32),
        q,
    )


def gradients(kind, hidden, W, b, targets, weights, candidates, q, k):
    """Loss, ∂J/∂h, ∂J/∂W, ∂J/∂b, the last two added up by row."""
    S = len(candidates)
    correction = {"sampled-softmax": np.log(S * q), "nce": np.log(k * q)}.get(kind, 0 * q)
    correction = correction.astype(W.dtype)
    n = len(targets) + S
    d_hidden = np.empty_like(hidden)
    d_rows, d_bias = np.empty((n, W.shape[1]), W.dtype), np.empty((n, 1), W.dtype)
    sample = Sample(
        targets, weights, candidates, correction[targets] * (kind == "nce"), correction[candidates]
    )
    out = SampledGradients(d_hidden, d_rows, d_bias)
    loss = sampled_gradients(KINDS[kind], k / S, (hidden, W, b), sample, out)
    d_W, d_b = np.zeros_like(W), np.zeros_like(b)
    words = np.concatenate([targets, candidates])
    np.add.at(d_W, words, d_rows)
    np.add.at(d_b, words, d_bias[:, 0])
    return loss, d_hidden, d_W, d_b


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("B", "H", "S", "threads"), [(1, 1, 1, 1), (128, 5, 30, 2), (129, 17, 9, 8), (400, 6, 12, 3)]
)
def test_loss_and_gradients_agree_with_numpy(rng, kind, B, H, S, threads):
    arguments = example(rng, B, H, S)
    with kernel_threads(threads):
        found = gradients(kind, *arguments, 3.0)
    for mine, expected in zip(found, naive.sampled(kind, *arguments, 3.0), strict=True):
        np.testing.assert_allclose(mine, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_agree_with_finite_differences(rng, kind):
    hidden, W, b, *rest = example(rng, 4, 3, 12)
    _, *found = gradients(kind, hidden, W, b, *rest, 3.0)
    for array, gradient in zip((hidden, W, b), found, strict=True):
        for place in np.ndindex(array.shape):
            value = array[place]
            losses = []
            for step in (1e-5, -1e-5):
                array[place] = value + step
                losses.append(gradients(kind, hidden, W, b, *rest, 3.0)[0])
            array[place] = value
            difference = (losses[0] - losses[1]) / 2e-5
            assert difference == pytest.approx(gradient[place], abs=1e-6)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [1, 40])
def test_float32_agrees_to_its_precision_and_does_not_overflow(rng, kind, size):
    arguments = example(rng, 40, 20, 100, np.float32)
    arguments[0][:] *= size
    found = gradients(kind, *arguments, 5.0)
    doubles = [a.astype(float) if a.dtype == np.float32 else a for a in arguments]
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        expected = naive.sampled(kind, *doubles, 5.0)
    assert np.isfinite(found[0])
    for mine, true in zip(found[1:], expected[1:], strict=True):
        if np.isfinite(true).all():
            assert np.abs(mine - true).max() < 1e-4 * np.abs(true).max()


def mean_gradient(kind, draws, samples, rng, example_, k=3.0):
    """Over many draws of candidates from q."""
    hidden, W, b, targets, weights, _, q = example_
    total = 0.0
    for _ in range(draws):
        candidates = rng.choice(V, samples, p=q).astype(np.int32)
        total += gradients(kind, hidden, W, b, targets, weights, candidates, q, k)[2]
    return total / draws


def exact_gradient(hidden, W, b, targets, weights):
    return naive.softmax(hidden, W, b, np.eye(V)[targets] * weights[:, None])[2]


def test_sampled_softmax_tends_to_the_exact_gradient_as_samples_grow(rng):
    """It is consistent, not unbiased: the bias falls as 1/S (Bengio and Senécal 2008)."""
    arguments = example(rng, 6, 4, 1)
    exact = exact_gradient(*arguments[:5])
    errors = []
    for samples, draws in ((4, 20_000), (16, 20_000), (20_000, 10)):
        found = mean_gradient("sampled-softmax", draws, samples, rng, arguments)
        errors.append(np.abs(found - exact).max() / np.abs(exact).max())
    assert errors[1] < 0.5 * errors[0]
    assert errors[2] < 0.02


def test_negative_sampling_is_unbiased_for_its_own_expectation(rng):
    """Σ_c q_c over all noise words is what the draws estimate, for any number of them."""
    arguments = example(rng, 6, 4, 1)
    hidden, W, b, targets, weights, _, q = arguments
    k = 3.0
    sigma = 1 / (1 + np.exp(-(hidden @ W.T + b)))
    own = np.eye(V)[targets]
    d_theta = weights[:, None] * (own * (sigma - 1) + k * q * sigma * (1 - own))
    expected = d_theta.T @ hidden
    for samples in (2, 50):
        found = mean_gradient("negative-sampling", 80_000 // samples, samples, rng, arguments, k)
        assert np.abs(found - expected).max() < 0.04 * np.abs(expected).max()


def test_nce_vanishes_where_the_model_is_the_distribution_of_the_data(rng):
    """At exp θ = p its expected gradient is zero, for any noise (Gutmann and Hyvärinen 2012)."""
    p = rng.uniform(0.5, 2.0, V)
    p /= p.sum()
    q = np.full(V, 1 / V)
    hidden, W, b = np.ones((V, 1)), np.zeros((V, 1)), np.log(p)
    # One example for every word, weighted by how often the data have it.
    targets = np.arange(V, dtype=np.int32)
    arguments = hidden, W, b, targets, p, np.empty(0, np.int32), q
    found = mean_gradient("nce", 4000, 20, rng, arguments)
    away = mean_gradient("nce", 400, 20, rng, (hidden, W, b + 0.5, *arguments[3:]))
    assert np.abs(found).max() < 0.1 * np.abs(away).max()
