"""The network's parameters, and their values before training."""

from typing import NamedTuple

import numpy as np

from embedder.arrays import Array
from embedder.config_sections.network import NetworkConfig
from embedder.network.activation import SLOPES
from embedder.network.composition import Composition

_SPECTRAL_DEVIATION = 0.15
"""Standard deviation of E's entries at a spectral start, in the sigmoid's linear range."""
_RANDOM_DEVIATION = 0.1


class Parameters(NamedTuple):
    """The trained arrays.

    ``E (R, D)``, ``W1 (I, H)``, ``b1 (H,)``, ``W2 (C, H)``, ``b2 (C,)``
        R is V, or more if words share rows (see `embedder.network.composition`). I, the length of
        x, is D, or K·D if the vectors of K words are concatenated. W2 has one row per context (see
        `embedder.examples.cooccurrence`), the words in any position first; with direct connections
        its rows have H + I entries.
    """

    E: Array
    W1: Array
    b1: Array
    W2: Array
    b2: Array


class Factors(NamedTuple):
    """A symmetric matrix in factors, nearly L diag(s) Lᵀ.

    ``left (V, k) float32``
        L; columns of length √|eigenvalue|.
    ``signs (k,) float32``
        s, the signs of the eigenvalues.
    """

    left: Array
    signs: Array


class Start(NamedTuple):
    """What the initial parameters are computed from.

    ``totals (C,)``
        Σ_w C[w, c] for every context.
    ``words (C,) int64``
        The word of every context.
    ``composition``
        Which rows of E make up each word's vector.
    ``factors``
        Of the positive PMI matrix, with k ≥ max(D, H), for a spectral start; None for a random one.
    ``vectors_per_input``
        K, the number of vectors that x concatenates.
    """

    totals: Array
    words: Array
    composition: Composition
    factors: Factors | None = None
    vectors_per_input: int = 1


def initial_parameters(
    config: NetworkConfig, start: Start, rng: np.random.Generator, dtype: type = np.float32
) -> Parameters:
    """Return the parameters before training.

    b2 is log p(c), so that an untrained network predicts the unigram distribution. W1 is the
    identity divided by the activation's slope at 0, so that h ≈ x; if x concatenates several
    vectors, W1 is random, with a variance that lets h vary as x does (LeCun et al. 1998, section
    4.6). Without a factorisation, E is random and W2 is zero.

    Parameters
    ----------
    config
        The sizes.
    start
        What they are computed from.
    rng
        Draws the random entries.
    dtype
        The dtype of all parameters.
    """
    D, H = config.dimension, config.hidden
    length = start.vectors_per_input * D
    features = H + length if config.direct else H
    W2: Array = np.zeros((len(start.words), features), dtype)
    if start.factors is None:
        shape = start.composition.height, D
        E: Array = rng.normal(0.0, _RANDOM_DEVIATION, shape).astype(dtype)
    else:
        left, signs = start.factors
        scale = _SPECTRAL_DEVIATION / max(float(left[:, :D].std()), 1e-30)
        E = start.composition.fit((left[:, :D] * scale).astype(dtype))
        W2[:, :H] = left[start.words, :H] * signs[:H] / scale
        W2[:, min(D, H) : H] = 0.0  # no input reaches these hidden units yet
    totals = start.totals
    shares = np.maximum(totals, 1e-3 * totals[totals > 0].min()) / totals.sum()
    slope = SLOPES[config.activation]
    W1: Array = (np.eye(length, H) / slope).astype(dtype)
    if start.vectors_per_input > 1:
        W1[:] = rng.normal(0.0, 1.0 / (slope * np.sqrt(length)), W1.shape)
    elif D < H:
        W1[:, D:] = rng.normal(0.0, 1.0 / np.sqrt(D), (D, H - D))
    return Parameters(E, W1, np.zeros(H, dtype), W2, np.log(shares).astype(dtype))
