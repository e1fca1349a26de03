import itertools
import shutil
from collections import Counter
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import embedder
from embedder.config_files import make_config
from embedder.errors import CorpusWarning, RunError, VocabularyError
from embedder.runs.checkpoint import load_model, save_model
from embedder.text.corpus import read_text
from embedder.training.train import train
from embedder.training.update import UpdateOptions, update
from embedder.vectors.from_run import load_vectors

GROUPED = {"contexts": 60, "context_classes": 20, "near_contexts": 30}


@pytest.fixture(scope="module")
def texts(toy_files, tmp_path_factory):
    """The toy world without a few words, and the rest of it."""
    folder = tmp_path_factory.mktemp("texts")
    lines = toy_files[0].read_text().splitlines(keepends=True)
    words = sorted({word for line in lines for word in line.split()})
    held = [words[10], words[-10]]
    without = [line for line in lines if not set(held) & set(line.split())]
    rest = [line for line in lines if set(held) & set(line.split())]
    old, new = folder / "old.txt", folder / "new.txt"
    old.write_text("".join(without))
    new.write_text("".join(rest))
    return old, new, held


def config_of(toy_tree, old, output, **sections):
    tree = {name: dict(section) for name, section in toy_tree.items()}
    tree["corpus"]["files"] = [str(old)]
    for name, section in sections.items():
        tree[name] = tree.get(name, {}) | section
    return make_config(tree | {"output": str(output)}, "test")


@pytest.fixture(scope="module", params=[{}, GROUPED, {"near": 0}])
def run(request, toy_tree, texts, tmp_path_factory):
    folder = tmp_path_factory.mktemp("update") / "run"
    config = config_of(toy_tree, texts[0], folder, examples=request.param, training={"passes": 5})
    train(config, quiet=True)
    return folder


def update_with(run, text, output, **options):
    corpus = load_model(run).config.corpus.model_copy(update={"files": [str(text)]})
    return update(
        run,
        partial(read_text, corpus),
        UpdateOptions(output, [str(text)], quiet=True, **options),
    )


@pytest.mark.parametrize("kind", ["input", "hidden", "sum"])
def test_old_vectors_stay_to_the_bit_and_new_words_have_vectors(run, texts, tmp_path, kind):
    _, new, held = texts
    found = update_with(run, new, tmp_path / "new")
    before, after = load_vectors(run, kind), load_vectors(tmp_path / "new", kind)
    assert sorted(found.new) == sorted(held)
    assert not set(held) & set(before.words)
    assert set(after.words) == {*before.words, *held}
    np.testing.assert_array_equal(after[before.words], before.matrix)
    assert (np.linalg.norm(after[held], axis=1) > 0.1).all()


def neighbours_of(word, lines, window=5):
    """The words in the windows of a word, with linear weights."""
    found = {}
    for words in lines:
        for i, centre in enumerate(words):
            for j in range(max(0, i - window), min(len(words), i + window + 1)):
                if centre == word and i != j:
                    weight = (window + 1 - abs(i - j)) / window
                    found[words[j]] = found.get(words[j], 0) + weight
    return found


def test_a_new_word_predicts_its_neighbours_better_than_other_words_do(run, texts, tmp_path):
    _, new, held = texts
    update_with(run, new, tmp_path / "new")
    vectors = load_vectors(tmp_path / "new")
    with np.errstate(divide="ignore"):
        logs = np.log(vectors.predictor(np.arange(len(vectors))))
    for word in held:
        found = neighbours_of(word, [line.split() for line in new.read_text().splitlines()])
        known = {other: n for other, n in found.items() if other not in held}
        ids = [vectors.vocabulary.ids[other] for other in known]
        likelihoods = logs[:, ids] @ np.array(list(known.values()))
        assert vectors.words[likelihoods.argmax()] == word


def test_new_words_are_not_predicted_and_have_no_output(run, texts, tmp_path):
    _, new, held = texts
    update_with(run, new, tmp_path / "new")
    vectors = load_vectors(tmp_path / "new")
    (row,) = vectors.predictor(np.array([vectors.vocabulary.ids[held[0]]]))
    assert row[[vectors.vocabulary.ids[word] for word in held]].tolist() == [0, 0]
    assert row.sum() == pytest.approx(1)
    assert not load_vectors(tmp_path / "new", "output")[held].any() or not (
        load_model(run).columns.near
    )


def test_words_are_in_order_of_their_counts_in_both_texts(run, texts, tmp_path):
    old, new, held = texts
    update_with(run, new, tmp_path / "new")
    vocabulary = load_vectors(tmp_path / "new").vocabulary
    assert (np.diff(vocabulary.counts) <= 0).all()
    words = (old.read_text() + new.read_text()).split()
    for word in (held[0], vocabulary.words[0], vocabulary.words[50]):
        assert vocabulary.counts[vocabulary.ids[word]] == words.count(word)


def test_refining_moves_only_words_of_the_text_and_says_which(run, texts, tmp_path):
    _, new, held = texts
    few = tmp_path / "few.txt"
    few.write_text("".join(new.read_text().splitlines(keepends=True)[:20]))
    found = update_with(run, few, tmp_path / "new", refine=True, min_count=1)
    before, after = load_vectors(run), load_vectors(tmp_path / "new")
    mentioned = set(few.read_text().split())
    assert {moved.word for moved in found.moved} == mentioned - set(held)
    cosines = [moved.cosine for moved in found.moved]
    assert cosines == sorted(cosines)
    for word in before.words:
        assert np.array_equal(before[word], after[word]) == (word not in mentioned), word


def test_refining_weights_old_vectors_by_their_counts(run, texts, tmp_path):
    _, new, _ = texts
    update_with(run, new, tmp_path / "new", refine=True)
    old = load_model(run)
    heavy = tmp_path / "heavy"
    shutil.copytree(run, heavy)
    model = load_model(heavy)
    kept = model.kept._replace(totals=1e6 * model.kept.totals)
    metadata = model.metadata | {
        "config": model.config.model_dump(mode="json"),
        "vocabulary": model.vocabulary.digest(),
        "composition": None,
    }
    save_model(heavy / "model.safetensors", model.parameters, metadata, kept)
    update_with(heavy, new, tmp_path / "newer", refine=True)
    V = len(old.vocabulary)
    light, weighted = (
        np.linalg.norm(load_model(tmp_path / name).parameters.E[:V] - old.parameters.E, axis=1)
        for name in ("new", "newer")
    )
    assert weighted.max() < 0.01 * light.max()
    totals = load_model(tmp_path / "new").kept.totals[:V]
    assert (totals >= old.kept.totals).all()
    assert (totals > old.kept.totals).any()


def test_updates_chain(run, texts, tmp_path):
    _, new, held = texts
    lines = new.read_text().splitlines(keepends=True)
    parts = tmp_path / "a.txt", tmp_path / "b.txt"
    parts[0].write_text("".join(line for line in lines if held[0] not in line.split()))
    parts[1].write_text("".join(line for line in lines if held[0] in line.split()))
    update_with(run, parts[0], tmp_path / "one")
    update_with(tmp_path / "one", parts[1], tmp_path / "two", refine=True)
    first, second = load_vectors(tmp_path / "one"), load_vectors(tmp_path / "two")
    assert held[1] in first
    assert held[0] not in first
    assert held[0] in second
    model = load_model(tmp_path / "two")
    assert [own["new_words"] for own in model.metadata["updates"]] == [1, 1]
    assert model.config.corpus.files[1:] == [str(part) for part in parts]
    embedder.save(second, tmp_path / "vectors.bin")
    np.testing.assert_array_equal(embedder.load(tmp_path / "vectors.bin").matrix, second.matrix)


def test_words_without_a_known_neighbour_are_left_out(run, tmp_path):
    known = load_vectors(run).words[:2]
    text = tmp_path / "text.txt"
    text.write_text(f"xx yy\n{known[0]} zz {known[1]}\n" * 9)
    found = update_with(run, text, tmp_path / "new")
    assert found.new == ["zz"]
    assert sorted(found.left_out) == ["xx", "yy"]
    assert "xx" not in load_vectors(tmp_path / "new")
    text.write_text("xx yy\n" * 9)
    with pytest.raises(VocabularyError, match=r"none that occurs 100 times; use more text, or"):
        update_with(run, text, tmp_path / "none", min_count=100)
    assert not (tmp_path / "none").exists()


def test_the_run_to_update_and_other_runs_are_not_overwritten(run, texts, tmp_path):
    with pytest.raises(RunError, match="this is the run to update"):
        update_with(run, texts[1], run, overwrite=True)
    update_with(run, texts[1], tmp_path / "new")
    with pytest.raises(RunError, match="exists and is not empty"):
        update_with(run, texts[1], tmp_path / "new")
    update_with(run, texts[1], tmp_path / "new", overwrite=True)


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"examples": {"source": "windows"}}, "trained on windows"),
        ({"subwords": {"max_n": 4, "mode": "joint"}}, "share rows of n-grams"),
        ({"network": {"vectors": "output"}}, "those of the output layer"),
    ],
)
def test_runs_that_cannot_be_updated_are_refused(
    run, toy_tree, texts, tmp_path, monkeypatch, sections, message
):
    config = config_of(toy_tree, texts[0], run, **sections)
    model = load_model(run)._replace(config=config)
    monkeypatch.setattr("embedder.training.update.load_model", lambda _: model)
    with pytest.raises(RunError, match=message):
        update_with(run, texts[1], tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_an_older_run_lacks_what_refining_takes(toy_run, texts, tmp_path):
    older = tmp_path / "older"
    shutil.copytree(toy_run, older)
    model = load_model(older)
    metadata = {"config": model.config.model_dump(mode="json"), "composition": None}
    save_model(older / "model.safetensors", model.parameters, metadata)
    with pytest.raises(RunError, match="without the totals of its counts"):
        update_with(older, texts[1], tmp_path / "new", refine=True)
    update_with(older, texts[1], tmp_path / "new")
    assert load_model(tmp_path / "new").kept.totals is None


def test_an_unfinished_run_is_refused(toy_run, texts, tmp_path):
    unfinished = tmp_path / "unfinished"
    shutil.copytree(toy_run, unfinished)
    (unfinished / "model.safetensors").rename(unfinished / "checkpoint-000000000001.safetensors")
    with pytest.raises(RunError, match="not finished; finish it with: embedder train --resume"):
        update_with(unfinished, texts[1], tmp_path / "new")


def test_phrases_and_an_unknown_symbol_are_those_of_the_run(toy_tree, texts, tmp_path):
    old, _, _ = texts
    lines = [line.split() for line in old.read_text().splitlines()]
    pairs = Counter(pair for line in lines for pair in itertools.pairwise(line))
    ((first, second), _), *_ = pairs.most_common()
    phrases = tmp_path / "phrases.tsv"
    phrases.write_text(
        f"pass\tscore\tcount\tphrase\twords\n1\t20\t9\t{first}_{second}\t{first}\t{second}\n"
    )
    run = tmp_path / "run"
    train(
        config_of(
            toy_tree,
            old,
            run,
            corpus={"phrases": {"file": str(phrases)}},
            vocabulary={"unknown": "<unk>", "max_size": 100},
            training={"passes": 1},
        ),
        quiet=True,
    )
    text = tmp_path / "text.txt"
    text.write_text(f"{first} {second} new\n" * 7 + "rare\n" * 3)
    assert update_with(run, text, tmp_path / "new", min_count=6).new == ["new"]
    before, after = load_vectors(run).vocabulary, load_vectors(tmp_path / "new").vocabulary
    for word, times in (("new", 7), (f"{first}_{second}", 7), ("<unk>", 3)):
        old_count = before.counts[before.ids[word]] if word in before.ids else 0
        assert after.counts[after.ids[word]] == old_count + times
    assert load_model(tmp_path / "new").phrases.join([first, second]) == [f"{first}_{second}"]


def test_threads_change_no_bit(run, texts, tmp_path, monkeypatch):
    for threads in (1, 2):
        model = load_model(run)
        training = model.config.training.model_copy(update={"threads": threads})
        changed = model._replace(config=model.config.model_copy(update={"training": training}))
        with monkeypatch.context() as patch:
            patch.setattr("embedder.training.update.load_model", lambda _, own=changed: own)
            update_with(run, texts[1], tmp_path / f"new-{threads}", refine=True)
    one, other = (load_model(tmp_path / f"new-{threads}").parameters.E for threads in (1, 2))
    np.testing.assert_array_equal(one, other)


def test_python_warns_of_new_words_without_known_ones_beside_them(run, texts):
    _, new, held = texts
    tokens = [line.split() for line in new.read_text().splitlines()]
    alone = [["alone", "lonely"]] * 99
    with pytest.warns(CorpusWarning, match="^Left out 2 new words that have .*: alone, lonely$"):
        vectors = embedder.update(run, tokens + alone, progress=False)
    assert set(held) <= set(vectors)
    assert "alone" not in vectors


def test_python_updates_with_objects_and_files(run, texts, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    _, new, held = texts
    lines = new.read_text().splitlines()
    tokens = [line.split() for line in lines]
    for source in (new, [str(new)], lines, tokens, iter(tokens)):
        vectors = embedder.update(run, source, progress=False)
        assert set(held) <= set(vectors.words)
        assert vectors.predict(held[0])
    assert not list(tmp_path.iterdir())
    embedder.update(run, new, output="kept", progress=False)
    with pytest.raises(RunError, match=r"kept: .*overwrite=True"):
        embedder.update(run, new, output="kept", progress=False)
    assert Path("kept/model.safetensors").exists()
