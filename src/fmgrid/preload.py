"""What the workers' server imports, so that every worker has it from the start."""

import gc
from importlib import import_module

# Nothing that torch's import makes becomes garbage, yet looking for some takes a sixth of its time.
gc.disable()
import_module("fmgrid.training")
gc.enable()
