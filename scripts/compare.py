"""Train this package and its peers on the same text; compare vectors and wall-clock time.

    python scripts/compare.py TEXT --analogies FILE --similarity FILE FILE --plot compare.png

The peers are gensim's Word2Vec and fastText (skip-gram and CBOW, `pip install '.[benchmark]'`). All
share dimension, window, minimum count and number of threads; the peers use five negatives, and
fastText no subwords. Every training run is a separate process, timed from start to exit: imports,
reading, training, saving. TEXT is plain text, one sentence per line, words separated by spaces, so
that each peer can read it in its fastest way. Scores come from this package's own evaluation, on
the most frequent words of each vocabulary.
"""

import argparse
import json
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from embedder.evaluation.analogies import evaluate_analogies
from embedder.evaluation.questions import read_analogies
from embedder.evaluation.similarity import evaluate_similarity, read_similarities
from embedder.text.vocabulary import Vocabulary
from embedder.vectors.from_run import load_vectors
from embedder.vectors.word_vectors import WordVectors

SUBSAMPLE = 1e-4
"""The subsampling threshold of the peers; on books, better than 1e-3 for each of them."""
NEGATIVES = 5


class Setting(NamedTuple):
    """The settings shared by all systems."""

    text: Path
    dimension: int
    window: int
    min_count: int
    threads: int
    words: int


class System(NamedTuple):
    """A system: how to train for a number of epochs into a folder, and how to read the vectors."""

    name: str
    train: Callable[[Setting, int, Path], None]
    load: Callable[[Path], WordVectors]
    epochs: list[int]


def train_embedder(config: Path, setting: Setting, passes: int, folder: Path) -> None:
    """Train with this package's own command."""
    from embedder.cli import main

    sys.argv = [
        "embedder", "train", str(config), f"corpus.files={setting.text}",
        f"network.dimension={setting.dimension}", f"network.hidden={setting.dimension}",
        f"examples.window={setting.window}", f"vocabulary.min_count={setting.min_count}",
        f"vocabulary.max_size={setting.words}", f"training.threads={setting.threads}",
        f"training.passes={passes}", "--output", str(folder / "run"), "--quiet",
    ]  # fmt: skip
    main()


def load_embedder(folder: Path) -> WordVectors:
    """Read the run's default vectors."""
    return load_vectors(folder / "run")


def train_gensim(skip_gram: bool, setting: Setting, epochs: int, folder: Path) -> None:
    """Train gensim's Word2Vec from a file, its fastest mode."""
    from gensim.models import Word2Vec

    model = Word2Vec(
        corpus_file=str(setting.text), vector_size=setting.dimension, window=setting.window,
        min_count=setting.min_count, workers=setting.threads, sg=int(skip_gram),
        alpha=0.025 if skip_gram else 0.05, sample=SUBSAMPLE, negative=NEGATIVES, epochs=epochs,
    )  # fmt: skip
    model.wv.save(str(folder / "vectors"))


def load_gensim(folder: Path) -> WordVectors:
    """Read gensim's KeyedVectors."""
    from gensim.models import KeyedVectors

    loaded = KeyedVectors.load(str(folder / "vectors"))
    counts = np.array([loaded.get_vecattr(word, "count") for word in loaded.index_to_key])
    return WordVectors(Vocabulary(loaded.index_to_key, counts), loaded.vectors)


def train_fasttext(model: str, setting: Setting, epochs: int, folder: Path) -> None:
    """Train fastText without subwords."""
    import fasttext

    fasttext.train_unsupervised(
        str(setting.text), model=model, dim=setting.dimension, ws=setting.window,
        minCount=setting.min_count, thread=setting.threads, epoch=epochs, neg=NEGATIVES,
        t=SUBSAMPLE, minn=0, maxn=0, bucket=1, verbose=0,
    ).save_model(str(folder / "model.bin"))  # fmt: skip


def load_fasttext(folder: Path) -> WordVectors:
    """Read a fastText model."""
    import fasttext

    model = fasttext.load_model(str(folder / "model.bin"))
    words, counts = model.get_words(include_freq=True)
    if words[0] == "</s>":
        words, counts = words[1:], counts[1:]
    return WordVectors(
        Vocabulary(words, np.asarray(counts)), np.stack([model.get_word_vector(w) for w in words])
    )


def timed_training(
    train: Callable[[Setting, int, Path], None], setting: Setting, epochs: int, folder: Path
) -> float:
    """Return the seconds that a process takes to train and save."""
    process = multiprocessing.get_context("spawn").Process(
        target=train, args=(setting, epochs, folder)
    )
    started = time.perf_counter()
    process.start()
    process.join()
    seconds = time.perf_counter() - started
    if process.exitcode:
        raise SystemExit(f"A training run failed with exit code {process.exitcode}.")
    return seconds


def plot(rows: list[dict[str, Any]], path: Path) -> None:
    """Plot analogy accuracy against wall-clock time."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    peers = iter(("tab:blue", "tab:orange", "tab:green", "tab:purple"))
    for name in dict.fromkeys(row["system"] for row in rows):
        own = [row for row in rows if row["system"] == name]
        ours = name == "embedder"
        axes.plot(
            [row["seconds"] for row in own],
            [row["analogies"] for row in own],
            "o-",
            linewidth=2.5 if ours else 1.2,
            color="tab:red" if ours else next(peers),
            label=name,
            zorder=3 if ours else 2,
        )
    axes.set(xscale="log", xlabel="wall-clock seconds, whole process", ylabel="analogy accuracy")
    ticks = [s for s in (5, 10, 20, 50, 100, 200, 500) if s <= max(r["seconds"] for r in rows)]
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.xaxis.set_minor_formatter(lambda *_: "")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=150)


def main() -> None:
    """Train, evaluate, print a table, and write the requested files."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("text", type=Path)
    parser.add_argument("--config", type=Path, default=Path("configs/books.yaml"))
    parser.add_argument("--analogies", type=Path, required=True)
    parser.add_argument("--similarity", type=Path, nargs="*", default=[])
    parser.add_argument("--dimension", type=int, default=100)
    parser.add_argument("--window", type=int, default=5)
    parser.add_argument("--min-count", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--words",
        type=int,
        default=30_000,
        help="words that embedder trains and that are evaluated",
    )
    parser.add_argument(
        "--passes", type=int, nargs="+", default=[1, 2, 5, 10, 20], help="of embedder"
    )
    parser.add_argument("--epochs", type=int, nargs="+", default=[1, 2, 5], help="of the peers")
    parser.add_argument("--systems", nargs="*", help="only those whose name contains one of these")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--plot", type=Path)
    options = parser.parse_args()

    setting = Setting(options.text.resolve(), options.dimension, options.window,
                      options.min_count, options.threads, options.words)  # fmt: skip
    systems = [
        System("embedder", partial(train_embedder, options.config), load_embedder, options.passes),
        System("gensim CBOW", partial(train_gensim, False), load_gensim, options.epochs),
        System("gensim skip-gram", partial(train_gensim, True), load_gensim, options.epochs),
        System("fastText CBOW", partial(train_fasttext, "cbow"), load_fasttext, options.epochs),
        System("fastText skip-gram", partial(train_fasttext, "skipgram"), load_fasttext,
               options.epochs),
    ]  # fmt: skip
    if options.systems:
        systems = [s for s in systems if any(part in s.name for part in options.systems)]
    sections = read_analogies(options.analogies)
    judgements = {path.stem: read_similarities(path) for path in options.similarity}
    header = ["system", "epochs", "seconds", "analogies", *judgements]
    print(f"| {' | '.join(header)} |\n|{' --- |' * len(header)}")
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as name:  # compile the kernels before timing
        timed_training(systems[0].train, setting, 1, Path(name))
    for system in systems:
        for epochs in system.epochs:
            with tempfile.TemporaryDirectory() as name:
                seconds = timed_training(system.train, setting, epochs, Path(name))
                vectors = system.load(Path(name))
            total = evaluate_analogies(vectors, sections, "3CosAdd", options.words).total()
            row: dict[str, Any] = {
                "system": system.name, "epochs": epochs, "seconds": seconds,
                "analogies": total.accuracy, "questions": total.questions,
            }  # fmt: skip
            for stem, pairs in judgements.items():
                row[stem] = evaluate_similarity(vectors, pairs, options.words).spearman
            rows.append(row)
            scores = [f"{row[name]:.3f}" for name in ("analogies", *judgements)]
            print(
                f"| {system.name} | {epochs} | {seconds:.1f} | {' | '.join(scores)} |", flush=True
            )
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    if options.plot:
        plot(rows, options.plot)


if __name__ == "__main__":
    main()
