"""What goes wrong in a run or around it, done to the real command: docs/reliability.md's table."""

import json
import os
import re
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from command import QUICK, SLOW, bits, fmgrid, start, wait_for, write
from conftest import CACHE
from fmgrid.experiment import Experiment, Failure
from fmgrid.results.results_file import read_results, to_results
from made_up_runs import make_run

pytestmark = pytest.mark.usefixtures("elsewhere")

# Optimizers that do what a bug, the kernel or a bad day does.
FAULTY = """
import ctypes, os, signal, sys, time
from pathlib import Path
from torch.optim import SGD

class KilledOnce(SGD):
    def step(self, closure=None):
        if not Path("killed").exists():
            Path("killed").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        super().step(closure)

class Killed(SGD):
    def step(self, closure=None):
        print("about to be killed", flush=True)
        os.kill(os.getpid(), signal.SIGKILL)

class Aborting(SGD):
    def step(self, closure=None):
        os.abort()

class Raising(SGD):
    def step(self, closure=None):
        raise ValueError("no step today")

class Exiting(SGD):
    def step(self, closure=None):
        sys.exit(0)

class Unpicklable(SGD):
    def step(self, closure=None):
        class Local(Exception):
            pass
        raise Local("from nowhere")

class Hanging(SGD):
    def step(self, closure=None):
        ctypes.PyDLL(None).sleep(600)  # C code that never lets Python run

class ExitsAtOnce(SGD):
    def __init__(self, *args, **kwargs):
        print("words of its own")
        sys.exit(3)

class EndsTheProcess(SGD):
    def __init__(self, *args, **kwargs):
        os._exit(3)

class HangsAtOnce(SGD):
    def __init__(self, *args, **kwargs):
        ctypes.PyDLL(None).sleep(600)

class Verbose(SGD):
    def __init__(self, *args, **kwargs):
        print("words of its own")
        super().__init__(*args, **kwargs)
        self.step_hooks = None

class SpoilsItsProcess(SGD):
    def step(self, closure=None):
        import torch
        torch.set_default_dtype(torch.float64)
        os.chdir("/")

class LongWinded(SGD):
    def step(self, closure=None):
        raise ValueError("word " * 1_000_000)

class Exploding(SGD):
    def step(self, closure=None):
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter.data.fill_(float("nan"))
"""
HARMFUL = """
import sys
from torch.optim import SGD

class LittleDepth(SGD):
    def step(self, closure=None):
        sys.setrecursionlimit(50)

class NoException(SGD):
    def step(self, closure=None):
        raise GeneratorExit

class Recursing(SGD):
    def step(self, closure=None):
        class Endless(Exception):
            def __reduce__(self):
                return Endless, (Endless(),)
        raise Endless("no end")

class Mute(SGD):
    def step(self, closure=None):
        class Silent(BaseException):
            def __str__(self):
                raise self
        raise Silent

class SpoilsStreams(SGD):
    def step(self, closure=None):
        class Stream:
            def write(self, text):
                raise GeneratorExit
            flush = write
        sys.stdout = sys.stderr = Stream()

class ForgesItsRun(SGD):
    def step(self, closure=None):
        from fmgrid.experiment import Run
        Run.__reduce_ex__ = lambda self, protocol: (sys.exit, ("forged",))
"""
# What modules do when they are imported.
IMPORTED = {
    "ends_the_process": "import os; os._exit(0)",
    "no_exception": "raise GeneratorExit",
    "sends_a_signal": "import signal; signal.raise_signal(signal.SIGALRM)",
    "crashes": "import os; os.abort()",
}
SPOILING = """
import os
from torch.optim import SGD
os.chdir("/")
os.environ["ATEN_CPU_CAPABILITY"] = "default"
os.environ["PYTHONPATH"] = "/nonexistent"
class Mine(SGD):
    pass
"""
GOOD = '[[point]]\nname = "good"\n[[point]]\nname = "fine"\nbatch_size = 32\n'


def faulty(*optimizers: str) -> Path:
    """Write a grid of two good runs and a run of each of the optimizers."""
    Path("faulty.py").write_text(FAULTY)
    points = (f'[[point]]\nname = "{name}"\noptimizer = "faulty:{name}"\n' for name in optimizers)
    return write(QUICK + GOOD + "".join(points))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """Return the bits of the two good runs."""
    folder = tmp_path_factory.mktemp("undisturbed")
    (folder / "grid.toml").write_text(QUICK + GOOD)
    words = ("run", folder / "grid.toml", "--logdir", folder / "modellogs")
    assert fmgrid(*words, FMGRID_CACHE=CACHE).returncode == 0
    return bits(folder / "modellogs")


# A worker that dies, a run that fails


def test_a_worker_that_is_killed_once_costs_nothing(undisturbed: dict[str, object]) -> None:
    done = fmgrid("run", faulty("KilledOnce"))
    assert done.returncode == 0, done.stderr
    assert re.search(r"KilledOnce: [\d.]+% right, .*, attempt 2\n", done.stderr)
    told = read_results(Path("modellogs/KilledOnce/KilledOnce_results.toml"))
    assert (told.status, told.attempts) == ("complete", 2)
    assert bits(Path("modellogs")).items() >= undisturbed.items()


@pytest.mark.parametrize(
    ("optimizer", "reason"),
    [
        (
            "Killed",
            "its worker process died twice (signal 9, Killed, by hand or for lack of memory)",
        ),
        ("Aborting", "its worker process died twice (signal 6, Aborted)"),
        ("Raising", "ValueError: no step today"),
        ("Exiting", "SystemExit: 0"),
        ("Unpicklable", "Local: from nowhere"),
        ("Exploding", "NonFiniteLossError: the training loss is nan at step 2 of 3"),
    ],
)
def test_a_failure_is_told_when_it_happens_and_costs_no_other_run(
    optimizer: str, reason: str, undisturbed: dict[str, object]
) -> None:
    done = fmgrid("run", faulty(optimizer))
    assert done.returncode == 1
    assert f"{optimizer}: failed: {reason}\n" in done.stderr
    *_, listing, last = done.stderr.partition("1 failed:\n")[2].splitlines()
    assert listing == f"  {optimizer}: failed: {reason}"
    assert last == "fmgrid show RUN tells more of one; --retry-failed runs them again"
    assert bits(Path("modellogs")).items() >= undisturbed.items()
    failure = read_results(Path(f"modellogs/{optimizer}/{optimizer}_results.toml")).failure
    assert failure is not None
    assert failure.message == reason
    log = Path(f"modellogs/{optimizer}/run.log").read_text()
    if "worker" in reason:
        assert failure.traceback.startswith("the last lines of run.log:\n")
        assert "The worker died; attempt 2 begins here." in log
    else:
        assert failure.traceback.startswith("Traceback (most recent call last):\n")
        assert reason.partition(":")[0] in log


def test_what_a_step_does_is_that_runs_failure_and_no_other(
    undisturbed: dict[str, object],
) -> None:
    Path("hostile.py").write_text(HARMFUL)
    names = re.findall(r"^class (\w+)", HARMFUL, re.M)
    points = (f'[[point]]\nname = "{name}"\noptimizer = "hostile:{name}"\n' for name in names)
    done = fmgrid("run", write(QUICK + GOOD + "".join(points)))
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert f"{len(names)} failed:\n" in done.stderr
    assert "Recursing: failed: Endless: no end\n" in done.stderr
    assert bits(Path("modellogs")).items() >= undisturbed.items()


def test_what_a_module_does_at_its_import_is_named_with_its_line() -> None:
    for name, statement in IMPORTED.items():
        write(statement, f"{name}.py")
    points = (f'[[point]]\nname = "{name}"\noptimizer = "{name}:Mine"\n' for name in IMPORTED)
    done = fmgrid("run", write(QUICK + "".join(points)))
    assert (done.returncode, done.stdout) == (2, "")
    *lines, last = done.stderr.splitlines()
    assert last == "4 mistakes; nothing was done"
    for line, name in zip(lines, IMPORTED, strict=True):
        assert re.match(
            rf"grid.toml:\d+: point.optimizer: module {name} cannot be imported \(.+\)$", line
        )


def test_a_module_that_changes_its_process_changes_no_other(
    undisturbed: dict[str, object],
) -> None:
    write(SPOILING, "spoiling.py")
    grid = write(f'{QUICK}{GOOD}[[point]]\nname = "spoiled"\noptimizer = "spoiling:Mine"\n')
    done = fmgrid("run", grid, "--logdir", "logs")
    assert done.returncode == 0, done.stderr
    assert bits(Path("logs")).items() >= undisturbed.items()
    assert len(list(Path("logs").glob("*/*_results.toml"))) == 3


def test_after_so_many_failures_the_rest_is_left() -> None:
    done = fmgrid("run", faulty("Raising", "Exiting", "Unpicklable"), "--max-failures", "2", "-j1")
    assert done.returncode == 1
    assert "2 failed:\n" in done.stderr
    assert "not run; the same command does the rest\n" in done.stderr


def test_only_what_failed_is_retried_and_only_on_demand(undisturbed: dict[str, object]) -> None:
    grid = faulty("Raising")
    assert fmgrid("run", grid).returncode == 1
    before = {path: path.stat().st_mtime_ns for path in Path("modellogs").rglob("*")}
    again = fmgrid("run", grid)
    assert again.returncode == 1
    assert again.stderr.startswith("nothing to do\n")
    assert {path: path.stat().st_mtime_ns for path in Path("modellogs").rglob("*")} == before
    Path("faulty.py").write_text(FAULTY.replace('raise ValueError("no step today")', "pass"))
    retried = fmgrid("run", grid, "--retry-failed")
    assert retried.returncode == 0, retried.stderr
    assert ", 1 to train, about " in retried.stderr
    assert bits(Path("modellogs")).items() >= undisturbed.items()


@pytest.mark.parametrize(
    ("optimizer", "reason"),
    [
        ("ExitsAtOnce", "SystemExit: 3"),
        ("EndsTheProcess", "a worker process died twice (exit code 3)"),
        ("HangsAtOnce", "a worker process was killed after 2 s"),
    ],
)
def test_an_optimizer_that_cannot_be_made_is_named_with_its_line(
    optimizer: str, reason: str
) -> None:
    done = fmgrid("run", faulty(optimizer), "--json", "--timeout", "2s")
    assert (done.returncode, done.stdout) == (2, "")
    assert (
        f"grid.toml:14: point.optimizer: faulty:{optimizer} refuses this: {reason}\n"
        "1 mistake; nothing was done\n"
    ) in done.stderr
    assert "words of its own" not in done.stderr
    assert not list(Path("modellogs").glob("*/*"))


def test_what_plugged_in_code_prints_is_in_its_log_and_no_data_of_ours() -> None:
    Path("talking.py").write_text(f"print('imported')\n{FAULTY}")
    grid = write(f'{QUICK}[[point]]\nname = "run"\noptimizer = "talking:Verbose"\n')
    done = fmgrid("run", grid, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["status"] == "complete"
    assert "words of its own" in Path("modellogs/run/run.log").read_text()
    assert json.loads(fmgrid("plan", grid, "--json").stdout)["count"] == 1


def test_what_one_run_does_to_its_process_reaches_no_other(
    undisturbed: dict[str, object],
) -> None:
    done = fmgrid("run", faulty("SpoilsItsProcess"), "-j", "1")
    assert done.returncode == 0, done.stderr
    assert bits(Path("modellogs")).items() >= undisturbed.items()


def test_a_long_story_is_shortened() -> None:
    done = fmgrid("run", faulty("LongWinded"))
    assert done.returncode == 1
    assert len(done.stderr) < 10_000
    assert Path("modellogs/LongWinded/LongWinded_results.toml").stat().st_size < 100_000


# A run that hangs, or wants too much


@pytest.mark.parametrize("by", ["option", "file", "block"])
def test_a_run_that_hangs_in_c_code_is_killed_and_recorded(
    by: str, undisturbed: dict[str, object]
) -> None:
    grid = faulty("Hanging")
    if by == "file":
        write(f'timeout = "2s"\n{grid.read_text()}')
    if by == "block":
        write(f'{grid.read_text()}timeout = "2s"\n')
    done = fmgrid("run", grid, *(["--timeout", "2s"] if by == "option" else []))
    assert done.returncode == 1
    assert "Hanging: timeout: it was killed after 2 s, its time limit\n" in done.stderr
    told = read_results(Path("modellogs/Hanging/Hanging_results.toml"))
    assert told.status == "timeout"
    assert told.seconds < 2 + 5
    assert bits(Path("modellogs")).items() >= undisturbed.items()
    row = fmgrid("summarize", "modellogs", "-o", "-").stdout.splitlines()[1]
    assert ",timeout,0,Hanging,Hanging," in row


@pytest.mark.parametrize("words", [["--memory", "1GB"], []], ids=["as told", "by default"])
def test_a_network_too_large_for_memory_fails_and_the_others_finish(
    words: list[str], undisturbed: dict[str, object]
) -> None:
    # 40 GB in a matrix that takes none before it is touched; or 6 TB, more than a machine has.
    units = "[100000, 100000]" if words else "[1200000, 1200000]"
    grid = write(f'{QUICK}{GOOD}[[point]]\nname = "vast"\nhidden_units = {units}\n')
    done = fmgrid("run", grid, *words)
    assert done.returncode == 1
    assert "vast: failed: out of memory: RuntimeError: " in done.stderr
    assert bits(Path("modellogs")).items() >= undisturbed.items()
    assert read_results(Path("modellogs/vast/vast_results.toml")).attempts == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--timeout", "soon"], "--timeout soon: is not understood; write 60s, 5min or 2h"),
        (["--timeout", "0"], "--timeout 0: is not understood; write 60s, 5min or 2h"),
        (["--memory", "much"], "--memory much: is not understood; write 500MB or 2GB"),
        (
            ["--set", "timeout=3"],
            "--set timeout=3: is no setting; write --seeds 0,1,2 or --timeout 60s",
        ),
        (["--max-failures", "0"], "Invalid value for '--max-failures'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_limits_that_are_none_are_refused(words: list[str], message: str) -> None:
    done = fmgrid("run", write(QUICK), *words)
    assert done.returncode == 2
    assert message in done.stderr
    assert not Path("modellogs").exists()


@pytest.mark.parametrize("value", ['"soon"', "0", "-1", "true", "[60]", "inf", '""'])
def test_a_time_limit_in_a_grid_is_checked_like_a_setting(value: str) -> None:
    done = fmgrid("plan", write(f"timeout = {value}\n{QUICK}"))
    assert done.returncode == 2
    assert done.stderr.startswith(f"grid.toml:1: timeout: {value} is no duration; write ")


# The disk, and what the system allows


def mounting() -> list[str]:
    """Return the command that runs a script which may mount what it likes, for itself alone."""
    command = ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--map-root-user"])]
    probe = subprocess.run(
        [*command, "mount", "-t", "tmpfs", "tmpfs", "/mnt"], capture_output=True, check=False
    )
    if probe.returncode:
        pytest.skip(f"this system lets nobody mount a file system: {probe.stderr.decode()}")
    return [*command, "bash", "-euc"]


FULL_FROM_THE_START = """
mkdir full; mount -t tmpfs -o size=100k tmpfs full
code=0; fmgrid run grid.toml --logdir full/modellogs || code=$?
find full -type f ! -name .fmgrid.lock; exit $code
"""
FULL_IN_BETWEEN = """
mkdir full; mount -t tmpfs -o size=4m tmpfs full
fmgrid run grid.toml -j 1 --logdir full/modellogs & command=$!
until ls full/modellogs/*/*_results.toml; do sleep 0.02; done > /dev/null 2>&1
head -c 5000000 /dev/zero > full/filler || true
code=0; wait $command || code=$?
echo $code; ls full/modellogs/*/*_results.toml | wc -l; find full -name '.unfinished*' | wc -l
rm full/filler; fmgrid run grid.toml --logdir full/modellogs; cp -r full/modellogs modellogs
"""


def test_a_disk_without_room_is_noticed_before_any_training() -> None:
    write(QUICK)
    done = subprocess.run(
        [*mounting(), FULL_FROM_THE_START.replace("grid.toml", "grid.toml --seeds 0,1,2,3,4,5")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 3, done.stderr
    assert done.stdout == ""
    assert re.fullmatch(
        r"fmgrid: full/modellogs: the disk has [0-9.]+ kB free, and 6 runs would take 126 kB; "
        "make room, or choose another --logdir\n",
        done.stderr,
    )


def test_a_disk_that_fills_up_ends_the_grid_and_loses_nothing() -> None:
    seeds = ", ".join(map(str, range(12)))
    grid = write(f"seeds = [{seeds}]\n{QUICK.replace('train_steps = 3', 'train_steps = 400')}")
    assert fmgrid("run", grid, "--logdir", "undisturbed").returncode == 0
    done = subprocess.run(
        [*mounting(), FULL_IN_BETWEEN], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    code, finished, half = done.stdout.split()
    assert (code, half) == ("3", "0")
    assert 0 < int(finished) < 12
    assert "No space left on device" in done.stderr
    assert "Traceback" not in done.stderr
    assert bits(Path("modellogs")) == bits(Path("undisturbed"))


def unprivileged(*words: object) -> subprocess.CompletedProcess[str]:
    """Run fmgrid as somebody whom permissions bind: root without its powers, or the user."""
    powerless = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if os.geteuid() == 0 else []
    return subprocess.run(
        [*powerless, "fmgrid", *map(str, words)], capture_output=True, text=True, check=False
    )


def test_a_folder_that_may_not_be_written_is_noticed_before_any_training() -> None:
    grid = write(QUICK)
    Path("modellogs").mkdir(mode=0o555)
    done = unprivileged("run", grid)
    Path("modellogs").chmod(0o755)
    assert done.returncode == 3
    assert done.stderr.endswith("modellogs/.fmgrid.lock: Permission denied\n")
    assert list(Path("modellogs").iterdir()) == []


def test_a_run_whose_folder_may_not_be_written_is_named() -> None:
    grid = write(QUICK)
    Path("modellogs/grid").mkdir(mode=0o555, parents=True)
    done = unprivileged("run", grid)
    Path("modellogs/grid").chmod(0o755)
    assert done.returncode == 3
    assert "fmgrid: modellogs/grid/run.log: Permission denied\n" in done.stderr
    assert "Traceback" not in done.stderr


def test_too_few_open_files_are_noticed_before_any_training() -> None:
    script = f"ulimit -n 40; fmgrid run {write(QUICK)}"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert "too few open files are allowed: 40, and 56 are needed" in done.stderr
    assert list(Path("modellogs").glob("*")) in ([], [Path("modellogs/.fmgrid.lock")])


@pytest.mark.parametrize(
    ("command", "kilobytes"),
    [("run", 30_000), ("run", 100_000), ("run", 300_000), ("report", 40_000), ("report", 205_000)],
)
def test_too_little_address_space_is_a_refusal_of_the_machine(command: str, kilobytes: int) -> None:
    grid = write(QUICK)
    what = f"run {grid}" if command == "run" else "report modellogs"
    script = f"ulimit -v {kilobytes}; fmgrid {what}"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert "fmgrid: the machine refused memory" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(Path("modellogs").glob("*/*_results.toml"))


# Runs a command on a machine where no folder takes temporary files.
NO_FOLDER = """
import sys, tempfile
tempfile._candidate_tempdir_list = lambda: ["/nowhere/to/be/found"]
from fmgrid.__main__ import main
sys.argv[0] = "fmgrid"
main()
"""


def test_no_temporary_folder_is_said_to_be_one_by_those_who_need_it() -> None:
    grid = write(QUICK)
    Path("modellogs/grid").mkdir(parents=True)
    stored = make_run(Experiment(name="grid", epochs=2))
    Path("modellogs/grid/grid_results.toml").write_bytes(to_results(stored))
    for words, code in (
        (["plan", grid, "--logdir", "other"], 0),
        (["summarize", "modellogs"], 0),
        (["report", "modellogs"], 0),
        (["run", grid, "--logdir", "other"], 3),
    ):
        done = subprocess.run(
            [sys.executable, "-c", NO_FOLDER, *map(str, words)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == code, done.stderr
    assert "the machine refused a temporary folder; set TMPDIR" in done.stderr
    assert "output" not in done.stderr


def test_a_temporary_folder_whose_path_is_too_long_is_named() -> None:
    Path("x" * 110).mkdir()
    done = fmgrid("run", write(QUICK), TMPDIR=str(Path("x" * 110).absolute()))
    assert done.returncode == 3
    assert "the machine refused a temporary folder; set TMPDIR" in done.stderr


def test_temporary_files_that_a_cleaner_removes_cost_no_run() -> None:
    temporary = Path("t")
    temporary.mkdir()
    grid = write(QUICK.replace("train_steps = 3", "train_steps = 200"))
    process = start("run", grid, "--seeds", "0,1", "-j", "1", TMPDIR=str(temporary.absolute()))
    wait_for(Path("modellogs/grid/run.log"), process)
    for folder in temporary.glob("fmgrid-*"):
        shutil.rmtree(folder, ignore_errors=True)  # the worker may write into it meanwhile
    _, told = process.communicate(timeout=60)
    assert process.returncode == 0, told
    assert len(bits(Path("modellogs"))) == 2


def test_a_server_of_workers_that_is_killed_costs_no_run_and_then_names_memory() -> None:
    grid = write(SLOW)
    process = start("run", grid, "-j", "1")
    wait_for(Path("modellogs/grid/run.log"), process)
    killed: set[int] = set()
    while process.poll() is None:
        for child in psutil.Process(process.pid).children():
            with suppress(psutil.Error):
                if child.pid not in killed and "forkserver" in " ".join(child.cmdline()):
                    killed.add(child.pid)
                    child.kill()
        time.sleep(0.05)
    told = process.communicate(timeout=100)[1]
    assert process.returncode == 3
    assert "the server of workers died 3 times" in told
    assert "lack of memory" in told
    assert "-j 1" in told
    assert len(killed) == 3
    assert bits(Path("modellogs")) == {}


# Damaged and foreign files


def break_toml(path: Path) -> None:
    path.write_text('status = "complete\n')


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def replace_by_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def link_elsewhere(path: Path) -> None:
    path.rename("elsewhere.toml")
    path.symlink_to(Path("elsewhere.toml").absolute())


@pytest.mark.parametrize("spoil", [break_toml, truncate, empty, replace_by_folder, link_elsewhere])
def test_results_that_are_none_are_left_out_named_set_aside_and_run_again(
    spoil: Callable[[Path], None], undisturbed: dict[str, object]
) -> None:
    grid = write(QUICK + GOOD)
    assert fmgrid("run", grid).returncode == 0
    results = Path("modellogs/good/good_results.toml")
    spoil(results)
    summary = fmgrid("summarize", "modellogs", "-o", "-")
    assert "warning: modellogs/good/good_results.toml: " in summary.stderr
    assert len(summary.stdout.splitlines()) == 2
    again = fmgrid("run", grid)
    assert again.returncode == 0
    assert "warning: good was damaged and is now modellogs/.replaced/good.1: " in again.stderr
    assert bits(Path("modellogs")) == undisturbed
    assert os.path.lexists("modellogs/.replaced/good.1/good_results.toml")


def sign(body: bytes) -> bytes:
    """Return a results file of another format than ours, whole."""
    from hashlib import sha256

    return b'# of tomorrow\ndigest = "sha256:%s"\n%s' % (sha256(body).hexdigest().encode(), body)


def test_results_of_a_newer_format_are_refused_and_left_alone() -> None:
    grid = write(QUICK + GOOD)
    newer = sign(b"format = 2\n")
    Path("modellogs/good").mkdir(parents=True)
    Path("modellogs/good/good_results.toml").write_bytes(newer)
    done = fmgrid("run", grid)
    assert done.returncode == 2
    assert done.stderr == (
        "grid.toml:7: good: modellogs/good/good_results.toml: has format 2, and this fmgrid reads "
        "1; read it with the version that wrote it; choose another name or --logdir, or set it "
        "aside with --replace\n1 mistake; nothing was done\n"
    )
    assert fmgrid("run", grid, "--replace").returncode == 0
    assert Path("modellogs/.replaced/good.1/good_results.toml").read_bytes() == newer


def make_file(path: Path) -> None:
    path.write_text("mine")


def make_link(path: Path) -> None:
    Path("mine").mkdir()
    Path("mine/run.log").write_text("mine")
    path.symlink_to(Path("mine").absolute())


@pytest.mark.parametrize(
    ("make", "name", "found"),
    [
        (make_file, "good", "not a folder"),
        (make_link, "good", "a link"),
        (make_link, ".replaced", "a link"),
    ],
    ids=["a file for a run", "a link for a run", "a link for what is set aside"],
)
def test_what_is_no_folder_of_fmgrids_is_refused_and_left_alone(
    make: Callable[[Path], None], name: str, found: str
) -> None:
    grid = write(QUICK + GOOD)
    Path("modellogs").mkdir()
    make(Path("modellogs", name))
    if name == ".replaced":  # of which there is need only if something is damaged
        Path("modellogs/good").mkdir()
        Path("modellogs/good/good_results.toml").write_text("damaged")
    done = fmgrid("run", grid)
    assert done.returncode == 3
    assert done.stderr.endswith(
        f"fmgrid: modellogs/{name}: is {found}; remove it, or choose another --logdir\n"
    )
    assert not list(Path("modellogs").glob("fine/*"))
    if make is make_link:
        assert [path.name for path in Path("mine").iterdir()] == ["run.log"]
        assert Path("mine/run.log").read_text() == "mine"


@pytest.mark.parametrize("name", ["events.out.tfevents.1700000000.host.1.0", "run.log"])
def test_somebody_elses_run_is_refused_and_left_alone(name: str) -> None:
    Path("modellogs/good").mkdir(parents=True)
    path = Path("modellogs/good", name)
    path.mkdir() if name == "run.log" else path.write_text("mine")
    done = fmgrid("run", write(QUICK + GOOD))
    assert done.returncode == 3
    assert done.stderr == (
        f"fmgrid: {path}: was not written by fmgrid; move it, or choose another --logdir\n"
    )
    assert path.is_dir() or path.read_text() == "mine"
    assert not Path("modellogs/fine").exists()


def test_a_lock_that_is_a_link_is_not_followed() -> None:
    Path("mine").write_text("mine")
    Path("modellogs").mkdir()
    Path("modellogs/.fmgrid.lock").symlink_to(Path("mine").absolute())
    done = fmgrid("run", write(QUICK))
    assert done.returncode == 3
    assert "Traceback" not in done.stderr
    assert Path("mine").read_text() == "mine"


def test_damaged_event_files_cost_no_figure(undisturbed: dict[str, object]) -> None:
    grid = write(QUICK + GOOD)
    assert fmgrid("run", grid).returncode == 0
    table = fmgrid("summarize", "modellogs", "-o", "-").stdout
    for path in Path("modellogs").glob("*/events.*"):
        path.write_bytes(path.read_bytes()[:50] + b"\xff" * 100)
    assert fmgrid("summarize", "modellogs", "-o", "-").stdout == table
    assert fmgrid("run", grid).stderr.startswith("nothing to do\n")
    assert bits(Path("modellogs")) == undisturbed


def test_leftovers_of_an_unfinished_run_are_cleared_and_a_users_files_are_not() -> None:
    Path("modellogs/grid").mkdir(parents=True)
    for name in (
        "events.out.tfevents.0000000001.fmgrid",
        ".unfinished-grid_results.toml",
        "notes.txt",
    ):
        Path("modellogs/grid", name).write_text("left")
    assert fmgrid("run", write(QUICK)).returncode == 0
    names = sorted(path.name for path in Path("modellogs/grid").iterdir())
    assert [name for name in names if not name.startswith("events.")] == [
        "grid_results.toml",
        "notes.txt",
        "run.log",
    ]
    assert len(names) == 4


# Names and grids that mean harm

HOSTILE = {
    "a path": '[base]\n[[point]]\nname = "../../etc/x"\n',
    "an absolute path": '[base]\n[[point]]\nname = "/etc/x"\n',
    "a NUL": '[base]\n[[point]]\nname = "a\\u0000b"\n',
    "a device": '[base]\n[[point]]\nname = "CON"\n',
    "only case": '[base]\n[[point]]\nname = "a"\n[[point]]\nname = "A"\nepochs = 3\n',
    "300 characters": f'[base]\n[[point]]\nname = "{"x" * 300}"\n',
    "deep nesting": "x = " + "[" * 400_000 + "]" * 400_000,
    "deep tables": "x = " + "{a=" * 100_000 + "1" + "}" * 100_000,
    "a long key": "a." * 300_000 + "b = 1",
    "a million points": "[grid]\n"
    + "".join(f"optimizer_args.a{n} = [1, 2]\n" for n in range(30_000)),
    "2 to the 40": "[grid]\n"
    + "".join(f"optimizer_args.{name}{n} = [0.1, 0.2]\n" for n in range(20) for name in ("a", "b")),
    "a product without end": "[grid]\n"
    + "".join(
        f"{name} = {list(range(1, 2000))}\n" for name in ("epochs", "batch_size", "train_steps")
    ),
    "a string of a megabyte": f'[base]\noptimizer = "{"x" * 990_000}"\n',
    "a file of 2 GB": "",
    "a format that grows": 'name = "{epochs:999999999}"\n[base]\nepochs = 1\n',
    "an attribute": 'name = "{epochs.__class__}"\n[base]\nepochs = 1\n',
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_grid_is_refused_in_little_memory(kind: str) -> None:
    grid = write(HOSTILE[kind])
    if kind == "a file of 2 GB":
        os.truncate(grid, 2_000_000_000)
    code = (
        "import resource, subprocess, sys\n"
        "done = subprocess.run(sys.argv[1:], capture_output=True, text=True, timeout=60)\n"
        "print(done.returncode, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)\n"
        "print(done.stderr[:2000])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "fmgrid", "run", str(grid)],
        capture_output=True,
        text=True,
        check=True,
    )
    figures, _, told = done.stdout.partition("\n")
    exit_code, kilobytes = map(int, figures.split())
    assert exit_code == 2, told
    assert told.startswith("grid.toml")
    assert kilobytes < 400_000
    assert list(Path().iterdir()) == [grid]


# The clock, and strangers' folders


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "America/Los_Angeles"])
def test_the_time_zone_changes_no_result(zone: str, undisturbed: dict[str, object]) -> None:
    grid = write(QUICK + GOOD)
    done = fmgrid("run", grid, TZ=zone)
    assert done.returncode == 0
    assert bits(Path("modellogs")) == undisturbed
    stored = read_results(Path("modellogs/good/good_results.toml"))
    assert stored.started.utcoffset() is not None
    assert stored.started.utcoffset().total_seconds() == 0  # type: ignore[union-attr]


def test_a_folder_from_a_stranger_runs_no_code_and_moves_no_cursor() -> None:
    grid = write(QUICK)
    assert fmgrid("run", grid).returncode == 0
    canary = Path("canary").absolute()
    for name in ("model.pt", "model.pkl", "trainer.toml", "settings.toml"):
        Path("modellogs/grid", name).write_bytes(
            b"cposix\nsystem\n(S'touch %s'\ntR." % str(canary).encode()
        )
    failure = Failure(message="title\x1b]0;x\x07", traceback="first\nsecond\x1b[2J")
    Path("modellogs/odd").mkdir()
    odd = make_run(Experiment(name="odd"), status="failed", failure=failure)
    Path("modellogs/odd/odd_results.toml").write_bytes(to_results(odd))
    evil = Path("modellogs/evil\x1b[2J")
    evil.mkdir()
    (evil / f"{evil.name}_results.toml").write_text("x")
    for words in (
        ["summarize", "modellogs"],
        ["status"],
        ["plan", grid],
        ["show", "grid"],
        ["show", "odd"],
    ):
        done = fmgrid(*words)
        assert done.returncode == 0, done.stderr
        assert "\x1b" not in done.stdout + done.stderr
    assert not canary.exists()


def test_a_name_that_is_no_text_is_escaped() -> None:
    folder = os.fsencode(Path("modellogs").absolute()) + b"/\xff\xfe"
    os.makedirs(folder)  # noqa: PTH103 - pathlib has no bytes
    with open(folder + b"/events.out.tfevents.1.x", "wb"):  # noqa: PTH123
        pass
    for words in (["summarize", "modellogs"], ["summarize", "modellogs", "-o", "-"], ["status"]):
        done = fmgrid(*words, PYTHONIOENCODING="ascii")
        assert done.returncode == 0, done.stderr
        assert "Traceback" not in done.stderr
    assert r"\udcff\udcfe" in Path("experiment_summary.csv").read_text()


def test_an_empty_name_of_a_folder_is_refused() -> None:
    done = fmgrid("run", write(QUICK), "--logdir", "")
    assert done.returncode == 2
    assert "it is empty; name a file or a folder" in done.stderr
    assert sorted(path.name for path in Path().iterdir()) == ["grid.toml"]


def test_two_commands_that_start_together_train_each_run_once() -> None:
    grid = write(QUICK.replace("train_steps = 3", "train_steps = 200"))
    commands = [start("run", grid, "--seeds", "0,1,2,3", "-j", "1") for _ in range(2)]
    told = [command.communicate(timeout=100)[1] for command in commands]
    assert sorted(command.returncode for command in commands) in ([0, 0], [0, 3])
    assert sum(text.count("% right, loss") for text in told) == 4
    assert len(bits(Path("modellogs"))) == 4


def test_the_limit_on_files_is_raised_where_that_is_allowed() -> None:
    def lower() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (32, 4096))

    done = subprocess.run(
        ["fmgrid", "run", str(write(QUICK))],
        preexec_fn=lower,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_a_worker_that_cannot_start_is_a_matter_of_the_machine() -> None:
    # A module of the user's that passes for torch: every worker's server dies of it.
    Path("broken").mkdir()
    Path("broken/mltrainer.py").write_text("raise RuntimeError('broken on purpose')")
    done = fmgrid("run", write(QUICK), PYTHONPATH=str(Path("broken").absolute()))
    assert done.returncode == 3
    assert not list(Path("modellogs").glob("*/*_results.toml"))


def test_a_debugger_stops_in_an_optimizer_where_training_is_inline(
    undisturbed: dict[str, object],
) -> None:
    stopping = "class Stopping(SGD):\n    def step(self, closure=None):\n        breakpoint()\n"
    Path("stopping.py").write_text(f"from torch.optim import SGD\n{stopping}")
    point = '[[point]]\nname = "stopping"\noptimizer = "stopping:Stopping"\n'

    def run(typed: str) -> subprocess.CompletedProcess[str]:
        words = ["fmgrid", "run", str(write(QUICK + GOOD + point)), "-j", "0"]
        return subprocess.run(words, input=typed, capture_output=True, text=True, check=False)

    done = run("p 6 * 7\nq\n")
    assert done.returncode == 130, done.stderr
    assert "(Pdb) 42\n" in done.stdout
    assert "the same command does the rest" in done.stderr
    done = run("c\n" * 3)
    assert done.returncode == 0, done.stderr
    assert bits(Path("modellogs")).items() >= undisturbed.items()
