"""Write a text of any size: words by Zipf's law, and sentences on topics, for measuring time.

    python scripts/make_large_text.py large.txt --words 1000000 --tokens 120000000

A sentence has 20 words. Half of them are any words; the others belong to the sentence's topic. The
words of a topic have all frequencies alike.
"""

import argparse
from pathlib import Path

import numpy as np

from embedder.arrays import Array

WORDS_PER_SENTENCE = 20
SENTENCES_PER_BLOCK = 50_000
TOPICS = 500


def draw_sentences(rng: np.random.Generator, words: int, sentences: int) -> Array:
    """Return word ids (sentences, WORDS_PER_SENTENCE), 0 the most frequent."""
    shape = sentences, WORDS_PER_SENTENCE
    # The inverse of the logarithm of ranks: p(rank) ∝ 1/rank.
    ids = np.minimum(np.exp(rng.random(shape) * np.log(words)), words - 1).astype(np.int64)
    topics = rng.integers(0, TOPICS, (sentences, 1))
    on_topic = (rng.random(shape) < 0.5) & (ids >= TOPICS)
    of_topic = np.minimum(ids - ids % TOPICS + topics, words - 1)
    return np.asarray(np.where(on_topic, of_topic, ids))


def main() -> None:
    """Write the text."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("text", type=Path)
    parser.add_argument("--words", type=int, default=1_000_000)
    parser.add_argument("--tokens", type=int, default=120_000_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    names = np.array([f"w{i}" for i in range(options.words)], object)
    left = options.tokens // WORDS_PER_SENTENCE
    with options.text.open("w", encoding="utf-8") as file:
        # Every word occurs, so that the vocabulary has the wanted size.
        for start in range(0, options.words, WORDS_PER_SENTENCE):
            file.write(" ".join(names[start : start + WORDS_PER_SENTENCE]) + "\n")
        while left > 0:
            ids = draw_sentences(rng, options.words, min(left, SENTENCES_PER_BLOCK))
            file.writelines(" ".join(row) + "\n" for row in names[ids])
            left -= len(ids)


if __name__ == "__main__":
    main()
