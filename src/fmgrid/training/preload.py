"""The imports of the workers' server, which every worker has from the start."""

import gc
import os
from contextlib import suppress
from importlib import import_module

from fmgrid.system.processes import die_with_parent

# The server would notice its parent's death when it has imported all this, and no sooner. What
# is forked from the server does not die with it.
parent = os.environ.get("FMGRID_PARENT")
die_with_parent(int(parent) if parent else None)

if log := os.environ.get("FMGRID_SERVER_LOG"):
    # Whatever ends the server is the command's to say, in its own words.
    with suppress(OSError):  # the folder was removed; its words go to the command's stderr
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(descriptor, 2)
        os.close(descriptor)

# Nothing that torch's import makes becomes garbage, yet looking for some takes a sixth of its time.
gc.disable()
import_module("fmgrid.training.loop")
gc.enable()
