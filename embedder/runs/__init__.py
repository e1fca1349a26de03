"""Runs: the folder that a training leaves behind."""
