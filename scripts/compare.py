"""Train this package and its peers on the same text; compare vectors, time and memory.

    python scripts/compare.py TEXT --analogies FILE --similarity FILE FILE --json compare.json
    python scripts/plot_comparison.py compare.json --plot compare.png

The peers are gensim's Word2Vec and fastText (skip-gram and CBOW, `pip install '.[benchmark]'`). All
share dimension, window, minimum count and number of threads; the peers use five negatives, and
fastText no subwords. Every training run is a separate process, timed from start to exit: imports,
reading, training, saving. TEXT is plain text, one sentence per line, words separated by spaces, so
that each peer can read it in its fastest way. Scores come from this package's own evaluation, on
the most frequent words of each vocabulary; differences from the reference system come with 95 %
intervals of the paired bootstrap.
"""

import argparse
import json
import multiprocessing
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from embedder.evaluation.analogies import evaluate_analogies
from embedder.evaluation.similarity import evaluate_similarity
from embedder.evaluation.suite import Tasks, compare, read_tasks
from embedder.text.vocabulary import Vocabulary
from embedder.vectors.from_run import load_vectors
from embedder.vectors.word_vectors import WordVectors

SUBSAMPLE = 1e-4
"""The subsampling threshold of the peers; on books, better than 1e-3 for each of them."""
NEGATIVES = 5
_WARM_UP_BYTES = 20_000_000


class Setting(NamedTuple):
    """The settings shared by all systems."""

    text: Path
    dimension: int
    window: int
    min_count: int
    threads: int
    words: int | None
    seed: int = 1


class System(NamedTuple):
    """A system: how to train for a number of epochs into a folder, and how to read the vectors."""

    train: Callable[[Setting, int, Path], None]
    load: Callable[[Path], WordVectors]


def train_embedder(config: Path, setting: Setting, passes: int, folder: Path) -> None:
    """Train with this package's own command."""
    from embedder.cli import main

    sys.argv = [
        "embedder", "train", str(config), f"corpus.files={setting.text}",
        f"network.dimension={setting.dimension}", f"network.hidden={setting.dimension}",
        f"examples.window={setting.window}", f"vocabulary.min_count={setting.min_count}",
        f"vocabulary.max_size={setting.words or 'null'}", f"training.threads={setting.threads}",
        f"training.passes={passes}", f"training.seed={setting.seed}", "--output",
        str(folder / "run"), "--quiet",
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


def measured_training(
    train: Callable[[Setting, int, Path], None], setting: Setting, epochs: int, folder: Path
) -> tuple[float, float]:
    """Return the seconds that a process takes to train and save, and its peak memory in GiB."""
    context = multiprocessing.get_context("spawn")
    peak = context.Value("d", 0.0)
    process = context.Process(target=_train, args=(train, setting, epochs, folder, peak))
    started = time.perf_counter()
    process.start()
    process.join()
    seconds = time.perf_counter() - started
    if process.exitcode:
        raise SystemExit(f"A training run failed with exit code {process.exitcode}.")
    return seconds, peak.value


def _train(
    train: Callable[[Setting, int, Path], None],
    setting: Setting,
    epochs: int,
    folder: Path,
    peak: Any,
) -> None:
    try:
        train(setting, epochs, folder)
    finally:
        peak.value = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def score(
    vectors: WordVectors, reference: WordVectors | None, tasks: Tasks, words: list[int]
) -> dict[str, Any]:
    """Return the scores by task, and the intervals of the differences from a reference.

    Semantic and syntactic analogies are Google's, among the last number of words; its syntactic
    sections are called gram1-… to gram9-….
    """
    analogies, similarity = tasks._replace(similarity={}), tasks._replace(sections=[])
    scores: dict[str, Any] = {}
    intervals: dict[str, Any] = {}
    for limit in words:
        name = f"analogies, {limit:,} words"
        total = evaluate_analogies(vectors, tasks.sections, "3CosAdd", limit).total()
        scores[name] = total.accuracy
        if reference is not None:
            found = compare(reference, vectors, analogies, "3CosAdd", limit)["analogies"]
            intervals[name] = found and found.interval
    sections = evaluate_analogies(vectors, tasks.sections, "3CosAdd", words[-1]).sections()
    for kind in ("semantic", "syntactic"):
        own = [
            s for name, s in sections.items() if name.startswith("gram") == (kind == "syntactic")
        ]
        questions = sum(section.questions for section in own)
        scores[kind] = sum(section.correct for section in own) / max(1, questions)
    for name, pairs in tasks.similarity.items():
        scores[name] = evaluate_similarity(vectors, pairs, words[-1]).spearman
    if reference is not None:
        for name, found in compare(reference, vectors, similarity, "3CosAdd", words[-1]).items():
            intervals[name] = found and found.interval
    return {"scores": scores, "intervals": intervals}


def _wanted(text: str) -> tuple[str, list[int]]:
    """Return a system's name and its numbers of epochs, given "NAME:EPOCHS,…"."""
    name, _, epochs = text.rpartition(":")
    return name, [int(number) for number in epochs.split(",")]


def main() -> None:
    """Train, evaluate, print a table, and write the requested file."""
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
    parser.add_argument("--max-words", type=int, help="words that embedder trains; by default all")
    parser.add_argument(
        "--words",
        type=int,
        nargs="+",
        default=[30_000, 100_000],
        help="of how many of the most frequent words analogies are; the last is for similarity too",
    )
    parser.add_argument(
        "--systems",
        nargs="+",
        type=_wanted,
        metavar="NAME:EPOCHS,…",
        default=[_wanted(f"{name}:5") for name in SYSTEMS if name != "embedder"]
        + [_wanted("embedder:2,5,10,20")],
        help="which systems to train, and for how many epochs or passes: " + ", ".join(SYSTEMS),
    )
    parser.add_argument(
        "--reference",
        default="gensim CBOW",
        help="the system, with its last number of epochs, that the others are compared with",
    )
    parser.add_argument(
        "--seeds",
        type=int,
        default=1,
        help="train embedder this many times, and add a row with means and standard deviations",
    )
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()

    setting = Setting(options.text.resolve(), options.dimension, options.window,
                      options.min_count, options.threads, options.max_words)  # fmt: skip
    systems = SYSTEMS | {"embedder": System(partial(train_embedder, options.config), load_embedder)}
    tasks = read_tasks([options.analogies], options.similarity)
    header = ["system", "epochs", "seconds", "GiB", *(f"analogies, {n:,}" for n in options.words),
              "semantic", "syntactic", *tasks.similarity]  # fmt: skip
    print(f"| {' | '.join(header)} |\n|{' --- |' * len(header)}")
    rows: list[dict[str, Any]] = []
    if any(name == "embedder" for name, _ in options.systems):
        warm_up(systems["embedder"], setting)
    reference = None
    # The reference first, so that the others can be compared with it.
    for name, wanted in sorted(options.systems, key=lambda own: own[0] != options.reference):
        for epochs in wanted:
            seeds = range(1, 1 + (options.seeds if name == "embedder" else 1))
            first = len(rows)
            for seed in seeds:
                with tempfile.TemporaryDirectory() as folder:
                    seconds, peak = measured_training(
                        systems[name].train, setting._replace(seed=seed), epochs, Path(folder)
                    )
                    vectors = systems[name].load(Path(folder))
                found = score(vectors, reference, tasks, options.words)
                if name == options.reference:
                    reference = vectors if epochs == wanted[-1] else None
                rows.append({"system": name, "epochs": epochs, "seconds": seconds, "GiB": peak,
                             "text": options.text.name, "seed": seed, **found})  # fmt: skip
                print(row_of(rows[-1]), flush=True)
                if options.json:
                    options.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
            if len(seeds) > 1:
                print(summary_of(rows[first:]), flush=True)


def warm_up(system: System, setting: Setting) -> None:
    """Compile the kernels before timing, on the beginning of the text."""
    with tempfile.TemporaryDirectory() as name:
        text = Path(name) / "text.txt"
        with setting.text.open("rb") as file:
            text.write_bytes(file.read(_WARM_UP_BYTES))
        measured_training(system.train, setting._replace(text=text), 1, Path(name))


def row_of(row: dict[str, Any]) -> str:
    """Return a row of the table; intervals of the differences are in brackets."""
    cells = [row["system"], str(row["epochs"]), f"{row['seconds']:.0f}", f"{row['GiB']:.1f}"]
    for name, value in row["scores"].items():
        interval = row["intervals"].get(name)
        ends = f" ({interval[0]:+.3f} – {interval[1]:+.3f})" if interval else ""
        cells.append(f"{value:.3f}{ends}")
    return f"| {' | '.join(cells)} |"


def summary_of(rows: list[dict[str, Any]]) -> str:
    """Return the table's row of the means and standard deviations over rows of several seeds."""
    cells = [f"{rows[0]['system']}, {len(rows)} seeds", str(rows[0]["epochs"])]
    cells += [f"{np.mean([row['seconds'] for row in rows]):.0f}"]
    cells += [f"{np.max([row['GiB'] for row in rows]):.1f}"]
    for name in rows[0]["scores"]:
        values = [row["scores"][name] for row in rows]
        cells.append(f"{np.mean(values):.3f} ± {np.std(values, ddof=1):.3f}")
    return f"| {' | '.join(cells)} |"


SYSTEMS = {
    "embedder": System(partial(train_embedder, Path("configs/books.yaml")), load_embedder),
    "gensim CBOW": System(partial(train_gensim, False), load_gensim),
    "gensim skip-gram": System(partial(train_gensim, True), load_gensim),
    "fastText CBOW": System(partial(train_fasttext, "cbow"), load_fasttext),
    "fastText skip-gram": System(partial(train_fasttext, "skipgram"), load_fasttext),
}


if __name__ == "__main__":
    main()
