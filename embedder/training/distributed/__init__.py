"""Training on a cluster: Ray counts the text and fits rows, and one process does the rest."""
