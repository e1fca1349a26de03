"""What a change must pass, a session a step: `nox -l` lists them, `nox -s lint types` runs some.

`.ci/run` runs them all, in a copy of the checkout. It sets REMOVE_ENVIRONMENTS, because all
environments together take 12 GB. Sessions that try what README.md and docs/ tell
people to type run those commands as they are written there, in the `.venv` that they create.
"""

import os
import re
import shutil
import zipfile
from pathlib import Path

import nox

nox.needs_version = ">=2024.10.9"
nox.options.sessions = ["lint", "imports", "types", "tests"]

VENV = Path(".venv").resolve()
# Not session.create_tmp(), which sets TMPDIR to a path that is too long for Ray's sockets.
SCRATCH = Path(".nox/scratch").resolve()
SCRATCH.mkdir(parents=True, exist_ok=True)
VERSES = """
import importlib.util, json, pathlib
folder = pathlib.Path(importlib.util.find_spec("bible").submodule_search_locations[0])
lines = (folder / "data/kjv.jsonl").open()
pathlib.Path("my.txt").write_text("".join(json.loads(line)["text"] + "\\n" for line in lines))
"""
TABLE = """
import pyarrow as pa
from pyarrow import parquet
parquet.write_table(pa.table({"text": open("data/toy-world.txt").readlines()}), "runs/t.parquet")
"""
PIPELINE = """
import embedder
from embedder.vectors.encoder import SentenceEncoder
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
vectors = embedder.train("data/toy-world.txt", passes=2, progress=False)
texts = [line for line in open("data/toy-world.txt")][:500]
labels = ["king" in text for text in texts]
model = make_pipeline(SentenceEncoder(vectors), LogisticRegression())
print(model.fit(texts, labels).score(texts, labels))
"""
EXTRAS = {
    # What to install, and what the documentation promises of it, on a run of the toy world.
    "report": ("report", [["embedder", "report", "RUN", "--words", "king"]]),
    "maps": (
        "report,maps",
        [
            ["embedder", "report", "RUN", "--map", "umap"],
            ["embedder", "report", "RUN", "--map", "tsne"],
        ],
    ),
    "index": (
        "index",
        [
            ["embedder", "index", "RUN", "runs/toy.usearch"],
            ["embedder", "neighbors", "RUN", "king", "--index", "runs/toy.usearch"],
        ],
    ),
    "tracking": (
        "tracking",
        [["TRAIN", "tracking.tensorboard=true", "tracking.mlflow=sqlite:///runs/mlflow.db"]],
    ),
    "ray": ("ray", [["TRAIN", "--engine", "ray", "--threads", "2"]]),
    "tables": (
        "tables",
        [["python", "-c", TABLE], ["embedder", "train", "runs/t.parquet", "--text-field", "text"]],
    ),
    "sklearn": ("sklearn", [["python", "-c", PIPELINE]]),
    "remote": ("remote", [["TRAIN", "corpus.files=file://HERE/data/toy-world.txt"]]),
    "search": ("search", [["embedder", "run", "runs/search.yaml", "--quiet"]]),
}
SEARCH = """\
base: configs/toy.yaml
overrides: {training.passes: 1}
optuna: {trials: 2, keys: {examples.window: [2, 5]}}
output: runs/search
"""


def blocks(page: str, name: str) -> list[str]:
    """Return the shell commands of a page that are below the marker `<!-- command: NAME -->`."""
    text = Path(page).read_text(encoding="utf-8")
    pattern = rf"<!-- command: {re.escape(name)} -->\n```sh\n(.*?)```"
    found = re.findall(pattern, text, re.DOTALL)
    assert found, f"{page} has no command named {name}"
    return found


def shell(session: nox.Session, commands: str) -> str:
    """Run commands with the programs of `.venv` first on the path; print and return the output."""
    environment = {"PATH": f"{VENV / 'bin'}{os.pathsep}{os.environ['PATH']}"}
    log = SCRATCH / "output.txt"
    script = f"set -euo pipefail\n({commands}\n) 2>&1 | tee '{log}'"
    session.run("bash", "-c", script, external=True, env=environment)
    return log.read_text(encoding="utf-8")


def expect(session: nox.Session, output: str, pattern: str) -> None:
    """Fail unless a line of the output matches."""
    if not re.search(pattern, output, re.MULTILINE):
        session.error(f"the output has no line that matches {pattern!r}")


def development_environment(session: nox.Session) -> None:
    """Make `.venv` with README's command for the tests, if it is not there."""
    if not (VENV / "bin" / "pytest").exists():
        (command,) = blocks("README.md", "test")
        shell(session, command.rpartition("&&")[0])


def finish(session: nox.Session) -> None:
    """Remove the session's environment where this is wanted."""
    if os.environ.get("REMOVE_ENVIRONMENTS"):
        shutil.rmtree(session.virtualenv.location)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style and format."""
    session.install("ruff>=0.12")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
def imports(session: nox.Session) -> None:
    """Check that every import points down: the contract of pyproject.toml."""
    session.install("import-linter>=2.3")
    session.run("lint-imports", "--no-cache", env={"PYTHONPATH": "."})


@nox.session(venv_backend="none")
def types(session: nox.Session) -> None:
    """Check types."""
    development_environment(session)
    session.run(str(VENV / "bin" / "mypy"), external=True)


@nox.session(venv_backend="none")
def tests(session: nox.Session) -> None:
    """Run the test command of README.md; with arguments, pytest with these."""
    if session.posargs:
        development_environment(session)
        session.run(str(VENV / "bin" / "pytest"), *session.posargs, external=True)
        return
    shell(session, *blocks("README.md", "test"))


@nox.session(venv_backend="none")
def readme(session: nox.Session) -> None:
    """Run the commands of README.md in their order, from a new environment on."""
    shutil.rmtree(VENV, ignore_errors=True)
    output = shell(session, *blocks("README.md", "train"))
    expect(session, output, r"^The model is in runs/quickstart")
    expect(session, output, r"^ +total +0\.[2-9]")
    session.run(str(VENV / "bin" / "python"), "-c", VERSES, external=True)
    output = shell(session, *blocks("README.md", "own"))
    expect(session, output, r"^The model is in runs/my")
    (program,) = re.findall(r"```python\n(.*?)```", Path("README.md").read_text(), re.DOTALL)
    session.run(str(VENV / "bin" / "python"), "-c", program, external=True)


@nox.session(venv_backend="none")
def documented(session: nox.Session) -> None:
    """Run the commands of the pages in docs/, and build these."""
    development_environment(session)
    shell(session, "pip install -q '.[quickstart,docs]'")
    cache = f"export EMBEDDER_CACHE='{SCRATCH / 'cache'}'\n"
    shell(session, cache + "\n".join(blocks("docs/running-experiments.md", "experiment")))
    if not Path("runs/study/best.yaml").exists():
        session.error("the experiment has no best configuration")
    output = shell(session, *blocks("docs/concepts/subwords.md", "subwords"))
    expect(session, output, r"_")
    output = shell(session, *blocks("docs/language-models.md", "language-model"))
    expect(session, output, r"^ +mixture, 0\.[0-9]+ network +[0-9]")
    shell(session, "\n".join(blocks("docs/tutorial.md", "tutorial")))
    for picture in ("report.html", "report/map.svg"):
        if not Path("runs/tutorial", picture).exists():
            session.error(f"the tutorial's report has no {picture}")
    shell(session, *blocks("docs/distributed.md", "cluster"))
    shell(session, "NO_MKDOCS_2_WARNING=1 mkdocs build --strict --site-dir runs/site")
    leaks = re.compile(
        r"Sentinel|UNSET|PydanticUndefined|&lt;(function|class|object)| at 0x[0-9a-f]"
    )
    for page in Path("runs/site").rglob("*.html"):
        if leaks.search(page.read_text(encoding="utf-8")):
            session.error(f"{page} shows an object of Python instead of a text")


@nox.session
def package(session: nox.Session) -> None:
    """Build what would be published, check it, and use the wheel outside the checkout."""
    session.install("build", "twine")
    built = SCRATCH / "dist"
    shutil.rmtree(built, ignore_errors=True)
    session.run("python", "-m", "build", "--outdir", str(built))
    session.run("twine", "check", "--strict", *map(str, built.iterdir()))
    (wheel,) = built.glob("*.whl")
    description = zipfile.ZipFile(wheel).read(
        f"{wheel.name.rpartition('-py3')[0]}.dist-info/METADATA"
    )
    if re.search(rb"\]\((?!https?:|#)", description):
        session.error("the long description has relative links or images, which PyPI cannot show")
    session.install(f"{wheel}[quickstart,report]")
    empty = SCRATCH / "empty"
    shutil.rmtree(empty, ignore_errors=True)
    empty.mkdir()
    with session.chdir(empty):
        session.run("python", "-c", VERSES)
        session.run("embedder", "train", "my.txt")
        session.run("embedder", "neighbors", "runs/my", "king")
        session.run("embedder", "report", "runs/my")
        session.run("embedder", "init", "books", "corpus.files=my.txt")
    finish(session)


@nox.session
@nox.parametrize("extra", list(EXTRAS), ids=list(EXTRAS))
def extras(session: nox.Session, extra: str) -> None:
    """Try what the documentation promises of an extra, with nothing else installed."""
    packages, commands = EXTRAS[extra]
    # Editable, so that all environments share the compiled kernels; `readme` installs a wheel.
    session.install("-e", f".[{packages}]")
    session.run("python", "scripts/make_toy_world.py")
    run = f"runs/extra-{extra}"
    train = ["embedder", "train", "configs/toy.yaml", "training.passes=2", "--overwrite"]
    train += ["--quiet", "--output", run]
    session.run(*train)
    Path("runs/search.yaml").write_text(SEARCH, encoding="utf-8")
    for command in commands:
        filled = [
            part.replace("HERE", str(Path.cwd())).replace("RUN", run)
            for word in command
            for part in (train if word == "TRAIN" else [word])
        ]
        session.run(*filled)
    finish(session)


@nox.session
def peers(session: nox.Session) -> None:
    """Compare with gensim and model2vec, and read tables of polars and Hugging Face datasets."""
    session.install("-e", ".[dev,peers]", "matplotlib>=3.8")  # editable as in `extras`
    session.run("pytest", "-k", "gensim or model2vec or polars or datasets")
    session.run("python", "scripts/make_toy_world.py")
    arguments = ["data/toy-world.txt", "--config", "configs/toy.yaml"]
    arguments += ["--analogies", "data/toy-analogies.txt", "--json", "runs/compare.json"]
    systems = "embedder:20", "gensim CBOW:1"
    session.run("python", "scripts/compare.py", *arguments, "--systems", *systems)
    arguments = ["runs/compare.json", "--titles", "toy world", "--plot", "runs/compare.png"]
    session.run("python", "scripts/plot_comparison.py", *arguments)
    finish(session)


@nox.session
def recipes(session: nox.Session) -> None:
    """Run what docs/using.md shows, maps in JupyterLab, and the notebook of the lesson."""
    session.install("-e", ".[sklearn,maps,report]", "spacy", "model2vec>=0.4", "gensim>=4.3.3")
    # One version of PyTorch, since it is larger than all the others together.
    session.install("sentence-transformers>=6", "torch==2.13.0")
    session.install("nbconvert", "ipykernel", "matplotlib>=3.8")
    text = Path("docs/using.md").read_text(encoding="utf-8")
    names = "toy", "spacy", "model2vec", "wefe"
    commands = [block for name in names for block in blocks("docs/using.md", name)]
    session.run("bash", "-euc", "\n".join(commands), external=True)
    session.run("python", "-c", "\n".join(re.findall(r"```python\n(.*?)```", text, re.DOTALL)))
    notebook = ["docs/chain-rule.ipynb", "--output-dir", str(SCRATCH), "--to", "notebook"]
    session.run("jupyter", "nbconvert", "--execute", *notebook)
    session.install("jupyterlab", "selenium>=4.20", "pytest>=8.2", "hypothesis>=6.103")
    tests = ["tests/reporting/test_jupyterlab.py", "tests/reporting/test_projection.py"]
    session.run("pytest", *tests, "tests/vectors/formats/test_other_programs.py")
    finish(session)


@nox.session(venv_backend="none")
def benchmark(session: nox.Session) -> None:
    """Run the benchmark's short form; its figures mean little on a busy machine."""
    development_environment(session)
    script = ["scripts/benchmark.py", "--quick", "--json", "runs/benchmark.json"]
    session.run(str(VENV / "bin" / "python"), *script, external=True)


@nox.session
def oldest(session: nox.Session) -> None:
    """Run the tests on the oldest versions of dependencies that pyproject.toml allows."""
    constraints = SCRATCH / "oldest.txt"
    versions = session.run("python", "scripts/minimum_versions.py", silent=True)
    constraints.write_text(str(versions), encoding="utf-8")
    # Not `dev`, because nox itself needs newer versions of what embedder needs.
    session.install("-c", str(constraints), "-e", ".[test]")
    # Without the longest tests; those of experiments and of perplexity train on these versions too.
    session.run("pytest", "-m", "not slow", "--ignore=tests/training", "--ignore=tests/cli")
    finish(session)
