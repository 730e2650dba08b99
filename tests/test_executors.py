import bdb
import errno
import os
import shutil
import signal
import subprocess
import sys
import time
import types
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import replace
from multiprocessing import forkserver, util
from pathlib import Path

import psutil
import pytest

import worker_tasks as tasks
from fmgrid.errors import MachineError, RefusedError, StoreError
from fmgrid.execution import Executor, Report, Task
from fmgrid.execution.inline import Inline
from fmgrid.execution.processes import Processes
from fmgrid.experiment import EpochRecord, Experiment, Run
from fmgrid.system.memory import count_kills_for_memory

TESTS = Path(__file__).parent


@pytest.fixture(autouse=True)
def _environment() -> Iterator[None]:
    """Let what the workers inherit be forgotten after each test."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture
def processes() -> Iterator[Processes]:
    with Processes(2, preload=["fmgrid.execution"]) as processes:
        yield processes


@pytest.fixture
def make_task() -> Callable[..., Task]:
    def make_task(epochs: int = 1, name: str = "mlp", optimizer: str = "Adam") -> Task:
        experiment = Experiment(name=f"{name}_{epochs}", epochs=epochs, optimizer=optimizer)
        return Task(experiment, tasks.succeed)

    return make_task


def test_a_set_of_words_has_the_same_order_in_all_workers() -> None:
    hashes = []
    for _ in range(2):
        with Processes(1, preload=["fmgrid.execution"]) as processes:
            hashes.append(processes.call(hash, "a word"))
    assert hashes[0] == hashes[1]


def go_on(_: Experiment, __: EpochRecord) -> bool:
    return True


def train_all(
    executor: Executor,
    train: Callable[..., Run],
    work: Iterable[Task],
    report: Report = go_on,
    logs: dict[str, str] | None = None,
) -> Iterator[Run]:
    """Submit tasks while there is room, as the runner does; yield their runs."""
    waiting = iter(work)

    def submit() -> None:
        while executor.has_room and (task := next(waiting, None)):
            executor.submit(replace(task, train=train))

    submit()
    with closing(executor.events(report)) as events:  # type: ignore[type-var]
        for event in events:
            if logs is not None:
                logs[event.task.experiment.name] = event.log.decode()
            try:
                submit()
            finally:
                yield event.run


def names(runs: list[Run]) -> list[str]:
    return [run.experiment.name for run in runs]


def is_alive(pid: int) -> bool:
    """Return whether a process runs; one that nobody has waited for yet doesn't."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.01)


@pytest.fixture(params=["processes", "inline"])
def executor(request: pytest.FixtureRequest) -> Iterator[Executor]:
    """Every executor in turn: what these tests say, each of them promises."""
    inline = request.param == "inline"
    with Inline() if inline else Processes(2, preload=["fmgrid.execution"]) as executor:
        yield executor


def test_every_executor_gives_each_task_a_run(
    executor: Executor, make_task: Callable[..., Task]
) -> None:
    work = [make_task(n) for n in range(1, 6)]
    for task in work:
        executor.submit(task)
    assert not executor.has_room
    finished = []
    for event in executor.events(go_on):
        assert event.run.experiment == event.task.experiment
        assert event.task.experiment not in executor.running
        finished.append(event.task)
    assert sorted(task.experiment.epochs for task in finished) == [1, 2, 3, 4, 5]
    assert executor.has_room
    assert executor.running == []


def test_every_executor_takes_tasks_while_others_run(
    executor: Executor, make_task: Callable[..., Task]
) -> None:
    runs = list(train_all(executor, tasks.succeed, [make_task(n) for n in range(1, 8)]))
    assert sorted(run.experiment.epochs for run in runs) == list(range(1, 8))
    assert {run.status for run in runs} == {"complete"}
    assert list(train_all(executor, tasks.succeed, [])) == []


def test_every_executor_reports_each_epoch_in_order_before_the_run_ends(
    executor: Executor, make_task: Callable[..., Task]
) -> None:
    told: list[tuple[int, int]] = []

    def report(experiment: Experiment, record: EpochRecord) -> bool:
        told.append((experiment.epochs, record.epoch))
        return True

    for run in train_all(executor, tasks.tell_epochs, [make_task(3), make_task(5)], report):
        length = run.experiment.epochs
        assert [epoch for epochs, epoch in told if epochs == length] == list(range(1, length + 1))
        assert len(run.history) == length


def test_every_executor_stops_a_training_whose_report_says_so_and_no_other(
    executor: Executor, make_task: Callable[..., Task]
) -> None:
    def report(experiment: Experiment, record: EpochRecord) -> bool:
        return experiment.name == "other_3" or record.epoch < 2

    work = [make_task(2**31 - 1), make_task(3, "other")]
    runs = {
        run.experiment.name: run for run in train_all(executor, tasks.tell_slowly, work, report)
    }
    assert runs["other_3"].status == "complete"
    stopped = runs[f"mlp_{2**31 - 1}"]
    assert stopped.status == "pruned"
    assert len(stopped.history) >= 2
    (run,) = train_all(executor, tasks.succeed, [make_task(1)])
    assert run.status == "complete"


@pytest.mark.parametrize("epochs", [1, 2, 3, 5])
def test_for_every_executor_an_error_is_a_failed_run(
    epochs: int, executor: Executor, make_task: Callable[..., Task]
) -> None:
    runs = list(train_all(executor, tasks.raise_by_epochs, [make_task(epochs), make_task(9)]))
    assert sorted(run.status for run in runs) == ["complete", "failed"]
    (failure,) = [run.failure for run in runs if run.failure]
    assert "worker_tasks.py" in failure.traceback


def test_for_every_executor_a_full_disk_ends_the_grid(
    executor: Executor, make_task: Callable[..., Task]
) -> None:
    with pytest.raises(StoreError, match=r"mlp_1 cannot be trained: .*No space left on device"):
        list(train_all(executor, tasks.fill_the_disk, [make_task(1)]))


def test_for_every_executor_closing_the_events_ends_all_tasks(
    executor: Executor, make_task: Callable[..., Task]
) -> None:
    runs = train_all(executor, tasks.succeed, [make_task(n) for n in (1, 2, 3)])
    next(runs)
    runs.close()  # type: ignore[attr-defined]
    assert executor.running == []
    assert list(executor.events(go_on)) == []


def test_every_executor_gives_a_training_its_limit_of_memory(
    executor: Executor, make_task: Callable[..., Task]
) -> None:
    (run,) = train_all(executor, tasks.tell_memory, [replace(make_task(), memory=12345)])
    assert run.software["memory"] == 12345


def test_every_executor_calls_functions_and_raises_what_they_raise(executor: Executor) -> None:
    assert executor.call(tasks.double, 21) == 42
    with pytest.raises(ValueError, match="plain"):
        executor.call(tasks.raise_plain, needs_own_process=True)
    assert executor.call(tasks.double, 1, seconds=60) == 2


def test_inline_trains_in_this_very_process(make_task: Callable[..., Task]) -> None:
    with Inline() as inline:
        (run,) = train_all(inline, tasks.succeed, [make_task()])
    assert run.software["pid"] == os.getpid()


@pytest.mark.parametrize("error", [KeyboardInterrupt, bdb.BdbQuit])
def test_an_interrupt_or_the_end_of_a_debugger_ends_all_that_is_inline(
    error: type[BaseException], make_task: Callable[..., Task]
) -> None:
    def train(*_: object) -> Run:
        raise error

    with Inline() as inline, pytest.raises(KeyboardInterrupt):
        list(train_all(inline, train, [make_task(1), make_task(2)]))


@pytest.mark.parametrize(
    "epochs", [1, 2, 3], ids=["another type", "no fraction", "a function to call"]
)
def test_an_epoch_that_fmgrid_does_not_report_is_a_failed_run(
    epochs: int, processes: Processes, make_task: Callable[..., Task]
) -> None:
    told: list[EpochRecord] = []

    def report(_: Experiment, record: EpochRecord) -> bool:
        told.append(record)
        return True

    (run,) = train_all(processes, tasks.forge_epochs, [make_task(epochs)], report)
    assert run.failure is not None
    assert run.failure.message == "its worker process gave another answer than fmgrid's"
    assert told == []
    assert "CALLED" not in os.environ


def test_after_a_death_the_epochs_are_reported_anew(
    processes: Processes, make_task: Callable[..., Task], tmp_path: Path
) -> None:
    told: list[int] = []

    def report(_: Experiment, record: EpochRecord) -> bool:
        told.append(record.epoch)
        return True

    task = make_task(optimizer=str(tmp_path / "died"))
    (run,) = train_all(processes, tasks.die_after_an_epoch_once, [task], report)
    assert (run.status, run.attempts, told) == ("complete", 2, [1, 1])


def test_a_task_that_reports_epochs_without_end_is_killed_at_its_time(
    processes: Processes, make_task: Callable[..., Task]
) -> None:
    endless = replace(make_task(), seconds=1.0)
    (run,) = train_all(processes, tasks.report_without_end, [endless])
    assert run.status == "timeout"


def test_every_task_comes_back_as_a_run(
    processes: Processes, make_task: Callable[..., Task]
) -> None:
    runs = list(train_all(processes, tasks.succeed, [make_task(n) for n in range(1, 21)]))
    assert sorted(names(runs)) == sorted(f"mlp_{n}" for n in range(1, 21))
    assert {run.status for run in runs} == {"complete"}
    assert len({run.software["pid"] for run in runs}) <= 2
    assert os.getpid() not in {run.software["pid"] for run in runs}


def test_runs_come_back_in_the_order_in_which_they_end(
    processes: Processes, make_task: Callable[..., Task]
) -> None:
    runs = list(train_all(processes, tasks.sleep_by_epochs, [make_task(n) for n in (20, 1, 2, 3)]))
    assert names(runs) == ["mlp_1", "mlp_2", "mlp_3", "mlp_20"]


def test_nothing_to_do_needs_no_worker(processes: Processes) -> None:
    assert list(train_all(processes, tasks.succeed, [])) == []


def test_tasks_are_taken_when_a_worker_is_free_for_them(
    processes: Processes, make_task: Callable[..., Task]
) -> None:
    taken = 0

    def take() -> Iterator[Task]:
        nonlocal taken
        for taken in range(1, 7):
            yield make_task(taken)

    for told, _ in enumerate(train_all(processes, tasks.succeed, take()), 1):
        assert taken <= told + 2


def test_what_runs_at_this_moment_is_named(
    processes: Processes, make_task: Callable[..., Task]
) -> None:
    assert processes.running == []
    experiments = [make_task(n) for n in (40, 1, 2)]
    runs = train_all(processes, tasks.sleep_by_epochs, experiments)
    next(runs)
    assert [experiment.name for experiment in processes.running] == ["mlp_40", "mlp_2"]
    assert len(list(runs)) == 2
    assert processes.running == []


def test_what_a_task_prints_is_in_its_log_and_nowhere_else(
    processes: Processes, make_task: Callable[..., Task], capfd: pytest.CaptureFixture[str]
) -> None:
    work = [make_task(n) for n in range(1, 7)]
    logs: dict[str, str] = {}
    runs = train_all(processes, tasks.print_everywhere, work, logs=logs)
    assert all(run.status == "complete" for run in runs)
    for task in work:
        name = task.experiment.name
        assert sorted(logs[name].splitlines()) == [
            f"C stderr {name}",
            f"C stdout {name}",
            f"child {name}",
            f"print {name}",
            rf"stderr {name} é\udce9",
            f"unended {name}",
        ]
    assert capfd.readouterr() == ("", "")


def test_a_task_that_spoils_its_streams_spoils_no_other(
    processes: Processes, make_task: Callable[..., Task]
) -> None:
    work = [make_task(n) for n in range(1, 7)]
    logs: dict[str, str] = {}
    runs = list(train_all(processes, tasks.spoil_streams, work, logs=logs))
    runs.sort(key=lambda run: run.experiment.epochs)
    assert [run.status for run in runs] == ["complete", "failed", *["complete"] * 4]
    assert "last words" in logs["mlp_1"]


@pytest.mark.parametrize(
    ("train", "cause"),
    [
        (tasks.die_at_2, "signal 9, Killed, by hand or for lack of memory"),
        (tasks.exit_at_2, "exit code 3"),
    ],
)
def test_a_worker_that_dies_costs_its_run_and_no_other(
    train: Callable[..., Run],
    cause: str,
    processes: Processes,
    make_task: Callable[..., Task],
) -> None:
    work = [make_task(2, name) for name in "abc"] + [make_task(n) for n in (1, 3, 1, 3)]
    runs = list(train_all(processes, train, work))
    failed = [run for run in runs if run.status == "failed"]
    assert sorted(names(failed)) == ["a_2", "b_2", "c_2"]
    for run in failed:
        assert run.failure is not None
        assert run.failure.message == f"its worker process died twice ({cause})"
        assert run.attempts == 2
    assert len(runs) == len(work)


def test_what_was_printed_before_a_death_is_in_the_log(
    processes: Processes, make_task: Callable[..., Task]
) -> None:
    logs: dict[str, str] = {}
    (run,) = train_all(processes, tasks.die_at_2, [make_task(2)], logs=logs)
    once = "about to die\n"
    assert logs["mlp_2"] == f"{once}The worker died; attempt 2 begins here.\n{once}"
    assert run.failure is not None
    assert run.failure.traceback.splitlines()[0] == "the last lines of run.log:"
    assert run.failure.traceback.splitlines()[-1] == "about to die"


def test_a_crash_is_told_with_the_last_lines_of_the_log(
    processes: Processes, make_task: Callable[..., Task]
) -> None:
    (run,) = train_all(processes, tasks.abort, [make_task()])
    assert run.failure is not None
    assert run.failure.message == "its worker process died twice (signal 6, Aborted)"
    _, *lines = run.failure.traceback.splitlines()
    assert len(lines) == 20
    assert "line 29" in lines


def test_one_death_costs_nothing_but_time(
    processes: Processes, make_task: Callable[..., Task], tmp_path: Path
) -> None:
    task = make_task(optimizer=str(tmp_path / "died"))
    runs = list(train_all(processes, tasks.die_once, [task, *(make_task(n) for n in (2, 3))]))
    again = {run.experiment.epochs: run.attempts for run in runs}
    assert {run.status for run in runs} == {"complete"}
    assert again == {1: 2, 2: 1, 3: 1}


@pytest.mark.parametrize("workers", [1, 2])
def test_a_death_between_two_tasks_costs_nothing(
    workers: int, make_task: Callable[..., Task]
) -> None:
    with Processes(workers) as processes:
        for _ in range(3):
            pid = processes.call(os.getpid)
            os.kill(pid, signal.SIGKILL)
            wait_until(lambda: not all(worker.process.is_alive() for worker in processes._workers))
            runs = list(train_all(processes, tasks.succeed, [make_task(n) for n in (1, 2, 3)]))
            assert [run.status for run in runs] == ["complete"] * 3


def test_a_death_is_noticed_though_a_child_outlives_the_worker(
    processes: Processes, make_task: Callable[..., Task], tmp_path: Path
) -> None:
    task = make_task(optimizer=str(tmp_path / "forked"))
    (run,) = train_all(processes, tasks.exit_leaving_a_child, [task])
    assert (tmp_path / "forked").exists()
    assert run.status == "failed"


def test_a_worker_that_closes_its_line_counts_as_dead(
    processes: Processes, make_task: Callable[..., Task]
) -> None:
    runs = list(train_all(processes, tasks.close_all_files, [make_task(1), make_task(2)]))
    assert [run.status for run in runs] == ["failed", "failed"]


@pytest.mark.parametrize(
    ("epochs", "message"),
    [
        (1, "ValueError: several lines"),
        (2, "StubbornError: stubborn"),
        (3, "SystemExit: 5"),
        (4, "KeyboardInterrupt: "),
        (5, r"OSError: caf\udce9"),
        (6, "TypeError: cannot pickle '_thread.lock' object"),
        (7, "raise_by_epochs.<locals>.<lambda>"),
        (8, "RuntimeError: sprung"),
    ],
    ids=[
        "an exception of two lines",
        "one that cannot be pickled",
        "sys.exit",
        "an interrupt",
        "one that names an undecodable file",
        "a result that is no run",
        "a result that cannot be pickled",
        "a result that cannot be unpickled",
    ],
)
def test_whatever_training_raises_is_a_failed_run(
    epochs: int, message: str, processes: Processes, make_task: Callable[..., Task]
) -> None:
    logs: dict[str, str] = {}
    work = [make_task(epochs), make_task(9)]
    runs = list(train_all(processes, tasks.raise_by_epochs, work, logs=logs))
    assert sorted(run.status for run in runs) == ["complete", "failed"]
    failure = next(run.failure for run in runs if run.failure)
    assert message.strip() in failure.message
    assert failure.traceback.startswith("Traceback (most recent call last):")
    assert "worker_tasks.py" in failure.traceback or epochs in (6, 7)
    assert failure.traceback in logs[f"mlp_{epochs}"]


def test_little_depth_of_calls_is_the_tasks_alone(
    processes: Processes, make_task: Callable[..., Task]
) -> None:
    runs = {
        run.experiment.epochs: run
        for run in train_all(processes, tasks.limit_depth, [make_task(n) for n in (1, 2, 3)])
    }
    assert {n: run.status for n, run in runs.items()} == {1: "complete", 2: "failed", 3: "complete"}
    assert runs[2].failure
    assert runs[2].failure.message == "ValueError: in little depth"


def test_a_task_that_writes_into_the_line_costs_no_other(
    processes: Processes, make_task: Callable[..., Task]
) -> None:
    (run,) = train_all(processes, tasks.write_everywhere, [make_task(1)])
    assert run.status == "failed"
    assert processes.call(tasks.double, 21) == 42


@pytest.mark.parametrize(
    "epochs",
    range(1, 7),
    ids=[
        "no run",
        "a run with another type of value",
        "a run of another experiment",
        "a class that the parent would have to import",
        "depth without end",
        "a function to call",
    ],
)
def test_an_answer_that_fmgrid_does_not_give_is_a_failed_run(
    epochs: int, processes: Processes, make_task: Callable[..., Task]
) -> None:
    runs = list(train_all(processes, tasks.answer_by_epochs, [make_task(epochs), make_task(7)]))
    assert sorted(run.status for run in runs) == ["complete", "failed"]
    failure = next(run.failure for run in runs if run.failure)
    assert failure.message == "its worker process gave another answer than fmgrid's"
    assert "CALLED" not in os.environ


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (tasks.raise_recursing, "RecursingError: once"),
        (tasks.raise_generator_exit, "GeneratorExit"),
        (sys.exit, "SystemExit"),
    ],
)
def test_a_call_raises_an_error_of_python_whatever_the_function_raises(
    function: Callable[[], None], message: str, processes: Processes
) -> None:
    with pytest.raises(RuntimeError, match=message):
        processes.call(function)
    assert processes.call(tasks.double, 1) == 2


@pytest.mark.parametrize(
    "train",
    [tasks.tell_pid_and_sleep, tasks.hang_in_c, tasks.hang_with_a_child_elsewhere],
    ids=["a child that sleeps", "C code that holds the interpreter", "a child elsewhere"],
)
def test_a_task_over_its_time_is_killed_with_all_its_children(
    train: Callable[..., Run],
    processes: Processes,
    make_task: Callable[..., Task],
    tmp_path: Path,
) -> None:
    told = tmp_path / "told.pid"
    slow = replace(make_task(1, optimizer=str(told)), seconds=1.5)
    (run,) = train_all(processes, train, [slow])
    assert run.status == "timeout"
    assert run.seconds >= 1.5
    assert run.failure is not None
    assert run.failure.message == "it was killed after 1.5 s, its time limit"
    pids = [int(pid) for pid in told.read_text().split()]
    wait_until(lambda: not any(map(is_alive, pids)))
    assert processes.call(tasks.double, 2) == 4


def test_a_time_limit_is_each_tasks_own(
    processes: Processes, make_task: Callable[..., Task]
) -> None:
    limited = [replace(make_task(n), seconds=0.5) for n in (600, 1, 2, 3, 500)]
    runs = list(train_all(processes, tasks.sleep_by_epochs, [*limited, make_task(20, "free")]))
    late = {run.experiment.name for run in runs if run.status == "timeout"}
    assert late == {"mlp_600", "mlp_500"}
    assert len(runs) == 6


def test_a_time_limit_may_be_longer_than_the_system_waits_at_once(
    processes: Processes, make_task: Callable[..., Task]
) -> None:
    (run,) = train_all(processes, tasks.sleep_by_epochs, [replace(make_task(2), seconds=1e14)])
    assert run.status == "complete"


def test_a_finished_run_is_told_of_though_the_next_task_cannot_begin(
    processes: Processes, make_task: Callable[..., Task]
) -> None:
    def take() -> Iterator[Task]:
        yield from (make_task(1), make_task(2000))
        raise StoreError("no room")

    runs = train_all(processes, tasks.sleep_by_epochs, take())
    assert next(runs).experiment.epochs == 1
    with pytest.raises(StoreError, match="no room"):
        next(runs)


def test_what_plugged_in_code_does_to_its_process_is_over_with_its_task(
    make_task: Callable[..., Task],
) -> None:
    with Processes(1) as processes:
        odd = [replace(make_task(n), needs_own_process=True) for n in (1, 2)]
        runs = list(train_all(processes, tasks.go_elsewhere, [*odd, make_task(3), make_task(4)]))
    assert [run.software["folder"] for run in runs] == [str(Path.cwd())] * 4
    pids = [run.software["pid"] for run in runs]
    assert len({*pids[:3]}) == 3
    assert pids[2] == pids[3]


def test_a_task_that_comes_back_twice_counts_once(
    processes: Processes, make_task: Callable[..., Task]
) -> None:
    runs = list(train_all(processes, tasks.fork_and_succeed, [make_task(n) for n in range(1, 9)]))
    assert sorted(names(runs)) == sorted(f"mlp_{n}" for n in range(1, 9))
    assert {run.status for run in runs} == {"complete"}


def test_what_a_task_has_left_running_ends_with_the_workers(
    make_task: Callable[..., Task], tmp_path: Path
) -> None:
    told = tmp_path / "told"
    with Processes(1) as processes:
        list(train_all(processes, tasks.leave_a_daemon, [make_task(optimizer=str(told))]))
        daemon = int(told.read_text())
        assert is_alive(daemon)
    wait_until(lambda: not is_alive(daemon))


def test_workers_come_from_a_new_server_when_theirs_was_killed(
    make_task: Callable[..., Task],
) -> None:
    with Processes(2, preload=["fmgrid.execution"]) as processes:
        server = psutil.Process(processes.call(os.getpid)).parent()
        assert server is not None
        server.kill()
        wait_until(lambda: not is_alive(server.pid))
        runs = list(train_all(processes, tasks.succeed, [make_task(n) for n in range(1, 6)]))
        assert {run.status for run in runs} == {"complete"}
        assert len(runs) == 5


def test_workers_come_from_a_new_server_when_nobody_can_reach_theirs(
    make_task: Callable[..., Task],
) -> None:
    told: list[str] = []
    with Processes(2, preload=["fmgrid.execution"], warn=told.append) as processes:
        work = [replace(make_task(n), needs_own_process=True) for n in range(1, 6)]
        runs = []
        for run in train_all(processes, tasks.succeed, work):
            runs.append(run)
            if len(runs) == 2:
                shutil.rmtree(util.get_temp_dir())  # as cleaners of temporary files do
        shutil.rmtree(util.get_temp_dir())
    assert sorted((run.status, run.attempts) for run in runs) == [("complete", 1)] * 5
    assert told == []
    assert Path(util.get_temp_dir()).is_dir()  # Python removes it at its end, or tells of an error


def test_a_full_disk_is_not_the_runs_failure(
    processes: Processes, make_task: Callable[..., Task]
) -> None:
    with pytest.raises(StoreError, match=r"mlp_1 cannot be trained: .*No space left on device"):
        list(train_all(processes, tasks.fill_the_disk, [make_task(1)]))


OF_THE_MACHINE = [
    *(
        f"OSError(errno.{name}, 'refused')"
        for name in ("ENOSPC", "EDQUOT", "EROFS", "EIO", "ENFILE", "EMFILE", "EACCES", "EAGAIN")
    ),
    "FileNotFoundError(errno.ENOENT, 'No usable temporary directory found')",
    'RuntimeError("can\'t start new thread")',
    "ModuleNotFoundError('No module named torch.nn')",
    "ImportError('libtorch_cpu.so: failed to map segment from shared object')",
]
OF_THE_RUN = [
    "OSError('of a plug-in')",
    "MemoryError()",
    "OSError(errno.ENOMEM, 'Cannot allocate memory')",
    "RuntimeError('of a plug-in')",
]


def test_a_refusal_of_the_machine_is_no_failure_of_a_run(
    processes: Processes, make_task: Callable[..., Task]
) -> None:
    for error in OF_THE_MACHINE:
        with pytest.raises(StoreError, match="mlp_1 cannot be trained: "):
            list(train_all(processes, tasks.raise_as_told, [make_task(optimizer=error)]))
    for error in OF_THE_RUN:
        (run,) = train_all(processes, tasks.raise_as_told, [make_task(optimizer=error)])
        assert run.status == "failed", error


def test_the_files_that_plugged_in_code_lacks_are_its_own_matter(
    processes: Processes, make_task: Callable[..., Task]
) -> None:
    for error in OF_THE_MACHINE[5:]:
        alone = replace(make_task(optimizer=error), needs_own_process=True)
        (run,) = train_all(processes, tasks.raise_as_told, [alone])
        assert run.status == "failed", error


@pytest.mark.parametrize("needs_own_process", [False, True])
def test_temporary_files_that_are_removed_cost_no_run(
    needs_own_process: bool, processes: Processes, make_task: Callable[..., Task], tmp_path: Path
) -> None:
    runs = []
    for train, task in [  # one at a time: each removes the files of all workers
        *((tasks.remove_scratch_afterwards, make_task(n)) for n in range(1, 5)),
        *((tasks.lose_scratch, make_task(2, n, optimizer=str(tmp_path / n))) for n in "ab"),
    ]:
        work = [replace(task, needs_own_process=needs_own_process)]
        runs += train_all(processes, train, work)
    assert [run.status for run in runs] == ["complete"] * 6
    lasting = replace(
        make_task(1, optimizer=str(tmp_path / "c")), needs_own_process=needs_own_process
    )
    with pytest.raises(StoreError, match=r"temporary folder .* was removed while it trained"):
        list(train_all(processes, tasks.lose_scratch, [lasting]))


def test_a_worker_that_cannot_begin_is_the_machines_fault(
    processes: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = types.ModuleType("gone_in_the_meantime")
    exec("def work(): pass", vars(gone))  # noqa: S102
    monkeypatch.setitem(sys.modules, gone.__name__, gone)
    with pytest.raises(RefusedError, match=r"cannot begin: .*gone_in_the_meantime"):
        processes.call(gone.work)
    assert processes.call(tasks.double, 1) == 2


@pytest.mark.parametrize("workers", [1, 2])
def test_a_killed_server_costs_no_run_and_a_worker_if_there_are_two(
    workers: int, make_task: Callable[..., Task], tmp_path: Path
) -> None:
    told: list[str] = []
    with Processes(workers, ["fmgrid.execution"], warn=told.append) as processes:
        deadly = make_task(2, optimizer=str(tmp_path / "killed"))
        work = [deadly, make_task(2, "b", str(tmp_path)), make_task(2, "c", str(tmp_path))]
        runs = list(train_all(processes, tasks.kill_server, work))
        assert processes.workers == 1
    assert sorted(names(runs)) == ["b_2", "c_2", "mlp_2"]
    assert {(run.status, run.attempts) for run in runs} == {("complete", 1)}
    assert [text.endswith("; going on with 1 worker") for text in told] == [True] * (workers - 1)


@pytest.mark.parametrize("error", [errno.EPERM, errno.EOPNOTSUPP])
def test_a_temporary_folder_that_holds_no_sockets_is_named(
    error: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: forkserver.ForkServer) -> None:
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr(forkserver.ForkServer, "ensure_running", refuse)
    with pytest.raises(RefusedError, match=r"cannot be started: .*set TMPDIR"), Processes(1):
        pass


@pytest.mark.parametrize("epochs", [1, 2, 3])
def test_a_server_that_a_task_stops_goes_on(
    epochs: int, processes: Processes, make_task: Callable[..., Task]
) -> None:
    stopping = replace(make_task(epochs), seconds=1.0, needs_own_process=True)
    assert len(list(train_all(processes, tasks.stop_server, [stopping]))) == 1
    assert processes.call(tasks.double, 1) == 2


def test_a_server_that_is_killed_again_and_again_ends_the_grid_with_a_word_of_memory(
    processes: Processes, make_task: Callable[..., Task], tmp_path: Path
) -> None:
    work = [make_task(n, optimizer=str(tmp_path / f"killed_{n}")) for n in (1, 2)]
    with pytest.raises(
        RefusedError, match=r"died 3 times .*lack of memory.*one worker needs.*-j 1"
    ):
        list(train_all(processes, tasks.kill_server, work))


def test_a_worker_killed_for_memory_counts_only_where_it_had_all_of_it(
    make_task: Callable[..., Task], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counter = tmp_path / "vmstat"
    counter.write_text("oom_kill 0\n")
    monkeypatch.setattr(
        "fmgrid.execution.processes.count_kills_for_memory",
        lambda: count_kills_for_memory(counter),
    )
    with Processes(2, preload=["fmgrid.execution"]) as processes:
        (run,) = train_all(processes, tasks.die_of_memory, [make_task(2, optimizer=str(counter))])
        assert (run.status, run.attempts, processes.workers) == ("complete", 1, 1)
        (run,) = train_all(processes, tasks.die_of_memory, [make_task(1, optimizer=str(counter))])
        assert (run.status, run.attempts) == ("failed", 2)


def test_workers_end_though_the_caller_blocks_all_signals(make_task: Callable[..., Task]) -> None:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        with Processes(2, preload=["fmgrid.execution"]) as processes:
            runs = list(train_all(processes, tasks.succeed, [make_task(n) for n in (1, 2, 3)]))
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    assert [run.status for run in runs] == ["complete"] * 3


def test_too_few_open_files_are_noticed_at_the_start() -> None:
    code = (
        "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (32, 32))\n"
        "from fmgrid.execution.processes import Processes\n"
        "with Processes(2): pass\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "MachineError: too few open files are allowed: 32, and 64 are needed" in done.stderr


def test_what_a_killed_worker_left_among_the_temporary_files_goes_with_it(
    make_task: Callable[..., Task], tmp_path: Path
) -> None:
    told = tmp_path / "told"
    with Processes(1) as processes:
        list(train_all(processes, tasks.leave_a_temporary_folder, [make_task(optimizer=str(told))]))
        assert Path(told.read_text()).is_dir()
    assert not Path(told.read_text()).exists()


def test_workers_have_one_thread_and_are_out_of_reach_of_the_terminal(
    processes: Processes, make_task: Callable[..., Task]
) -> None:
    (run,) = train_all(processes, tasks.tell_surroundings, [make_task()])
    assert {run.software[name] for name in tasks.THREADS} == {"1"}
    assert run.software["group"] == str(run.software["pid"])
    assert run.software["blocked"] == 0  # what they start themselves must hear signals


def test_an_interrupt_does_not_disturb_a_worker(
    processes: Processes, make_task: Callable[..., Task]
) -> None:
    (run,) = train_all(processes, tasks.interrupt_self, [make_task()])
    assert run.status == "complete"


@pytest.mark.parametrize("train", [tasks.sleep_after_1, tasks.hang_after_1])
def test_leaving_kills_busy_workers(
    train: Callable[..., Run], make_task: Callable[..., Task]
) -> None:
    with Processes(4, preload=["fmgrid.execution"]) as processes:
        runs = train_all(processes, train, [make_task(n) for n in (1, 2, 3, 4, 5)])
        next(runs)
        assert len(processes.running) == 4
        pids = [worker.process.pid for worker in processes._workers]
        assert all(map(is_alive, pids))
        started = time.monotonic()
    assert time.monotonic() - started < 60  # they would work for ten minutes
    assert not any(map(is_alive, pids))


def test_a_run_that_is_left_early_leaves_workers_for_others(
    processes: Processes, make_task: Callable[..., Task]
) -> None:
    runs = train_all(processes, tasks.sleep_by_epochs, [make_task(n) for n in (1, 2000, 2000)])
    next(runs)
    runs.close()  # type: ignore[attr-defined]
    assert processes.running == []
    assert processes.call(tasks.double, 2) == 4


def test_a_call_returns_what_the_function_returns(processes: Processes) -> None:
    assert processes.call(tasks.double, 21) == 42


def test_a_call_raises_what_the_function_raises(processes: Processes) -> None:
    with pytest.raises(ValueError, match="plain"):
        processes.call(tasks.raise_plain)
    with pytest.raises(RuntimeError, match="StubbornError: stubborn"):
        processes.call(tasks.raise_stubborn)
    assert processes.call(tasks.double, 1) == 2


def test_a_call_survives_one_death_of_its_worker(processes: Processes, tmp_path: Path) -> None:
    assert processes.call(tasks.die_or_tell, str(tmp_path / "died")) == "told"


def test_a_call_that_kills_its_worker_is_the_machines_fault(processes: Processes) -> None:
    with pytest.raises(MachineError, match=r"died twice \(signal 9, Killed, by hand"):
        processes.call(tasks.die)
    assert processes.call(tasks.double, 1) == 2


PARENT = """
import sys
from multiprocessing import forkserver
from pathlib import Path
import worker_tasks as tasks
from fmgrid.execution import Task
from fmgrid.execution.processes import Processes
from fmgrid.experiment import Experiment

def work():
    folder, name, *epochs = sys.argv[1:]
    experiments = [
        Experiment(name=f"mlp_{n}", epochs=int(epoch), optimizer=f"{folder}/{n}.pid")
        for n, epoch in enumerate(epochs)
    ]
    with Processes(2, preload=["fmgrid.execution", "tqdm"]) as processes:
        for experiment in experiments:
            processes.submit(Task(experiment, getattr(tasks, name)))
        for event in processes.events(lambda *_: True):
            print(event.run.status, flush=True)
            if any(e.epochs == 2 for e in experiments):
                return

if __name__ == "__main__":
    work()
"""


@pytest.fixture
def parent(tmp_path: Path) -> Callable[..., "subprocess.Popen[str]"]:
    """Return a function that starts a process of its own group, with two workers."""
    script = tmp_path / "parent.py"
    script.write_text(PARENT)

    def start(*arguments: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, str(script), str(tmp_path), *arguments],
            env={**os.environ, "PYTHONPATH": str(TESTS)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    return start


def workers_of(folder: Path) -> list[int]:
    """Return the processes that two workers told of, once both did."""
    wait_until(lambda: len(list(folder.glob("*.pid"))) == 2)
    return [int(pid) for path in folder.glob("*.pid") for pid in path.read_text().split()]


@pytest.mark.parametrize(
    "work",
    ["tell_pid_and_sleep", "hang_in_c"],
    ids=["workers with children", "workers that cannot run Python"],
)
def test_a_killed_parent_leaves_no_process_behind(
    work: str, parent: Callable[..., "subprocess.Popen[str]"], tmp_path: Path
) -> None:
    with parent(work, "1", "1") as process:
        pids = workers_of(tmp_path)
        assert all(map(is_alive, pids))
        process.kill()
        process.wait()
        wait_until(lambda: not any(map(is_alive, pids)))


def test_an_interrupted_parent_takes_its_workers_along_in_silence(
    parent: Callable[..., "subprocess.Popen[str]"], tmp_path: Path
) -> None:
    with parent("tell_pid_and_sleep", "1", "1") as process:
        pids = workers_of(tmp_path)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the server too
        _, errors = process.communicate(timeout=100)
    assert not any(map(is_alive, pids))
    assert errors.count("Traceback") == 1  # the parent's own, for its caller to catch
    assert errors.endswith("KeyboardInterrupt\n")
    assert "semaphore" not in errors


@pytest.mark.parametrize(
    "arguments",
    [["succeed", "1", "1", "1"], ["make_semaphores", "1", "1", "1"], ["show_progress", "1", "2"]],
    ids=["ordinary work", "semaphores in the workers", "a worker killed in a progress bar"],
)
def test_nothing_is_said_of_leaked_semaphores(
    arguments: list[str], parent: Callable[..., "subprocess.Popen[str]"]
) -> None:
    processes = [parent(*arguments) for _ in range(6)]  # at once, so that they are in a hurry
    for process in processes:
        output, errors = process.communicate(timeout=60)
        assert errors == ""
        assert process.returncode == 0
        assert "complete" in output
