"""Files of tensors with metadata and a checksum of the whole content.

A damaged file raises an error and never yields wrong numbers.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from embedder.arrays import Array
from embedder.errors import RunError
from embedder.storage import save_tensors
from embedder.version import __version__

_DIGEST = "sha256"


def save_arrays(
    path: Path, arrays: dict[str, Array], metadata: dict[str, Any], file_format: str
) -> None:
    """Write arrays and metadata (JSON values) to `path` atomically.

    Parameters
    ----------
    path
        The file.
    arrays, metadata
        Its content.
    file_format
        The name of the format, for `load_arrays`.

    Raises
    ------
    RunError
        If the file cannot be written.
    """
    texts = {key: json.dumps(value) for key, value in metadata.items()}
    texts |= {"format": file_format, "version": __version__}
    save_tensors(path, arrays, texts | {_DIGEST: _digest(arrays, texts)})


def _digest(arrays: dict[str, Array], texts: dict[str, str]) -> str:
    """Return the SHA-256 of a file's content."""
    found = hashlib.sha256(json.dumps(sorted(texts.items())).encode())
    for name, array in sorted(arrays.items()):
        found.update(json.dumps([name, array.dtype.str, array.shape]).encode())
        found.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return found.hexdigest()


def load_arrays(path: Path, file_format: str, what: str) -> tuple[dict[str, Array], dict[str, Any]]:
    """Read the arrays and the metadata of a file written by `save_arrays`.

    Parameters
    ----------
    path
        The file.
    file_format
        The name of its format.
    what
        What files of this format are, for errors.

    Raises
    ------
    RunError
        If the file is missing, damaged or in another format.
    """
    from safetensors import SafetensorError, safe_open

    try:
        path.open("rb").close()  # the library says of any file it cannot open that there is none
        with safe_open(path, "np") as file:
            texts = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except FileNotFoundError:
        raise RunError(f"{path}: no such file.") from None
    except PermissionError as error:
        raise RunError(f"{path}: cannot be read ({error.strerror}).") from None
    except (SafetensorError, OSError, ValueError, TypeError, AttributeError) as error:
        raise RunError(
            f"{path}: truncated or damaged ({error}); train again, or restore a copy."
        ) from None
    digest = texts.pop(_DIGEST, None)
    if texts.get("format") != file_format:
        raise RunError(f"{path}: not {what}; expected format {file_format}.")
    if digest is not None and digest != _digest(arrays, texts):
        raise RunError(f"{path}: damaged (wrong checksum); train again, or restore a copy.")
    plain = {"format", "version"}
    try:
        return arrays, {key: json.loads(text) for key, text in texts.items() if key not in plain}
    except ValueError:  # the checksum's key itself is damaged, so there was nothing to compare
        raise RunError(f"{path}: damaged metadata; train again, or restore a copy.") from None
