"""Settings by short names, and texts without a configuration: `embedder.train(…, dimension=200)`.

A short name is the last part of a key, such as `dimension` for `network.dimension`, or one of the
names below.
"""

import difflib
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from embedder.errors import ConfigError

if TYPE_CHECKING:
    from embedder.config import Config

NAMES = {
    "max_words": "vocabulary.max_size",
    "min_count": "vocabulary.min_count",
    "passes": "training.passes",
}
"""Short names that keys do not have, or that several keys have."""
ALIASES = {
    # gensim
    "vector_size": "network.dimension",
    "epochs": "training.passes",
    "workers": "training.threads",
    "sample": "vocabulary.subsample",
    "max_final_vocab": "vocabulary.max_size",
    # fastText
    "dim": "network.dimension",
    "epoch": "training.passes",
    "thread": "training.threads",
    "ws": "examples.window",
    "minCount": "vocabulary.min_count",
}
"""What other programs call keys that mean the same there."""
_SELF_EXPLANATORY = ("corpus", "vocabulary", "network", "training")
"""Sections whose keys are understood without the section: `dimension`, but not `fraction`."""
SWITCHES: dict[str, dict[str, Any]] = {
    "subwords": {"subwords.max_n": 6},
    "phrases": {"corpus.phrases.passes": 2},
}
"""What the value true stands for."""
TEXT_NAME = {"corpus.files": "the name"}
"""What errors say instead of a key that only configurations have."""
_OVERRIDE = re.compile(r"^[a-z_]+(\.[a-z_]+)*=")
_CONFIGURATIONS = (".yaml", ".yml")


def split_inputs(inputs: Sequence[str]) -> tuple[list[str], list[str]]:
    """Divide what a command was given into files, and overrides such as `training.passes=5`.

    An existing file may have an equals sign in its name.
    """
    # Of a text too long for a name, `Path.exists` raises an error.
    overrides = [
        each
        for each in inputs
        if _OVERRIDE.match(each) and not os.path.exists(each)  # noqa: PTH110
    ]
    return [each for each in inputs if each not in overrides], overrides


def is_configuration(file: str) -> bool:
    """Return whether a file is a configuration, by its name."""
    return file.lower().endswith(_CONFIGURATIONS)


def config_of(files: Sequence[str], overrides: Sequence[str]) -> "Config":
    """Return the configuration in a YAML file, or the default one for text files.

    Parameters
    ----------
    files
        One YAML file; or text files, folders, globs and URLs.
    overrides
        Such as `training.passes=5`.

    Raises
    ------
    ConfigError
        If there are YAML and text files, or several YAML files; and as for `load_config`.
    """
    from embedder.config_files import apply_overrides, make_config, read_yaml

    configurations = [file for file in files if is_configuration(file)]
    if configurations and len(files) > 1:
        others = [file for file in files if file != configurations[0]] or files[1:]
        raise ConfigError(
            f"{configurations[0]}: a configuration names its text itself; omit {others[0]}, or set "
            "corpus.files=FILE."
        )
    if configurations:
        tree, origin = read_yaml(Path(files[0])), files[0]
    else:
        tree, origin = {"corpus": {"files": list(files)}}, "the command line"
    apply_overrides(tree, overrides)
    return make_config(tree, origin)


def apply_settings(tree: dict[str, Any], settings: dict[str, Any]) -> dict[str, str]:
    """Set the keys of a nested dictionary that settings by short names stand for.

    Parameters
    ----------
    tree
        Changed in place.
    settings
        Values by short names, by dotted keys, or by sections: dictionaries of their keys.

    Returns
    -------
    dict
        The short name of each key that was set by one.

    Raises
    ------
    ConfigError
        For an unknown or ambiguous name.
    """
    from embedder.config_files import set_key

    names = {}
    settings = {name: _as_plain(value) for name, value in settings.items()}
    # Switches first, so that single keys overrule them.
    for name, value in sorted(settings.items(), key=lambda item: item[0] not in SWITCHES):
        keys = list(_keys_of(name, value))
        for key, own in keys:
            set_key(tree, key, own)
        if len(keys) == 1 and not isinstance(value, dict) and name not in SWITCHES:
            names[keys[0][0]] = name
    return names


def _as_plain(value: Any) -> Any:
    """Return a number of NumPy as Python's, and anything else as it is."""
    is_scalar = hasattr(value, "dtype") and getattr(value, "shape", None) == ()
    return value.item() if is_scalar else value


def argument_names() -> dict[str, str]:
    """Return the short names that errors use for keys where no configuration contains them."""
    from embedder.config_files import all_keys

    keys = [(section, key) for section, key in all_keys() if section in _SELF_EXPLANATORY]
    names = {f"{section}.{key}": key for section, key in keys if key not in ("files", *NAMES)}
    return {**names, **{key: name for name, key in NAMES.items()}, **TEXT_NAME}


def _keys_of(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Yield the keys that one setting stands for, and their values."""
    if name in SWITCHES and isinstance(value, bool):
        if value:
            yield from SWITCHES[name].items()
        return
    from embedder.config import Config

    if isinstance(value, dict) and name in (*Config.model_fields, "phrases"):
        section = "corpus.phrases" if name == "phrases" else name
        for key, own in value.items():
            yield f"{section}.{key}", own
        return
    yield _key_of(name), value


def _key_of(name: str) -> str:
    from embedder.config_files import all_keys

    keys = [".".join(key) for key in all_keys()]
    if name in keys:
        return name
    if name in NAMES or name in ALIASES:
        return {**NAMES, **ALIASES}[name]
    found = [key for key in keys if key.rpartition(".")[2] == name]
    if len(found) == 1:
        return found[0]
    if found:
        raise ConfigError(f"{name}: ambiguous; expected one of {', '.join(found)}.")
    known = [*NAMES, *ALIASES, *SWITCHES, *(key.rpartition(".")[2] for key in keys)]
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    hint = f" Did you mean '{near[0]}'?" if near else " `embedder config` lists all settings."
    raise ConfigError(f"{name}: unknown setting.{hint}")
