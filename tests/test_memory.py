"""How much memory there is, and a ceiling for it in processes of their own, which it can't harm."""

import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from fmgrid.system.memory import available_cores, available_memory, count_kills_for_memory
from fmgrid.training.costs import memory_for, workers_for

CODE = """
import mmap, sys
from fmgrid.system.memory import memory_ceiling

def allocates(size):
    try:
        with memory_ceiling(int(sys.argv[1])):
            return len(bytearray(size)) == size
    except MemoryError:
        return False

print(*[allocates(size) for size in (10**8, 4 * 10**8, 10**8, 4 * 10**8)])
print(len(bytearray(4 * 10**8)))
"""


@pytest.mark.parametrize(
    ("limit", "expected"),
    [(250_000_000, "True False True False"), (10**30, "True True True True")],
    ids=["one between the two", "more than there are addresses"],
)
def test_what_exceeds_the_ceiling_is_refused_and_only_within_it(limit: int, expected: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CODE, str(limit)], capture_output=True, text=True, check=False
    )
    assert done.stdout == f"{expected}\n400000000\n", done.stderr


TOTAL = psutil.virtual_memory().total


@pytest.mark.parametrize(
    ("membership", "limits", "expected"),
    [
        ("0::/job\n", {"job/memory.max": "600000000"}, 600_000_000),
        ("0::/a/b\n", {"a/memory.max": "5000000", "a/b/memory.max": "max"}, 5_000_000),
        ("0::/a\n", {"memory.max": "7000000", "a/memory.max": "9000000"}, 7_000_000),
        (
            "5:cpu:/\n4:memory:/job\n0::/\n",
            {"memory/job/memory.limit_in_bytes": "600000000"},
            600_000_000,
        ),
        (
            "4:cpu,memory:/of/the/host\n",
            {"memory/memory.limit_in_bytes": "600000000"},
            600_000_000,
        ),
        ("4:memory:/\n", {"memory/memory.limit_in_bytes": str(2**63 - 4096)}, TOTAL),
        ("0::/\n", {"memory.max": "max"}, TOTAL),
        ("0::/\n", {}, TOTAL),
        ("nonsense\n", {"memory.max": "1"}, TOTAL),
        ("", {}, TOTAL),
    ],
)
def test_the_memory_is_the_machines_or_what_a_control_group_leaves_of_it(
    membership: str, limits: dict[str, str], expected: int, tmp_path: Path
) -> None:
    assert available_memory(*make_group(tmp_path, membership, limits)) == expected


CORES = available_cores(Path("/nowhere"), Path("/nowhere"))


@pytest.mark.parametrize(
    ("membership", "limits", "expected"),
    [
        ("0::/job\n", {"job/cpu.max": "100000 100000"}, 1),
        ("0::/a/b\n", {"a/cpu.max": "50000 100000", "a/b/cpu.max": "max 100000"}, 1),
        ("0::/\n", {"cpu.max": "max 100000"}, CORES),
        ("0::/\n", {"cpu.max": f"{CORES * 100_000 - 1} 100000"}, CORES),
        ("0::/\n", {"cpu.max": "9999900000 100000"}, CORES),
        ("0::/\n", {"cpu.max": "1 100000"}, 1),
        ("0::/\n", {"cpu.max": "nonsense"}, CORES),
        (
            "5:cpu,cpuacct:/of/the/host\n0::/\n",
            {"cpu/cpu.cfs_quota_us": "20000", "cpu/cpu.cfs_period_us": "100000"},
            1,
        ),
        (
            "5:cpu:/job\n",
            {"cpu/job/cpu.cfs_quota_us": "-1", "cpu/job/cpu.cfs_period_us": "100000"},
            CORES,
        ),
        ("5:cpu:/\n", {"cpu/cpu.cfs_quota_us": "20000"}, CORES),
        ("", {}, CORES),
    ],
)
def test_a_container_gets_no_more_workers_than_it_has_cores(
    membership: str, limits: dict[str, str], expected: int, tmp_path: Path
) -> None:
    assert available_cores(*make_group(tmp_path, membership, limits)) == expected


def make_group(folder: Path, membership: str, limits: dict[str, str]) -> tuple[Path, Path]:
    """Write what the kernel tells of control groups; return the folders that stand for its own."""
    (folder / "proc/self").mkdir(parents=True)
    if membership:
        (folder / "proc/self/cgroup").write_text(membership)
    for name, limit in limits.items():
        (folder / "groups" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "groups" / name).write_text(f"{limit}\n")
    return folder / "proc", folder / "groups"


def test_kills_for_lack_of_memory_are_counted_where_the_kernel_tells(tmp_path: Path) -> None:
    (tmp_path / "vmstat").write_text("pgfault 12\noom_kill 3\n")
    assert count_kills_for_memory(tmp_path / "vmstat") == 3
    assert count_kills_for_memory(tmp_path / "nothing") == 0


def test_only_as_many_workers_are_started_as_have_room() -> None:
    for workers in (1, 2, 7):
        assert workers_for(memory_for(workers)) == workers
    assert workers_for(0) == 1
    assert workers_for(600_000_000) == 1
