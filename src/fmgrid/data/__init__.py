"""A data set on disk -> tensors, and seeded batches of them."""

from fmgrid.data.cache import Prepared, prepare
from fmgrid.data.catalogue import DATASETS

__all__ = ["DATASETS", "Prepared", "prepare"]
