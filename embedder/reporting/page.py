"""The page as one file: a template, a style sheet, scripts and data, and nothing from elsewhere.

The content security policy of the page names the hash of each script and of the style sheet, so
that nothing else can run, and forbids loading anything. Words enter the page as escaped text or
JSON.
"""

import base64
import hashlib
import json
from collections.abc import Sequence
from importlib.resources import files
from typing import Any, NamedTuple

from embedder.errors import EmbedderError
from embedder.reporting.landmarks import COLOURS
from embedder.version import __version__

SCRIPTS = (
    *("dom", "model", "camera", "points", "labels", "map", "pointers", "pictures"),
    *("search", "panel", "charts", "main"),
)
"""Names of the page's scripts, each of which uses those before it."""


class PageChart(NamedTuple):
    """A chart's name, which is that of its files, and its title."""

    name: str
    title: str


class PageSection(NamedTuple):
    """A part of the page below the explorer: a heading and any of the other fields."""

    heading: str
    about: str = ""
    header: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()
    charts: Sequence[PageChart] = ()
    summary: str = ""
    text: str = ""


class Page(NamedTuple):
    """The contents of a page.

    ``models``
        One or two, from `explorer_data`.
    ``charts``
        Vega-Lite specifications by name.
    ``differences``
        Words and the overlap of their neighbourhoods in both models, the least first.
    ``embedded``
        Whether the page is shown in a frame, which leaves out the lead and the footer.
    """

    title: str
    lead: str
    models: Sequence[dict[str, Any]]
    examples: Sequence[str]
    sections: Sequence[PageSection] = ()
    charts: dict[str, Any] | None = None
    differences: Sequence[tuple[str, float]] = ()
    differences_about: str = ""
    embedded: bool = False


def render(page: Page, vega: str = "") -> str:
    """Return the page as HTML.

    Parameters
    ----------
    page
        What it contains.
    vega
        The Vega libraries as a script, if there are charts.

    Raises
    ------
    EmbedderError
        If Jinja is not installed.
    """
    try:
        from jinja2 import Environment, PackageLoader, StrictUndefined
        from markupsafe import Markup
    except ImportError:
        raise EmbedderError(
            "A page of words needs jinja2; run: pip install 'exact-embedder[report]'."
        ) from None
    folder = files("embedder.reporting").joinpath("page")
    sources = {
        name: folder.joinpath(name).read_text(encoding="utf-8")
        for name in ("style.css", *(f"{script}.js" for script in ("theme", *SCRIPTS)))
    }
    own = '"use strict";\n' + "\n".join(sources[f"{name}.js"] for name in SCRIPTS)
    scripts = [vega.replace("</script", "<\\/script")] * bool(vega) + [own]
    hashed = " ".join(_hash(script) for script in (sources["theme.js"], *scripts))
    environment = Environment(
        loader=PackageLoader("embedder.reporting", "page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html").render(
        page._asdict()
        | {
            "about": _about(page.models),
            "names": [model["name"] for model in page.models],
            "searched": len({word for model in page.models for word in model["words"]}),
            "data": Markup(_data(page)),
            "style": Markup(sources["style.css"]),
            "style_hash": Markup(_hash(sources["style.css"])),
            "theme": Markup(sources["theme.js"]),
            "scripts": [Markup(script) for script in scripts],
            "script_hashes": Markup(hashed),
            "version": __version__,
        }
    )


def _hash(text: str) -> str:
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return f"'sha256-{digest}'"


def _data(page: Page) -> str:
    shown = {
        "models": page.models,
        "examples": list(page.examples),
        "charts": page.charts,
        "differences": [{"word": word, "overlap": share} for word, share in page.differences],
        "colours": COLOURS,
    }
    # Escape every "<", so that no word can end the script element or begin a comment in it.
    text = json.dumps(shown, ensure_ascii=False, separators=(",", ":"))
    return text.replace("<", "\\u003c")


def _about(models: Sequence[dict[str, Any]]) -> str:
    """Return a sentence about which words are on the map, and which in the page."""
    mapped, model = models[0]["map"]["count"], models[0]
    included, total = len(model["words"]), model["total"]
    text = f"The map shows the {mapped:,} most frequent words"
    text = text if mapped < total else f"The map shows all {mapped:,} words"
    if included < total:
        text += f"; search and neighbours know the {included:,} most frequent of {total:,}"
    elif mapped < total:
        text += f"; search and neighbours know all {total:,}"
    return text + ". Similarities are cosines of vectors rounded to 8 bits."
