"""Words that a format cannot store: an error, left out, or replaced."""

import re
from pathlib import Path
from typing import NamedTuple

import numpy as np

from embedder.arrays import Array
from embedder.errors import VocabularyError
from embedder.text.vocabulary import Vocabulary
from embedder.vectors.formats.complaints import shortened
from embedder.vectors.formats.rows import ROWS_PER_CHUNK, VectorRows
from embedder.vectors.word_vectors import Unwritable, WordVectors

_REPLACEMENT = "_"


class Rule(NamedTuple):
    """Which words a format can store.

    ``forbidden``
        Characters that no word may have, because they end it there.
    ``empty``
        Whether a word may be empty.
    ``first``
        A character that no word may begin with.
    ``subwords``
        Whether n-grams are stored, too.
    """

    forbidden: str
    empty: bool = True
    first: str = ""
    subwords: bool = False

    def offences(self) -> re.Pattern[str]:
        """Return an expression that finds what a word may not have."""
        parts = [f"[{re.escape(self.forbidden)}\ud800-\udfff]"]  # halves of pairs have no UTF-8
        if not self.empty:
            parts.append(r"\A\Z")
        if self.first:
            parts.append(rf"\A{re.escape(self.first)}")
        return re.compile("|".join(parts))


def writable(
    vectors: WordVectors, name: str, rule: Rule, unwritable: Unwritable | None
) -> tuple[WordVectors, tuple[str, ...]]:
    """Return vectors whose words a format can store, and what became of the others.

    Parameters
    ----------
    vectors
        The vectors to write.
    name
        The format.
    rule
        Which words it can store.
    unwritable
        ``skip`` leaves the others out, and so does ``replace`` if the word with ``_`` for what it
        may not have is there already.

    Raises
    ------
    VocabularyError
        If there are others and `unwritable` is None, or if no word is left.
    """
    words, offences = vectors.vocabulary.words, rule.offences()
    bad = [i for i, word in enumerate(words) if offences.search(word)]
    if not bad:
        return vectors, ()
    first = shortened(words[bad[0]])
    if unwritable is None:
        more = f" and {len(bad) - 1:,} more" if len(bad) > 1 else ""
        raise VocabularyError(
            f"{first}{more}: words that the {name} format cannot store, which are empty or contain "
            "what ends a word there; leave them out (--unwritable skip), write _ instead "
            "(--unwritable replace), or choose another --format, such as finalfusion."
        )
    new, left_out = list(words), set(bad)
    if unwritable == "replace":
        taken = set(words)
        for i in bad:
            new[i] = offences.sub(_REPLACEMENT, words[i])
            if new[i] not in taken:
                taken.add(new[i])
                left_out.remove(i)
    remarks = []
    if left_out:
        example = shortened(words[min(left_out)])
        remarks.append(
            f"{len(left_out):,} words that {name} cannot store were left out, such as {example}"
        )
    replaced = [i for i in bad if i not in left_out]
    if replaced:
        example = f"{shortened(words[replaced[0]])} as {shortened(new[replaced[0]])}"
        remarks.append(
            f"{len(replaced):,} words were written with {_REPLACEMENT} for what {name} cannot "
            f"store, such as {example}"
        )
    kept = np.array([i for i in range(len(words)) if i not in left_out], np.int64)
    if not len(kept):
        raise VocabularyError(f"The {name} format can store none of the words; nothing is written.")
    return _selected(vectors, new, kept, rule.subwords), tuple(remarks)


def _selected(vectors: WordVectors, words: list[str], kept: Array, subwords: bool) -> WordVectors:
    """Return the kept rows with other words; they are on disk, however large the matrix is."""
    counts = vectors.vocabulary.counts[kept]
    matrix = vectors.matrix
    if len(kept) < len(matrix):
        with VectorRows(Path("vectors"), matrix.shape[1]) as rows:
            for start in range(0, len(kept), ROWS_PER_CHUNK):
                some = kept[start : start + ROWS_PER_CHUNK]
                rows.add([words[i].encode() for i in some], matrix[some])
            matrix = rows.finish().matrix
    own = vectors.subwords if subwords else None
    if own is not None and own.words:
        remaining = np.concatenate([own.rows[kept], own.rows[own.words :]])
        own = own._replace(rows=remaining, words=len(kept))
    vocabulary = Vocabulary([words[i] for i in kept], counts)
    return WordVectors(vocabulary, matrix, vectors.repairs, own)
