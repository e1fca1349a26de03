"""`embedder.train`: from Python's objects and arguments to word vectors."""

import copy
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from embedder.config import Config
from embedder.config_files import (
    apply_overrides,
    make_config,
    override_keys,
    read_yaml,
    with_names,
)
from embedder.config_sections.text import CorpusConfig
from embedder.errors import ConfigError, CorpusWarning, EmbedderError, RunError, for_python
from embedder.runs.run_folder import RunFolder
from embedder.settings import apply_settings, argument_names, is_configuration
from embedder.text.corpus import read_text
from embedder.text.objects import NAME, Objects, are_paths, blocks_of, names_of, objects_of
from embedder.training.local import TextReader
from embedder.training.train import train
from embedder.training.trainer import Interrupted
from embedder.training.update import UpdateOptions, update

_CALL = "embedder.train"
_TOKENS = {"tokenizer": "whitespace", "lowercase": False, "normalisation": "none"}
"""How lists of tokens are read, unless settings say otherwise: as they are."""


class Wanted(NamedTuple):
    """What `embedder.train` is asked to do with the run's folder.

    ``output``
        The folder; None for that of the configuration, or none.
    ``overwrite``, ``resume``
        Whether to replace a run in it, or to resume it.
    ``progress``
        Whether to show progress bars.
    """

    output: Path | None
    overwrite: bool
    resume: bool
    progress: bool


@contextmanager
def trained_run(
    source: Any, overrides: Sequence[str], settings: dict[str, Any], wanted: Wanted
) -> Iterator[tuple[Path, bool]]:
    """Train, and yield the run's folder, and whether it remains when the context ends.

    Parameters
    ----------
    source
        See `embedder.train`.
    overrides
        Such as `training.passes=5`.
    settings
        By the names that `embedder.settings` knows.
    wanted
        What to do with the folder.

    Raises
    ------
    EmbedderError
        For anything that a user can fix.
    KeyboardInterrupt
        After Ctrl-C, SIGTERM or SIGHUP, once the state is saved in a folder that remains.
    """
    with _python_errors():
        config, objects, names = _configuration(source, overrides, settings, wanted)
    output = wanted.output
    if output is None and "output" in config.model_fields_set:
        output = Path(config.output)
    if wanted.resume and output is None:
        raise RunError("resume=True needs the folder of the run to resume: output=….")
    if config.replicates.wanted and output is None:
        raise RunError("bootstrap and seeds need a folder for the replicates: output=….")
    with tempfile.TemporaryDirectory(prefix="embedder-") as scratch:
        folder = output or Path(scratch) / "run"
        config = config.model_copy(update={"output": str(folder)})
        text = None if objects is None else partial(blocks_of, objects, config.corpus)
        try:
            with _python_errors(names):
                train(config, wanted.overwrite, wanted.resume, not wanted.progress, text=text)
        except Interrupted as stop:
            advice = "nothing was kept, since there is no output=…"
            if output is not None and stop.finished:
                advice = f"the run is complete: embedder.load({str(output)!r})"
            elif output is not None:
                advice = f"resume with embedder.train(…, output={str(output)!r}, resume=True)"
            raise KeyboardInterrupt(f"stopped at {stop}; {advice}") from None
        yield folder, output is not None


@contextmanager
def updated_run(run: Path, source: Any, wanted: Wanted, options: UpdateOptions) -> Iterator[Path]:
    """Update a run, and yield the folder of the new one, which lasts until the context ends.

    Parameters
    ----------
    run
        The run to update.
    source
        See `embedder.update`.
    wanted
        What to do with the new folder; it remains if it is named.
    options
        How, but for what `source` and `wanted` say.

    Raises
    ------
    EmbedderError
        For anything that a user can fix.
    """
    with _python_errors(), tempfile.TemporaryDirectory(prefix="embedder-") as scratch:
        read, files = _reader(source, RunFolder(run).read_config().corpus)
        options = options._replace(
            output=wanted.output or Path(scratch) / "run",
            files=files,
            overwrite=wanted.overwrite,
            quiet=not wanted.progress,
        )
        found = update(run, read, options)
        if found.left_out:
            warnings.warn(found.describe_left_out(), CorpusWarning, stacklevel=4)
        yield options.output


def _reader(source: Any, corpus: CorpusConfig) -> tuple[TextReader, list[str]]:
    """Return a function that reads a text, and the names of its files."""
    if are_paths(source):
        names = names_of(source)
        return partial(read_text, corpus.model_copy(update={"files": names})), names
    objects = objects_of(source, corpus.text_field)
    if objects.are_tokens:
        corpus = corpus.model_copy(update={"tokenizer": "whitespace"})
    return partial(blocks_of, objects, corpus), [NAME]


@contextmanager
def _python_errors(names: Mapping[str, str] | None = None) -> Iterator[None]:
    """Give advice in terms of arguments, with names for keys."""
    try:
        yield
    except EmbedderError as error:
        raise type(error)(for_python(with_names(str(error), names or {}))) from None


def _configuration(
    source: Any, overrides: Sequence[str], settings: dict[str, Any], wanted: Wanted
) -> tuple[Config, Objects | None, dict[str, str]]:
    """Return the configuration, the text if it is not in files, and names of keys for errors."""
    origin = _CALL
    tree: dict[str, Any] = {}
    if wanted.resume and wanted.output is not None:
        tree = RunFolder(wanted.output).read_config().model_dump()
    is_text = False
    if isinstance(source, str | Path) and is_configuration(str(source)):
        tree, origin = tree or read_yaml(Path(source)), str(source)
    elif isinstance(source, dict):
        if not set(source) & set(Config.model_fields):
            raise ConfigError(
                "expected a text or a configuration, got a dictionary without sections of one; for "
                f"one of its values, pass source[{next(iter(source), 'name')!r}]."
            )
        tree, origin = tree or copy.deepcopy(source), "config"
    elif are_paths(source):
        tree = tree or {"corpus": {"files": names_of(source)}}
    else:
        is_text = True
        tree = tree or {"corpus": {"files": [NAME]}}
    names = apply_settings(tree, settings)
    if origin == _CALL:
        names = {**argument_names(), **names}
    for key in override_keys(overrides):
        names.pop(key, None)
    apply_overrides(tree, overrides)
    objects = None
    if is_text:
        objects = objects_of(source, tree["corpus"].get("text_field"))
        for key, value in _TOKENS.items() if objects.are_tokens else ():
            tree["corpus"].setdefault(key, value)
    return make_config(tree, origin, names), objects, names
