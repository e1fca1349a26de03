import naive
import numpy as np
import pytest
from scipy.linalg import orthogonal_procrustes

from embedder.config_sections.network import NetworkConfig
from embedder.config_sections.training import TrainingConfig
from embedder.examples.batches import one_hot, target_rows
from embedder.examples.cells import Cooccurrences
from embedder.kernels.softmax import Targets
from embedder.network.composition import OwnRows
from embedder.network.network import Network
from embedder.network.optimizer import Optimizer
from embedder.network.parameters import Factors, Parameters, Start, initial_parameters
from embedder.vectors.from_run import word_vectors

V, D, H = 11, 4, 6
CONFIG = NetworkConfig(dimension=D, hidden=H)


def random_parameters(rng, dtype=np.float64):
    shapes = [(V, D), (D, H), (H,), (V, H), (V,)]
    return Parameters(*(rng.normal(size=shape).astype(dtype) for shape in shapes))


def gradients(parameters, rows, targets, batch):
    network = Network(CONFIG, parameters, batch)
    optimizer = Optimizer(parameters, TrainingConfig(), gradients_only=True)
    loss = network.step(rows[:, None], targets, optimizer, 0, 0.0)
    return loss, optimizer.first


def naive_gradients(parameters, rows, dense):
    """Return the loss and gradients of the whole network, with ∂J/∂E scattered to its rows."""
    E, W1, b1, W2, b2 = parameters
    h = naive.hidden_forward(E[rows], W1, b1, "sigmoid")
    loss, d_h, d_W2, d_b2 = naive.softmax(h, W2, b2, dense)
    d_x, d_W1, d_b1 = naive.hidden_backward(E[rows], W1, b1, d_h, "sigmoid")
    d_E = np.zeros_like(E)
    np.add.at(d_E, rows, d_x)
    return loss, {"E": d_E, "W1": d_W1, "b1": d_b1, "W2": d_W2, "b2": d_b2}


def test_window_gradients_sum_to_the_cooccurrence_gradient(rng):
    """J depends on the corpus only through the weighted counts: one step covers all windows."""
    sentences = [rng.integers(0, V, rng.integers(2, 12)).tolist() for _ in range(30)]
    weights = [1.0, 0.5, 0.25]
    counts = naive.cooccurrences(sentences, V, weights)
    parameters = random_parameters(rng)

    total_loss, totals = 0.0, {}
    for centre, context, weight, _ in naive.windows(sentences, weights):
        one_hot = np.zeros((1, V))
        one_hot[0, context] = weight
        loss, found = naive_gradients(parameters, np.array([centre]), one_hot)
        total_loss += loss
        totals = {name: totals.get(name, 0.0) + g for name, g in found.items()}

    rows, columns = np.nonzero(counts)
    offsets = np.r_[0, np.cumsum(np.bincount(rows, minlength=V))]
    batch = np.flatnonzero(counts.sum(1))
    targets = Targets(
        offsets[batch],
        offsets[batch + 1],
        columns.astype(np.int32),
        counts[rows, columns],
        np.ones(len(batch)),
        counts.sum(1)[batch],
    )
    loss, found = gradients(parameters, batch, targets, len(batch))
    assert loss == pytest.approx(total_loss, rel=1e-12)
    for name, expected in totals.items():
        np.testing.assert_allclose(found[name], expected, rtol=1e-9, atol=1e-10)


def test_target_rows_are_the_counts_scaled(rng):
    counts = Cooccurrences(
        np.array([0, 2, 2, 3]), np.array([0, 2, 1], np.int32), np.array([2, 3, 4], np.float32)
    )
    targets = target_rows(counts, counts.row_totals(), np.array([2, 0]), np.array([0.5, 2.0]))
    assert targets.totals.tolist() == [2.0, 10.0]
    assert (targets.starts.tolist(), targets.ends.tolist()) == ([2, 0], [3, 2])


def test_an_untrained_random_network_predicts_the_unigram_distribution(rng):
    totals = rng.uniform(1, 100, V)
    parameters = initial_parameters(CONFIG, Start(totals, np.arange(V), OwnRows(V)), rng)
    h = naive.hidden_forward(parameters.E, parameters.W1, parameters.b1, "sigmoid")
    logits = h @ parameters.W2.T + parameters.b2
    np.testing.assert_allclose(np.exp(logits), np.tile(totals / totals.sum(), (V, 1)), rtol=1e-5)


@pytest.mark.parametrize("activation", ["sigmoid", "tanh", "identity"])
@pytest.mark.parametrize("hidden", [3, 4, 7])
def test_a_spectral_start_begins_at_the_factorisation(rng, activation, hidden):
    config = NetworkConfig(dimension=4, hidden=hidden, activation=activation)
    left = rng.normal(size=(V, max(4, hidden))) * 0.1
    signs = np.sign(rng.normal(size=max(4, hidden)))
    words = np.r_[np.arange(V), np.arange(3), np.arange(3)]
    start = Start(np.ones(len(words)), words, OwnRows(V), Factors(left, signs))
    parameters = initial_parameters(config, start, rng)
    h = naive.hidden_forward(parameters.E, parameters.W1, parameters.b1, activation)
    k = min(4, hidden)
    expected = left[:, :k] * signs[:k] @ left[words, :k].T
    # Up to the nonlinearity of the activation.
    assert np.abs(h @ parameters.W2.T - expected).max() < 0.25 * np.abs(expected).max()


def test_the_four_kinds_of_vectors(rng):
    p = random_parameters(rng)
    hidden = naive.hidden_forward(p.E, p.W1, p.b1, "sigmoid")
    np.testing.assert_array_equal(word_vectors(p, "sigmoid", "input"), p.E)
    np.testing.assert_array_equal(word_vectors(p, "sigmoid", "output"), p.W2)
    np.testing.assert_allclose(word_vectors(p, "sigmoid", "hidden"), hidden, rtol=1e-12)
    unit_hidden, unit_output = (
        a / np.linalg.norm(a, axis=1, keepdims=True) for a in (hidden, p.W2)
    )
    turn, _ = orthogonal_procrustes(unit_output, unit_hidden)
    np.testing.assert_allclose(
        word_vectors(p, "sigmoid", "sum"), tempered(unit_hidden + unit_output @ turn), rtol=1e-9
    )


def tempered(vectors):
    """The lengths of all axes to the power 0.75, with that of the first unchanged."""
    left, lengths, right = np.linalg.svd(vectors, full_matrices=False)
    return (left * (lengths * (lengths / lengths[0]) ** -0.25)) @ right


def test_axes_without_length_stay_short_in_the_sum(rng):
    p = random_parameters(rng)._replace(E=np.outer(rng.normal(size=V), rng.normal(size=D)))
    p = p._replace(W2=np.outer(rng.normal(size=V), rng.normal(size=H)), b1=np.zeros(H))
    found = word_vectors(p, "identity", "sum")
    assert np.isfinite(found).all()
    lengths = np.linalg.svd(found, compute_uv=False)
    assert (lengths[2:] < 1e-6 * lengths[0]).all()


def test_output_vectors_of_a_words_contexts_are_summed(rng):
    p = random_parameters(rng)
    near = 3
    p = p._replace(W2=rng.normal(size=(V + 2 * near, H)), b2=np.zeros(V + 2 * near))
    unit = [a / np.linalg.norm(a, axis=1, keepdims=True) for a in (p.E @ p.W1 + p.b1, p.W2)]
    hidden, (anywhere, before, after) = unit[0], np.split(unit[1], [V, V + near])

    def turned(vectors, base):
        return vectors @ orthogonal_procrustes(vectors, base[: len(vectors)])[0]

    expected = anywhere.copy()
    expected[:near] += turned(before, anywhere) + turned(after, anywhere)
    np.testing.assert_allclose(word_vectors(p, "identity", "output"), expected, rtol=1e-10)
    expected = hidden + turned(anywhere, hidden) / 3
    expected[:near] += (turned(before, hidden) + turned(after, hidden)) / 3
    np.testing.assert_allclose(word_vectors(p, "identity", "sum"), tempered(expected), rtol=1e-8)


@pytest.mark.parametrize("inputs", ["mean", "concat"])
@pytest.mark.parametrize("direct", [False, True])
def test_gradients_under_dropout_are_those_of_the_masked_network(rng, inputs, direct):
    """The step's number determines the masks, so that finite differences are well defined."""
    config = NetworkConfig(input=inputs, dimension=D, hidden=H, direct=direct, dropout=0.4)
    K = 3
    vectors = K if inputs == "concat" else 1
    start = Start(np.ones(V), np.arange(V), OwnRows(V), vectors_per_input=vectors)
    shapes = initial_parameters(config, start, rng, np.float64)
    parameters = Parameters(*(rng.normal(size=array.shape) for array in shapes))
    network = Network(config, parameters, 5, seed=4)
    optimizer = Optimizer(parameters, TrainingConfig(), "windows", gradients_only=True)
    windows = rng.integers(-1, V, (5, K)).astype(np.int32)
    targets = one_hot(rng.integers(0, V, 5).astype(np.int32), np.float64)

    def loss():
        return network.step(windows, targets, optimizer, 7, 0.0)

    optimizer.first["E"][:] = 0
    loss()
    found = {name: array.copy() for name, array in optimizer.first.items()}
    for name, array in parameters._asdict().items():
        flat = array.reshape(-1)
        for i in rng.choice(len(flat), 12):
            value = flat[i]
            flat[i] = value + 1e-5
            above = loss()
            flat[i] = value - 1e-5
            difference = (above - loss()) / 2e-5
            flat[i] = value
            assert found[name].reshape(-1)[i] == pytest.approx(difference, abs=1e-6)


def test_dropout_preserves_the_mean(rng):
    config = NetworkConfig(dimension=D, hidden=H, dropout=0.25)
    network = Network(config, random_parameters(rng), 5, seed=4)
    values = np.ones((200, 100))
    mask = network._apply_dropout(values, np.random.default_rng(0))
    assert values.mean() == pytest.approx(1, abs=0.02)
    assert set(np.unique(mask)) == {0.0, 1 / 0.75}


def test_rows_outside_the_batch_do_not_move(rng):
    p = random_parameters(rng, np.float32)
    before = p.E.copy()
    network = Network(CONFIG, p, 2)
    counts = Cooccurrences(
        np.arange(V + 1), rng.integers(0, V, V).astype(np.int32), np.ones(V, np.float32)
    )
    rows = np.array([3, 8])
    optimizer = Optimizer(p, TrainingConfig())
    targets = target_rows(counts, np.ones(V), rows, np.ones(2))
    network.step(rows[:, None], targets, optimizer, 0, 0.1)
    moved = (before != p.E).any(axis=1)
    assert np.flatnonzero(moved).tolist() == [3, 8]
