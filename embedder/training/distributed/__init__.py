"""Training on a cluster: Ray places the work, gloo moves what a step exchanges."""
