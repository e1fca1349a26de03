"""YAML files and `key=value` overrides → a validated `Config`, or one sentence per mistake."""

import datetime
import difflib
import re
import textwrap
import types
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import UnionType
from typing import Any, Literal, NamedTuple, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ByteSize, ValidationError
from pydantic.fields import FieldInfo

from embedder.config import Config
from embedder.errors import ConfigError


class _Loader(yaml.SafeLoader):
    """Loader that reads 2e-2 as a number, as YAML 1.2 does, and rejects duplicate keys."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            if isinstance(key_node, yaml.ScalarNode):
                if key_node.value in seen:
                    raise yaml.MarkedYAMLError(
                        problem=f"duplicate key '{key_node.value}'",
                        problem_mark=key_node.start_mark,
                    )
                seen.add(key_node.value)
        return super().construct_mapping(node, deep)


def _construct_scientific(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> float:
    return float(loader.construct_scalar(node))


_Loader.add_constructor("!scientific", _construct_scientific)
_Loader.add_implicit_resolver(
    "!scientific",
    re.compile(r"^[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$"),
    list("-+0123456789"),
)


def load_config(path: Path, overrides: typing.Sequence[str] = ()) -> Config:
    """Read a YAML file and apply dotted `key=value` overrides.

    Parameters
    ----------
    path
        The YAML file.
    overrides
        Such as ``["training.passes=5", "corpus.files=my.txt"]``; values are parsed as YAML.

    Raises
    ------
    ConfigError
        For a file that is missing or not YAML, an unknown key (the message suggests the nearest
        one) or a value of the wrong type or out of range.
    """
    tree = read_yaml(path)
    apply_overrides(tree, overrides)
    return make_config(tree, str(path))


def with_overrides(config: Config, overrides: typing.Sequence[str], origin: str) -> Config:
    """Return a configuration with dotted `key=value` overrides; see `load_config`."""
    tree = config.model_dump()
    apply_overrides(tree, overrides)
    return make_config(tree, origin)


def make_config(tree: dict[str, Any], origin: str, names: dict[str, str] | None = None) -> Config:
    """Validate a nested dictionary and return it as a `Config`.

    Parameters
    ----------
    tree
        Its sections and keys.
    origin
        Names it in errors.
    names
        What to call keys in errors.

    Raises
    ------
    ConfigError
        As for `load_config`.
    """
    try:
        return Config.model_validate(tree)
    except ValidationError as error:
        message = with_names(describe_errors(error), names or {})
        raise ConfigError(f"{origin}: {message}") from None


def with_names(message: str, names: Mapping[str, str]) -> str:
    """Replace the keys in an error by what its reader calls them.

    Commands to type (`key=value`), suggestions in quotes and names of files remain as they are.

    Parameters
    ----------
    message
        The error.
    names
        A name for each dotted key that has one.
    """
    for key, name in names.items():
        message = re.sub(rf"(?<![\w./'-]){re.escape(key)}(?![\w=/'-]|\.\w)", name, message)
    return message


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML file of sections and keys.

    Raises
    ------
    ConfigError
        If it is missing or not YAML, with the line.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such configuration file.") from None
    except IsADirectoryError:
        raise ConfigError(
            f"{path}: this is a folder; expected a YAML file such as configs/quickstart.yaml."
        ) from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: not a text file; expected YAML in UTF-8.") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}).") from None
    return _parse_mapping(text, str(path))


def _parse_mapping(text: str, origin: str) -> dict[str, Any]:
    try:
        tree = yaml.load(text, _Loader)
    except (yaml.YAMLError, ValueError, RecursionError, TypeError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or str(error).split("\n")[0]
        raise ConfigError(f"{origin}{where}: not valid YAML: {problem}.") from None
    if tree is None:
        tree = {}
    if not isinstance(tree, dict):
        raise ConfigError(f"{origin}: expected sections such as `corpus:` with keys below them.")
    return tree


def apply_overrides(tree: dict[str, Any], overrides: typing.Sequence[str]) -> None:
    """Set the keys that overrides such as `training.passes=5` name."""
    for override in overrides:
        set_key(tree, *_parse_override(override))


def override_keys(overrides: typing.Sequence[str]) -> list[str]:
    """Return the keys that overrides name."""
    return [override.partition("=")[0] for override in overrides]


def _parse_override(override: str) -> tuple[str, Any]:
    """Return the key and the value of `KEY=VALUE`; the value is YAML."""
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise ConfigError(f"'{override}': expected KEY=VALUE, such as training.passes=5.")
    # In YAML, a lone "-" begins a list; here, it means standard input.
    value = text if text == "-" else _parse_mapping(f"value: {text}", f"'{override}'")["value"]
    return key, value


def set_key(tree: dict[str, Any], key: str, value: Any) -> None:
    """Set a dotted key of a nested dictionary, creating missing sections.

    Raises
    ------
    ConfigError
        If part of the path is a value instead of a section.
    """
    *sections, last = key.split(".")
    for section in sections:
        child = tree.setdefault(section, {})
        if child is None:
            child = tree[section] = {}
        if not isinstance(child, dict):
            raise ConfigError(f"{key}: '{section}' is not a section.")
        tree = child
    tree[last] = value


def describe_errors(error: ValidationError, model: type[BaseModel] | None = None) -> str:
    """Turn pydantic's list of errors into one actionable sentence per error.

    Parameters
    ----------
    error
        The error raised by pydantic.
    model
        The validated model, used to suggest keys; `Config` if None.
    """
    sentences = []
    expected: dict[str, list[str]] = {}
    for entry in error.errors(include_url=False):
        where = ".".join(map(str, _without_alternatives(entry["loc"], model or Config)))
        if entry["type"] == "extra_forbidden":
            sentences.append(f"{where}: unknown key.{_nearest_key(entry['loc'], model or Config)}")
        elif entry["type"] == "missing":
            sentences.append(f"{where}: required, but not given.")
        elif entry["type"] == "value_error":
            sentences.append(f"{entry['msg'].removeprefix('Value error, ')}.")
        elif entry["type"] == "model_type":
            sentences.append(f"{where}: expected a section with keys, got {entry['input']!r}.")
        else:
            wanted = entry["msg"].removeprefix("Input should be ")
            wanted = re.sub(r"^(greater|less) than", r"a number \1 than", wanted)
            wanted = _NAMES_OF_TYPES.get(entry["type"], wanted)
            a_word = entry["type"] == "string_type" or isinstance(entry["input"], bool)
            got = _unquoted(entry["input"]) if a_word and entry["type"] in _NAMES_OF_TYPES else None
            got = f"{entry['input']!r}" if got is None else got
            # A value with alternatives, such as a number or `auto`, has an error for each.
            expected.setdefault(f"{where}: expected %s, got {got}.", []).append(wanted)
    sentences += [text.replace("%s", " or ".join(each), 1) for text, each in expected.items()]
    return " ".join(dict.fromkeys(sentences))


_NAMES_OF_TYPES = {
    "string_type": "text",
    "list_type": "a list",
    "too_short": "at least one",
    "byte_size": "a size, such as 2GB",
    "byte_size_unit": "a size, such as 2GB",
}
"""What errors call what pydantic expects."""


def _unquoted(value: object) -> str | None:
    """Return what YAML took a text without quotes for, and what helps; None for lists and such."""
    if value is None or isinstance(value, bool):
        shown = "null" if value is None else str(value).lower()
        return f"{shown}; YAML reads words such as no, yes, on, off and null so unless in quotes"
    if isinstance(value, int | float | datetime.date):
        return f"{value}; put it in quotes"
    return None


def _without_alternatives(
    location: tuple[int | str, ...], model: type[BaseModel]
) -> list[int | str]:
    """Return the keys on the way to an error, without the names of a value's possible types."""
    kept: list[int | str] = []
    section: Any = model
    for part in location:
        if section is not None or isinstance(part, int):
            kept.append(part)
        field = getattr(section, "model_fields", {}).get(part)
        kind = field.annotation if field else None
        section = kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None
    return kept


def _nearest_key(location: tuple[int | str, ...], model: type[BaseModel]) -> str:
    section: Any = model
    for part in location[:-1]:
        field = section.model_fields.get(part) if hasattr(section, "model_fields") else None
        section = field.annotation if field else None
        if isinstance(section, types.UnionType):
            section = None
    name = str(location[-1])
    here = list(section.model_fields) if section else []
    near = difflib.get_close_matches(name, here, n=1, cutoff=0.6)
    if near:
        full = ".".join([*map(str, location[:-1]), near[0]])
        return f" Did you mean '{full}'?"
    # A key at the wrong level is as common as a misspelt one.
    everywhere = {f"{s}.{k}": k for s, k in all_keys()} if model is Config else {}
    for full, key in sorted(everywhere.items(), key=lambda entry: entry[0].count(".")):
        if key == name:
            return f" Did you mean '{full}'?"
    return f" Valid keys: {', '.join(here)}." if here else ""


_TYPES = {int: "integer", float: "number", str: "text", bool: "true, false", ByteSize: "size"}


class Key(NamedTuple):
    """A key of the configuration, as it is shown to users."""

    name: str
    type: str
    default: str
    description: str


def describe_keys(part: str = "") -> list[Key]:
    """Return the keys whose dotted names contain a text; the key itself if it is one."""
    found = list(_fields_below(Config))
    exact = [entry for entry in found if entry[0] == part]
    return [
        Key(name, type_of(field.annotation), default_of(field), _one_line(field.description))
        for name, field in exact or found
        if part in name
    ]


def nearest_keys(name: str) -> list[str]:
    """Return the dotted keys whose last part is spelled most like that of a name."""
    keys = [".".join(key) for key in all_keys()]
    last = name.rpartition(".")[2]
    near = difflib.get_close_matches(last, {key.rpartition(".")[2] for key in keys}, 1, 0.6)
    return [key for key in keys if key.rpartition(".")[2] in near]


def _one_line(description: str | None) -> str:
    return " ".join((description or "").split())


def default_of(field: FieldInfo) -> str:
    """Return the default of a key, as it is written in YAML; a dash for null."""
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if value is None:
        return "–"
    return str(value).lower() if isinstance(value, bool) else str(value)


def type_of(annotation: Any, quote: str = "") -> str:
    """Return what values of a type are, with a mark around literal values."""
    arguments = [argument for argument in get_args(annotation) if argument is not type(None)]
    if get_origin(annotation) is Literal:
        return ", ".join(f"{quote}{argument}{quote}" for argument in arguments)
    if get_origin(annotation) is dict:
        return f"{type_of(arguments[1], quote)} by name"
    if get_origin(annotation) is list:
        return f"list of {type_of(arguments[0], quote)}"
    if get_origin(annotation) in (Union, UnionType):
        return " or ".join(dict.fromkeys(type_of(argument, quote) for argument in arguments))
    if arguments:
        return type_of(arguments[0], quote)
    if annotation is bool:
        return f"{quote}true{quote}, {quote}false{quote}"
    return _TYPES.get(annotation, getattr(annotation, "__name__", str(annotation)))


def commented(tree: dict[str, Any]) -> str:
    """Return a nested dictionary as YAML, with the description of each key of a configuration."""
    descriptions = {key.name: key.description for key in describe_keys()}
    lines: list[str] = []

    def write(own: dict[str, Any], path: str) -> None:
        indent = "  " * path.count(".") if path else ""
        for name, value in own.items():
            key = f"{path}{name}"
            if key in descriptions:
                lines.extend(textwrap.wrap(
                    descriptions[key], 96, initial_indent=f"{indent}# ",
                    subsequent_indent=f"{indent}# ", break_on_hyphens=False,
                ))  # fmt: skip
            if isinstance(value, dict) and key in ("corpus.phrases", *Config.model_fields):
                lines.append(f"{indent}{name}:")
                write(value, f"{key}.")
            else:
                text = yaml.safe_dump(
                    {name: value}, default_flow_style=None, allow_unicode=True, width=1000
                ).strip()
                lines.append(indent + (text[1:-1] if text.startswith("{") else text))

    write(tree, "")
    return "\n".join(lines)


def all_keys() -> list[tuple[str, str]]:
    """Return the section and the name of every key."""
    return list(_keys_below(Config))


def _keys_below(model: type[BaseModel]) -> Iterator[tuple[str, str]]:
    for name, _ in _fields_below(model):
        section, _, key = name.rpartition(".")
        if section:
            yield section, key


def _fields_below(model: type[BaseModel], path: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Yield the dotted name of every key, and its field."""
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _fields_below(field.annotation, f"{path}{name}.")
        else:
            yield f"{path}{name}", field
