"""`fmgrid report` and `compare` as a user calls them: what they write, say and refuse."""

import errno
import json
import os
import re
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from check_report import objections
from command import fmgrid, write
from fmgrid.analysis.loading import load_study
from fmgrid.analysis.study import Study
from fmgrid.errors import FmgridError, InputError, StoreError
from fmgrid.experiment import Experiment, Failure
from fmgrid.hypotheses.registry import GridRecord
from fmgrid.pages.document import Section, Table
from fmgrid.reporting import weigh
from fmgrid.reporting.results import design_section, results_sections
from fmgrid.reporting.writing import check_output_folder, write_files, write_report
from fmgrid.results.store import Store
from made_up_runs import make_run
from made_up_studies import rows, study_of

GRID = """# Does a wider layer, or more time, help on a few images?
name = "small_{hidden_units}_{epochs}"
seeds = [0, 1, 2]

[base]
dataset = "fashion-mnist-sample"
train_steps = 10

[grid]
hidden_units = [[4], [32]]
epochs = [1, 3]

[[hypothesis]]
claim = "More time helps <b>both</b> | *surely*"
expect = "small_32_3 > small_32_1"

[[hypothesis]]
claim = "Everything is right"
expect = "each of small_* > 0.9"
"""
ONE = GRID.replace("[0, 1, 2]", "[0]")


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the runs of GRID: a factorial of two axes at three seeds."""
    folder = tmp_path_factory.mktemp("runs")
    (folder / "small.toml").write_text(GRID)
    done = fmgrid("run", folder / "small.toml", "--logdir", folder / "logs")
    assert done.returncode == 0, done.stderr
    return folder / "logs"


@pytest.fixture(scope="module")
def report(logs: Path) -> Path:
    done = fmgrid("report", logs, "-o", logs.parent / "report")
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [
        str(logs.parent / "report" / n) for n in ("report.md", "report.html")
    ]
    return logs.parent / "report"


def test_a_report_is_whole(report: Path) -> None:
    assert list(objections(report)) == []


def test_what_is_missing_from_a_report_is_noticed(report: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    text = (report / "report.html").read_text()
    (copy / "report.html").write_text(text.replace('href="#summary"', 'href="#nowhere"'))
    (copy / "report.md").write_text((report / "report.md").read_text().replace("## Design", "## X"))
    found = list(objections(copy))
    assert "the link to #nowhere leads nowhere" in found
    assert "report.md has no section Design" in found
    assert any("nowhere else" in one for one in found)


def test_hypotheses_that_stood_in_the_grid_are_judged(report: Path) -> None:
    text = (report / "report.md").read_text()
    assert r"More time helps \<b\>both" in text
    assert "**REJECTED**" in text  # nothing is nine in ten right after 30 steps
    assert re.search(r"\*\* \| More time helps", text)
    assert "stated after the first run" not in text


def test_a_claim_cannot_become_a_part_of_the_page(report: Path) -> None:
    assert "<b>both</b>" not in (report / "report.html").read_text()


def test_the_same_runs_make_the_same_bytes(logs: Path, report: Path, tmp_path: Path) -> None:
    again = tmp_path / "again"
    assert fmgrid("report", logs, "-o", again).returncode == 0
    for path in (one for one in report.rglob("*") if one.is_file()):
        ours, theirs = path.read_bytes(), (again / path.relative_to(report)).read_bytes()
        if path.suffix != ".png":  # the command that made it stands in it
            ours = ours.replace(str(report).encode(), b"HERE")
            theirs = theirs.replace(str(again).encode(), b"HERE")
        assert ours == theirs, path


def test_the_figures_are_those_of_the_tables(logs: Path, report: Path, tmp_path: Path) -> None:
    table, means = tmp_path / "runs.csv", tmp_path / "means.csv"
    assert fmgrid("summarize", logs, "-o", table, "--by-experiment", means).returncode == 0
    runs, by_experiment = pd.read_csv(table), pd.read_csv(means).set_index("name")
    grouped = runs.groupby("name")["accuracy"]
    assert list(by_experiment["n"]) == [3] * 4
    for name, accuracies in grouped:
        row = by_experiment.loc[name]
        assert row["accuracy_mean"] == pytest.approx(accuracies.mean())
        assert row["accuracy_sd"] == pytest.approx(accuracies.std())
        assert row["accuracy_low"] <= row["accuracy_mean"] <= row["accuracy_high"]
        shown = rf"\| `{name}` .*\| *{row['accuracy_mean']:.2%} \["
        assert re.search(shown, (report / "report.md").read_text()), name


def tables_of(*sections: Section) -> list[Table]:
    return [block for section in sections for block in section.blocks if isinstance(block, Table)]


def test_what_came_of_an_experiment_stands_before_its_settings() -> None:
    runs = [
        *rows("a", [0.80, 0.81], optimizer="SGD", batch_size=8),
        *rows("b", [0.70, 0.72], optimizer="Adam", epochs=9),
    ]
    table, *_ = tables_of(*results_sections(weigh(study_of(runs)), {}, []))
    assert [(one.title, one.align) for one in table.columns] == [
        ("experiment", "left"),
        ("accuracy", "right"),
        ("difference (points)", "right"),
        ("p", "right"),
        ("epochs", "right"),
        ("batch_size", "right"),
        ("optimizer", "left"),
        ("valid loss", "right"),
        ("seconds", "right"),
    ]
    assert table.rows[0][4:7] == ("5", "8", "SGD")


def test_tables_have_no_columns_that_say_nothing() -> None:
    evidence = weigh(study_of([*rows("a", [0.8]), *rows("b", [0.7], epochs=9)]))
    (design,) = tables_of(design_section(evidence))
    (results,) = tables_of(*results_sections(evidence, {}, []))
    for table, missing in ((design, {"question"}), (results, {"p", "seeds", "images seen"})):
        assert not missing & {one.title for one in table.columns}
        assert all(len(row) == len(table.columns) for row in table.rows)


def test_the_design_names_every_setting_with_its_levels_of_many_the_first() -> None:
    runs = [
        run
        for size in range(1, 62)
        for optimizer in ("Adam", "SGD")
        for run in rows(f"b{size}_{optimizer}", [0.8], batch_size=size, optimizer=optimizer)
    ]
    names = tuple(dict.fromkeys(run["name"] for run in runs))
    study = study_of(runs, [GridRecord(path="sizes.toml", names=names)])
    ((_, varies, *_),) = tables_of(design_section(weigh(study)))[0].rows
    first = ", ".join(map(str, range(1, 13)))
    assert varies == f"`batch_size` {first} and 49 more; `optimizer` Adam, SGD"


def test_figures_for_a_script_are_json(logs: Path, tmp_path: Path) -> None:
    done = fmgrid("report", logs, "-o", tmp_path / "r", "--json")
    answer = json.loads(done.stdout, parse_constant=pytest.fail)
    assert {one["verdict"] for one in answer["verdicts"]} <= {
        "CONFIRMED",
        "REJECTED",
        "INCONCLUSIVE",
    }
    assert {one["setting"] for one in answer["effects"]} == {"units1", "epochs", "epochs x units1"}
    assert all(Path(path).is_file() for path in answer["files"])


def test_published_figures_are_set_beside(logs: Path, tmp_path: Path) -> None:
    reference = tmp_path / "published.csv"
    reference.write_text("name,accuracy\nsmall_4_1,0.99\nsmall_32_3,\nelsewhere,0.5\n")
    done = fmgrid("report", logs, "-o", tmp_path / "r", "--reference", reference)
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "r" / "report.md").read_text()
    assert "## Beside the published figures" in text
    assert "Outside the prediction interval: `small_4_1` (1 of 1;" in text
    assert "**99.00%**" in text
    assert "Not among our runs: `elsewhere`." in text


@pytest.mark.usefixtures("elsewhere")
def test_one_run_of_each_concludes_nothing() -> None:
    assert fmgrid("run", write(ONE)).returncode == 0
    done = fmgrid("report", "modellogs")
    assert done.returncode == 0, done.stderr
    assert list(objections(Path("report"))) == []
    text = Path("report/report.md").read_text()
    assert "**One run each**: another seed gives other figures" in text
    assert "CONFIRMED" not in text
    assert "REJECTED" not in text
    compared = fmgrid("compare", "small_4_1", "small_32_3")
    assert "one seed: nothing can be concluded" in compared.stderr


@pytest.mark.usefixtures("elsewhere")
def test_hypotheses_that_come_late_are_told_from_those_that_were_there() -> None:
    late = '[[hypothesis]]\nclaim = "Late"\nexpect = "small_4_1 < small_32_3"\n'
    assert fmgrid("run", write(ONE)).returncode == 0
    again = fmgrid("run", write(ONE + late))
    assert again.returncode == 0
    assert "nothing to do" in again.stderr
    assert fmgrid("report", "modellogs").returncode == 0
    text = Path("report/report.md").read_text()
    late = [line for line in text.splitlines() if "**stated after the first run**" in line]
    assert [line.split("|")[2].split(";")[0].strip() for line in late] == ["Late"]


def test_groups_may_come_from_grids_that_were_not_run(logs: Path, tmp_path: Path) -> None:
    grid = tmp_path / "other.toml"
    grid.write_text(GRID.replace("Everything is right", "Said afterwards"))
    done = fmgrid("report", logs, "-o", tmp_path / "r", "--grid", grid)
    assert done.returncode == 0, done.stderr
    assert "Said afterwards" in (tmp_path / "r" / "report.md").read_text()


@pytest.mark.usefixtures("elsewhere")
def test_a_folder_without_complete_runs_is_refused() -> None:
    Path("empty").mkdir()
    done = fmgrid("report", "empty")
    assert done.returncode == 2
    assert done.stderr == (
        "empty: has no runs; fmgrid run trains some\n1 mistake; nothing was done\n"
    )
    assert not Path("report").exists()


def saved(folder: Path, name: str, **outcome: Any) -> Store:
    store = Store(folder)
    store.begin(name)
    store.save(make_run(Experiment(name=name, epochs=1), **outcome))
    return store


def test_a_folder_of_failures_or_of_unfinished_runs_says_so(tmp_path: Path) -> None:
    store = saved(tmp_path, "lost", status="failed", failure=Failure(message="boom"), history=())
    with pytest.raises(FmgridError, match=r"has no complete run: 1 failed; .*status") as raised:
        load_study(tmp_path)
    assert raised.value.exit_code == 1
    store.results_file("lost").unlink()
    with pytest.raises(InputError, match="no complete run yet: 1 unfinished; the same fmgrid run"):
        load_study(tmp_path)
    saved(tmp_path, "spoilt").results_file("spoilt").write_text("spoilt")
    with pytest.raises(InputError, match="no complete run yet: 1 unfinished, 1 damaged; the same"):
        load_study(tmp_path)


def test_runs_that_were_set_aside_could_tell_what_to_expect(tmp_path: Path) -> None:
    early, late = (datetime(2026, 1, day, tzinfo=UTC) for day in (1, 5))
    saved(tmp_path, "mlp", started=early).set_aside("mlp")
    saved(tmp_path, "mlp", started=late)
    saved(tmp_path, "other", started=late)
    assert load_study(tmp_path).begun == {"mlp": early, "other": late}


@pytest.fixture
def study(tmp_path: Path) -> Study:
    saved(tmp_path / "logs", "mlp")
    return load_study(tmp_path / "logs")


def written(study: Study, folder: Path) -> list[str]:
    _, files = write_report(weigh(study), Path("logs"), folder, "fmgrid report logs")
    assert all(path.is_file() for path in files)
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def test_an_older_report_gives_way_and_what_is_a_strangers_stays(
    study: Study, tmp_path: Path
) -> None:
    folder = tmp_path / "r"
    first = written(study, folder)
    picture = next(name for name in first if name.endswith(".png"))
    old, mine = folder / "visualizations" / "old_heatmap.png", folder / "visualizations" / "own.png"
    for path in (old, mine):
        path.write_bytes(b"png")
    page = folder / "report.md"
    page.write_text(page.read_text() + "![old](visualizations/old_heatmap.png)\n")
    (folder / "notes.txt").write_text("mine")
    again = written(study, folder)
    assert again == sorted([*first, "visualizations/own.png", "notes.txt"])
    assert (folder / picture).stat().st_mode & 0o777 == page.stat().st_mode & 0o777


@pytest.mark.parametrize(
    "name", ["report.md", "report.html", "visualizations", "visualizations/overfitting_gap.png"]
)
def test_what_is_ones_own_is_not_written_over(study: Study, tmp_path: Path, name: str) -> None:
    own = tmp_path / "r" / name
    own.parent.mkdir(parents=True)
    own.write_text("my own words")
    first = name.partition("/")[0]
    with pytest.raises(InputError, match=f"holds {first}, which may be your own; name another"):
        written(study, tmp_path / "r")
    assert [path for path in (tmp_path / "r").rglob("*") if path.is_file()] == [own]


@pytest.mark.parametrize("name", ["report.md", "report.html"])
@pytest.mark.parametrize("kind", ["a pipe", "a device", "a terabyte"])
def test_what_would_be_read_for_ever_is_no_page_of_a_report(
    name: str, kind: str, tmp_path: Path
) -> None:
    page = tmp_path / name
    if kind == "a pipe":
        os.mkfifo(page)
    elif kind == "a device":
        page.symlink_to("/dev/zero")
    else:
        page.touch()
        os.truncate(page, 10**12)
    with pytest.raises(FmgridError, match=r"which may be your own|larger than 100,000,000 bytes"):
        check_output_folder(tmp_path)


def test_a_report_that_cannot_be_written_names_its_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="file/report: cannot be written: Not a directory"):
        write_files(tmp_path / "file" / "report", {"report.md": b""})


def test_a_report_is_written_where_a_folder_cannot_be_renamed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename = os.rename

    def refuse(source: Path, target: Path) -> None:
        if Path(source).is_dir():
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        rename(source, target)

    monkeypatch.setattr(os, "rename", refuse)
    files = {"report.md": b"words", "visualizations/a.png": b"picture"}
    write_files(tmp_path / "r", files)
    found = {name: (tmp_path / "r" / name).read_bytes() for name in files}
    assert found == files
    assert [path.name for path in tmp_path.iterdir()] == ["r"]


def test_words_that_look_like_a_pictures_place_cost_nobody_a_picture(
    study: Study, tmp_path: Path
) -> None:
    written(study, tmp_path / "r")
    page, own = tmp_path / "r" / "report.md", tmp_path / "r" / "visualizations" / "own.png"
    page.write_text(page.read_text() + "| see mine (visualizations/own.png) |\n")
    own.write_bytes(b"png")
    assert "visualizations/own.png" in written(study, tmp_path / "r")


def test_a_file_is_no_folder_for_a_report(study: Study, tmp_path: Path) -> None:
    (tmp_path / "r").write_text("")
    with pytest.raises(InputError, match="is a file; name a folder"):
        written(study, tmp_path / "r")


@pytest.mark.parametrize("is_there", [False, True])
def test_a_report_that_cannot_be_written_whole_leaves_all_as_it_was(
    study: Study, tmp_path: Path, is_there: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "r"
    before = written(study, folder) if is_there else []
    page = (folder / "report.md").read_bytes() if is_there else b""
    room = 3  # files

    def write(path: Path, content: bytes) -> int:
        nonlocal room
        room -= 1
        if room < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write_bytes(path, content)

    write_bytes = Path.write_bytes
    monkeypatch.setattr(Path, "write_bytes", write)
    with pytest.raises(StoreError, match="No space left on device"):
        write_report(weigh(study), Path("another"), folder, "fmgrid report another")
    left = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))
    assert left == before
    assert not list(tmp_path.glob(".fmgrid*"))
    assert not is_there or (folder / "report.md").read_bytes() == page


def test_a_late_interrupt_changes_no_exit_code() -> None:
    code = (
        "import atexit, os, signal, sys; "
        "atexit.register(os.kill, os.getpid(), signal.SIGINT); "
        "sys.argv = ['fmgrid', '--version']; "
        "from fmgrid.__main__ import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.usefixtures("elsewhere")
def test_a_folder_that_is_not_there_is_refused() -> None:
    done = fmgrid("report", "nowhere")
    assert done.returncode == 2
    assert "nowhere: no such folder" in done.stderr


def test_two_experiments_are_compared_over_their_seeds(logs: Path) -> None:
    done = fmgrid("compare", "small_4_1", "small_32_3", "--logdir", logs)
    assert done.returncode == 0, done.stderr
    assert re.search(r"^hidden_units +4 +32$", done.stdout, flags=re.M)
    assert re.search(r"^epochs +1 +3$", done.stdout, flags=re.M)
    assert re.search(r"^accuracy +\d+\.\d+% +\d+\.\d+% +\+\d+\.\d+ points", done.stdout, flags=re.M)
    assert "over 3 seeds (0, 1, 2), paired" in done.stderr
    assert "confounded" not in done.stderr  # more epochs are meant to show more images
    one_run = fmgrid("compare", logs / "small_4_1_s1", logs / "small_32_3_s1", "--json")
    answer = json.loads(one_run.stdout)
    assert answer["metrics"]["accuracy"]["difference"]["n"] == 1


def test_an_unknown_experiment_gets_a_near_match(logs: Path) -> None:
    done = fmgrid("compare", "small_4_1", "smal_32_3", "--logdir", logs)
    assert done.returncode == 2
    assert "did you mean small_32_3?" in done.stderr


@pytest.mark.usefixtures("elsewhere")
def test_what_to_run_next_are_commands_that_can_be_pasted() -> None:
    text = ONE.partition("[[hypothesis]]")[0].replace("epochs = [1, 3]", "batch_size = [8, 32]")
    grid = write(text.replace("{epochs}", "{batch_size}"), "a grid.toml")
    words = ("run", grid, "--set", "learning_rate=0.002", "--logdir", "my logs")
    assert fmgrid(*words, "--only", "*_8", "--seeds", "0,1").returncode == 0
    lost = Path("my logs/small_4_8_s1/small_4_8_s1_results.toml")
    lost.unlink()
    assert fmgrid("report", "my logs").returncode == 0
    section = Path("report/report.md").read_text().split("## What to run next")[1].split("\n## ")[0]
    commands = re.findall(r"`(fmgrid run [^`]*)`", section)
    told = {
        "--set learning_rate=0.002 --seeds 0,1 --logdir": (8, 0),
        "--seeds 2,3,4,5,6,7,8,9,10,11 --logdir 'my logs-fresh'": (40, 40),
        "--seeds 0,1 --set validation=330": (8, 8),
    }
    assert len(commands) == len(told)
    for command, (part, (runs, pending)) in zip(commands, told.items(), strict=True):
        assert part in command
        done = fmgrid(*shlex.split(command)[1:], "--dry-run", "--json")
        assert done.returncode == 0, (command, done.stderr)
        states = [run["state"] for run in json.loads(done.stdout)["runs"]]
        assert len(states) == runs
        assert "changed" not in states
        assert states.count("pending") == pending or not pending


@pytest.mark.usefixtures("elsewhere")
def test_every_picture_stands_with_its_own_group() -> None:
    # One title begins with the other, and one is no name for a file.
    for title in ("small", "small_wide", "a b"):
        text = GRID.partition("[[hypothesis]]")[0].replace("small_", f"{title.replace(' ', '')}-")
        write(text.replace("[1, 3]", "2").replace("[0, 1, 2]", "[0]"), f"{title}.toml")
    assert fmgrid("run", ".").returncode == 0
    assert fmgrid("report", "modellogs").returncode == 0
    assert list(objections(Path("report"))) == []
    text = Path("report/report.md").read_text()
    for title, stem in (("small", "small"), ("small_wide", "small_wide"), ("a b", "a_b")):
        section = text.split(f"\n### {title}\n")[1].split("\n## ")[0].split("\n### ")[0]
        assert re.findall(r"\((visualizations/[^)]*)\)", section) == [
            f"visualizations/{stem}_levels.png"
        ]


@pytest.mark.usefixtures("elsewhere")
def test_names_in_captions_are_shown_as_they_are() -> None:
    text = ONE.partition("[[hypothesis]]")[0].replace(
        "small_{hidden_units}_{epochs}", "_x_{hidden_units}_{epochs}_"
    )
    assert fmgrid("run", write(text)).returncode == 0
    assert fmgrid("report", "modellogs").returncode == 0
    assert "<em>x" not in Path("report/report.html").read_text()
