"""Losses over sampled candidates: sampled softmax, negative sampling and NCE."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from embedder.arrays import Array
from embedder.config_sections.network import LossConfig
from embedder.network.losses.softmax import Softmax
from embedder.network.optimizer import StepContext

if TYPE_CHECKING:
    from embedder.kernels.sampled import Sample, SampledGradients
    from embedder.kernels.softmax import Targets


class SampledLoss:
    """Sampled softmax, negative sampling or NCE with candidates that the batch shares; a `Loss`.

    Parameters
    ----------
    config
        The loss, the number of candidates, and the distribution that they are drawn from.
    counts : (V,)
        How often each word occurs in the corpus, most frequent first.
    W2 : (V, H), b2 : (V,)
        The output layer; changed in place by a step.
    batch_size
        The largest B.
    seed
        Determines the candidates, together with the step's number.
    """

    def __init__(
        self,
        config: LossConfig,
        counts: Array,
        W2: Array,
        b2: Array,
        batch_size: int,
        seed: int,
    ) -> None:
        from embedder.kernels import sampled as kernels
        from embedder.kernels.gather import new_groups

        kinds = {
            "sampled-softmax": kernels.SAMPLED_SOFTMAX,
            "negative-sampling": kernels.NEGATIVE_SAMPLING,
            "nce": kernels.NCE,
        }
        V, H = W2.shape
        S = config.samples
        self._W2, self._b2 = W2, b2
        self.kind = kinds[config.name], config.negatives / S
        """The kind and the weight of a noise word, as for `embedder.kernels.sampled`."""
        self._batch_size = batch_size
        self._seed = int(np.random.default_rng(seed).integers(1 << 62))
        self._samples = S
        self.proposal = proposal_probabilities(config, counts)
        self._ends = np.cumsum(self.proposal)
        scale = {"sampled-softmax": float(S), "nce": config.negatives}.get(config.name)
        corrections = np.log(scale * self.proposal) if scale else np.zeros(V)
        self._corrections = corrections.astype(W2.dtype)
        # Sampled softmax always includes the target, so that its logit needs no correction.
        of_targets = np.zeros(V) if config.name == "sampled-softmax" else corrections
        self._target_corrections = of_targets.astype(W2.dtype)
        self._groups = new_groups(V, batch_size + S)
        self._gradients = kernels.SampledGradients(
            np.empty((batch_size, H), W2.dtype),
            np.empty((batch_size + S, H), W2.dtype),
            np.empty((batch_size + S, 1), W2.dtype),
        )
        self._exact: Softmax | None = None

    def log_likelihoods(self, features: Array, targets: "Targets") -> Array:
        """See `Loss`."""
        if self._exact is None:
            self._exact = Softmax(self._W2, self._b2, self._batch_size)
        return self._exact.log_likelihoods(features, targets)

    def training_loss(self, features: Array, targets: "Targets", number: int) -> float:
        """See `Loss`."""
        return self._differentiate(features, targets, number)[0]

    def draw(self, number: int, steps: int = 1) -> Array:
        """Return the candidates of a step, or of successive ones, (steps · S,) int32."""
        from embedder.kernels.sampled import draw_candidates

        drawn = np.empty(steps * self._samples, np.int32)
        draw_candidates(self._ends, self._seed, number * self._samples, drawn)
        return drawn

    def sample(self, targets: "Targets", number: int) -> "Sample":
        """Return the targets, one per example, and the candidates of a step."""
        from embedder.kernels.sampled import Sample

        words, weights, candidates, of_words, of_candidates = self.samples([targets], number)
        return Sample(words, weights, candidates[0], of_words, of_candidates[0])

    def samples(self, targets: Sequence["Targets"], number: int) -> "Sample":
        """Return the same for n successive steps; candidates and their corrections are (n, S)."""
        from embedder.kernels.sampled import Sample

        words = np.concatenate([own.columns[own.starts] for own in targets])
        weights = np.concatenate([own.totals for own in targets])
        candidates = self.draw(number, len(targets)).reshape(len(targets), self._samples)
        corrections = self._target_corrections[words], self._corrections[candidates]
        return Sample(words, weights, candidates, *corrections)

    def step(
        self, features: Array, targets: "Targets", context: StepContext
    ) -> tuple[float, Array]:
        """See `Loss`."""
        from embedder.kernels.gather import count_visits, group_places, step_rows

        loss, sample, gradients = self._differentiate(features, targets, context.number)
        rows = np.concatenate([sample.targets, sample.candidates])
        found = group_places(rows, self._groups)
        count_visits(0, found, self._groups, context.optimizer.visits["W2"])
        for name, table, gradient in (
            ("W2", self._W2, gradients.rows),
            ("b2", self._b2[:, None], gradients.bias),
        ):
            step_rows(table, self._groups, found, gradient, 1, context.row_steps(name))
        return loss, gradients.features

    def _differentiate(
        self, features: Array, targets: "Targets", number: int
    ) -> tuple[float, "Sample", "SampledGradients"]:
        """Return the loss, the targets and candidates, and the gradients."""
        from embedder.kernels.sampled import SampledGradients, sampled_gradients

        sample = self.sample(targets, number)
        B = len(sample.targets)
        n = B + len(sample.candidates)
        d_features, d_rows, d_bias = self._gradients
        gradients = SampledGradients(d_features[:B], d_rows[:n], d_bias[:n])
        layer = features, self._W2, self._b2
        loss = sampled_gradients(*self.kind, layer, sample, gradients)
        return loss, sample, gradients


def proposal_probabilities(config: LossConfig, counts: Array) -> Array:
    """Return the probabilities with which candidates are drawn, (V,) float64."""
    if config.proposal == "log-uniform":
        shares = np.log1p(1.0 / np.arange(1, len(counts) + 1))
    else:
        shares = np.maximum(counts, 1).astype(np.float64) ** config.power
    return np.asarray(shares / shares.sum())
