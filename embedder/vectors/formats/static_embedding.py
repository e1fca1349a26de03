"""A folder that model2vec and sentence-transformers load as a StaticEmbedding.

    model.safetensors   `embeddings` (V, D), one row per token
    tokenizer.json      a Hugging Face tokenizer; written files split text into whole words
    config.json         model2vec's settings
    modules.json        for sentence-transformers

A whole-word tokenizer requires a token for unknown words. Written files have it after the words,
with a row of zeros, which is dropped again when reading.
"""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np

from embedder.arrays import Array
from embedder.errors import FormatError, RunError
from embedder.storage import save_tensors, write_atomically
from embedder.text.corpus import INNER_CHARACTERS
from embedder.text.normalisation import INVISIBLES
from embedder.vectors.formats.rows import gather
from embedder.vectors.formats.tensors import TensorFile
from embedder.vectors.word_vectors import WordVectors

_UNKNOWN = "[UNK]"
_WORD = rf"\w+(?:[{INVISIBLES}]*[{INNER_CHARACTERS}]?[{INVISIBLES}]*\w+)*"
"""Words as in corpus.tokenizer `words`, but with `_`, which joins phrases."""
_SIGN = r"[^\w\s]"
_SUBFOLDERS = ("", "0_StaticEmbedding")
FILES = ("model.safetensors", "tokenizer.json", "config.json", "modules.json")
"""What `write` writes."""


def is_static_embedding(folder: Path) -> bool:
    """Return whether a folder has the files of a static embedding."""
    return _model_folder(folder) is not None


def _model_folder(folder: Path) -> Path | None:
    files = ("model.safetensors", "tokenizer.json")
    candidates = (folder / name for name in _SUBFOLDERS)
    return next((found for found in candidates if all((found / f).exists() for f in files)), None)


def read(path: Path, progress: bool = False) -> WordVectors:
    """Read the vectors of the tokens, applying model2vec's weights and row mapping.

    Raises
    ------
    FormatError
        If tokens and vectors do not match, or a file is missing or damaged.
    """
    folder = _model_folder(path)
    if folder is None:
        raise FormatError(f"{path}: expected a folder with model.safetensors and tokenizer.json.")
    file = TensorFile(folder / "model.safetensors")
    matrix = file.read_first(("embeddings", "embedding.weight"))
    tokens, unknown = _tokens(folder / "tokenizer.json")
    matrix = _applied(path, file, matrix)
    if unknown in tokens[-1:] and len(matrix) == len(tokens) and not matrix[-1].any():
        tokens, matrix = tokens[:-1], matrix[:-1]
    return gather(folder / "model.safetensors", tokens, matrix, progress)


def _applied(path: Path, file: TensorFile, matrix: Array) -> Array:
    try:
        with np.errstate(over="ignore", invalid="ignore"):  # rejected later as not finite
            return _weighted(file, matrix)
    except (IndexError, ValueError) as error:
        raise FormatError(
            f"{path}: mapping or weights do not match the embeddings ({error})."
        ) from None


def _weighted(file: TensorFile, matrix: Array) -> Array:
    if "mapping" in file.names:
        matrix = matrix[file.read("mapping")]
    if "weights" in file.names:
        matrix = np.asarray(matrix * file.read("weights")[:, None], np.float32)
    return matrix


def _tokens(path: Path) -> tuple[list[str], str | None]:
    """Return the tokens ordered by id, and the token for unknown words."""
    try:
        tokenizer: dict[str, Any] = json.loads(path.read_bytes())
        model = tokenizer["model"]
        vocabulary = model["vocab"]
        if isinstance(vocabulary, list):  # a unigram model's, with scores
            ids = {token: i for i, (token, _) in enumerate(vocabulary)}
        else:
            ids = dict(vocabulary)
        ids |= {added["content"]: added["id"] for added in tokenizer.get("added_tokens") or []}
        tokens = sorted(ids, key=lambda token: int(ids[token]))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise FormatError(f"{path}: not a tokenizer with a vocabulary ({error!r}).") from None
    unknown = model.get("unk_token")
    return tokens, unknown if isinstance(unknown, str) else None


def write(vectors: WordVectors, path: Path, progress: bool = False) -> None:
    """Write the folder; its tokenizer lower-cases text if all words are in lower case.

    Raises
    ------
    RunError
        If the folder or a file cannot be written.
    """
    words = vectors.vocabulary.words
    matrix = vectors.matrix
    if _UNKNOWN not in vectors:
        words = [*words, _UNKNOWN]
        matrix = np.concatenate([matrix, np.zeros((1, matrix.shape[1]), np.float32)])
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"{path}: cannot be created ({error.strerror}).") from None
    lower = all(word == word.lower() for word in vectors.vocabulary.words)
    # Signs without a vector would count as zeros in the means of sentence-transformers.
    has_signs = any(re.fullmatch(_SIGN, word) for word in vectors.vocabulary.words)
    tokenizer: dict[str, Any] = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [],
        "normalizer": {"type": "Lowercase"} if lower else None,
        "pre_tokenizer": {
            "type": "Split",
            "pattern": {"Regex": f"{_WORD}|{_SIGN}" if has_signs else _WORD},
            "invert": True,  # keep the matches
            "behavior": "Removed",
        },
        "post_processor": None,
        "decoder": None,
        "model": {
            "type": "WordLevel",
            "vocab": {word: i for i, word in enumerate(words)},
            "unk_token": _UNKNOWN,
        },
    }
    config = {"model_type": "model2vec", "architectures": ["StaticModel"], "normalize": False}
    module = "sentence_transformers.models.StaticEmbedding"
    modules = [{"idx": 0, "name": "0", "path": ".", "type": module}]
    for name, content in (
        ("tokenizer.json", tokenizer),
        ("config.json", config),
        ("modules.json", modules),
    ):
        text = json.dumps(content, ensure_ascii=False)
        write_atomically(path / name, text.encode())
    save_tensors(
        path / "model.safetensors", {"embeddings": np.ascontiguousarray(matrix, "<f4")}, {}
    )
