"""What a run learns from the text, and with which network and loss."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from embedder.config_sections.section import Fraction, Positive, Section

VectorKind = Literal["input", "hidden", "output", "sum"]
_WIDE = 3
"""Width of the wide window, in windows."""


class ExamplesConfig(Section):
    """How the tokens become training examples."""

    source: Literal["cooccurrence", "windows"] = "cooccurrence"
    """`cooccurrence` trains on the counts of all windows of a word at once (network.input: word);
    `windows` trains on each window of the text separately."""
    window: Positive = 5
    """Words on each side of the centre word."""
    window_weights: Literal["linear", "uniform", "harmonic"] = "linear"
    """Weight of a neighbour at distance d in counts: (window − d + 1)/window, 1, or 1/d. Also used
    for a spectral start."""
    wide_window: Annotated[int, Field(ge=0)] | Literal["auto"] = "auto"
    """Count neighbours up to this distance as well, with wide_weight times the linear weight that
    they have in a window of this width; 0 for none. `auto`: three times the window. For linear
    window_weights and source cooccurrence."""
    wide_weight: Annotated[float, Field(ge=0.01, le=1.0)] = 0.3
    """Weight of the wide window; rounded to hundredths."""
    near: Annotated[int, Field(ge=0)] = 2
    """Up to this distance, neighbours to the left and to the right are position-specific contexts
    with outputs of their own. For source cooccurrence."""
    contexts: Positive | Literal["auto"] = "auto"
    """Number of words, the most frequent ones, that are outputs of their own; all others are
    outputs in classes. `auto`: all words up to 20,000, else 12,000. For source cooccurrence."""
    context_classes: Positive | Literal["auto"] = "auto"
    """Number of classes of the other words; `auto`: 4,000. For source cooccurrence."""
    near_contexts: Positive = 10_000
    """Number of words, the most frequent ones, with position-specific contexts; other near
    neighbours count like distant ones."""
    sides: Literal["both", "left"] = "both"
    """Words on both sides, or only those before. For source windows, as are the following keys."""
    dynamic: bool = False
    """Draw the size of each window from 1 … window, as word2vec does, which gives near words more
    weight."""
    across_sentences: bool = False
    """Let windows extend across the ends of sentences."""
    shuffle_tokens: Positive = 1 << 20
    """Number of tokens held in memory and shuffled together; they come from all over the corpus."""
    shuffle_windows: Positive = 1
    """Number of successive windows that are shuffled as one. They have words in common, so that
    a batch has fewer rows to update: with 8, half of them with n-grams."""

    @model_validator(mode="after")
    def _check_wide_window(self) -> "ExamplesConfig":
        if self.wide_window != "auto" and self.wide_window > 0 and self.wide == 0:
            raise ValueError(
                "wide_window: needs source cooccurrence and linear window_weights; expected 0 or "
                "auto"
            )
        return self

    @property
    def wide(self) -> int:
        """The width of the wide window in words; 0 without one."""
        if self.source != "cooccurrence" or self.window_weights != "linear":
            return 0
        return _WIDE * self.window if self.wide_window == "auto" else self.wide_window

    @property
    def reach(self) -> int:
        """The distance of the farthest neighbours that are counted."""
        return max(self.window, self.wide)


class NetworkConfig(Section):
    """The network's shape and its initial parameters."""

    input: Literal["word", "mean", "concat"] = "word"
    """The input x. `word`: the centre word's vector, which predicts its neighbours. `mean`: the
    mean of the window's vectors (CBOW), which predicts the centre word. `concat`: the window's
    vectors concatenated (Bengio et al. 2003), which predict the same."""
    dimension: Positive = 100
    """D, the length of a word's input vector."""
    hidden: Positive = 100
    """H, the number of hidden units and the length of hidden, output and sum vectors; by default
    D."""
    activation: Literal["sigmoid", "tanh", "relu", "identity"] = "sigmoid"
    """Activation function of the hidden layer."""
    direct: bool = False
    """Connect the input directly to the logits as well (Bengio et al. 2003)."""
    tied: bool = False
    """Share one table between input and output, W2 = E (Press and Wolf 2017)."""
    initialisation: Literal["spectral", "random"] = "spectral"
    """Start from a truncated SVD of the positive PMI of the counts, or at random."""
    vectors: VectorKind = "sum"
    """The kind of vectors that `eval`, `neighbors` and `export` use by default."""
    dropout: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    """Share of the entries of x and h set to zero in a step (Srivastava et al. 2014)."""

    @model_validator(mode="before")
    @classmethod
    def _hidden_follows_dimension(cls, tree: object) -> object:
        if not isinstance(tree, dict) or tree.get("hidden") is not None:
            return tree
        dimension = tree.get("dimension")
        # Of a dimension that is none, one error is enough.
        if isinstance(dimension, int) and not isinstance(dimension, bool) and dimension > 0:
            return {**tree, "hidden": dimension}
        return tree


class LossConfig(Section):
    """The loss that training minimises."""

    name: Literal["softmax", "class-softmax", "sampled-softmax", "negative-sampling", "nce"] = (
        "softmax"
    )
    """The exact softmax; a softmax in two levels, exact too and cheaper for many words; or a loss
    over sampled candidates."""
    classes: Positive | None = None
    """Number of classes for class-softmax; by default √V."""
    samples: Positive = 256
    """Number of candidates that the examples of a batch share, for the sampled losses."""
    negatives: Annotated[float, Field(gt=0.0)] = 5.0
    """Noise words per example for negative-sampling and nce: the total weight of the samples."""
    proposal: Literal["unigram", "log-uniform"] = "unigram"
    """Distribution of the candidates: counts^power, or log(1 + 1/rank)."""
    power: Fraction = 0.75
    """Exponent of the counts, for proposal unigram."""
