"""How well vectors of unseen words are composed from spelling, compared with gensim's FastText.

    python scripts/compare_subwords.py TEXT --analogies FILE

Words with counts between --least and --most are drawn with a seed and held out: each system is
trained twice, on TEXT and on TEXT without them. The true neighbours of a held-out word are its ten
nearest among the other words; they should be close to its composed vector in the model that never
saw it. Which are the nearest, the vectors given with --truth decide, by the mean of their cosines:
vectors without n-grams from more text, which know the held-out words well. Without --truth, the
system's own model trained on TEXT decides; that measures how much its vectors depend on spelling,
since a model in which words with similar spelling are neighbours will find them again. The script
compares the true neighbours' mean and median rank among all words of the model, the accuracy on the
analogy sections whose names begin with "gram", and the seconds of the whole process that trains on
TEXT. TEXT is plain text, one sentence per line, words separated by spaces. The peer is gensim's
FastText (`pip install '.[benchmark]'`), with the same dimension, window, minimum count, n-gram
lengths, buckets and threads; `embedder` is also trained without subwords.
"""

import argparse
import json
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from compare import BUCKETS, MAX_N, MIN_N, Setting, measured_training, train_gensim

from embedder.arrays import Array
from embedder.evaluation.analogies import evaluate_analogies
from embedder.evaluation.questions import Section, read_analogies
from embedder.text.vocabulary import Vocabulary
from embedder.vectors.formats import load as load_any
from embedder.vectors.from_run import load_vectors
from embedder.vectors.word_vectors import WordVectors

NEIGHBORS = 10
_WORDS_PER_BATCH = 250


class Trained(NamedTuple):
    """Vectors of known words, and a function that composes those of other words, (n, D)."""

    vectors: WordVectors
    compose: Callable[[list[str]], Array]


class System(NamedTuple):
    """A system to compare; `composes` states whether it has vectors for unseen words."""

    name: str
    train: Callable[[Setting, int, Path], None]
    load: Callable[[Path], Trained]
    epochs: int
    composes: bool


def train_embedder(
    config: Path, mode: str | None, setting: Setting, passes: int, out: Path
) -> None:
    """Train with this package's own command."""
    from embedder.cli import main

    sys.argv = [
        "embedder", "train", str(config), f"corpus.files={setting.text}",
        f"network.dimension={setting.dimension}", f"network.hidden={setting.dimension}",
        f"examples.window={setting.window}", f"vocabulary.min_count={setting.min_count}",
        f"training.threads={setting.threads}", f"training.passes={passes}",
        f"subwords.min_n={MIN_N}", f"subwords.max_n={MAX_N if mode else 0}",
        f"subwords.mode={mode or 'after'}",
        f"network.vectors={'hidden' if mode == 'joint' else 'sum'}", f"subwords.buckets={BUCKETS}",
        "--output", str(out / "run"), "--quiet",
    ]  # fmt: skip
    main()


def load_embedder(kind: Any, folder: Path) -> Trained:
    """Read a run's vectors."""
    vectors = load_vectors(folder / "run", kind)
    return Trained(vectors, lambda words: vectors.with_composed(words).matrix[len(vectors) :])


def load_gensim(folder: Path) -> Trained:
    """Read gensim's FastTextKeyedVectors."""
    from gensim.models import KeyedVectors

    loaded = KeyedVectors.load(str(folder / "vectors"))
    counts = np.array([loaded.get_vecattr(word, "count") for word in loaded.index_to_key])
    vectors = WordVectors(Vocabulary(loaded.index_to_key, counts), loaded.vectors)
    return Trained(vectors, lambda words: np.stack([loaded[word] for word in words]))


def draw_words(text: Path, least: int, most: int, count: int, seed: int) -> list[str]:
    """Return up to `count` random words that occur `least` to `most` times in a text."""
    counts: Counter[str] = Counter()
    with text.open(encoding="utf-8") as lines:
        for line in lines:
            counts.update(line.split())
    rare = sorted(word for word, times in counts.items() if least <= times <= most)
    rng = np.random.default_rng(seed)
    return sorted(rng.choice(rare, min(count, len(rare)), replace=False).tolist())


def write_without(text: Path, words: list[str], out: Path) -> None:
    """Write a copy of a text without some words."""
    left_out = set(words)
    with text.open(encoding="utf-8") as lines, out.open("w", encoding="utf-8") as file:
        for line in lines:
            file.write(" ".join(word for word in line.split() if word not in left_out) + "\n")


def ranks_of_true_neighbors(truth: list[WordVectors], without: Trained, words: list[str]) -> Array:
    """Return the ranks, from 1, of each word's true neighbours, (words, NEIGHBORS)."""
    ids = without.vectors.vocabulary.ids
    names = [name for name in ids if all(name in vectors for vectors in truth)]
    words = [word for word in words if all(word in vectors for vectors in truth)]
    rows = np.array([ids[name] for name in names])
    known = [_unit_rows_of(vectors, names) for vectors in truth]
    others = without.vectors.unit_rows(np.arange(len(without.vectors)))
    found = []
    for start in range(0, len(words), _WORDS_PER_BATCH):
        some = words[start : start + _WORDS_PER_BATCH]
        own = [_unit_rows_of(vectors, some) for vectors in truth]
        nearness = sum(a @ b.T for a, b in zip(own, known, strict=True))
        true = rows[np.argsort(-np.asarray(nearness), axis=1)[:, :NEIGHBORS]]
        # Ranks follow the cosine; the length of the word's own vector does not affect them.
        cosines = without.compose(some) @ others.T
        best = np.take_along_axis(cosines, true, axis=1)
        found.append([1 + (own > b[:, None]).sum(1) for own, b in zip(cosines, best, strict=True)])
    return np.concatenate(found)


def _unit_rows_of(vectors: WordVectors, words: list[str]) -> Array:
    return vectors.unit_rows(np.array([vectors.vocabulary.ids[word] for word in words]))


def gram_accuracy(vectors: WordVectors, sections: list[Section], words: int) -> float:
    """Return the accuracy on the syntactic sections, on the most frequent words."""
    own = [section for section in sections if section.name.startswith("gram")]
    return evaluate_analogies(vectors, own, "3CosAdd", words).total().accuracy


def main() -> None:
    """Train, compare, and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("text", type=Path)
    parser.add_argument("--analogies", type=Path, required=True)
    parser.add_argument("--truth", type=Path, nargs="*", default=[], help="runs or vectors")
    parser.add_argument("--config", type=Path, default=Path("configs/books-subwords.yaml"))
    parser.add_argument("--vectors", default=None, help="of the run; by default as configured")
    parser.add_argument("--held-out", type=int, default=2000)
    parser.add_argument("--least", type=int, default=10)
    parser.add_argument("--most", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--dimension", type=int, default=100)
    parser.add_argument("--window", type=int, default=5)
    parser.add_argument("--min-count", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--words", type=int, default=30_000, help="words for the analogies")
    parser.add_argument("--passes", type=int, default=10, help="of embedder")
    parser.add_argument("--epochs", type=int, default=5, help="of gensim")
    parser.add_argument("--systems", nargs="*", help="only those whose name contains one of these")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()

    load_ours = partial(load_embedder, options.vectors)
    ours = partial(train_embedder, options.config)
    systems = [
        System("embedder, after", partial(ours, "after"), load_ours, options.passes, True),
        System("embedder, joint", partial(ours, "joint"), load_ours, options.passes, True),
        System("embedder, no subwords", partial(ours, None), load_ours, options.passes, False),
        System("gensim FastText CBOW", partial(train_gensim, False, True), load_gensim,
               options.epochs, True),
        System("gensim FastText skip-gram", partial(train_gensim, True, True), load_gensim,
               options.epochs, True),
    ]  # fmt: skip
    if options.systems:
        systems = [s for s in systems if any(part in s.name for part in options.systems)]
    sections = read_analogies(options.analogies)
    truth = [load_any(path) for path in options.truth]
    words = draw_words(options.text, options.least, options.most, options.held_out, options.seed)
    print("| system | epochs | seconds | gram* | mean rank | median rank |")
    print("| --- | --- | --- | --- | --- | --- |")
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as work:
        reduced = Path(work) / "without.txt"
        write_without(options.text, words, reduced)
        texts = options.text.resolve(), reduced
        settings = [
            Setting(text, options.dimension, options.window, options.min_count, options.threads,
                    options.words) for text in texts
        ]  # fmt: skip
        # Compile the kernels before timing.
        measured_training(systems[0].train, settings[0], 1, _new(work, "warm"))
        for number, (name, train, load, epochs, composes) in enumerate(systems):
            folder = _new(work, f"{number}-whole")
            row: dict[str, Any] = {"system": name, "epochs": epochs}
            row["seconds"] = measured_training(train, settings[0], epochs, folder).seconds
            whole = load(folder)
            row["gram"] = gram_accuracy(whole.vectors, sections, options.words)
            ranks_text = "– | –"
            if composes:
                folder = _new(work, f"{number}-without")
                measured_training(train, settings[1], epochs, folder)
                ranks = ranks_of_true_neighbors(truth or [whole.vectors], load(folder), words)
                row["mean_rank"], row["median_rank"] = ranks.mean(), float(np.median(ranks))
                ranks_text = f"{row['mean_rank']:.1f} | {row['median_rank']:.0f}"
            rows.append(row)
            print(
                f"| {name} | {epochs} | {row['seconds']:.1f} | {row['gram']:.3f} | {ranks_text} |",
                flush=True,
            )
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


def _new(work: str, name: str) -> Path:
    folder = Path(work) / name
    folder.mkdir()
    return folder


if __name__ == "__main__":
    main()
