"""Evaluation of word vectors and language models."""
