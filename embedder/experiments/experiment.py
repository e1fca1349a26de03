"""Many runs from one description: a grid, a list or a random sample of settings, and seeds.

    base: configs/quickstart.yaml         the configuration to vary
    overrides: {training.passes: 5}       changes for all runs
    grid:                                 every combination; or `list`, `random` or `optuna`
      network.dimension: [50, 100]
      examples.window: [2, 5]
    seeds: [1, 2, 3]                      values of training.seed
    best_by: analogies                    the metric that selects the best setting
    output: runs/study

Finished runs are skipped and an interrupted one is resumed: repeat the same command until the
experiment is complete.
"""

import hashlib
import itertools
import json
import math
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from embedder.config import Config
from embedder.config_files import describe_errors, make_config, read_yaml, set_key
from embedder.config_sections.section import Positive
from embedder.errors import ConfigError, RunError
from embedder.evaluation.suite import configured_tasks, evaluate
from embedder.examples.cache import Cache
from embedder.experiments.proposals import Pruned, complete_settings, trials
from embedder.experiments.results import (
    LOWER_IS_BETTER,
    Row,
    as_csv,
    as_markdown,
    best_row,
    plot_results,
)
from embedder.runs.checkpoint import load_model
from embedder.runs.replicate_folder import missing_replicates
from embedder.runs.run_folder import RunFolder
from embedder.storage import write_atomically
from embedder.text.sources import path_of
from embedder.training.tracking import Listener
from embedder.training.train import train
from embedder.vectors.from_run import load_vectors

_EVALUATION = "evaluation.json"
_MAX_NAME_LENGTH = 120


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Range(_Section):
    """A range of numbers to draw from."""

    low: float
    high: float
    log: bool = False
    """Draw uniformly in the logarithm."""
    whole: bool = False
    """Draw whole numbers only."""

    def draw(self, rng: np.random.Generator) -> float | int:
        """Return a random number of the range."""
        if self.log:
            value = math.exp(rng.uniform(math.log(self.low), math.log(self.high)))
        else:
            value = rng.uniform(self.low, self.high)
        return round(value) if self.whole else float(f"{value:.4g}")

    @model_validator(mode="after")
    def _is_a_range(self) -> "Range":
        if not self.low <= self.high or (self.log and self.low <= 0):
            raise ValueError("expected low ≤ high, and low > 0 with log")
        return self


class RandomSample(_Section):
    """Randomly drawn settings."""

    runs: Positive
    keys: Annotated[dict[str, list[Any] | Range], Field(min_length=1)]
    seed: Annotated[int, Field(ge=0)] = 0


class Search(_Section):
    """Settings that Optuna proposes."""

    trials: Positive
    keys: Annotated[dict[str, list[Any] | Range], Field(min_length=1)]
    seed: Annotated[int, Field(ge=0)] = 0
    pruning: bool = False
    """Stop trials early whose validation loss is worse than the median."""


class Experiment(_Section):
    """The contents of an experiment file."""

    base: str
    overrides: dict[str, Any] = {}
    grid: dict[str, Annotated[list[Any], Field(min_length=1)]] | None = None
    listed: Annotated[list[dict[str, Any]], Field(min_length=1)] | None = Field(None, alias="list")
    random: RandomSample | None = None
    optuna: Search | None = None
    seeds: Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)] = [1]
    best_by: str = "analogies"
    output: str

    @model_validator(mode="after")
    def _one_of_four(self) -> "Experiment":
        given = [self.grid, self.listed, self.random, self.optuna]
        if sum(part is not None for part in given) != 1:
            raise ValueError("expected one of grid, list, random and optuna")
        return self

    def all_settings(self) -> list[dict[str, Any]]:
        """Return the changes of every setting, by dotted key; empty if Optuna proposes them."""
        if self.optuna is not None:
            return []
        if self.grid is not None:
            keys = list(self.grid)
            combinations = itertools.product(*self.grid.values())
            return [dict(zip(keys, values, strict=True)) for values in combinations]
        if self.listed is not None:
            return list(self.listed)
        assert self.random is not None
        rng = np.random.default_rng(self.random.seed)
        return [
            {
                key: choices.draw(rng)
                if isinstance(choices, Range)
                else choices[int(rng.integers(len(choices)))]
                for key, choices in self.random.keys.items()
            }
            for _ in range(self.random.runs)
        ]


class Run(NamedTuple):
    """One run of an experiment: the changed keys, the seed and the whole configuration."""

    setting: dict[str, Any]
    seed: int
    config: Config


def load_experiment(path: Path) -> Experiment:
    """Read an experiment file.

    Raises
    ------
    ConfigError
        If it is missing, not YAML, or not a valid experiment.
    """
    try:
        return Experiment.model_validate(read_yaml(path))
    except ValidationError as error:
        raise ConfigError(f"{path}: {describe_errors(error, Experiment)}") from None


def plan(experiment: Experiment) -> list[Run]:
    """Return all runs, each with its own folder below the experiment's.

    Raises
    ------
    ConfigError
        If a setting gives an invalid configuration.
    """
    runs: dict[str, Run] = {}
    for setting in experiment.all_settings():
        for run in _runs_of(experiment, setting):
            runs.setdefault(run.config.output, run)  # a random sample may repeat a setting
    return list(runs.values())


def _runs_of(experiment: Experiment, setting: dict[str, Any]) -> list[Run]:
    """Return the runs of a setting, one per seed."""
    if "training.seed" in setting:
        raise ConfigError("training.seed: cannot be a setting; use the experiment's `seeds`.")
    runs = []
    for seed in experiment.seeds:
        tree = read_yaml(path_of(experiment.base))
        for key, value in {**experiment.overrides, **setting, "training.seed": seed}.items():
            set_key(tree, key, value)
        name = run_name(setting, seed)
        tree["output"] = str(Path(experiment.output) / name)
        runs.append(Run(setting, seed, make_config(tree, f"{experiment.base} with {name}")))
    return runs


def run_name(setting: dict[str, Any], seed: int) -> str:
    """Return a folder name that states the changes: letters, digits, dots, - and _ only."""
    parts = [f"{key.rpartition('.')[2]}-{value}" for key, value in setting.items()]
    whole = "_".join(parts)
    text = re.sub(r"[^A-Za-z0-9._-]+", "-", whole).strip(".")[:_MAX_NAME_LENGTH]
    if text != whole:  # another setting may have the same text
        digest = hashlib.sha256(json.dumps(setting, sort_keys=True, default=str).encode())
        text += f"_{digest.hexdigest()[:12]}"
    return f"{text}_seed-{seed}".lstrip("_")


def run_experiment(
    experiment: Experiment,
    tell: Callable[[str], None] = lambda line: None,
    quiet: bool = False,
    cache: Cache | None = None,
) -> list[Row]:
    """Complete and evaluate all runs, and write results, plots and the best configuration.

    Parameters
    ----------
    experiment
        The experiment to run.
    tell
        Called with a line of text about each run.
    quiet
        Whether to hide progress bars.
    cache
        The cache shared by the runs; the default one if None.

    Returns
    -------
    list of Row
        One row per setting, in the order of the experiment.

    Raises
    ------
    EmbedderError
        For errors that the user can fix; finished runs are retained.
    """
    shared = cache or Cache()
    if experiment.optuna is not None:
        runs = _search(experiment, experiment.optuna, tell, quiet, shared)
    else:
        runs = plan(experiment)
        for number, run in enumerate(runs, start=1):
            name = Path(run.config.output).name
            tell(f"[{number} of {len(runs)}] {name}: {_complete(run, quiet, shared)}")
    rows = collect(runs)
    folder = Path(experiment.output)
    write_atomically(folder / "results.csv", as_csv(rows).encode())
    write_atomically(folder / "results.md", as_markdown(rows).encode())
    best = best_row(rows, experiment.best_by)
    if best is not None:
        chosen = next(run for run in runs if run.setting == best.setting)
        config = chosen.config.model_copy(update={"output": str(folder / "best")})
        write_atomically(folder / "best.yaml", config.to_yaml().encode())
    plot_results(rows, folder / "plots")
    return rows


def _search(
    experiment: Experiment,
    search: Search,
    tell: Callable[[str], None],
    quiet: bool,
    cache: Cache,
) -> list[Run]:
    """Run the trials that Optuna proposes, and return the runs that were not pruned."""
    folder = Path(experiment.output)
    maximise = experiment.best_by not in LOWER_IS_BETTER
    proposed = trials(folder, search.keys, search.trials, search.seed, search.pruning, maximise)
    for trial in proposed:
        runs = _runs_of(experiment, trial.setting)
        label = f"[trial {trial.number + 1} of {search.trials}] {Path(runs[0].config.output).name}"
        if search.pruning and not _has_validation(runs[0].config):
            raise ConfigError("optuna.pruning: requires validation in `base` or `overrides`.")
        try:
            # The first seed decides whether a trial is pruned.
            done = [
                _complete(run, quiet, cache, [trial.listen] if run is runs[0] else [])
                for run in runs
            ]
        except Pruned:
            trial.finish(None)
            tell(f"{label}: pruned")
            continue
        (row,) = collect(runs)
        if best_row([row], experiment.best_by) is None:
            raise ConfigError(
                f"best_by: no run has {experiment.best_by}; a search requires `evaluation` or "
                "`validation`."
            )
        trial.finish(row.mean(experiment.best_by))
        tell(f"{label}: {done[0]}, {experiment.best_by} {row.mean(experiment.best_by):.3f}")
    settings = complete_settings(folder, search.keys)
    return [run for setting in settings for run in _runs_of(experiment, setting)]


def _has_validation(config: Config) -> bool:
    validation = config.validation
    return bool(validation.fraction or validation.files or validation.split)


def _complete(run: Run, quiet: bool, cache: Cache, listeners: Sequence[Listener] = ()) -> str:
    """Train and evaluate a run unless it is finished; return a status for the user."""
    folder = RunFolder(Path(run.config.output))
    done = "already finished"
    if folder.config.exists() and folder.read_config() != run.config:
        raise RunError(
            f"{folder.path}: contains a run with another configuration; choose another `output`, "
            "or remove the folder."
        )
    finished = folder.model.exists()
    if not finished or missing_replicates(run.config, folder.path):
        resume = finished or bool(folder.checkpoints())
        result = train(
            run.config,
            overwrite=folder.config.exists() and not resume,
            resume=resume,
            quiet=quiet,
            cache=cache,
            listeners=listeners,
        )
        done = f"trained in {sum(result.seconds.values()):.1f} s"
    if not (folder.path / _EVALUATION).exists():
        figures = json.dumps(_evaluate(run.config), indent=2)
        write_atomically(folder.path / _EVALUATION, figures.encode())
    return done


def _evaluate(config: Config) -> dict[str, float]:
    """Return a run's metrics by name."""
    path = Path(config.output)
    metadata = load_model(path).metadata
    found = {"seconds": float(sum(metadata["seconds"].values()))}
    if "validation_loss" in metadata:
        found["perplexity"] = math.exp(metadata["validation_loss"])
    wanted = config.evaluation
    if wanted.analogies or wanted.similarity:
        tasks = configured_tasks(wanted)
        results = evaluate(load_vectors(path), tasks, restrict_vocab=wanted.restrict_vocab)
        if results.analogies is not None:
            found["analogies"] = results.analogies.total().accuracy
        for name, result in results.similarity.items():
            if result.spearman is not None:
                found[name] = result.spearman
    return found


def collect(runs: Sequence[Run]) -> list[Row]:
    """Return the results of all settings, from the evaluation files of their runs.

    Raises
    ------
    RunError
        If an evaluation file is missing or damaged.
    """
    rows: dict[str, Row] = {}
    for run in runs:
        path = Path(run.config.output) / _EVALUATION
        try:
            figures = json.loads(path.read_text(encoding="utf-8"))
            figures = {str(name): float(value) for name, value in figures.items()}
        except (OSError, ValueError, AttributeError, TypeError) as error:
            raise RunError(
                f"{path}: missing or damaged ({error}); remove it, and repeat the command."
            ) from None
        row = rows.setdefault(json.dumps(run.setting, sort_keys=True), Row(run.setting, {}))
        for name, value in figures.items():
            row.metrics.setdefault(name, []).append(value)
    return list(rows.values())
