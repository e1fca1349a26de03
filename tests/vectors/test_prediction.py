from pathlib import Path

import naive
import numpy as np
import pytest

from embedder.errors import RunError
from embedder.runs.checkpoint import load_model
from embedder.training.train import train
from embedder.vectors.from_run import load_vectors

GROUPED = {"contexts": 60, "context_classes": 20, "near_contexts": 30}


@pytest.fixture(params=[{}, GROUPED, {"near": 0}])
def run(request, make_toy_config):
    config = make_toy_config(examples=request.param, training={"passes": 2})
    train(config, quiet=True)
    return Path(config.output)


def test_predictions_are_the_softmax_summed_by_word(run):
    model = load_model(run)
    p, V = model.parameters, len(model.vocabulary)
    ids = np.array([0, 5, V - 1])
    hidden = naive.hidden_forward(p.E[ids].astype(float), p.W1, p.b1, "sigmoid")
    softmax = np.exp(hidden @ p.W2.T + p.b2)
    softmax /= softmax.sum(axis=1, keepdims=True)
    columns = model.columns.of_words
    positionless = columns.max() + 1
    near = (len(p.W2) - positionless) // 2
    totals = np.bincount(columns, model.vocabulary.counts)
    expected = softmax[:, columns] * (model.vocabulary.counts / totals[columns])
    for word in range(near):
        expected[:, word] += softmax[:, positionless + word]
        expected[:, word] += softmax[:, positionless + near + word]
    found = load_vectors(run).predictor(ids)
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    np.testing.assert_allclose(found.sum(axis=1), 1)


def test_words_are_predicted_best_first(run):
    vectors = load_vectors(run)
    king, queen = vectors.predict(["king", "queen"], topn=5)
    assert len(king) == len(queen) == 5
    again = vectors.predict("king", topn=5)
    assert [word for word, _ in king] == [word for word, _ in again]
    np.testing.assert_allclose([p for _, p in king], [p for _, p in again], rtol=1e-5)
    probabilities = [each.probability for each in king]
    assert probabilities == sorted(probabilities, reverse=True)
    row = load_vectors(run).predictor(np.array([vectors.vocabulary.ids["king"]]))[0]
    assert king[0].word == vectors.words[int(row.argmax())]
    with pytest.raises(KeyError):
        vectors.predict("nothing")


def test_a_run_that_took_the_place_of_another_is_noticed(run, make_toy_config):
    vectors = load_vectors(run)
    config = make_toy_config(vocabulary={"max_size": 100}, training={"passes": 1})
    train(config, overwrite=True, quiet=True)
    with pytest.raises(RunError, match="another run has taken its place"):
        vectors.predict("king")


def test_networks_trained_on_windows_predict_something_else(make_toy_config):
    training = {"passes": 1, "batch_size": 1024}
    config = make_toy_config(examples={"source": "windows"}, training=training)
    train(config, quiet=True)
    with pytest.raises(RunError, match=r"expected examples.source cooccurrence"):
        load_vectors(Path(config.output)).predict("king")
