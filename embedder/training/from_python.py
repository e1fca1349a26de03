"""`embedder.train`: from Python's objects and arguments to word vectors."""

import re
import tempfile
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from embedder.config import Config
from embedder.config_files import make_config, parse_override, read_yaml, set_key
from embedder.errors import EmbedderError
from embedder.settings import apply_settings
from embedder.text.objects import NAME, Objects, are_paths, blocks_of, objects_of
from embedder.training.train import train
from embedder.training.trainer import Interrupted

_FLAGS = {
    "--output": "output",
    "--overwrite": "overwrite=True",
    "--resume": "resume=True",
}
_TOKENS = {"corpus.tokenizer": "whitespace", "corpus.lowercase": False}


def train_source(
    source: Any,
    overrides: Sequence[str],
    settings: dict[str, Any],
    folder: tuple[Path | None, bool, bool],
    progress: bool,
) -> Path:
    """Train, and return the folder of the run.

    Parameters
    ----------
    source
        See `embedder.train`.
    overrides
        Such as `training.passes=5`.
    settings
        By the names that `embedder.settings` knows.
    folder
        The run's folder, or None for that of the configuration; whether to replace a run in it;
        and whether to resume it.
    progress
        Whether to show progress bars.

    Raises
    ------
    EmbedderError
        For anything that a user can fix.
    KeyboardInterrupt
        After Ctrl-C, once the state is saved.
    """
    output, overwrite, resume = folder
    try:
        config, objects = _configuration(source, overrides, settings)
        if output is not None:
            config = config.model_copy(update={"output": str(output)})
        text = None if objects is None else blocks_of(objects, config.corpus)
        return train(config, overwrite, resume, not progress, text=text).folder
    except Interrupted as stop:
        raise KeyboardInterrupt(
            f"stopped at {stop}; all progress is saved: resume with embedder.train(…, "
            f"output={config.output!r}, resume=True)"
        ) from None
    except EmbedderError as error:
        raise type(error)(_for_python(str(error))) from None


def place_of(source: Any, output: str | Path | None) -> AbstractContextManager[str | None]:
    """Return a folder for a run that nobody wants to keep; None if the run has one."""
    if output is not None or (isinstance(source, dict) and "output" in source):
        return nullcontext(None)
    if _is_configuration(source) and "output" in read_yaml(Path(source)):
        return nullcontext(None)
    return tempfile.TemporaryDirectory(prefix="embedder-")


def _is_configuration(source: Any) -> bool:
    return isinstance(source, str | Path) and str(source).lower().endswith((".yaml", ".yml"))


def _configuration(
    source: Any, overrides: Sequence[str], settings: dict[str, Any]
) -> tuple[Config, Objects | None]:
    """Return the configuration, and the text if it is not in files."""
    objects, origin = None, "embedder.train"
    tree: dict[str, Any]
    if _is_configuration(source):
        tree, origin = read_yaml(Path(source)), str(source)
    elif isinstance(source, dict):
        tree = {key: dict(own) if isinstance(own, dict) else own for key, own in source.items()}
        origin = "config"
    elif are_paths(source):
        files = [source] if isinstance(source, str | Path) else source
        tree = {"corpus": {"files": [str(file) for file in files]}}
    else:
        objects = objects_of(source, settings.get("text_field"))
        tree = {"corpus": {"files": [NAME]}}
        if objects.are_tokens:
            for key, value in _TOKENS.items():
                set_key(tree, key, value)
    names = apply_settings(tree, settings)
    for override in overrides:
        set_key(tree, *parse_override(override))
    return make_config(tree, origin, names), objects


def _for_python(message: str) -> str:
    """Return an error's advice in terms of arguments."""
    message = re.sub(
        r"embedder train --resume (\S+)",
        lambda found: f"embedder.train(…, output='{found[1]}', resume=True)",
        message,
    )
    for flag, argument in _FLAGS.items():
        message = message.replace(flag, argument)
    return message
