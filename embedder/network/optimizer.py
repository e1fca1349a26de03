"""Learning-rate schedule and the optimizer's state."""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from embedder.arrays import Array
from embedder.config_sections.training import TrainingConfig
from embedder.network.parameters import Parameters

if TYPE_CHECKING:
    from embedder.kernels.gather import RowSteps
    from embedder.kernels.optimizer import Rule


_ADAM_DECAYS = (0.9, 0.999)
_ADAM_ROW_DECAYS = (0.5, 0.9)
"""Short averages: when training on counts, a row of E gets few steps, often one per pass."""
_ADAFACTOR_DECAYS = (0.95, 0.999)
"""Of the factors of columns, averages over thousands of rows already, and of rows."""
_EPSILON = 1e-8
_TABLES = ("E", "W2", "b2")
_UNIFORM_RATES: Array = np.empty(0, np.float32)


def rate_at(step: int, progress: float, config: TrainingConfig) -> float:
    """Return the learning rate of a step, counted from 0, at a progress from 0 to 1.

    Linear warm-up from 1/(w + 1) over the first w steps, times linear decay from 1 to
    `final_rate_fraction` over the whole training.
    """
    warmup = min(1.0, (step + 1) / (config.warmup_steps + 1))
    decay = 1.0 - progress * (1.0 - config.final_rate_fraction)
    return config.learning_rate * warmup * decay


class StepContext(NamedTuple):
    """What every layer needs to perform its part of a training step.

    ``optimizer``
        Holds the moments.
    ``rules``
        The optimizer's rule for each parameter at this step.
    ``number``
        The step's number, from 0.
    """

    optimizer: "Optimizer"
    rules: dict[str, "Rule"]
    number: int

    def row_steps(self, name: str, rates: Array = _UNIFORM_RATES) -> "RowSteps":
        """Return how single rows of E, W2 or b2 are updated; b2 has a row for each entry.

        Parameters
        ----------
        name
            The parameter.
        rates : (V,) float32
            A factor on the rate of each row; empty if all are 1.
        """
        from embedder.kernels.gather import RowSteps
        from embedder.kernels.optimizer import Moments

        table = "E" if name == "E" else "W2"  # a word's rows of W2 and b2 are updated together
        rule = self.rules["E" if name == "E" else f"{name} rows"]
        halves = self.optimizer.first[name], self.optimizer.second[name]
        moments = Moments(*(half if half.ndim > 1 else half.reshape(-1, 1) for half in halves))
        visits, corrections = self.optimizer.visits[table], self.optimizer.corrections[table]
        columns = self.optimizer.columns[name]
        return RowSteps(moments, columns, visits, rates, rule, corrections)


class Optimizer:
    """Moments of every parameter, and the update rules of each step.

    Parameters
    ----------
    parameters
        The parameters to train; the moments have their shapes.
    config
        The kind of optimizer and the factors on the rate.
    source
        `examples.source`: for counts, Adam averages over fewer steps of a row of E, because each
        row gets few steps with little noise.
    gradients_only
        For checks: leave the parameters unchanged and store the gradients in `first`.
    """

    def __init__(
        self,
        parameters: Parameters,
        config: TrainingConfig,
        source: str = "cooccurrence",
        gradients_only: bool = False,
    ) -> None:
        from embedder.kernels import optimizer as kernels

        kinds = {
            "sgd": kernels.SGD,
            "adagrad": kernels.ADAGRAD,
            "adam": kernels.ADAM,
            "adafactor": kernels.ADAFACTOR,
        }
        self.kind = kernels.GRADIENT if gradients_only else kinds[config.optimizer]
        self._config = config
        with_first = self.kind in (kernels.ADAM, kernels.GRADIENT)
        with_second = self.kind in (kernels.ADAM, kernels.ADAGRAD)
        self.first = _moments(parameters, with_first)
        self.second = _moments(parameters, with_second)
        self.columns = {name: np.empty(0, parameters.E.dtype) for name in _TABLES}
        if self.kind == kernels.ADAFACTOR:
            self._factorise(parameters)
        self.visits = {
            name: np.zeros(len(table), np.int32)
            for name, table in (("E", parameters.E), ("W2", parameters.W2))
        }
        self._row_decays = {
            "E": _ADAM_DECAYS if source == "windows" else _ADAM_ROW_DECAYS,
            "W2": _ADAM_DECAYS,
        }
        self._correction = _bias_corrections(*_ADAM_DECAYS)
        self.corrections = {n: _bias_corrections(*d) for n, d in self._row_decays.items()}
        if self.kind == kernels.ADAFACTOR:
            self._row_decays = dict.fromkeys(self._row_decays, _ADAFACTOR_DECAYS)
            own = _bias_corrections(0.0, _ADAFACTOR_DECAYS[1])
            self.corrections = dict.fromkeys(self.corrections, own)

    def _factorise(self, parameters: Parameters) -> None:
        """Replace the moments of tables by factors; W1 and b1 are small and keep Adam's."""
        for name in ("W1", "b1"):
            for moments in (self.first, self.second):
                moments[name] = np.zeros_like(getattr(parameters, name))
        for name in _TABLES:
            table = getattr(parameters, name)
            columns = table.shape[1] if table.ndim > 1 else 1
            self.second[name] = np.zeros((len(table), 1), table.dtype)
            self.columns[name] = np.ones(columns, table.dtype)

    def rules(self, step: int, rate: float) -> dict[str, "Rule"]:
        """Return each parameter's rule at a step, counted from 0, with scheduled rate `rate`.

        "W2 rows" and "b2 rows" are for losses that update only some rows, each by its own count of
        steps.
        """
        from embedder.kernels.optimizer import ADAFACTOR, ADAM, Rule

        kind = ADAM if self.kind == ADAFACTOR else self.kind
        correction = 1.0
        if kind == ADAM:
            correction = float(self._correction[min(step, len(self._correction) - 1)])
        config = self._config
        clip = config.clip_gradients or np.inf

        def rule(factor: float, decay: float = config.weight_decay) -> Rule:
            own = rate * factor
            return Rule(kind, own * correction, *_ADAM_DECAYS, _EPSILON, own * decay, clip)

        # The kernel corrects the bias of each row by the row's own count of steps.
        def of_rows(table: str, factor: float, decay: float = config.weight_decay) -> Rule:
            own, decays = rate * factor, self._row_decays[table]
            return Rule(self.kind, own, *decays, _EPSILON, own * decay, clip)

        return {
            "E": of_rows("E", config.embedding_rate_factor),
            "W1": rule(config.hidden_rate_factor),
            "b1": rule(config.hidden_rate_factor, 0.0),
            "W2": rule(1.0),
            "W2 rows": of_rows("W2", 1.0),
            "b2 rows": of_rows("W2", 1.0, 0.0),
        }

    def context(self, number: int, rate: float) -> StepContext:
        """Return the context of a step, counted from 0, with scheduled rate `rate`."""
        return StepContext(self, self.rules(number, rate), number)

    def state(self) -> dict[str, Array]:
        """Return every array that a resumed run needs, by name, uncopied."""
        arrays = {f"first.{name}": array for name, array in self.first.items()}
        arrays |= {f"second.{name}": array for name, array in self.second.items()}
        arrays |= {f"columns.{name}": array for name, array in self.columns.items()}
        return arrays | {f"visits.{name}": array for name, array in self.visits.items()}

    def restore(self, arrays: dict[str, Array]) -> None:
        """Restore arrays that `state` returned.

        Raises
        ------
        KeyError, ValueError
            If arrays are missing or have other shapes.
        """
        for name, array in self.state().items():
            array[...] = arrays[name]


def _bias_corrections(first: float, second: float) -> Array:
    """Return √(1 − β₂ᵗ)/(1 − β₁ᵗ) for t = 1, 2, … until it is 1 in float32 precision."""
    steps = np.arange(1, 2 + int(np.log(1e-8) / np.log(max(first, second))))
    return np.asarray(np.sqrt(1.0 - second**steps) / (1.0 - first**steps))


def _moments(parameters: Parameters, wanted: bool) -> dict[str, Array]:
    # Unused moments are empty but have the same number of axes, so that each kernel is compiled
    # once for all optimizers.
    return {
        name: np.zeros_like(array) if wanted else np.zeros((0,) * array.ndim, array.dtype)
        for name, array in parameters._asdict().items()
    }
