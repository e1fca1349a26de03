"""A folder that model2vec and sentence-transformers load as a StaticEmbedding.

    model.safetensors   `embeddings` (V, D), a row a token
    tokenizer.json      a Hugging Face tokenizer; here one of whole words
    config.json         model2vec's settings
    modules.json        for sentence-transformers

A whole-word tokenizer needs a token for unknown words. Ours has a row of zeros after the words,
which reading leaves out again.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np

from embedder.arrays import Array
from embedder.errors import FormatError
from embedder.storage import save_tensors, write_atomically
from embedder.vectors.formats.rows import gather
from embedder.vectors.formats.tensors import TensorFile
from embedder.vectors.word_vectors import WordVectors

_UNKNOWN = "[UNK]"
_TOKENS = r"\w+(?:['’]\w+)*|[^\w\s]"
"""Words, with inner apostrophes as the tokenizer `words` has them, and single other characters."""
_PLACES = ("", "0_StaticEmbedding")


def is_static_embedding(folder: Path) -> bool:
    """Say whether a folder looks like one."""
    return _place(folder) is not None


def _place(folder: Path) -> Path | None:
    files = ("model.safetensors", "tokenizer.json")
    found = (folder / place for place in _PLACES)
    return next((place for place in found if all((place / f).exists() for f in files)), None)


def read(path: Path, progress: bool = False) -> WordVectors:
    """Read the vectors of the tokens; weights and shared rows of model2vec are applied.

    Raises
    ------
    FormatError
        If tokens and vectors do not fit together.
    """
    folder = _place(path)
    if folder is None:
        raise FormatError(f"{path}: no model.safetensors and tokenizer.json there.")
    file = TensorFile(folder / "model.safetensors")
    matrix = file.read_first(("embeddings", "embedding.weight"))
    tokens, unknown = _tokens(folder / "tokenizer.json")
    matrix = _applied(path, file, matrix)
    if unknown in tokens[-1:] and len(matrix) == len(tokens) and not matrix[-1].any():
        tokens, matrix = tokens[:-1], matrix[:-1]
    return gather(folder / "model.safetensors", tokens, matrix, progress)


def _applied(path: Path, file: TensorFile, matrix: Array) -> Array:
    try:
        with np.errstate(over="ignore", invalid="ignore"):  # refused as not finite
            return _weighted(file, matrix)
    except (IndexError, ValueError) as error:
        raise FormatError(f"{path}: mapping or weights do not fit ({error}).") from None


def _weighted(file: TensorFile, matrix: Array) -> Array:
    if "mapping" in file.names:
        matrix = matrix[file.read("mapping")]
    if "weights" in file.names:
        matrix = np.asarray(matrix * file.read("weights")[:, None], np.float32)
    return matrix


def _tokens(path: Path) -> tuple[list[str], str | None]:
    """Return the tokens in the order of their ids, and the unknown one."""
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
        raise FormatError(f"{path}: no tokenizer with a vocabulary ({error!r}).") from None
    unknown = model.get("unk_token")
    return tokens, unknown if isinstance(unknown, str) else None


def write(vectors: WordVectors, path: Path, progress: bool = False) -> None:
    """Write the folder; text is split into words and punctuation, in lower case if the words are.

    Raises
    ------
    RunError
        If the folder cannot be made or written.
    """
    words = vectors.vocabulary.words
    matrix = vectors.matrix
    if _UNKNOWN not in vectors:
        words = [*words, _UNKNOWN]
        matrix = np.concatenate([matrix, np.zeros((1, matrix.shape[1]), np.float32)])
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FormatError(f"{path}: cannot be made ({error.strerror}).") from None
    lower = all(word == word.lower() for word in vectors.vocabulary.words)
    tokenizer: dict[str, Any] = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [],
        "normalizer": {"type": "Lowercase"} if lower else None,
        "pre_tokenizer": {
            "type": "Split",
            "pattern": {"Regex": _TOKENS},
            "invert": True,  # what matches is kept
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
