import errno
import itertools
import json
import os
import re
import signal
import tempfile
import threading
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from embedder.config import Config
from embedder.errors import CorpusError, RunError, VocabularyError
from embedder.evaluation.analogies import evaluate_analogies
from embedder.evaluation.questions import read_analogies
from embedder.examples import prepare as examples_module
from embedder.kernels import hidden, softmax
from embedder.runs.checkpoint import load_model
from embedder.runs.run_folder import RunFolder
from embedder.training import train as training
from embedder.training import trainer
from embedder.training.local import LocalEngine
from embedder.training.signals import Stopped
from embedder.training.train import rehearse, train
from embedder.training.trainer import Interrupted, Trainer
from embedder.vectors.from_run import load_vectors


def analogy_accuracy(run, analogies, kind="output"):
    return (
        evaluate_analogies(load_vectors(Path(run), kind), read_analogies(analogies))
        .total()
        .accuracy
    )


def lines(run):
    return [json.loads(line) for line in RunFolder(Path(run)).metrics.read_text().splitlines()]


def parameters(config):
    return load_model(Path(config.output)).parameters


def assert_bit_identical(one, other):
    for a, b in zip(parameters(one), parameters(other), strict=True):
        np.testing.assert_array_equal(a, b)


RANDOM_START = {"initialisation": "random"}


@pytest.mark.parametrize("windows", [False, True])
def test_the_error_for_a_tiny_text_says_how_to_keep_frequent_words(make_toy_config, write, windows):
    text = str(write("tiny.txt", "a b\n"))
    sections = {"corpus": {"files": [text]}, "vocabulary": {"min_count": 1, "subsample": "auto"}}
    if windows:
        sections |= {"examples": {"source": "windows"}, "network": RANDOM_START}
    with pytest.raises(CorpusError, match=r"vocabulary\.subsample=0"):
        train(make_toy_config(**sections), quiet=True)
    sections["vocabulary"]["subsample"] = 0
    train(make_toy_config(**sections), quiet=True, overwrite=True)


@pytest.mark.parametrize("start", ["spectral", "random"])
def test_a_trained_network_solves_the_toy_worlds_analogies(make_toy_config, toy_files, start):
    config = make_toy_config(network={"initialisation": start}, training={"passes": 60})
    train(config, quiet=True)
    for kind in ("hidden", "output", "sum"):
        assert analogy_accuracy(config.output, toy_files[1], kind) > 0.85


def test_a_flipped_sign_in_the_input_vectors_gradient_is_detected(
    make_toy_config, toy_files, monkeypatch
):
    original = hidden.hidden_backward

    def flipped(x, W1, features, d_features, activation, found):
        original(x, W1, features, d_features, activation, found)
        found[0][:] *= -1

    monkeypatch.setattr(hidden, "hidden_backward", flipped)
    config = make_toy_config(network=RANDOM_START, training={"passes": 60})
    train(config, quiet=True)
    for kind in ("input", "hidden"):
        assert analogy_accuracy(config.output, toy_files[1], kind) < 0.4


def test_a_flipped_sign_in_the_output_weights_gradient_is_detected(make_toy_config, monkeypatch):
    # Detected by the loss, because analogies do not change if all output vectors are negated.
    original = softmax.softmax_step

    def flipped(W2, b2, targets, workspace, rule, moments, d_features):
        rule = rule._replace(rate=-rule.rate)
        original(W2, b2, targets, workspace, rule, moments, d_features)

    monkeypatch.setattr(softmax, "softmax_step", flipped)
    config = make_toy_config(network=RANDOM_START, training={"passes": 20})
    train(config, quiet=True)
    losses = [line["loss"] for line in lines(config.output) if line.get("end_of_pass")]
    assert losses[-1] > losses[0] + 0.1


def test_the_loss_falls_and_is_the_cross_entropy(toy_run):
    ends = [line for line in lines(toy_run) if line.get("end_of_pass")]
    assert len(ends) == 20
    assert ends[-1]["loss"] < ends[0]["loss"] < np.log(len(load_vectors(toy_run).vocabulary))
    assert ends[-1]["pass"] == 20


FEW_STEPS = {"passes": 1, "batch_size": 512}
KINDS_OF_TRAINING = {
    "counts": {},
    "classes and fitted rows": {
        "examples": {"contexts": 20, "context_classes": 5},
        "training": {"joint_rows": 30},
    },
    "CBOW": {
        "examples": {"source": "windows"},
        "network": {"input": "mean"},
        "loss": {"name": "sampled-softmax", "samples": 20},
        "training": FEW_STEPS,
    },
    "CBOW without a hidden layer": {
        "examples": {"source": "windows"},
        "network": {"input": "mean", "activation": "identity"},
        "loss": {"name": "sampled-softmax", "samples": 20},
        "training": FEW_STEPS | {"optimizer": "adafactor", "hidden_rate_factor": 0.0},
    },
    "language model": {
        "examples": {"source": "windows"},
        "network": {"input": "concat", "initialisation": "random"},
        "loss": {"name": "class-softmax"},
        "training": FEW_STEPS,
    },
    "subwords": {"subwords": {"mode": "joint", "buckets": 500, "min_n": 2, "max_n": 3}},
}


@pytest.mark.parametrize("kind", KINDS_OF_TRAINING)
def test_the_same_seed_gives_the_same_bits_on_any_number_of_threads(make_toy_config, kind):
    sections = KINDS_OF_TRAINING[kind]
    configs = []
    for threads in (1, 2, 3, 7):
        training = {"passes": 2, "threads": threads, **sections.get("training", {})}
        config = make_toy_config(f"run{threads}", **(sections | {"training": training}))
        train(config, quiet=True)
        configs.append(config)
    for other in configs[1:]:
        assert_bit_identical(configs[0], other)


def test_another_seed_gives_another_model(make_toy_config):
    configs = [make_toy_config(f"run{i}", training={"seed": i, "passes": 1}) for i in (1, 2)]
    for config in configs:
        train(config, quiet=True)
    assert (parameters(configs[0]).E != parameters(configs[1]).E).any()


@pytest.mark.parametrize("optimizer", ["adam", "adagrad", "sgd"])
@pytest.mark.parametrize("direct", [False, True])
def test_every_optimizer_lowers_the_loss(make_toy_config, optimizer, direct):
    config = make_toy_config(
        network=RANDOM_START | {"direct": direct},
        training={
            "optimizer": optimizer,
            "passes": 5,
            "learning_rate": 0.5 if optimizer == "sgd" else 0.02,
        },
    )
    train(config, quiet=True)
    losses = [line["loss"] for line in lines(config.output) if line.get("end_of_pass")]
    assert losses[-1] < losses[0] - 0.03


def test_held_out_text_is_scored_after_each_pass(make_toy_config):
    config = make_toy_config(validation={"fraction": 0.2}, training={"passes": 3})
    train(config, quiet=True)
    ends = [line for line in lines(config.output) if line.get("end_of_pass")]
    assert len(ends) == 3
    assert all(0 < line["validation_loss"] < np.log(700) for line in ends)


def test_the_float32_loss_of_a_pass_agrees_with_float64(make_toy_config, monkeypatch):
    losses = []
    for dtype in (np.float32, np.float64):
        config = make_toy_config(f"{dtype.__name__}", training={"passes": 2})
        if dtype is np.float64:
            start = examples_module.initial_parameters
            monkeypatch.setattr(
                examples_module, "initial_parameters", partial(start, dtype=np.float64)
            )
        train(config, quiet=True)
        losses.append([line["loss"] for line in lines(config.output)][-1])
    assert losses[0] == pytest.approx(losses[1], abs=1e-4)


def stop_after(number, monkeypatch, how):
    original = Trainer.steps
    count = 0

    def steps(self, batches):
        nonlocal count
        if count < number <= count + len(batches):
            how()
        count += len(batches)
        return original(self, batches)

    monkeypatch.setattr(Trainer, "steps", steps)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_run_resumes_bit_identically(make_toy_config, monkeypatch, number):
    whole = make_toy_config("whole")
    train(whole, quiet=True)
    config = make_toy_config("stopped")
    with monkeypatch.context() as patch:
        stop_after(33, patch, lambda: os.kill(os.getpid(), number))
        with pytest.raises(Interrupted, match=r"step 33$") as stop:
            train(config, quiet=True)
        assert stop.value.number == number
    folder = RunFolder(Path(config.output))
    assert folder.checkpoints()
    assert not folder.model.exists()
    assert load_model(folder.path).metadata["step"] == 33  # usable without resuming
    train(config, resume=True, quiet=True)
    assert_bit_identical(whole, config)
    steps = [line["step"] for line in lines(config.output)]
    assert steps == sorted(set(steps))
    assert not folder.checkpoints()


def killed(function, number=signal.SIGTERM):
    """Return the function, which first sends the process a signal."""

    def kill(*arguments, **options):
        os.kill(os.getpid(), number)
        return function(*arguments, **options)

    return kill


@pytest.mark.parametrize("stage", ["read", "examples"])
def test_a_run_stopped_before_training_leaves_no_folder_or_the_run_that_it_would_replace(
    make_toy_config, monkeypatch, stage
):
    config = make_toy_config(training={"passes": 1})
    with monkeypatch.context() as patch:
        patch.setattr(LocalEngine, stage, killed(getattr(LocalEngine, stage)))
        with pytest.raises(Stopped):
            train(config, quiet=True)
        assert not Path(config.output).exists()
    train(config, quiet=True)
    before = sorted((entry, entry.read_bytes()) for entry in Path(config.output).iterdir())
    with monkeypatch.context() as patch:
        patch.setattr(LocalEngine, stage, killed(getattr(LocalEngine, stage)))
        with pytest.raises(Stopped):
            train(config, overwrite=True, quiet=True)
    assert before == sorted((entry, entry.read_bytes()) for entry in Path(config.output).iterdir())


def losses(config):
    found = load_model(Path(config.output)).metadata
    return {name: loss for name, loss in found.items() if "loss" in name}


@pytest.mark.parametrize(
    ("stage", "position"),
    [
        ("_is_done", "pass 1 of 20, step 1"),
        ("_restore_best", "fit of rows, word 0"),
        ("_fit_rows", "fit of rows, word 0"),
        ("_finish", "the evaluation on held-out text"),
    ],
)
def test_a_run_stopped_between_its_stages_resumes_bit_identically(
    make_toy_config, monkeypatch, stage, position
):
    sections = {"validation": {"fraction": 0.1}}
    if stage == "_finish":  # only windows have a test
        sections = {
            "examples": WINDOWS,
            "network": {"vectors": "input"},
            "training": {"passes": 1, "batch_size": 512},
            "validation": {"split": [60_000, 5_000]},
        }
    whole = make_toy_config("whole", **sections)
    train(whole, quiet=True)
    config = make_toy_config("stopped", **sections)
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, stage, killed(getattr(Trainer, stage)))
        with pytest.raises(Interrupted, match=f"^{position}$"):
            train(config, quiet=True)
    assert not RunFolder(Path(config.output)).model.exists()
    train(config, resume=True, quiet=True)
    assert_bit_identical(whole, config)
    assert losses(whole) == losses(config)
    assert len(losses(whole)) == 1 + (stage == "_finish")


def test_a_signal_while_the_model_is_written_ends_the_program_with_the_model_complete(
    make_toy_config, monkeypatch
):
    config = make_toy_config(training={"passes": 1})
    save = training.save_model_with_fallback
    monkeypatch.setattr(training, "save_model_with_fallback", killed(save))
    with pytest.raises(Interrupted, match="the end") as stop:
        train(config, quiet=True)
    assert stop.value.finished
    load_model(Path(config.output))


def test_a_crashed_run_resumes_from_its_last_checkpoint(make_toy_config, monkeypatch):
    whole = make_toy_config("whole", training={"checkpoint_every": 2})
    train(whole, quiet=True)
    config = make_toy_config("crashed", training={"checkpoint_every": 2})

    def crash():
        raise MemoryError

    with monkeypatch.context() as patch:
        stop_after(77, patch, crash)
        with pytest.raises(MemoryError):
            train(config, quiet=True)
    train(config, resume=True, quiet=True)
    assert_bit_identical(whole, config)


def test_resuming_rejects_a_changed_configuration_or_corpus(
    make_toy_config, monkeypatch, write, toy_files
):
    corpus = write("corpus.txt", toy_files[0].read_text())
    config = make_toy_config(corpus={"files": [str(corpus)]})
    with pytest.raises(RunError, match="not a run"):
        train(config, resume=True, quiet=True)
    assert not Path(config.output).exists()
    with monkeypatch.context() as patch:
        stop_after(5, patch, lambda: os.kill(os.getpid(), signal.SIGINT))
        with pytest.raises(Interrupted):
            train(config, quiet=True)
    other = config.model_copy(
        update={"network": config.network.model_copy(update={"dimension": 16, "hidden": 16})}
    )
    with pytest.raises(RunError, match="does not match"):
        train(other, resume=True, quiet=True)
    corpus.write_text(toy_files[0].read_text() + "king king\n")
    with pytest.raises(RunError, match="corpus has changed"):
        train(config, resume=True, quiet=True)


def test_a_loss_that_is_not_finite_stops_with_advice(make_toy_config):
    config = make_toy_config(training={"optimizer": "sgd", "learning_rate": 1e38})
    with pytest.raises(RunError, match=r"step \d+: the loss is .*lower training\.learning_rate"):
        train(config, quiet=True)


def test_a_diverged_state_is_never_saved_and_the_last_good_one_is_kept(
    make_toy_config, monkeypatch
):
    config = make_toy_config(training={"checkpoint_every": 1})
    original = Trainer.steps

    def steps(self, batches):
        found = original(self, batches)
        if self.passes >= 3:
            self.network.parameters.E[0, 0] = np.inf
        return found

    monkeypatch.setattr(Trainer, "steps", steps)
    with pytest.raises(RunError, match=r"the last checkpoint is checkpoint-\d+\.safetensors"):
        train(config, quiet=True)
    folder = RunFolder(Path(config.output))
    assert len(folder.checkpoints()) == 2
    assert np.isfinite(load_model(folder.path).parameters.E).all()


def test_the_most_recent_checkpoints_are_kept(make_toy_config, monkeypatch):
    training = {"checkpoint_every": "10 steps", "checkpoints_kept": 2}
    config = make_toy_config(training=training)
    with monkeypatch.context() as patch:
        stop_after(39, patch, lambda: (_ for _ in ()).throw(MemoryError))
        with pytest.raises(MemoryError):
            train(config, quiet=True)
    files = RunFolder(Path(config.output)).checkpoints()
    assert [int(file.stem.removeprefix("checkpoint-")) for file in files] == [30, 20]
    assert load_model(Path(config.output)).metadata["step"] == 30


def test_a_damaged_checkpoint_is_skipped_for_the_one_before(make_toy_config, monkeypatch, capsys):
    whole = make_toy_config("whole")
    train(whole, quiet=True)
    config = make_toy_config("stopped", training={"checkpoint_every": "10 steps"})
    with monkeypatch.context() as patch:
        stop_after(39, patch, lambda: (_ for _ in ()).throw(MemoryError))
        with pytest.raises(MemoryError):
            train(config, quiet=True)
    newest, _ = RunFolder(Path(config.output)).checkpoints()
    data = bytearray(newest.read_bytes())
    data[-5] ^= 8
    newest.write_bytes(data)
    train(config, resume=True, quiet=True)
    assert f"{newest}: damaged (wrong checksum)" in capsys.readouterr().err
    assert_bit_identical(whole, config)


def test_leftovers_of_a_killed_process_are_removed(make_toy_config):
    config = make_toy_config(training={"passes": 1})
    folder = Path(config.output)
    (folder / ".work-abc").mkdir(parents=True)
    for name in (".work-abc/ids.int32", ".config.yaml.123.tmp", ".lock"):
        (folder / name).write_text("half")
    train(config, quiet=True)
    assert not [entry for entry in folder.iterdir() if entry.name.startswith(".")]


def test_two_processes_cannot_train_in_one_folder(make_toy_config):
    config = make_toy_config(training={"passes": 1})
    first = RunFolder(Path(config.output))
    first.lock()
    with pytest.raises(RunError, match="another process is training in"):
        train(config, quiet=True)
    with pytest.raises(RunError, match="another process is training in"):
        train(config, overwrite=True, quiet=True)
    first.release()
    train(config, quiet=True)
    assert not (Path(config.output) / ".lock").exists()


def test_a_run_that_reaches_its_time_limit_ends_with_a_model(make_toy_config, monkeypatch, capsys):
    looks = itertools.count(step=0.05)
    clock = SimpleNamespace(perf_counter=lambda: next(looks))  # whatever the machine's other work
    monkeypatch.setattr(trainer, "time", clock)
    config = make_toy_config(training={"passes": 100_000, "max_minutes": 0.5})
    train(config, quiet=True)
    assert "Time limit reached after" in capsys.readouterr().err
    found = load_model(Path(config.output)).metadata
    assert 0 < found["passes"] < 100_000
    assert 25 < found["trained_seconds"] < 31


def test_a_rehearsal_reports_estimates_and_leaves_no_files(make_toy_config):
    config = make_toy_config()
    report = rehearse(config, quiet=True)
    assert re.match(r"[\d,]+ words, [\d,]+ tokens\ntime: about [\d.]+ s per pass", report)
    assert not Path(config.output).exists()
    windows = make_toy_config(examples=WINDOWS, network={"input": "mean"})
    assert re.search(r"time: about [\d.]+ s per pass", rehearse(windows, quiet=True))


@pytest.mark.parametrize("sizes", [{"dimension": 1, "hidden": 1}, {"dimension": 1, "hidden": 3}])
@pytest.mark.parametrize("text", ["a b", "a b a b a b", "a b c " * 1000])
def test_the_smallest_networks_and_texts_train(make_toy_config, write, sizes, text):
    config = make_toy_config(
        corpus={"files": [str(write("tiny.txt", text))]},
        vocabulary={"min_count": 1},
        network=sizes,
        training={"passes": 2},
    )
    train(config, quiet=True)
    assert np.isfinite(load_vectors(Path(config.output)).matrix).all()


def test_a_vocabulary_of_one_word_is_an_error(make_toy_config, write):
    config = make_toy_config(
        corpus={"files": [str(write("one.txt", "a a a a a a"))]}, vocabulary={"min_count": 1}
    )
    with pytest.raises(VocabularyError, match="at least 2 are needed"):
        train(config, quiet=True)


def test_clipped_gradients_move_less(make_toy_config):
    moved = []
    for clip in (None, 1e-4):
        training = {"passes": 1, "optimizer": "sgd", "learning_rate": 0.01, "clip_gradients": clip}
        config = make_toy_config(f"clip{clip}", training=training, network={"direct": False})
        train(config, quiet=True)
        moved.append(np.abs(load_model(Path(config.output)).parameters.b1).max())
    assert 0 < moved[1] < moved[0]


def test_an_existing_run_is_kept_unless_overwrite_is_given(make_toy_config):
    config = make_toy_config(training={"passes": 1})
    train(config, quiet=True)
    with pytest.raises(RunError, match="--overwrite"):
        train(config, quiet=True)
    bad = config.model_copy(
        update={"corpus": config.corpus.model_copy(update={"files": ["none.txt"]})}
    )
    with pytest.raises(CorpusError):
        train(bad, overwrite=True, quiet=True)
    assert load_model(Path(config.output))  # not lost because of a misspelt file name
    train(config, overwrite=True, quiet=True)


def test_a_failed_start_leaves_the_folder_free(make_toy_config):
    config: Config = make_toy_config(corpus={"files": ["none.txt"]})
    for _ in range(2):
        with pytest.raises(CorpusError):
            train(config, quiet=True)
    assert not Path(config.output).exists()


def test_foreign_files_are_never_overwritten(make_toy_config, write):
    mine = write("run/thesis.txt", "years of work")
    with pytest.raises(RunError, match="other than a run"):
        train(make_toy_config(), overwrite=True, quiet=True)
    assert mine.exists()
    with pytest.raises(RunError, match="a file is in the way"):
        train(make_toy_config("run/thesis.txt"), quiet=True)


def test_training_works_outside_the_main_thread(make_toy_config):
    config = make_toy_config(training={"passes": 1})
    thread = threading.Thread(target=train, args=(config,), kwargs={"quiet": True})
    thread.start()
    thread.join()
    assert load_model(Path(config.output))


WINDOWS = {"source": "windows", "window": 3}


@pytest.mark.parametrize(
    "loss", ["softmax", "class-softmax", "sampled-softmax", "negative-sampling", "nce"]
)
@pytest.mark.parametrize("inputs", ["mean", "word", "concat"])
def test_training_on_windows_lowers_the_loss(make_toy_config, loss, inputs):
    config = make_toy_config(
        examples=WINDOWS,
        network={"input": inputs, "initialisation": "random", "vectors": "input"},
        loss={"name": loss, "samples": 64},
        # A position has one example, or one for each word of its window.
        training={
            "passes": 2,
            "batch_size": 1024 if inputs == "word" else 256,
            "learning_rate": 0.01,
        },
        validation={"fraction": 0.1},
    )
    train(config, quiet=True)
    ends = [line["validation_loss"] for line in lines(config.output) if line.get("end_of_pass")]
    if loss != "negative-sampling":
        assert ends[-1] < ends[0] < np.log(700)  # a loss of normalised probabilities
    losses = [line["loss"] for line in lines(config.output) if line.get("end_of_pass")]
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("inputs", ["mean", "word", "concat"])
def test_adafactor_lowers_the_loss_and_leaves_a_hidden_layer_without_rate(make_toy_config, inputs):
    config = make_toy_config(
        examples=WINDOWS,
        network={"input": inputs, "activation": "identity", **RANDOM_START, "vectors": "input"},
        loss={"name": "nce", "samples": 64},
        training={
            "passes": 2, "batch_size": 256, "learning_rate": 0.01, "optimizer": "adafactor",
            "hidden_rate_factor": 0.0,
        },
    )  # fmt: skip
    train(config, quiet=True)
    losses = [line["loss"] for line in lines(config.output) if line.get("end_of_pass")]
    assert losses[-1] < losses[0]
    found = parameters(config)
    assert not found.b1.any()
    if inputs != "concat":  # there, the layer starts at random
        np.testing.assert_array_equal(found.W1, np.eye(len(found.W1)))


@pytest.mark.parametrize(("inputs", "passes"), [("mean", 6), ("word", 2)])
def test_training_on_windows_solves_the_toy_worlds_analogies(
    make_toy_config, toy_files, inputs, passes
):
    config = make_toy_config(
        examples=WINDOWS | {"window": 5},
        network={"input": inputs, "initialisation": "random", "vectors": "hidden"},
        training={"passes": passes, "batch_size": 256, "learning_rate": 0.01},
    )
    train(config, quiet=True)
    assert analogy_accuracy(config.output, toy_files[1], "output") > 0.8


@pytest.mark.parametrize(
    "options",
    [
        {"network": {"input": "mean", "dropout": 0.3}, "vocabulary": {"subsample": 1e-2}},
        {"network": {"input": "concat", "tied": True}, "loss": {"name": "sampled-softmax"}},
        {"network": {"input": "word"}, "validation": {"fraction": 0.1, "patience": 5}},
        {
            "network": {"input": "mean", "activation": "identity"},
            "loss": {"name": "sampled-softmax"},
            "training": {"optimizer": "adafactor", "hidden_rate_factor": 0.0},
        },
        {
            "network": {"input": "mean"},
            "subwords": {"max_n": 4, "buckets": 5000},
            "loss": {"name": "nce"},
            "training": {"optimizer": "adafactor"},
        },
    ],
)
def test_an_interrupted_run_on_windows_resumes_bit_identically(
    make_toy_config, monkeypatch, options
):
    common = {
        "examples": WINDOWS | {"shuffle_tokens": 50_000, "dynamic": True},
        "training": {"passes": 2, "batch_size": 512},
    }
    common["training"] |= options.get("training", {})
    options = options | {"network": {"vectors": "input"} | options["network"]} | common
    whole = make_toy_config("whole", **options)
    train(whole, quiet=True)
    config = make_toy_config("stopped", **options)
    with monkeypatch.context() as patch:
        stop_after(313, patch, lambda: os.kill(os.getpid(), signal.SIGINT))
        with pytest.raises(Interrupted):
            train(config, quiet=True)
    train(config, resume=True, quiet=True)
    assert_bit_identical(whole, config)


def test_steps_are_taken_at_once_up_to_the_next_event(make_toy_config, monkeypatch):
    common = {
        "examples": WINDOWS,
        "network": {"input": "mean"},
        "loss": {"name": "negative-sampling"},
        "validation": {"fraction": 0.1},
    }
    training = {"passes": 1, "batch_size": 512}
    whole = make_toy_config("whole", training=training, **common)
    train(whole, quiet=True)
    ends = []
    original = Trainer.steps

    def steps(self, batches):
        found = original(self, batches)
        ends.append(self.number)
        if self.number == 40:
            os.kill(os.getpid(), signal.SIGINT)
        return found

    common["validation"]["every"] = 7
    config = make_toy_config(
        "stopped", training=training | {"checkpoint_every": "20 steps"}, **common
    )
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "steps", steps)
        with pytest.raises(Interrupted, match=r"step 40$"):
            train(config, quiet=True)
    assert ends == [7, 14, 20, 21, 28, 35, 40]
    train(config, resume=True, quiet=True)
    assert_bit_identical(whole, config)


def test_training_stops_when_the_validation_loss_rises_and_keeps_the_best_model(make_toy_config):
    config = make_toy_config(
        examples=WINDOWS,
        network={"input": "concat"},
        training={"passes": 50, "batch_size": 64, "learning_rate": 0.03},
        validation={"split": [2000, 20_000], "every": 20, "patience": 3},
    )
    train(config, quiet=True)
    losses = [line["validation_loss"] for line in lines(config.output) if "validation_loss" in line]
    assert lines(config.output)[-1]["pass"] < 50
    assert losses.index(min(losses)) == len(losses) - 4
    assert load_model(Path(config.output)).metadata["validation_loss"] == min(losses)
    assert not RunFolder(Path(config.output)).best.exists()


def test_only_single_words_have_hidden_vectors(make_toy_config):
    config = make_toy_config(examples=WINDOWS, network={"input": "concat"}, training=FEW_STEPS)
    train(config, quiet=True)
    assert load_vectors(Path(config.output)).matrix.shape[1] == 32
    with pytest.raises(RunError, match="has no hidden vectors"):
        load_vectors(Path(config.output), "hidden")


def test_rows_of_classes_are_not_word_vectors(make_toy_config):
    config = make_toy_config(examples=WINDOWS, loss={"name": "class-softmax"}, training=FEW_STEPS)
    train(config, quiet=True)
    vectors = load_vectors(Path(config.output), "output")
    assert len(vectors.matrix) == len(vectors.vocabulary) < len(parameters(config).W2)


def test_tied_weights_stay_one_table(make_toy_config):
    config = make_toy_config(
        examples=WINDOWS, network={"input": "concat", "tied": True}, training=FEW_STEPS
    )
    train(config, quiet=True)
    found = parameters(config)
    np.testing.assert_array_equal(found.E, found.W2)


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("a b\n" * 3, {}),
        ("a a a b\n", {"network": {"dimension": 1, "hidden": 1}}),
        ("a b c\n" * 2, {"training": {"batch_size": 1}}),
        ("a b c d\n", {"network": {"dimension": 50, "hidden": 3}}),
        ("a b c d\n", {"network": {"dimension": 3, "hidden": 50, "direct": True}}),
    ],
)
def test_tiny_corpora_train(make_toy_config, write, text, options):
    path = write("tiny.txt", text)
    config = make_toy_config(corpus={"files": [str(path)]}, vocabulary={"min_count": 1}, **options)
    train(config, quiet=True)
    assert np.isfinite(parameters(config).E).all()


def fail_at(number, monkeypatch, module, name, code):
    """Make the call with this number, and all later ones, fail with an error number."""
    original = getattr(module, name)
    calls = 0

    def call(*arguments, **options):
        nonlocal calls
        calls += 1
        if calls >= number:
            raise OSError(code, os.strerror(code))
        return original(*arguments, **options)

    monkeypatch.setattr(module, name, call)
    return lambda: calls


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EIO])
def test_any_failed_write_is_one_sentence_and_the_run_can_be_resumed(
    make_toy_config, monkeypatch, code
):
    training = {"passes": 3, "checkpoint_every": "5 steps"}
    whole = make_toy_config("whole", training=training)
    with monkeypatch.context() as patch:
        writes = fail_at(10**9, patch, os, "fsync", code)
        train(whole, quiet=True)
    assert writes() > 10
    for number in range(1, writes() + 1):
        config = make_toy_config(f"at{number}", training=training)
        folder = RunFolder(Path(config.output))
        saved = None
        with monkeypatch.context() as patch:
            fail_at(number, patch, os, "fsync", code)
            patch.setattr(tempfile, "tempdir", str(folder.path / "none"))  # no fallback either
            with pytest.raises(RunError, match=r"disk is full|cannot be written"):
                train(config, quiet=True)
            saved = [file.name for file in folder.checkpoints()]
        if folder.model.exists():
            pass  # only a write after the model failed
        elif saved:
            train(config, resume=True, quiet=True)
        else:
            train(config, overwrite=folder.config.exists(), quiet=True)
        assert_bit_identical(whole, config)
        assert not list(folder.path.glob(".*.tmp"))
