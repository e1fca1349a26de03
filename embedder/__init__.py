"""Word embeddings from text through a neural network with an exact softmax, on ordinary CPUs."""

__version__ = "0.1.0"
