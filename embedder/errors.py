"""Errors caused by user input; each message is one sentence that says what to do.

Advice names commands and options; `python_errors` turns it into calls and arguments.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager

_IN_PYTHON = (
    (r"embedder train --resume (.+?)(\.?)$", r"embedder.train(…, output='\1', resume=True)\2"),
    (
        r"embedder train .+ --output (.+) --overwrite",
        r"embedder.train(…, output='\1', overwrite=True)",
    ),
    ("--output", "output"),
    ("--bootstrap or --seeds", "bootstrap or seeds"),
    ("--overwrite", "overwrite=True"),
    ("without --refine", "without refine=True"),
    ("set vocabulary.subsample=0", "set subsample=0"),
    (r"--unwritable (\w+)", r"unwritable='\1'"),
    (r"another --format, such as ([\w-]+)", r"another file_format, such as '\1'"),
    (r"--format \(", "file_format ("),
    (r"--(?:format|from) ([\w-]+)", r"file_format='\1'"),
    ("--vectors is", "kind is"),
    (r"--vectors (\w+)", r"kind='\1'"),
    (r"--map (\w+)", r"projection='\1'"),
)
"""What commands and options in errors are in Python."""


class EmbedderError(Exception):
    """A mistake or limit that a user can act on; the CLI prints it without a traceback."""


class ConfigError(EmbedderError):
    """A configuration file, key or value that cannot be used."""


class CorpusError(EmbedderError):
    """Text that cannot be found, read or decoded."""


class CorpusWarning(UserWarning):
    """Text or words that are left out, since they may not be read or say nothing."""


class VocabularyError(EmbedderError):
    """A vocabulary that is too small or damaged, or lacks a word."""


class UnknownWordError(VocabularyError, KeyError):
    """A word that is not in the vocabulary."""

    __str__ = Exception.__str__  # a KeyError shows its message in quotes


class RunError(EmbedderError):
    """A run folder that is missing, damaged, unfinished or in the way, or a failed write."""


class EvaluationError(EmbedderError):
    """An evaluation file that cannot be read or does not fit the vocabulary."""


class FormatError(EmbedderError):
    """A file of word vectors that cannot be parsed or written, or an unknown option for one."""


def for_python(message: str) -> str:
    """Return an error's advice in terms of arguments."""
    for pattern, replacement in _IN_PYTHON:
        message = re.sub(pattern, replacement, message)
    return message


@contextmanager
def python_errors() -> Iterator[None]:
    """Give advice in terms of arguments, in a block or in a function that this decorates."""
    try:
        yield
    except EmbedderError as error:
        raise type(error)(for_python(str(error))) from None
