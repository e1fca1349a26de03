"""What is trained besides the run itself, to compare: slices of the text, and replicates."""

import re
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from embedder.config_sections.section import Positive, Section

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
