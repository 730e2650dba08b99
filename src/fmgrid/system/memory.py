"""How much memory there is, and a ceiling for a process, so that it fails instead of being killed.

A container has a control group with a limit of its own, which the kernel enforces with a kill.
"""

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


def available_memory(proc: Path = Path("/proc"), groups: Path = Path("/sys/fs/cgroup")) -> int:
    """Return the bytes that the machine has, or its control group may use if they are fewer."""
    import psutil

    total = int(psutil.virtual_memory().total)
    return min(total, *_group_limits(proc, groups), total)


def count_kills_for_memory(statistics: Path = Path("/proc/vmstat")) -> int:
    """Return how many processes the kernel has killed for lack of memory; 0 where none tells."""
    found = re.search(r"^oom_kill (\d+)$", _read(statistics), re.MULTILINE)
    return int(found[1]) if found else 0


def _group_limits(proc: Path, groups: Path) -> Iterator[int]:
    """Yield the limits of this process's control group and of those around it."""
    memberships = re.findall(r"^\d+:(.*?):(/.*)$", _read(proc / "self" / "cgroup"), re.MULTILINE)
    for controllers, path in memberships:
        if controllers == "":  # version 2
            mount, name = groups, "memory.max"
        elif "memory" in controllers.split(","):
            mount, name = groups / "memory", "memory.limit_in_bytes"
        else:
            continue
        # Within a container the path may be the host's, and only the mount itself is there.
        folder = mount / path.strip("/")
        for group in (folder, *folder.parents):
            text = _read(group / name).strip()
            if text.isdigit():  # version 2 writes "max" where there is no limit
                yield int(text)
            if group == mount:
                break


def _read(path: Path) -> str:
    """Return a file of the system, "" if it has none."""
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
