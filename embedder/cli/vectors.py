"""Commands that use vectors or write them: neighbors, analogy, index, export, convert."""

from pathlib import Path
from typing import Any

import click

from embedder.cli.options import COUNT, DTYPE, POST, RUN, VECTORS, FileLists, read_vectors
from embedder.cli.program import main


@main.command()
@RUN
@click.argument("words", nargs=-1, required=True)
@VECTORS
@COUNT
@click.option(
    "--index",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Look there, approximately: a file that `embedder index` wrote.",
)
def neighbors(
    run: Path, words: tuple[str, ...], vectors: Any, count: int, index: Path | None
) -> None:
    """Print the words nearest to each WORD, by cosine."""
    loaded = read_vectors(run, vectors)
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
@RUN
@click.argument("out", type=click.Path(path_type=Path))
@VECTORS
def build_index(run: Path, out: Path, vectors: Any) -> None:
    """Write an approximate index of RUN's vectors to OUT, for `neighbors --index OUT`.

    Needs usearch: pip install 'embedder[index]'. Worth it for vocabularies of a million words and
    more; below, exact search answers in a tenth of a second.
    """
    from embedder.vectors.index import ApproximateIndex

    index = ApproximateIndex.build(read_vectors(run, vectors))
    index.save(out)
    click.echo(f"Wrote {out}; it finds {index.recall():.1%} of the ten nearest of 200 words.")


@main.command()
@RUN
@click.argument("a")
@click.argument("b")
@click.argument("c")
@VECTORS
@COUNT
def analogy(run: Path, a: str, b: str, c: str, vectors: Any, count: int) -> None:
    """Complete "A is to B as C is to …"."""
    loaded = read_vectors(run, vectors)
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


_FORMAT = click.option(
    "--format",
    "file_format",
    type=click.Choice(
        [
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
    ),
    help="By default as OUT's name says: .bin, .npy, .safetensors, .fifu, .tsv, .glove, .ftbin; "
    "word2vec's text otherwise.",
)


@main.command(cls=FileLists)
@RUN
@click.argument("out", type=click.Path(path_type=Path))
@_FORMAT
@VECTORS
@POST
@DTYPE
def export(
    run: Path, out: Path, file_format: Any, vectors: Any, post: tuple[str, ...], dtype: str
) -> None:
    """Write RUN's vectors to the file (static-embedding: folder) OUT for other tools."""
    _export(run, out, file_format, vectors, post, dtype)


@main.command(cls=FileLists)
@click.argument("source", metavar="IN", type=click.Path(path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
@_FORMAT
@POST
@DTYPE
def convert(source: Path, out: Path, file_format: Any, post: tuple[str, ...], dtype: str) -> None:
    """Write the vectors of the file or run IN to OUT in another format.

    What IN is, is found out: word2vec's text or binary, GloVe, fastText's .vec or .bin, .npy,
    safetensors, finalfusion, the embedding projector's .tsv, or a folder of model2vec or
    sentence-transformers.
    """
    _export(source, out, file_format, None, post, dtype)


def _export(
    source: Path, out: Path, file_format: Any, vectors: Any, post: tuple[str, ...], dtype: str
) -> None:
    from embedder.vectors.formats import save
    from embedder.vectors.rounding import rounded, rounding_loss

    loaded = read_vectors(source, vectors, post)
    save(loaded, out, file_format, progress=True, dtype=dtype)
    words, dimension = loaded.matrix.shape
    click.echo(f"Wrote {words:,} vectors of {dimension} dimensions to {out}.")
    if dtype != "float32":
        loss = rounding_loss(loaded, rounded(loaded, dtype))
        click.echo(
            f"As {dtype}, the mean cosine of a vector with what it was is {loss.cosine:.6f}, and "
            f"{loss.neighbors:.1%} of words' ten nearest are the same; eval --dtype {dtype} shows "
            "what that costs."
        )
