"""Print the oldest version of each dependency that pyproject.toml allows.

    python scripts/minimum_versions.py > oldest.txt
    pip install -c oldest.txt .

The output is a pip constraints file; it includes the extras that the tests install.
"""

import re
import tomllib
from pathlib import Path


def minimum_versions(pyproject: str) -> list[str]:
    """Return "name==version" for each dependency "name>=version", with environment markers."""
    project = tomllib.loads(pyproject)["project"]
    extras = project["optional-dependencies"]
    installed = ("report", "index", "tracking", "search", "tables", "sklearn")
    dependencies = project["dependencies"] + [d for name in installed for d in extras[name]]
    return [re.sub(r">=", "==", dependency, count=1) for dependency in dependencies]


if __name__ == "__main__":
    root = Path(__file__).parent.parent
    print(*minimum_versions((root / "pyproject.toml").read_text(encoding="utf-8")), sep="\n")
