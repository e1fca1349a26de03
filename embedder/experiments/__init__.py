"""Experiments: many runs from one description."""
