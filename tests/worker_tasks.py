"""What the workers in test_executors.py are asked to do: they import it by name.

Each function takes an experiment, whose number of epochs tells some of them what to do.
"""

import contextlib
import ctypes
import errno
import inspect
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fmgrid.experiment import Experiment, Run
from made_up_runs import make_record

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
kept: list[Any] = []


class StubbornError(Exception):
    """Cannot be pickled back: its constructor wants more than its text."""

    def __init__(self, text: str, more: int) -> None:
        super().__init__(text)
        self.more = more


def succeed(experiment: Experiment, **software: str | int) -> Run:
    software |= {"pid": os.getpid()}
    return Run(
        experiment=experiment,
        status="complete",
        history=(make_record(1),),
        started=datetime.now(UTC),
        seconds=0.0,
        software=software,
    )


def sleep_by_epochs(experiment: Experiment) -> Run:
    time.sleep(experiment.epochs / 20)
    return succeed(experiment)


def sleep_after_1(experiment: Experiment) -> Run:
    if experiment.epochs > 1:
        time.sleep(600)
    return succeed(experiment)


def hang_after_1(experiment: Experiment) -> Run:
    """Hang as C code does, which lets no signal handler of Python's run."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    return sleep_after_1(experiment)


def print_everywhere(experiment: Experiment) -> Run:
    name = experiment.run_name
    print(f"print {name}")  # noqa: T201
    print(f"stderr {name} é\udce9", file=sys.stderr)  # noqa: T201
    os.write(1, f"C stdout {name}\n".encode())
    os.write(2, f"C stderr {name}\n".encode())
    subprocess.run(["echo", f"child {name}"], check=True)
    print(f"unended {name}", end="")  # noqa: T201
    return succeed(experiment)


def spoil_streams(experiment: Experiment) -> Run:
    print("last words")  # noqa: T201
    sys.stdout.close()
    sys.stderr = None  # type: ignore[assignment]
    os.close(2)
    if experiment.epochs == 2:
        raise OSError("spoiled")
    return succeed(experiment)


def die_at_2(experiment: Experiment) -> Run:
    if experiment.epochs == 2:
        print("about to die")  # noqa: T201
        os.kill(os.getpid(), signal.SIGKILL)
    return sleep_by_epochs(experiment)


def exit_at_2(experiment: Experiment) -> Run:
    if experiment.epochs == 2:
        os._exit(3)
    return sleep_by_epochs(experiment)


def exit_leaving_a_child(experiment: Experiment) -> Run:
    """Die while a child holds everything open that it inherited."""
    if os.fork() == 0:
        time.sleep(600)
    Path(experiment.optimizer).write_text("forked")
    os._exit(3)


def close_all_files(experiment: Experiment) -> Run:
    os.closerange(3, 100)
    return succeed(experiment)


def raise_by_epochs(experiment: Experiment) -> Run:
    match experiment.epochs:
        case 1:
            raise ValueError("several\nlines")
        case 2:
            raise StubbornError("stubborn", 1)
        case 3:
            sys.exit(5)
        case 4:
            raise KeyboardInterrupt
        case 5:
            raise OSError("caf\udce9")
        case 6:
            return experiment.model_copy(update={"name": threading.Lock()})  # type: ignore[return-value]
        case 7:
            run = succeed(experiment)
            return run.model_copy(update={"software": {"made": lambda: None}})
        case 8:
            return succeed(experiment).model_copy(update={"software": {"made": Trap()}})
    return succeed(experiment)


class Trap:
    """Can be pickled, but never unpickled."""

    def __reduce__(self) -> Any:
        return spring, ()


def spring() -> None:
    raise RuntimeError("sprung")


def tell_surroundings(experiment: Experiment) -> Run:
    known = {name: os.environ[name] for name in THREADS}
    known["group"] = str(os.getpgrp())
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    return succeed(experiment, blocked=len(blocked), **known)


def tell_pid_and_sleep(experiment: Experiment) -> Run:
    """Write the ids of the worker and of a child of its into the file that the name tells."""
    with subprocess.Popen(["sleep", "600"]) as child:
        tell_pids(experiment, child.pid)
        time.sleep(600)
    return succeed(experiment)


def make_semaphores(experiment: Experiment) -> Run:
    kept.extend(multiprocessing.RLock() for _ in range(5))
    return succeed(experiment)


def interrupt_self(experiment: Experiment) -> Run:
    os.kill(os.getpid(), signal.SIGINT)
    return succeed(experiment)


def show_progress(experiment: Experiment) -> Run:
    """Use tqdm as mltrainer does, and stay busy."""
    from tqdm import tqdm

    for _ in tqdm(range(3)):
        pass
    time.sleep(600 if experiment.epochs == 2 else 0)
    return succeed(experiment)


def die_once(experiment: Experiment) -> Run:
    """Where it has one epoch, die at the first attempt, which leaves a file behind."""
    path = Path(experiment.optimizer)
    if experiment.epochs == 1 and not path.exists():
        path.touch()
        print("dying once")  # noqa: T201
        os.kill(os.getpid(), signal.SIGKILL)
    print("living")  # noqa: T201
    return succeed(experiment)


def abort(experiment: Experiment) -> Run:
    for line in range(30):
        print(f"line {line}")  # noqa: T201
    os.abort()
    return succeed(experiment)


def hang_in_c(experiment: Experiment) -> Run:
    """Sleep in C code that never gives the interpreter's lock back."""
    tell_pids(experiment)
    ctypes.PyDLL(None).sleep(600)
    return succeed(experiment)


def hang_with_a_child_elsewhere(experiment: Experiment) -> Run:
    """Hang, with a child that has left the worker's group and session."""
    with subprocess.Popen(["sleep", "600"], start_new_session=True) as child:
        tell_pids(experiment, child.pid)
        time.sleep(600)
    return succeed(experiment)


def tell_pids(experiment: Experiment, *others: int) -> None:
    """Write the worker's process id, and those of others, into the file that the name tells."""
    path = Path(experiment.optimizer)
    path.with_suffix(".new").write_text(" ".join(map(str, (os.getpid(), *others))))
    path.with_suffix(".new").rename(path)


def go_elsewhere(experiment: Experiment) -> Run:
    run = succeed(experiment, folder=str(Path.cwd()))
    if experiment.epochs < 3:
        os.chdir("/")
    return run


def fork_and_succeed(experiment: Experiment) -> Run:
    """Come back twice, as a careless plug-in may."""
    os.fork()
    return succeed(experiment)


def leave_a_daemon(experiment: Experiment) -> Run:
    """Start a process that leaves the group, the session and its parent."""
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            tell_pids(experiment)
            os.execvp("sleep", ["sleep", "600"])
        os._exit(0)
    while not Path(experiment.optimizer).exists():
        time.sleep(0.01)
    return succeed(experiment)


def fill_the_disk(experiment: Experiment) -> Run:
    raise OSError(errno.ENOSPC, "No space left on device", experiment.name)


def raise_as_told(experiment: Experiment) -> Run:
    """Raise the error that the name of the optimizer spells."""
    raise eval(experiment.optimizer)  # noqa: S307 - the test's own words


def remove_scratch() -> None:
    """Remove the temporary files of all workers, as a cleaner does, and nothing else."""
    scratch = Path(os.environ["TMPDIR"]).parent
    if not scratch.name.startswith("fmgrid-"):
        raise RuntimeError("this is not the workers' own folder")
    shutil.rmtree(scratch, ignore_errors=True)


def remove_scratch_afterwards(experiment: Experiment) -> Run:
    """Use a temporary folder, and remove what all workers have, as a cleaner does."""
    tempfile.mkdtemp()
    remove_scratch()
    return succeed(experiment)


def lose_scratch(experiment: Experiment) -> Run:
    """Lose the temporary files in the middle of the work: always, or with two epochs once."""
    marker = Path(experiment.optimizer)
    if experiment.epochs == 1 or not marker.exists():
        marker.touch()
        remove_scratch()
    tempfile.mkdtemp()
    return succeed(experiment)


def kill_server(experiment: Experiment) -> Run:
    """Kill the server of workers as the kernel does: always, or with two epochs once."""
    marker = Path(experiment.optimizer)
    if experiment.epochs == 1 or not marker.exists():
        marker.touch()
        os.kill(os.getppid(), signal.SIGKILL)
        time.sleep(600)
    return succeed(experiment)


def stop_server(experiment: Experiment) -> Run:
    """Stop the server of workers, which then tells nobody that a worker has ended."""
    os.kill(os.getppid(), signal.SIGSTOP)
    if experiment.epochs == 2:
        os._exit(1)
    if experiment.epochs == 3:
        time.sleep(600)
    return succeed(experiment)


def die_of_memory(experiment: Experiment) -> Run:
    """Die as by the kernel's hand: with one epoch always, else if it counts no kill before."""
    counter = Path(experiment.optimizer)
    kills = int(counter.read_text().split()[1])
    if experiment.epochs == 1 or kills == 0:
        counter.write_text(f"oom_kill {kills + 1}\n")
        os.kill(os.getpid(), signal.SIGKILL)
    return succeed(experiment)


def leave_a_temporary_folder(experiment: Experiment) -> Run:
    Path(experiment.optimizer).write_text(tempfile.mkdtemp())
    os.kill(os.getpid(), signal.SIGKILL)
    return succeed(experiment)


def limit_depth(experiment: Experiment) -> Run:
    run = succeed(experiment)
    sys.setrecursionlimit(len(inspect.stack()) + 10)
    if experiment.epochs == 2:
        raise ValueError("in little depth")
    return run


def write_everywhere(experiment: Experiment) -> Run:
    """Write lines into the pipe to the parent, and whatever else is open."""
    for path in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            if str(path.readlink()).startswith("socket:"):
                os.write(int(path.name), b"\n" * 100)
    return succeed(experiment)


def answer_by_epochs(experiment: Experiment) -> Run:
    """Give an answer that is not fmgrid's own."""
    deep: list[Any] = []
    for _ in range(400):
        deep = [deep]
    changes: dict[int, dict[str, Any]] = {
        2: {"seconds": "many"},
        3: {"experiment": experiment.model_copy(update={"seed": 1})},
        4: {"software": {"made": Foreign()}},
        5: {"software": {"made": deep}},
        6: {"software": {"made": Calling()}},
    }
    if experiment.epochs == 1:
        return "no run"  # type: ignore[return-value]
    return succeed(experiment).model_copy(update=changes.get(experiment.epochs, {}))


class Foreign:
    """A class that the parent has not imported."""


class Calling:
    """Calls a function where it is unpickled."""

    def __reduce__(self) -> Any:
        return os.putenv, ("CALLED", "1")


class RecursingError(BaseException):
    """Cannot be pickled, for it never ends."""

    def __reduce__(self) -> Any:
        return type(self), (type(self)("again"),)


def raise_recursing() -> None:
    raise RecursingError("once")


def raise_generator_exit() -> None:
    raise GeneratorExit


def double(number: int) -> int:
    return 2 * number


def raise_stubborn() -> None:
    raise StubbornError("stubborn", 1)


def raise_plain() -> None:
    raise ValueError("plain")


def die_or_tell(path: str) -> str:
    """Die, unless that has left the file behind already."""
    if not Path(path).exists():
        Path(path).touch()
        die()
    return "told"


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
