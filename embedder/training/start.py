"""Starting from vectors that exist already: those of a run, or a file of any format.

Words that the vectors have start there, at one common scale. All other words start spectrally, in
coordinates that are arbitrary up to a rotation; they are turned into the space of the given vectors
by the orthogonal matrix R that brings the shared words closest to it (Schönemann 1966). The hidden
layer starts as nearly the identity, so turning W2 along with E keeps what the network predicts.
"""

from pathlib import Path

import numpy as np

from embedder.arrays import rotation_between, unit_rows
from embedder.config import Config
from embedder.errors import ConfigError
from embedder.network.composition import Composition
from embedder.network.parameters import Parameters
from embedder.text.vocabulary import Vocabulary
from embedder.vectors.formats import load


def require_start(config: Config) -> None:
    """Raise an error if the vectors to start from are not there, before any text is read.

    Raises
    ------
    ConfigError
        If there is no such file or folder.
    """
    start = config.training.start
    if start is not None and not Path(start).exists():
        raise ConfigError(f"training.start: {start}: no such run or file of vectors.")


def start_from_vectors(
    config: Config, parameters: Parameters, vocabulary: Vocabulary, composition: Composition
) -> Parameters:
    """Return the parameters before training, moved to the vectors that `training.start` names.

    Parameters
    ----------
    config
        The run.
    parameters
        Those that the run would otherwise start with.
    vocabulary
        V words.
    composition
        Which rows of E make up each word's vector.

    Raises
    ------
    EmbedderError
        If the vectors cannot be read, have another length, or share no word with the text.
    """
    start, D = config.training.start, config.network.dimension
    if start is None:
        return parameters
    given = load(Path(start))
    length = given.matrix.shape[1]
    if length != D:
        raise ConfigError(
            f"training.start: the vectors in {start} have {length} dimensions; expected "
            f"network.dimension, {D}; set network.dimension={length}."
        )
    shared = np.array([i for i, word in enumerate(vocabulary.words) if word in given], np.int64)
    if len(shared) == 0:
        raise ConfigError(
            f"training.start: {start} has none of the text's {len(vocabulary):,} words; expected "
            "vectors of the same language, with the same letter case."
        )
    E, W1, b1, W2, b2 = parameters
    rows = np.array([given.vocabulary.ids[vocabulary.words[i]] for i in shared])
    wanted = given.matrix[rows].astype(E.dtype)
    vectors = composition.vectors(E)
    scale = np.linalg.norm(vectors[shared]) / max(float(np.linalg.norm(wanted)), 1e-30)
    R = rotation_between(unit_rows(vectors[shared]), unit_rows(wanted)).astype(E.dtype)
    turned = vectors @ R
    turned[shared] = wanted * scale
    E = composition.fit(turned)
    if len(W1) == D:  # otherwise x concatenates vectors, and W1 is random
        if len(b1) >= D:
            W2 = np.hstack([W2[:, :D] @ R, W2[:, D:]])
        else:
            W1 = R.T @ W1
    return Parameters(E, W1, b1, W2, b2)
