"""Train this package and its peers on the same text; compare vectors, time and memory.

    python scripts/compare.py TEXT --analogies FILE --similarity FILE FILE --json compare.json
    python scripts/plot_comparison.py compare.json --plot compare.png

The peers are gensim's Word2Vec and FastText, and fastText (skip-gram and CBOW, `pip install
'.[benchmark]'`). All share dimension, minimum count and number of threads, and the window where a
system's name does not end in `, window N`; the peers use five negatives. Every training run is a
separate process, timed from start to exit: imports, reading, training, saving; beside the seconds
stand those of the processors, all threads together, which other programs affect less. TEXT is plain
text, one sentence per line, words separated by spaces, so that each peer can read it in its fastest
way. Scores come from this package's own evaluation, on the most frequent words of each vocabulary;
differences from the reference system come with 95 % intervals of the paired bootstrap. With
--vectors, what has been trained is kept, and not trained again.
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
MIN_N, MAX_N, BUCKETS = 3, 6, 2_000_000
"""N-grams of the peers with subwords: the defaults of both programs."""
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


class Cost(NamedTuple):
    """What a training took: seconds, seconds of all processors together, and GiB of memory."""

    seconds: float
    processor_seconds: float
    peak: float


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


def train_gensim(
    skip_gram: bool, subwords: bool, setting: Setting, epochs: int, folder: Path
) -> None:
    """Train gensim's Word2Vec or FastText from a file, its fastest mode."""
    from gensim.models import FastText, Word2Vec

    common = {
        "corpus_file": str(setting.text), "vector_size": setting.dimension,
        "window": setting.window, "min_count": setting.min_count, "workers": setting.threads,
        "sg": int(skip_gram), "alpha": 0.025 if skip_gram else 0.05, "sample": SUBSAMPLE,
        "negative": NEGATIVES, "epochs": epochs,
    }  # fmt: skip
    if subwords:
        model = FastText(**common, min_n=MIN_N, max_n=MAX_N, bucket=BUCKETS)
    else:
        model = Word2Vec(**common)
    model.wv.save(str(folder / "vectors"))


def load_gensim(folder: Path) -> WordVectors:
    """Read gensim's KeyedVectors."""
    from gensim.models import KeyedVectors

    loaded = KeyedVectors.load(str(folder / "vectors"))
    counts = np.array([loaded.get_vecattr(word, "count") for word in loaded.index_to_key])
    return WordVectors(Vocabulary(loaded.index_to_key, counts), loaded.vectors)


def train_fasttext(model: str, subwords: bool, setting: Setting, epochs: int, folder: Path) -> None:
    """Train fastText."""
    import fasttext

    lengths = {"minn": MIN_N, "maxn": MAX_N, "bucket": BUCKETS}
    without = {"minn": 0, "maxn": 0, "bucket": 1}
    fasttext.train_unsupervised(
        str(setting.text), model=model, dim=setting.dimension, ws=setting.window,
        minCount=setting.min_count, thread=setting.threads, epoch=epochs, neg=NEGATIVES,
        t=SUBSAMPLE, verbose=0, **(lengths if subwords else without),
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
) -> Cost:
    """Train in a process of its own, and return what it took."""
    context = multiprocessing.get_context("spawn")
    used = context.Array("d", 2)
    process = context.Process(target=_train, args=(train, setting, epochs, folder, used))
    started = time.perf_counter()
    process.start()
    process.join()
    seconds = time.perf_counter() - started
    if process.exitcode:
        raise SystemExit(f"A training run failed with exit code {process.exitcode}.")
    return Cost(seconds, used[0], used[1])


def _train(
    train: Callable[[Setting, int, Path], None],
    setting: Setting,
    epochs: int,
    folder: Path,
    used: Any,
) -> None:
    try:
        train(setting, epochs, folder)
    finally:
        usage = resource.getrusage(resource.RUSAGE_SELF)
        used[0], used[1] = usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 2**20


def trained(
    system: System, setting: Setting, epochs: int, kept: Path | None
) -> tuple[WordVectors, Cost]:
    """Train, or read what an earlier call has kept; return the vectors and what training took."""
    if kept is not None and kept.exists():
        with np.load(kept) as file:
            vocabulary = Vocabulary(file["words"].tolist(), file["counts"])
            return WordVectors(vocabulary, file["matrix"]), Cost(*file["cost"].tolist())
    with tempfile.TemporaryDirectory() as folder:
        cost = measured_training(system.train, setting, epochs, Path(folder))
        vectors = system.load(Path(folder))
    if kept is not None:
        kept.parent.mkdir(parents=True, exist_ok=True)
        words, counts = np.array(vectors.words), vectors.vocabulary.counts
        np.savez(kept, words=words, counts=counts, matrix=vectors.matrix, cost=np.array(cost))
    return vectors, cost


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


def _window_of(name: str) -> tuple[str, int | None]:
    """Return a system's name without its window, and the window that it names, if any."""
    name, found, window = name.partition(", window ")
    return name, int(window) if found else None


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
        help="which systems to train, and for how many epochs or passes; a name may end in "
        "`, window N`: " + "; ".join(SYSTEMS),
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
    parser.add_argument("--vectors", type=Path, help="a folder that keeps what has been trained")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()

    setting = Setting(options.text.resolve(), options.dimension, options.window,
                      options.min_count, options.threads, options.max_words)  # fmt: skip
    systems = SYSTEMS | {"embedder": System(partial(train_embedder, options.config), load_embedder)}
    tasks = read_tasks([options.analogies], options.similarity)
    header = ["system", "epochs", "seconds", "processor", "GiB"]
    header += [f"analogies, {n:,}" for n in options.words]
    header += ["semantic", "syntactic", *tasks.similarity]
    print(f"| {' | '.join(header)} |\n|{' --- |' * len(header)}")
    rows: list[dict[str, Any]] = []
    if any(name == "embedder" for name, _ in options.systems):
        warm_up(systems["embedder"], setting)
    reference = None
    # The reference first, so that the others can be compared with it.
    for name, wanted in sorted(options.systems, key=lambda own: own[0] != options.reference):
        plain, window = _window_of(name)
        windowed = setting._replace(window=window or setting.window)
        for epochs in wanted:
            seeds = range(1, 1 + (options.seeds if plain == "embedder" else 1))
            first = len(rows)
            for seed in seeds:
                kept = options.vectors and options.vectors / f"{name}-{epochs}-{seed}.npz"
                own = windowed._replace(seed=seed)
                vectors, cost = trained(systems[plain], own, epochs, kept)
                found = score(vectors, reference, tasks, options.words)
                if name == options.reference:
                    reference = vectors if epochs == wanted[-1] else None
                rows.append({"system": name, "epochs": epochs, **_named(cost),
                             "text": options.text.name, "seed": seed, **found})  # fmt: skip
                print(row_of(rows[-1]), flush=True)
                if options.json:
                    options.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
            if len(seeds) > 1:
                print(summary_of(rows[first:]), flush=True)


def _named(cost: Cost) -> dict[str, float]:
    seconds, processor, peak = cost
    return {"seconds": seconds, "processor seconds": processor, "GiB": peak}


def warm_up(system: System, setting: Setting) -> None:
    """Compile the kernels before timing, on the beginning of the text."""
    with tempfile.TemporaryDirectory() as name:
        text = Path(name) / "text.txt"
        with setting.text.open("rb") as file:
            text.write_bytes(file.read(_WARM_UP_BYTES))
        measured_training(system.train, setting._replace(text=text), 1, Path(name))


def row_of(row: dict[str, Any]) -> str:
    """Return a row of the table; intervals of the differences are in brackets."""
    cells = [row["system"], str(row["epochs"])]
    cells += [f"{row['seconds']:.0f}", f"{row['processor seconds']:.0f}", f"{row['GiB']:.1f}"]
    for name, value in row["scores"].items():
        interval = row["intervals"].get(name)
        ends = f" ({interval[0]:+.3f} – {interval[1]:+.3f})" if interval else ""
        cells.append(f"{value:.3f}{ends}")
    return f"| {' | '.join(cells)} |"


def summary_of(rows: list[dict[str, Any]]) -> str:
    """Return the table's row of the means and standard deviations over rows of several seeds."""
    cells = [f"{rows[0]['system']}, {len(rows)} seeds", str(rows[0]["epochs"])]
    for cost in ("seconds", "processor seconds"):
        cells.append(f"{np.mean([row[cost] for row in rows]):.0f}")
    cells += [f"{np.max([row['GiB'] for row in rows]):.1f}"]
    for name in rows[0]["scores"]:
        values = [row["scores"][name] for row in rows]
        cells.append(f"{np.mean(values):.3f} ± {np.std(values, ddof=1):.3f}")
    return f"| {' | '.join(cells)} |"


SYSTEMS = {
    "embedder": System(partial(train_embedder, Path("configs/books.yaml")), load_embedder),
    **{
        f"gensim {model}{', subwords' * subwords}": System(
            partial(train_gensim, model == "skip-gram", subwords), load_gensim
        )
        for model in ("CBOW", "skip-gram")
        for subwords in (False, True)
    },
    **{
        f"fastText {model}{', subwords' * subwords}": System(
            partial(train_fasttext, model.lower().replace("-", ""), subwords), load_fasttext
        )
        for model in ("CBOW", "skip-gram")
        for subwords in (False, True)
    },
}


if __name__ == "__main__":
    main()
