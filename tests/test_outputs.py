"""Tables go where they are told to, and replace nothing but tables."""

import os
import shutil
import threading
from pathlib import Path

import pytest

from command import QUICK, ROOT
from fmgrid.analysis.study import COLUMNS as EXPERIMENT_COLUMNS
from fmgrid.cli.showing import check_outputs, write_csv
from fmgrid.errors import InputError, StoreError
from fmgrid.results.store import Store
from fmgrid.results.summary import COLUMNS, COLUMNS_SINCE_0_2, HISTORY_COLUMNS
from made_up_runs import make_run

pytestmark = pytest.mark.usefixtures("elsewhere")

OPTIONS = ("-o", "--history", "--by-experiment")


def refusal(path: str | Path, option: str = "-o") -> str:
    with pytest.raises(InputError) as raised:
        check_outputs({option: Path(path)})
    return str(raised.value)


STRANGERS = {
    "grid.toml": QUICK.encode(),
    "notes.txt": b"a thought\n",
    "mine.csv": b"name,accuracy\nmlp,0.8\n",
    "annotated.csv": f"{','.join(COLUMNS)},my notes\n".encode(),
    "part.csv": f"{','.join(COLUMNS[:5])}\n".encode(),
    "other_order.csv": f"{','.join(reversed(COLUMNS))}\n".encode(),
    "excel.csv": f"{';'.join(COLUMNS)}\n".encode(),
    "image.png": b"\x89PNG\r\n\x1a\n\0\0",
    "line.bin": b"\xff" * 200_000,
    "blank.txt": b"\n",
}


@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("name", STRANGERS)
def test_a_file_that_is_no_table_of_fmgrids_is_not_replaced(name: str, option: str) -> None:
    Path(name).write_bytes(STRANGERS[name])
    assert refusal(name, option).startswith(f"{option} {name}: was not written by fmgrid summarize")
    Path("link.csv").symlink_to(name)
    assert refusal("link.csv", option).startswith(f"{option} link.csv: was not written by")


def test_all_that_would_be_lost_is_named_at_once() -> None:
    for name in ("a", "b", "c"):
        Path(name).write_text("mine")
    with pytest.raises(InputError) as raised:
        check_outputs(dict(zip(OPTIONS, map(Path, ("a", "b", "c")), strict=True)))
    assert len(raised.value.problems) == 3


ARGUMENTS = (",network.filters,optimizer_args.eps\n", ',"optimizer_args.a,b"\r\n')


@pytest.mark.parametrize("columns", [COLUMNS, HISTORY_COLUMNS, EXPERIMENT_COLUMNS], ids=len)
@pytest.mark.parametrize("ending", ["\n", "\r\n", "", *ARGUMENTS])
def test_a_table_that_summarize_wrote_is_replaced(columns: tuple[str, ...], ending: str) -> None:
    Path("table.csv").write_bytes((",".join(columns) + ending).encode())
    check_outputs({"-o": Path("table.csv")})


@pytest.mark.parametrize(
    "table", sorted((ROOT / "docs" / "replication").glob("*.csv")), ids=lambda path: path.name
)
def test_a_table_of_an_older_version_is_replaced(table: Path) -> None:
    shutil.copy(table, "table.csv")
    check_outputs({"-o": Path("table.csv")})


@pytest.mark.parametrize("columns", [COLUMNS, EXPERIMENT_COLUMNS], ids=len)
@pytest.mark.parametrize("ending", ["\n", ",network.filters\n"])
def test_a_table_from_before_the_column_of_groups_is_replaced(
    columns: tuple[str, ...], ending: str
) -> None:
    old = [column for column in columns if column not in COLUMNS_SINCE_0_2]
    assert len(old) < len(columns)
    Path("table.csv").write_text(",".join(old) + ending)
    check_outputs({"-o": Path("table.csv")})


def test_an_empty_file_is_nothing_to_lose() -> None:
    Path("empty.csv").touch()
    check_outputs({"-o": Path("empty.csv")})


OWN = (
    *("mlp/mlp_results.toml", "mlp/run.log", ".fmgrid.lock", ".grids/a-1.toml", ".grids/new.toml"),
    *("mlp/events.out.tfevents.1.fmgrid", "mlp/.unfinished-x", ".replaced/mlp.1/x"),
    *("new/new_results.toml", ".replaced/x"),
)


@pytest.mark.parametrize("exists", [True, False])
@pytest.mark.parametrize("name", OWN)
def test_a_log_folders_own_files_are_not_written_even_where_they_are_empty(
    name: str, exists: bool
) -> None:
    target = Path("logs", name)
    target.parent.mkdir(parents=True)
    if exists:
        target.touch()
    assert "is the name of a file in a log folder" in refusal(target)


def test_a_finished_run_is_not_replaced() -> None:
    store = Store(Path("logs"))
    store.begin("mlp")
    store.save(make_run())
    for path in sorted(Path("logs", "mlp").iterdir()):
        shutil.copy(path, "copy")
        if path.stat().st_size:
            assert "was not written by fmgrid summarize" in refusal("copy")


def test_a_device_and_a_pipe_are_written_to_as_ever() -> None:
    os.mkfifo("pipe")
    check_outputs({"-o": Path("pipe"), "--history": Path(os.devnull)})
    received: list[str] = []
    reader = threading.Thread(target=lambda: received.append(Path("pipe").read_text()))
    reader.start()
    write_csv(Path("pipe"), [], ["a", "b"], "run")
    reader.join()
    assert received == ["a,b\n"]


def test_a_pipe_that_has_no_path_is_written_to_by_its_number() -> None:
    reading, writing = os.pipe()
    check_outputs({"-o": Path(f"/dev/fd/{writing}")})
    write_csv(Path(f"/dev/fd/{writing}"), [], ["a", "b"], "run")
    os.close(writing)
    assert os.read(reading, 100) == b"a,b\n"
    os.close(reading)


def test_a_place_that_cannot_be_looked_at_is_the_machines_matter() -> None:
    Path("one").symlink_to("two")
    Path("two").symlink_to("one")
    with pytest.raises(StoreError):
        check_outputs({"-o": Path("one")})


def test_a_path_that_the_system_refuses_to_look_at_is_named_without_its_error_number() -> None:
    path = Path("x" * 300)
    with pytest.raises(StoreError) as raised:
        write_csv(path, [], ["a"], "run")
    assert str(raised.value) == f"{path}: File name too long"
