"""The configurations and question files that come with the package."""

from pathlib import Path

PACKAGE = Path(__file__).parent
_BESIDE = ("configs/", "data/")


def resource(path: str) -> Path | None:
    """Return a file such as `configs/quickstart.yaml`; None if there is none.

    A wheel has them in the package, a checkout beside it.
    """
    folders = (PACKAGE, PACKAGE.parent) if path.startswith(_BESIDE) else (PACKAGE,)
    for folder in folders:
        found = (folder / path).resolve()
        if found.is_file() and found.is_relative_to(folder.resolve()):
            return found
    return None
