"""Plant changes of meaning in a text, and look for them with `embedder changes` and with gensim.

    python scripts/compare_changes.py TEXT --json changes.json

TEXT is plain text, one sentence or paragraph per line, words separated by spaces. Its lines are
dealt to slices at random, so that nothing changes between them. Then, for pairs of words of like
frequency, one gradually takes the place of the other: in none of its places in the first slice, in
all in the last. It is the words that take over whose neighbours change; a list of the most changed
words should have them first.

embedder trains on all slices and fits each; gensim trains a model per slice, and the last is
aligned with the first by Procrustes. embedder's test also runs on the slices without the planted
change, where p-values should be uniform, and on these with the lines in another order.
"""

import argparse
import itertools
import json
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import kstest

from embedder.arrays import Array
from embedder.config_files import make_config
from embedder.evaluation.changes import LEVEL, SlicedRun
from embedder.runs.slice_folder import SliceFolder, WordTest
from embedder.text.vocabulary import Vocabulary
from embedder.training.slices import fit_slices
from embedder.training.train import train
from embedder.vectors.alignment import align
from embedder.vectors.word_vectors import WordVectors

_BANDS = (0, 30, 100, 300, 1000, 10_000, 1 << 60)
"""Bounds of the weight of a word's neighbours."""
_FEWEST = 50
"""Occurrences per slice below which the restricted list of the aligned models leaves words out."""


class Setting(NamedTuple):
    """How to train."""

    passes: int
    max_words: int
    threads: int
    permutations: int


def count_words(lines: list[list[str]]) -> dict[str, int]:
    """Return how often each word occurs."""
    counts: dict[str, int] = {}
    for line in lines:
        for word in line:
            counts[word] = counts.get(word, 0) + 1
    return counts


def choose_pairs(
    counts: dict[str, int], number: int, band: tuple[int, int], rng: np.random.Generator
) -> list[tuple[str, str]]:
    """Return pairs of words whose counts are next to each other among the chosen words."""
    words = sorted(word for word, n in counts.items() if band[0] <= n <= band[1])
    if len(words) < 2 * number:
        raise SystemExit(f"Only {len(words)} words occur {band[0]} to {band[1]} times; use --band.")
    chosen = [words[i] for i in rng.choice(len(words), 2 * number, replace=False)]
    chosen.sort(key=lambda word: counts[word])
    pairs = [(chosen[i], chosen[i + 1]) for i in range(0, 2 * number, 2)]
    return [(a, b) if rng.random() < 0.5 else (b, a) for a, b in pairs]


def plant(
    slices: list[list[list[str]]], pairs: list[tuple[str, str]], rng: np.random.Generator
) -> list[list[list[str]]]:
    """Return the slices with the second word of each pair gradually in the place of the first."""
    takes_over = dict(pairs)
    planted = []
    for number, lines in enumerate(slices):
        share = number / (len(slices) - 1)
        planted.append(
            [
                [
                    takes_over[word] if word in takes_over and rng.random() < share else word
                    for word in line
                ]
                for line in lines
            ]
        )
    return planted


def write(slices: list[list[list[str]]], folder: Path) -> dict[str, Path]:
    """Write each slice to a file; return the files by name."""
    folder.mkdir()
    files = {f"slice-{number}": folder / f"{number}.txt" for number in range(len(slices))}
    for path, lines in zip(files.values(), slices, strict=True):
        path.write_text("".join(" ".join(line) + "\n" for line in lines), encoding="utf-8")
    return files


def fit_embedder(files: dict[str, Path], run: Path, setting: Setting) -> float:
    """Train and fit all slices; return the seconds."""
    started = time.perf_counter()
    tree = {
        "corpus": {"tokenizer": "whitespace", "lowercase": False},
        "vocabulary": {"max_size": setting.max_words},
        "training": {"passes": setting.passes, "threads": setting.threads},
        "slices": {
            "files": {name: [str(file)] for name, file in files.items()},
            "permutations": setting.permutations,
        },
        "output": str(run),
    }
    config = make_config(tree, "the comparison")
    train(config, quiet=True)
    fit_slices(run, config, quiet=True)
    return time.perf_counter() - started


def rank_by_embedder(run: Path, pairs: list[tuple[str, str]], seconds: float) -> dict[str, Any]:
    """Return the figures of the list of changed words."""
    sliced = SlicedRun(run)
    targets, gone = {b for _, b in pairs}, {a for a, _ in pairs}
    listed = [own.word for own in sliced.most_changed()]
    tests = [test for test in SliceFolder(run).tests() if test.word not in targets | gone]
    return {
        "recall": len(targets & set(listed[: len(pairs)])) / len(pairs),
        "listed": len(listed),
        "planted words listed": len(targets & set(listed)),
        "share of other words with p ≤ 0.05": float(np.mean([test.p <= LEVEL for test in tests])),
        "share of other words with q ≤ 0.05": len(set(listed) - targets - gone) / len(tests),
        "seconds": seconds,
    }


def rank_by_alignment(
    files: dict[str, Path], pairs: list[tuple[str, str]], setting: Setting, skip_gram: bool
) -> dict[str, Any]:
    """Return the figures of cosine distances between gensim models of the first and last slice."""
    from gensim.models import Word2Vec

    started = time.perf_counter()
    paths = list(files.values())
    models = []
    for path in (paths[0], paths[-1]):
        model = Word2Vec(
            corpus_file=str(path), vector_size=100, min_count=5, workers=setting.threads,
            sg=int(skip_gram), alpha=0.025 if skip_gram else 0.05, sample=1e-4, negative=5,
            epochs=5, seed=1,
        )  # fmt: skip
        words = list(model.wv.index_to_key)
        counts = np.array([model.wv.get_vecattr(word, "count") for word in words])
        models.append(WordVectors(Vocabulary(words, counts), model.wv.vectors))
    first, last = models[0], align(models[0], models[1])[0]
    seconds = time.perf_counter() - started
    shared = [word for word in first.words if word in last]
    one, other = (own.unit_rows(_ids(own, shared)) for own in (first, last))
    distances = 1 - np.einsum("ij,ij->i", one, other)
    counts = np.minimum(*(own.vocabulary.counts[_ids(own, shared)] for own in (first, last)))
    targets = {b for _, b in pairs}
    figures: dict[str, Any] = {"seconds": seconds}
    for name, fewest in (("all words", 0), (f"words that occur {_FEWEST} times", _FEWEST)):
        order = [i for i in np.argsort(-distances) if counts[i] >= fewest][: len(pairs)]
        top = {shared[i] for i in order}
        figures[f"recall, {name}"] = len(top & targets) / len(pairs)
        figures[f"median count of the list, {name}"] = float(np.median(counts[order]))
    return figures


def _ids(vectors: WordVectors, words: list[str]) -> Array:
    return np.array([vectors.vocabulary.ids[word] for word in words])


def uniformity(tests: list[WordTest]) -> dict[str, Any]:
    """Return how far p-values are from uniform, by the weight of the words' neighbours."""
    p = np.array([test.p for test in tests])
    weights = np.array([test.neighbours for test in tests])
    found = {}
    for low, high in itertools.pairwise(_BANDS):
        own = p[(weights >= low) & (weights < high)]
        if len(own):
            found[f"{low:,} –"] = {
                "words": len(own),
                "p ≤ 0.01": float((own <= 0.01).mean()),
                "p ≤ 0.05": float((own <= 0.05).mean()),
                "p ≤ 0.5": float((own <= 0.5).mean()),
                "distance from uniform (Kolmogorov)": float(kstest(own, "uniform").statistic),
            }
    return found


def compare_orders(one: Path, other: Path) -> dict[str, Any]:
    """Return how much the lists of two runs agree."""
    lists = [[own.word for own in SlicedRun(run).most_changed()] for run in (one, other)]
    top = [set(listed[:100]) for listed in lists]
    return {"listed": [len(own) for own in lists], "of the first 100 in both": len(top[0] & top[1])}


def main() -> None:
    """Compare, print the figures, and write the requested file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("text", type=Path)
    parser.add_argument("--slices", type=int, default=5)
    parser.add_argument("--pairs", type=int, default=100)
    parser.add_argument("--band", type=int, nargs=2, default=[200, 5000], metavar=("LOW", "HIGH"),
                        help="how often the words of the pairs occur")  # fmt: skip
    parser.add_argument("--passes", type=int, default=5)
    parser.add_argument("--max-words", type=int, default=30_000)
    parser.add_argument("--permutations", type=int, default=1000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--parts", nargs="+", default=["planted", "unchanged", "order"],
                        choices=["planted", "unchanged", "order"])  # fmt: skip
    options = parser.parse_args()
    setting = Setting(options.passes, options.max_words, options.threads, options.permutations)
    rng = np.random.default_rng(options.seed)
    lines = [line.split() for line in options.text.read_text(encoding="utf-8").splitlines()]
    order = rng.permutation(len(lines))
    slices = [[lines[i] for i in order[n :: options.slices]] for n in range(options.slices)]
    pairs = choose_pairs(count_words(lines), options.pairs, tuple(options.band), rng)
    figures: dict[str, Any] = {}

    def report(name: str, found: Any) -> None:
        figures[name] = found
        print(name, json.dumps(found, indent=1, ensure_ascii=False), flush=True)
        if options.json:
            text = json.dumps(figures, indent=1, ensure_ascii=False)
            options.json.write_text(text + "\n", encoding="utf-8")

    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        planted = plant(slices, pairs, rng)
        files = write(planted, folder / "planted")
        if {"planted", "order"} & set(options.parts):
            seconds = fit_embedder(files, folder / "run", setting)
            report("embedder", rank_by_embedder(folder / "run", pairs, seconds))
        if "planted" in options.parts:
            for skip_gram in (False, True):
                name = f"gensim {'skip-gram' if skip_gram else 'CBOW'}, aligned"
                report(name, rank_by_alignment(files, pairs, setting, skip_gram))
        if "order" in options.parts:
            mixed = [[own[i] for i in rng.permutation(len(own))] for own in planted]
            fit_embedder(write(mixed, folder / "mixed"), folder / "mixed-run", setting)
            report("lines in another order", compare_orders(folder / "run", folder / "mixed-run"))
        if "unchanged" in options.parts:
            fit_embedder(write(slices, folder / "unchanged"), folder / "unchanged-run", setting)
            tests = SliceFolder(folder / "unchanged-run").tests()
            listed = len(SlicedRun(folder / "unchanged-run").most_changed())
            report("unchanged", {"listed": listed, "p-values": uniformity(tests)})


if __name__ == "__main__":
    main()
