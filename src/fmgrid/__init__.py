"""Grid search over an MLP on Fashion-MNIST: which settings matter, and which are noise."""

from importlib.metadata import version

__version__ = version("fmgrid")
