"""How a run is trained, on what it is validated, and which machines it uses."""

from typing import Annotated, Literal

from pydantic import ByteSize, Field

from embedder.config_sections.section import Fraction, PathNames, Positive, Section


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
    """Maximum size of the shards into which text is cut for reading; a compressed file is one. The
    text of one is in memory at a time, per CPU."""
    wait_minutes: Annotated[float, Field(ge=0.0)] = 5.0
    """When no machine of the cluster is left, or none has worked although there is work to do, wait
    this long before stopping."""


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
