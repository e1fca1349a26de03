"""The charts of a report, as Vega-Lite specifications built with Altair.

The same specification is rendered in the page, where it is interactive, and as PNG and SVG.
"""

import math
from collections.abc import Sequence
from typing import Any, TypeAlias

import altair as alt
import numpy as np

from embedder.arrays import Array
from embedder.evaluation.analogies import AnalogyResult
from embedder.evaluation.similarity import Judgement

Chart: TypeAlias = Any
"""An Altair chart, single or layered; `Any`, because the library is only partly typed."""
_WIDTH, _HEIGHT = 460, 290
_MAP_WIDTH, _MAP_HEIGHT = 940, 620
_WORDS_LABELLED = 60
_INK, _ACCENT, _FOUND = "#3b5b92", "#c8553d", "#d1006c"


def losses(lines: Sequence[dict[str, Any]]) -> Chart:
    """Draw the training loss, and the validation loss if there is one, against passes."""
    training = [{"pass": line["pass"], "nats": line["loss"], "text": "training"} for line in lines]
    held_out = [
        {"pass": line["pass"], "nats": line["validation_loss"], "text": "validation"}
        for line in lines
        if "validation_loss" in line
    ]
    colours = alt.Scale(domain=["training", "validation"], range=[_INK, _ACCENT])
    return (
        _chart(training + held_out)
        .mark_line(point=alt.OverlayMarkDef(size=14))
        .encode(
            x=alt.X("pass:Q", title="passes"),
            y=alt.Y("nats:Q", title="loss (nats per word)", scale=alt.Scale(zero=False)),
            color=alt.Color(
                "text:N",
                scale=colours,
                legend=alt.Legend(title=None, orient="top-right") if held_out else None,
            ),
            tooltip=[_tip("text:N", "curve"), _tip("pass:Q"), _tip("nats:Q", "nats", ".4f")],
        )
        .properties(width=_WIDTH, height=_HEIGHT, title="Loss")
    )


def throughput(lines: Sequence[dict[str, Any]]) -> Chart:
    """Draw examples per second, averaged since the start of training, against seconds."""
    values = [
        {"seconds": line["seconds"], "words": line["words_per_second"], "pass": line["pass"]}
        for line in lines
    ]
    return (
        _chart(values)
        .mark_line(color=_INK, point=alt.OverlayMarkDef(size=14, color=_INK))
        .encode(
            x=alt.X("seconds:Q", title="seconds of training"),
            y=alt.Y("words:Q", title="examples per second (mean so far)"),
            tooltip=[
                _tip("seconds:Q", "seconds", ".1f"),
                _tip("words:Q", "examples per second", ",.0f"),
                _tip("pass:Q", "passes", ".2f"),
            ],
        )
        .properties(width=_WIDTH, height=_HEIGHT, title="Throughput")
    )


def analogies(result: AnalogyResult) -> Chart:
    """Draw the accuracy of every section and the total, with 95 % intervals."""
    values = []
    for name, score in {**result.sections(), "total": result.total()}.items():
        low, high = score.interval()
        if score.questions:
            values.append(
                {
                    "section": name,
                    "accuracy": score.accuracy,
                    "low": low,
                    "high": high,
                    "correct": score.correct,
                    "questions": score.questions,
                }
            )
    base = _chart(values).encode(
        y=alt.Y("section:N", sort=None, title=None, axis=alt.Axis(labelLimit=260)),
        tooltip=[
            _tip("section:N"),
            _tip("accuracy:Q", "accuracy", ".3f"),
            _tip("correct:Q"),
            _tip("questions:Q"),
        ],
    )
    bars = base.mark_bar().encode(
        x=alt.X("accuracy:Q", title="accuracy", scale=alt.Scale(domain=[0, 1])),
        color=alt.condition("datum.section === 'total'", alt.value(_ACCENT), alt.value(_INK)),
    )
    intervals = base.mark_rule(strokeWidth=1.5).encode(x="low:Q", x2="high:Q")
    return (bars + intervals).properties(
        width=_WIDTH, height=18 * max(1, len(values)) + 70, title="Analogies"
    )


def similarity(name: str, judgements: Sequence[Judgement], cosines: Array, found: str) -> Chart:
    """Draw cosines against human ratings, one point per pair; the title shows `found`."""
    values = [
        {"score": pair.score, "cosine": float(cosine), "pair": f"{pair.first} – {pair.second}"}
        for pair, cosine in zip(judgements, cosines, strict=True)
        if not math.isnan(cosine)
    ]
    return (
        _chart(values)
        .mark_circle(color=_INK, opacity=0.5, size=30)
        .encode(
            x=alt.X("score:Q", title="human rating"),
            y=alt.Y("cosine:Q", title="cosine"),
            tooltip=[_tip("pair:N"), _tip("score:Q"), _tip("cosine:Q", "cosine", ".3f")],
        )
        .properties(width=_WIDTH, height=_HEIGHT, title=f"{name} ({found})")
    )


def norms(words: Sequence[str], counts: Array, lengths: Array) -> Chart:
    """Draw the length of each word's vector against the word's count."""
    values = [
        {"word": word, "count": int(count), "length": float(length)}
        for word, count, length in zip(words, counts, lengths, strict=True)
    ]
    return (
        _chart(values)
        .mark_circle(color=_INK, opacity=0.35, size=14)
        .encode(
            x=alt.X("count:Q", title="count in the corpus", scale=alt.Scale(type="log")),
            y=alt.Y("length:Q", title="length of the vector", scale=alt.Scale(zero=False)),
            tooltip=[_tip("word:N"), _tip("count:Q", "count", ",d"), _tip("length:Q", "", ".3f")],
        )
        .properties(width=_WIDTH, height=_HEIGHT, title="Frequency and vector length")
    )


def word_map(words: Sequence[str], places: Array, groups: Array, title: str) -> Chart:
    """Draw words in the plane; in a page, the map can be searched, hovered, dragged and zoomed.

    Parameters
    ----------
    words
        Most frequent first; the first sixty are labelled.
    places : (n, 2) float
        Coordinates of the words.
    groups : (n,) int
        Groups of the words, which give the points their colours.
    title
        Title of the chart.
    """
    values = [
        {"word": word, "x": float(x), "y": float(y), "group": int(group), "rank": i + 1}
        for i, (word, (x, y), group) in enumerate(zip(words, places, groups, strict=True))
    ]
    search = alt.param(
        name="search",
        value="",
        bind=alt.BindInput(input="search", name="Find words starting with ", placeholder="word"),
    )
    begins = "search && lower(slice(datum.word, 0, length(search))) === lower(search)"
    base = _chart(values).encode(
        x=alt.X("x:Q", axis=None, scale=alt.Scale(zero=False)),
        y=alt.Y("y:Q", axis=None, scale=alt.Scale(zero=False)),
    )
    points = base.mark_circle().encode(
        color=alt.condition(
            begins,
            alt.value(_FOUND),
            alt.Color("group:N", legend=None, scale=alt.Scale(scheme="tableau20")),
        ),
        size=alt.condition(begins, alt.value(110), alt.value(28)),
        opacity=alt.condition(f"!search || ({begins})", alt.value(0.75), alt.value(0.12)),
        tooltip=[_tip("word:N"), _tip("rank:Q", "rank by frequency")],
    )
    labelled = f"search ? ({begins}) : datum.rank <= {_WORDS_LABELLED}"
    labels = base.mark_text(align="left", dx=6, fontSize=11).encode(
        text=alt.condition(labelled, alt.Text("word:N"), alt.value(""))
    )
    return (
        (points.interactive() + labels)
        .add_params(search)
        .properties(width=_MAP_WIDTH, height=_MAP_HEIGHT, title=title)
    )


def metric_against_key(
    key: str, metric: str, points: Sequence[tuple[float | str, float, float, str]]
) -> Chart:
    """Draw an experiment's metric against a key, one line per setting of the other keys.

    Parameters
    ----------
    key, metric
        Names of the key and the metric.
    points
        The key's value (all numbers, or all text), the metric's mean and standard deviation (NaN
        for none), and the settings of the other keys.
    """
    values = [
        {
            "x": x,
            "mean": mean,
            "low": mean - (0 if math.isnan(deviation) else deviation),
            "high": mean + (0 if math.isnan(deviation) else deviation),
            "others": others or "all",
        }
        for x, mean, deviation, others in points
    ]
    several = len({value["others"] for value in values}) > 1
    base = _chart(values).encode(
        x=alt.X("x:Q", title=key, scale=alt.Scale(zero=False))
        if all(not isinstance(value, str) for value, *_ in points)
        else alt.X("x:N", title=key, sort=None),
        color=alt.Color("others:N", legend=alt.Legend(title=None) if several else None),
    )
    lines = base.mark_line(point=True).encode(
        y=alt.Y("mean:Q", title=metric, scale=alt.Scale(zero=False))
    )
    bars = base.mark_rule().encode(y="low:Q", y2="high:Q")
    return (lines + bars).properties(width=_WIDTH + 160, height=_HEIGHT, title=metric)


def _chart(values: Sequence[dict[str, Any]]) -> Chart:
    return alt.Chart(alt.Data(values=values))  # type: ignore[no-untyped-call]


def _tip(field: str, title: str = "", pattern: str = "") -> alt.Tooltip:
    return alt.Tooltip(
        field,
        title=title or field.partition(":")[0],
        format=pattern or alt.Undefined,
    )


def specification(chart: Chart) -> dict[str, Any]:
    """Return a chart as JSON-compatible values, in the theme shared by all charts."""
    themed = chart.configure(background="white").configure_axis(
        gridColor="#e4e7ec", domainColor="#98a2b3", tickColor="#98a2b3", labelColor="#344054"
    )
    themed = themed.properties(autosize=alt.AutoSizeParams(type="fit", contains="padding"))
    themed = themed.configure_view(stroke=None).configure_title(anchor="start", fontSize=14)
    found: dict[str, Any] = themed.to_dict()
    return found


def log_spaced_sample(size: int, wanted: int) -> Array:
    """Return at most `wanted` indices below `size`, evenly spaced on a logarithmic scale."""
    if size <= wanted:
        return np.arange(size)
    return np.unique(np.geomspace(1, size, wanted).astype(np.int64) - 1)
