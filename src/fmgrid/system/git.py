"""The state of the git repository around the current folder."""

import shutil
import subprocess
from pathlib import Path


def describe_commit() -> str | None:
    """Return the commit of the current folder, with "-dirty" if need be; None without one."""
    git = shutil.which("git")
    if git is None or Path(git).absolute().parent == Path.cwd():  # Windows looks there first
        return None
    describe = ["describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        result = subprocess.run(  # noqa: S603 - a program that is installed
            [git, "-c", "core.fsmonitor=false", *describe],  # which is the folder's own program
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            check=False,
            timeout=5,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return result.stdout.decode(errors="replace").strip() if result.returncode == 0 else None
