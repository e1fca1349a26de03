"""What a configuration may say: sections, keys, types, defaults, and what does not fit together."""

from typing import Annotated, Literal

import yaml
from pydantic import (
    BaseModel,
    ByteSize,
    ConfigDict,
    Field,
    field_validator,
    model_validator,
)

Positive = Annotated[int, Field(gt=0)]
Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
VectorKind = Literal["input", "hidden", "output", "sum"]


class _Section(BaseModel):
    # strict: "5" is not a number and 1.5 is not a count, so a typing slip is not silently rounded.
    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True
    )


class PhrasesConfig(_Section):
    """Which words that stand together become one word (Mikolov et al. 2013, section 4)."""

    passes: Annotated[int, Field(ge=0, le=9)] = 0
    """0: none. Each pass joins pairs of what the one before left: two find up to four words."""
    min_count: Positive = 5
    """Pairs that are rarer are no phrase; in the original scoring it is what counts are discounted
    by."""
    scoring: Literal["original", "npmi"] = "original"
    """(n_ab − min_count) N / (n_a n_b), or normalised pointwise mutual information, at most 1; as
    gensim's Phrases."""
    threshold: float = 10.0
    """Pairs that score higher are phrases; for npmi such as 0.5."""
    joiner: Annotated[str, Field(pattern=r"^\S+$")] = "_"
    """What stands between a phrase's words when they are one."""
    connectors: list[str] = []
    """Words such as `of` that may stand between the two, and are neither."""
    file: str | None = None
    """Phrases that `embedder phrases CONFIG --out FILE` wrote, instead of learning them."""

    @property
    def used(self) -> bool:
        """Whether any are joined."""
        return self.passes > 0 or self.file is not None

    @model_validator(mode="after")
    def _fits_together(self) -> "PhrasesConfig":
        changed = [name for name in type(self).model_fields if name in self.model_fields_set]
        changed = [n for n in changed if getattr(self, n) != type(self).model_fields[n].default]
        if self.file is not None and changed != ["file"]:
            raise ValueError(
                f"corpus.phrases.{next(n for n in changed if n != 'file')}: has no effect with "
                "corpus.phrases.file, which holds what was learned"
            )
        if self.scoring == "npmi" and not -1 <= self.threshold < 1:
            raise ValueError(
                "corpus.phrases.threshold: expected a number from -1 to 1 for scoring npmi, such "
                f"as 0.5, got {self.threshold:g}"
            )
        if self.scoring == "original" and self.threshold <= 0:
            raise ValueError(
                "corpus.phrases.threshold: expected a number greater than 0 for scoring original, "
                f"got {self.threshold:g}"
            )
        return self


class CorpusConfig(_Section):
    """Where the text is and how it becomes words."""

    files: list[str] = Field(min_length=1)
    """Files, folders, globs, `package:NAME/PATH`, or `-` for standard input."""
    tokenizer: Literal["words", "whitespace"] = "words"
    """`words`: runs of letters, digits and marks, with inner apostrophes; `whitespace`: tokens as
    they stand between ASCII spaces."""
    lowercase: bool = True
    """Write all words in lower case."""
    text_field: str | None = None
    """Set for JSON lines: the field that holds the text."""
    phrases: PhrasesConfig = PhrasesConfig()
    """Words that are joined."""
    limit: ByteSize | None = None
    """Such as 50GB: more text than this, unpacked, is an error. Without it, a small compressed file
    may unpack to any size, in constant memory."""
    errors: Literal["strict", "replace", "ignore"] = "strict"
    """What to do with bytes that are not UTF-8."""

    @field_validator("files", mode="before")
    @classmethod
    def _one_file_is_a_list(cls, value: object) -> object:
        return [value] if isinstance(value, str) else value


class VocabularyConfig(_Section):
    """Which words get a vector."""

    min_count: Positive = 5
    """Rarer words get no vector."""
    max_size: Positive | None = None
    """At most so many words, the most frequent ones."""
    subsample: Annotated[float, Field(ge=0.0)] = 1e-3
    """Threshold t of Mikolov et al. 2013 above which frequent words are dropped; 0 keeps all."""
    unknown: Annotated[str, Field(pattern=r"^\S+$")] | None = None
    """A symbol, such as <unk>, that stands for all other words; without it they are left out."""


class ExamplesConfig(_Section):
    """How the token stream becomes training targets."""

    source: Literal["cooccurrence", "windows"] = "cooccurrence"
    """All windows of a word at once, from counts (network.input: word), or each window by itself,
    from the text."""
    window: Positive = 5
    """Words on each side."""
    window_weights: Literal["linear", "uniform", "harmonic"] = "linear"
    """Of counts (a spectral start's too). At distance d: (window − d + 1)/window, 1, or 1/d."""
    near: Annotated[int, Field(ge=0)] = 2
    """Of counts. Up to this distance, neighbours to the left and to the right have outputs of their
    own."""
    near_contexts: Positive = 10_000
    """Only so many of the most frequent words have them; rarer neighbours count as all others."""
    sides: Literal["both", "left"] = "both"
    """For source windows, as are the following: the words around, or the previous words only."""
    dynamic: bool = False
    """Draw each window's size from 1 … window, which weights near words more (word2vec's way)."""
    across_sentences: bool = False
    """Let windows reach over the ends of sentences."""
    shuffle_tokens: Positive = 1 << 20
    """Held in memory and shuffled at a time: pieces from all over the corpus."""


class NetworkConfig(_Section):
    """The network's shape and how it starts."""

    input: Literal["word", "mean", "concat"] = "word"
    """x: the centre word's vector, which predicts its neighbours; the mean of the window's vectors
    (CBOW), or these one after the other (Bengio et al. 2003), which predict the centre word."""
    dimension: Positive = 100
    """D, the length of an input vector."""
    hidden: Positive = 100
    """H, the units of the hidden layer; hidden, output and sum vectors have this length."""
    activation: Literal["sigmoid", "tanh", "relu", "identity"] = "sigmoid"
    """Of the hidden layer."""
    direct: bool = False
    """Connect the input vector to the logits as well (Bengio et al. 2003)."""
    tied: bool = False
    """W2 is E: a word has one vector, to read and to be predicted by (Press and Wolf 2017)."""
    initialisation: Literal["spectral", "random"] = "spectral"
    """Start from a truncated SVD of the positive PMI of the counts, or at random."""
    vectors: VectorKind = "sum"
    """The vectors that `eval`, `neighbors` and `export` use unless told otherwise."""
    dropout: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    """Share of the entries of x and h that are zero in a step (Srivastava et al. 2014)."""


class SubwordsConfig(_Section):
    """What a word's input vector is the mean of, beside its own row.

    Words that share parts learn from each other, and words never seen have vectors.
    """

    min_n: Positive = 3
    """The shortest n-grams, in characters; `<` and `>` mark a word's ends (Bojanowski et al.
    2017)."""
    max_n: Annotated[int, Field(ge=0, le=64)] = 0
    """The longest; fastText's own is 6. 0: no n-grams."""
    buckets: Annotated[int, Field(gt=0, le=1 << 31)] = 2_000_000
    """N-grams are hashed into so many, as in fastText; those that no word uses cost nothing."""
    parts: str | None = None
    """A file of lines 'word<TAB>part<TAB>…': lemmas, stems or classes, whose rows words share."""

    @property
    def used(self) -> bool:
        """Whether words have more than their own rows."""
        return self.max_n > 0 or self.parts is not None


class LossConfig(_Section):
    """What is minimised."""

    name: Literal["softmax", "class-softmax", "sampled-softmax", "negative-sampling", "nce"] = (
        "softmax"
    )
    """The exact softmax; one in two levels, exact too and cheaper for many words; or samples."""
    classes: Positive | None = None
    """For class-softmax; by default √V."""
    samples: Positive = 256
    """Candidates that a batch shares, for the sampled losses."""
    negatives: Annotated[float, Field(gt=0.0)] = 5.0
    """Noise words to an example, for negative-sampling and nce: the weight of all samples."""
    proposal: Literal["unigram", "log-uniform"] = "unigram"
    """What candidates are drawn from: counts^power, or log(1 + 1/rank)."""
    power: Fraction = 0.75
    """Of the counts, for proposal unigram."""


class TrainingConfig(_Section):
    """How it is minimised."""

    passes: Positive = 10
    """A pass draws as many rows as the vocabulary has."""
    batch_size: Positive = 256
    """B, the examples of a step."""
    optimizer: Literal["adam", "adagrad", "sgd"] = "adam"
    """How gradients become steps."""
    learning_rate: Annotated[float, Field(gt=0.0)] = 2e-2
    """Of the output layer; see the two factors below."""
    hidden_rate_factor: Annotated[float, Field(ge=0.0)] = 0.1
    """The rate of W1 and b1 over the learning rate."""
    embedding_rate_factor: Annotated[float, Field(ge=0.0)] = 5.0
    """The rate of rows of E over the learning rate."""
    warmup_steps: Annotated[int, Field(ge=0)] = 50
    """The rate rises linearly over so many steps first."""
    final_rate_fraction: Fraction = 0.02
    """The rate falls linearly to this fraction of itself."""
    row_sampling: Fraction = 0.5
    """Of counts. Rows are drawn with probability ∝ count^row_sampling, and weighted to keep the
    gradient."""
    weight_decay: Annotated[float, Field(ge=0.0)] = 0.0
    """Every step takes learning rate × this of each weight moved (Loshchilov and Hutter 2019)."""
    seed: Annotated[int, Field(ge=0)] = 1
    """Of everything drawn; the same seed and threads give the same bits."""
    threads: Annotated[int, Field(ge=0)] = 0
    """0: as many as the machine offers."""
    clip_gradients: Annotated[float, Field(gt=0.0)] | None = None
    """Bring every entry of a gradient within ± this before the optimizer sees it."""
    checkpoint_every: (
        Annotated[int, Field(ge=0)]
        | Annotated[str, Field(pattern=r"^[1-9][0-9]* (passes|steps|minutes)$")]
    ) = 5
    """Passes between checkpoints, or such as `500 steps` or `10 minutes`; 0: only when
    interrupted."""
    checkpoints_kept: Positive = 2
    """So many of the last; a damaged one is passed over for the one before."""
    max_minutes: Annotated[float, Field(gt=0.0)] | None = None
    """Of the whole run: the learning rate falls in time for it, and training ends there with its
    model if the passes have not ended before. Two such runs are not the same to the bit."""
    memory_limit: ByteSize | None = None
    """Such as 2GB: counting keeps to it by going through the disk, and a network that does not fit
    is refused; without it, what is refused is what the machine has no memory for."""
    engine: Literal["local", "ray"] = "local"
    """Where to train: in this process, or on a Ray cluster (see `cluster`)."""

    @property
    def checkpoint_interval(self) -> tuple[int, str]:
        """How many of what lie between two checkpoints."""
        if isinstance(self.checkpoint_every, int):
            return self.checkpoint_every, "passes"
        amount, unit = self.checkpoint_every.split()
        return int(amount), unit


class ClusterConfig(_Section):
    """Where `training.engine: ray` finds its machines."""

    address: str | None = None
    """Of the cluster's head, such as `10.0.0.1:6379`, or `auto` on one of its machines; without it,
    Ray is started on this machine for the run."""
    workers: Positive | None = None
    """Processes that share the output layer, with training.threads CPUs each; by default one a
    machine."""
    shard_size: Annotated[ByteSize, Field(gt=0)] = ByteSize(64_000_000)
    """Text is cut into parts of about this size to be counted."""
    wait_minutes: Annotated[float, Field(ge=0.0)] = 1.0
    """When workers are lost, wait so long for others before going on with those that are left."""


class ValidationConfig(_Section):
    """Held-out text."""

    fraction: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    """Share of the sentences kept out of training, to report the loss on them."""
    files: list[str] = []
    """Text of its own, instead."""
    split: Annotated[list[Positive], Field(min_length=2, max_length=2)] | None = None
    """Instead: so many tokens train, the next so many validate, and the rest is a test."""
    every: Annotated[int, Field(ge=0)] = 0
    """Steps between two looks at it; 0: at the end of each pass."""
    patience: Annotated[int, Field(ge=0)] = 0
    """Stop after so many looks without a better one, and keep the best parameters; 0: never."""


class EvaluationConfig(_Section):
    """What `embedder train` shows when it ends."""

    words: list[str] = []
    """Words whose neighbours are printed; by default a few of the vocabulary's own."""
    analogies: list[str] = []
    """Files of analogy questions."""
    similarity: list[str] = []
    """Files of word pairs with people's scores."""
    restrict_vocab: Positive | None = None
    """Use only so many of the most frequent words."""
    ngram: Annotated[int, Field(ge=0, le=9)] = 0
    """Order of a Kneser–Ney model of the training text, whose perplexity on held-out text is shown
    beside the network's, and that of their mixture; 0 for none. It is made in memory."""


class TrackingConfig(_Section):
    """Where metrics go besides the run's folder."""

    tensorboard: bool = False
    """Write event files to the folder `tensorboard` of the run."""
    mlflow: str | None = None
    """MLflow's tracking server or store, such as `sqlite:///mlflow.db`."""
    experiment: str = "embedder"
    """The name of MLflow's experiment."""


_KEYS_WITHOUT_EFFECT = {
    "windows": (("examples", "near"), ("examples", "near_contexts"), ("training", "row_sampling")),
    "cooccurrence": tuple(
        ("examples", key) for key in ("sides", "dynamic", "across_sentences", "shuffle_tokens")
    ),
}


class Config(_Section):
    """One run, fully described."""

    corpus: CorpusConfig
    vocabulary: VocabularyConfig = VocabularyConfig()
    examples: ExamplesConfig = ExamplesConfig()
    network: NetworkConfig = NetworkConfig()
    subwords: SubwordsConfig = SubwordsConfig()
    loss: LossConfig = LossConfig()
    training: TrainingConfig = TrainingConfig()
    cluster: ClusterConfig = ClusterConfig()
    validation: ValidationConfig = ValidationConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    tracking: TrackingConfig = TrackingConfig()
    output: str = "runs/embedder"
    """The folder of the run."""

    @model_validator(mode="after")
    def _parts_fit_together(self) -> "Config":
        source, network = self.examples.source, self.network
        validation = self.validation
        for section, key in _KEYS_WITHOUT_EFFECT[source]:
            own = getattr(self, section)
            if getattr(own, key) != type(own).model_fields[key].default:
                raise ValueError(f"{section}.{key}: has no effect with examples.source {source}")
        if source == "cooccurrence":
            if network.input != "word":
                raise ValueError(
                    f"examples.source: expected windows for network.input {network.input}; "
                    "counts know no window's words"
                )
            if self.loss.name != "softmax":
                raise ValueError(
                    f"loss.name: expected softmax for examples.source cooccurrence, got "
                    f"{self.loss.name}"
                )
            if network.dropout or network.tied:
                raise ValueError("network.dropout and tied: need examples.source windows")
            if validation.split or validation.files:
                raise ValueError(
                    "validation: expected fraction alone for examples.source cooccurrence"
                )
        elif network.input == "concat" and network.vectors in ("hidden", "sum"):
            raise ValueError(
                "network.vectors: expected input or output for network.input concat, whose hidden "
                "layer sees several words at once"
            )
        elif network.input == "concat" and network.initialisation == "spectral":
            raise ValueError("network.initialisation: expected random for network.input concat")
        held_out = validation.fraction or validation.files or validation.split
        if not held_out and (validation.patience or self.evaluation.ngram):
            raise ValueError(
                "validation: expected fraction, files or split, since validation.patience or "
                "evaluation.ngram is set"
            )
        if self.evaluation.ngram and (source, network.input) not in (
            ("windows", "mean"),
            ("windows", "concat"),
        ):
            raise ValueError(
                "evaluation.ngram: expected examples.source windows and network.input mean or "
                "concat, so that both models predict the same words"
            )
        if self.training.engine == "ray" and (self.loss.name != "softmax" or network.tied):
            raise ValueError(
                "training.engine: ray cuts the exact softmax by its words; expected loss.name "
                "softmax and no network.tied (sampled losses are made for one machine)"
            )
        if self.training.engine == "ray" and self.corpus.phrases.passes:
            raise ValueError(
                "corpus.phrases.passes: phrases are learned on one machine; write them with "
                "`embedder phrases CONFIG training.engine=local --out FILE`, and give "
                "corpus.phrases.file"
            )
        if network.tied and self.subwords.used:
            raise ValueError("network.tied: expected no subwords, whose rows predict no words")
        if self.subwords.max_n and self.subwords.min_n > self.subwords.max_n:
            raise ValueError(
                f"subwords.min_n: expected at most subwords.max_n, {self.subwords.max_n}, got "
                f"{self.subwords.min_n}"
            )
        if network.tied and self.loss.name == "class-softmax":
            raise ValueError("network.tied: expected another loss.name than class-softmax")
        if network.tied and (network.direct or network.hidden != network.dimension):
            raise ValueError(
                "network.tied: expected network.hidden as large as network.dimension, and no "
                "direct connections"
            )
        if (validation.fraction > 0) + bool(validation.files) + (validation.split is not None) > 1:
            raise ValueError("validation: expected one of fraction, files and split")
        return self

    def to_yaml(self) -> str:
        """Return the resolved configuration, every key present."""
        return yaml.safe_dump(self.model_dump(), sort_keys=False, allow_unicode=True)
