"""The command as a user calls it, and what tests ask of the folders that it leaves."""

import os
import pty
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from fmgrid.experiment import Run
from fmgrid.results.results_file import read_results

ROOT = Path(__file__).resolve().parent.parent
TINY = ROOT / "configs" / "smoke" / "tiny.toml"
NAMES = ["tiny_Adam_16", "tiny_Adam_64", "tiny_SGD_16", "tiny_SGD_64", "tiny_held_out", "tiny_twin"]

QUICK = """
[base]
dataset = "fashion-mnist-sample"
epochs = 1
train_steps = 3
hidden_units = [8]
"""
Call = Callable[..., tuple[int, str, str]]
STARTED: list[subprocess.Popen[str]] = []
SLOW = QUICK.replace("epochs = 1", "epochs = 200000")  # an hour


def fmgrid(*words: object, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["fmgrid", *map(str, words)],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )


def start(*words: object, **environment: str) -> subprocess.Popen[str]:
    """Start a command; what a failing test leaves of it is killed by the fixture `elsewhere`."""
    process = subprocess.Popen(
        ["fmgrid", *map(str, words)],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    STARTED.append(process)
    return process


def start_in_terminal(*words: str, **environment: str) -> tuple[int, int]:
    """Start a command on a terminal; return its process id and the terminal's other end."""
    child, terminal = pty.fork()
    if child == 0:
        try:
            os.environ.update({"TERM": "xterm-256color", **environment})
            os.execvp("fmgrid", ["fmgrid", *words])
        finally:
            os._exit(127)  # or a second pytest would go on from here
    return child, terminal


def kill_started() -> None:
    while STARTED:
        with STARTED.pop() as process:
            process.kill()


def write(text: str, name: str = "grid.toml") -> Path:
    Path(name).write_text(text)
    return Path(name)


def figures(run: Run) -> list[dict[str, float]]:
    """Everything in a history that must come out the same bits."""
    assert run.failure is None, run.failure
    return [record.model_dump(exclude={"seconds"}) for record in run.history]


def bits(logdir: Path) -> dict[str, object]:
    """Everything in a folder of runs but times."""
    runs = (read_results(path) for path in sorted(logdir.glob("*/*_results.toml")))
    return {
        run.experiment.run_name: (
            run.status,
            [record.model_dump(exclude={"seconds"}) for record in run.history],
            (run.test_loss, run.test_accuracy),
        )
        for run in runs
    }


def next_results(logdir: Path, process: subprocess.Popen[str]) -> Path:
    """Wait for the first run that is finished and return its results file."""
    while process.poll() is None:
        if found := list(logdir.glob("*/[!.]*_results.toml")):
            return found[0]
        time.sleep(0.02)
    raise AssertionError(process.communicate()[1])


def wait_for(path: Path, process: subprocess.Popen[str], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not path.exists():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline, f"no {path} after {seconds} s"
        time.sleep(0.02)
