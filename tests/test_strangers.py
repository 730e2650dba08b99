"""Results and records that a stranger wrote, with right digests: no figure in them is believed."""

import copy
import json
import tomllib
from collections.abc import Iterator, Sequence
from datetime import UTC, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from fmgrid.analysis.loading import find_pair, load_study
from fmgrid.analysis.study import by_experiment
from fmgrid.cli import app
from fmgrid.cli.comparing import show_comparison
from fmgrid.cli.listing import list_experiments
from fmgrid.cli.options import ListOptions
from fmgrid.cli.showing import show_run
from fmgrid.errors import DamagedFileError, FmgridError
from fmgrid.experiment import Experiment, Failure, Run
from fmgrid.hypotheses.commands import Command
from fmgrid.hypotheses.language import parse_expectation
from fmgrid.hypotheses.registry import (
    FOLDER_OF_GRIDS,
    GridRecord,
    Hypothesis,
    read_records,
    write_records,
)
from fmgrid.reporting import to_document, weigh
from fmgrid.results.results_file import read_results, seal, to_results
from fmgrid.results.store import Store
from fmgrid.results.summary import HISTORY_COLUMNS, read_runs, to_csv, to_history_rows, to_rows
from made_up_runs import STARTED, make_run
from test_store import signed

SGD: dict[str, Any] = {"optimizer": "SGD", "optimizer_args": {"momentum": 0.9, "betas": [0.9]}}
GOOD = [
    make_run(Experiment(name=name, epochs=3, seed=seed, **chosen))
    for name, chosen in {"good": {}, "other": {"batch_size": 32}}.items()
    for seed in (0, 1)
]
HELD_OUT = make_run(
    Experiment(name="odd", epochs=3, validation=500, **SGD), test_loss=1.0, test_accuracy=0.5
)
FAILED = make_run(
    Experiment(name="odd"), status="failed", history=(), failure=Failure(message="a", traceback="b")
)


def document(run: Run) -> dict[str, Any]:
    values = tomllib.loads(to_results(run).decode())
    return {name: value for name, value in values.items() if name not in ("digest", "format")}


def write(root: Path, name: str, content: bytes) -> None:
    folder = root / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}_results.toml").write_bytes(content)


def good_runs(root: Path) -> Path:
    for run in GOOD:
        write(root, run.experiment.run_name, to_results(run))
    return root


def changed(values: dict[str, Any], path: Sequence[str | int], value: object) -> dict[str, Any]:
    """Return a document with another value in one place."""
    made = copy.deepcopy(values)
    inner: Any = made
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return made


def places(value: object, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Yield the path of every value in a document."""
    items: Any = ()
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list):
        items = enumerate(value)
    for key, inner in items:
        yield (*path, key)
        yield from places(inner, (*path, key))


def replaced(before: str, after: str) -> bytes:
    """Return the results of `odd` with another text in one place, and a right digest."""
    text = to_results(HELD_OUT).decode().split("\n", 2)[2]
    assert before in text
    return signed(text.replace(before, after, 1))


MANY_DIGITS = f"0x{'f' * 5_000}"
LATE = "started = 2026-01-01T12:00:00Z"
DAMAGE = {
    "a_number_of_5000_digits": replaced("batch_size = 64", f"batch_size = {MANY_DIGITS}"),
    "an_argument_of_5000_digits": replaced("momentum = 0.9", f"momentum = {'9' * 4_000}"),
    "an_argument_of_5000_hexadecimal_digits": replaced(
        "momentum = 0.9", f"momentum = {MANY_DIGITS}{'f' * 5_000}"
    ),
    "a_seed_of_5000_digits": replaced("seed = 0", f"seed = {MANY_DIGITS}"),
    "weights_beyond_any_network": replaced("weights = 269322", f"weights = {10**30}"),
    "more_images_than_there_can_be": replaced("images_seen = 6400\n", f"images_seen = {10**30}\n"),
    "fewer_images_than_none": replaced("images_seen = 6400\n", "images_seen = -1\n"),
    "a_loss_beyond_single_precision": replaced("valid_loss = 1.5", "valid_loss = 1e308"),
    "a_test_loss_beyond_single_precision": replaced("test_loss = 1.0", "test_loss = -1e308"),
    "a_test_loss_without_its_accuracy": replaced("test_accuracy = 0.5\n", ""),
    "a_test_accuracy_without_its_loss": replaced("test_loss = 1.0\n", ""),
    "an_accuracy_above_1": replaced("accuracy = 0.51\n", "accuracy = 1.01\n"),
    "an_accuracy_that_is_none": replaced("accuracy = 0.51\n", "accuracy = nan\n"),
    "endless_seconds": replaced("seconds = 3.25", "seconds = inf"),
    "seconds_that_are_none": replaced("seconds = 3.25", "seconds = nan"),
    "seconds_before_the_start": replaced("seconds = 3.25", "seconds = -1.0"),
    "epochs_that_never_end": replaced("seconds = 1.0", "seconds = inf"),
    "a_time_without_a_zone": replaced(LATE, LATE.removesuffix("Z")),
    "a_day_for_a_time": replaced(LATE, "started = 2026-01-01"),
    "a_day_for_an_argument": replaced("momentum = 0.9", "momentum = 2026-01-01"),
    "lists_300_deep": replaced("momentum = 0.9", f"momentum = {'[' * 300}{']' * 300}"),
    "a_name_of_a_million_characters": replaced('name = "odd"', f'name = "{"x" * 10**6}"'),
    "an_optimizer_of_a_million_characters": replaced(
        'optimizer = "SGD"', f'optimizer = "{"x" * 10**6}"'
    ),
    "two_thousand_layers": replaced(
        "hidden_units = [256, 256]", f"hidden_units = [{'1,' * 2_000}]"
    ),
    "an_epoch_twice": replaced("epoch = 2\n", "epoch = 1\n"),
    "an_epoch_too_many": replaced("epochs = 3\n", "epochs = 2\n"),
    "no_epoch_of_a_complete_run": signed(
        to_results(HELD_OUT).decode().split("\n", 2)[2].partition("[[history]]")[0]
    ),
    "software_of_a_million_characters": replaced('fmgrid = "0.1"', f'fmgrid = "{"x" * 10**6}"'),
}
COMMANDS = [
    ["summarize", "logs", "-o", "table.csv", "--history", "h.csv", "--by-experiment", "e.csv"],
    ["status", "logs"],
    ["status", "logs", "--json"],
    ["list", "logs", "--columns", "accuracy,optimizer_args"],
    ["list", "logs", "--json"],
    ["compare", "good", "other", "--logdir", "logs"],
    ["report", "logs", "-o", "report"],
]


def call(*words: str) -> Result:
    result = CliRunner().invoke(app, words)
    assert result.exception is None or isinstance(result.exception, SystemExit), words
    return result


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: " ".join(words[:3]))
def test_results_that_no_run_can_have_are_named_and_cost_no_other(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    logs = good_runs(Path("logs"))
    for name, content in DAMAGE.items():
        write(logs, name, content)
    result = call(*words)
    assert result.exit_code == 0
    for name in DAMAGE:
        path = f"logs/{name}/{name}_results.toml"
        assert f"{path}: does not fit this fmgrid" in result.output.replace("\n", " ")
    if words[0] == "summarize":
        assert Path("table.csv").read_text().count("\n") == 1 + len(GOOD)


@pytest.mark.parametrize("name", DAMAGE)
def test_results_that_no_run_can_have_are_damage(name: str, tmp_path: Path) -> None:
    write(tmp_path, name, DAMAGE[name])
    with pytest.raises(DamagedFileError) as caught:
        read_results(tmp_path / name / f"{name}_results.toml")
    assert "does not fit this fmgrid" in str(caught.value)
    assert len(str(caught.value)) < 1_000


ARGUMENTS = {
    "a large number": 10**400,
    "inf": float("inf"),
    "nan": float("nan"),
    "a table of lists": {"a": [{"b": [1, 2]}]},
    "lists 80 deep": json.loads("[" * 80 + "]" * 80),
}


@pytest.mark.parametrize("value", ARGUMENTS.values(), ids=ARGUMENTS)
def test_whatever_an_optimizer_may_be_given_can_be_read_and_shown(
    value: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    logs = good_runs(Path("logs"))
    odd = Experiment(name="odd", epochs=3, optimizer_args={"since": value})
    write(logs, "odd", to_results(make_run(odd)))
    read_all(logs)
    for words in (["show", "odd"], ["show", "odd", "--json"], ["compare", "odd", "good"]):
        assert call(*words, "--logdir", "logs").exit_code == 0
    assert not read_runs(logs).warnings


def read_all(logs: Path) -> None:
    """Do with a log folder what the commands do."""
    summary = read_runs(logs, with_history=True)
    to_csv(to_rows(summary.runs))
    to_csv(to_history_rows(summary.runs), HISTORY_COLUMNS)
    for run in ("odd", "good"):
        try:
            found = read_results(Store(logs).results_file(run))
        except FmgridError:
            continue
        for as_json in (False, True):
            show_run(found, json=as_json)
    study = load_study(logs)
    by_experiment(study)
    to_document(weigh(study), (), logs, "fmgrid report")
    for sort in (None, "optimizer", "optimizer_args"):
        for csv in (False, True):
            shown = {"where": ["*"], "columns": None, "limit": None, "json": not sort, "csv": csv}
            list_experiments(ListOptions(logs, sort, reverse=csv, **shown))
    try:
        pair = find_pair(["odd", "good"], logs)
    except FmgridError:
        return
    for as_json in (False, True):
        show_comparison(*pair, json=as_json)


zones = st.sampled_from([None, UTC, timezone(timedelta(hours=14)), timezone(timedelta(hours=-14))])
texts = st.text(max_size=20) | st.sampled_from(
    ["x" * 199, "7" * 9_000, "x" * 10**5, "\x1b[2J\0\r\n", "=1+1"]
)
edges = [0, -1, 1, 2**31 - 1, 2**31, 2**63 - 1, 2**63, 10**30, 10**400]
fractions = [0.0, -0.0, 5e-324, 0.5, 1.0, 1e38, 3.4e38, 1e100, 1e308]
scalars = st.one_of(
    st.sampled_from(edges) | st.integers(),
    st.sampled_from(fractions) | st.floats(),
    st.booleans() | texts | st.sampled_from(["complete", "failed", "test", "full", "Adam"]),
    st.datetimes(timezones=zones) | st.dates() | st.times(),
)
hostile = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", min_size=1), inner, max_size=3)
    ),
    max_leaves=4,
)


@settings(
    max_examples=25,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(data=st.data(), run=st.sampled_from([HELD_OUT, FAILED]))
def test_whatever_a_results_file_says_no_command_ends_in_a_traceback(
    data: st.DataObject, run: Run, tmp_path_factory: pytest.TempPathFactory
) -> None:
    values = document(run)
    for _ in range(data.draw(st.integers(1, 2))):
        place = data.draw(st.sampled_from(sorted(places(values), key=str)))
        values = changed(values, place, data.draw(hostile))
    root = good_runs(tmp_path_factory.mktemp("logs"))
    write(root, "odd", seal(values))
    read_all(root)


STATED = Hypothesis(
    claim="a claim",
    expect="good > other",
    resolved="good > other",
    metric="accuracy",
    place="g.toml:1",
    since=STARTED,
)


@settings(max_examples=10, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_whatever_a_record_of_a_grid_says_no_report_ends_in_a_traceback(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    root = good_runs(tmp_path_factory.mktemp("logs"))
    names = ("good", "other", "missing")
    write_records(
        root, [GridRecord(path="g.toml", names=names, hypotheses=(STATED,), withdrawn=(STATED,))]
    )
    (record,) = (root / FOLDER_OF_GRIDS).iterdir()
    values = tomllib.loads(record.read_text())
    for name in ("digest", "format"):
        del values[name]
    place = data.draw(st.sampled_from([one for one in places(values) if one != ("path",)]))
    record.write_bytes(seal(changed(values, place, data.draw(hostile))))
    read_all(root)


PLACES_OF_PATHS = [
    ("path",),
    ("file",),
    ("root",),
    ("runs", 0, "folder"),
    ("runs", 0, "logdir"),
    ("runs", 0, "grids", 0),
    ("runs", 0, "options", 0, 1),
]


@pytest.mark.parametrize("place", PLACES_OF_PATHS, ids=str)
def test_a_record_with_a_path_that_no_system_takes_is_named_and_left_out(
    place: tuple[str | int, ...], tmp_path: Path
) -> None:
    command = Command(
        text="fmgrid run g.toml",
        folder="/a",
        grids=("g.toml",),
        logdir="logs",
        options=(("--data-dir", "data"),),
    )
    asked = GridRecord(
        path="g.toml", names=("good",), runs=(command,), file="/a/g.toml", root="/a/b"
    )
    values = tomllib.loads(seal(asked.model_dump()).decode())
    for name in ("digest", "format"):
        del values[name]
    folder = tmp_path / FOLDER_OF_GRIDS
    folder.mkdir()
    (folder / "g.toml").write_bytes(seal(changed(values, place, "a\0b")))
    found, unread = read_records(tmp_path)
    assert found == []
    assert "g.toml: does not fit this fmgrid" in unread[0]


@pytest.mark.parametrize("resolved", ["good > other > good", "good < other < good", "0 > good > 0"])
def test_a_record_that_resolves_another_expectation_than_it_shows_ends_no_report(
    resolved: str, tmp_path: Path
) -> None:
    root = good_runs(tmp_path)
    hypothesis = STATED.model_copy(update={"resolved": parse_expectation(resolved)})
    write_records(
        root, [GridRecord(path="g.toml", names=("good", "other"), hypotheses=(hypothesis,))]
    )
    (verdict,) = weigh(load_study(root)).verdicts
    assert verdict.stated == hypothesis
