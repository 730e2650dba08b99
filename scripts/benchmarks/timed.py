"""Run a command and print, as JSON, its wall seconds, the most MB it held, and its exit code.

It is small, and so is what it starts with: a process's peak counts what its parent held.
"""

import json
import os
import subprocess
import sys
import time

start = time.perf_counter()
command = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
_, status, usage = os.wait4(command.pid, 0)
seconds = time.perf_counter() - start
print(json.dumps([seconds, usage.ru_maxrss / 1024, os.waitstatus_to_exitcode(status)]))
