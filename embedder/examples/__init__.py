"""Training examples: from word ids to the minibatches that a network trains on."""
