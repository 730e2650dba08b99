"""Options and variables: the texts and paths in them are checked as a whole, or refused."""

import json
import os
from pathlib import Path

import pytest

from command import QUICK, Call, write
from fmgrid.data import cache as data
from fmgrid.errors import DataError
from loading import load_grids

pytestmark = pytest.mark.usefixtures("elsewhere")


@pytest.fixture
def no_home(elsewhere: None, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ARG001 - after it
    """Be a user that the system does not list, as in a container that is run with a number."""
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("FMGRID_CACHE", raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 12345)


PATHS = {
    "GRID of run": ("run", "{}"),
    "GRID of plan": ("plan", "{}"),
    "--logdir of run": ("run", "grid.toml", "--logdir", "{}"),
    "--logdir of plan": ("plan", "grid.toml", "--logdir={}"),
    "--data-dir of run": ("run", "grid.toml", "--data-dir={}"),
    "--data-dir of data": ("data", "--data-dir", "{}"),
    "LOGDIR of summarize": ("summarize", "{}"),
    "-o of summarize": ("summarize", "logs", "-o", "{}"),
    "--output of summarize": ("summarize", "logs", "--output={}"),
    "--history": ("summarize", "logs", "--history={}"),
    "--by-experiment": ("summarize", "logs", "--by-experiment={}"),
    "LOGDIR of report": ("report", "{}"),
    "-o of report": ("report", "logs", "-o", "{}"),
    "--reference": ("report", "logs", "--reference={}"),
    "--grid": ("report", "logs", "--grid={}"),
    "LOGDIR of status": ("status", "{}"),
    "RUN of show": ("show", "{}"),
    "--logdir of show": ("show", "a", "--logdir={}"),
    "first of compare": ("compare", "{}", "b"),
    "second of compare": ("compare", "a", "{}"),
    "--logdir of compare": ("compare", "a", "b", "--logdir={}"),
}


@pytest.mark.parametrize("words", PATHS.values(), ids=PATHS)
def test_a_home_folder_that_is_not_known_is_refused_in_every_option(
    words: tuple[str, ...], call: Call
) -> None:
    write(QUICK)
    code, out, told = call(*(word.format("~nosuchuser/x") for word in words))
    assert (code, out) == (2, "")
    assert "no user nosuchuser" in told
    assert "./~nosuchuser/x" in " ".join(told.split())
    assert [path.name for path in Path().iterdir()] == ["grid.toml"]


@pytest.mark.usefixtures("no_home")
@pytest.mark.parametrize("words", PATHS.values(), ids=PATHS)
def test_a_user_without_home_is_told_to_write_the_whole_path(
    words: tuple[str, ...], call: Call
) -> None:
    write(QUICK)
    code, out, told = call(*(word.format("~/x") for word in words))
    assert (code, out) == (2, "")
    assert "write the whole path" in " ".join(told.split())


def test_a_home_folder_is_expanded_wherever_the_shell_leaves_it(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(Path("home").absolute()))
    Path("home", "logs").mkdir(parents=True)
    code, _, told = call("summarize", "~/logs", "--output=~/x.csv", "--history=~/h/e.csv")
    assert (code, Path("home", "x.csv").is_file()) == (0, True), told
    assert Path("home", "h", "e.csv").is_file()
    assert not Path("~").exists()


def test_a_name_that_begins_with_a_tilde_can_be_given(call: Call) -> None:
    Path("~a").mkdir()
    assert call("status", "./~a")[:2] == (0, "no runs\n")


@pytest.mark.parametrize("name", ["FMGRID_CACHE", "FMGRID_DATA"])
@pytest.mark.parametrize("text", ["~nosuchuser/x", "~nosuchuser"])
def test_a_home_folder_that_is_not_known_is_refused_in_every_variable(
    name: str, text: str, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, text)
    code, _, told = call("data", "fashion-mnist")
    assert code == 3
    assert told.startswith(f"fmgrid: {name}, {text}: there is no user nosuchuser")


@pytest.mark.usefixtures("no_home")
def test_where_the_cache_has_no_place_the_message_names_its_variable() -> None:
    with pytest.raises(DataError, match="FMGRID_CACHE"):
        data.prepare("fashion-mnist-sample")


@pytest.mark.usefixtures("no_home")
def test_a_variable_with_a_path_needs_no_home(
    monkeypatch: pytest.MonkeyPatch, sample_data: data.Prepared
) -> None:
    monkeypatch.setenv("FMGRID_CACHE", str(sample_data.folder.parent))
    assert data.prepare("fashion-mnist-sample").folder == sample_data.folder


def test_an_empty_home_is_not_the_root_folder(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "")
    code, _, told = call("status", "~")
    assert (code, "write the whole path" in " ".join(told.split())) == (2, True)


def test_a_grid_that_takes_in_a_file_of_its_writers_home_is_told_that_it_cannot(
    call: Call,
) -> None:
    code, _, told = call("plan", write('grids = ["~/a.toml"]\n'))
    assert code == 2
    assert "grid.toml:1: grids: " in told
    assert "~ is not expanded here" in told


@pytest.mark.parametrize(
    "text",
    [
        "0000000000099999999999",
        "2147483648",
        "0,4294967296",
        "00000000000000002147483648",
        "9" * 5000,
        "0" * 5000 + "2147483648",
        "\u0663",
        "\u00b2",
        "1_000",
        "+1",
        "-1",
        "1e3",
        "0x10",
        "1.0",
        "",
        "1,,2",
    ],
    ids=lambda text: text[:30] or "empty",
)
def test_a_seed_is_checked_as_a_whole(text: str, call: Call) -> None:
    code, out, told = call("plan", write(QUICK), f"--seeds={text}")
    assert (code, out) == (2, "")
    assert "is not a list of whole numbers from 0 to 2147483647; write --seeds 0,1,2" in told
    assert len(told) < 300


@pytest.mark.parametrize("text", ["2147483647", "00000000000000000000007", "0,1, 2", "000"])
def test_every_seed_that_an_experiment_takes_is_taken(text: str, call: Call) -> None:
    code, out, _ = call("plan", write(QUICK), f"--seeds={text}", "--json")
    assert code == 0
    seeds = [run["settings"]["seed"] for run in json.loads(out)["runs"]]
    assert seeds == list(map(int, text.split(",")))


@pytest.mark.parametrize("seed", [-1, 2**31, 99999999999, True])
def test_no_seed_reaches_an_experiment_unchecked(seed: int) -> None:
    with pytest.raises(ValueError, match="seed"):
        load_grids([write(QUICK)], seeds=[seed])


WHOLE_NUMBERS = [
    "epochs=0000000000099999999999",
    "epochs=2147483648",
    "epochs=\u0663",
    "epochs=" + "9" * 5000,
    "epochs=1e3",
    "hidden_units.0=99999999999",
    "batch_size=+0",
    "learning_rate=1e999",
    "learning_rate=nan",
    "optimizer_args.weight_decay=1e999",
    "optimizer_args.weight_decay=99999999999999999999",
]


@pytest.mark.parametrize("text", WHOLE_NUMBERS, ids=lambda text: text[:40])
def test_a_setting_on_the_command_line_is_checked_as_a_whole(text: str, call: Call) -> None:
    code, out, told = call("plan", write(QUICK), "--set", text)
    assert (code, out) == (2, ""), told
    assert len(told) < 500


@pytest.mark.parametrize(
    ("option", "text"),
    [
        ("--timeout", "1e9"),
        ("--timeout", "9" * 400),
        ("--timeout", "\u0663s"),
        ("--timeout", "1_000s"),
        ("--timeout", "+1s"),
        ("--timeout", "0.0"),
        ("--memory", "0.5"),
        ("--memory", "0.0001k"),
        ("--memory", "1e3GB"),
        ("--max-runs", "9" * 5000),
        ("--max-runs", "0"),
        ("--max-failures", "1.5"),
        ("-j", "1e2"),
    ],
    ids=lambda text: text[:20],
)
def test_a_number_in_an_option_is_checked_as_a_whole(option: str, text: str, call: Call) -> None:
    code, out, told = call("run", write(QUICK), "--dry-run", option, text)
    assert (code, out) == (2, "")
    assert option in told
