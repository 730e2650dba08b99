"""The command as a user meets it: whole processes, real training on the sample's images."""

import csv
import fcntl
import json
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator, Sequence
from copy import copy
from pathlib import Path

import pytest

from command import (
    NAMES,
    QUICK,
    ROOT,
    SLOW,
    TINY,
    bits,
    fmgrid,
    next_results,
    start,
    start_in_terminal,
    wait_for,
    write,
)
from fmgrid.cli.showing import check_outputs, write_csv
from fmgrid.errors import DataError, FmgridError, InputError, Place, Problem, StoreError
from fmgrid.results.results_file import read_results
from fmgrid.results.store import Store
from fmgrid.system.disk import resolve
from made_up_runs import make_run

pytestmark = pytest.mark.usefixtures("elsewhere")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log folder in which the smoke grid was run; read only."""
    from conftest import CACHE

    folder = tmp_path_factory.mktemp("finished")
    environment = {**os.environ, "FMGRID_CACHE": CACHE}
    done = subprocess.run(
        ["fmgrid", "run", str(TINY), "-j", "2"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    (folder / "stderr").write_text(done.stderr)
    return folder / "modellogs"


# A finished grid


def test_every_run_has_its_complete_folder(finished: Path) -> None:
    assert sorted(path.name for path in finished.glob("[!.]*") if path.is_dir()) == NAMES
    for name in NAMES:
        files = sorted(path.name for path in (finished / name).iterdir())
        assert len(files) == 3
        assert files[0].startswith("events.out.tfevents.")
        assert files[1:] == ["run.log", f"{name}_results.toml"]


def test_a_pipe_gets_one_line_per_finished_run_and_nothing_of_other_libraries(
    finished: Path,
) -> None:
    lines = (finished.parent / "stderr").read_text().splitlines()
    first, *runs, last, best, held_out, hint = [
        line for line in lines if "fmgrid's own files" not in line
    ]
    assert first.startswith("6 runs, 5 to train, 1 part of another's training, about ")
    assert [line[:5] for line in runs] == [f"[{n}/6]" for n in range(1, 7)]
    assert sorted(line.split()[1].rstrip(":") for line in runs) == NAMES
    assert last == "6 of 6 runs complete in modellogs"
    assert best.startswith("best of one run each on the test images of fashion-mnist-sample: tiny_")
    assert held_out.startswith("one run on 500 images of fashion-mnist-sample held out: tiny_held")
    assert hint == "next: fmgrid summarize modellogs && fmgrid report modellogs"


def test_what_libraries_print_is_in_the_log_of_the_run(finished: Path) -> None:
    assert "mltrainer.trainer:report" in (finished / "tiny_SGD_16" / "run.log").read_text()


def test_equal_experiments_are_trained_once_and_say_so(finished: Path) -> None:
    twin = read_results(finished / "tiny_twin" / "tiny_twin_results.toml")
    leader = read_results(finished / "tiny_Adam_64" / "tiny_Adam_64_results.toml")
    assert {twin.trained_as, leader.trained_as} in ({"tiny_Adam_64", None}, {"tiny_twin", None})
    assert twin.history == leader.history


def test_the_same_command_again_does_nothing_and_says_so(finished: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in finished.rglob("*")}
    again = fmgrid("run", TINY, "--logdir", finished)
    assert (again.returncode, again.stdout) == (0, "")
    assert again.stderr.startswith("nothing to do\n6 of 6 runs complete in ")
    assert {path: path.stat().st_mtime_ns for path in finished.rglob("*")} == before


def test_one_worker_in_another_order_gives_the_same_bits(finished: Path) -> None:
    for pattern in ("tiny_SGD*", "tiny_[!S]*"):
        assert fmgrid("run", TINY, "-j", "1", "--only", pattern).returncode == 0
    assert bits(Path("modellogs")) == bits(finished)


def test_summarize_writes_the_same_bytes_every_time(finished: Path) -> None:
    done = fmgrid("summarize", finished)
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == "experiment_summary.csv: 6 runs\n"
    written = Path("experiment_summary.csv").read_bytes()
    assert fmgrid("summarize", finished, "-o", "-").stdout.encode() == written
    assert len(written.splitlines()) == 7


def test_the_history_has_a_line_per_epoch(finished: Path) -> None:
    done = fmgrid("summarize", finished, "--history", "epochs.csv")
    assert done.stderr == "experiment_summary.csv: 6 runs\nepochs.csv: 12 epochs\n"
    assert len(Path("epochs.csv").read_text().splitlines()) == 13


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["-o", "a.csv", "--history", "a.csv"], "--history a.csv: -o writes to a.csv, too"),
        (["-o", "a.csv", "--history", "./a.csv"], "--history a.csv: -o writes to a.csv, too"),
        (["-o", "-", "--by-experiment", "-"], "--by-experiment -: -o writes to stdout, too"),
    ],
)
def test_two_tables_are_not_written_over_each_other(
    finished: Path, words: list[str], message: str
) -> None:
    done = fmgrid("summarize", finished, *words)
    assert done.returncode == 2
    assert done.stderr == f"{message}; name another file\n1 mistake; nothing was done\n"
    assert (done.stdout, list(Path().iterdir())) == ("", [])


def test_no_table_is_written_where_one_would_meet_a_folder() -> None:
    Path("folder").mkdir()
    Path("-").mkdir()
    with pytest.raises(InputError) as raised:
        check_outputs({"-o": Path("-"), "--history": Path("folder"), "--by-experiment": Path()})
    assert str(raised.value) == (
        "--by-experiment .: is a folder; name a file\n--history folder: is a folder; name a file"
    )


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (StoreError("a\nb: is full"), "a\\u000ab: is full"),
        (InputError([Problem(Place("a\nb", 1), "", "x")] * 2), "a\\u000ab:1: x"),
        (InputError([Problem(Place(n), "", "x") for n in "ab"]), "a: x\nb: x"),
        (DataError("not found:", "  here"), "not found:\n  here"),
    ],
)
def test_an_error_takes_a_line_unless_it_has_more_to_say(error: FmgridError, told: str) -> None:
    assert str(error) == told
    assert str(copy(error)) == told  # which is made as one from another process is


@pytest.mark.parametrize("follow", [resolve, lambda path: write_csv(path, [], [], "run")])
def test_a_link_that_leads_back_to_itself_is_named(follow: Callable[[Path], object]) -> None:
    Path("one").symlink_to("two")
    Path("two").symlink_to("one")
    with pytest.raises(StoreError, match="one: is a link that leads back to itself"):
        follow(Path("one"))


@pytest.mark.parametrize("option", ["--history", "--by-experiment"])
def test_every_table_can_go_to_stdout(finished: Path, option: str) -> None:
    done = fmgrid("summarize", finished, "-o", "runs.csv", option, "-")
    assert done.stderr == "runs.csv: 6 runs\n"
    assert done.stdout.startswith(("run,", "name,"))
    assert [path.name for path in Path().iterdir()] == ["runs.csv"]


def test_few_letters_are_enough_for_a_minus(finished: Path) -> None:
    words = ("tiny_Adam_16", "tiny_SGD_16", "--logdir", finished)
    plain = fmgrid("compare", *words, PYTHONIOENCODING="ascii").stdout
    assert plain == fmgrid("compare", *words, PYTHONIOENCODING="utf-8").stdout.replace(
        "\u2212", "-"
    )
    assert re.search(r" -\d", plain)


def test_a_working_directory_that_is_gone_is_named(tmp_path: Path) -> None:
    script = f'mkdir "{tmp_path}/d" && cd "{tmp_path}/d" && rmdir "{tmp_path}/d" && fmgrid status'
    done = subprocess.run(["sh", "-c", script], capture_output=True, check=False, text=True)
    assert done.returncode == 3
    assert done.stderr == "fmgrid: the working directory is gone; cd to one that is there\n"


def test_status_counts_and_names_what_is_not_complete(finished: Path) -> None:
    shutil.copytree(finished, "logs")
    Path("logs/tiny_SGD_16/tiny_SGD_16_results.toml").unlink()
    assert fmgrid("status", "logs").stdout == (
        "complete         5\ninterrupted      1  tiny_SGD_16\n"
    )
    states = json.loads(fmgrid("status", "logs", "--json").stdout)["states"]
    assert states["interrupted"] == ["tiny_SGD_16"]


@pytest.mark.parametrize("by", ["name", "folder"])
def test_show_tells_everything_of_one_run(finished: Path, by: str) -> None:
    words = (
        ["tiny_held_out", "--logdir", finished] if by == "name" else [finished / "tiny_held_out"]
    )
    shown = fmgrid("show", *words)
    assert shown.returncode == 0
    for part in (
        "validation      500",
        "optimizer       Adam",
        "test images: ",
        "threads         1",
    ):
        assert part in shown.stdout
    told = json.loads(fmgrid("show", *words, "--json").stdout)
    assert told["experiment"]["validation"] == 500


def test_plan_shows_what_is_finished(finished: Path) -> None:
    plan = fmgrid("plan", TINY, "--logdir", finished)
    assert plan.returncode == 0
    assert plan.stdout.count(" complete") == 6
    assert plan.stderr == "6 runs, 0 to train\n"


# Before anything is run


def test_plan_is_the_dry_run_and_writes_nothing() -> None:
    plan, dry = fmgrid("plan", TINY), fmgrid("run", TINY, "--dry-run")
    assert (plan.stdout, plan.stderr) == (dry.stdout, dry.stderr)
    assert plan.stdout.splitlines()[0].split() == [
        *("experiment", "validation", "train_steps", "batch_size", "optimizer", "state")
    ]
    assert re.search(r"tiny_twin .* Adam +with tiny_Adam_64\n", plan.stdout)
    assert list(Path().iterdir()) == []


def test_plan_in_json_holds_every_setting() -> None:
    told = json.loads(fmgrid("plan", TINY, "--json").stdout)
    assert (told["count"], told["to_train"]) == (6, 5)
    assert [run["run"] for run in told["runs"] if not run["trained"]] == ["tiny_twin"]
    assert told["runs"][0]["settings"]["hidden_units"] == [32]
    assert told["runs"][0]["defined"] == f"{TINY}:13"
    assert told["hypotheses"] == []


def test_plan_counts_the_hypotheses_and_tells_them_in_json() -> None:
    grid = ROOT / "configs" / "epochs.toml"
    counted = fmgrid("plan", grid).stderr
    told = json.loads(fmgrid("plan", grid, "--json").stdout)
    assert counted.endswith(", 2 hypotheses\n")
    assert told["hypotheses"][0] == {
        "claim": "H1: more epochs help",
        "expect": "epochs_10 > epochs_5 > epochs_3",
        "metric": "accuracy",
        "place": f"{grid}:18",
    }


@pytest.mark.parametrize("command", [["run"], ["plan"], ["run", "--dry-run"]], ids=" ".join)
def test_a_mistake_exits_with_2_and_leaves_nothing(command: list[str]) -> None:
    grid = write("[base]\nepocs = 3\n")
    done = fmgrid(*command, grid)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "grid.toml:2: base.epocs: no such setting; did you mean epochs?\n"
        "1 mistake; nothing was done\n"
    )
    assert list(Path().iterdir()) == [grid]


def test_what_only_the_optimizer_can_judge_is_refused_before_the_first_run() -> None:
    grid = write(
        QUICK + '[[point]]\nname = "good"\n[[point]]\nname = "bad"\noptimizer = "SGD"\n'
        "optimizer_args.momentum = -1\n"
    )
    done = fmgrid("run", grid)
    assert done.returncode == 2
    assert (
        "grid.toml:12: point.optimizer_args.momentum: SGD refuses this: "
        "ValueError: Invalid momentum value: -1.0\n"
    ) in done.stderr
    assert not list(Path("modellogs").glob("*/*"))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--seeds", "1,x"], "--seeds 1,x: is not a list of whole numbers from 0"),
        (["--set", "epochs=0"], "--set epochs=0: 0 is not a whole number from 1"),
        (["--only", "zz*"], "--only zz*: matches no run; there are tiny_"),
        (["--max-runs", "5"], "spells out 6 of 6 runs, and the limit is 5"),
        (["-j", "-1"], "Invalid value for '-j'"),
        (["-j", "0", "--timeout", "9s"], "--timeout 9s: cannot be kept with -j 0"),
        (["--nonsense"], "No such option"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_options_are_checked_like_the_file(words: list[str], message: str) -> None:
    done = fmgrid("run", TINY, *words)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert list(Path().iterdir()) == []


def test_images_that_are_not_there_are_a_matter_of_the_machine() -> None:
    Path("empty").mkdir()
    done = fmgrid("run", ROOT / "configs" / "epochs.toml", "--data-dir", "empty")
    assert done.returncode == 3
    assert "chosen by --data-dir, does not hold fashion-mnist" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(Path("modellogs").glob("*/*"))


def test_a_log_folder_that_cannot_be_is_a_matter_of_the_machine() -> None:
    write("", "file")
    done = fmgrid("run", TINY, "--logdir", "file")
    assert done.returncode == 3
    assert done.stderr == "fmgrid: file: is not a folder; choose another --logdir\n"
    assert "Traceback" not in done.stderr


def test_a_name_of_two_lines_is_told_on_one(finished: Path) -> None:
    shutil.copytree(finished, "two\nlines")
    Path("two\nlines/tiny_twin/tiny_twin_results.toml").write_text("damaged")
    done = fmgrid("summarize", "two\nlines", "-o", "a\nb.csv")
    warned, told = done.stderr.splitlines()
    assert warned.startswith("warning: two\\u000alines/tiny_twin/tiny_twin_results.toml: ")
    assert told == "a\\u000ab.csv: 5 runs"


@pytest.mark.parametrize("command", ["summarize", "list", "status", "report"])
def test_a_log_folder_without_a_name_is_not_this_one(command: str) -> None:
    done = fmgrid(command, "")
    assert done.returncode == 2
    assert "it is empty; name a file or a folder" in done.stderr


@pytest.mark.parametrize("command", ["summarize", "list", "status", "show", "remove"])
def test_a_folder_that_is_not_there_is_named(command: str) -> None:
    words = ["x", "--logdir", "nowhere"] if command in ("show", "remove") else ["nowhere"]
    done = fmgrid(command, *words)
    assert done.returncode == 2
    assert "nowhere" in done.stderr
    assert "Traceback" not in done.stderr


# Epochs counted in images

IN_IMAGES = """
[base]
dataset = "fashion-mnist-sample"
epochs = 2
train_images = 500
hidden_units = [8]
[grid]
batch_size = [4, 64, 128]
"""


def test_every_batch_size_sees_as_many_images_in_whatever_pieces_it_is_run() -> None:
    grid = write(IN_IMAGES)
    assert fmgrid("run", grid, "--logdir", "whole", "-j", "2").returncode == 0
    for words in (["--only", "*_64"], ["--set", "epochs=1", "--only", "*_4"]):
        assert fmgrid("run", grid, "--logdir", "pieces", "-j", "1", *words).returncode == 0
    assert fmgrid("run", grid, "--logdir", "pieces", "-j", "1", "--replace").returncode == 0
    assert bits(Path("pieces")) == bits(Path("whole"))
    assert "nothing to do" in fmgrid("run", grid, "--logdir", "pieces").stderr

    table = fmgrid("summarize", "whole", "-o", "-").stdout
    for row in csv.DictReader(table.splitlines()):
        found = [row[name] for name in ("train_steps", "train_images", "images_seen")]
        assert found == ["", "500", "1000"]
    shown = fmgrid("show", "batch_size_4", "--logdir", "whole").stdout
    assert "  train_images    500\n" in shown
    assert "train_steps" not in shown
    plan = fmgrid("plan", grid, "--logdir", "whole").stdout
    assert plan.splitlines()[0].split() == ["experiment", "batch_size", "state"]
    assert "None" not in shown + plan


def test_steps_on_the_command_line_take_the_place_of_images_in_the_file() -> None:
    grid = write(IN_IMAGES)
    told = json.loads(fmgrid("plan", grid, "--set", "train_steps=3", "--json").stdout)
    settings = [run["settings"] for run in told["runs"]]
    assert [(s["train_steps"], s["train_images"]) for s in settings] == [(3, None)] * 3


# Finished work, changed wishes


def test_a_changed_experiment_is_refused_until_the_old_run_is_set_aside() -> None:
    assert fmgrid("run", write(QUICK)).returncode == 0
    write(QUICK.replace("train_steps = 3", "train_steps = 4"))
    refused = fmgrid("run", "grid.toml")
    assert refused.returncode == 2
    assert refused.stderr.startswith(
        "grid.toml:1: grid: modellogs/grid is finished with other settings "
        "(train_steps 3 -> 4); choose another name or --logdir, or set it aside with --replace\n"
    )
    replaced = fmgrid("run", "grid.toml", "--replace")
    assert replaced.returncode == 0
    assert read_results(Path("modellogs/grid/grid_results.toml")).experiment.train_steps == 4
    kept = Path("modellogs/.replaced/grid.1/grid_results.toml")
    assert read_results(kept).experiment.train_steps == 3
    assert len(fmgrid("summarize", "modellogs", "-o", "-").stdout.splitlines()) == 2


def test_nothing_is_set_aside_for_runs_that_cannot_begin() -> None:
    store = Store(Path("modellogs"))
    store.begin("mlp")
    store.save(make_run())
    grid = write(f"{QUICK}optimizer_args = {{ betas = [2.0, 3.0] }}\n", "mlp.toml")
    refused = fmgrid("run", grid, "--replace")
    assert refused.returncode == 2
    assert "nothing was done" in refused.stderr
    assert store.read("mlp") == make_run()
    assert not Path("modellogs/.replaced").exists()


def test_adding_seeds_keeps_what_is_finished() -> None:
    grid = write(QUICK)
    assert fmgrid("run", grid).returncode == 0
    before = Path("modellogs/grid/grid_results.toml").read_bytes()
    assert "3 runs, 2 to train, " in fmgrid("run", grid, "--seeds", "0,1,2").stderr
    assert Path("modellogs/grid/grid_results.toml").read_bytes() == before
    found = {path.name for path in Path("modellogs").glob("[!.]*")}
    assert found == {"grid", "grid_s1", "grid_s2"}
    runs = bits(Path("modellogs"))
    assert runs["grid"] != runs["grid_s1"] != runs["grid_s2"]


def test_a_damaged_result_is_set_aside_and_run_again() -> None:
    grid = write(QUICK)
    assert fmgrid("run", grid).returncode == 0
    path = Path("modellogs/grid/grid_results.toml")
    whole = bits(Path("modellogs"))
    path.write_bytes(path.read_bytes().replace(b"accuracy = 0.", b"accuracy = 1."))
    assert "digest does not match" in fmgrid("summarize", "modellogs").stderr
    again = fmgrid("run", grid)
    assert again.returncode == 0
    assert "warning: grid was damaged and is now modellogs/.replaced/grid.1" in again.stderr
    assert bits(Path("modellogs")) == whole


# Failures


FAILING = (
    QUICK
    + """
[[point]]
name = "bad"
optimizer = "SGD"
learning_rate = 1e30
[[point]]
name = "good"
"""
)


def test_a_failed_run_costs_itself_alone_and_is_retried_on_demand() -> None:
    grid = write(FAILING)
    done = fmgrid("run", grid)
    assert done.returncode == 1
    assert "bad: failed: NonFiniteLossError: the training loss is " in done.stderr
    assert "1 of 2 runs complete" in done.stderr
    again = fmgrid("run", grid)
    assert again.returncode == 1
    assert again.stderr.startswith("nothing to do\n")
    good = Path("modellogs/good/good_results.toml").stat().st_mtime_ns
    retried = fmgrid("run", grid, "--retry-failed")
    assert retried.returncode == 1
    assert retried.stderr.startswith("2 runs, 1 to train, about ")
    assert Path("modellogs/good/good_results.toml").stat().st_mtime_ns == good
    row = fmgrid("summarize", "modellogs", "-o", "-").stdout.splitlines()[1]
    assert ",failed,0,bad,bad," in row
    assert "NonFiniteLossError" in fmgrid("show", "bad").stdout


def test_what_is_missing_beside_what_failed_needs_another_command() -> None:
    done = fmgrid("run", write(QUICK), "--retry-failed")
    assert done.returncode == 1
    rest = "1 not run; the command without --retry-failed does the rest"
    assert done.stderr.splitlines()[-1] == rest


def test_fail_fast_stops_at_the_first_failure() -> None:
    grid = write(FAILING + 'epochs = 2000\ntrain_steps = "full"\n')
    done = fmgrid("run", grid, "--fail-fast")
    assert done.returncode == 1
    assert "1 not run; the same command does the rest" in done.stderr
    assert not Path("modellogs/good/good_results.toml").exists()


# Interruptions


def test_ctrl_c_says_how_to_go_on_and_the_same_command_ends_complete(finished: Path) -> None:
    grid = write(TINY.read_text() + '\n[[point]]\nname = "long"\nepochs = 20000\n')
    process = start("run", grid, "-j", "2")
    wait_for(Path("modellogs/tiny_Adam_16/tiny_Adam_16_results.toml"), process)
    os.killpg(process.pid, signal.SIGINT)
    _, told = process.communicate(timeout=100)
    assert process.returncode == 130
    assert re.search(r"interrupted; \d of 7 runs done, the same command does the rest", told)
    assert "Traceback" not in told
    assert fmgrid("run", TINY).returncode == 0
    assert bits(Path("modellogs")) == bits(finished)


def test_a_killed_grid_ends_complete_with_the_same_command(finished: Path) -> None:
    process = start("run", TINY, "-j", "1")
    wait_for(next_results(Path("modellogs"), process), process)
    process.kill()
    process.communicate()
    assert fmgrid("run", TINY, "-j", "2").returncode == 0
    assert bits(Path("modellogs")) == bits(finished)


def test_two_commands_at_once_never_write_into_one_folder() -> None:
    first = start("run", write(SLOW))
    wait_for(Path("modellogs/grid/run.log"), first)
    second = fmgrid("run", "grid.toml")
    assert second.returncode == 3
    assert "another fmgrid run is writing here" in second.stderr
    assert fmgrid("status").stdout == "running          1  grid\n"
    first.kill()
    first.communicate()
    assert fmgrid("status").stdout == "interrupted      1  grid\n"


# Where it is read


def test_json_gives_one_object_a_run_on_stdout() -> None:
    done = fmgrid("run", write(QUICK), "--json", "--seeds", "0,1", "-q")
    runs = [json.loads(line) for line in done.stdout.splitlines()]
    assert sorted(run["experiment"]["seed"] for run in runs) == [0, 1]
    assert done.stderr == ""


def test_a_quiet_command_whose_runs_are_complete_prints_nothing(tmp_path: Path) -> None:
    empty = str(tmp_path / "cache")  # the data are prepared, too
    done = fmgrid("run", write(QUICK), "-j", "0", "-q", FMGRID_CACHE=empty)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def in_terminal(words: Sequence[str], columns: int, **environment: str) -> tuple[int, str]:
    """Run fmgrid on a terminal so wide; return its exit code and what the terminal got."""
    child, terminal = start_in_terminal(*words, COLUMNS=str(columns), **environment)
    got = b"".join(_read_all(terminal))
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), got.decode()


def _read_all(terminal: int) -> Iterator[bytes]:
    while select.select([terminal], [], [], 100)[0]:
        try:
            part = os.read(terminal, 65536)
        except OSError:  # how Linux says that nobody is at the other end
            return
        if not part:
            return
        yield part


@pytest.mark.filterwarnings("ignore:.*forkpty.*:DeprecationWarning")  # it execs at once
@pytest.mark.parametrize("columns", [40, 100])
def test_a_terminal_shows_the_progress_within_its_width(columns: int) -> None:
    code, got = in_terminal(["run", str(TINY)], columns)
    assert code == 0
    plain = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", got)
    assert "running: " in plain
    assert "/6" in plain
    bars = [line for line in re.split(r"[\r\n]+", plain) if "running: " in line or "━" in line]
    assert bars
    assert max(map(len, bars)) <= columns


@pytest.mark.filterwarnings("ignore:.*forkpty.*:DeprecationWarning")  # it execs at once
def test_no_color_is_respected(finished: Path) -> None:
    shutil.copytree(finished, "logs")
    Path("logs/tiny_SGD_16/tiny_SGD_16_results.toml").write_text("damaged")
    _, coloured = in_terminal(["summarize", "logs"], 100)
    _, plain = in_terminal(["summarize", "logs"], 100, NO_COLOR="1")
    assert "\x1b[33m" in coloured
    assert not re.search(r"\x1b\[3\d", plain)


def test_a_reader_that_leaves_early_is_no_error(finished: Path) -> None:
    script = f"set -o pipefail; fmgrid summarize {finished} -o - | head -c 10"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("closed", ["1>&-", "2>&-", "1>&- 2>&-", "0<&- 1>&- 2>&-"])
def test_a_closed_stream_keeps_nothing_from_running(closed: str) -> None:
    # Once in four the number of a closed stream was that of a worker's line.
    times = "1 2 3" if closed == "1>&- 2>&-" else "1"
    run = f"fmgrid run {write(QUICK)} --logdir modellogs$n {closed}"
    script = f"for n in {times}; do {run} || exit $?; done"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert "Traceback" not in done.stderr
    for number in times.split():
        assert bits(Path(f"modellogs{number}")).keys() == {"grid"}


@pytest.mark.parametrize("command", ["plan", "summarize"])
def test_a_full_disk_behind_stdout_is_a_matter_of_the_machine(command: str, finished: Path) -> None:
    words = f"plan {TINY}" if command == "plan" else f"summarize {finished} -o -"
    script = f"fmgrid {words} > /dev/full"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 3
    reason = "the output cannot be written: [Errno 28] No space left on device"
    assert done.stderr.splitlines()[-1] == f"fmgrid: {reason}"


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_full_disk_behind_stderr_changes_no_exit_code(unbuffered: str, finished: Path) -> None:
    script = f"fmgrid summarize {finished} 2> /dev/full"
    environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    assert subprocess.run(["bash", "-c", script], check=False, env=environment).returncode == 0


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_table_that_is_cut_off_is_never_said_to_be_whole(unbuffered: str, finished: Path) -> None:
    limit = "trap '' XFSZ; ulimit -f 1"  # a file of a kilobyte at most, as on a disk that fills up
    script = f"{limit}; fmgrid summarize {finished} -o - > table.csv"
    environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    assert subprocess.run(["bash", "-c", script], check=False, env=environment).returncode == 3
    assert Path("table.csv").stat().st_size == 1024


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_pipe_that_its_reader_made_non_blocking_gets_everything(unbuffered: str) -> None:
    reading, writing = os.pipe()
    size = fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    os.set_blocking(writing, False)
    process = subprocess.Popen(
        ["fmgrid", "plan", TINY, "--json", "--seeds", ",".join(map(str, range(200)))],
        stdout=writing,
        env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
    )
    os.close(writing)
    while process.poll() is None and waiting_bytes(reading) < size:
        time.sleep(0.01)
    with os.fdopen(reading, encoding="utf-8") as stream:
        told = json.loads(stream.read())
    assert process.wait() == 0
    assert len(told["runs"]) == 200 * len(NAMES)


def waiting_bytes(pipe: int) -> int:
    answer = fcntl.ioctl(pipe, termios.FIONREAD, bytes(4))
    return int.from_bytes(answer, sys.byteorder)


def test_help_that_nothing_takes_is_a_matter_of_the_machine() -> None:
    script = "fmgrid run --help > /dev/full"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert done.stderr.startswith("fmgrid: the output cannot be written: ")


def test_the_module_is_the_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "fmgrid", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout == fmgrid("--version").stdout
    assert re.fullmatch(r"fmgrid \d+\.\d+\.\d+\n", done.stdout)


def test_shells_are_offered_completion() -> None:
    done = fmgrid("--show-completion", "bash", _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="1")
    assert done.returncode == 0
    assert "_FMGRID_COMPLETE" in done.stdout


@pytest.mark.parametrize(
    "words",
    [
        ["--help"],
        ["plan", str(TINY)],
        ["status", "."],
        ["list", "."],
        ["summarize", ".", "-o", "-"],
    ],
    ids=" ".join,
)
def test_commands_that_do_not_train_start_without_the_heavy_libraries(words: list[str]) -> None:
    code = (
        "import sys; from fmgrid.cli import main\n"
        "try: main()\n"
        "finally:\n"
        " heavy = {'torch', 'mltrainer', 'matplotlib', 'torchvision', 'mlflow'}\n"
        " print(sorted(heavy & set(sys.modules)), file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *words], capture_output=True, text=True, check=True
    )
    assert done.stderr.splitlines()[-1] == "[]"
