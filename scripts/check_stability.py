"""Check what bootstrap samples say about the stability of vectors against other texts of the kind.

    python scripts/check_stability.py TEXT --json stability.json

TEXT is plain text, one sentence or paragraph per line, words separated by spaces. Its blocks of
1,000 words are dealt to a few texts at random. The first has a run with replicates; the others are
trained by themselves, so that how vectors vary between texts can be seen. The tables show how many
of the nearest words two trainings share; the cosines of pairs of words, and how they vary; and what
would become of replicates for which only the rows of words are fitted, with the run's other layers.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from embedder.arrays import Array, unit_rows
from embedder.config_files import make_config
from embedder.evaluation.stability import Band, stability_of_models, stability_of_run
from embedder.examples.batches import CountedRows
from embedder.examples.columns import group_counts
from embedder.examples.cooccurrence import CountingOptions, TokenSample, count_cooccurrences
from embedder.reporting.tables import stability_rows, table
from embedder.runs.checkpoint import load_model
from embedder.runs.replicate_folder import ReplicateFolder
from embedder.text.corpus import read_text
from embedder.text.vocabulary import encode_text
from embedder.training.descent import Prior
from embedder.training.frozen_layers import FrozenLayers
from embedder.training.replicates import cut_text, draw_blocks, seeds_of
from embedder.training.row_fit import fit_here, fits_with_prior
from embedder.training.train import train
from embedder.vectors.from_run import load_vectors, sum_matrices, word_vectors
from embedder.vectors.replicates import Replicates
from embedder.vectors.word_vectors import WordVectors

_BLOCK = 1000
_BANDS = (1000, 1 << 60), (100, 999), (30, 99), (0, 29)
"""Bounds of the count of a pair's first word."""
_WORDS = 500
_NEAR = 5


def deal(text: Path, folder: Path, texts: int, blocks: int, seed: int) -> list[Path]:
    """Write texts of some blocks each, drawn without replacement, and return them."""
    found: list[list[str]] = [[]]
    words = 0
    with text.open(encoding="utf-8") as lines:
        for line in lines:
            found[-1].append(line.rstrip("\n"))
            words += len(line.split())
            if words >= _BLOCK:
                found.append([])
                words = 0
    found.pop()
    if len(found) < texts * blocks:
        raise SystemExit(f"{text} has {len(found)} blocks; expected {texts} × {blocks}.")
    order = np.random.default_rng(seed).permutation(len(found))
    paths = []
    for number in range(texts):
        own = np.sort(order[number * blocks : (number + 1) * blocks])
        paths.append(folder / f"text{number}.txt")
        paths[-1].write_text("".join("\n".join(found[i]) + "\n" for i in own), encoding="utf-8")
    return paths


def train_all(paths: list[Path], samples: int, seeds: int) -> list[Path]:
    """Train a run on each text, the first one with replicates, unless that is done already."""
    runs = []
    for number, path in enumerate(paths):
        run = path.with_suffix("")
        wanted = {"bootstrap": samples, "seeds": seeds} if number == 0 else {}
        tree = {"corpus": {"files": [str(path)]}, "output": str(run), "replicates": wanted}
        if number == 0 or not (run / "model.safetensors").exists():
            train(make_config(tree, "the script"), resume=(run / "config.yaml").exists())
        runs.append(run)
    return runs


def train_gensim(path: Path, seeds: int) -> list[WordVectors]:
    """Return gensim's CBOW vectors of a text, with some seeds and one worker."""
    from gensim.models import Word2Vec

    from embedder.text.vocabulary import Vocabulary

    sentences = [line.split() for line in path.read_text(encoding="utf-8").splitlines()]
    found = []
    for seed in range(1, seeds + 1):
        wv = Word2Vec(sentences, vector_size=100, epochs=5, workers=1, seed=seed).wv
        counts = np.array([wv.get_vecattr(word, "count") for word in wv.index_to_key])
        found.append(WordVectors(Vocabulary(list(wv.index_to_key), counts), wv.vectors))
    return found


def cosines(matrix: Array, pairs: Array) -> Array:
    """Return the cosines of pairs of rows (n, 2) of unit vectors; NaN where one is zeros."""
    one, two = matrix[pairs[:, 0]], matrix[pairs[:, 1]]
    found = np.einsum("ij,ij->i", one, two)
    found[~(one.any(axis=1) & two.any(axis=1))] = np.nan
    return np.asarray(found)


def compare_pairs(run: Path, others: list[Path]) -> tuple[tuple[str, ...], list[list[str]]]:
    """Return a table of the cosines of pairs in a run, its samples, and runs on other texts."""
    samples = Replicates(run, "bootstrap")
    main = samples.vectors
    counts = main.vocabulary.counts
    models = [unit_rows(main.matrix)], list(samples), [_rows_of(main, path) for path in others]
    rng = np.random.default_rng(0)
    rows = []
    for near in (False, True):
        for low, high in _BANDS:
            inside = np.flatnonzero((counts >= low) & (counts <= high))
            first = rng.choice(inside, min(_WORDS, len(inside)), replace=False)
            pairs = _near_pairs(main, first) if near else _random_pairs(first, inside, rng)
            own, drawn, elsewhere = (np.array([cosines(m, pairs) for m in own]) for own in models)
            known = (~np.isnan(drawn)).sum(axis=0) >= 5
            known &= (~np.isnan(elsewhere)).sum(axis=0) >= 3
            own, drawn, elsewhere = own[:, known], drawn[:, known], elsewhere[:, known]
            means = [float(np.nanmean(part)) for part in (own, drawn, elsewhere)]
            deviations = [
                float(np.sqrt(np.nanmean(np.nanvar(part, axis=0, ddof=1))))
                for part in (drawn, elsewhere)
            ]
            name = f"{'near' if near else 'random'}, {low:,} and more"
            figures = [f"{own:.2f}" for own in means] + [f"{own:.3f}" for own in deviations]
            rows.append([name, f"{known.sum():,}", *figures])
    header = "pairs", "number", "run", "samples", "texts", "deviation, samples", "texts"
    return header, rows


def _near_pairs(vectors: WordVectors, first: Array) -> Array:
    near = vectors.neighbors_of([vectors.words[i] for i in first], _NEAR)
    ids = vectors.vocabulary.ids
    others = [ids[own.word] for found in near for own in found]
    return np.asarray(np.column_stack([np.repeat(first, _NEAR), others]))


def _random_pairs(first: Array, inside: Array, rng: np.random.Generator) -> Array:
    pairs = np.column_stack([np.repeat(first, _NEAR), rng.choice(inside, _NEAR * len(first))])
    return np.asarray(pairs[pairs[:, 0] != pairs[:, 1]])


def _rows_of(main: WordVectors, run: Path) -> Array:
    """Return a run's unit vectors of another run's words, zeros for those that it lacks."""
    own = load_vectors(run)
    found = np.zeros_like(main.matrix)
    shared = [i for i, word in enumerate(main.words) if word in own]
    found[shared] = unit_rows(own[[main.words[i] for i in shared]])
    return found


def frozen_replicates(run: Path, samples: int) -> list[WordVectors]:
    """Return vectors fitted to the bootstrap samples of a run, with its other layers frozen."""
    model = load_model(run)
    config, V = model.config, len(model.vocabulary)
    work = run / "frozen"
    work.mkdir(exist_ok=True)
    corpus, _ = encode_text(read_text(config.corpus), model.vocabulary, None, work)
    ids = np.asarray(corpus.ids)
    starts = cut_text(ids, config.replicates.block)
    layers = FrozenLayers(config.network.activation, model.parameters)
    columns, keep = model.columns, model.keep_probabilities()
    matrices = sum_matrices(model.parameters, config.network.activation, columns.of_words)
    found = []
    for replicate in ReplicateFolder(run).replicates("bootstrap")[:samples]:
        seed, draws = seeds_of(config.training.seed, replicate)
        text = np.asarray(draw_blocks(ids, starts, draws, work / "sample"))
        counting = CountingOptions(config.examples)
        counts = count_cooccurrences(text, TokenSample(keep, seed), counting, work)
        kept = model.vocabulary.counts * keep
        rows = CountedRows(*group_counts(counts, columns, kept, work / "grouped", None))
        E = model.parameters.E.copy()
        prior = Prior(config.training.prior_strength, np.zeros_like(E), np.zeros(V))
        for first, fitted in fit_here(layers, fits_with_prior(model.parameters.E, rows, prior)):
            E[first : first + len(fitted)] = fitted
        parameters = model.parameters._replace(E=E)
        activation = config.network.activation
        matrix = word_vectors(parameters, activation, "sum", columns.of_words, matrices)
        found.append(WordVectors(model.vocabulary, matrix))
    return found


def main() -> None:
    """Run the checks that the command line asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("text", type=Path)
    parser.add_argument("--folder", type=Path, default=Path("runs/stability"))
    parser.add_argument("--texts", type=int, default=6)
    parser.add_argument("--blocks", type=int, default=400, help="of 1,000 words, in each text")
    parser.add_argument("--samples", type=int, default=10)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--frozen", type=int, default=0, help="samples with frozen layers")
    parser.add_argument("--gensim", action="store_true")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    paths = deal(options.text, options.folder, options.texts, options.blocks, seed=1)
    run, *others = train_all(paths, options.samples, options.seeds)
    vocabulary = load_vectors(run).vocabulary
    compared: dict[str, list[Band]] = {"replicates": stability_of_run(run)}
    trained = [load_vectors(each) for each in (run, *others)]
    compared["texts"] = stability_of_models(trained, counts=vocabulary)
    if options.frozen:
        frozen = frozen_replicates(run, options.frozen)
        compared["frozen layers"] = stability_of_models(frozen, counts=vocabulary)
    if options.gensim:
        found = train_gensim(paths[0], options.seeds)
        compared["gensim"] = stability_of_models(found, counts=vocabulary)
    for name, bands in compared.items():
        print(f"\n{name}\n{table(*stability_rows(bands))}")
    header, rows = compare_pairs(run, others)
    print(f"\n{table(header, rows)}")
    if options.json:
        figures: dict[str, Any] = {
            name: [band._asdict() for band in bands] for name, bands in compared.items()
        }
        options.json.write_text(json.dumps(figures | {"pairs": [header, *rows]}, indent=2))


if __name__ == "__main__":
    main()
