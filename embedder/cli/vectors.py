"""Commands that use or write vectors: neighbors, analogy, index, export, convert."""

from pathlib import Path
from typing import Any

import click

from embedder.cli.options import (
    COUNT,
    DTYPE,
    FORMATS,
    FROM,
    MODEL,
    POST,
    VECTORS,
    PathName,
    grouped,
    read_vectors,
)
from embedder.cli.program import main

_OVERWRITE = click.option("--overwrite", is_flag=True, help="Replace existing files.")


@main.command()
@MODEL
@click.argument("words", nargs=-1, required=True)
@VECTORS
@COUNT
@FROM
@click.option(
    "--index",
    type=PathName(),
    metavar="FILE",
    help="Search approximately, in an index written by `embedder index`.",
)
@click.option(
    "--in",
    "other",
    type=PathName(),
    metavar="OTHER",
    help="Search among the words of another run or file, in the same space (see `embedder align`).",
)
@click.option(
    "--csls", is_flag=True, help="With --in, rank by CSLS: words near to everything rank lower."
)
@grouped("search", "index", "other", "csls")
def neighbors(
    model: Path,
    words: tuple[str, ...],
    kind: Any,
    count: int,
    source_format: str | None,
    search: dict[str, Any],
) -> None:
    """Print the words nearest to each WORD, by cosine similarity.

    MODEL is a run or a file of vectors. If a run has replicates (see `embedder train --bootstrap`),
    each similarity has its 95 % interval, and the share of the replicates in which the word is as
    near.

    For example:

        embedder neighbors runs/quickstart king
        embedder neighbors vectors.bin king sea -n 5
        embedder neighbors english.bin king --in german-aligned.bin --csls
    """
    if "other" in search and "index" in search:
        raise click.UsageError("--in searches exactly; omit --index.")
    if search["csls"] and "other" not in search:
        raise click.UsageError("--csls compares two models; give the other one: --in OTHER.")
    if not ({"other", "index"} & set(search)) and _print_intervals(model, words, kind, count):
        return
    loaded = read_vectors(model, kind, (), source_format)
    if "other" in search:
        from embedder.vectors.alignment import neighbors_across

        others = read_vectors(search["other"], kind)
        found = neighbors_across(loaded, words, others, count, search["csls"])
    elif "index" in search:
        from embedder.vectors.index import ApproximateIndex

        found = ApproximateIndex.load(search["index"], loaded).neighbors_of(words, count)
    else:
        found = loaded.neighbors_of(words, count)
    for word, near in zip(words, found, strict=True):
        if len(words) > 1:
            click.echo(f"{word}:")
        _report_composed_words(loaded, [word])
        _print_neighbors(near)


def _print_intervals(model: Path, words: tuple[str, ...], kind: Any, count: int) -> bool:
    """Print neighbours with intervals, and return whether the model has what that takes.

    It takes replicates with these vectors, and words of the vocabulary.
    """
    from embedder.runs.replicate_folder import ReplicateFolder

    if not ReplicateFolder(model).replicates():
        return False
    from embedder.reporting import tables
    from embedder.vectors.replicates import Replicates

    replicates = Replicates(model)
    if kind not in (None, replicates.vectors_kind) or any(
        replicates.vectors.is_composed(word) for word in words
    ):
        return False
    for word, found in zip(words, replicates.neighbors_of(words, count), strict=True):
        if len(words) > 1:
            click.echo(f"{word}:")
        click.echo(tables.estimate_table(found, replicates, count))
    return True


@main.command("index")
@MODEL
@click.argument("out", type=PathName())
@VECTORS
@FROM
@_OVERWRITE
def build_index(
    model: Path, out: Path, kind: Any, source_format: str | None, overwrite: bool
) -> None:
    """Write an approximate index for fast neighbour search.

    MODEL is a run or a file of vectors; `embedder neighbors MODEL WORD --index OUT` searches the
    index. It pays off for vocabularies of a million words and more; for smaller ones, exact search
    takes a tenth of a second. Needs usearch: pip install 'exact-embedder[index]'.

    For example:

        embedder index runs/books books.usearch
    """
    from embedder.vectors.formats.targets import Target, reject_occupied
    from embedder.vectors.index import ApproximateIndex

    reject_occupied(Target(out, "usearch"), overwrite)  # before building takes time
    index = ApproximateIndex.build(read_vectors(model, kind, (), source_format))
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
@FROM
def analogy(
    model: Path, a: str, b: str, c: str, kind: Any, count: int, source_format: str | None
) -> None:
    """Complete the analogy "A is to B as C is to …".

    MODEL is a run or a file of vectors.

    For example:

        embedder analogy runs/quickstart go went come
    """
    loaded = read_vectors(model, kind, (), source_format)
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
    type=click.Choice(FORMATS),
    metavar="FORMAT",
    help=f"One of {', '.join(FORMATS)}. By default, the ending of OUT decides: .txt, .vec or "
    "none (word2vec), .bin, .npy, .safetensors, .fifu, .tsv, .glove, .ftbin. Files whose names "
    "also end in .gz, .bz2, .xz or .zst are compressed.",
)
_UNWRITABLE = click.option(
    "--unwritable",
    type=click.Choice(["skip", "replace"]),
    help="Leave out words that the format cannot store, or write _ for what it cannot; "
    "by default, they are an error.",
)

_SUBWORDS = click.option(
    "--subwords",
    is_flag=True,
    help="Fit vectors of character n-grams to those of the words, so that unknown words have "
    "vectors too. Needs --format fasttext.",
)


@main.command()
@MODEL
@click.argument("out", type=PathName())
@_FORMAT
@VECTORS
@POST
@_SUBWORDS
@DTYPE
@_UNWRITABLE
@_OVERWRITE
@FROM
@grouped("source", "kind", "post", "source_format", "subwords")
@grouped("how", "file_format", "dtype", "unwritable", "overwrite")
def export(model: Path, out: Path, source: dict[str, Any], how: dict[str, Any]) -> None:
    """Write the vectors of a run for other programs.

    MODEL is a run (or a file of vectors); OUT is a file, - for standard output, or a folder for
    static-embedding.

    For example:

        embedder export runs/quickstart vectors.txt
        embedder export runs/quickstart vectors.safetensors --post normalise --dtype int8
        embedder export runs/quickstart vectors.bin --format fasttext --subwords
    """
    _export(model, out, source, how)


@main.command()
@click.argument("model", metavar="IN", type=PathName())
@click.argument("out", type=PathName())
@_FORMAT
@POST
@_SUBWORDS
@DTYPE
@_UNWRITABLE
@_OVERWRITE
@FROM
@grouped("source", "post", "source_format", "subwords")
@grouped("how", "file_format", "dtype", "unwritable", "overwrite")
def convert(model: Path, out: Path, source: dict[str, Any], how: dict[str, Any]) -> None:
    """Convert a file of vectors from any format to any other.

    The format of IN is detected: word2vec text or binary, GloVe, fastText .vec or .bin, .npy,
    safetensors, finalfusion, the embedding projector's .tsv, or a model2vec or
    sentence-transformers folder. IN may be compressed, or a pipe; - is standard input as IN, and
    standard output as OUT.

    For example:

        embedder convert glove.6B.100d.txt glove.bin
        embedder convert cc.en.300.bin.gz vectors.safetensors --dtype float16
    """
    _export(model, out, source, how)


@main.command()
@click.argument("first", metavar="A", type=PathName())
@click.argument("second", metavar="B", type=PathName())
@click.option(
    "--output",
    "-o",
    type=PathName(),
    metavar="FILE",
    help="The vectors of B, turned.",
)
@click.option(
    "--dictionary",
    type=PathName(),
    metavar="FILE",
    help="Lines 'word word', of A and of B; by default, the words that both share.",
)
@_FORMAT
@VECTORS
@_UNWRITABLE
@_OVERWRITE
@grouped("how", "file_format", "unwritable", "overwrite")
def align(
    first: Path,
    second: Path,
    output: Path | None,
    dictionary: Path | None,
    kind: Any,
    how: dict[str, Any],
) -> None:
    """Turn the vectors of B into the space of A: models trained apart, or of two languages.

    A and B are runs or files of vectors. B is turned by the rotation that brings the words of the
    pairs closest to each other; distances within B stay as they are. The report says what is left
    of the pairs' distance, also for pairs that take no part in finding the rotation.

    For example:

        embedder align runs/1900s runs/1950s --output 1950s-aligned.bin
        embedder align en.bin de.bin --dictionary en-de.txt --output de-aligned.bin
        embedder neighbors en.bin house --in de-aligned.bin --csls
    """
    from embedder.storage import is_stream
    from embedder.vectors import alignment
    from embedder.vectors.formats import check_target, save

    if output is None:
        raise click.UsageError("give the file for the turned vectors, such as --output B2.bin.")
    check_target(output, how.get("file_format"), "float32", how["overwrite"])
    one, other = read_vectors(first, kind), read_vectors(second, kind)
    turned, found = alignment.align(one, other, dictionary)
    saved = save(turned, output, progress=True, **how)
    for remark in saved.remarks:
        click.echo(f"{output}: {remark}.", err=True)
    aside = is_stream(output)
    click.echo(f"Wrote {saved.words:,} vectors to {output}.", err=aside)
    left_out = ""
    if found.held_out is not None and found.nearest is not None:
        left_out = (
            f"; {found.held_out:.3f} for pairs left out of the fit, of which {found.nearest:.1%} "
            "have their partner nearest"
        )
    click.echo(
        f"Mean cosine distance of {found.pairs:,} pairs: {found.before:.3f} before, "
        f"{found.after:.3f} after{left_out}.",
        err=aside,
    )
    if found.unknown:
        click.echo(f"Pairs of {dictionary} with an unknown word: {found.unknown:,}.", err=True)
    dimension = turned.matrix.shape[1]
    if found.pairs < dimension:
        click.echo(
            f"{found.pairs} pairs do not determine a rotation of {dimension} dimensions; give "
            "more pairs.",
            err=True,
        )


def _export(model: Path, out: Path, source: dict[str, Any], how: dict[str, Any]) -> None:
    from embedder.storage import is_stream
    from embedder.vectors.formats import check_target, require_subwords, save
    from embedder.vectors.rounding import rounded, rounding_loss

    dtype, subwords = how["dtype"], source.pop("subwords")
    check_target(out, how.get("file_format"), dtype, how["overwrite"])  # before reading takes time
    if subwords:
        require_subwords(out, how.get("file_format"))
    vectors = read_vectors(model, **source)
    if subwords and vectors.subwords is not None:
        raise click.UsageError(f"{model} has vectors of n-grams already; omit --subwords.")
    if subwords:
        vectors = vectors.with_subwords()
    saved = save(vectors, out, progress=True, **how)
    for remark in saved.remarks:
        click.echo(f"{out}: {remark}.", err=True)
    aside = is_stream(out)  # standard output may be the file
    dimension = vectors.matrix.shape[1]
    click.echo(f"Wrote {saved.words:,} vectors of {dimension} dimensions to {out}.", err=aside)
    if dtype != "float32":
        loss = rounding_loss(vectors, rounded(vectors, dtype))
        click.echo(
            f"As {dtype}, the mean cosine of a vector with the original is {loss.cosine:.6f}, and "
            f"{loss.neighbors:.1%} of the words' ten nearest neighbours are the same; "
            f"eval --dtype {dtype} measures the effect.",
            err=aside,
        )
