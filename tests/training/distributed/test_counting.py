from itertools import pairwise

import numpy as np
import pytest

from embedder.config_files import make_config
from embedder.examples.cooccurrence import CountingOptions, TokenSample, count_cooccurrences
from embedder.text.corpus import read_text
from embedder.text.listing import find_shards
from embedder.text.phrases import Phrases
from embedder.text.vocabulary import choose_vocabulary, encode_corpus
from embedder.training.distributed import counting
from embedder.training.distributed.slices import contexts_of_ranges, cut_words


def dense(counts, shape):
    found = np.zeros(shape)
    for row in range(shape[0]):
        cells = slice(counts.offsets[row], counts.offsets[row + 1])
        found[row, counts.columns[cells]] = counts.weights[cells]
    return found


@pytest.fixture
def text(write, rng):
    words = [f"w{int(i)}" for i in rng.zipf(1.6, 20_000).clip(max=300)]
    lines = [" ".join(words[i : i + 13]) for i in range(0, len(words), 13)]
    return write("text.txt", "\n".join(lines) + "\n")


@pytest.fixture
def config(text):
    tree = {
        "corpus": {"files": [str(text)]},
        "vocabulary": {"min_count": 4, "subsample": 1e-2},
        "examples": {"near_contexts": 20},
        "validation": {"fraction": 0.2},
    }
    return make_config(tree, "test")


def count_in_shards(config, size, ranges, tmp_path, validation=False):
    """Run the tasks one after the other."""
    shards = find_shards(config.corpus.files, size)
    read = [counting.read_shard(config, Phrases(), shard) for shard in shards]
    vocabulary = choose_vocabulary(counting.merge_words(*(r[0] for r in read)), config.vocabulary)
    numbered = [counting.number_shard(config, vocabulary, words, ids) for words, ids, _ in read]
    cuts = cut_words(len(vocabulary), config.examples, ranges)
    pieces, position, sentence = [], 0, 0
    for ids, (length, sentences) in numbered:
        arguments = config, vocabulary, cuts, 1, validation, ids, (position, sentence)
        pieces.append(counting.count_shard(*arguments))
        position, sentence = position + length, sentence + sentences
    sums = [
        counting.add_shards(lambda x: x, [p[number] for p in pieces]) for number in range(ranges)
    ]
    own = contexts_of_ranges(cuts, len(vocabulary), config.examples)
    sizes = [len(contexts) for contexts in own]
    whole = counting.concatenate_columns(
        len(vocabulary), sizes, lambda x: x, sums, tmp_path / f"found{validation}"
    )
    found = dense(whole, (len(vocabulary), sum(sizes)))
    in_order = np.empty_like(found)
    in_order[:, np.concatenate(own)] = found
    return vocabulary, np.concatenate([ids for ids, _ in numbered]), in_order, whole


@pytest.mark.parametrize(("size", "ranges"), [(10**9, 1), (3000, 1), (3000, 5), (700, 3), (300, 2)])
def test_counts_from_shards_equal_those_of_one_machine(config, tmp_path, size, ranges):
    vocabulary, corpus = encode_corpus(read_text(config.corpus), config.vocabulary, tmp_path)
    for validation in (False, True):
        found_words, ids, found, whole = count_in_shards(config, size, ranges, tmp_path, validation)
        assert found_words.words == vocabulary.words
        np.testing.assert_array_equal(found_words.counts, vocabulary.counts)
        np.testing.assert_array_equal(ids, corpus.ids)
        expected = count_cooccurrences(
            corpus.ids,
            TokenSample(
                vocabulary.keep_probabilities(config.vocabulary.subsample),
                config.training.seed,
                config.validation.fraction,
                validation,
            ),
            CountingOptions(config.examples),
            tmp_path,
        )
        np.testing.assert_allclose(found, dense(expected, found.shape), rtol=1e-6)
        np.testing.assert_allclose(whole.row_totals(), expected.row_totals(), rtol=1e-12)
        for start, end in pairwise(whole.offsets):
            assert (np.diff(whole.columns[start:end]) > 0).all()


@pytest.mark.parametrize("size", [1, 5, 11, 12, 13, 40, 1000])
@pytest.mark.parametrize("content", ["one two\nthree\n\nfour five six\nend", "a\n", "", "\n\n"])
def test_shards_of_a_file_contain_each_line_once(write, size, content):
    path = write("lines.txt", content)
    config = make_config({"corpus": {"files": [str(path)]}}, "test")
    shards = find_shards(config.corpus.files, size)
    parts = [b"".join(read_text(config.corpus, shards=[shard])) for shard in shards]
    assert b"".join(parts).split() == content.encode().split()
    lines = [line.split() for part in parts for line in part.split(b"\n") if line.strip()]
    assert lines == [line.split() for line in content.encode().split(b"\n") if line.strip()]


def test_counts_of_words_are_summed_over_shards():
    one = counting.WordCounts(
        np.frombuffer(b"abc", np.uint8), np.array([0, 1, 3]), np.array([4, 1])
    )
    found = counting.merge_words(one, one, one)
    assert dict(zip(found.words(), found.counts.tolist(), strict=True)) == {"a": 12, "bc": 3}
