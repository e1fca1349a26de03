"""The sections of a configuration: keys, types, defaults and descriptions.

`embedder.config` puts the sections together and knows which settings fit together.
"""

import re
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ByteSize,
    ConfigDict,
    Field,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

Positive = Annotated[int, Field(gt=0)]
Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
VectorKind = Literal["input", "hidden", "output", "sum"]
Normalisation = Literal["nfc", "nfkc", "none"]


def _as_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _named(value: str) -> str:
    if not value.strip():
        raise PydanticCustomError("empty_name", "the name of a file or folder")
    return value


Words = Annotated[list[str], BeforeValidator(_as_list)]
"""Texts; a single one needs no list."""
PathName = Annotated[str, AfterValidator(_named)]
"""The name of a file or folder: an empty one would be the current folder."""
PathNames = Annotated[list[PathName], BeforeValidator(_as_list)]


class Section(BaseModel):
    """Keys that belong together."""

    # strict: "5" is not a number and 1.5 is not a count, so a typo is not silently rounded.
    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True
    )


class PhrasesConfig(Section):
    """Pairs of adjacent words to join into one word (Mikolov et al. 2013, section 4)."""

    passes: Annotated[int, Field(ge=0, le=9)] = 0
    """Number of passes over the text; 0 joins nothing. Each pass joins pairs of the words that the
    pass before it produced: two passes find phrases of up to four words."""
    min_count: Positive = 5
    """Ignore pairs that occur fewer times. The original scoring subtracts this from each pair's
    count."""
    scoring: Literal["original", "npmi"] = "original"
    """(n_ab − min_count) N / (n_a n_b), or normalised pointwise mutual information, at most 1; both
    as in gensim's Phrases."""
    threshold: float = 10.0
    """Join pairs with a higher score. For npmi, try 0.5."""
    joiner: Annotated[str, Field(pattern=r"^\S+$")] = "_"
    """Text between the words of a joined phrase."""
    connectors: Words = []
    """Words such as `of` that may occur between the two words of a pair and are never one of
    them."""
    file: PathName | None = None
    """Phrases written by `embedder phrases CONFIG --out FILE`, to use instead of learning them."""

    @property
    def used(self) -> bool:
        """Whether any phrases are joined."""
        return self.passes > 0 or self.file is not None

    @model_validator(mode="after")
    def _file_stands_alone(self) -> "PhrasesConfig":
        fields = type(self).model_fields
        changed = [
            name
            for name in fields
            if name in self.model_fields_set and getattr(self, name) != fields[name].default
        ]
        if self.file is not None and changed != ["file"]:
            raise ValueError(
                f"corpus.phrases.{next(n for n in changed if n != 'file')}: has no effect with "
                "corpus.phrases.file, which contains phrases that were learned already"
            )
        return self

    @model_validator(mode="after")
    def _threshold_suits_the_scoring(self) -> "PhrasesConfig":
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


class CorpusConfig(Section):
    """Where the text is, and how it is split into words."""

    files: Words = Field(min_length=1)
    """Files, folders, globs, `package:NAME/PATH`, URLs, or `-` for standard input."""
    tokenizer: Literal["words", "whitespace"] = "words"
    """`words`: runs of letters, digits and combining marks, with inner apostrophes and zero-width
    joiners; `whitespace`: whatever is between ASCII whitespace."""
    normalisation: Normalisation = "nfc"
    """Unicode normal form of the text, and of words that are looked up later. `nfc` composes
    letters with their accents, `nfkc` also replaces ligatures, full-width letters and the like;
    both drop soft hyphens and other invisible characters. `none` changes nothing."""
    lowercase: bool = True
    """Convert all words to lower case."""
    text_field: str | None = None
    """The field or column that contains the text, for JSON Lines, JSON, CSV, TSV, Parquet and
    Arrow."""
    phrases: PhrasesConfig = PhrasesConfig()
    """Pairs of words to join."""
    limit: ByteSize | None = None
    """Fail if the uncompressed text exceeds this (e.g. 50GB). Without a limit, a small compressed
    file may expand to any size; memory stays constant."""
    unreadable: Literal["error", "skip"] = "error"
    """Files and folders without permission, and links to nothing: an error, or left out with a
    warning."""
    errors: Literal["strict", "replace", "ignore"] = "strict"
    """What to do with bytes that are not UTF-8."""


class VocabularyConfig(Section):
    """Which words get a vector."""

    min_count: Positive = 5
    """Ignore words that occur fewer times."""
    max_size: Positive | None = 2_000_000
    """Keep at most this many words, the most frequent ones; null keeps all."""
    subsample: Annotated[float, Field(ge=0.0)] | Literal["auto"] = "auto"
    """Threshold t of Mikolov et al. 2013: occurrences of more frequent words are dropped at random;
    0 keeps all. `auto`: 1e-3, 3e-4 from 10 million tokens on, 1e-4 from 60 million on."""
    unknown: Annotated[str, Field(pattern=r"^\S+$")] | None = None
    """A symbol, such as <unk>, that replaces all other words; by default they are dropped."""


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


class SubwordsConfig(Section):
    """Vectors for words never seen, composed of character n-grams and other parts of words."""

    mode: Literal["after", "joint"] = "after"
    """When the vectors of n-grams are learned. `after`: words are trained as without n-grams, and
    vectors of n-grams are then fitted to theirs, for unknown words only. `joint`: the input vector
    of each word is the mean of its own row and its n-grams' rows, so that words with similar
    spelling learn from each other."""
    mix: Annotated[float, Field(ge=0.0)] = 0.0
    """Weight of what a known word's n-grams predict in its own vector, for mode after: 0 leaves the
    vector as it is, 0.5 to 2 help rare words and inflections."""
    min_n: Positive = 3
    """Minimum length of n-grams in characters; `<` and `>` mark the ends of a word (Bojanowski et
    al. 2017)."""
    max_n: Annotated[int, Field(ge=0, le=64)] = 0
    """Maximum length of n-grams; 0 disables them. fastText's default is 6."""
    buckets: Annotated[int, Field(gt=0, le=1 << 31)] = 2_000_000
    """Number of buckets that n-grams are hashed into, as in fastText; unused buckets cost
    nothing."""
    parts: PathName | None = None
    """A file of lines 'word<TAB>part<TAB>…' with lemmas, stems or classes, which count like
    n-grams."""

    @property
    def used(self) -> bool:
        """Whether unknown words have vectors."""
        return self.max_n > 0 or self.parts is not None

    @property
    def shared(self) -> bool:
        """Whether words share rows of E in the training."""
        return self.used and self.mode == "joint"

    @model_validator(mode="after")
    def _keys_fit_together(self) -> "SubwordsConfig":
        if self.max_n and self.min_n > self.max_n:
            raise ValueError(
                f"subwords.min_n: expected at most subwords.max_n, {self.max_n}, got {self.min_n}"
            )
        if self.mix and (self.mode == "joint" or not self.used):
            raise ValueError(
                "subwords.mix: expected subwords.max_n or parts, and mode after; in mode joint, "
                "words are composed of their n-grams already"
            )
        return self


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


class TrainingConfig(Section):
    """How the loss is minimised."""

    start: str | None = None
    """A run or a file of vectors in any format, in whose space the vectors start: words that it has
    at their vectors there, all others as network.initialisation says, turned into the same space.
    Its dimension must be network.dimension."""
    passes: Positive | Literal["auto"] = "auto"
    """Number of passes. From counts, a pass draws as many rows as are trained jointly; from
    windows, it reads the text once. `auto`: 20, or 10 for up to 20,000 words; 5 for windows."""
    batch_size: Positive = 256
    """B, the number of examples per step."""
    optimizer: Literal["adam", "adafactor", "adagrad", "sgd"] = "adam"
    """The optimizer. `adafactor`, for sampled losses: Adam without momentum for the rows of E and
    W2, with second moments that are products of one number per row and one per column, which is
    faster and needs a third of the memory."""
    learning_rate: Annotated[float, Field(gt=0.0)] = 2e-2
    """Learning rate of the output layer; the two factors below apply to the other layers."""
    hidden_rate_factor: Annotated[float, Field(ge=0.0)] = 0.1
    """Rate of W1 and b1, as a multiple of the learning rate. 0 leaves them as they start; if that
    makes h = x (activation identity, H = D), sampled losses on windows leave the layer out."""
    embedding_rate_factor: Annotated[float, Field(ge=0.0)] = 5.0
    """Rate of E, as a multiple of the learning rate."""
    warmup_steps: Annotated[int, Field(ge=0)] = 50
    """Number of steps over which the rate first rises linearly."""
    final_rate_fraction: Fraction = 0.02
    """Fraction of the learning rate to which the rate falls linearly by the end."""
    row_sampling: Fraction = 0.5
    """From counts, draw rows with probability ∝ count^row_sampling, weighted so that the expected
    gradient stays the same."""
    weight_decay: Annotated[float, Field(ge=0.0)] = 0.0
    """Decoupled weight decay: each step shrinks the weights it updates by learning rate × this
    (Loshchilov and Hutter 2019)."""
    seed: Annotated[int, Field(ge=0)] = 1
    """Seed for all random draws. The same seed gives the same bits, on any number of threads."""
    threads: Annotated[int, Field(ge=0, le=1024)] = 0
    """Number of threads; 0 uses all that the machine offers."""
    clip_gradients: Annotated[float, Field(gt=0.0)] | None = None
    """Clip every entry of a gradient to ± this."""
    checkpoint_every: (
        Annotated[int, Field(ge=0)]
        | Annotated[str, Field(pattern=r"^[1-9][0-9]* (passes|steps|minutes)$")]
    ) = 5
    """Passes between checkpoints, or for example `500 steps` or `10 minutes`; 0 saves one only when
    training is interrupted."""
    checkpoints_kept: Positive = 2
    """Number of recent checkpoints to keep; if the newest is damaged, the one before it is used."""
    joint_rows: Positive | Literal["auto"] = "auto"
    """Number of words, the most frequent ones, whose rows of E are trained together with the other
    layers; those of all others are fitted afterwards, with these layers frozen. `auto`: 30,000, or
    all words where rows cannot be fitted: for source windows, and for subwords.mode joint."""
    closing_steps: Annotated[int, Field(ge=0)] | Literal["auto"] = "auto"
    """Number of steps by which the rows trained jointly are fitted after the last pass, with all
    other layers frozen; each costs two thirds of a pass. `auto`: 2, or 0 where rows cannot be
    fitted."""
    prior: Literal["spelling", "zero"] = "spelling"
    """What the rows fitted afterwards are drawn towards: what the words' character n-grams say, as
    learned from the rows trained jointly; or zero."""
    prior_strength: Annotated[float, Field(gt=0.0)] = 20.0
    """How strongly they are drawn: the weight of the squared distance, in windows, when a row is
    fitted. The rarer a word, the more it counts."""
    max_minutes: Annotated[float, Field(gt=0.0)] | None = None
    """Time limit for the whole run: the learning rate falls in time for it, and training ends there
    with a model. Two such runs are not bit-identical."""
    memory_limit: ByteSize | None = None
    """Memory limit, such as 2GB: counting stays below it by going through the disk, and a network
    that does not fit is refused. By default, the limit is what the machine has available."""
    engine: Literal["local", "ray"] = "local"
    """Count the text and fit rows in this process, or on a Ray cluster (see `cluster`)."""

    @property
    def checkpoint_interval(self) -> tuple[int, str]:
        """The number and the unit of what passes between two checkpoints."""
        if isinstance(self.checkpoint_every, int):
            return self.checkpoint_every, "passes"
        amount, unit = self.checkpoint_every.split()
        return int(amount), unit


class ClusterConfig(Section):
    """The cluster for `training.engine: ray`."""

    address: str | None = None
    """Address of the cluster's head, such as `10.0.0.1:6379`, or `auto` on one of its machines. By
    default, Ray is started on this machine for the run, with training.threads CPUs."""
    shard_size: Annotated[ByteSize, Field(gt=0)] = ByteSize(64_000_000)
    """Maximum size of the shards into which text is cut for counting; a compressed file is one. The
    ids and the counts of one are in memory at a time, per CPU."""
    wait_minutes: Annotated[float, Field(ge=0.0)] = 5.0
    """When no machine of the cluster is left, wait this long for one before stopping."""


class ValidationConfig(Section):
    """Held-out text."""

    fraction: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    """Share of the sentences to hold out of training and report the loss on."""
    files: PathNames = []
    """Files with validation text, instead."""
    split: Annotated[list[Positive], Field(min_length=2, max_length=2)] | None = None
    """Numbers of tokens that train and validate, instead; the rest of the text is the test."""
    every: Annotated[int, Field(ge=0)] = 0
    """Steps between two validations; 0 validates at the end of each pass."""
    patience: Annotated[int, Field(ge=0)] = 0
    """Stop after this many validations without improvement and keep the best parameters; 0 never
    stops early."""


SLICE_NAME = r"[\w+-][\w .,+-]*"
"""Names of slices, which are those of folders."""


class SlicesConfig(Section):
    """Slices of the text to compare, as in `slices: {1900s: old.txt, 1950s: new/*.txt}`."""

    files: dict[str, list[str]] = {}
    """The files of each slice, by its name; folders, globs and URLs as in corpus.files."""
    field: str | None = None
    """Instead, the field or column of the records in corpus.files that names their slice."""
    prior: Literal["corpus", "previous"] = "corpus"
    """What a slice's vectors are drawn to: those of the whole corpus, or of the slice before."""
    prior_weight: Annotated[float, Field(ge=0.0)] = 100.0
    """Weight of that vector, in neighbours: a word with as many moves about half-way."""
    block: Positive = 1000
    """Words per block of text; the test for changes takes blocks to be independent."""
    permutations: Annotated[int, Field(ge=100)] = 1000
    """Maximum number of permutations of a word in this test."""

    @model_validator(mode="before")
    @classmethod
    def _names_need_no_section(cls, tree: object) -> object:
        if not isinstance(tree, dict):
            return tree
        fields = set(cls.model_fields)
        own = {key: value for key, value in tree.items() if key in fields}
        listed = own.get("files", {})
        if isinstance(listed, dict):
            found = {**listed, **{key: tree[key] for key in tree if key not in fields}}
            own["files"] = {
                str(name): [files] if isinstance(files, str) else files
                for name, files in found.items()
            }
        return own

    @field_validator("files")
    @classmethod
    def _names_are_folders(cls, files: dict[str, list[str]]) -> dict[str, list[str]]:
        for name, own in files.items():
            if not re.fullmatch(SLICE_NAME, name):
                raise ValueError(
                    f"slices.files: {name!r} cannot be the name of a slice; expected letters, "
                    "digits, spaces, and any of . , + - _"
                )
            if not own:
                raise ValueError(f"slices.files: the slice {name} has no files")
        if len(files) == 1:
            raise ValueError("slices.files: expected at least two slices, got one")
        return files


class ReplicatesConfig(Section):
    """Repeated trainings after the run's own, which show what of its vectors is stable."""

    bootstrap: Annotated[int, Field(ge=0, le=9999)] = 0
    """Number of trainings on bootstrap samples of the text: blocks of it, drawn with replacement.
    The neighbours of a word then have intervals (Antoniak and Mimno 2018)."""
    seeds: Annotated[int, Field(ge=0, le=9999)] = 0
    """Number of trainings on the same text with other seeds, which show what chance alone does."""
    block: Positive | Literal["sentence"] = 1000
    """Words per block, which ends with a sentence where possible; or `sentence` to draw every
    sentence by itself, which is every line or, where texts are records or objects, every text
    without line breaks."""

    @property
    def wanted(self) -> int:
        """The number of trainings besides the run's own."""
        return self.bootstrap + self.seeds


class EvaluationConfig(Section):
    """What `embedder train` shows when it ends."""

    words: Words = []
    """Words whose neighbours are printed; by default a few from the vocabulary."""
    analogies: PathNames = []
    """Files of analogy questions, or `package:NAME/PATH`."""
    similarity: PathNames = []
    """Files of word pairs with human similarity scores, or `package:NAME/PATH`."""
    restrict_vocab: Positive | None = None
    """Use only this many of the most frequent words."""
    ngram: Annotated[int, Field(ge=0, le=9)] = 0
    """Order of a Kneser–Ney model of the training text, to compare the network's perplexity on
    held-out text with, and to mix it with; 0 for none. The model is built in memory."""


class TrackingConfig(Section):
    """Where metrics go, besides the run's folder."""

    tensorboard: bool = False
    """Write event files to the folder `tensorboard` of the run."""
    mlflow: str | None = None
    """MLflow's tracking server or store, such as `sqlite:///mlflow.db`."""
    experiment: str = "embedder"
    """Name of the MLflow experiment."""
