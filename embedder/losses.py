"""Output losses behind one interface: what a batch costs, exactly, and a training step's share.

`softmax` and `class-softmax` cost what they train on. The sampled ones train on a few candidates;
their exact cost, for validation, is the cross-entropy of the whole softmax over the same logits.
"""

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from embedder.arrays import Array
from embedder.config import LossConfig
from embedder.vocabulary import cut_evenly

if TYPE_CHECKING:
    from embedder.kernels.optimizer import Rule
    from embedder.kernels.softmax import OutputMoments, Targets
    from embedder.network import Parameters
    from embedder.optimizer import Optimizer

_ALIKE: Array = np.empty(0, np.float32)
"""Rates of rows: all learn at the full one."""


class Loss(Protocol):
    """The output layer's part of a step."""

    def log_likelihoods(
        self, features: Array, parameters: "Parameters", targets: "Targets"
    ) -> Array:
        """Return Σ_c y_bc log ŷ_bc for each example, (B,) float64, by the whole softmax."""

    def training_loss(
        self, features: Array, parameters: "Parameters", targets: "Targets", number: int
    ) -> float:
        """Return what step `number` minimises, summed over the batch, without taking the step."""

    def step(
        self,
        features: Array,
        parameters: "Parameters",
        targets: "Targets",
        optimizer: "Optimizer",
        rules: dict[str, "Rule"],
        number: int,
        d_features: Array,
    ) -> float:
        """Move W2 and b2, set ∂J/∂h (B, H) and return the batch's loss in nats.

        Parameters
        ----------
        features : (B, H)
            The output layer's input h.
        parameters
            W2 and b2 are changed; ∂J/∂h is taken before that.
        targets
            B sparse rows; the sampled losses want one target each.
        optimizer
            Holds the moments.
        rules
            The optimizer's for this step.
        number
            The step's number, from 0.
        d_features : (B, H)
            Receives ∂J/∂h.
        """


class Softmax:
    """The exact softmax, fused with the optimizer.

    Parameters
    ----------
    parameters
        Their sizes.
    batch_size
        The largest B.
    parts
        How many threads share the work.
    """

    def __init__(self, parameters: "Parameters", batch_size: int, parts: int) -> None:
        from embedder.kernels.softmax import new_workspace

        C, features = parameters.W2.shape
        dtype = parameters.W2.dtype.type
        self.workspace = new_workspace(C, features, batch_size, parts, dtype)

    def training_loss(
        self, features: Array, parameters: "Parameters", targets: "Targets", number: int = 0
    ) -> float:
        """See `Loss`; the batch's cross-entropy."""
        from embedder.kernels.softmax import softmax_loss

        return float(softmax_loss(features, parameters.W2, parameters.b2, targets, self.workspace))

    def log_likelihoods(
        self, features: Array, parameters: "Parameters", targets: "Targets"
    ) -> Array:
        """See `Loss`."""
        self.training_loss(features, parameters, targets)
        B = len(features)
        logits = self.workspace.target_logits[:, :B].sum(axis=0)
        return np.asarray(logits - targets.totals * self.workspace.log_sums[:B])

    def step(
        self,
        features: Array,
        parameters: "Parameters",
        targets: "Targets",
        optimizer: "Optimizer",
        rules: dict[str, "Rule"],
        number: int,
        d_features: Array,
    ) -> float:
        """See `Loss`."""
        from embedder.kernels.softmax import OutputMoments

        moments = OutputMoments(*output_moments(optimizer))
        return self.move(features, parameters, targets, rules["W2"], moments, d_features)

    def move(
        self,
        features: Array,
        parameters: "Parameters",
        targets: "Targets",
        rule: "Rule",
        moments: "OutputMoments",
        d_features: Array,
    ) -> float:
        """Take the step with these moments of W2 and b2; the rest as for `step`."""
        loss = self.training_loss(features, parameters, targets)
        self.finish(parameters, targets, rule, moments, d_features)
        return loss

    def finish(
        self,
        parameters: "Parameters",
        targets: "Targets",
        rule: "Rule",
        moments: "OutputMoments",
        d_features: Array,
    ) -> None:
        """Take the step of a batch whose `training_loss` has just been taken."""
        from embedder.kernels.softmax import softmax_step

        W2, b2 = parameters.W2, parameters.b2
        softmax_step(W2, b2, targets, self.workspace, rule, moments, d_features)


def output_moments(optimizer: "Optimizer") -> list[Array]:
    """Return the first and second moments of W2, and then those of b2."""
    return [m[name] for name in ("W2", "b2") for m in (optimizer.first, optimizer.second)]


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
        parameters: "Parameters",
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

    def log_likelihoods(
        self, features: Array, parameters: "Parameters", targets: "Targets"
    ) -> Array:
        """See `Loss`."""
        if self._exact is None:
            self._exact = Softmax(parameters, self._batch_size, self._parts)
        return self._exact.log_likelihoods(features, parameters, targets)

    def training_loss(
        self, features: Array, parameters: "Parameters", targets: "Targets", number: int
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
        parameters: "Parameters",
        targets: "Targets",
        optimizer: "Optimizer",
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
        parameters: "Parameters",
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


class ClassSoftmax:
    """A softmax in two levels: a class of words, then a word of it.

    The rows of W2 beyond the vocabulary's are those of the classes.

    Parameters
    ----------
    counts : (V,)
        How often each word stands in the corpus, most frequent first; see `class_starts`.
    parameters
        Their sizes, with a row of W2 for every word and then for every class.
    batch_size
        The largest B.
    parts
        How many threads share the work.
    """

    def __init__(
        self, counts: Array, parameters: "Parameters", batch_size: int, parts: int
    ) -> None:
        from embedder.kernels.gather import new_groups

        self._words = len(counts)
        self._first_level = Softmax(self._of_classes(parameters), batch_size, parts)
        classes = len(parameters.W2) - self._words
        self._starts = class_starts(counts, classes)
        self._class_of = np.repeat(np.arange(classes, dtype=np.int32), np.diff(self._starts))
        self._groups = new_groups(classes, batch_size)
        self._parts = parts

    def log_likelihoods(
        self, features: Array, parameters: "Parameters", targets: "Targets"
    ) -> Array:
        """See `Loss`."""
        from embedder.kernels.classes import score_within_classes

        classes = self._classes(targets)
        found = self._first_level.log_likelihoods(features, self._of_classes(parameters), classes)
        arguments, within = self._second_level(features, parameters, targets, classes)
        score_within_classes(*arguments)
        return found + within

    def training_loss(
        self, features: Array, parameters: "Parameters", targets: "Targets", number: int
    ) -> float:
        """See `Loss`."""
        return -float(self.log_likelihoods(features, parameters, targets).sum())

    def step(
        self,
        features: Array,
        parameters: "Parameters",
        targets: "Targets",
        optimizer: "Optimizer",
        rules: dict[str, "Rule"],
        number: int,
        d_features: Array,
    ) -> float:
        """See `Loss`."""
        from embedder.kernels.classes import step_within_classes
        from embedder.kernels.softmax import OutputMoments

        classes = self._classes(targets)
        moments = output_moments(optimizer)
        of_classes = OutputMoments(*(array[self._words :] for array in moments))
        loss = self._first_level.move(
            features, self._of_classes(parameters), classes, rules["W2"], of_classes, d_features
        )
        arguments, within = self._second_level(features, parameters, targets, classes)
        # The classes' own rows move at every step; their visits count those of their words.
        visits = optimizer.visits["W2"][self._words :]
        visits[np.unique(classes.columns)] += 1
        rule, corrections = rules["W2 rows"], optimizer.corrections["W2"]
        arguments += (rule, corrections, visits, OutputMoments(*moments), d_features)
        step_within_classes(*arguments)
        return loss - float(within.sum())

    def _of_classes(self, parameters: "Parameters") -> "Parameters":
        W2, b2 = parameters.W2[self._words :], parameters.b2[self._words :]
        return parameters._replace(W2=W2, b2=b2)

    def _classes(self, targets: "Targets") -> "Targets":
        return targets._replace(columns=self._class_of[targets.columns])

    def _second_level(
        self, features: Array, parameters: "Parameters", targets: "Targets", classes: "Targets"
    ) -> tuple[tuple[Any, ...], Array]:
        """Group the examples by class; return both kernels' first arguments, and the last of these.

        This receives each example's w log p(word | class).
        """
        from embedder.kernels.gather import group_places

        found = group_places(classes.columns[classes.starts], self._groups)
        words = targets.columns[targets.starts]
        W2, b2 = parameters.W2, parameters.b2
        within = np.empty(len(features))
        arguments = (
            features, W2, b2, words, targets.totals, self._starts, self._groups, found,
            self._parts, within,
        )  # fmt: skip
        return arguments, within


def class_starts(counts: Array, classes: int) -> Array:
    """Cut the vocabulary into classes of consecutive words, (classes + 1,) int64.

    Each has about the same share of Σ √count: few words where these are frequent (Mikolov et al.
    2011 cut by √count as well).

    Parameters
    ----------
    counts : (V,)
        Most frequent first.
    classes
        At most V; none is empty.
    """
    return cut_evenly(np.sqrt(np.maximum(counts, 1)), classes)


def with_class_rows(config: LossConfig, counts: Array, parameters: "Parameters") -> "Parameters":
    """Return parameters with a row of W2 and b2 for each class, if the loss has classes."""
    if config.name != "class-softmax":
        return parameters
    V = len(counts)
    starts = class_starts(counts, config.classes or int(np.ceil(np.sqrt(V))))
    shares = np.add.reduceat(np.maximum(counts, 1), starts[:-1]) / np.maximum(counts, 1).sum()
    W2, b2 = parameters.W2, parameters.b2
    rows = np.zeros((len(shares), W2.shape[1]), W2.dtype)
    return parameters._replace(
        W2=np.concatenate([W2, rows]), b2=np.concatenate([b2, np.log(shares).astype(b2.dtype)])
    )


def proposal_of(config: LossConfig, counts: Array) -> Array:
    """Return what candidates are drawn from, (V,) float64: probabilities."""
    if config.proposal == "log-uniform":
        shares = np.log1p(1.0 / np.arange(1, len(counts) + 1))
    else:
        shares = np.maximum(counts, 1).astype(np.float64) ** config.power
    return np.asarray(shares / shares.sum())


def make_loss(
    config: LossConfig,
    counts: Array,
    parameters: "Parameters",
    batch_size: int,
    parts: int,
    seed: int,
) -> Loss:
    """Return the loss that a configuration names; see `Sampled` for the parameters."""
    if config.name == "softmax":
        return Softmax(parameters, batch_size, parts)
    if config.name == "class-softmax":
        return ClassSoftmax(counts, parameters, batch_size, parts)
    return Sampled(config, counts, parameters, batch_size, parts, seed)
