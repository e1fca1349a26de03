"""One spelling for each word: Unicode normal forms, invisible characters and case.

The same text may be encoded in several ways: é is one character or e with a combining accent, a
soft hyphen or a mark of direction shows nothing, and a capital letter begins a sentence. What
`corpus.normalisation` and `corpus.lowercase` do to the text of a run is here, so that later text
and look-ups are treated alike.
"""

import re
import unicodedata
from collections.abc import Iterable
from typing import Literal

from embedder.config_sections.text import Normalisation

_FORMS: dict[Normalisation, Literal["NFC", "NFKC"]] = {"nfc": "NFC", "nfkc": "NFKC"}
_JOINERS = "\u200c\u200d\u180e"
"""Invisible characters that are part of the spelling: the zero-width (non-)joiner of Persian, Hindi
and others, and Mongolian's vowel separator."""
_DROPPED = "\u00ad\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\ufeff" + "".join(
    map(chr, range(0x2060, 0x2070))
)
"""Soft hyphens, word joiners, marks of direction and of the byte order."""
INVISIBLES = _JOINERS + _DROPPED
"""Characters that show nothing and separate no words; the zero-width space does."""
SPACE_IN_WORD = "\ufdd0"
"""Stands for a space within a word until a text is divided into words. A noncharacter, which texts
do not contain (The Unicode Standard, section 23.7); nothing here changes it."""
_JOINER = re.compile(f"[{_JOINERS}]")
# The grapheme joiner is a mark, which only changes the order of others.
_INVISIBLE = re.compile(f"[{_DROPPED}\u034f]")


def normalise(text: str, form: Normalisation) -> str:
    """Return text in a Unicode normal form (UAX #15), without what nobody sees.

    Parameters
    ----------
    text
        Any text; for that of whole words, the result does not depend on what is around it.
    form
        ``nfc`` composes letters with their accents, ``nfkc`` also replaces compatibility characters
        such as ligatures and full-width letters. Both drop soft hyphens and other invisible
        characters, but not the zero-width joiners. ``none`` changes nothing.
    """
    if form == "none" or text.isascii():
        return text
    return unicodedata.normalize(_FORMS[form], _INVISIBLE.sub("", text))


def lower_case(text: str, form: Normalisation) -> str:
    """Return text in lower case, in its normal form again; İ becomes i, without a dot above.

    Unicode's full mapping makes İ an i and a combining dot, which no Turkish word contains.
    """
    text = text.replace("İ", "i").lower()
    return text if form == "none" else unicodedata.normalize(_FORMS[form], text)


def any_case(word: str) -> str:
    """Return what two words have in common if they differ only in case or Unicode form."""
    if word.isascii():
        return word.upper()
    return normalise(normalise(word, "nfc").replace("İ", "i").upper(), "nfc")


def in_any_form(word: str) -> str:
    """Return what two words have in common if they look alike, apart from case and joiners."""
    if word.isascii():
        return word.lower()
    visible = _JOINER.sub("", normalise(word, "nfkc")).replace("İ", "i")
    return normalise(visible.casefold(), "nfkc")


def find_in_other_form(word: str, known: Iterable[str]) -> str | None:
    """Return the first known word that differs from a word only in form; None if there is none."""
    wanted = in_any_form(word)
    return next((each for each in known if in_any_form(each) == wanted), None)


def describe_difference(word: str, known: str) -> str:
    """Return in what two words differ that are the same in some form, for an error message."""
    reasons = []
    visible = [_JOINER.sub("", _INVISIBLE.sub("", each)) for each in (word, known)]
    if visible != [word, known]:
        hidden = dict.fromkeys(
            f"U+{ord(character):04X}"
            for each in (word, known)
            for character in each
            if _INVISIBLE.match(character) or character in _JOINERS
        )
        reasons.append(f"invisible characters ({', '.join(hidden)})")
    forms = [_form_of(each) for each in visible]
    if forms[0] != forms[1]:
        reasons.append(f"Unicode normal form ({forms[0]}, not {forms[1]})")
    composed = [unicodedata.normalize("NFC", each) for each in visible]
    plain = [unicodedata.normalize("NFKC", each) for each in visible]
    if plain != composed and composed[0].lower() != composed[1].lower():
        reasons.append("compatibility characters, which NFKC replaces")
    if plain[0] != plain[1]:
        reasons.append("case")
    return " and ".join(reasons)


def _form_of(word: str) -> str:
    return "NFC" if unicodedata.is_normalized("NFC", word) else "NFD"
