"""One run, fully described: all sections together, and which settings fit together."""

from typing import Any

import yaml
from pydantic import ValidationError, model_validator

from embedder.config_sections.comparisons import ReplicatesConfig, SlicesConfig
from embedder.config_sections.network import ExamplesConfig, LossConfig, NetworkConfig
from embedder.config_sections.results import EvaluationConfig, TrackingConfig
from embedder.config_sections.section import PathName, Section
from embedder.config_sections.text import CorpusConfig, SubwordsConfig, VocabularyConfig
from embedder.config_sections.training import ClusterConfig, TrainingConfig, ValidationConfig

WINDOWS_DEFAULTS: dict[str, dict[str, Any]] = {
    "network": {"vectors": "input"},
    "training": {
        "batch_size": 1024,
        "learning_rate": 5e-3,
        "hidden_rate_factor": 0.01,
        "embedding_rate_factor": 1.0,
    },
}
"""Defaults for `examples.source: windows`, where a row of E gets many small steps."""
LANGUAGE_MODEL_DEFAULTS: dict[str, dict[str, Any]] = {
    "vocabulary": {"subsample": 0.0},
    "network": {"initialisation": "random"},
    "training": {"batch_size": 256, "hidden_rate_factor": 1.0},
}
"""Further defaults for `network.input: concat`."""
_KEYS_WITHOUT_EFFECT = {
    "windows": (
        *(("examples", key) for key in ("near", "contexts", "context_classes", "near_contexts")),
        ("training", "row_sampling"),
    ),
    "cooccurrence": tuple(
        ("examples", key)
        for key in ("sides", "dynamic", "across_sentences", "shuffle_tokens", "shuffle_windows")
    ),
}


class Config(Section):
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
    slices: SlicesConfig = SlicesConfig()
    replicates: ReplicatesConfig = ReplicatesConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    tracking: TrackingConfig = TrackingConfig()
    output: PathName = "runs/embedder"
    """The folder of the run; for a text without a configuration, runs/NAME."""

    @model_validator(mode="before")
    @classmethod
    def _fill_in_window_defaults(cls, tree: Any) -> Any:
        if not isinstance(tree, dict) or _section(tree, "examples").get("source") != "windows":
            return tree
        layers = [WINDOWS_DEFAULTS]
        if _section(tree, "network").get("input") == "concat":
            layers.append(LANGUAGE_MODEL_DEFAULTS)
        filled = dict(tree)
        for name in ("vocabulary", "network", "training"):
            if isinstance(tree.get(name, {}), dict):
                own = {key: value for layer in layers for key, value in layer.get(name, {}).items()}
                filled[name] = own | _section(tree, name)
        return filled

    @model_validator(mode="before")
    @classmethod
    def _corpus_is_all_slices(cls, tree: Any) -> Any:
        if not isinstance(tree, dict) or not isinstance(tree.get("slices"), dict):
            return tree
        corpus = _section(tree, "corpus")
        if corpus.get("files"):
            return tree
        try:
            slices = SlicesConfig.model_validate(tree["slices"])
        except ValidationError:  # reported below; that there is no corpus follows from it
            return {"corpus": {"files": ["-"]}, **tree}
        files = [file for own in slices.files.values() for file in own]
        return {**tree, "corpus": {**corpus, "files": files}} if files else tree

    @model_validator(mode="after")
    def _slices_can_be_fitted(self) -> "Config":
        possible = self.examples.source == "cooccurrence" and not self.subwords.shared
        if self.slices.field and self.slices.files:
            raise ValueError("slices: expected either field or files")
        if (self.slices.files or self.slices.field) and not (
            possible and self.network.vectors != "output"
        ):
            raise ValueError(
                "slices: expected examples.source cooccurrence, no subwords.mode joint, and "
                "network.vectors other than output, so that the rows of each slice can be fitted"
            )
        return self

    @model_validator(mode="after")
    def _keys_have_an_effect(self) -> "Config":
        source = self.examples.source
        for name, key in _KEYS_WITHOUT_EFFECT[source]:
            section = getattr(self, name)
            if getattr(section, key) != type(section).model_fields[key].default:
                raise ValueError(f"{name}.{key}: has no effect with examples.source {source}")
        return self

    @model_validator(mode="after")
    def _counts_suffice(self) -> "Config":
        """Refuse what counts cannot tell: single windows, and sampled words of these."""
        network, validation = self.network, self.validation
        if self.examples.source != "cooccurrence":
            return self
        if network.input != "word":
            raise ValueError(
                f"examples.source: expected windows for network.input {network.input}; counts do "
                "not tell which words were in one window"
            )
        if self.loss.name != "softmax":
            raise ValueError(
                f"loss.name: expected softmax for examples.source cooccurrence, got "
                f"{self.loss.name}"
            )
        if network.dropout or network.tied:
            raise ValueError("network.dropout and tied: need examples.source windows")
        if validation.split or validation.files:
            raise ValueError("validation: expected only fraction for examples.source cooccurrence")
        return self

    @model_validator(mode="after")
    def _optimizer_suits_the_loss(self) -> "Config":
        exact = self.loss.name in ("softmax", "class-softmax")
        if self.training.optimizer == "adafactor" and exact:
            raise ValueError(
                "training.optimizer: adafactor updates single rows of W2; expected loss.name "
                f"sampled-softmax, negative-sampling or nce, got {self.loss.name}"
            )
        return self

    @model_validator(mode="after")
    def _concatenated_inputs_are_no_word(self) -> "Config":
        if self.network.input != "concat":
            return self
        if self.network.vectors in ("hidden", "sum"):
            raise ValueError(
                "network.vectors: expected input or output for network.input concat, whose hidden "
                "layer sees several words at once"
            )
        if self.network.initialisation == "spectral":
            raise ValueError("network.initialisation: expected random for network.input concat")
        return self

    @model_validator(mode="after")
    def _held_out_text_is_there(self) -> "Config":
        validation, ngram = self.validation, self.evaluation.ngram
        held_out = validation.fraction or validation.files or validation.split
        if not held_out and (validation.patience or ngram):
            raise ValueError(
                "validation: expected fraction, files or split, since validation.patience or "
                "evaluation.ngram is set"
            )
        kind = self.examples.source, self.network.input
        if ngram and kind not in (("windows", "mean"), ("windows", "concat")):
            raise ValueError(
                "evaluation.ngram: expected examples.source windows and network.input mean or "
                "concat, so that both models predict the same words"
            )
        return self

    @model_validator(mode="after")
    def _cluster_can_train(self) -> "Config":
        if self.training.engine != "ray":
            return self
        if self.examples.source != "cooccurrence":
            raise ValueError(
                "training.engine: ray counts a text and fits rows to the counts; expected "
                "examples.source cooccurrence (windows are trained on by one machine)"
            )
        if self.corpus.phrases.passes:
            raise ValueError(
                "corpus.phrases.passes: phrases are learned on one machine; write them with "
                "`embedder phrases CONFIG training.engine=local --out FILE`, and set "
                "corpus.phrases.file"
            )
        return self

    @model_validator(mode="after")
    def _replicates_can_be_trained(self) -> "Config":
        if self.replicates.wanted and self.training.engine != "local":
            raise ValueError(
                "replicates: expected training.engine local, since a cluster does not draw samples "
                "of the text"
            )
        return self

    @property
    def fits_rows(self) -> bool:
        """Whether each word has a row of E to itself, and its counts, to fit the row by itself."""
        return self.examples.source == "cooccurrence" and not self.subwords.shared

    @model_validator(mode="after")
    def _rows_can_be_fitted(self) -> "Config":
        for key in ("joint_rows", "closing_steps"):
            if getattr(self.training, key) not in ("auto", 0) and not self.fits_rows:
                raise ValueError(
                    f"training.{key}: expected examples.source cooccurrence and no subwords.mode "
                    "joint, so that each word has a row of E to itself"
                )
        return self

    @model_validator(mode="after")
    def _one_table_can_serve_both(self) -> "Config":
        network = self.network
        if not network.tied:
            return self
        if self.subwords.shared:
            raise ValueError(
                "network.tied: expected no subwords.mode joint, whose rows predict no words"
            )
        if self.loss.name == "class-softmax":
            raise ValueError("network.tied: expected a loss.name other than class-softmax")
        if network.direct or network.hidden != network.dimension:
            raise ValueError(
                "network.tied: expected network.hidden equal to network.dimension, and no direct "
                "connections"
            )
        return self

    @model_validator(mode="after")
    def _text_is_held_out_in_one_way(self) -> "Config":
        validation = self.validation
        if (validation.fraction > 0) + bool(validation.files) + (validation.split is not None) > 1:
            raise ValueError("validation: expected only one of fraction, files and split")
        return self

    def to_yaml(self) -> str:
        """Return the resolved configuration, every key present."""
        return yaml.safe_dump(self.model_dump(), sort_keys=False, allow_unicode=True)


def _section(tree: dict[str, Any], name: str) -> dict[str, Any]:
    found = tree.get(name)
    return found if isinstance(found, dict) else {}
