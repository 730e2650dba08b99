"""How much memory there is, and a ceiling for a process, which fails there instead of being killed.

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
    """Let allocations fail beyond *limit* bytes more than the process had at the first call.

    All private writable memory counts, used or not. Only Linux has such a ceiling.
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


@cache  # memory that a training leaves behind must not raise the ceiling of the next one
def _allocated_at_first() -> int:
    return 1024 * _number_in(Path("/proc/self/status"), r"^VmData:\s*(\d+) kB")


def available_memory(proc: Path = Path("/proc"), groups: Path = Path("/sys/fs/cgroup")) -> int:
    """Return the bytes that the machine has, or fewer if its control group may use fewer."""
    import psutil

    total = int(psutil.virtual_memory().total)
    return min(total, *_group_limits(proc, groups), total)


def count_kills_for_memory(statistics: Path = Path("/proc/vmstat")) -> int:
    """Return how many processes the kernel has killed for lack of memory, as far as it tells."""
    return _number_in(statistics, r"^oom_kill (\d+)$")


def _group_limits(proc: Path, groups: Path) -> Iterator[int]:
    """Yield the limits of this process's control group and of the groups that contain it."""
    memberships = re.findall(r"^\d+:(.*?):(/.*)$", _read(proc / "self" / "cgroup"), re.MULTILINE)
    for controllers, path in memberships:
        if controllers == "":  # version 2
            mount, name = groups, "memory.max"
        elif "memory" in controllers.split(","):
            mount, name = groups / "memory", "memory.limit_in_bytes"
        else:
            continue
        # Within a container the path may be the host's, and only the mount itself exists.
        folder = mount / path.strip("/")
        for group in (folder, *folder.parents):
            text = _read(group / name).strip()
            if text.isdigit():  # version 2 writes "max" for no limit
                yield int(text)
            if group == mount:
                break


def _number_in(file: Path, pattern: str) -> int:
    """Return the number in a file of the system, 0 if it has none."""
    match = re.search(pattern, _read(file), re.MULTILINE)
    return int(match[1]) if match else 0


def _read(path: Path) -> str:
    """Return the text of a file of the system, "" if there is no such file."""
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
