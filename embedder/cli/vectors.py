"""Commands that use or write vectors: neighbors, analogy, index, export, convert."""

from pathlib import Path
from typing import Any

import click

from embedder.cli.options import COUNT, DTYPE, MODEL, POST, VECTORS, read_vectors
from embedder.cli.program import main


@main.command()
@MODEL
@click.argument("words", nargs=-1, required=True)
@VECTORS
@COUNT
@click.option(
    "--index",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Search approximately, in an index written by `embedder index`.",
)
def neighbors(
    model: Path, words: tuple[str, ...], kind: Any, count: int, index: Path | None
) -> None:
    """Print the words nearest to each WORD, by cosine similarity.

    MODEL is a run or a file of vectors.

    For example:

        embedder neighbors runs/quickstart king
        embedder neighbors vectors.bin king sea -n 5
    """
    loaded = read_vectors(model, kind)
    searched = loaded
    if index is not None:
        from embedder.vectors.index import ApproximateIndex

        searched = ApproximateIndex.load(index, loaded)
    found = searched.neighbors_of(words, count)
    for word, near in zip(words, found, strict=True):
        if len(words) > 1:
            click.echo(f"{word}:")
        _report_composed_words(loaded, [word])
        _print_neighbors(near)


@main.command("index")
@MODEL
@click.argument("out", type=click.Path(path_type=Path))
@VECTORS
def build_index(model: Path, out: Path, kind: Any) -> None:
    """Write an approximate index for fast neighbour search.

    MODEL is a run or a file of vectors; `embedder neighbors MODEL WORD --index OUT` searches the
    index. It pays off for vocabularies of a million words and more; for smaller ones, exact search
    takes a tenth of a second. Needs usearch: pip install 'exact-embedder[index]'.

    For example:

        embedder index runs/books books.usearch
    """
    from embedder.vectors.index import ApproximateIndex

    index = ApproximateIndex.build(read_vectors(model, kind))
    index.save(out)
    click.echo(
        f"Wrote {out}; it finds {index.recall():.1%} of the ten nearest neighbours of 200 words."
    )


@main.command()
@MODEL
@click.argument("a")
@click.argument("b")
@click.argument("c")
@VECTORS
@COUNT
def analogy(model: Path, a: str, b: str, c: str, kind: Any, count: int) -> None:
    """Complete the analogy "A is to B as C is to …".

    MODEL is a run or a file of vectors.

    For example:

        embedder analogy runs/quickstart go went come
    """
    loaded = read_vectors(model, kind)
    _report_composed_words(loaded, [a, b, c])
    _print_neighbors(loaded.analogy(a, b, c, count))


def _report_composed_words(vectors: Any, words: list[str]) -> None:
    for word in words:
        if vectors.is_composed(word):
            near = f" ('{word.lower()}' is known.)" if word.lower() in vectors else ""
            click.echo(f"'{word}' is unknown; its vector is composed of its parts.{near}", err=True)


def _print_neighbors(found: list[Any]) -> None:
    for neighbor in found:
        click.echo(f"{neighbor.similarity:7.4f}  {neighbor.word}")


_FORMATS = [
    "word2vec",
    "word2vec-binary",
    "glove",
    "npy",
    "fasttext",
    "safetensors",
    "finalfusion",
    "projector",
    "static-embedding",
]
_FORMAT = click.option(
    "--format",
    "file_format",
    type=click.Choice(_FORMATS),
    metavar="FORMAT",
    help=f"One of {', '.join(_FORMATS)}. By default, the suffix of OUT decides: "
    ".bin, .npy, .safetensors, .fifu, .tsv, .glove, .ftbin; otherwise word2vec text.",
)


@main.command()
@MODEL
@click.argument("out", type=click.Path(path_type=Path))
@_FORMAT
@VECTORS
@POST
@DTYPE
def export(
    model: Path, out: Path, file_format: Any, kind: Any, post: tuple[str, ...], dtype: str
) -> None:
    """Write the vectors of a run for other programs.

    MODEL is a run (or a file of vectors); OUT is a file, - for standard output, or a folder for
    static-embedding.

    For example:

        embedder export runs/quickstart vectors.txt
        embedder export runs/quickstart vectors.safetensors --post normalise --dtype int8
    """
    _export(read_vectors(model, kind, post), out, file_format, dtype)


@main.command()
@click.argument("source", metavar="IN", type=click.Path(path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
@_FORMAT
@POST
@DTYPE
def convert(source: Path, out: Path, file_format: Any, post: tuple[str, ...], dtype: str) -> None:
    """Convert a file of vectors from any format to any other.

    The format of IN is detected: word2vec text or binary, GloVe, fastText .vec or .bin, .npy,
    safetensors, finalfusion, the embedding projector's .tsv, or a model2vec or
    sentence-transformers folder. OUT may be - for standard output.

    For example:

        embedder convert glove.6B.100d.txt glove.bin
        embedder convert cc.en.300.bin vectors.safetensors --dtype float16
    """
    _export(read_vectors(source, None, post), out, file_format, dtype)


def _export(vectors: Any, out: Path, file_format: Any, dtype: str) -> None:
    from embedder.storage import is_stream
    from embedder.vectors.formats import save
    from embedder.vectors.rounding import rounded, rounding_loss

    save(vectors, out, file_format, progress=True, dtype=dtype)
    words, dimension = vectors.matrix.shape
    aside = is_stream(out)  # standard output may be the file
    click.echo(f"Wrote {words:,} vectors of {dimension} dimensions to {out}.", err=aside)
    if dtype != "float32":
        loss = rounding_loss(vectors, rounded(vectors, dtype))
        click.echo(
            f"As {dtype}, the mean cosine of a vector with the original is {loss.cosine:.6f}, and "
            f"{loss.neighbors:.1%} of the words' ten nearest neighbours are the same; "
            f"eval --dtype {dtype} measures the effect.",
            err=aside,
        )
