"""Training: the loop, what it runs on, and what it reports."""
