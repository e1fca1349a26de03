"""MkDocs hook that generates the configuration reference from the configuration classes."""

from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ByteSize
from pydantic.fields import FieldInfo

from embedder.config import LANGUAGE_MODEL_DEFAULTS, WINDOWS_DEFAULTS, Config

_MARKER = "<!-- configuration -->"
_NAMES = {int: "integer", float: "number", str: "text", bool: "`true`, `false`", ByteSize: "size"}


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Replace the marker in a page with the reference."""
    return markdown.replace(_MARKER, configuration_reference())


def configuration_reference() -> str:
    """Return a heading and a table for each section, in the order of the configuration."""
    parts = []
    for name, field in Config.model_fields.items():
        if (section := _section(field)) is not None:
            parts.append(f"## {name}\n\n{section.__doc__}\n\n{_table(section)}")
            parts += [
                f"## {name}.{inner}\n\n{within.__doc__}\n\n{_table(within)}"
                for inner, inner_field in section.model_fields.items()
                if (within := _section(inner_field)) is not None
            ]
        else:
            parts.append(f"## {name}\n\n{_type(field)}. {field.description or ''}\n")
    parts.append("## Different defaults for windows\n\n" + _defaults_of_windows())
    return "\n".join(parts)


def _section(field: FieldInfo) -> type[BaseModel] | None:
    kind = field.annotation
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def _defaults_of_windows() -> str:
    rows = [
        f"| `{section}.{key}` | `{value}` | {where} |"
        for where, defaults in (
            ("`examples.source: windows`", WINDOWS_DEFAULTS),
            ("and `network.input: concat`", LANGUAGE_MODEL_DEFAULTS),
        )
        for section, keys in defaults.items()
        for key, value in keys.items()
    ]
    return "\n".join(["| key | default | with |", "| --- | --- | --- |", *rows, ""])


def _table(section: type[BaseModel]) -> str:
    rows = [
        f"| `{name}` | {_type(field)} | {_default(field)} | {_text(field.description)} |"
        for name, field in section.model_fields.items()
        if _section(field) is None
    ]
    return "\n".join(["| key | value | default | |", "| --- | --- | --- | --- |", *rows, ""])


def _text(description: str | None) -> str:
    """Return a description on one line, escaped for a cell of a Markdown table."""
    pieces = " ".join((description or "").split()).replace("|", "\\|").split("`")
    # Between backticks everything is shown as it is.
    return "`".join(
        piece if i % 2 else piece.replace("<", "&lt;") for i, piece in enumerate(pieces)
    )


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if value is None:
        return "–"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _type(field: FieldInfo) -> str:
    return _named(field.annotation)


def _named(annotation: Any) -> str:
    arguments = [argument for argument in get_args(annotation) if argument is not type(None)]
    if get_origin(annotation) is Literal:
        return ", ".join(f"`{argument}`" for argument in arguments)
    if get_origin(annotation) is list:
        return f"list of {_named(arguments[0])}"
    if get_origin(annotation) in (Union, UnionType):
        return " or ".join(dict.fromkeys(_named(argument) for argument in arguments))
    if arguments:
        return _named(arguments[0])
    return _NAMES.get(annotation, getattr(annotation, "__name__", str(annotation)))
