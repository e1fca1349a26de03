import naive
import numpy as np
import pytest

from embedder.kernels.gather import RowSteps
from embedder.kernels.hidden import EXAMPLES_PER_PART
from embedder.kernels.optimizer import ADAFACTOR, ADAM, GRADIENT, Moments, Rule
from embedder.kernels.sampled import NCE, NEGATIVE_SAMPLING, SAMPLED_SOFTMAX, Sample
from embedder.kernels.threads import kernel_threads
from embedder.kernels.window_step import (
    PASS_THROUGH,
    Bundle,
    Weights,
    WindowSteps,
    new_buffers,
    window_steps,
)
from embedder.network.activation import kernel_constant

KINDS = {"sampled-softmax": SAMPLED_SOFTMAX, "negative-sampling": NEGATIVE_SAMPLING, "nce": NCE}
V, D, H = 40, 5, 7
NEGATIVES = 3.0


def random_weights(rng, direct, dtype=np.float64):
    F = H + D if direct else H
    shapes = (V, D), (D, H), (H,), (V, F), (V,)
    return Weights(*(rng.normal(size=shape).astype(dtype) for shape in shapes))


def random_batch(rng, B, K, S, kind, dtype=np.float64):
    """Windows with gaps and one without a word, targets, and candidates drawn from q."""
    q = rng.dirichlet(np.ones(V))
    ids = rng.integers(-1, V, (B, K)).astype(np.int32)
    ids[0] = -1
    correction = {"sampled-softmax": np.log(S * q), "nce": np.log(NEGATIVES * q)}.get(kind, 0 * q)
    targets = rng.integers(0, V, B).astype(np.int32)
    candidates = rng.choice(V, S, p=q).astype(np.int32)
    sample = Sample(
        targets,
        rng.uniform(0.5, 2.0, B).astype(dtype),
        candidates,
        (correction[targets] * (kind == "nce")).astype(dtype),
        correction[candidates].astype(dtype),
    )
    return ids, sample, q


def all_steps(weights, rule, with_second=True):
    """The same rule for every parameter, with moments of zero."""

    def moments(array):
        return Moments(np.zeros_like(array), np.zeros_like(array if with_second else array[:0]))

    def rows(array, visits):
        own, columns = moments(array), np.ones(array.shape[1], array.dtype)
        if rule.kind == ADAFACTOR:
            own = Moments(array[:0].copy(), np.zeros((len(array), 1), array.dtype))
        return RowSteps(own, columns, visits, np.empty(0, np.float32), rule, np.ones(1))

    visits = np.zeros(V, np.int32)
    return WindowSteps(
        rows(weights.E, np.zeros(V, np.int32)),
        rows(weights.W2, visits),
        rows(weights.b2[:, None], visits),
        moments(weights.W1),
        moments(weights.b1),
        *[rule._replace(kind=ADAM) if rule.kind == ADAFACTOR else rule] * 2,
    )


def bundle_of(batches, steps, rates=None):
    """Batches (ids, sample) whose rules are those of the steps, or at other rates."""
    ids, samples = zip(*batches, strict=True)
    words, weights, candidates, of_words, of_candidates = zip(*samples, strict=True)
    sample = Sample(
        np.concatenate(words), np.concatenate(weights), np.stack(candidates),
        np.concatenate(of_words), np.stack(of_candidates),
    )  # fmt: skip
    rule = steps.W1_rule
    rates = [rule.rate] * len(batches) if rates is None else rates
    return Bundle(
        np.cumsum([0, *map(len, ids)]),
        np.concatenate(ids),
        sample,
        np.repeat(np.array(rates)[:, None], 5, axis=1),
        np.full((len(batches), 5), rule.shrink),
    )


def run_bundle(weights, bundle, steps, kind, activation="sigmoid", room=0):
    largest = int(np.diff(bundle.ends).max())
    samples = bundle.sample.candidates.shape[1]
    buffers = new_buffers(weights, largest + room, samples, bundle.ids.shape[1])
    loss = KINDS[kind], NEGATIVES / samples
    code = PASS_THROUGH if activation is None else kernel_constant(activation)
    return window_steps(loss, code, weights, bundle, steps, buffers)


def run(weights, ids, sample, steps, kind, activation="sigmoid", room=0):
    bundle = bundle_of([(ids, sample)], steps)
    return run_bundle(weights, bundle, steps, kind, activation, room)[0]


def expected_gradients(weights, ids, sample, q, kind, activation, direct):
    """The loss and the gradients of E, W1, b1, W2 and b2, layer by layer."""
    E, W1, b1, W2, b2 = weights
    x = naive.gather(E, ids, "mean")
    features = naive.hidden_forward(x, W1, b1, activation, direct)
    of_loss = sample.targets, sample.weights, sample.candidates, q, NEGATIVES
    loss, d_features, d_W2, d_b2 = naive.sampled(kind, features, W2, b2, *of_loss)
    d_x, d_W1, d_b1 = naive.hidden_backward(x, W1, b1, d_features, activation, direct)
    d_E = naive.scatter(np.zeros_like(E), ids, d_x, "mean")
    return loss, (d_E, d_W1, d_b1, d_W2, d_b2)


@pytest.mark.parametrize("threads", [1, 2, 7])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("activation", "direct"), [("sigmoid", False), ("identity", True)])
@pytest.mark.parametrize(("B", "K", "S"), [(1, 1, 1), (EXAMPLES_PER_PART + 1, 3, 20), (400, 2, 9)])
def test_gradients_are_those_of_the_layers(rng, threads, kind, activation, direct, B, K, S):
    weights = random_weights(rng, direct)
    ids, sample, q = random_batch(rng, B, K, S, kind)
    steps = all_steps(weights, Rule(GRADIENT, 0.0, 0.0, 0.0, 0.0), with_second=False)
    with kernel_threads(threads):
        loss = run(weights, ids, sample, steps, kind, activation)
    expected, gradients = expected_gradients(weights, ids, sample, q, kind, activation, direct)
    assert loss == pytest.approx(expected, rel=1e-10)
    found = (
        steps.E.moments.first, steps.W1_moments.first, steps.b1_moments.first,
        steps.W2.moments.first, steps.b2.moments.first[:, 0],
    )  # fmt: skip
    for mine, true in zip(found, gradients, strict=True):
        np.testing.assert_allclose(mine, true, rtol=1e-9, atol=1e-11)
    assert set(np.flatnonzero(steps.E.visits)) == set(ids[ids >= 0])
    words = np.concatenate([sample.targets, sample.candidates])
    assert set(np.flatnonzero(steps.W2.visits)) == set(words)
    assert steps.W2.visits.max() == 1


def test_every_parameter_takes_the_optimizers_step(rng):
    weights = random_weights(rng, direct=False)
    ids, sample, q = random_batch(rng, 150, 3, 11, "nce")
    before = [array.copy() for array in weights]
    _, gradients = expected_gradients(weights, ids, sample, q, "nce", "sigmoid", False)
    decays, epsilon, rate = (0.5, 0.9), 1e-8, 0.05
    rule = Rule(ADAM, rate, *decays, epsilon)
    run(weights, ids, sample, all_steps(weights, rule), "nce")
    for found, start, gradient in zip(weights, before, gradients, strict=True):
        m, s = (1 - decays[0]) * gradient, (1 - decays[1]) * gradient**2
        np.testing.assert_allclose(
            found, start - rate * m / (np.sqrt(s) + epsilon), rtol=1e-8, atol=1e-9
        )


def test_a_batch_may_be_smaller_than_the_buffers(rng):
    weights = random_weights(rng, direct=False)
    ids, sample, _ = random_batch(rng, 100, 3, 10, "nce")
    found = []
    for room in (0, 300):
        own = Weights(*(array.copy() for array in weights))
        steps = all_steps(own, Rule(ADAM, 0.1, 0.5, 0.9, 1e-8))
        found.append((run(own, ids, sample, steps, "nce", room=room), *own))
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("optimizer", [ADAM, ADAFACTOR])
def test_steps_have_the_same_bits_for_any_number_of_threads(rng, optimizer):
    weights = random_weights(rng, direct=False, dtype=np.float32)
    batches = [random_batch(rng, 500, 4, 30, "sampled-softmax", np.float32)[:2] for _ in range(3)]
    runs = []
    for threads in (1, 2, 3, 7):
        own = Weights(*(array.copy() for array in weights))
        steps = all_steps(own, Rule(optimizer, 0.01, 0.5, 0.9, 1e-8))
        with kernel_threads(threads):
            losses = [run(own, *batch, steps, "sampled-softmax") for batch in batches]
        runs.append((losses, *own))
    for other in runs[1:]:
        for one, two in zip(runs[0], other, strict=True):
            np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("B", "K", "S"), [(1, 1, 1), (EXAMPLES_PER_PART + 1, 3, 20)])
def test_a_layer_that_passes_x_through_is_the_identity(rng, threads, kind, B, K, S):
    weights = random_weights(rng, direct=False)
    weights = weights._replace(W1=np.eye(D), b1=np.zeros(D), W2=weights.W2[:, :D].copy())
    ids, sample, _ = random_batch(rng, B, K, S, kind)
    found = []
    for activation in ("identity", None):
        steps = all_steps(weights, Rule(GRADIENT, 0.0, 0.0, 0.0, 0.0), with_second=False)
        with kernel_threads(threads):
            loss = run(weights, ids, sample, steps, kind, activation)
        rows = (steps.E, steps.W2, steps.b2)
        found.append((loss, *(own.moments.first for own in rows)))
        if activation is None:
            assert not steps.W1_moments.first.any()
            assert not steps.b1_moments.first.any()
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("threads", [1, 3])
def test_adafactor_takes_the_steps_of_its_rule(rng, threads):
    weights = random_weights(rng, direct=False)
    p, second, columns = weights.W2.copy(), np.zeros((V, 1)), np.ones(H)
    steps = all_steps(weights, Rule(ADAFACTOR, 0.05, 0.7, 0.9, 1e-8))
    visits = np.zeros(V, int)
    for B in (150, 40, 3):
        ids, sample, q = random_batch(rng, B, 3, 11, "nce")
        _, gradients = expected_gradients(weights, ids, sample, q, "nce", "sigmoid", False)
        with kernel_threads(threads):
            run(weights, ids, sample, steps, "nce")
        rows = list(dict.fromkeys([*sample.targets, *sample.candidates]))
        visits[rows] += 1
        columns = naive.adafactor_rows(
            p, rows, gradients[3][rows], second, columns, [np.inf] * len(rows), 0.05, (0.7, 0.9),
            1e-8,
        )  # fmt: skip
    np.testing.assert_allclose(weights.W2, p, rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(steps.W2.moments.second, second, rtol=1e-9)
    np.testing.assert_allclose(steps.W2.columns, columns, rtol=1e-9)
    np.testing.assert_array_equal(steps.W2.visits, visits)
    assert (steps.E.columns != 1).all()
    assert steps.b2.columns.tolist() == [1]


@pytest.mark.parametrize("optimizer", [ADAM, ADAFACTOR])
@pytest.mark.parametrize("threads", [1, 3])
def test_steps_at_once_are_those_one_by_one(rng, threads, optimizer):
    weights = random_weights(rng, direct=False, dtype=np.float32)
    sizes, rates = (300, 300, 17, 300, 129), (0.1, 0.05, 0.02, 0.01, 0.2)
    batches = [random_batch(rng, B, 4, 30, "nce", np.float32)[:2] for B in sizes]
    found = []
    for groups in ([slice(0, 5)], [slice(i, i + 1) for i in range(5)]):
        own = Weights(*(array.copy() for array in weights))
        steps = all_steps(own, Rule(optimizer, 0.0, 0.5, 0.9, 1e-8, 1e-3))
        with kernel_threads(threads):
            losses = [
                run_bundle(own, bundle_of(batches[part], steps, rates[part]), steps, "nce")
                for part in groups
            ]
        state = steps.E.visits, steps.W2.visits, steps.E.columns, steps.W2.columns
        found.append((np.concatenate(losses), *own, *state))
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)
