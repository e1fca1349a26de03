"""The network: its parameters E, W1, b1, W2 and b2, its layers, losses and optimizer."""
