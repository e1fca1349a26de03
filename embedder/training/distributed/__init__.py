"""Training on a cluster: Ray places processes and tasks, gloo exchanges the data of each step."""
