import json

import numpy as np
import pytest
from scipy.stats import chi2, skew

from embedder.arrays import unit_rows
from embedder.errors import RunError, VocabularyError
from embedder.evaluation.changes import SlicedRun
from embedder.kernels.changes import ChangeTests
from embedder.runs.checkpoint import load_model
from embedder.runs.slice_folder import SliceFolder
from embedder.training.slices import _cut_blocks, _p_values, _Slice, fit_slices
from embedder.training.train import train
from embedder.vectors.from_run import load_vectors


def test_slices_share_all_layers_but_the_rows_of_words(sliced_run):
    whole = load_model(sliced_run)
    for name in ("1900", "1910", "1920"):
        model = load_model(SliceFolder(sliced_run).run_of(name))
        for own, other in zip(model.parameters[1:], whole.parameters[1:], strict=True):
            np.testing.assert_array_equal(own, other)
        assert (model.parameters.E != whole.parameters.E).any(axis=1).mean() > 0.9
        assert model.config.output == str(sliced_run / "slices" / name)


def test_words_lie_near_their_vector_of_the_whole_corpus(sliced_run):
    whole = load_vectors(sliced_run, "hidden")
    for name in SliceFolder(sliced_run).names():
        own = load_vectors(SliceFolder(sliced_run).run_of(name))
        cosines = (unit_rows(own.matrix) * unit_rows(whole[own.words])).sum(axis=1)
        assert np.median(cosines) > 0.8


def test_a_slice_has_its_own_counts_and_only_its_own_words(sliced_run, planted):
    files, (old, new, early, late) = planted
    folder = SliceFolder(sliced_run)
    first, last = (load_vectors(folder.run_of(name)) for name in ("1900", "1920"))
    words = files[0].read_text().split()
    assert first.vocabulary.counts[first.vocabulary.ids[old]] == words.count(old)
    assert early in first
    assert early not in last
    assert late in last
    assert late not in first
    assert old not in last
    assert new in last
    assert early not in {near.word for near in last.neighbors(new, len(last))}
    assert last.predict(new, 3)


def test_the_slice_before_may_be_the_prior_and_a_strong_one_holds(
    make_sliced_config, planted, sliced_run, tmp_path
):
    examples = load_model(sliced_run).config.examples.model_dump()
    rows = {}
    for name, prior, weight in (("a", "previous", 1e9), ("b", "corpus", 1e9), ("c", "corpus", 0.0)):
        config = make_sliced_config(
            tmp_path / name,
            examples=examples,
            slices={"prior": prior, "prior_weight": weight, "permutations": 100},
        )
        train(config, quiet=True)
        fit_slices(tmp_path / name, config, quiet=True)
        folder = SliceFolder(tmp_path / name)
        own = [load_model(folder.run_of(each)).parameters.E for each in folder.names()]
        rows[name] = [load_model(tmp_path / name).parameters.E, *own]
    for name in ("a", "b"):
        for own in rows[name][1:]:
            np.testing.assert_allclose(own, rows[name][0], atol=1e-4)
    moved = np.linalg.norm(rows["c"][1] - rows["c"][0], axis=1)
    assert np.median(moved) > 0.01


def test_the_order_of_lines_changes_no_conclusion(
    make_sliced_config, planted, sliced_run, tmp_path
):
    files, (_, new, *_) = planted
    shuffled = []
    for number, file in enumerate(files):
        lines = file.read_text().splitlines(keepends=True)
        np.random.default_rng(number).shuffle(lines)
        shuffled.append(tmp_path / file.name)
        shuffled[-1].write_text("".join(lines))
    examples = load_model(sliced_run).config.examples.model_dump()
    config = make_sliced_config(tmp_path / "run", shuffled, examples=examples)
    train(config, quiet=True)
    fit_slices(tmp_path / "run", config, quiet=True)
    assert SlicedRun(tmp_path / "run").most_changed(1)[0].word == new


def test_slices_are_replaced_as_a_whole(make_sliced_config, planted, tmp_path):
    config = make_sliced_config(tmp_path / "run", slices={"permutations": 100})
    train(config, quiet=True)
    fit_slices(tmp_path / "run", config, quiet=True)
    two = {"1900": [str(planted[0][0])], "1920": [str(planted[0][2])]}
    fewer = config.model_copy(update={"slices": config.slices.model_copy(update={"files": two})})
    fit_slices(tmp_path / "run", fewer, quiet=True)
    assert SliceFolder(tmp_path / "run").names() == ["1900", "1920"]
    assert not (tmp_path / "run" / "slices" / "1910").exists()
    train(config, overwrite=True, quiet=True)
    with pytest.raises(RunError, match="a run without slices; expected one written by"):
        SlicedRun(tmp_path / "run")


def test_slices_may_be_named_by_a_field(make_sliced_config, planted, sliced_run, tmp_path):
    path = tmp_path / "records.jsonl"
    with path.open("w") as file:
        for number, own in enumerate(planted[0]):
            for line in own.read_text().splitlines():
                file.write(json.dumps({"body": line, "year": 1900 + 10 * number}) + "\n")
    config = make_sliced_config(tmp_path / "run")
    corpus = config.corpus.model_copy(update={"files": [str(path)], "text_field": "body"})
    slices = config.slices.model_copy(update={"files": {}, "field": "year"})
    examples = load_model(sliced_run).config.examples
    config = config.model_copy(update={"corpus": corpus, "slices": slices, "examples": examples})
    train(config, quiet=True)
    assert fit_slices(tmp_path / "run", config, quiet=True) == ["1900", "1910", "1920"]
    for name in ("1900", "1920"):
        one, other = (
            load_model(SliceFolder(run).run_of(name)) for run in (sliced_run, tmp_path / "run")
        )
        assert one.vocabulary.words == other.vocabulary.words
        np.testing.assert_array_equal(one.vocabulary.counts, other.vocabulary.counts)
        np.testing.assert_array_equal(one.parameters.E, other.parameters.E)


def test_a_slice_without_known_words_is_named(make_sliced_config, planted, tmp_path):
    empty = tmp_path / "empty.txt"
    empty.write_text("qqq zzz\n")
    config = make_sliced_config(tmp_path / "run")
    train(config, quiet=True)
    files = {**config.slices.files, "none": [str(empty)]}
    more = config.model_copy(update={"slices": config.slices.model_copy(update={"files": files})})
    with pytest.raises(VocabularyError, match="slice none: The text has no words in the voc"):
        fit_slices(tmp_path / "run", more, quiet=True)
    assert not (tmp_path / "run" / "slices").exists()
    assert not list((tmp_path / "run").glob(".work-*"))


def test_blocks_are_cut_between_sentences_unless_these_are_long():
    end = [-1]
    texts = [
        _Slice(np.array([1] * 6 + end + [1] * 6 + end + [1] * 6, np.int32), None, 0),
        _Slice(np.array([1] * 25 + end, np.int32), None, 0),
    ]
    blocks, owners = _cut_blocks(texts, 10)
    assert blocks.tolist() == [0] * 14 + [1] * 7 + [2] * 10 + [3] * 10 + [4] * 7
    assert owners.tolist() == [0, 0, 1, 1, 1]
    assert len(blocks) == sum(len(text.ids) + 1 for text in texts)


def test_small_p_values_are_those_of_the_tail(rng):
    """T is a sum of squares; with 400 draws, p-values of 1e-3 to 1e-8 are right within a factor."""
    for observed in (30.0, 45.0, 70.0):
        drawn = rng.chisquare(12, 400)
        moments = drawn.mean(), drawn.std(), skew(drawn)
        reached = (drawn >= observed).sum()
        tests = ChangeTests(
            *(np.array([value]) for value in (observed, *moments, (reached + 1) / 401, reached, 9))
        )
        (found,), expected = _p_values(tests), chi2.sf(observed, 12)
        assert abs(np.log10(found) - np.log10(expected)) < 0.15 * -np.log10(expected) + 0.1


def test_p_values_that_enough_permutations_reach_are_their_share():
    tests = ChangeTests(*(np.array([value]) for value in (9.0, 8.0, 3.0, 0.5, 0.02, 20.0, 5.0)))
    assert _p_values(tests).tolist() == [0.02]
