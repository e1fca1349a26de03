"""The network: parameters, layers, losses and the optimizer; E, W1, b1, W2, b2 are at home here."""
