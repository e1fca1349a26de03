"""Results of an experiment: metrics by setting, as tables, plots and the best setting."""

import csv
import io
import math
import re
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from embedder.errors import ConfigError
from embedder.storage import write_atomically

LOWER_IS_BETTER = ("perplexity", "seconds")


class Row(NamedTuple):
    """The results of one setting: the values of each metric, one per seed."""

    setting: dict[str, Any]
    metrics: dict[str, list[float]]

    def mean(self, metric: str) -> float:
        """Return the mean over seeds; NaN without values."""
        values = self.metrics.get(metric)
        return statistics.fmean(values) if values else math.nan

    def deviation(self, metric: str) -> float:
        """Return the sample standard deviation over seeds; NaN for fewer than two."""
        values = self.metrics.get(metric, [])
        return statistics.stdev(values) if len(values) > 1 else math.nan


def best_row(rows: Sequence[Row], metric: str) -> Row | None:
    """Return the setting with the best mean; None if runs have no metric but seconds.

    Raises
    ------
    ConfigError
        If runs have other metrics, but none has this one.
    """
    known = [row for row in rows if not math.isnan(row.mean(metric))]
    if not known:
        names = metric_names(rows)
        if names == ["seconds"]:
            return None
        raise ConfigError(f"best_by: no run has {metric}; expected one of {', '.join(names)}.")
    better = min if metric in LOWER_IS_BETTER else max
    return better(known, key=lambda row: row.mean(metric))


def metric_names(rows: Sequence[Row]) -> list[str]:
    """Return the metrics of all rows, seconds last."""
    names = dict.fromkeys(name for row in rows for name in row.metrics)
    return [name for name in names if name != "seconds"] + ["seconds"]


def setting_keys(rows: Sequence[Row]) -> list[str]:
    """Return the keys that settings change."""
    return list(dict.fromkeys(key for row in rows for key in row.setting))


def as_cells(rows: Sequence[Row]) -> tuple[list[str], list[list[str]]]:
    """Return a heading and rows of text: the setting, then mean ± standard deviation."""
    keys, names = setting_keys(rows), metric_names(rows)
    cells = [
        [*(str(row.setting.get(key, "")) for key in keys), *(_cell(row, name) for name in names)]
        for row in rows
    ]
    return [*keys, *names], cells


def _cell(row: Row, metric: str) -> str:
    mean, deviation = row.mean(metric), row.deviation(metric)
    digits = 1 if metric in LOWER_IS_BETTER else 3
    if math.isnan(mean):
        return "–"
    return f"{mean:.{digits}f}" + ("" if math.isnan(deviation) else f" ± {deviation:.{digits}f}")


def as_markdown(rows: Sequence[Row]) -> str:
    """Return the results as a Markdown table."""
    heading, cells = as_cells(rows)
    lines = [heading, ["---"] * len(heading), *cells]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def as_csv(rows: Sequence[Row]) -> str:
    """Return the results as CSV: mean, standard deviation and number of runs of each metric."""
    keys, names = setting_keys(rows), metric_names(rows)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*keys, *(f"{name}{of}" for name in names for of in ("", " sd", " runs"))])
    for row in rows:
        figures: list[Any] = []
        for name in names:
            figures += [row.mean(name), row.deviation(name), len(row.metrics.get(name, []))]
        writer.writerow([*(row.setting.get(key, "") for key in keys), *figures])
    return text.getvalue()


def plot_results(rows: Sequence[Row], folder: Path) -> None:
    """Plot each metric against each key with several values, if Altair is installed."""
    try:
        import vl_convert

        from embedder.reporting.charts import metric_against_key, specification
    except ImportError:
        return
    for key in setting_keys(rows):
        numbers = all(_is_number(row.setting[key]) for row in rows if key in row.setting)
        for name in metric_names(rows):
            points = [
                (
                    row.setting[key] if numbers else str(row.setting[key]),
                    row.mean(name),
                    row.deviation(name),
                    _others(row, key),
                )
                for row in rows
                if key in row.setting and not math.isnan(row.mean(name))
            ]
            if len({value for value, *_ in points}) < 2:
                continue
            drawn = specification(metric_against_key(key, name, points))
            folder.mkdir(parents=True, exist_ok=True)
            file = f"{re.sub(r'[^A-Za-z0-9.-]+', '-', f'{name}-against-{key}')}.svg"
            write_atomically(folder / file, vl_convert.vegalite_to_svg(drawn).encode())


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _others(row: Row, key: str) -> str:
    return ", ".join(f"{name} {value}" for name, value in row.setting.items() if name != key)
