"""What README.md becomes on PyPI, where its relative links and images lead nowhere.

Hatchling calls this when it builds. Once `project.urls` in pyproject.toml has a `Repository`, links
and images lead to the files of the released version there; until then, images are left out, and of
links only the text remains.
"""

import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

_RELATIVE = r"\[([^]]*)\]\((?!https?:|#)([^)]+)\)"
_IMAGES = re.compile(rf":?\n\n!{_RELATIVE}$", re.MULTILINE)
_LINKS = re.compile(rf"(!?){_RELATIVE}")


class CustomMetadataHook(MetadataHookInterface):
    """Sets the project's long description."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Add the description to the metadata; hatchling has put the version there."""
        text = Path(self.root, "README.md").read_text(encoding="utf-8")
        repository = metadata.get("urls", {}).get("Repository")
        described = for_pypi(text, repository, metadata["version"])
        metadata["readme"] = {"content-type": "text/markdown", "text": described}


def for_pypi(text: str, repository: str | None, version: str) -> str:
    """Return Markdown without relative addresses.

    Parameters
    ----------
    text
        The Markdown, whose images are paragraphs of their own.
    repository
        The address at which `raw/TAG/PATH` and `blob/TAG/PATH` are files; None for none.
    version
        The release, whose tag is v and its number.
    """
    if repository is None:
        # A paragraph that introduces an image ends with a colon.
        text = _IMAGES.sub(lambda found: "." if found[0].startswith(":") else "", text)
        return _LINKS.sub(r"\2", text)

    def absolute(found: re.Match[str]) -> str:
        mark, name, path = found.groups()
        kind = "raw" if mark else "blob"
        return f"{mark}[{name}]({repository.rstrip('/')}/{kind}/v{version}/{path})"

    return _LINKS.sub(absolute, text)
