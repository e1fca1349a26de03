"""What `auto` stands for in a configuration, once the size of the vocabulary is known."""

from embedder.config import Config

_FEW_WORDS = 20_000
"""Up to here, all words have outputs of their own, and the text is short: many passes overfit."""
_JOINT_ROWS = 30_000
_OWN_CONTEXTS = 12_000
_CONTEXT_CLASSES = 4_000
_CLOSING_STEPS = 2
_PASSES, _PASSES_OF_FEW_WORDS, _PASSES_OF_WINDOWS = 20, 10, 5


def own_contexts(config: Config, vocabulary: int) -> int:
    """Return M, the number of words in any position that are outputs of their own."""
    wanted = config.examples.contexts
    if config.examples.source != "cooccurrence":
        return vocabulary
    if wanted == "auto":
        return vocabulary if vocabulary <= _FEW_WORDS else _OWN_CONTEXTS
    return min(wanted, vocabulary)


def context_classes(config: Config, vocabulary: int) -> int:
    """Return K, the number of classes of all other words."""
    rest = vocabulary - own_contexts(config, vocabulary)
    wanted = config.examples.context_classes
    return min(rest, _CONTEXT_CLASSES if wanted == "auto" else wanted)


def joint_rows(config: Config, rows: int) -> int:
    """Return R, how many rows of E are trained jointly with the other layers.

    All of them where words share rows, or where rows cannot be fitted for another reason.
    """
    wanted = config.training.joint_rows
    if not config.fits_rows:
        return rows
    return min(_JOINT_ROWS if wanted == "auto" else wanted, rows)


def closing_steps(config: Config) -> int:
    """Return the number of steps by which the jointly trained rows are fitted in the end."""
    wanted = config.training.closing_steps
    if wanted == "auto":
        return _CLOSING_STEPS if config.fits_rows else 0
    return wanted


def passes(config: Config, vocabulary: int) -> int:
    """Return the number of passes."""
    wanted = config.training.passes
    if wanted != "auto":
        return wanted
    if config.examples.source == "windows":
        return _PASSES_OF_WINDOWS
    return _PASSES_OF_FEW_WORDS if vocabulary <= _FEW_WORDS else _PASSES
