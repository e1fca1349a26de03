"""MkDocs hooks: the configuration reference, from the configuration classes; tables of options."""

import re
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from embedder.config import LANGUAGE_MODEL_DEFAULTS, WINDOWS_DEFAULTS, Config
from embedder.config_files import default_of, type_of

_MARKER = "<!-- configuration -->"
_NO_DEFAULT = re.compile(r"<td>(None|<code>(Sentinel\.UNSET|False|\(\))</code>)</td>")
"""What mkdocs-click shows for options without a default, depending on Click's version."""


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Replace the marker in a page with the reference."""
    return markdown.replace(_MARKER, configuration_reference())


def on_page_content(html: str, **_: Any) -> str:
    """Show a dash for options of commands that have no default."""
    return _NO_DEFAULT.sub("<td>–</td>", html)


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


def _type(field: FieldInfo) -> str:
    return type_of(field.annotation, "`")


def _default(field: FieldInfo) -> str:
    found = default_of(field)
    return found if found == "required" or found == "–" else f"`{found}`"
