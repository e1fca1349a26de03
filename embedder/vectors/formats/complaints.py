"""What is wrong with a line that is not a word and its numbers, in words."""

import re

_LONGEST_QUOTE = 60
_SEPARATORS = {b",": "commas", b";": "semicolons", b"|": "vertical bars", b":": "colons"}
_NUMBER = re.compile(rb"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_DECIMAL_COMMA = re.compile(rb"[+-]?\d+,\d+([eE][+-]?\d+)?")


def is_float(field: bytes) -> bool:
    """Return whether a field is a number, be it nan or inf; Python's underscores are none of it."""
    try:
        float(field)
    except ValueError:
        return False
    return b"_" not in field


def reads_as_number(field: bytes) -> bool:
    """Return whether a field is a number in digits; nan and inf may be words."""
    return _NUMBER.fullmatch(field) is not None


def quoted(text: bytes) -> str:
    """Return text in quotation marks, on one line and shortened."""
    return shortened(text.decode("utf-8", "replace"))


def shortened(text: str) -> str:
    """Return text in quotation marks, on one line and shortened."""
    shown = ascii(text) if any("\ud800" <= letter <= "\udfff" for letter in text) else repr(text)
    return shown if len(shown) <= _LONGEST_QUOTE else f"{shown[:_LONGEST_QUOTE]}…{shown[0]}"


def complaint_about(line: bytes, dimension: int, may_be_header: bool = True) -> str:
    """Return why a line is not a word and D numbers, as the end of an error message.

    Parameters
    ----------
    line
        The line, without its end.
    dimension
        D; 0 if it is unknown.
    may_be_header
        Whether it could have been a header as well.
    """
    numbers = f"{dimension} numbers" if dimension else "its numbers"
    if may_be_header:
        expected = f"neither a header 'V D' nor a word followed by {numbers}"
    else:
        expected = f"expected a word and {numbers}"
    return f"{expected}; {_reason(line, dimension)}."


def has_numbers(line: bytes) -> bool:
    """Return whether a field after the first is a number, be it with another separator or comma."""
    fields = line.split()[1:]
    written = (field for field in fields if _NUMBER.fullmatch(field) or _DECIMAL_COMMA.match(field))
    return bool(separators_of(line)) or next(written, None) is not None


def separators_of(line: bytes) -> str:
    """Return what separates the fields of a line other than spaces and tabs; empty for nothing."""
    named = (name for mark, name in _SEPARATORS.items() if _is_separated_by(mark, line))
    return next(named, "")


def _reason(line: bytes, dimension: int) -> str:
    fields = line.split()
    if name := separators_of(line):
        return f"its fields are separated by {name}, not by spaces or tabs: {quoted(line)}"
    if any(map(_DECIMAL_COMMA.fullmatch, fields)):
        return f"its numbers have decimal commas, not points: {quoted(line)}"
    numbers = fields[-dimension:] if dimension else []
    wrong = next((field for field in numbers if not is_float(field)), None)
    if len(fields) > dimension > 0 and wrong is not None:
        return f"{quoted(wrong)} is no number: {quoted(line)}"
    backwards = enumerate(reversed(fields[1:]))
    found = next((i for i, field in backwards if not is_float(field)), len(fields[1:]))
    return f"{found or 'no'} number{'s' * (found > 1)} at its end: {quoted(line)}"


def _is_separated_by(mark: bytes, line: bytes) -> bool:
    """Return whether most parts of a line are numbers: two at least, or all as in a header."""
    parts = [part.strip(b' \t"') for part in line.split(mark)]
    if mark == b";":
        parts = [part.replace(b",", b".") for part in parts]
    numbers = sum(map(reads_as_number, parts))
    return numbers == len(parts) == 2 or (numbers >= 2 and numbers * 2 > len(parts))
