"""Learning-rate schedule and the optimizer's state."""

from typing import TYPE_CHECKING

import numpy as np

from embedder.arrays import Array
from embedder.config import TrainingConfig

if TYPE_CHECKING:
    from embedder.kernels.optimizer import Rule
    from embedder.network import Parameters

_ADAM_DECAYS = (0.9, 0.999)
_ADAM_ROW_DECAYS = (0.5, 0.9)
"""A row of the embedding table gets few steps, often one a pass: its averages must be short."""
_EPSILON = 1e-8


def rate_at(step: int, steps: int, config: TrainingConfig) -> float:
    """Return the learning rate of a step, counted from 0.

    Linear warm-up from 1/(w + 1) over the first w steps, times linear decay from 1 to
    `final_rate_fraction` over all of them.
    """
    warmup = min(1.0, (step + 1) / (config.warmup_steps + 1))
    progress = step / max(1, steps - 1)
    decay = 1.0 - progress * (1.0 - config.final_rate_fraction)
    return config.learning_rate * warmup * decay


class Optimizer:
    """Moments of every parameter, and the rules of each step.

    Parameters
    ----------
    parameters
        What is trained; the moments take its shapes.
    config
        The kind of optimizer and the factors on the rate.
    gradients_only
        Leave the parameters alone and the gradients in `moments`' first half, for checks.
    """

    def __init__(
        self, parameters: "Parameters", config: TrainingConfig, gradients_only: bool = False
    ) -> None:
        from embedder.kernels import optimizer as kernels

        kinds = {"sgd": kernels.SGD, "adagrad": kernels.ADAGRAD, "adam": kernels.ADAM}
        self.kind = kernels.GRADIENT if gradients_only else kinds[config.optimizer]
        self._config = config
        with_first = self.kind in (kernels.ADAM, kernels.GRADIENT)
        with_second = self.kind in (kernels.ADAM, kernels.ADAGRAD)
        self.first = _moments(parameters, with_first)
        self.second = _moments(parameters, with_second)
        self.visits = np.zeros(len(parameters.E), np.int32)

    def rules(self, step: int, rate: float) -> dict[str, "Rule"]:
        """Return each parameter's rule at a step, counted from 0, whose schedule says `rate`."""
        from embedder.kernels.optimizer import ADAM, Rule

        first, second = _ADAM_DECAYS
        correction = 1.0
        if self.kind == ADAM:
            correction = float(np.sqrt(1.0 - second ** (step + 1)) / (1.0 - first ** (step + 1)))
        output = Rule(self.kind, rate * correction, first, second, _EPSILON)
        hidden = output._replace(rate=output.rate * self._config.hidden_rate_factor)
        # Rows correct by their own count of steps, in the kernel.
        rows = Rule(
            self.kind, rate * self._config.embedding_rate_factor, *_ADAM_ROW_DECAYS, _EPSILON
        )
        return {"E": rows, "W1": hidden, "b1": hidden, "W2": output, "b2": output}

    def state(self) -> dict[str, Array]:
        """Return every array that a resumed run needs, by name; they are not copied."""
        arrays = {f"first.{name}": array for name, array in self.first.items()}
        arrays |= {f"second.{name}": array for name, array in self.second.items()}
        return arrays | {"visits": self.visits}

    def restore(self, arrays: dict[str, Array]) -> None:
        """Take over what `state` returned.

        Raises
        ------
        KeyError, ValueError
            If arrays are missing or of other shapes.
        """
        for name, array in self.state().items():
            array[...] = arrays[name]


def _moments(parameters: "Parameters", wanted: bool) -> dict[str, Array]:
    # An empty array has as many axes, so that a kernel is compiled once for all optimizers.
    return {
        name: np.zeros_like(array) if wanted else np.zeros((0,) * array.ndim, array.dtype)
        for name, array in parameters._asdict().items()
    }
