import pytest

from embedder.config_files import make_config
from embedder.kernels import hidden
from embedder.training.gradient_check import check_gradients


def config(loss=None, examples=None, **network):
    sizes = {"dimension": 7, "hidden": 5}
    tree = {"corpus": {"files": ["a"]}, "network": sizes | network}
    return make_config(tree | {"loss": loss or {}, "examples": examples or {}}, "test")


@pytest.mark.parametrize("direct", [False, True])
@pytest.mark.parametrize("activation", ["sigmoid", "tanh", "relu", "identity"])
def test_kernels_differences_and_jacobians_agree(activation, direct):
    comparisons = check_gradients(config(activation=activation, direct=direct))
    assert [comparison.name for comparison in comparisons] == ["E", "W1", "b1", "W2", "b2"]
    assert all(comparison.passed for comparison in comparisons)
    # Kernels and Jacobians are both exact, so that they agree up to rounding.
    assert max(comparison.against_jacobians for comparison in comparisons) < 1e-12


def test_classes_of_contexts_agree():
    comparisons = check_gradients(config(examples={"contexts": 1000}))
    assert {comparison.name: comparison.shape for comparison in comparisons}["W2"] == (28, 5)
    assert all(comparison.passed for comparison in comparisons)


@pytest.mark.parametrize(
    "loss",
    [
        "softmax",
        "class-softmax",
        "sampled-softmax",
        "negative-sampling",
        "nce",
    ],
)
@pytest.mark.parametrize("inputs", ["word", "mean", "concat"])
@pytest.mark.parametrize("direct", [False, True])
def test_every_loss_and_input_agrees(loss, inputs, direct):
    windows = {"source": "windows", "window": 2}
    # The vocabulary is small, so that candidates repeat and hit targets.
    losses = {"name": loss, "samples": 40, "negatives": 3.0}
    comparisons = check_gradients(config(losses, windows, input=inputs, direct=direct))
    assert all(comparison.passed for comparison in comparisons)
    assert max(comparison.against_jacobians for comparison in comparisons) < 1e-12


def test_a_wrong_derivative_fails_only_its_own_parameters(monkeypatch):
    original = hidden.hidden_backward

    def wrong(x, W1, features, d_features, activation, found):
        original(x, W1, features, d_features, activation, found)
        found[1][:] *= 1.001

    monkeypatch.setattr(hidden, "hidden_backward", wrong)
    failed = [c.name for c in check_gradients(config()) if not c.passed]
    assert failed == ["W1"]
