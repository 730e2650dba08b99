"""What a process may allocate, so that a network too large fails instead of being killed."""

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path


@contextmanager
def memory_ceiling(limit: int) -> Iterator[None]:
    """Let the process allocate no more than *limit* bytes beyond what it first had here.

    What asks for more gets an error instead of the kernel's kill: private writable memory is
    counted, touched or not. Only Linux does this; elsewhere there is no ceiling.
    """
    if sys.platform != "linux":
        yield
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    known = [bound for bound in (soft, hard) if bound != resource.RLIM_INFINITY]
    ceiling = min(limit + _allocated_at_first(), sys.maxsize, *known)
    resource.setrlimit(resource.RLIMIT_DATA, (ceiling, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


@cache  # what trainings allocate later must not raise the ceiling of the next one
def _allocated_at_first() -> int:
    status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    found = re.search(r"^VmData:\s*(\d+) kB", status, re.MULTILINE)
    return int(found[1]) * 1024 if found else 0
