"""Measures of word vectors on questions that people wrote."""
