"""Search for inputs that a reader neither accepts nor rejects in one sentence, guided by coverage.

    pip install atheris
    python scripts/fuzz.py --runs 5000

Runs every reader in its own process under atheris (libFuzzer), starting with a small valid file. An
exception other than `EmbedderError`, more than ten seconds or more than 2 GiB of memory end the
process and leave the input in a file. `--target NAME` runs one reader.
"""

import argparse
import struct
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

_INSTRUMENTED = [
    "embedder.config",
    "embedder.text.corpus",
    "embedder.text.vocabulary",
    "embedder.vectors.formats",
]
_INSTRUMENTED += [
    "embedder.evaluation",
    "embedder.experiments.experiment",
    "embedder.vectors.subwords",
]
_LIMITS = ["-rss_limit_mb=2048", "-timeout=10", "-max_len=4096", "-print_final_stats=0"]
_MAX_MESSAGE_LENGTH = 5000
_FORMATS = ["word2vec", "word2vec-binary", "glove", "npy", "fasttext", "safetensors"]
_FORMATS += ["finalfusion", "projector", "static-embedding"]
TARGETS = ["configuration", "experiment", "text", "json-lines", "vocabulary"]
TARGETS += ["analogies", "similarity", "similarity-csv", "outliers", "categories", *_FORMATS]
_ODD_FILES = {
    "odd-text": "\ufeff3\t2\r\nthe\t0.1  0.2\r. . 0.5 0.6 \n\n 0.9 1\na\u2028b 1 2\r".encode(),
    "odd-binary": b"1 3\na b "
    + struct.pack("<3f", 0.01, 0.5, -0.2)
    + b"c "
    + struct.pack("<3f", 1, 2, 3),
    "float64": b"2 1\na \x9a\x99\x99\x99\x99\x99\xb9\x3fb \0\0\0\0\0\0\xe0\x3f",
    "labels": struct.pack("<12id", 1, 5, 1, 1, 5, 1, 2, 3, 0, 0, 0, 100, 1e-4)
    + struct.pack("<iiiq", 2, 1, 1, 9)
    + b"\xe9\0"
    + struct.pack("<qb", 3, 0)
    + b"l\0"
    + struct.pack("<qb", 3, 1)
    + struct.pack("<qqf", 1, 1, 0.5)
    + struct.pack("<qqf", 1, 1, 0),
}
"""Vectors as people have them, beside those that this program writes."""
TARGETS += list(_ODD_FILES)


def reader(target: str, folder: Path) -> tuple[Callable[[Path], object], Path, bytes]:
    """Return a reader, the path of the file that it reads, and a valid file."""
    from embedder.config_files import load_config
    from embedder.config_sections.text import CorpusConfig, VocabularyConfig
    from embedder.evaluation.categories import read_categories
    from embedder.evaluation.outliers import read_outliers
    from embedder.evaluation.questions import read_analogies
    from embedder.evaluation.similarity import read_similarities
    from embedder.experiments.experiment import load_experiment
    from embedder.text.corpus import read_text
    from embedder.text.vocabulary import Vocabulary, encode_corpus
    from embedder.vectors.formats import load

    def encode(path: Path) -> object:
        settings = VocabularyConfig(min_count=1)
        return encode_corpus(read_text(CorpusConfig(files=[str(path)])), settings, folder)

    def parse(path: Path) -> object:
        return list(read_text(CorpusConfig(files=[str(path)], text_field="text")))

    found: dict[str, tuple[Callable[[Path], object], str, bytes]] = {
        "configuration": (load_config, "c.yaml", b"corpus: {files: [a]}\ntraining: {passes: 2}\n"),
        "experiment": (load_experiment, "e.yaml", b"base: a\noutput: b\ngrid: {a.b: [1, 2]}\n"),
        "text": (encode, "t.txt", "the naïve cat sat on the mat\n".encode()),
        "json-lines": (parse, "t.jsonl", b'{"text": "the cat"}\n'),
        "vocabulary": (Vocabulary.load, "v.tsv", b"word\tcount\nthe\t3\ncat\t1\n"),
        "analogies": (read_analogies, "q.txt", b": a\nking queen man woman\n"),
        "similarity": (read_similarities, "q.txt", b"king\tqueen\t8.5\n"),
        "similarity-csv": (read_similarities, "q.txt", b'#\na,b,p,s\n"king","queen",N,"8,5"\n'),
        "outliers": (read_outliers, "q.txt", b"cat\ndog\n\ncar\n"),
        "categories": (read_categories, "q.txt", b"cat animal\nlondon city\n"),
    }
    if target in found:
        call, name, valid = found[target]
        return call, folder / name, valid
    if target in _ODD_FILES:
        return load, folder / "v", _ODD_FILES[target]
    return _vectors(target, folder)


def _vectors(target: str, folder: Path) -> tuple[Callable[[Path], object], Path, bytes]:
    import numpy as np

    from embedder.text.vocabulary import Vocabulary
    from embedder.vectors.formats import load, save
    from embedder.vectors.subwords import Subwords
    from embedder.vectors.word_vectors import WordVectors

    words = ["king", "naïve", "a"]
    rows = np.random.default_rng(0).normal(size=(3 + 4, 2)).astype(np.float32)
    subwords = Subwords(rows, 2, 3, 4, 3)
    vocabulary = Vocabulary(words, np.arange(3, 0, -1))
    endings = {"npy": ".npy", "safetensors": ".safetensors", "projector": ".tsv"}
    path = folder / f"v{endings.get(target, '')}"
    save(WordVectors(vocabulary, subwords.compose(words), (), subwords), path, target)
    if path.is_dir():
        file = path / "tokenizer.json"
        return lambda _: load(path), file, file.read_bytes()
    return load, path, path.read_bytes()


def fuzz(target: str, runs: int) -> None:
    """Run one reader in this process, which libFuzzer then ends."""
    import atheris

    with atheris.instrument_imports(include=_INSTRUMENTED):
        import embedder.experiments.experiment
        import embedder.vectors.formats  # noqa: F401
        from embedder.errors import EmbedderError

    with tempfile.TemporaryDirectory() as work:
        folder, seeds = Path(work) / "files", Path(work) / "seeds"
        folder.mkdir()
        seeds.mkdir()
        call, path, valid = reader(target, folder)
        (seeds / "valid").write_bytes(valid)

        def one_input(data: bytes) -> None:
            path.write_bytes(data)
            try:
                call(path)
            except EmbedderError as error:
                if len(str(error)) > _MAX_MESSAGE_LENGTH:
                    raise ValueError(f"an error message of {len(str(error))} characters") from error

        atheris.Setup([sys.argv[0], f"-runs={runs}", "-seed=1", *_LIMITS, str(seeds)], one_input)
        atheris.Fuzz()


def main() -> None:
    """Run one target, or all, each in its own process."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--target", choices=TARGETS, help="run only this reader, in this process")
    parser.add_argument("--runs", type=int, default=5000, help="number of inputs per reader")
    options = parser.parse_args()
    if options.target:
        fuzz(options.target, options.runs)
        return
    failed = []
    for target in TARGETS:
        command = [sys.executable, __file__, "--target", target, "--runs", str(options.runs)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        print(f"{target:20} {'ok' if done.returncode == 0 else 'FAILED'}", flush=True)
        if done.returncode:
            failed.append(target)
            print(done.stderr[-3000:])
    if failed:
        raise SystemExit(f"{len(failed)} of {len(TARGETS)} failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
