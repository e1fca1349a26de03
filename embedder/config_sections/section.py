"""What all sections of a configuration have in common: their class, and kinds of values."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

Positive = Annotated[int, Field(gt=0)]
Fraction = Annotated[float, Field(ge=0.0, le=1.0)]


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
