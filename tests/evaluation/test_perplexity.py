from pathlib import Path

import naive
import numpy as np
import pytest

from embedder.errors import CorpusError, VocabularyError
from embedder.evaluation.perplexity import evaluate_perplexity
from embedder.runs.checkpoint import load_model
from embedder.training.train import train

WINDOWS = {"source": "windows", "window": 2, "sides": "left"}


@pytest.fixture(scope="module")
def language_model(toy_tree, tmp_path_factory):
    from embedder.config_files import make_config

    folder = tmp_path_factory.mktemp("models") / "language"
    tree = toy_tree | {
        "vocabulary": {"unknown": "<unk>", "min_count": 5},
        "examples": WINDOWS,
        "network": {"input": "concat", "dimension": 8, "hidden": 12},
        "training": {"passes": 1, "batch_size": 64, "threads": 2},
        "output": str(folder),
    }
    train(make_config(tree, "test"), quiet=True)
    return load_model(folder)


def naive_nats(model, text):
    """Cross-entropy one word at a time; unknown words are predicted as <unk>."""
    E, W1, b1, W2, b2 = (array.astype(float) for array in model.parameters)
    ids = model.vocabulary.ids
    total, count = 0.0, 0
    for sentence in text:
        numbers = [ids.get(word, ids["<unk>"]) for word in sentence.split()]
        for slots, word in naive.window_examples(numbers, 2, left_only=True):
            x = naive.gather(E, np.array([slots]), "concat")
            h = naive.hidden_forward(x, W1, b1, "sigmoid")
            loss, *_ = naive.softmax(h, W2, b2, np.eye(len(ids))[[word]])
            total += loss
            count += 1
    return total / count


def test_perplexity_agrees_with_a_naive_computation(language_model, write):
    words = language_model.vocabulary.words
    text = [" ".join(words[i : i + 7]) + " neverseen" for i in range(0, 60, 3)]
    path = write("text.txt", "\n".join(text))
    found = evaluate_perplexity(language_model, str(path))
    assert found.nats == pytest.approx(naive_nats(language_model, text), rel=1e-5)
    assert found.perplexity == pytest.approx(np.exp(found.nats))
    assert (found.tokens, found.unknown, found.predicted) == (160, 20, 160)


def test_a_model_of_cooccurrences_scores_text(toy_run, toy_files):
    model = load_model(toy_run)
    found = evaluate_perplexity(model, str(toy_files[0]))
    assert 1 < found.perplexity < len(model.vocabulary)
    assert found.unknown < found.tokens


def test_plain_text_is_scored_by_a_model_of_json_lines(language_model, write):
    words = " ".join(language_model.vocabulary.words[:20])
    corpus = language_model.config.corpus.model_copy(update={"text_field": "text"})
    config = language_model.config.model_copy(update={"corpus": corpus})
    model = language_model._replace(config=config)
    plain = evaluate_perplexity(model, str(write("new.txt", words)))
    lines = evaluate_perplexity(model, str(write("new.jsonl", '{"text": "' + words + '"}')))
    assert plain == lines


def test_text_without_a_known_word_is_rejected(toy_run, write):
    model = load_model(toy_run)
    with pytest.raises(VocabularyError, match="no words in the vocabulary"):
        evaluate_perplexity(model, str(write("other.txt", "qqq zzz\n")))
    with pytest.raises(CorpusError, match="no such file"):
        evaluate_perplexity(model, "nowhere.txt")
    word = model.vocabulary.words[0]
    with pytest.raises(CorpusError, match="No two words"):
        evaluate_perplexity(model, str(write("one.txt", word)))


def test_a_network_is_compared_with_an_ngram_model_and_mixed(make_toy_config, write, toy_files):
    config = make_toy_config(
        examples=WINDOWS,
        network={"input": "concat"},
        training={"passes": 1},
        validation={"split": [80_000, 20_000]},
        evaluation={"ngram": 3},
    )
    train(config, quiet=True)
    model = load_model(Path(config.output))
    losses = model.metadata
    assert 0 < losses["mixture_weight"] < 1
    for name in ("validation", "test"):
        best = min(losses[f"{name}_loss"], losses[f"ngram_{name}_loss"])
        assert losses[f"mixture_{name}_loss"] < best + 1e-3
    # The same text, scored later from its file, gets the same figures.
    lines, words = [], 0
    for line in toy_files[0].read_text().splitlines():
        words += len(line.split())
        if words > 100_000:
            lines.append(line)
    found = evaluate_perplexity(model, str(write("test.txt", "\n".join(lines))))
    assert np.log(found.ngram) == pytest.approx(losses["ngram_test_loss"], rel=1e-2)
    assert np.log(found.mixture) == pytest.approx(losses["mixture_test_loss"], rel=1e-2)


def test_training_reports_validation_and_test(make_toy_config, toy_files, capsys):
    config = make_toy_config(
        examples=WINDOWS,
        network={"input": "concat"},
        training={"passes": 2},
        validation={"split": [80_000, 20_000], "every": 500},
    )
    train(config, quiet=True)
    metadata = load_model(Path(config.output)).metadata
    assert 0 < metadata["validation_loss"] < 6
    assert metadata["test_loss"] == pytest.approx(metadata["validation_loss"], abs=0.2)
