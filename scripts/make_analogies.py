"""Turn word pairs into analogy questions.

    python scripts/make_analogies.py data/bible-pairs.txt data/bible-analogies.txt

The input has sections, ": name", with lines "a b"; # begins a comment. Every ordered pair of lines
in a section gives a question "a b c d" in the format of Google's analogy set.
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from itertools import permutations
from pathlib import Path

Pairs = Mapping[str, Sequence[tuple[str, str]]]


def read_pairs(text: str) -> Pairs:
    """Return the pairs of each section."""
    sections: dict[str, list[tuple[str, str]]] = {}
    name = "pairs"
    for line in text.splitlines():
        words = line.split("#")[0].split()
        if not words:
            continue
        if words[0] == ":":
            name = words[1]
        else:
            a, b = words
            sections.setdefault(name, []).append((a, b))
    return sections


def question_lines(pairs: Pairs) -> Iterator[str]:
    """Yield the lines of an analogy file."""
    for name, section in pairs.items():
        yield f": {name}\n"
        for (a, b), (c, d) in permutations(section, 2):
            yield f"{a} {b} {c} {d}\n"


if __name__ == "__main__":
    source, target = map(Path, sys.argv[1:])
    target.write_text(
        "".join(question_lines(read_pairs(source.read_text(encoding="utf-8")))), encoding="utf-8"
    )
