"""Settings proposed by Optuna, each from the results of earlier ones; poor trials are pruned."""

import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from embedder.errors import EmbedderError

_STUDY = "embedder"


class Pruned(Exception):  # noqa: N818 - not an error
    """A trial was stopped because others were better at that point."""


class Trial(NamedTuple):
    """A setting to try.

    ``number``
        Counted from 0, over all starts of the experiment.
    ``listen``
        To be called with each line of metrics; raises `Pruned` to stop the trial.
    ``finish``
        To be called with the mean of the metric, or with None if the trial was pruned.
    """

    number: int
    setting: dict[str, Any]
    listen: Callable[[dict[str, Any]], None]
    finish: Callable[[float | None], None]


def trials(
    folder: Path, keys: dict[str, Any], count: int, seed: int, pruning: bool, maximise: bool
) -> Iterator[Trial]:
    """Propose settings until `count` were tried, including those of earlier starts.

    Parameters
    ----------
    folder
        Folder of Optuna's journal.
    keys
        Choices by dotted key: a list of values, or a `Range`.
    count
        Total number of settings to try.
    seed
        Seed of the sampler.
    pruning
        Whether to stop trials whose validation loss is worse than the median of the others.
    maximise
        Whether a higher metric is better.

    Raises
    ------
    EmbedderError
        If Optuna is not installed.
    """
    optuna = _library()
    states = optuna.trial.TrialState
    folder.mkdir(parents=True, exist_ok=True)
    study = optuna.create_study(
        storage=_storage(optuna, folder),
        study_name=_STUDY,
        load_if_exists=True,
        direction="maximize" if maximise else "minimize",
        pruner=optuna.pruners.MedianPruner() if pruning else optuna.pruners.NopPruner(),
    )
    for begun in study.get_trials(states=(states.RUNNING,)):  # an earlier start was interrupted
        study.tell(begun.number, state=states.FAIL)
        study.enqueue_trial(begun.params)
    # A sampler does not save its state: another seed avoids repeating an earlier start's draws.
    study.sampler = optuna.samplers.TPESampler(seed=seed + len(study.get_trials()))
    while len(study.get_trials(states=(states.COMPLETE, states.PRUNED))) < count:
        trial = study.ask()
        setting = {key: _suggest(trial, key, choices) for key, choices in keys.items()}
        yield Trial(
            trial.number,
            setting,
            _listener(trial, pruning, maximise),
            _finisher(study, trial, states),
        )


def complete_settings(folder: Path, keys: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the settings of the completed trials, in the order of the trials."""
    optuna = _library()
    study = optuna.load_study(study_name=_STUDY, storage=_storage(optuna, folder))
    complete = study.get_trials(states=(optuna.trial.TrialState.COMPLETE,))
    found = [
        {
            key: json.loads(value) if isinstance(keys[key], list) else value
            for key, value in trial.params.items()
        }
        for trial in complete
    ]
    return [setting for i, setting in enumerate(found) if setting not in found[:i]]


def _storage(optuna: Any, folder: Path) -> Any:
    from optuna.storages.journal import JournalFileBackend

    return optuna.storages.JournalStorage(JournalFileBackend(str(folder / "optuna.log")))


def _library() -> Any:
    try:
        import optuna
    except ImportError:
        raise EmbedderError(
            "optuna: not installed; run: pip install 'exact-embedder[search]'."
        ) from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def _suggest(trial: Any, key: str, choices: Any) -> Any:
    if isinstance(choices, list):
        # Optuna's categories are numbers or strings; ours may be lists, so encode them as JSON.
        return json.loads(trial.suggest_categorical(key, [json.dumps(value) for value in choices]))
    if choices.whole:
        low, high = math.ceil(choices.low), math.floor(choices.high)
        return trial.suggest_int(key, low, high, log=choices.log)
    return trial.suggest_float(key, choices.low, choices.high, log=choices.log)


def _listener(trial: Any, pruning: bool, maximise: bool) -> Callable[[dict[str, Any]], None]:
    def listen(line: dict[str, Any]) -> None:
        if pruning and "validation_loss" in line:
            loss = line["validation_loss"]
            trial.report(-loss if maximise else loss, line["step"])
            if trial.should_prune():
                raise Pruned

    return listen


def _finisher(study: Any, trial: Any, states: Any) -> Callable[[float | None], None]:
    def finish(value: float | None) -> None:
        if value is None:
            study.tell(trial, state=states.PRUNED)
        else:
            study.tell(trial, value)

    return finish
