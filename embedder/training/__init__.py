"""Training: the loop, the engines that it runs on, and the metrics that it reports."""
