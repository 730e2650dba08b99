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

# Nothing that torch's import makes becomes garbage, yet looking for some takes a sixth of its time.
gc.disable()
import_module("fmgrid.training")
gc.enable()
