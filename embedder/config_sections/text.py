"""What a run reads: its corpus, the words that it takes from it, and what words consist of."""

from typing import Annotated, Literal

from pydantic import ByteSize, Field, model_validator

from embedder.config_sections.section import PathName, Positive, Section, Words

Normalisation = Literal["nfc", "nfkc", "none"]


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
