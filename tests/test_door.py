"""The functions of `import fmgrid`, as notebooks and scripts call them."""

import doctest
import io
import json
import math
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fmgrid
from command import ROOT, STARTED, wait_for, write
from fmgrid.analysis.tables import load_runs
from fmgrid.cli.output import console
from fmgrid.experiment import Experiment, Failure, Run
from fmgrid.hypotheses.registry import GridRecord, write_records
from fmgrid.results.results_file import read_results
from fmgrid.results.store import Store
from fmgrid.results.summary import COLUMNS, HISTORY_COLUMNS, read_runs, to_csv, to_rows
from made_up_runs import make_run

pytestmark = pytest.mark.usefixtures("elsewhere")

GRID = """# Do wide layers help?
name = "w{hidden_units[0]}"

[base]
dataset = "fashion-mnist-sample"
epochs = 2
train_steps = 3
optimizer = "SGD"
optimizer_args = { momentum = 0.9 }

[grid]
hidden_units = [[16], [64]]
"""
SCRIPT = """
import fmgrid
runs = fmgrid.run("grid.toml", seeds=[0, 1], jobs=2)
print(" ".join(runs["run"]), " ".join(set(runs["status"])))
"""
USER = """
from pathlib import Path

import fmgrid

runs = fmgrid.run("grid.toml", seeds=range(2), timeout=60.0, memory="2GB", quiet=True)
accuracy: float = runs["accuracy"].mean()
experiments: list[fmgrid.Experiment] = fmgrid.expand([Path("grid.toml")], only=["w*"])
names = [experiment.run_name.upper() for experiment in experiments]
comparison = fmgrid.compare("w16", "w64", logdir=Path("modellogs"))
difference = comparison.metrics["accuracy"].difference
p: float | None = difference.p if difference else None
page: Path = fmgrid.report(Path("modellogs"), "report").page


def outcome(run: fmgrid.Run) -> str:
    return run.failure.message if run.failure else run.status


losses = [epoch.valid_loss for epoch in fmgrid.show("w16").history]


try:
    fmgrid.history("nowhere")
except fmgrid.InputError as error:
    lines = [problem.place.line for problem in error.problems]
except fmgrid.FmgridError as error:
    code: int = error.exit_code
"""


def python(*words: str, text: str | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *words], input=text, capture_output=True, text=True, check=False
    )


def save(root: Path, *runs: Run) -> None:
    store = Store(root)
    for run in runs:
        store.begin(run.experiment.run_name)
        store.save(run)


# The module


def test_the_import_alone_imports_nothing_else() -> None:
    code = "import sys; before = {*sys.modules}; import fmgrid; print({*sys.modules} - before)"
    assert python("-c", code).stdout == "{'fmgrid'}\n"


def test_every_name_is_listed_and_explained() -> None:
    assert dir(fmgrid) == sorted(fmgrid.__all__)
    for name in fmgrid.__all__:
        assert getattr(fmgrid, name).__doc__, name
    with pytest.raises(AttributeError, match="module 'fmgrid' has no attribute 'nothing'"):
        fmgrid.nothing  # noqa: B018


def test_the_examples_give_what_they_show() -> None:
    write(GRID)
    results = doctest.testmod(fmgrid, extraglobs={"fmgrid": fmgrid})
    assert results.failed == 0
    assert results.attempted > 10


def test_mypy_passes_a_users_script_and_finds_the_mistakes_of_another_one() -> None:
    write(USER, "user.py")
    write("import fmgrid\nfmgrid.run('grid.toml', jobs='2')\nfmgrid.nothing\n", "wrong.py")
    done = python(
        "-m", "mypy", "--strict", "--cache-dir", str(ROOT / ".mypy_cache"), "user.py", "wrong.py"
    )
    assert re.findall(r"^(\w+\.py):(\d+): error: .*\[([\w-]+)\]$", done.stdout, re.MULTILINE) == [
        ("wrong.py", "2", "arg-type"),
        ("wrong.py", "3", "attr-defined"),
    ]


# run


def test_a_script_needs_no_guard() -> None:
    write(GRID)
    write(SCRIPT, "script.py")
    done = python("script.py")
    assert done.stdout == "w16 w16_s1 w64 w64_s1 complete\n"
    assert done.stderr.splitlines()[0].startswith("4 runs, 4 to train, about ")
    assert "\n4 of 4 runs complete in modellogs\n" in done.stderr


def test_a_script_from_stdin_goes_on_where_another_one_ended() -> None:
    write(GRID)
    save(Path("modellogs"), make_run(fmgrid.expand("grid.toml")[0]))
    done = python("-", text=SCRIPT.replace("jobs=2", "jobs=2, quiet=True"))
    assert (done.stdout, done.stderr) == ("w16 w16_s1 w64 w64_s1 complete\n", "")
    assert read_results(next(Path("modellogs").glob("w16/*.toml"))).seconds == make_run().seconds


@pytest.mark.parametrize("jobs", [0, 1])
def test_the_process_is_afterwards_as_it_was(jobs: int, monkeypatch: pytest.MonkeyPatch) -> None:
    from multiprocessing import forkserver

    import torch

    write(GRID)
    monkeypatch.setenv("MPLBACKEND", "module://matplotlib_inline.backend_inline")
    monkeypatch.setattr(sys, "argv", ["ipykernel_launcher.py", "-f", "kernel.json"])

    def state() -> tuple[Any, ...]:
        server = forkserver._forkserver
        numbers = torch.get_num_threads(), torch.random.get_rng_state().sum()
        return dict(os.environ), numbers, server, vars(server)["_forkserver_pid"], sys.path[:]

    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    before = state()
    try:
        runs = fmgrid.run("grid.toml", jobs=jobs, quiet=True)
        assert state() == before
    finally:
        torch.set_num_threads(threads)
    assert list(runs["status"]) == ["complete"] * 2
    assert sys.modules["__main__"].__name__ == "__main__"


def test_the_command_that_does_the_same_is_noted() -> None:
    write(GRID)
    options = {"seeds": range(2), "only": "w1*", "overrides": {"epochs": 1, "optimizer": "RMSprop"}}
    fmgrid.run("grid.toml", logdir=Path("logs"), jobs=1, timeout=60, quiet=True, **options)
    (record,) = Path("logs", ".grids").glob("*.toml")
    (line,) = re.findall(r'^commands = \["(.*)"\]$', record.read_text(), re.MULTILINE)
    words = line.replace('\\"', '"').replace("\\\\", "\\")
    done = subprocess.run(words, shell=True, capture_output=True, text=True, check=True)  # noqa: S602
    assert done.stderr == ""
    assert "--seeds 0,1 --logdir logs" in words


def test_the_runs_of_the_grid_come_in_its_order_and_those_that_failed_with_their_reason() -> None:
    write(GRID.replace("hidden_units =", "learning_rate = [1e-3, 1e30]\nhidden_units ="))
    save(Path("modellogs"), make_run(Experiment(name="another")))
    grid = Path("grid.toml")
    grid.write_text(grid.read_text().replace("]}", "]}_{learning_rate}"))
    runs = fmgrid.run([grid], jobs=1, quiet=True)
    assert list(runs["run"]) == ["w16_0.001", "w64_0.001", "w16_1e+30", "w64_1e+30"]
    assert list(runs["status"]) == ["complete", "complete", "failed", "failed"]
    assert runs["error"].iloc[2].startswith("NonFiniteLossError")
    again = fmgrid.run([grid], jobs=1, quiet=True)
    pd.testing.assert_frame_equal(runs, again)
    loaded = fmgrid.load().set_index("run").loc[runs["run"]].reset_index()
    pd.testing.assert_frame_equal(runs, loaded[runs.columns])


def test_no_more_than_so_many_failures_are_waited_for() -> None:
    write(GRID.replace("[grid]", "[grid]\nlearning_rate = [1e30]"))
    runs = fmgrid.run("grid.toml", jobs=1, max_failures=1, quiet=True)
    assert list(runs["status"]) == ["failed"]


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"jobs": -1}, "jobs=-1: must be a whole number from 0"),
        ({"max_runs": 0}, "max_runs=0: must be a whole number from 1"),
        ({"max_runs": 1}, "grid.toml: spells out 2 of 2 runs, and the limit is 1"),
        ({"seeds": [0, -1]}, "--seeds 0,-1: is not a list of whole numbers"),
        ({"seeds": []}, "--seeds : is not a list of whole numbers"),
        ({"only": "x*"}, "--only x*: matches no run; there are w16, w64"),
        ({"timeout": "soon"}, "--timeout soon: is not understood"),
        ({"timeout": 5, "jobs": 0}, "--timeout 5: cannot be kept with -j 0"),
        ({"memory": 0}, "--memory 0: is not understood"),
        ({"overrides": {"epoch": 1}}, "no such setting; did you mean epochs?"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_mistake_is_raised_with_its_problems(arguments: dict[str, Any], problem: str) -> None:
    write(GRID)
    with pytest.raises(fmgrid.InputError) as raised:
        fmgrid.run("grid.toml", **arguments)
    assert problem in str(raised.value)
    assert raised.value.problems
    assert not Path("modellogs").exists()


def test_all_mistakes_of_a_file_are_raised_at_once() -> None:
    write(GRID + "epochs = [0, 1]\nbatchsize = 3\n")
    for function in (fmgrid.run, fmgrid.expand):
        with pytest.raises(fmgrid.InputError) as raised:
            function("grid.toml")
        assert [problem.place.line for problem in raised.value.problems] == [13, 14]


def test_a_folder_that_another_one_writes_to_is_refused() -> None:
    write(GRID)
    with Store(Path("modellogs")).locked():
        assert "StoreError: modellogs: another fmgrid run is writing" in python("-c", SCRIPT).stderr


def test_an_interrupt_ends_the_workers_and_keeps_the_finished_runs() -> None:
    slow = '[[point]]\nname = "slow"\nepochs = 200000\nhidden_units = [8]\n'
    write(GRID + slow)
    write(SCRIPT.replace("seeds=[0, 1], ", ""), "script.py")
    process = subprocess.Popen(
        [sys.executable, "script.py"], stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    STARTED.append(process)
    for name in ("w16", "w64"):
        wait_for(Path("modellogs", name, f"{name}_results.toml"), process)
    others = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGINT)
    error = process.communicate(timeout=60)[1]
    assert process.returncode == -signal.SIGINT
    last = "KeyboardInterrupt: interrupted; 2 of 3 runs done, the same command does the rest"
    assert error.splitlines()[-1] == last
    assert others
    assert psutil.wait_procs(others, timeout=60)[1] == []


def test_a_notebook_gets_lines_and_no_pictures_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rich.console._is_jupyter", lambda: True)
    assert not console(stderr=True).is_jupyter


# load and history


def test_the_columns_have_types_whatever_is_missing() -> None:
    failure = Failure(message="out of luck")
    deep = Experiment(name="deep", optimizer_args={"momentum": 0.9, "nesterov": True})
    linear = Experiment(name="linear", hidden_units=(), optimizer_args={"maximize": False})
    save(Path("logs"), make_run(deep), make_run(linear, status="failed", failure=failure))
    save(Path("empty"), make_run(linear, status="failed", failure=failure, history=()))
    Path("nothing").mkdir()
    for folder in ("logs", "empty", "nothing"):
        runs = fmgrid.load(folder)
        types = {name: str(dtype) for name, dtype in runs.dtypes.items()}
        for name in ("epochs", "units1", "units2", "train_images", "best_epoch", "seed", "weights"):
            assert types[name] == "Int64"
        for name in ("accuracy", "test_loss", "learning_rate", "seconds"):
            assert types[name] == "float64"
        for name in ("status", "name", "error", "trained_as", "group", "optimizer", "fingerprint"):
            assert types[name] == "string"
        assert types["started"] == "datetime64[ns, UTC]"
    runs = fmgrid.load("logs").set_index("run")
    assert tuple(fmgrid.load("logs").columns[: len(COLUMNS)]) == COLUMNS
    assert runs.loc["deep", "optimizer_args.momentum"] == 0.9
    assert math.isnan(runs.loc["linear", "optimizer_args.momentum"])
    assert runs["optimizer_args.nesterov"].dtype == "boolean"
    assert runs["units2"].tolist() == [256, pd.NA]
    assert runs.loc["linear", "error"] == "out of luck"
    assert runs.loc["deep", "fingerprint"] == deep.fingerprint
    assert runs.loc["deep", "started"] == pd.Timestamp(make_run().started)


def test_a_setting_with_numbers_and_words_keeps_both() -> None:
    save(Path("logs"), make_run(Experiment(name="a", train_steps="full")))
    assert fmgrid.load("logs")["train_steps"].dtype == "string"
    save(Path("logs"), make_run(Experiment(name="b", train_steps=9)))
    assert fmgrid.load("logs")["train_steps"].tolist() == ["full", 9]


ARGUMENTS = st.dictionaries(
    st.text(st.sampled_from("ab_"), min_size=1, max_size=2),
    st.one_of(
        st.booleans(),
        st.integers(-(2**70), 2**70),
        st.floats(allow_nan=False),
        st.text(st.sampled_from("=a \n\u00e9"), max_size=3),
        st.lists(st.floats(0, 1), max_size=2),
    ),
    max_size=3,
)


@settings(max_examples=30)
@given(st.lists(ARGUMENTS, min_size=1, max_size=4))
def test_the_table_holds_what_the_csv_holds(
    tmp_path_factory: pytest.TempPathFactory, arguments: list[dict[str, Any]]
) -> None:
    root = tmp_path_factory.mktemp("logs")
    for number, values in enumerate(arguments):
        save(root, make_run(Experiment(name=f"{number}", optimizer_args=values)))
    runs = load_runs(root, pytest.fail)
    text = to_csv(to_rows(read_runs(root).runs))
    written = pd.read_csv(io.StringIO(text), dtype=str, keep_default_na=False)
    assert [name for name in runs if name not in ("started", "folder")] == list(written.columns)
    for number, values in enumerate(arguments):
        for name, value in values.items():
            cell = runs[f"optimizer_args.{name}"][number]
            assert str(cell) == str(value) or cell == value
        absent = {name for each in arguments for name in each} - {*values}
        assert all(pd.isna(runs[f"optimizer_args.{name}"][number]) for name in absent)


def test_a_run_has_the_grids_that_name_its_experiment() -> None:
    save(Path("logs", "a"), *(make_run(Experiment(name=name)) for name in ("mlp", "both")))
    save(Path("logs", "b"), make_run(Experiment(name="alone")))
    write_records(
        Path("logs", "a"),
        [
            GridRecord(path="one.toml", names=("mlp", "both")),
            GridRecord(path="two.toml", names=("both",)),
        ],
    )
    runs = fmgrid.load("logs").set_index("run")
    assert runs["group"].to_dict() == {"alone": None, "both": "one, two", "mlp": "one"}
    assert runs["folder"].to_dict() == {"alone": "b/alone", "both": "a/both", "mlp": "a/mlp"}
    done = subprocess.run(
        ["fmgrid", "summarize", "logs", "-o", "-", "--by-experiment", "means.csv"],
        capture_output=True,
        text=True,
        check=True,
    )
    written = pd.read_csv(io.StringIO(done.stdout), index_col="run")
    assert written["group"].fillna("").to_dict() == {"alone": "", "both": "one, two", "mlp": "one"}
    means = pd.read_csv("means.csv", index_col="name")
    assert means["group"].fillna("").to_dict() == {"alone": "", "both": "one, two", "mlp": "one"}


def test_what_cannot_be_read_is_a_warning_at_the_callers_line() -> None:
    save(Path("logs"), make_run())
    path = Path("logs", "mlp", "mlp_results.toml")
    path.write_text(path.read_text() + "# edited")
    for function in (fmgrid.load, fmgrid.history):
        with pytest.warns(UserWarning, match="mlp_results.toml: was changed or damaged") as caught:
            assert len(function("logs")) == 0
        assert [warning.filename for warning in caught] == [__file__]


def test_an_epoch_has_the_settings_of_its_run() -> None:
    momentum = Experiment(name="mlp", epochs=2, optimizer_args={"momentum": 0.9}, learning_rate=0.5)
    save(Path("logs"), make_run(momentum), make_run(Experiment(name="other", epochs=1, seed=3)))
    epochs = fmgrid.history("logs")
    assert tuple(epochs.columns[: len(HISTORY_COLUMNS)]) == HISTORY_COLUMNS
    assert epochs[["run", "epoch", "epochs"]].to_numpy().tolist() == [
        *(["mlp", 1, 2], ["mlp", 2, 2], ["other_s3", 1, 1])
    ]
    assert epochs["learning_rate"].tolist() == [0.001] * 3  # as it was measured
    assert epochs["initial_learning_rate"].tolist() == [0.5, 0.5, 0.001]
    assert epochs["optimizer_args.momentum"].fillna(0).tolist() == [0.9, 0.9, 0]
    joined = epochs.merge(fmgrid.load("logs"), on="run", suffixes=("", "_of_run"))
    assert (joined["units1"] == joined["units1_of_run"]).all()
    Path("nothing").mkdir()
    assert fmgrid.history("nothing").columns[:10].tolist() == list(HISTORY_COLUMNS)


def test_a_folder_that_is_not_there_is_a_mistake() -> None:
    for function in (fmgrid.load, fmgrid.history, fmgrid.report):
        with pytest.raises(fmgrid.InputError, match="nowhere: no such folder"):
            function("nowhere")


# show, compare and report


def test_a_run_that_failed_is_shown_with_its_reason() -> None:
    failed = make_run(Experiment(name="a"), status="failed", failure=Failure(message="out of luck"))
    save(Path("logs"), failed)
    assert fmgrid.show("a", logdir="logs") == failed
    with pytest.raises(fmgrid.InputError, match="no such run in logs; there is a"):
        fmgrid.show("zzz", logdir="logs")


def test_a_comparison_shows_its_figures_and_gives_them_as_values() -> None:
    for name, epochs in (("few", 1), ("more", 2)):
        for seed in (0, 1):
            save(Path("logs"), make_run(Experiment(name=name, epochs=epochs, seed=seed)))
    comparison = fmgrid.compare("few", "more", logdir="logs")
    shown = repr(comparison).splitlines()
    assert shown[:2] == ["few and more, 2 common seeds", "epochs: 1 and 2"]
    assert re.search(r"^accuracy +0\.51\d* +0\.52", repr(comparison), re.MULTILINE)
    table = comparison.to_frame()
    assert table.loc["accuracy", "difference"] == pytest.approx(0.01)
    assert table.index.tolist() == list(comparison.to_json()["metrics"])
    with pytest.raises(fmgrid.InputError, match=r"did you mean more\?"):
        fmgrid.compare("few", "mroe", logdir="logs")


def test_a_report_gives_its_files_and_the_values_of_its_json() -> None:
    for name, epochs in (("few", 1), ("more", 2)):
        for seed in (0, 1):
            save(Path("logs"), make_run(Experiment(name=name, epochs=epochs, seed=seed)))
    report = fmgrid.report("logs", "report")
    assert all(path.is_file() for path in report.files)
    assert report.page == Path("report", "report.html")
    assert repr(report) == f"<Report {report.page}>"
    command = ["fmgrid", "report", "logs", "--json", "-o", "again"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    values = json.loads(json.dumps(report.to_json(), default=str))
    assert json.loads(done.stdout) | {"files": []} == values | {"files": []}
    assert "fmgrid report logs --output report" in report.page.read_text()
