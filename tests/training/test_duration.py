import re

import numpy as np
import pytest

from embedder.network.composition import OwnRows
from embedder.text.vocabulary import Vocabulary
from embedder.training.duration import Durations, estimate_durations, expected_cells, time_step
from embedder.training.train import train


def test_the_time_of_a_step_is_measured_and_extrapolated(make_toy_config, monkeypatch):
    config = make_toy_config()
    time_step(config, 100, 5.0, 20, OwnRows(100))  # compiles, which looks at the clock, too
    times = iter(range(1000))
    monkeypatch.setattr("embedder.training.duration.time.perf_counter", lambda: next(times))
    # By this clock, each timed step takes a second; at most 2**14 contexts are timed.
    assert time_step(config, 100, 5.0, 20, OwnRows(100)) == 1.0
    assert time_step(config, 10 * 2**14, 5.0, 20, OwnRows(100)) == 10.0


def test_a_step_may_have_more_examples_than_there_are_words(make_toy_config):
    config = make_toy_config(examples={"source": "windows"}, network={"input": "word"})
    assert time_step(config, 7, 1.0, 5000, OwnRows(7)) > 0


def test_a_run_reports_its_expected_duration(make_toy_config, capsys):
    train(make_toy_config(training={"passes": 1}))
    output = capsys.readouterr().err
    assert re.search(r"time: about [\d.]+ s per pass \(\d+ steps\), [\d.]+ s of training", output)


@pytest.mark.parametrize(("near", "near_contexts"), [(0, 10), (2, 10), (2, 1000), (9, 50)])
def test_the_number_of_cells_of_independent_words_is_expected(make_toy_config, near, near_contexts):
    config = make_toy_config(examples={"near": near, "near_contexts": near_contexts})
    kept = 3e4 / np.arange(1, 201)
    window, n = config.examples.reach, min(200, near_contexts if near else 0)
    rates = np.outer(kept, kept) / kept.sum()
    apart = np.arange(200) < n
    distance = min(near, window)
    slots = np.where(apart, 2 * (window - distance), 2 * window)
    expected = (1 - np.exp(-rates * slots)).sum()
    expected += 2 * (1 - np.exp(-rates[:, :n] * distance)).sum()
    assert expected_cells(kept, config) == pytest.approx(expected, rel=0.01)


def test_durations_grow_with_what_they_are_of(make_toy_config, monkeypatch):
    monkeypatch.setattr("embedder.training.duration.time_step", lambda *_: 0.1)

    def estimate(words, scale=100, **sections):
        names = [f"w{i}" for i in range(words)]
        vocabulary = Vocabulary(names, scale * words // np.arange(1, words + 1))
        config = make_toy_config(**sections)
        return estimate_durations(config, vocabulary, OwnRows(words))

    small, large, longer = estimate(40_000), estimate(160_000), estimate(40_000, 1000)
    assert small.passes == large.passes == longer.passes
    assert large.fit > 3 * small.fit == 3 * longer.fit > 0
    assert large.before > 3 * small.before
    assert longer.before > 3 * small.before
    assert estimate(40_000, training={"passes": 40}).passes == 2 * small.passes
    assert estimate(1000, training={"closing_steps": 0}).fit == 0


def test_durations_are_described():
    assert Durations(65.0, 30.0, 6.0).describe() == (
        "time: about 1.7 min in all: 65.0 s before training, 30.0 s of passes, 6.0 s of fitting "
        "rows"
    )
    assert Durations(1.0, 2.0, 0.0).describe() == (
        "time: about 3.0 s in all: 1.0 s before training, 2.0 s of passes"
    )
