"""Update a trained model with more text; compare with training on everything, and with gensim.

    python scripts/compare_updates.py TEXT --first 12000000 --json updates.json

TEXT is plain text, one sentence or paragraph per line, words separated by spaces. Its first words
train a model, the rest updates it (`embedder update`, gensim's `build_vocab(update=True)`). Both
programs also train on the whole text, twice with different seeds: how many of the ten nearest
neighbours of the new words two such models share is what an update can reach at best. Neighbours
are sought among the words that all models of a program know. Old vectors are compared with
themselves: the mean cosine before and after, and how many of their ten neighbours stay.
"""

import argparse
import itertools
import json
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from embedder.arrays import Array, unit_rows
from embedder.config import Config
from embedder.config_files import make_config
from embedder.text.corpus import read_text
from embedder.text.vocabulary import Vocabulary
from embedder.training.train import train
from embedder.training.update import UpdateOptions, update
from embedder.vectors.from_run import load_vectors
from embedder.vectors.search import nearest
from embedder.vectors.word_vectors import WordVectors

_NEIGHBORS = 10
_QUERIES = 5000
_BANDS = (0, 10, 30, 1 << 60)
"""Bounds of the new words' counts in the new text."""
_WARM_UP_LINES = 2000


class Setting(NamedTuple):
    """What both programs share: the texts, and how to train on them."""

    old: Path
    new: Path
    whole: Path
    dimension: int
    passes: int | None
    min_count: int
    threads: int


class Models(NamedTuple):
    """What one program made of the texts, and the seconds that it took."""

    old: WordVectors
    updated: WordVectors
    whole: WordVectors
    other_seed: WordVectors
    seconds: dict[str, float]


def split(text: Path, first: int, folder: Path) -> tuple[Path, Path]:
    """Write the first words of a text, to the end of a line, and the rest, to two files."""
    paths = folder / "old.txt", folder / "new.txt"
    words = 0
    with text.open("rb") as lines, paths[0].open("wb") as old, paths[1].open("wb") as new:
        for line in lines:
            (old if words < first else new).write(line)
            words += len(line.split())
    return paths


def timed(seconds: dict[str, float], name: str, act: Any) -> Any:
    """Call a function, and keep how long it took."""
    started = time.perf_counter()
    found = act()
    seconds[name] = time.perf_counter() - started
    print(f"  {name}: {seconds[name]:.1f} s", flush=True)
    return found


def train_embedder(setting: Setting, folder: Path) -> Models:
    """Train, update, and train on everything, with this package."""

    def config(name: str, text: Path, seed: int, passes: int | None = setting.passes) -> Config:
        training: dict[str, Any] = {"seed": seed, "threads": setting.threads}
        if passes is not None:
            training["passes"] = passes
        tree = {
            "corpus": {"files": [str(text)], "tokenizer": "whitespace", "lowercase": False},
            "vocabulary": {"min_count": setting.min_count},
            "network": {"dimension": setting.dimension},
            "training": training,
            "output": str(folder / name),
        }
        return make_config(tree, "the comparison")

    few = folder / "few.txt"
    with setting.old.open("rb") as lines:
        few.write_bytes(b"".join(line for line, _ in zip(lines, range(_WARM_UP_LINES))))  # noqa: B905
    read = partial(read_text, config("old", setting.new, 1).corpus)

    def run_update(run: str, name: str) -> Any:
        return update(
            folder / run, read, UpdateOptions(folder / name, [str(setting.new)], quiet=True)
        )

    train(config("few", few, 1, 1), quiet=True)  # compiles the kernels
    seconds: dict[str, float] = {}
    old = config("old", setting.old, 1)
    timed(seconds, "old text", lambda: train(old, quiet=True))
    run_update("few", "few-updated")
    timed(seconds, "update", lambda: run_update("old", "updated"))
    for seed, name in ((1, "whole text"), (2, "other seed")):
        own = config(name, setting.whole, seed)
        timed(seconds, name, partial(train, own, quiet=True))
    old_vectors, updated, whole, other_seed = (
        load_vectors(folder / name) for name in ("old", "updated", "whole text", "other seed")
    )
    return Models(old_vectors, updated, whole, other_seed, seconds)


def train_gensim(setting: Setting, skip_gram: bool) -> Models:
    """Train, update, and train on everything, with gensim."""
    from gensim.models import Word2Vec

    def fit(text: Path, seed: int) -> Any:
        return Word2Vec(
            corpus_file=str(text), vector_size=setting.dimension, min_count=setting.min_count,
            workers=setting.threads, sg=int(skip_gram), alpha=0.025 if skip_gram else 0.05,
            sample=1e-4, negative=5, epochs=5, seed=seed,
        )  # fmt: skip

    seconds: dict[str, float] = {}
    model = timed(seconds, "old text", lambda: fit(setting.old, 1))
    old = _vectors_of(model)

    def run_update() -> None:
        model.build_vocab(corpus_file=str(setting.new), update=True)
        words = sum(len(line.split()) for line in setting.new.open("rb"))
        model.train(corpus_file=str(setting.new), total_words=words, epochs=5)

    timed(seconds, "update", run_update)
    updated = _vectors_of(model)
    whole = [
        _vectors_of(timed(seconds, name, partial(fit, setting.whole, seed)))
        for seed, name in ((1, "whole text"), (2, "other seed"))
    ]
    return Models(old, updated, whole[0], whole[1], seconds)


def _vectors_of(model: Any) -> WordVectors:
    words = model.wv.index_to_key
    counts = np.array([model.wv.get_vecattr(word, "count") for word in words])
    return WordVectors(Vocabulary(list(words), counts), model.wv.vectors.copy())


def neighbors(vectors: WordVectors, queries: list[str], among: list[str]) -> Array:
    """Return the numbers of the ten nearest words of each query, (Q, 10)."""
    own = WordVectors(Vocabulary(among, np.ones(len(among), np.int64)), vectors[among])
    excluded = [{own.vocabulary.ids[word]} for word in queries]
    return nearest(vectors[queries], own.matrix, own.lengths, _NEIGHBORS, excluded).ids


def overlap(one: Array, other: Array) -> Array:
    """Return the share of neighbours that two models have in common, (Q,)."""
    pairs = zip(one, other, strict=True)
    return np.array([len(set(a) & set(b)) / _NEIGHBORS for a, b in pairs])


def compare(models: Models, new_counts: dict[str, int]) -> dict[str, Any]:
    """Return the figures of one program."""
    old, updated, whole, other_seed, seconds = models
    known = [word for word in old.words if word in updated]
    among = [word for word in updated.words if word in whole and word in other_seed]
    new = [word for word in among if word not in old and word in new_counts]
    found = [neighbors(vectors, new, among) for vectors in (updated, whole, other_seed)]
    shared, best = overlap(found[0], found[1]), overlap(found[1], found[2])
    counts = np.array([new_counts[word] for word in new])
    bands = {}
    for low, high in itertools.pairwise(_BANDS):
        own = (counts >= low) & (counts < high)
        name = f"{max(low, int(counts.min()))} – {high - 1}" if high < _BANDS[-1] else f"{low} –"
        if own.any():
            bands[name] = [int(own.sum()), float(shared[own].mean()), float(best[own].mean())]
    sample = known[:: max(1, len(known) // _QUERIES)]
    before, after = (neighbors(vectors, sample, known) for vectors in (old, updated))
    cosines = (unit_rows(old[known]) * unit_rows(updated[known])).sum(axis=1)
    return {
        "new words": len(new),
        "overlap of the update with the whole text": float(shared.mean()),
        "overlap of two seeds on the whole text": float(best.mean()),
        "by count in the new text: words, update, two seeds": bands,
        "old words": len(known),
        "old words to the bit": int((old[known] == updated[known]).all(axis=1).sum()),
        "mean cosine of old words, before and after": float(cosines.mean()),
        "neighbours that old words keep": float(overlap(before, after).mean()),
        "seconds": seconds,
    }


def count_words(path: Path) -> dict[str, int]:
    """Return how often each word occurs in a text."""
    counts: dict[str, int] = {}
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            for word in line.split():
                counts[word] = counts.get(word, 0) + 1
    return counts


def main() -> None:
    """Compare, print the figures, and write the requested file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("text", type=Path)
    parser.add_argument("--first", type=int, default=12_000_000, help="words of the old text")
    parser.add_argument("--dimension", type=int, default=100)
    parser.add_argument("--passes", type=int, help="of embedder; by default what it chooses")
    parser.add_argument("--min-count", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--systems",
        nargs="+",
        default=["embedder", "gensim CBOW", "gensim skip-gram"],
        choices=["embedder", "gensim CBOW", "gensim skip-gram"],
    )
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        old, new = split(options.text, options.first, folder)
        setting = Setting(old, new, options.text, options.dimension, options.passes,
                          options.min_count, options.threads)  # fmt: skip
        counts = count_words(new)
        for name in options.systems:
            print(name, flush=True)
            if name == "embedder":
                models = train_embedder(setting, folder)
            else:
                models = train_gensim(setting, name == "gensim skip-gram")
            figures[name] = compare(models, counts)
            print(json.dumps(figures[name], indent=1, ensure_ascii=False), flush=True)
            if options.json:
                text = json.dumps(figures, indent=1, ensure_ascii=False)
                options.json.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
