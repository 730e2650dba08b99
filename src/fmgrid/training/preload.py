"""What the workers' server imports, so that every worker has it from the start."""

import ctypes
import gc
import os
import signal
import sys
from importlib import import_module

if sys.platform == "linux":
    # The server would notice its parent's death when it has imported all this, and no sooner.
    PR_SET_PDEATHSIG = 1  # prctl(2); what is forked from the server does not inherit it
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.environ.get("FMGRID_PARENT") not in (None, str(os.getppid())):
        os._exit(1)  # it had died already

if log := os.environ.get("FMGRID_SERVER_LOG"):
    # Whatever ends the server is the command's to say, in its own words.
    try:
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    except OSError:
        pass  # the folder was removed; its words go to the command's stderr
    else:
        os.dup2(descriptor, 2)
        os.close(descriptor)

# Nothing that torch's import makes becomes garbage, yet looking for some takes a sixth of its time.
gc.disable()
import_module("fmgrid.training.loop")
gc.enable()
