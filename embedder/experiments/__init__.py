"""Experiments: many runs of one description."""
