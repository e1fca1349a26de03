"""Run folders: what a training run writes, and how it is read back."""
