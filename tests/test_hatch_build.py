import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TEXT = """# A

Shown in [the docs](docs/a.md#b) and [elsewhere](https://e.org/x):

![A map](docs/a.png)

More, [below](#more).

![Alone](docs/b.webp)

End.
"""


@pytest.fixture(scope="module")
def for_pypi():
    pytest.importorskip("hatchling", reason="hatchling is not installed")
    spec = importlib.util.spec_from_file_location("hatch_build", ROOT / "hatch_build.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.for_pypi


def test_links_and_images_lead_to_the_release_in_the_repository(for_pypi):
    found = for_pypi(TEXT, "https://g.org/o/r/", "1.2")
    assert "[the docs](https://g.org/o/r/blob/v1.2/docs/a.md#b)" in found
    assert "[elsewhere](https://e.org/x):" in found
    assert "![A map](https://g.org/o/r/raw/v1.2/docs/a.png)" in found
    assert "[below](#more)" in found


def test_without_a_repository_images_are_left_out_and_the_text_of_links_stays(for_pypi):
    assert for_pypi(TEXT, None, "1.2") == (
        "# A\n\nShown in the docs and [elsewhere](https://e.org/x).\n\n"
        "More, [below](#more).\n\nEnd.\n"
    )


@pytest.mark.parametrize("repository", [None, "https://g.org/o/r"])
def test_readme_has_no_relative_addresses_on_pypi(for_pypi, repository):
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    relative = re.compile(r"\]\((?!https?:|#)")
    assert relative.search(text)
    found = for_pypi(text, repository, "1.2")
    assert not relative.search(found)
    assert found.count("![") == (0 if repository is None else text.count("!["))
