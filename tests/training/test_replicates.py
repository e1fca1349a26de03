import os
import re
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest

from embedder.arrays import unit_rows
from embedder.config_files import with_overrides
from embedder.errors import ConfigError, RunError
from embedder.runs.checkpoint import load_model
from embedder.runs.replicate_folder import Replicate, ReplicateFolder, missing_replicates
from embedder.runs.run_folder import RunFolder
from embedder.training import forecast
from embedder.training.replicates import cut_text, draw_blocks, seeds_of
from embedder.training.train import rehearse, train
from embedder.training.trainer import Interrupted, Trainer
from embedder.vectors.from_run import load_vectors

FEW = {"passes": 2}
BLOCKS = {"block": 20}


def files(config):
    """The bits of the vectors of each replicate, by its name."""
    folder = ReplicateFolder(Path(config.output))
    return {each.name: folder.load(each)[0].tobytes() for each in folder.replicates()}


def vectors_of(config, kind, number):
    return ReplicateFolder(Path(config.output)).load(Replicate(kind, number))[0]


@pytest.fixture
def make_config(make_toy_config):
    def make(output="run", bootstrap=2, seeds=1, **sections):
        sections["training"] = FEW | sections.get("training", {})
        replicates = {**BLOCKS, "bootstrap": bootstrap, "seeds": seeds}
        return make_toy_config(output, replicates=replicates, **sections)

    return make


def test_replicates_differ_from_the_run_and_from_each_other_but_not_between_two_runs(make_config):
    one = make_config("one")
    train(one, quiet=True)
    other = make_config("other", training={"threads": 1})
    train(other, quiet=True)
    found = files(one)
    assert sorted(found) == ["bootstrap-0001", "bootstrap-0002", "seed-0001"]
    assert len({*found.values()}) == 3
    assert found == files(other)
    folder = ReplicateFolder(Path(one.output))
    assert sorted(entry.name for entry in folder.path.iterdir()) == [
        f"{name}.safetensors" for name in sorted(found)
    ]


def test_the_run_itself_is_the_same_with_and_without_replicates(make_config):
    with_them, without = make_config("with"), make_config("without", 0, 0)
    train(with_them, quiet=True)
    train(without, quiet=True)
    matrices = [load_vectors(Path(each.output)).matrix for each in (with_them, without)]
    np.testing.assert_array_equal(*matrices)
    assert not ReplicateFolder(Path(without.output)).path.exists()


def test_a_replicate_with_another_seed_is_the_run_with_that_seed(make_config):
    config = make_config("run", 0, 1)
    train(config, quiet=True)
    seed, _ = seeds_of(config.training.seed, Replicate("seed", 1))
    own = make_config("own", 0, 0, training={"seed": seed})
    train(own, quiet=True)
    expected = unit_rows(load_vectors(Path(own.output)).matrix).astype(np.float16)
    np.testing.assert_array_equal(vectors_of(config, "seed", 1), expected)


KINDS_OF_TRAINING = {
    "classes and fitted rows": {
        "examples": {"contexts": 20, "context_classes": 5},
        "training": {"joint_rows": 30},
    },
    "CBOW": {
        "examples": {"source": "windows"},
        "network": {"input": "mean"},
        "loss": {"name": "sampled-softmax", "samples": 20},
    },
    "language model with split text": {
        "examples": {"source": "windows"},
        "network": {"input": "concat", "initialisation": "random"},
        "validation": {"split": [4000, 1000]},
    },
    "subwords": {"subwords": {"buckets": 500, "min_n": 2, "max_n": 3}},
    "held-out text and patience": {"validation": {"fraction": 0.2, "patience": 1}},
}


@pytest.mark.parametrize("kind", KINDS_OF_TRAINING)
def test_every_kind_of_training_has_replicates(make_config, kind):
    config = make_config(bootstrap=1, seeds=1, **KINDS_OF_TRAINING[kind])
    train(config, quiet=True)
    shape = load_vectors(Path(config.output)).matrix.shape
    for each in ("bootstrap", "seed"):
        found = vectors_of(config, each, 1)
        assert found.shape == shape
        lengths = np.linalg.norm(found.astype(np.float64), axis=1)
        assert (np.isclose(lengths, 1, atol=2e-3) | (lengths == 0)).all()
        assert (lengths > 0).mean() > 0.8  # a split leaves words out


def test_words_that_a_sample_lacks_have_zeros(make_config, toy_files, tmp_path):
    text = tmp_path / "text.txt"
    lines = toy_files[0].read_text().splitlines()[:600]
    lines[300] = " ".join(["zebra zebra", lines[300], "zebra zebra zebra"])
    text.write_text("\n".join(lines) + "\n")
    config = make_config(
        bootstrap=6, seeds=1, corpus={"files": [str(text)]}, vocabulary={"min_count": 5}
    )
    train(config, quiet=True)
    zebra = load_vectors(Path(config.output)).vocabulary.ids["zebra"]
    lacking = [not vectors_of(config, "bootstrap", i)[zebra].any() for i in range(1, 7)]
    assert 0 < sum(lacking) < 6  # expected 1 / e of them
    assert vectors_of(config, "seed", 1)[zebra].any()


def test_replicates_can_be_added_to_a_finished_run(make_config):
    whole = make_config("whole", 2, 1)
    train(whole, quiet=True)
    config = make_config("run", 0, 0)
    train(config, quiet=True)
    before = RunFolder(Path(config.output)).model.read_bytes()
    for overrides in (["replicates.bootstrap=1"], ["replicates.bootstrap=2", "replicates.seeds=1"]):
        train(
            with_overrides(config, ["replicates.block=20", *overrides], ""), resume=True, quiet=True
        )
    assert files(config) == files(whole)
    assert RunFolder(Path(config.output)).model.read_bytes() == before
    assert RunFolder(Path(config.output)).read_config().replicates.bootstrap == 2


def test_more_than_there_are_are_kept_and_a_run_that_is_replaced_loses_them(make_config):
    config = make_config(bootstrap=2, seeds=0)
    train(config, quiet=True)
    fewer = with_overrides(config, ["replicates.bootstrap=1"], "")
    train(fewer, resume=True, quiet=True)
    assert len(files(config)) == 2
    train(make_config(bootstrap=0, seeds=1), overwrite=True, quiet=True)
    assert sorted(files(config)) == ["seed-0001"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_replicate_resumes_bit_identically(make_config, monkeypatch, number):
    whole = make_config("whole")
    train(whole, quiet=True)
    config = make_config("stopped")
    original, count = Trainer.steps, 0

    def steps(self, batches):
        nonlocal count
        count += self.network.parameters is not None and "bootstrap-0002" in self._config.output
        if count == 2:
            os.kill(os.getpid(), number)
        return original(self, batches)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "steps", steps)
        with pytest.raises(Interrupted, match=r"bootstrap sample 2, pass \d of 2, step ") as stop:
            train(config, quiet=True)
    assert stop.value.number == number
    assert not stop.value.finished
    folder = ReplicateFolder(Path(config.output))
    assert sorted(files(config)) == ["bootstrap-0001"]
    assert RunFolder(folder.run_of(Replicate("bootstrap", 2))).checkpoints()
    assert len(missing_replicates(config, Path(config.output))) == 2
    train(config, resume=True, quiet=True)
    assert files(config) == files(whole)


def test_a_signal_between_two_replicates_leaves_what_is_finished(make_config, monkeypatch):
    config = make_config()
    original = ReplicateFolder.save

    def save(self, replicate, vectors, metadata):
        original(self, replicate, vectors, metadata)
        os.kill(os.getpid(), signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr(ReplicateFolder, "save", save)
        with pytest.raises(Interrupted, match=r"^bootstrap sample 2$"):
            train(config, quiet=True)
    assert sorted(files(config)) == ["bootstrap-0001"]
    train(config, resume=True, quiet=True)
    assert len(files(config)) == 3


def test_a_replicate_whose_model_was_written_is_not_trained_again(make_config, monkeypatch):
    config = make_config(bootstrap=1, seeds=0)
    with monkeypatch.context() as patch:
        patch.setattr(ReplicateFolder, "save", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            train(config, quiet=True)
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "steps", lambda *_: 1 / 0)
        train(config, resume=True, quiet=True)
    assert sorted(files(config)) == ["bootstrap-0001"]


def test_a_finished_run_with_other_settings_is_refused(make_config):
    config = make_config(bootstrap=0, seeds=0)
    train(config, quiet=True)
    other = with_overrides(config, ["replicates.seeds=1", "examples.window=3"], "")
    with pytest.raises(RunError, match=r"trained with examples\.window 5; .* got 3\."):
        train(other, resume=True, quiet=True)
    threads = with_overrides(config, ["replicates.seeds=1", "training.threads=1"], "")
    train(threads, resume=True, quiet=True)
    assert len(files(config)) == 1


def test_a_text_that_has_changed_is_refused(make_config, toy_files, tmp_path):
    text = tmp_path / "text.txt"
    shutil.copy(toy_files[0], text)
    config = make_config(bootstrap=0, seeds=0, corpus={"files": [str(text)]})
    train(config, quiet=True)
    text.write_text(text.read_text() + toy_files[0].read_text()[:1000])
    with pytest.raises(RunError, match="the corpus has changed"):
        train(with_overrides(config, ["replicates.seeds=1"], ""), resume=True, quiet=True)


def test_samples_of_other_blocks_are_not_mixed(make_config):
    config = make_config(bootstrap=1, seeds=0)
    train(config, quiet=True)
    other = with_overrides(config, ["replicates.bootstrap=2", "replicates.block=30"], "")
    with pytest.raises(RunError, match=r"replicates\.block 20; expected the same, got 30"):
        train(other, resume=True, quiet=True)


def test_too_few_blocks_are_an_error_before_training(make_toy_config):
    config = make_toy_config(replicates={"bootstrap": 1, "block": 100_000})
    with pytest.raises(RunError, match=r"has 2 blocks of 100,000 words .* lower replicates\.block"):
        train(config, quiet=True)
    assert not Path(config.output).exists()


def test_what_replicates_take_is_said_before(make_config, capsys, monkeypatch):
    config = make_config(bootstrap=20, seeds=5)
    rehearse(config)
    said = " ".join(capsys.readouterr().err.split())
    assert "20 on bootstrap samples and 5 with other seeds" in said
    words = int(re.search(r"words: ([\d,]+);", said)[1].replace(",", ""))
    assert f"take {25 * words * 32 * 2 / 2**10:.0f} KiB on disk" in said
    monkeypatch.setattr(forecast.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(0, 0, 99))
    with pytest.raises(RunError, match=r"25 replicates need .* lower replicates\.bootstrap"):
        train(config, quiet=True)


def test_a_cluster_has_no_replicates(make_toy_config):
    with pytest.raises(ConfigError, match=r"expected training\.engine local"):
        make_toy_config(replicates={"seeds": 1}, training={"engine": "ray"})


def test_a_sample_has_as_many_blocks_as_the_text(rng, tmp_path):
    ids = rng.integers(0, 9, 3000).astype(np.int32)
    ids[9::10] = -1
    starts = cut_text(ids, "sentence")
    drawn = np.asarray(draw_blocks(ids, starts, 5, tmp_path / "ids"))
    assert len(starts) == 301
    assert (drawn[9::10] < 0).all()
    assert len(drawn) == len(ids)
    np.testing.assert_array_equal(drawn, draw_blocks(ids, starts, 5, tmp_path / "again"))
    assert drawn.tolist() != draw_blocks(ids, starts, 6, tmp_path / "other").tolist()


def test_replicates_are_of_the_whole_vocabulary_and_record_their_origin(make_config):
    config = make_config(bootstrap=1, seeds=0)
    train(config, quiet=True)
    run = Path(config.output)
    _, origin = ReplicateFolder(run).load(Replicate("bootstrap", 1))
    assert origin == {
        "vocabulary": load_model(run).vocabulary.digest(),
        "vectors": "sum",
        "block": 20,
    }
