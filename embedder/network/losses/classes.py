"""The softmax in two levels: a class of words, then a word of it."""

from typing import TYPE_CHECKING, Any

import numpy as np

from embedder.arrays import Array, cut_evenly
from embedder.config import LossConfig
from embedder.network.optimizer import Optimizer
from embedder.network.parameters import Parameters

if TYPE_CHECKING:
    from embedder.kernels.optimizer import Rule
    from embedder.kernels.softmax import Targets
from embedder.network.losses.softmax import Softmax, output_moments


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

    def __init__(self, counts: Array, parameters: Parameters, batch_size: int, parts: int) -> None:
        from embedder.kernels.gather import new_groups

        self._words = len(counts)
        self._first_level = Softmax(self._of_classes(parameters), batch_size, parts)
        classes = len(parameters.W2) - self._words
        self._starts = class_starts(counts, classes)
        self._class_of = np.repeat(np.arange(classes, dtype=np.int32), np.diff(self._starts))
        self._groups = new_groups(classes, batch_size)
        self._parts = parts

    def log_likelihoods(self, features: Array, parameters: Parameters, targets: "Targets") -> Array:
        """See `Loss`."""
        from embedder.kernels.classes import score_within_classes

        classes = self._classes(targets)
        found = self._first_level.log_likelihoods(features, self._of_classes(parameters), classes)
        arguments, within = self._second_level(features, parameters, targets, classes)
        score_within_classes(*arguments)
        return found + within

    def training_loss(
        self, features: Array, parameters: Parameters, targets: "Targets", number: int
    ) -> float:
        """See `Loss`."""
        return -float(self.log_likelihoods(features, parameters, targets).sum())

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

    def _of_classes(self, parameters: Parameters) -> Parameters:
        W2, b2 = parameters.W2[self._words :], parameters.b2[self._words :]
        return parameters._replace(W2=W2, b2=b2)

    def _classes(self, targets: "Targets") -> "Targets":
        return targets._replace(columns=self._class_of[targets.columns])

    def _second_level(
        self, features: Array, parameters: Parameters, targets: "Targets", classes: "Targets"
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


def with_class_rows(config: LossConfig, counts: Array, parameters: Parameters) -> Parameters:
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
