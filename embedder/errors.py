"""Errors caused by user input; each message is one sentence that says what to do."""


class EmbedderError(Exception):
    """A mistake or limit that a user can act on; the CLI prints it without a traceback."""


class ConfigError(EmbedderError):
    """A configuration file, key or value that cannot be used."""


class CorpusError(EmbedderError):
    """Text that cannot be found, read or decoded."""


class CorpusWarning(UserWarning):
    """Text that is left out, since it may not be read or is not there."""


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
