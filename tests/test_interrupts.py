"""Ctrl-C, kill, a terminal that closes: what the command does then, and what it leaves."""

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import filelock
import psutil
import pytest

from command import QUICK, SLOW, STARTED, bits, fmgrid, start, start_in_terminal, wait_for, write
from fmgrid.results.results_file import read_results

pytestmark = pytest.mark.usefixtures("elsewhere")

LOG = Path("modellogs/grid/run.log")
HIDDEN, SHOWN = "\x1b[?25l", "\x1b[?25h"  # the cursor


# A run that ends, and one that doesn't.
BOTH = f'{SLOW}[[point]]\nname = "slow"\n[[point]]\nname = "quick"\nepochs = 1\nbatch_size = 32\n'


def descendants(pid: int) -> list[psutil.Process]:
    return psutil.Process(pid).children(recursive=True)


def are_gone(processes: list[psutil.Process]) -> bool:
    """Return whether all have ended soon, waited for or not."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        left = [process for process in processes if process.is_running()]
        with suppress(psutil.NoSuchProcess):
            if all(process.status() == psutil.STATUS_ZOMBIE for process in left):
                return True
        time.sleep(0.02)
    return False


def wait_for_word(process: subprocess.Popen[str]) -> None:
    """Wait until the command says what it will do: the workers' server is importing torch then."""
    assert process.stderr is not None
    while " on 1 worker" not in (line := process.stderr.readline()):
        assert line, "it ended before"


@pytest.mark.parametrize("moment", ["while torch is imported", "in a training"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_command_with_how_to_go_on(number: signal.Signals, moment: str) -> None:
    process = start("run", write(SLOW))
    if moment == "in a training":
        wait_for(LOG, process)
    else:
        wait_for_word(process)
    others = descendants(process.pid)
    os.killpg(process.pid, number)
    _, told = process.communicate(timeout=100)
    assert process.returncode == 130
    assert "interrupted; 0 of 1 run done, the same command does the rest" in told
    assert "Traceback" not in told
    assert are_gone(others)
    assert fmgrid("run", write(QUICK)).returncode == 0


@pytest.fixture
def prepared_elsewhere(
    elsewhere: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """Hold the lock for which `fmgrid data` waits."""
    del elsewhere  # which comes first, and names a cache, too
    cache = tmp_path / "busy"
    cache.mkdir()
    monkeypatch.setenv("FMGRID_CACHE", str(cache))
    with filelock.FileLock(cache / "fashion-mnist-sample.lock"):
        yield


def end_while_it_waits(process: subprocess.Popen[str], number: signal.Signals) -> None:
    assert process.stderr is not None
    assert "waiting for another process" in process.stderr.readline()
    process.send_signal(number)
    _, told = process.communicate(timeout=100)
    assert (process.returncode, told) == (130, "fmgrid: interrupted\n")


@pytest.mark.usefixtures("prepared_elsewhere")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_any_command_with_a_word_and_no_trace(number: signal.Signals) -> None:
    end_while_it_waits(start("data", "fashion-mnist-sample"), number)


@pytest.mark.parametrize("seconds", [0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5])
def test_no_moment_is_too_early_for_ctrl_c(seconds: float) -> None:
    process = start("run", write(SLOW))
    time.sleep(seconds)
    os.killpg(process.pid, signal.SIGINT)
    _, told = process.communicate(timeout=100)
    # The interpreter's own first moments are not fmgrid's to guard.
    has_python_begun = not told.startswith("Fatal Python error: init_")
    # By the signal itself, before there was anybody to hear it.
    assert not has_python_begun or process.returncode in (130, -signal.SIGINT)
    assert "Traceback" not in told or "fmgrid/cli" not in told


def test_what_is_done_is_kept() -> None:
    grid = write(BOTH)
    process = start("run", grid, "-j", "2")
    wait_for(Path("modellogs/quick/quick_results.toml"), process)
    process.send_signal(signal.SIGTERM)
    _, told = process.communicate(timeout=100)
    assert "interrupted; 1 of 2 runs done" in told
    assert bits(Path("modellogs")).keys() == {"quick"}


def test_a_second_signal_ends_it_at_once() -> None:
    process = start("run", write(SLOW))
    wait_for(LOG, process)
    others = descendants(process.pid)
    for _ in range(2):
        os.killpg(process.pid, signal.SIGINT)
        time.sleep(0.02)
    _, told = process.communicate(timeout=100)
    assert process.returncode == 130
    assert "Traceback" not in told
    assert are_gone(others)


def test_what_nohup_ignores_stays_ignored() -> None:
    grid = write(QUICK.replace("train_steps = 3", "train_steps = 300"))
    process = subprocess.Popen(
        ["nohup", "fmgrid", "run", str(grid)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    wait_for(LOG, process)
    os.killpg(process.pid, signal.SIGHUP)
    _, told = process.communicate(timeout=100)
    assert process.returncode == 0, told
    assert "1 of 1 run complete" in told


# Starts a command with signals that are blocked or ignored, as a service manager or a trap does.
LAUNCHER = """
import os, signal, sys
how, names, *command = sys.argv[1:]
chosen = signal.valid_signals() if names == "all" else [getattr(signal, names)]
for number in set(chosen) - {signal.SIGKILL, signal.SIGSTOP}:
    if how == "blocked":
        signal.pthread_sigmask(signal.SIG_BLOCK, [number])
    else:
        try:
            signal.signal(number, signal.SIG_IGN)
        except OSError:  # the C library's own
            pass
os.execvp(command[0], command)
"""


def start_with_signals(how: str, names: str, *words: object) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", LAUNCHER, how, names, "fmgrid", *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    STARTED.append(process)
    return process


@pytest.mark.parametrize("how", ["blocked", "ignored"])
def test_a_grid_ends_whatever_signals_its_caller_has_blocked_or_ignored(how: str) -> None:
    process = start_with_signals(how, "all", "run", write(QUICK))
    _, told = process.communicate(timeout=60)
    assert process.returncode == 0, told
    assert "1 of 1 run complete" in told
    run = read_results(Path("modellogs/grid/grid_results.toml"))
    assert "git" not in run.software  # git said no, which its exit code alone tells


@pytest.mark.usefixtures("prepared_elsewhere")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_that_the_caller_has_blocked_is_heard(number: signal.Signals) -> None:
    process = start_with_signals("blocked", number.name, "data", "fashion-mnist-sample")
    end_while_it_waits(process, number)


def read_until(terminal: int, text: str) -> Iterator[str]:
    """Yield what the terminal gets, until there is *text* in it."""
    got = ""
    while text not in got:
        assert select.select([terminal], [], [], 100)[0], f"no {text} on the terminal: {got}"
        got += os.read(terminal, 65536).decode(errors="replace")
    yield got


def exit_code(child: int) -> int:
    deadline = time.monotonic() + 10
    while (ended := os.waitpid(child, os.WNOHANG))[0] == 0:
        assert time.monotonic() < deadline, "it didn't end"
        time.sleep(0.02)
    return os.waitstatus_to_exitcode(ended[1])


@pytest.mark.filterwarnings("ignore:.*forkpty.*:DeprecationWarning")  # it execs at once
@pytest.mark.parametrize("times", [1, 2])
def test_ctrl_c_leaves_the_terminal_usable(times: int) -> None:
    child, terminal = start_in_terminal("run", str(write(SLOW)))
    got = "".join(read_until(terminal, "running: grid"))
    for _ in range(times):
        os.write(terminal, b"\x03")
        time.sleep(0.02)
    code = exit_code(child)
    try:
        while select.select([terminal], [], [], 1)[0]:
            got += os.read(terminal, 65536).decode(errors="replace")
    except OSError:  # how Linux says that nobody is at the other end
        pass
    assert code == 130
    assert got.rindex(SHOWN) > got.rindex(HIDDEN)
    assert "Traceback" not in got


@pytest.mark.filterwarnings("ignore:.*forkpty.*:DeprecationWarning")  # it execs at once
def test_a_terminal_that_closes_ends_the_command_and_loses_nothing() -> None:
    grid = write(BOTH)
    child, terminal = start_in_terminal("run", str(grid))
    list(read_until(terminal, "1/2"))
    others = descendants(child)
    os.close(terminal)
    assert exit_code(child) == 130
    assert are_gone(others)
    assert bits(Path("modellogs")).keys() == {"quick"}


@pytest.mark.parametrize("words", ["2>&1", "--json"])
def test_a_reader_that_leaves_costs_no_run(words: str) -> None:
    script = f"fmgrid run {write(QUICK)} --seeds 0,1,2 {words} | head -n 1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 1
    assert bits(Path("modellogs")).keys() == {"grid", "grid_s1", "grid_s2"}
