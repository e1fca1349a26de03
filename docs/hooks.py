"""MkDocs calls this: it writes the reference of the configuration from its classes."""

from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from embedder.config import LANGUAGE_MODEL_DEFAULTS, WINDOWS_DEFAULTS, Config

_MARK = "<!-- configuration -->"


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Replace the mark in a page by the reference."""
    return markdown.replace(_MARK, configuration_reference())


def configuration_reference() -> str:
    """Return a heading and a table for every section, in the order of the configuration."""
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
    parts.append("## Other defaults from windows\n\n" + _defaults_of_windows())
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
    return " ".join((description or "").split()).replace("|", "\\|").replace("<", "&lt;")


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    return "–" if value is None else f"`{value}`"


def _type(field: FieldInfo) -> str:
    return _named(field.annotation)


def _named(annotation: Any) -> str:
    arguments = [argument for argument in get_args(annotation) if argument is not type(None)]
    if get_origin(annotation) is Literal:
        return ", ".join(f"`{argument}`" for argument in arguments)
    if get_origin(annotation) is list:
        return f"list of {_named(arguments[0])}"
    if arguments:
        return _named(arguments[0])
    names = {int: "whole number", float: "number", str: "text", bool: "`true`, `false`"}
    return names.get(annotation, getattr(annotation, "__name__", str(annotation)))
