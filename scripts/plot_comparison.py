"""Plot what `scripts/compare.py` found: analogy accuracy against time, one panel per corpus.

python scripts/plot_comparison.py small.json large.json --titles "17 M" "182 M" --plot out.png
"""

import argparse
import json
from pathlib import Path
from typing import Any

TICKS = (10, 20, 50, 100, 200, 500, 1000, 2000)
PEERS = {
    "gensim CBOW": "tab:blue",
    "gensim skip-gram": "tab:orange",
    "fastText CBOW": "tab:green",
    "fastText skip-gram": "tab:purple",
}


def draw(axes: Any, rows: list[dict[str, Any]], title: str) -> None:
    """Draw the accuracy among most words against wall-clock seconds."""
    measure = [name for name in rows[0]["scores"] if name.startswith("analogies")][-1]
    for name in [*PEERS, "embedder"]:
        own = sorted(
            (row["seconds"], row["scores"][measure]) for row in rows if row["system"] == name
        )
        if not own:
            continue
        ours = name == "embedder"
        axes.plot(
            [seconds for seconds, _ in own],
            [accuracy for _, accuracy in own],
            "o-",
            linewidth=2.5 if ours else 1.2,
            color="tab:red" if ours else PEERS[name],
            label=name,
            zorder=3 if ours else 2,
        )
    seconds = [row["seconds"] for row in rows]
    ticks = [tick for tick in TICKS if min(seconds) / 1.5 <= tick <= max(seconds) * 1.5]
    axes.set(xscale="log", xlabel="wall-clock seconds, whole process", title=title)
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.xaxis.set_minor_formatter(lambda *_: "")
    axes.set_ylim(0, 1.1 * max(row["scores"][measure] for row in rows))
    axes.grid(alpha=0.3)


def main() -> None:
    """Read the files and write the plot."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("results", type=Path, nargs="+")
    parser.add_argument("--titles", nargs="+", required=True)
    parser.add_argument("--plot", type=Path, required=True)
    options = parser.parse_args()

    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    panels = len(options.results)
    figure, axes = plt.subplots(
        1, panels, figsize=(4.6 * panels, 3.8), layout="constrained", squeeze=False
    )
    for own, path, title in zip(axes[0], options.results, options.titles, strict=True):
        draw(own, json.loads(path.read_text(encoding="utf-8")), title)
    axes[0][0].set_ylabel("analogy accuracy")
    axes[0][0].legend(loc="lower right")
    figure.savefig(options.plot, dpi=150)


if __name__ == "__main__":
    main()
