"""The two-level softmax: first a class of words, then a word of that class."""

from typing import TYPE_CHECKING

import numpy as np

from embedder.arrays import Array, cut_evenly
from embedder.config_sections.network import LossConfig
from embedder.network.losses.softmax import Softmax, output_moments
from embedder.network.optimizer import StepContext
from embedder.network.parameters import Parameters

if TYPE_CHECKING:
    from embedder.kernels.classes import SecondLevel
    from embedder.kernels.softmax import Targets


class ClassSoftmax:
    """A two-level softmax: first a class of words, then a word of that class; a `Loss`.

    Parameters
    ----------
    counts : (V,)
        How often each word occurs in the corpus, most frequent first; see `class_starts`.
    W2 : (V + classes, H), b2 : (V + classes,)
        The output layer, with one row per word, then one per class; changed in place by a step.
    batch_size
        The largest B.
    """

    def __init__(self, counts: Array, W2: Array, b2: Array, batch_size: int) -> None:
        from embedder.kernels.gather import new_groups

        self._W2, self._b2 = W2, b2
        self._words = len(counts)
        self._first_level = Softmax(W2[self._words :], b2[self._words :], batch_size)
        classes = len(W2) - self._words
        self._starts = class_starts(counts, classes)
        self._class_of = np.repeat(np.arange(classes, dtype=np.int32), np.diff(self._starts))
        self._groups = new_groups(classes, batch_size)

    def log_likelihoods(self, features: Array, targets: "Targets") -> Array:
        """See `Loss`."""
        from embedder.kernels.classes import score_within_classes

        classes = self._classes(targets)
        found = self._first_level.log_likelihoods(features, classes)
        level = self._second_level(features, targets)
        score_within_classes(level, self._groups, self._group_by(classes))
        return found + level.log_likelihoods

    def training_loss(self, features: Array, targets: "Targets", number: int) -> float:
        """See `Loss`."""
        return -float(self.log_likelihoods(features, targets).sum())

    def step(
        self, features: Array, targets: "Targets", context: StepContext
    ) -> tuple[float, Array]:
        """See `Loss`."""
        from embedder.kernels.classes import ClassSteps, step_within_classes
        from embedder.kernels.softmax import OutputMoments

        classes = self._classes(targets)
        optimizer, rules, _ = context
        moments = output_moments(optimizer)
        of_classes = OutputMoments(*(array[self._words :] for array in moments))
        loss, d_features = self._first_level.step_with_moments(
            features, classes, rules["W2"], of_classes
        )
        # The classes' own rows are updated in every step; their entries in `visits` count the
        # updates of their words.
        visits = optimizer.visits["W2"][self._words :]
        visits[np.unique(classes.columns)] += 1
        level = self._second_level(features, targets)
        steps = ClassSteps(rules["W2 rows"], optimizer.corrections["W2"], visits, moments)
        found = self._group_by(classes)
        step_within_classes(level, self._groups, found, steps, d_features)
        return loss - float(level.log_likelihoods.sum()), d_features

    def _classes(self, targets: "Targets") -> "Targets":
        """Return the targets with words replaced by their classes."""
        return targets._replace(columns=self._class_of[targets.columns])

    def _group_by(self, classes: "Targets") -> int:
        """Group the examples by class; return the number of distinct classes."""
        from embedder.kernels.gather import group_places

        return int(group_places(classes.columns[classes.starts], self._groups))

    def _second_level(self, features: Array, targets: "Targets") -> "SecondLevel":
        from embedder.kernels.classes import SecondLevel

        return SecondLevel(
            features,
            self._W2,
            self._b2,
            targets.columns[targets.starts],
            targets.totals,
            self._starts,
            np.empty(len(features)),
        )


def class_starts(counts: Array, classes: int) -> Array:
    """Cut the vocabulary into classes of consecutive words, (classes + 1,) int64.

    Each has about the same share of Σ √count (as in Mikolov et al. 2011), so that classes of
    frequent words are small.

    Parameters
    ----------
    counts : (V,)
        Most frequent first.
    classes
        At most V; no class is empty.
    """
    return cut_evenly(np.sqrt(np.maximum(counts, 1)), classes)


def with_class_rows(config: LossConfig, counts: Array, parameters: Parameters) -> Parameters:
    """Return the parameters, with one row of W2 and b2 per class added if the loss has classes."""
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
