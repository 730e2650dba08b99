"""A folder of runs, the command that fills it, and what may happen to either of them.

The oracle for all of it: after any faults, one undisturbed command ends with every run complete,
and `experiment_summary.csv` is to the byte that of a folder that nothing ever happened to,
seconds aside. Used by scripts/soak.py and by the tests.
"""

import csv
import io
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from random import Random

import psutil

from fmgrid.errors import DamagedFileError
from fmgrid.results.results_file import read_results

GRID = """
name = "{optimizer}_{epochs}"

[base]
dataset = "fashion-mnist-sample"
train_steps = 400
hidden_units = [32]

[grid]
optimizer = ["Adam", "SGD", "RMSprop"]
epochs = [2, 4]  # the shorter is the beginning of the longer

[[point]]
name = "held_out"
validation = 500
epochs = 3

[[point]]
name = "twin"
epochs = 4

[[point]]
name = "edited"
batch_size = 32
epochs = 2
"""
EDITED = GRID.replace("batch_size = 32", "batch_size = 16")

FMGRID = Path(sys.executable).with_name("fmgrid")
STOP_SECONDS = 60.0  # after which a command that got a signal hangs, however slow the machine
ORPHAN_SECONDS = 30.0  # after which a process that outlives it won't end by itself
_MARK = "FMGRID_FAULTS"  # in the environment of every process of a world

INTERRUPTED = 130
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class BrokenPromiseError(AssertionError):
    """fmgrid did what it says it never does."""


class World:
    """A grid file and a log folder of its own, in an empty folder."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder.absolute()
        self.grid = self.folder / "grid.toml"
        self.logdir = self.folder / "modellogs"
        self.edit(GRID)

    # What may happen

    def edit(self, text: str) -> None:
        """Let the grid say this from now on."""
        self.grid.write_text(text, encoding="utf-8")

    def kill_parent(self, seconds: float) -> int | None:
        """Kill the command after so long; return its exit code, None if it was killed."""
        process = self.start()
        code = _wait(process, seconds)
        if code is None:
            process.kill()
            process.wait()
        self.check_no_orphans()
        return code

    def kill_worker(self, seconds: float, random: Random) -> bool:
        """Kill one worker after so long, and let the command end; return whether there was one."""
        process = self.start()
        killed = False
        if _wait(process, seconds) is None and (workers := self.workers(process.pid)):
            with suppress(psutil.NoSuchProcess):
                random.choice(workers).kill()
                killed = True
        self.expect(process, 0)
        return killed

    def interrupt(self, seconds: float, number: int, *, twice: bool = False) -> int:
        """Send a signal to the command and to its terminal's group after so long."""
        process = self.start()
        if _wait(process, seconds) is None:
            os.killpg(process.pid, number)
            if twice and _wait(process, 0.05) is None:
                os.killpg(process.pid, number)
            if _wait(process, STOP_SECONDS) is None:
                raise BrokenPromiseError(f"still there {STOP_SECONDS} s after signal {number}")
        # Before there is anything to lose, a signal does what it does to any process.
        self.expect(process, 0, INTERRUPTED, -number)
        self.check_no_orphans()
        return process.returncode

    def damage(self, random: Random) -> Path | None:
        """Change, cut or lengthen a file of a run; return which, None if there is none."""
        files = sorted(path for path in self.logdir.glob("*/*") if path.is_file())
        if not files:
            return None
        path = random.choice(files)
        content = bytearray(path.read_bytes())
        kind = random.choice(["flip", "cut", "append"])
        place = random.randrange(len(content)) if content else 0
        if kind == "append" or not content:
            content += bytes([random.randrange(256)])
        elif kind == "cut":
            del content[place:]
        else:
            content[place] ^= 1 << random.randrange(8)
        path.write_bytes(content)
        return path

    def delete(self, random: Random) -> Path | None:
        """Delete the folder of a run or a file in it; return which, None if there is none."""
        paths = sorted(self.logdir.glob("[!.]*")) + sorted(self.logdir.glob("[!.]*/*"))
        if not paths:
            return None
        path = random.choice(paths)
        shutil.rmtree(path) if path.is_dir() else path.unlink()
        return path

    def forget(self, random: Random) -> None:
        """Delete the folders of some runs, all of them sometimes, so that there is work to do."""
        folders = sorted(self.logdir.glob("[!.]*"))
        for folder in random.sample(folders, random.randint(len(folders) // 2, len(folders))):
            shutil.rmtree(folder)

    def two_at_once(self) -> None:
        """Start the command twice; whichever is late is refused, or finds everything done."""
        codes = sorted(process.wait() for process in (self.start(), self.start()))
        if codes not in ([0, 0], [0, 3]):
            raise BrokenPromiseError(f"two at once ended with {codes}")

    def run_without_room(self) -> None:
        """Run the command where no file may grow beyond a kilobyte; what it does is refused."""
        before = self.finished()
        process = self.start()
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (1000, 1000))
        self.expect(process, 0, 3)
        if self.finished() != before:
            raise BrokenPromiseError("results were written where there was no room")

    # What is promised

    def start(self, *words: str) -> "subprocess.Popen[bytes]":
        """Start the command, in a session of its own as from a terminal."""
        with (self.folder / "stderr").open("ab") as stderr:
            return subprocess.Popen(
                [FMGRID, "run", self.grid, "--logdir", self.logdir, *words],
                env={**os.environ, _MARK: str(self.folder)},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
                start_new_session=True,
            )

    def expect(self, process: "subprocess.Popen[bytes]", *codes: int) -> None:
        """Wait for the command's end, with one of the exit codes and without a traceback."""
        code = process.wait()
        told = (self.folder / "stderr").read_text(encoding="utf-8", errors="replace")
        if code not in codes or "Traceback" in told:
            raise BrokenPromiseError(f"exit code {code}, expected {codes}:\n{told[-3000:]}")

    def finished(self) -> dict[str, bytes]:
        """Return every results file that is what fmgrid wrote, by run."""
        found = {}
        for path in self.logdir.glob("*/[!.]*_results.toml"):
            with suppress(DamagedFileError):
                read_results(path)
                found[path.parent.name] = path.read_bytes()
        return found

    def resume(self) -> str:
        """Run the command undisturbed; return the table, without what is measured in seconds.

        Raises `BrokenPromiseError` if it doesn't end complete, or changes a finished run of the
        grid as it is.
        """
        self.edit(GRID)
        before = self.finished()
        self.expect(self.start("--replace"), 0)
        after = self.finished()
        for name, content in before.items():
            if after.get(name) != content and name != "edited":
                raise BrokenPromiseError(f"{name} was finished, and was changed")
        self.check_no_orphans()
        left = list(self.logdir.glob("[!.]*/.unfinished-*"))
        if left:
            raise BrokenPromiseError(f"left behind: {left}")
        return self.table()

    def table(self) -> str:
        """Return experiment_summary.csv without the column of seconds."""
        table = subprocess.run(
            [FMGRID, "summarize", self.logdir, "-o", "-"], capture_output=True, check=True
        )
        rows = list(csv.DictReader(io.StringIO(table.stdout.decode())))
        kept = [name for name in rows[0] if name != "seconds"] if rows else []
        text = io.StringIO()
        csv.DictWriter(text, kept, extrasaction="ignore").writerows(rows)
        return text.getvalue()

    def processes(self) -> Iterator[psutil.Process]:
        """Yield every living process that this world's commands have started."""
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                mark = process.environ().get(_MARK)
                if mark == str(self.folder) and process.status() != psutil.STATUS_ZOMBIE:
                    yield process

    def workers(self, command: int) -> list[psutil.Process]:
        """Return the workers of the command with this process id: those that lead a session."""
        return [
            process
            for process in self.processes()
            if process.pid != command and os.getsid(process.pid) == process.pid
        ]

    def check_no_orphans(self) -> None:
        """Raise `BrokenPromiseError` if a process outlives its command by too long."""
        deadline = time.monotonic() + ORPHAN_SECONDS
        while left := list(self.processes()):
            if time.monotonic() > deadline:
                raise BrokenPromiseError(f"{left} are still there")
            time.sleep(0.02)


def _wait(process: "subprocess.Popen[bytes]", seconds: float) -> int | None:
    """Return the exit code if the process ends so soon, None if it doesn't."""
    with suppress(subprocess.TimeoutExpired):
        return process.wait(seconds)
    return None
