"""A ceiling for what a process may allocate: in processes of their own, which it can't harm."""

import subprocess
import sys

import pytest

CODE = """
import mmap, sys
from fmgrid.memory import memory_ceiling

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
