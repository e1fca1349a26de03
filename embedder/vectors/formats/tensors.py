"""safetensors: the tensor `embeddings` (V, D) and the words.

The tensor `words` has the bytes of the words in UTF-8, with a newline after each; a file without it
has them in NAME.vocab.txt. `embeddings` may be float32, float16 or int8; int8 requires a tensor
`scales` (D,) with the factors of its columns.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from embedder.arrays import Array
from embedder.errors import FormatError
from embedder.storage import save_tensors
from embedder.vectors.formats.npy import read_words_file
from embedder.vectors.formats.opening import InputFile
from embedder.vectors.formats.rows import gather
from embedder.vectors.word_vectors import WordVectors

_MATRICES = ("embeddings", "embedding.weight", "vectors", "weight")
_KIND = "embedder-vectors-1"


class TensorFile:
    """A safetensors file, whose float32 tensors are memory-mapped.

    Parameters
    ----------
    path
        The file.
    name
        What errors call it; by default `path`.

    Raises
    ------
    FormatError
        If the file is of another format, or damaged.
    """

    def __init__(self, path: Path, name: Path | None = None) -> None:
        from safetensors import SafetensorError, safe_open

        self._content, self._path = path, name or path
        try:
            with safe_open(path, "np") as file:  # validates the header
                self.names = tuple(file.keys())
        except SafetensorError as error:
            raise FormatError(
                f"{self._path}: not a safetensors file, or damaged ({error})."
            ) from None
        with path.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            self._header: dict[str, Any] = json.loads(stream.read(length))
        self._start = 8 + length

    def read_first(self, names: Sequence[str]) -> Array:
        """Return the first of several tensors that the file has.

        Raises
        ------
        FormatError
            If the file has none of them.
        """
        name = next((name for name in names if name in self.names), None)
        if name is None:
            raise FormatError(
                f"{self._path}: no tensor '{names[0]}' among {', '.join(self.names)}."
            )
        return self.read(name)

    def read(self, name: str) -> Array:
        """Return a tensor: mapped if it is float32 and aligned, otherwise read into memory."""
        from safetensors import SafetensorError, safe_open

        entry = self._header[name]
        offset = self._start + entry["data_offsets"][0]
        if entry["dtype"] == "F32" and offset % 4 == 0 and 0 not in entry["shape"]:
            return np.memmap(self._content, "<f4", "r", offset, tuple(entry["shape"]))
        try:
            with safe_open(self._content, "np") as file:
                tensor: Array = file.get_tensor(name)
        except (SafetensorError, TypeError, AttributeError) as error:  # such as bfloat16
            raise FormatError(f"{self._path}: tensor {name}: {error}.") from None
        return tensor


def read(source: InputFile, progress: bool = False) -> WordVectors:
    """Read vectors and words; float32 is mapped from the file, not copied.

    Raises
    ------
    FormatError
        If the file is damaged or lacks the expected tensors.
    """
    path = source.path
    file = TensorFile(source.plain, path)
    matrix = file.read_first(_MATRICES)
    scales = None
    if matrix.dtype == np.int8:
        scales = file.read("scales") if "scales" in file.names else np.zeros(0, np.float32)
        if matrix.ndim != 2 or scales.shape != matrix.shape[1:] or scales.dtype != np.float32:
            raise FormatError(
                f"{path}: int8 vectors require a float32 tensor 'scales' of D numbers."
            )
    if "words" in file.names:
        raw = file.read("words").astype(np.uint8, copy=False).tobytes()
        try:
            words = raw.decode("utf-8").split("\n")[:-1]
        except UnicodeDecodeError as error:
            raise FormatError(f"{path}: byte {error.start:,} of 'words' is not UTF-8.") from None
    else:
        words = read_words_file(source.beside(".vocab.txt"), path)
    return gather(path, words, matrix, progress, scales)


def write(vectors: WordVectors, path: Path, progress: bool = False, dtype: str = "float32") -> None:
    """Write vectors and words; int8 also writes a scale for each dimension."""
    text = "".join(f"{word}\n" for word in vectors.vocabulary.words).encode()
    tensors = {"words": np.frombuffer(text, np.uint8)}
    if dtype == "int8":
        from embedder.vectors.rounding import int8_codes

        tensors["embeddings"], tensors["scales"] = int8_codes(vectors.matrix)
    else:
        tensors["embeddings"] = np.ascontiguousarray(vectors.matrix, dtype)
    save_tensors(path, tensors, {"format": _KIND})
