"""The charts of a report, as Vega-Lite specifications built with Altair.

The same chart is drawn in the page, in the colours of the page's theme, and as PNG and SVG.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import altair as alt
import numpy as np

from embedder.arrays import Array
from embedder.evaluation.analogies import AnalogyResult
from embedder.evaluation.bootstrap import Difference
from embedder.evaluation.changes import Trajectory
from embedder.evaluation.similarity import Judgement

Chart: TypeAlias = Any
"""An Altair chart, single or layered; `Any`, because the library is only partly typed."""
Lines: TypeAlias = Sequence[dict[str, Any]]
"""The metrics of a run, a dictionary for each time they were written."""
_WIDTH, _HEIGHT = 460, 290
_ROW_HEIGHT = 18
_INK = "#344054"
_CATEGORIES = ["#3b5b92", "#c8553d", "#228833", "#aa3377"]
"""Colours of series in pictures; the page has as many of its own."""
_DASHES = [[1, 0], [7, 3], [2, 3]]
"""Dashes of lines, to tell apart those of one colour."""
MOST_LINES = len(_CATEGORIES) * len(_DASHES)
"""Number of lines in a chart that can be told apart."""


def losses(runs: Mapping[str, Lines]) -> Chart:
    """Draw the training loss, and the validation loss if there is one, against passes."""
    values = []
    for name, lines in runs.items():
        for key, curve in (("loss", "training"), ("validation_loss", "validation")):
            label = curve if len(runs) == 1 else f"{name}, {curve}"
            values += [
                {"pass": line["pass"], "nats": line[key], "text": label}
                for line in lines
                if key in line
            ]
    return (
        _chart(values)
        .mark_line(point=alt.OverlayMarkDef(size=14))
        .encode(
            x=alt.X("pass:Q", title="passes"),
            y=alt.Y("nats:Q", title="loss (nats per word)", scale=alt.Scale(zero=False)),
            color=_series(values, "text"),
            tooltip=[_tip("text:N", "curve"), _tip("pass:Q"), _tip("nats:Q", "nats", ".4f")],
        )
        .properties(width=_WIDTH, height=_HEIGHT, title="Loss")
    )


def throughput(runs: Mapping[str, Lines]) -> Chart:
    """Draw examples per second, averaged since the start of training, against seconds."""
    values = [
        {
            "seconds": line["seconds"],
            "words": line["words_per_second"],
            "pass": line["pass"],
            "model": name,
        }
        for name, lines in runs.items()
        for line in lines
    ]
    return (
        _chart(values)
        .mark_line(point=alt.OverlayMarkDef(size=14))
        .encode(
            x=alt.X("seconds:Q", title="seconds of training"),
            y=alt.Y("words:Q", title="examples per second (mean so far)"),
            color=_series(values, "model"),
            tooltip=[
                _tip("seconds:Q", "seconds", ".1f"),
                _tip("words:Q", "examples per second", ",.0f"),
                _tip("pass:Q", "passes", ".2f"),
            ],
        )
        .properties(width=_WIDTH, height=_HEIGHT, title="Throughput")
    )


def analogies(results: Mapping[str, AnalogyResult]) -> Chart:
    """Draw the accuracy of every section and the total, with 95 % intervals, for each model."""
    values = list(_accuracies(results))
    one = len(results) == 1
    base = _chart(values).encode(
        y=alt.Y("section:N", sort=None, title=None, axis=alt.Axis(labelLimit=220)),
        tooltip=[
            _tip("model:N"),
            _tip("section:N"),
            _tip("accuracy:Q", "accuracy", ".3f"),
            _tip("correct:Q"),
            _tip("questions:Q"),
        ],
    )
    if not one:
        base = base.encode(yOffset=alt.YOffset("model:N", sort=None))
    bars = base.mark_bar().encode(
        x=alt.X("accuracy:Q", title="accuracy", scale=alt.Scale(domain=[0, 1])),
        color=alt.Color("kind:N", legend=None) if one else _series(values, "model"),
    )
    intervals = base.mark_rule(strokeWidth=1.5, style="ink").encode(x="low:Q", x2="high:Q")
    return (bars + intervals).properties(
        width=_WIDTH, height=_ROW_HEIGHT * max(1, len(values)) + 70, title="Analogies"
    )


def _accuracies(results: Mapping[str, AnalogyResult]) -> Iterator[dict[str, Any]]:
    for model, result in results.items():
        for name, score in {**result.sections(), "total": result.total()}.items():
            low, high = score.interval()
            if score.questions:
                yield {
                    "model": model,
                    "section": name,
                    "kind": "total" if name == "total" else "section",
                    "accuracy": score.accuracy,
                    "low": low,
                    "high": high,
                    "correct": score.correct,
                    "questions": score.questions,
                }


def differences(found: Mapping[str, Difference | None], first: str, second: str) -> Chart:
    """Draw the difference of two models on each task, with its paired 95 % interval."""
    values = [
        {
            "task": name,
            "difference": pair.difference,
            "low": pair.interval[0],
            "high": pair.interval[1],
            "first": pair.first,
            "second": pair.second,
            "items": pair.items,
        }
        for name, pair in found.items()
        if pair is not None
    ]
    base = _chart(values).encode(
        y=alt.Y("task:N", sort=None, title=None, axis=alt.Axis(labelLimit=220)),
        tooltip=[
            _tip("task:N"),
            _tip("first:Q", first, ".3f"),
            _tip("second:Q", second, ".3f"),
            _tip("difference:Q", "difference", "+.3f"),
            _tip("items:Q"),
        ],
    )
    scale = alt.Scale(nice=True)
    title = f"{second} − {first}"
    intervals = base.mark_rule(strokeWidth=2, style="ink").encode(
        x=alt.X("low:Q", title=title, scale=scale), x2="high:Q"
    )
    points = base.mark_point(filled=True, size=70, opacity=1).encode(
        x="difference:Q", color=alt.Color("kind:N", legend=None)
    )
    none = _chart([{"zero": 0}]).mark_rule(style="guide", strokeDash=[4, 3]).encode(x="zero:Q")
    return (none + intervals + points).properties(
        width=_WIDTH, height=_ROW_HEIGHT * max(1, len(values)) + 70, title="Paired differences"
    )


def similarity(
    name: str, judgements: Sequence[Judgement], cosines: Mapping[str, Array], found: str
) -> Chart:
    """Draw the cosines of each model against human ratings; the title shows `found`."""
    values = [
        {
            "score": pair.score,
            "cosine": float(cosine),
            "pair": f"{pair.first} – {pair.second}",
            "model": model,
        }
        for model, own in cosines.items()
        for pair, cosine in zip(judgements, own, strict=True)
        if not math.isnan(cosine)
    ]
    return (
        _chart(values)
        .mark_circle(opacity=0.55, size=30)
        .encode(
            x=alt.X("score:Q", title="human rating"),
            y=alt.Y("cosine:Q", title="cosine"),
            color=_series(values, "model"),
            tooltip=[
                _tip("pair:N"),
                _tip("score:Q"),
                _tip("cosine:Q", "cosine", ".3f"),
                _tip("model:N"),
            ],
        )
        .properties(width=_WIDTH, height=_HEIGHT, title=f"{name} ({found})")
    )


class Lengths(NamedTuple):
    """Words, their counts (n,) int64, and the lengths of their vectors (n,)."""

    words: Sequence[str]
    counts: Array
    lengths: Array


def norms(models: Mapping[str, Lengths]) -> Chart:
    """Draw the length of each word's vector against the word's count."""
    values = [
        {"word": word, "count": int(count), "length": float(length), "model": name}
        for name, model in models.items()
        for word, count, length in zip(*model, strict=True)
        if count > 0  # the axis is logarithmic
    ]
    return (
        _chart(values)
        .mark_circle(opacity=0.4, size=16)
        .encode(
            x=alt.X("count:Q", title="count in the corpus", scale=alt.Scale(type="log")),
            y=alt.Y("length:Q", title="length of the vector", scale=alt.Scale(zero=False)),
            color=_series(values, "model"),
            tooltip=[_tip("word:N"), _tip("count:Q", "count", ",d"), _tip("length:Q", "", ".3f")],
        )
        .properties(width=_WIDTH, height=_HEIGHT, title="Frequency and vector length")
    )


def trajectories(paths: Sequence[Trajectory]) -> Chart:
    """Draw how far the vector of each word moves from slice to slice, one line per word.

    Parameters
    ----------
    paths
        At most `MOST_LINES` words, in the same slices. A line has a gap where its word does not
        occur.
    """
    values = [
        {"word": path.word, "slice": name, "cosine": cosine, "count": count}
        for path in paths
        for name, cosine, count in zip(path.slices, path.cosines, path.counts, strict=True)
    ]
    dashes = [dash for dash in _DASHES for _ in _CATEGORIES]
    legend = alt.Legend(
        title=None,
        orient="top",
        columns=len(_CATEGORIES),
        labelLimit=80,
        symbolType="stroke",  # a piece of the line, which shows its dashes
        symbolSize=500,
    )
    return (
        _chart(values)
        .mark_line(point=alt.OverlayMarkDef(size=24))
        .encode(
            x=alt.X("slice:O", sort=None, axis=alt.Axis(title=None, labelAngle=-35)),
            y=alt.Y("cosine:Q", title="cosine with the first slice", scale=alt.Scale(zero=False)),
            color=alt.Color("word:N", sort=None, legend=legend),
            strokeDash=alt.StrokeDash(
                "word:N", sort=None, legend=legend, scale=alt.Scale(range=dashes)
            ),
            tooltip=[
                _tip("word:N"),
                _tip("slice:O"),
                _tip("cosine:Q", "cosine", ".3f"),
                _tip("count:Q", "count", ",d"),
            ],
        )
        .properties(width=_WIDTH, height=_HEIGHT, title="Words that changed")
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


def _series(values: Sequence[dict[str, Any]], field: str) -> alt.Color:
    """Return the colours of series; a legend only if there are several."""
    several = len({value[field] for value in values}) > 1
    legend = alt.Legend(title=None, orient="top", labelLimit=240) if several else None
    return alt.Color(f"{field}:N", sort=None, legend=legend)


def specification(chart: Chart) -> dict[str, Any]:
    """Return a chart as JSON-compatible values, as it is drawn as a picture."""
    themed = chart.configure(background="white").configure_axis(
        gridColor="#e4e7ec", domainColor="#98a2b3", tickColor="#98a2b3", labelColor=_INK
    )
    themed = themed.properties(autosize=alt.AutoSizeParams(type="fit", contains="padding"))
    themed = themed.configure_view(stroke=None).configure_title(anchor="start", fontSize=14)
    found: dict[str, Any] = themed.to_dict()
    found["config"]["range"] = {"category": _CATEGORIES}
    found["config"]["style"] = {"ink": {"color": _INK}, "guide": {"color": "#98a2b3"}}
    return found


def page_specification(chart: Chart) -> dict[str, Any]:
    """Return a chart for the page, which sets its title, its width and its colours."""
    found: dict[str, Any] = chart.to_dict()
    found.pop("config", None)  # Altair's size, which would override that of the page
    found["description"] = f"Chart: {found.pop('title')}"
    found["autosize"] = {"type": "fit-x", "contains": "padding"}
    return found | {"width": "container"}


def log_spaced_sample(size: int, wanted: int) -> Array:
    """Return at most `wanted` indices below `size`, evenly spaced on a logarithmic scale."""
    if size <= wanted:
        return np.arange(size)
    return np.unique(np.geomspace(1, size, wanted).astype(np.int64) - 1)
