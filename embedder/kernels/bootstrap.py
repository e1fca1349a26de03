"""Bootstrap samples of a text: blocks of it, drawn with replacement.

Neighbouring words depend on each other, so that single words cannot be drawn. Blocks that hold more
than the reach of this dependence can (the block bootstrap of Künsch 1989, with blocks that do not
overlap).
"""

import numpy as np
from numba import njit

from embedder.kernels.tokens import SENTENCE_END


@njit(cache=True)
def cut_blocks(ids, length, longest, starts):
    """Cut a text into blocks, between sentences where possible.

    Parameters
    ----------
    ids : (n,) int32
        Word ids, −1 at sentence ends.
    length : int
        A block ends with the sentence in which it reaches this many words.
    longest : int
        Within a longer sentence, it ends after this many words.
    starts : (≥ n + 1,) int64
        Receives where each block begins, and n.

    Returns
    -------
    int
        The number of blocks.
    """
    blocks, words = 0, 0
    starts[0] = 0
    for i in range(len(ids)):
        ends = False
        if ids[i] == SENTENCE_END:
            ends = words >= length
        else:
            words += 1
            # A sentence that ends here anyway is not cut just before its end.
            ends = words >= longest and (i + 1 == len(ids) or ids[i + 1] != SENTENCE_END)
        if ends:
            blocks += 1
            starts[blocks] = i + 1
            words = 0
    if words == 0 and blocks > 0:
        starts[blocks] = len(ids)
    elif len(ids) > 0:
        blocks += 1
        starts[blocks] = len(ids)
    return blocks


@njit(cache=True)
def repeat_blocks(ids, starts, times, out):
    """Write each block of a text as often as it was drawn.

    Parameters
    ----------
    ids : (n,) int32
        Word ids, −1 at sentence ends.
    starts : (blocks + 1,) int64
        From `cut_blocks`.
    times : (blocks,) int64
        How often each block was drawn.
    out : int32
        Receives the blocks; every copy ends a sentence, for which there must be room.

    Returns
    -------
    int
        The number of ids written.
    """
    written = 0
    for block in range(len(times)):
        for _ in range(times[block]):
            for i in range(starts[block], starts[block + 1]):
                out[written] = ids[i]
                written += 1
            if written > 0 and out[written - 1] != SENTENCE_END:
                out[written] = np.int32(SENTENCE_END)
                written += 1
    return written
