"""Grid search over an MLP on Fashion-MNIST: which settings matter, and which are noise."""

__version__ = "0.1.0"
