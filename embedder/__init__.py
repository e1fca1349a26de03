"""Word embeddings from text through a neural network with an exact softmax, on ordinary CPUs.

import embedder

vectors = embedder.train("my.txt", dimension=200)     # or texts, lists of tokens, columns, …
vectors = embedder.load("runs/quickstart")      # or a file of another program
vectors["king"], vectors.neighbors("king"), vectors.analogy("man", "king", "woman")
embedder.save(vectors, "vectors.bin")
vectors = embedder.update("runs/quickstart", "more.txt")        # words that new text brings
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from embedder.errors import EmbedderError, python_errors
from embedder.version import __version__

if TYPE_CHECKING:
    from embedder.config_sections.network import VectorKind
    from embedder.vectors.word_vectors import Unwritable, WordVectors

__all__ = [
    "EmbedderError",
    "WordVectors",
    "__version__",
    "align",
    "evaluate",
    "load",
    "save",
    "train",
    "update",
]


@python_errors()
def load(
    path: str | Path, kind: "VectorKind | None" = None, file_format: str | None = None
) -> "WordVectors":
    """Read word vectors from a run's folder, or from a file of another program.

    Parameters
    ----------
    path
        The folder or file, which may be compressed or a pipe.
    kind
        Which vectors of a run: input, hidden, output or sum; by default those that its
        configuration names.
    file_format
        One of the formats of `embedder export`; by default, what the file contains decides.

    Raises
    ------
    EmbedderError
        If it is missing, damaged or in no known format.
    """
    from embedder.vectors.formats import load as load_any

    return load_any(path, kind, file_format=file_format)


@python_errors()
def save(
    vectors: "WordVectors",
    path: str | Path,
    file_format: str | None = None,
    unwritable: "Unwritable | None" = None,
) -> None:
    """Write word vectors for other programs.

    Parameters
    ----------
    vectors
        What to write.
    path
        The file, or for static-embedding the folder. An existing one is replaced, but never a file
        of a run. A name that ends in .gz, .bz2, .xz or .zst is compressed.
    file_format
        One of the formats of `embedder export`; by default the ending of the name decides.
    unwritable
        What becomes of words that the format cannot store: ``"skip"`` leaves them out,
        ``"replace"`` puts ``_`` for what it cannot store; by default, they are an error.

    Raises
    ------
    EmbedderError
        If the format is unknown, a word cannot be written in it, or the file cannot be written.
    """
    from embedder.vectors.formats import save as save_any

    save_any(vectors, path, file_format, unwritable=unwritable)


def train(
    source: Any,
    /,
    overrides: Sequence[str] = (),
    *,
    output: str | Path | None = None,
    overwrite: bool = False,
    resume: bool = False,
    progress: bool = True,
    **settings: Any,
) -> "WordVectors":
    """Train word vectors on text, and return them.

    Parameters
    ----------
    source
        Where the text is: a path, URL or glob, or a list of paths; an iterable of texts, or of
        lists of tokens (integers, or strings, which may contain spaces), which is read once; a
        column of pandas, polars, Arrow or Hugging Face datasets, or a table of these with
        ``text_field`` (also a LazyFrame, a streamed dataset or an Arrow dataset: no other column is
        read); or a configuration: a YAML file, or a dictionary of its sections.
    overrides
        Keys of the configuration, such as ``["training.passes=5"]``.
    output
        The folder in which to keep the run. By default, the one that a configuration names; without
        one, nothing stays on disk.
    overwrite
        Replace a run that is already in the folder.
    resume
        Resume an interrupted run in the folder, with its own settings and the same source.
    progress
        Show progress bars, in terminals and notebooks.
    **settings
        Keys of the configuration by their last parts: ``dimension``, ``passes``, ``window``,
        ``min_count``, ``max_words``, ``subsample``, ``threads``, ``seed``, …; ``subwords=True`` and
        ``phrases=True``; or whole sections, such as ``validation={"fraction": 0.02}``.

    Raises
    ------
    EmbedderError
        For anything that a user can fix.

    Examples
    --------
    >>> sentences = [["the", "cat", "sat"], ["the", "dog", "sat"]] * 50
    >>> vectors = train(sentences, dimension=8, progress=False)
    >>> sorted(vectors.words)
    ['cat', 'dog', 'sat', 'the']
    """
    from embedder.training.from_python import Wanted, trained_run
    from embedder.vectors.from_run import load_vectors

    wanted = Wanted(Path(output) if output else None, overwrite, resume, progress)
    with trained_run(source, overrides, settings, wanted) as (run, remains):
        vectors = load_vectors(run)
        if not remains and vectors.predictor is not None:
            vectors.predictor.load()  # while the run is there
        return vectors


@python_errors()
def align(
    first: "WordVectors", second: "WordVectors", *, dictionary: str | Path | None = None
) -> "WordVectors":
    """Return the second model's vectors, turned into the space of the first.

    Parameters
    ----------
    first, second
        With vectors of one length, trained apart or on two languages.
    dictionary
        A file of lines 'word word', the first word from `first`; by default, the words that both
        share. `embedder.vectors.alignment.align` also says how well they fit.

    Raises
    ------
    EmbedderError
        If the vectors differ in length, or too few pairs of words are known.
    """
    from embedder.vectors.alignment import align as align_vectors

    return align_vectors(first, second, None if dictionary is None else Path(dictionary))[0]


def update(
    run: str | Path,
    source: Any,
    /,
    *,
    output: str | Path | None = None,
    min_count: int | None = None,
    refine: bool = False,
    overwrite: bool = False,
    progress: bool = True,
) -> "WordVectors":
    """Add the words of more text to a trained run, and return the vectors of all words.

    New words get vectors in the space of the old ones (`embedder.training.update` says how), or a
    `CorpusWarning` if they have no known word beside them.

    Parameters
    ----------
    run
        The folder of a run that was trained on counts; it is not changed.
    source
        Where the text is: paths, texts, lists of tokens or a column, as for `train`. It is split
        into words as the run's own text was.
    output
        The folder in which to keep the new run; without one, nothing stays on disk.
    min_count
        Ignore new words that occur fewer times in this text; by default as in the run.
    refine
        Also move known words, which otherwise stay to the bit, by what this text says of them.
    overwrite
        Replace a run that is already in the folder.
    progress
        Show progress bars, in terminals and notebooks.

    Raises
    ------
    EmbedderError
        For anything that a user can fix.

    Examples
    --------
    >>> sentences = [["the", "cat", "sat"], ["the", "dog", "sat"]] * 50
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as run:
    ...     old = train(sentences, dimension=8, output=run, progress=False)
    ...     new = update(run, [["the", "hen", "sat"]] * 9, progress=False)
    >>> "hen" in old, "hen" in new, bool((old["cat"] == new["cat"]).all())
    (False, True, True)
    """
    from embedder.training.from_python import Wanted, updated_run
    from embedder.training.update import UpdateOptions
    from embedder.vectors.from_run import load_vectors

    wanted = Wanted(Path(output) if output else None, overwrite, False, progress)
    options = UpdateOptions(Path(), [], min_count, refine)
    with updated_run(Path(run), source, wanted, options) as folder:
        vectors = load_vectors(folder)
        if output is None and vectors.predictor is not None:
            vectors.predictor.load()  # while the run is there
        return vectors


def evaluate(
    vectors: "WordVectors",
    *,
    analogies: str | Path | Sequence[str | Path] = (),
    similarity: str | Path | Sequence[str | Path] = (),
    restrict_vocab: int | None = None,
) -> dict[str, Any]:
    """Evaluate word vectors on analogies and on pairs of words with human scores.

    Parameters
    ----------
    vectors
        What to evaluate.
    analogies
        Files of questions, in the format of Google, MSR or BATS.
    similarity
        Files of lines 'word word score'.
    restrict_vocab
        Use only this many of the most frequent words.

    Returns
    -------
    dict
        As `embedder eval --json` writes it: accuracies and correlations, with numbers of questions.

    Raises
    ------
    EmbedderError
        If a file cannot be read.
    """
    return vectors.evaluate(
        analogies=analogies, similarity=similarity, restrict_vocab=restrict_vocab
    )


def __getattr__(name: str) -> Any:
    # Imported late: the command line shows its help without NumPy.
    if name == "WordVectors":
        from embedder.vectors.word_vectors import WordVectors

        return WordVectors
    raise AttributeError(f"module 'embedder' has no attribute {name!r}")
