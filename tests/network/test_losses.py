import naive
import numpy as np
import pytest

from embedder.config_sections.network import LossConfig
from embedder.config_sections.training import TrainingConfig
from embedder.examples.batches import one_hot
from embedder.network.losses import make_loss
from embedder.network.losses.classes import ClassSoftmax, class_starts, with_class_rows
from embedder.network.losses.sampled import SampledLoss, proposal_probabilities
from embedder.network.losses.softmax import Softmax
from embedder.network.optimizer import Optimizer
from embedder.network.parameters import Parameters

V, H, B = 30, 6, 9
COUNTS = np.sort(np.random.default_rng(0).zipf(1.3, V).clip(max=1000))[::-1]


def parameters_for(rng, config):
    shapes = [(V, 2), (2, H), (H,), (V, H), (V,)]
    parameters = Parameters(*(rng.normal(size=shape) for shape in shapes))
    grown = with_class_rows(config, COUNTS, parameters)
    return grown._replace(W2=rng.normal(size=grown.W2.shape), b2=rng.normal(size=grown.b2.shape))


def example(rng, config):
    parameters = parameters_for(rng, config)
    features = rng.normal(size=(B, H))
    words = rng.integers(0, V, B).astype(np.int32)
    weights = rng.uniform(0.5, 2.0, B)
    targets = one_hot(words, np.float64)._replace(totals=weights, scales=weights)
    loss = make_loss(config, COUNTS, parameters, B, 3)
    return parameters, features, targets, loss


def test_a_configuration_selects_its_loss(rng):
    kinds = {"softmax": Softmax, "class-softmax": ClassSoftmax, "nce": SampledLoss}
    for name, kind in kinds.items():
        assert isinstance(example(rng, LossConfig(name=name))[-1], kind)


@pytest.mark.parametrize("classes", [1, 4, V, None])
def test_class_softmax_agrees_with_numpy(rng, classes):
    config = LossConfig(name="class-softmax", classes=classes)
    parameters, features, targets, loss = example(rng, config)
    recorder = Optimizer(parameters, TrainingConfig(), "windows", gradients_only=True)
    value, d_features = loss.step(features, targets, recorder.context(0, 0.0))
    found = value, d_features, recorder.first["W2"], recorder.first["b2"]
    starts = class_starts(COUNTS, len(parameters.W2) - V)
    W, b = parameters.W2, parameters.b2
    expected = naive.class_softmax(features, W, b, targets.columns, targets.totals, starts)
    for mine, true in zip(found, expected, strict=True):
        np.testing.assert_allclose(mine, true, rtol=1e-10, atol=1e-12)
    likelihoods = loss.log_likelihoods(features, targets)
    assert -likelihoods.sum() == pytest.approx(expected[0], rel=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["class-softmax", "sampled-softmax", "negative-sampling", "nce"])
def test_losses_agree_with_numpy_at_400_000_words(rng, name):
    words, width, examples = 400_000, 4, 5
    counts = np.maximum(1, 1e7 / np.arange(1, words + 1)).astype(np.int64)
    config = LossConfig(name=name, samples=64)
    shapes = [(1, 2), (2, width), (width,), (words, width), (words,)]
    parameters = Parameters(*(rng.normal(size=shape) for shape in shapes))
    parameters = with_class_rows(config, counts, parameters)
    parameters.W2[:] = rng.normal(size=parameters.W2.shape)
    features = rng.normal(size=(examples, width))
    own = np.array([0, 1, 77_777, words - 2, words - 1], np.int32)
    targets = one_hot(own, np.float64)
    loss = make_loss(config, counts, parameters, examples, 3)
    recorder = Optimizer(parameters, TrainingConfig(), "windows", gradients_only=True)
    value, d_features = loss.step(features, targets, recorder.context(0, 0.0))
    W, b = parameters.W2, parameters.b2
    if name == "class-softmax":
        starts = class_starts(counts, len(W) - words)
        expected = naive.class_softmax(features, W, b, own, np.ones(examples), starts)
    else:
        q = proposal_probabilities(config, counts)
        drawn = loss.draw(0)
        ones = np.ones(examples)
        expected = naive.sampled(name, features, W, b, own, ones, drawn, q, config.negatives)
    assert value == pytest.approx(expected[0], rel=1e-9)
    np.testing.assert_allclose(d_features, expected[1], rtol=1e-8, atol=1e-10)
    touched = np.flatnonzero(np.abs(expected[2]).sum(1))
    np.testing.assert_allclose(recorder.first["W2"][touched], expected[2][touched], rtol=1e-8,
                               atol=1e-10)  # fmt: skip


@pytest.mark.parametrize("name", ["softmax", "class-softmax"])
def test_probabilities_of_all_words_sum_to_one(rng, name):
    parameters, features, *_ = example(rng, LossConfig(name=name))
    loss = make_loss(LossConfig(name=name), COUNTS, parameters, V, 3)
    same = np.repeat(features[:1], V, axis=0)
    targets = one_hot(np.arange(V, dtype=np.int32), np.float64)
    assert np.exp(loss.log_likelihoods(same, targets)).sum() == pytest.approx(1)


@pytest.mark.parametrize("optimizer", ["adam", "adagrad", "sgd"])
@pytest.mark.parametrize("name", ["class-softmax", "sampled-softmax", "nce"])
def test_steps_apply_the_optimizers_rule_to_the_gradient(rng, name, optimizer):
    config = LossConfig(name=name, samples=20)
    parameters, features, targets, loss = example(rng, config)
    recorder = Optimizer(parameters, TrainingConfig(), "windows", gradients_only=True)
    loss.step(features, targets, recorder.context(0, 0.0))
    before = parameters.W2.copy()
    state = Optimizer(parameters, TrainingConfig(optimizer=optimizer), "windows")
    loss.step(features, targets, state.context(0, 0.1))
    gradient = recorder.first["W2"]
    expected, _, _ = naive.optimizer_step(
        optimizer, before, gradient, 0.0, 0.0, 1, 0.1, (0.9, 0.999), 1e-8
    )
    moved = np.abs(gradient).sum(1) > 1e-9  # Adam's first step depends only on signs
    np.testing.assert_allclose(parameters.W2[moved], expected[moved], rtol=1e-6, atol=1e-9)
    untouched = np.abs(gradient).sum(1) == 0
    np.testing.assert_array_equal(parameters.W2[untouched], before[untouched])


def test_successive_steps_have_the_candidates_that_they_have_one_by_one(rng):
    _, _, targets, loss = example(rng, LossConfig(name="nce", samples=5))
    words, weights, candidates, of_words, of_candidates = loss.samples([targets] * 3, 4)
    for i in range(3):
        own = slice(i * len(targets.starts), (i + 1) * len(targets.starts))
        one = loss.sample(targets, 4 + i)
        found = words[own], weights[own], candidates[i], of_words[own], of_candidates[i]
        for mine, true in zip(found, one, strict=True):
            np.testing.assert_array_equal(mine, true)


def test_classes_cover_the_vocabulary_and_are_smaller_for_frequent_words():
    for words in (1, 2, 7, 1000):
        counts = 1e6 / np.arange(1, words + 1)
        for classes in {1, 2, int(np.sqrt(words)), words} - {0}:
            if classes <= words:
                starts = class_starts(counts, classes)
                assert (starts[0], starts[-1], len(starts)) == (0, words, classes + 1)
                assert (np.diff(starts) > 0).all()
    sizes = np.diff(class_starts(1e6 / np.arange(1, 1001), 31))
    assert sizes[0] < sizes[-1]


def test_candidates_are_drawn_from_the_proposal(rng):
    for config in (
        LossConfig(name="nce", samples=1000, power=0.5),
        LossConfig(name="nce", samples=1000, proposal="log-uniform"),
    ):
        loss = example(rng, config)[-1]
        draws = np.concatenate([loss.draw(number) for number in range(200)])
        shares = np.bincount(draws, minlength=V) / len(draws)
        np.testing.assert_allclose(shares, proposal_probabilities(config, COUNTS), atol=3e-3)
        assert loss.draw(7).tolist() == loss.draw(7).tolist() != loss.draw(8).tolist()
