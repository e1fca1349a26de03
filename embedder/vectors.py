"""Trained word vectors: look up, neighbours, analogies, and files for other tools."""

from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import BinaryIO, Literal, NamedTuple, cast, get_args

import numpy as np

from embedder.arrays import Array
from embedder.checkpoint import load_model
from embedder.config import VectorKind
from embedder.errors import RunError, VocabularyError
from embedder.network import normalised, word_vectors
from embedder.storage import write_atomically
from embedder.vocabulary import Vocabulary

ExportFormat = Literal["word2vec", "word2vec-binary", "glove", "npy"]
_ROWS_A_WRITE = 4096


class Neighbor(NamedTuple):
    """A word and its cosine similarity to what was asked for."""

    word: str
    similarity: float


class WordVectors:
    """A vector for every word of a vocabulary.

    Parameters
    ----------
    vocabulary
        The words, most frequent first.
    matrix : (V, D) float32
        Their vectors; made read-only.
    repairs
        What was wrong with the file that they come from, and what was done about it.

    Examples
    --------
    >>> import numpy as np
    >>> from embedder.vocabulary import Vocabulary
    >>> words = Vocabulary(["king", "queen", "apple"], np.array([9, 5, 2]))
    >>> vectors = WordVectors(words, np.array([[1, 1], [1, 0.9], [0, -1]], np.float32))
    >>> len(vectors), "king" in vectors, "kin" in vectors
    (3, True, False)
    >>> vectors["queen"]
    array([1. , 0.9], dtype=float32)
    >>> round(vectors.similarity("king", "queen"), 3)
    0.999
    >>> [near.word for near in vectors.neighbors("king", 2)]
    ['queen', 'apple']
    """

    def __init__(
        self, vocabulary: Vocabulary, matrix: Array, repairs: tuple[str, ...] = ()
    ) -> None:
        self.vocabulary = vocabulary
        self.matrix = matrix.view()
        self.matrix.flags.writeable = False
        self.repairs = repairs

    def __len__(self) -> int:
        return len(self.vocabulary)

    def __contains__(self, word: object) -> bool:
        return word in self.vocabulary.ids

    def __getitem__(self, word: str) -> Array:
        """Return a word's vector, (D,) float32, read-only.

        Raises
        ------
        VocabularyError
            For an unknown word, with near spellings.
        """
        return np.asarray(self.matrix[self.vocabulary.id_of(word)])

    def similarity(self, a: str, b: str) -> float:
        """Return the cosine of two words' vectors.

        Raises
        ------
        VocabularyError
            For an unknown word.
        """
        i, j = (self.vocabulary.id_of(word) for word in (a, b))
        return float(self.unit_matrix[i] @ self.unit_matrix[j])

    @cached_property
    def unit_matrix(self) -> Array:
        """The vectors scaled to length 1, (V, D) float32."""
        return normalised(self.matrix)

    def neighbors(self, word: str, count: int = 10) -> list[Neighbor]:
        """Return the words whose vectors have the largest cosine with a word's.

        Raises
        ------
        VocabularyError
            For an unknown word.
        """
        i = self.vocabulary.id_of(word)
        return self._nearest(self.unit_matrix[i], {i}, count)

    def analogy(self, a: str, b: str, c: str, count: int = 10) -> list[Neighbor]:
        """Return the words that complete "a is to b as c is to …", by 3CosAdd.

        Raises
        ------
        VocabularyError
            For an unknown word.
        """
        ids = [self.vocabulary.id_of(word) for word in (a, b, c)]
        va, vb, vc = self.unit_matrix[ids]
        return self._nearest(vb - va + vc, set(ids), count)

    def _nearest(self, query: Array, excluded: set[int], count: int) -> list[Neighbor]:
        length = np.linalg.norm(query)
        similarities = self.unit_matrix @ (query / (length if length > 0 else 1))
        similarities[list(excluded)] = -np.inf
        count = min(count, len(similarities) - len(excluded))
        best = np.argsort(-similarities, kind="stable")[:count]
        return [Neighbor(self.vocabulary.words[i], float(similarities[i])) for i in best]

    def save(self, path: Path, file_format: ExportFormat) -> None:
        """Write the vectors for other tools.

        ``word2vec``: a line "V D", then a word and its numbers a line. ``glove``: the same without
        the first line. ``word2vec-binary``: the first line, then each word, a space and D
        little-endian float32. ``npy``: a NumPy matrix, and the words, one a line, in NAME.vocab.txt
        beside it. All hold every float32 exactly.

        Raises
        ------
        VocabularyError
            For a word with a space, which these formats cannot hold.
        RunError
            If the file cannot be written.
        """
        for word in self.vocabulary.words:
            if not word or any(character.isspace() for character in word):
                raise VocabularyError(
                    f"{word!r} holds white space, which the {file_format} format cannot; "
                    "retrain with corpus.tokenizer: words."
                )
        if file_format == "npy":
            words = "".join(f"{word}\n" for word in self.vocabulary.words)
            write_atomically(path.with_suffix(".vocab.txt"), words.encode())
            write_atomically(path, self._write_npy)
            return
        writer = _binary_rows if file_format == "word2vec-binary" else _text_rows
        header = b"" if file_format == "glove" else b"%d %d\n" % self.matrix.shape
        write_atomically(path, _file_writer(header, writer(self)))

    def _write_npy(self, path: Path) -> None:
        with path.open("wb") as file:  # by the file: the name of a path would get .npy added
            np.save(file, np.ascontiguousarray(self.matrix, "<f4"), allow_pickle=False)


def export_format(path: Path) -> ExportFormat:
    """Return the format that a file's name suggests: .bin, .npy, and word2vec's text otherwise."""
    named: dict[str, ExportFormat] = {".bin": "word2vec-binary", ".npy": "npy"}
    return named.get(path.suffix, "word2vec")


def _file_writer(header: bytes, rows: Iterator[bytes]) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        with path.open("wb") as file:
            file.write(header)
            _write_all(file, rows)

    return write


def _write_all(file: BinaryIO, rows: Iterable[bytes]) -> None:
    for row in rows:
        file.write(row)


def _binary_rows(vectors: WordVectors) -> Iterator[bytes]:
    matrix = vectors.matrix.astype("<f4", copy=False)
    for word, vector in zip(vectors.vocabulary.words, matrix, strict=True):
        yield word.encode() + b" " + vector.tobytes() + b"\n"


def _text_rows(vectors: WordVectors) -> Iterator[bytes]:
    for start in range(0, len(vectors.matrix), _ROWS_A_WRITE):
        rows = vectors.matrix[start : start + _ROWS_A_WRITE]
        # The shortest decimal that reads back as the same float32.
        texts = rows.astype(np.float32).astype(str)
        words = vectors.vocabulary.words[start : start + _ROWS_A_WRITE]
        yield "".join(
            f"{word} {' '.join(row)}\n" for word, row in zip(words, texts, strict=True)
        ).encode()


def load_vectors(run: Path, kind: VectorKind | None = None) -> WordVectors:
    """Read the vectors of a trained run.

    Parameters
    ----------
    run
        The run folder.
    kind
        Which vectors; by default those that the run names.

    Raises
    ------
    RunError
        If the run is missing, unfinished or damaged, or has no such vectors.
    """
    model = load_model(run)
    named = model.metadata.get("vectors", "hidden")
    if kind is None:
        kind = cast(VectorKind, named if named in get_args(VectorKind) else "hidden")
    network = model.config.network
    if network.input == "concat" and kind in ("hidden", "sum"):
        raise RunError(
            f"{run}: has no {kind} vectors, since its hidden layer sees several words at once; "
            "expected --vectors input or output."
        )
    parameters = model.parameters
    if model.config.loss.name == "class-softmax":  # what is beyond the words are classes
        parameters = parameters._replace(W2=parameters.W2[: len(parameters.E)])
    matrix = word_vectors(parameters, network.activation, kind)
    return WordVectors(model.vocabulary, matrix)
