"""Print the oldest version of each run-time dependency that pyproject.toml allows.

    python scripts/minimum_versions.py > oldest.txt
    pip install -c oldest.txt .

In the form that pip takes as constraints.
"""

import re
import tomllib
from pathlib import Path


def minimum_versions(pyproject: str) -> list[str]:
    """Return "name==version" for each dependency "name>=version"; environment markers stay."""
    dependencies = tomllib.loads(pyproject)["project"]["dependencies"]
    return [re.sub(r">=", "==", dependency, count=1) for dependency in dependencies]


if __name__ == "__main__":
    root = Path(__file__).parent.parent
    print(*minimum_versions((root / "pyproject.toml").read_text(encoding="utf-8")), sep="\n")
