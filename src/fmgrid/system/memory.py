"""The available memory and cores, and a memory ceiling for a process.

A container has a control group with limits of its own. The kernel kills processes that exceed its
memory, and makes processes that exceed its share of the cores wait.
"""

import math
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

_TRIMMED_FROM, _MOST_MAPPED = -1, -4  # options of glibc's malloc.h


@contextmanager
def memory_ceiling(limit: int | None) -> Iterator[None]:
    """Let allocations fail beyond *limit* bytes more than the process had at the first call.

    All private writable memory counts, used or not. None is no ceiling, and only Linux has one.
    """
    if limit is None or sys.platform != "linux":
        yield
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    bounds = [bound for bound in (soft, hard) if bound != resource.RLIM_INFINITY]
    ceiling = min(limit + _allocated_at_first(), sys.maxsize, *bounds)
    resource.setrlimit(resource.RLIMIT_DATA, (ceiling, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


@cache  # memory that a training leaves behind must not raise the ceiling of the next one
def _allocated_at_first() -> int:
    return 1024 * _number_in(Path("/proc/self/status"), r"^VmData:\s*(\d+) kB")


def keep_freed_memory() -> None:
    """Let this process keep the memory that it frees, for the next array of the size.

    glibc gives arrays of more than 32 MB back at once, and the system hands their pages out anew
    in every step, which costs convolutions time. Other libraries are left as they are.
    """
    if sys.platform == "linux":
        import ctypes

        if set_option := getattr(ctypes.CDLL(None), "mallopt", None):
            set_option(_MOST_MAPPED, 0)
            set_option(_TRIMMED_FROM, 2**31 - 1)


def available_memory(proc: Path = Path("/proc"), groups: Path = Path("/sys/fs/cgroup")) -> int:
    """Return the bytes of the machine's memory, or of its control group's if that is less."""
    import psutil

    texts = [
        _read(group / ("memory.max" if is_unified else "memory.limit_in_bytes")).strip()
        for group, is_unified in _control_groups("memory", proc, groups)
    ]
    limits = [int(text) for text in texts if text.isdigit()]  # version 2 writes "max" for no limit
    return min([int(psutil.virtual_memory().total), *limits])


def available_cores(proc: Path = Path("/proc"), groups: Path = Path("/sys/fs/cgroup")) -> int:
    """Return the cores that this process may use, or fewer if its control group has less time.

    A quota of one and a half cores counts as two.
    """
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    for group, is_unified in _control_groups("cpu", proc, groups):
        names = ["cpu.max"] if is_unified else ["cpu.cfs_quota_us", "cpu.cfs_period_us"]
        match " ".join(_read(group / name) for name in names).split():
            case [quota, period] if quota.isdigit() and period.isdigit():  # not "max" or "-1"
                cores = min(cores, max(1, math.ceil(int(quota) / int(period))))
    return cores


def count_kills_for_memory(statistics: Path = Path("/proc/vmstat")) -> int:
    """Return how many processes the kernel has killed for lack of memory, as far as it tells."""
    return _number_in(statistics, r"^oom_kill (\d+)$")


def _control_groups(controller: str, proc: Path, groups: Path) -> Iterator[tuple[Path, bool]]:
    """Yield this process's control group, those that contain it, and whether each is version 2."""
    memberships = re.findall(r"^\d+:(.*?):(/.*)$", _read(proc / "self" / "cgroup"), re.MULTILINE)
    for controllers, path in memberships:
        is_unified = controllers == ""  # version 2
        if not is_unified and controller not in controllers.split(","):
            continue
        mount = groups if is_unified else groups / controller
        # Within a container the path may be the host's, and only the mount itself exists.
        folder = mount / path.strip("/")
        for group in (folder, *folder.parents):
            yield group, is_unified
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
