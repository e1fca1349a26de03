"""Losses over sampled candidates: sampled softmax, negative sampling and NCE."""

from typing import TYPE_CHECKING

import numpy as np

from embedder.arrays import Array
from embedder.config import LossConfig
from embedder.network.optimizer import Optimizer
from embedder.network.parameters import Parameters

if TYPE_CHECKING:
    from embedder.kernels.optimizer import Rule
    from embedder.kernels.softmax import Targets
from embedder.network.losses.softmax import Softmax

_ALIKE: Array = np.empty(0, np.float32)
"""Rates of rows: all learn at the full one."""


class Sampled:
    """Sampled softmax, negative sampling or NCE with candidates that the batch shares.

    Parameters
    ----------
    config
        Which of them, how many candidates, and what these are drawn from.
    counts : (V,)
        How often each word stands in the corpus, most frequent first.
    parameters
        Their sizes.
    batch_size
        The largest B.
    parts
        How many threads share the work.
    seed
        With the step's number it decides the candidates.
    """

    def __init__(
        self,
        config: LossConfig,
        counts: Array,
        parameters: Parameters,
        batch_size: int,
        parts: int,
        seed: int,
    ) -> None:
        from embedder.kernels import sampled as kernels
        from embedder.kernels.gather import new_groups

        kinds = {
            "sampled-softmax": kernels.SAMPLED_SOFTMAX,
            "negative-sampling": kernels.NEGATIVE_SAMPLING,
            "nce": kernels.NCE,
        }
        V, H = parameters.W2.shape
        dtype = parameters.W2.dtype.type
        S = config.samples
        self._kind = kinds[config.name]
        self._share = config.negatives / S
        self._batch_size = batch_size
        self._parts = parts
        self._seed = seed
        self.proposal = proposal_of(config, counts)
        self._ends = np.cumsum(self.proposal)
        scale = {"sampled-softmax": float(S), "nce": config.negatives}.get(config.name)
        corrections = np.log(scale * self.proposal) if scale else np.zeros(V)
        self._corrections = corrections.astype(dtype)
        # The target of sampled softmax is no sample: nothing corrects for how often it is drawn.
        of_targets = np.zeros(V) if config.name == "sampled-softmax" else corrections
        self._target_corrections = of_targets.astype(dtype)
        self._groups = new_groups(V, batch_size + S)
        self._samples = S
        self._d_rows = np.empty((batch_size + S, H), dtype)
        self._d_bias = np.empty((batch_size + S, 1), dtype)
        self._exact: Softmax | None = None

    def log_likelihoods(self, features: Array, parameters: Parameters, targets: "Targets") -> Array:
        """See `Loss`."""
        if self._exact is None:
            self._exact = Softmax(parameters, self._batch_size, self._parts)
        return self._exact.log_likelihoods(features, parameters, targets)

    def training_loss(
        self, features: Array, parameters: Parameters, targets: "Targets", number: int
    ) -> float:
        """See `Loss`."""
        d_features = np.empty_like(features)
        return self._differentiate(features, parameters, targets, number, d_features)[0]

    def draw(self, number: int) -> Array:
        """Return the candidates of a step, (S,) int32."""
        rng = np.random.default_rng([self._seed, number])
        places = np.searchsorted(self._ends, rng.random(self._samples) * self._ends[-1], "right")
        return np.asarray(places, np.int32)

    def step(
        self,
        features: Array,
        parameters: Parameters,
        targets: "Targets",
        optimizer: Optimizer,
        rules: dict[str, "Rule"],
        number: int,
        d_features: Array,
    ) -> float:
        """See `Loss`."""
        from embedder.kernels.gather import count_visits, group_places, step_rows
        from embedder.kernels.optimizer import Moments

        loss, places = self._differentiate(features, parameters, targets, number, d_features)
        d_rows, d_bias = self._d_rows[: len(places)], self._d_bias[: len(places)]
        W2, b2 = parameters.W2, parameters.b2
        found = group_places(places, self._groups)
        visits = optimizer.visits["W2"]
        count_visits(self._groups, found, visits)
        for table, gradient, name in ((W2, d_rows, "W2"), (b2[:, None], d_bias, "b2")):
            moments = Moments(
                optimizer.first[name].reshape(-1, table.shape[1]),
                optimizer.second[name].reshape(-1, table.shape[1]),
            )
            step_rows(
                table,
                self._groups,
                found,
                gradient,
                1,
                moments,
                visits,
                _ALIKE,
                rules[f"{name} rows"],
                optimizer.corrections["W2"],
                self._parts,
            )
        return loss

    def _differentiate(
        self,
        features: Array,
        parameters: Parameters,
        targets: "Targets",
        number: int,
        d_features: Array,
    ) -> tuple[float, Array]:
        """Return the loss and the words, targets and candidates, that `_d_rows` belong to."""
        from embedder.kernels.sampled import sampled_gradients

        words, candidates = targets.columns[targets.starts], self.draw(number)
        n = len(words) + len(candidates)
        loss = sampled_gradients(
            self._kind,
            features,
            parameters.W2,
            parameters.b2,
            words,
            targets.totals,
            candidates,
            self._target_corrections[words],
            self._corrections[candidates],
            self._share,
            self._parts,
            d_features,
            self._d_rows[:n],
            self._d_bias[:n],
        )
        return float(loss), np.concatenate([words, candidates])


def proposal_of(config: LossConfig, counts: Array) -> Array:
    """Return what candidates are drawn from, (V,) float64: probabilities."""
    if config.proposal == "log-uniform":
        shares = np.log1p(1.0 / np.arange(1, len(counts) + 1))
    else:
        shares = np.maximum(counts, 1).astype(np.float64) ** config.power
    return np.asarray(shares / shares.sum())
