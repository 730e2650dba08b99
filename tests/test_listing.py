"""`fmgrid list`: what is ranked, chosen, left out and refused."""

import csv
import json
import re
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as profile
from hypothesis import strategies as st

from command import Call
from fmgrid.cli.listing import Entry, to_tables
from fmgrid.cli.options import ListOptions
from fmgrid.experiment import EpochRecord, Experiment, Failure
from fmgrid.results.store import Store
from made_up_runs import make_record, make_run
from made_up_studies import rows, study_of
from test_tables import Narrow, narrow, plain
from test_tensorboard import to_record, to_scalar, write_records

__all__ = ["narrow"]
pytestmark = pytest.mark.usefixtures("elsewhere")

LOGS = Path("modellogs")


def save(
    name: str, accuracies: Sequence[float], seeds: Sequence[int] = (), **settings: Any
) -> None:
    """Store a run of one epoch for each accuracy, whose loss is what is missing to 1."""
    for seed, accuracy in zip(seeds or range(len(accuracies)), accuracies, strict=True):
        experiment = Experiment(name=name, seed=seed, **{"epochs": 1, **settings})
        history = [epoch_of(accuracy, number + 1) for number in range(experiment.epochs)]
        held_out = experiment.validation != "test"
        tested = {"test_accuracy": accuracy / 2, "test_loss": 1.0} if held_out else {}
        Store(LOGS).begin(experiment.run_name)
        Store(LOGS).save(make_run(experiment, history=tuple(history), **tested))


def epoch_of(accuracy: float, number: int) -> EpochRecord:
    return make_record(number, accuracy=accuracy, valid_loss=1 - accuracy)


def save_failed(name: str, seed: int = 0, **settings: Any) -> None:
    experiment = Experiment(name=name, seed=seed, epochs=1, **settings)
    Store(LOGS).begin(experiment.run_name)
    failed = {"status": "failed", "failure": Failure(message="it broke"), "history": ()}
    Store(LOGS).save(make_run(experiment, **failed))


def names(out: str) -> list[str]:
    """The first words of the lines of a table."""
    return [line.split()[0] for line in out.splitlines()[1:]]


def test_experiments_are_ranked_by_their_mean_over_seeds(call: Call) -> None:
    save("lucky", [0.9, 0.5, 0.5], learning_rate=0.1)
    save("steady", [0.8, 0.8, 0.81], learning_rate=0.01)
    save("single", [0.7], learning_rate=0.001)
    code, out, err = call("list")
    assert code == 0
    assert out.splitlines() == [
        "experiment  accuracy ±95%  n  learning_rate  weights  seconds",
        "steady      80.33% ±1.43   3  0.01           269,322  3.2",
        "single      70.00%         1  0.001          269,322  3.2",
        "lucky       63.33% ±57.37  3  0.1            269,322  3.2",
    ]
    assert err == "3 experiments\n"


def test_the_best_is_first_whatever_the_direction_of_the_metric(call: Call) -> None:
    for name, accuracy in (("b", 0.5), ("a", 0.9), ("c", 0.7)):
        save(name, [accuracy], batch_size=ord(name))
    for metric in ("accuracy", "valid_loss", "best_accuracy", "best_valid_loss"):
        assert names(call("list", "--sort", metric)[1]) == ["a", "c", "b"], metric
        assert names(call("list", "--sort", metric, "--reverse")[1]) == ["b", "c", "a"], metric
    assert call("list", "--sort", "valid_loss")[1].startswith("experiment  valid_loss")
    assert names(call("list", "--sort", "batch_size")[1]) == ["a", "b", "c"]


def test_equals_stand_in_natural_order(call: Call) -> None:
    for number in (10, 9, 1):
        save(f"e{number}", [0.5], batch_size=number)
    assert names(call("list")[1]) == ["e1", "e9", "e10"]


def test_a_configuration_with_several_names_is_listed_once(call: Call) -> None:
    save("one", [0.5, 0.6])
    save("same", [0.7], seeds=[2])
    save("other", [0.55], batch_size=3)
    _, out, err = call("list", "--columns", "accuracy,n,other_names")
    assert [line.split() for line in out.splitlines()[1:]] == [
        ["one", "60.00%", "±24.84", "3", "same"],
        ["other", "55.00%", "1"],
    ]
    assert err == "2 experiments\none is also same\n"


def test_experiments_without_a_complete_run_come_last_and_say_why(call: Call) -> None:
    save("bad", [0.1, 0.1], batch_size=1)
    save_failed("bad", 2, batch_size=1)
    save_failed("worse", 0, batch_size=2)
    for name in ("begun", "begun_s1", "bad_s3"):
        Store(LOGS).begin(name)
    _, out, _ = call("list", "--columns", "n,incomplete", "--sort", "n", "--reverse")
    assert [line.split(maxsplit=2) for line in out.splitlines()[1:]] == [
        ["bad", "2", "1 failed, 1 interrupted"],
        ["begun", "0", "2 interrupted"],
        ["worse", "0", "1 failed"],
    ]
    assert "incomplete" in call("list")[1]


def test_figures_of_different_images_stand_in_tables_of_their_own(call: Call) -> None:
    save("test_a", [0.5], batch_size=1)
    save("test_b", [0.6], batch_size=2)
    save("held_out", [0.99], validation=500)
    save_failed("failed")
    _, out, _ = call("list", "--columns", "accuracy")
    assert out.splitlines() == [
        "scored on the test images",
        "experiment  accuracy ±95%",
        "test_b      60.00%",
        "test_a      50.00%",
        "",
        "scored on 500 images held out",
        "experiment  accuracy ±95%",
        "held_out    99.00%",
        "",
        "without a complete run",
        "experiment  accuracy ±95%",
        "failed",
    ]
    told = json.loads(call("list", "--json")[1])["experiments"]
    assert [one["images"] for one in told[:3]] == [*["the test images"] * 2, "500 images held out"]


def test_a_share_and_validation_images_of_the_data_are_told_in_words(call: Call) -> None:
    save("share", [0.9], validation=0.125)
    save("own", [0.8], validation="valid", dataset="digits")
    told = json.loads(call("list", "--json")[1])["experiments"]
    assert {one["name"]: one["images"] for one in told} == {
        "share": "12.5% of the training images held out",
        "own": "the validation images of digits",
    }


def test_test_images_rank_together_whichever_others_were_held_out(call: Call) -> None:
    save("few", [0.5], validation=500)
    save("many", [0.6], validation=1000)
    assert names(call("list", "--sort", "test_accuracy")[1]) == ["many", "few"]


def test_a_mean_of_fewer_runs_than_there_are_says_so(call: Call) -> None:
    save("mlp", [0.5, 0.6])
    diverged = (make_record(1, valid_loss=float("nan")),)
    Store(LOGS).begin("mlp_s2")
    Store(LOGS).save(make_run(Experiment(name="mlp", epochs=1, seed=2), history=diverged))
    _, out, _ = call("list", "--columns", "n,valid_loss")
    assert out.splitlines()[1].split(maxsplit=2)[1:] == ["3", "0.4500 ±0.6353 (2 of 3)"]


def test_where_no_run_has_an_accuracy_the_loss_ranks(call: Call) -> None:
    for name, loss in (("a", 0.9), ("b", 0.25)):
        (LOGS / name).mkdir(parents=True)
        record = to_record(to_scalar("Loss/test", loss))
        write_records(LOGS / name / "events.out.tfevents.1.host", record)
    _, out, _ = call("list", "--columns", "valid_loss")
    assert out.splitlines() == [
        "experiment  valid_loss ±95%",
        "b           0.2500",
        "a           0.9000",
    ]
    assert names(call("list")[1]) == ["b", "a"]


@pytest.fixture
def grid(elsewhere: None) -> None:  # noqa: ARG001 - the folder in which the runs go
    """Three learning rates for each of two optimizers, of which one has a momentum."""
    for optimizer, arguments in (("Adam", {}), ("SGD", {"momentum": 0.9})):
        for rate in (0.1, 0.01, 0.001):
            settings = {"optimizer": optimizer, "optimizer_args": arguments}
            save(f"{optimizer}_{rate}", [rate + 0.5], learning_rate=rate, **settings)


@pytest.mark.usefixtures("grid")
@pytest.mark.parametrize(
    ("conditions", "chosen"),
    [
        (["learning_rate = 0.01"], ["Adam_0.01", "SGD_0.01"]),
        (['optimizer = "SGD" and learning_rate in [0.1, 0.001]'], ["SGD_0.1", "SGD_0.001"]),
        (['optimizer = "SGD"', "learning_rate = 0.1"], ["SGD_0.1"]),
        (["optimizer_args.momentum = 0.9", "SGD_*1"], ["SGD_0.1", "SGD_0.01", "SGD_0.001"]),
        (["Adam_0.1, SGD_0.01"], ["Adam_0.1", "SGD_0.01"]),
        (["train_steps = 100", "depth = 2", "Adam_0.1"], ["Adam_0.1"]),
    ],
)
def test_only_experiments_for_which_all_conditions_hold_are_listed(
    conditions: list[str], chosen: list[str], call: Call
) -> None:
    words = [word for condition in conditions for word in ("--where", condition)]
    assert names(call("list", *words)[1]) == chosen


@pytest.mark.usefixtures("grid")
@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--sort", "accuray"], "--sort accuray: no such column; did you mean accuracy?"),
        (["--columns", "lr"], "--columns lr: no such column; did you mean learning_rate?"),
        (["--sort", "val_loss"], "--sort val_loss: no such column; did you mean valid_loss?"),
        (
            ["--columns", "momentum"],
            "--columns momentum: no such column; did you mean optimizer_args.momentum?",
        ),
        (["--columns", "n, secnds"], "--columns secnds: no such column; did you mean seconds?"),
        (
            ["--sort", "optimizer_args.momentun"],
            "--sort optimizer_args.momentun: no such column; did you mean optimizer_args.momentum?",
        ),
        (["--columns", "zzz"], "--columns zzz: no such column; there are accuracy, batch_size, "),
        (["--columns", "epochs.x"], "--columns epochs.x: epochs is one value; write epochs"),
        (["--where", "lr = 1"], "--where lr = 1: lr: no such setting; did you mean learning_rate?"),
        (
            ["--where", "learning_rate = 0.2"],
            "--where learning_rate = 0.2: no experiment has learning_rate = 0.2; there are 0.001, ",
        ),
        (
            ["--where", "Adm_*"],
            "--where Adm_*: no experiment is called Adm_*; did you mean Adam_0.1?",
        ),
        (["--where", "optimizer = SGD"], "SGD at character 13: write a value as TOML has it"),
        (["--where", "accuracy > 0.5"], "accuracy: is a metric; a condition asks for settings"),
        (["--where", "epochs >= 5"], "--where epochs >= 5: no experiment has epochs >= 5"),
        (["--where", "epochs => 5"], '=> at character 8: write ">="'),
        (["--where", "epochs = 1 or epochs = 2"], "or at character 12: write SETTING = VALUE, "),
        (
            ["--where", "learning_rate = 0.1", "--where", "Adam_0.01"],
            "--where learning_rate = 0.1 --where Adam_0.01: no experiment has all of this at once",
        ),
        (["--json", "--csv"], "--csv: --json is given, too; write one of them"),
    ],
)
def test_a_mistake_is_named_with_what_was_probably_meant(
    words: list[str], told: str, call: Call
) -> None:
    code, out, err = call("list", *words)
    assert (code, out) == (2, "")
    assert told in err
    assert err.endswith("\n1 mistake; nothing was done\n")


@pytest.mark.usefixtures("grid")
def test_a_part_of_a_setting_is_a_column(call: Call) -> None:
    _, out, _ = call("list", "--columns", "optimizer_args.momentum,units1", "--limit", "2")
    assert [line.split() for line in out.splitlines()] == [
        ["experiment", "optimizer_args.momentum", "units1"],
        ["Adam_0.1", "256"],
        ["SGD_0.1", "0.9", "256"],
    ]


def test_a_text_of_thousands_of_digits_is_in_an_order_too(call: Call) -> None:
    for name in ("a", "b"):
        save(name, [0.5], optimizer_args={"note": name + "7" * 9_000})
    assert call("list", "--columns", "n", "--sort", "optimizer_args.note")[0] == 0


def test_csv_has_the_figures_of_the_table_of_experiments(call: Call) -> None:
    for number, accuracies in enumerate(([0.5, 0.6, 0.65], [0.9], [0.1, 0.2])):
        save(f"e{number}", accuracies, batch_size=number + 1, validation=100)
    call("summarize", "--by-experiment", "means.csv")
    means = csv.DictReader(Path("means.csv").read_text().splitlines())
    expected = {row["name"]: row for row in means}
    wanted = "accuracy,test_loss,n,batch_size,weights"
    _, out, _ = call("list", "--csv", "--columns", wanted)
    listed = [*csv.DictReader(out.splitlines())]
    assert [row["name"] for row in listed] == ["e1", "e0", "e2"]
    for row in listed:
        assert len(row) == 10
        assert row.items() <= expected[row["name"]].items()


def test_json_has_all_settings_and_metrics_whatever_the_columns(call: Call) -> None:
    save("mlp", [0.5, 0.6], optimizer_args={"eps": 1e-7})
    save_failed("mlp", 2, optimizer_args={"eps": 1e-7})
    told = json.loads(call("list", "--json", "--columns", "n", "--limit", "1")[1])
    (mlp,) = told["experiments"]
    assert told["metric"] == "accuracy"
    assert (mlp["name"], mlp["n"], mlp["incomplete"]) == ("mlp", 2, {"failed": 1})
    assert mlp["settings"]["optimizer_args"] == {"eps": 1e-7}
    assert mlp["metrics"]["valid_loss"]["mean"] == pytest.approx(0.45)
    assert mlp["metrics"]["accuracy"].keys() == {"n", "mean", "sd", "low", "high"}


def test_all_are_shown_unless_a_limit_is_given(call: Call) -> None:
    for number in range(60):
        save(f"e{number}", [number / 100], batch_size=number + 1)
    assert len(names(call("list")[1])) == 60
    _, out, err = call("list", "--limit", "3")
    assert names(out) == ["e59", "e58", "e57"]
    assert err == "60 experiments, 3 shown\n"
    assert call("list", "--limit", "0")[0] == 2


@pytest.mark.parametrize("width", [20, 40, 60, 80, 200])
def test_a_narrow_terminal_gets_whole_figures_and_says_which_columns_are_missing(
    width: int, call: Call, narrow: Narrow
) -> None:
    for number in range(4):
        settings = {"batch_size": number + 1, "epochs": number + 1, "learning_rate": 10.0**-number}
        save(f"experiment_number_{number}", [0.5, 0.5 + number / 100], **settings)
    narrow(width)
    _, out, err = call("list")
    assert all(len(plain(line)) <= width for line in out.splitlines())
    for figure in ("50.50%", "51.00%", "±12.71", "51.50%", "±19.06"):
        assert figure in out
    missing = re.findall(r"^left out, as the terminal is narrow: (.*); --columns", err, re.M)
    for title in ("epochs", "batch_size", "learning_rate", "weights", "seconds"):
        assert (title[:4] in out) is not (title in ", ".join(missing))
    assert bool(missing) is (width < 80)


def test_an_empty_folder_has_no_experiments(call: Call) -> None:
    LOGS.mkdir()
    assert call("list") == (0, "", "no runs; fmgrid run trains some\n")
    assert json.loads(call("list", "--json")[1])["experiments"] == []
    assert call("list", "nowhere")[0] == 2


@pytest.mark.parametrize("command", ["list", "summarize", "report", "status"])
def test_a_command_about_a_log_folder_takes_modellogs(command: str, call: Call) -> None:
    save("one", [0.5])
    code, _, _ = call(command)
    assert code == 0


scores = st.lists(st.lists(st.integers(0, 1000), min_size=1, max_size=3), min_size=1, max_size=6)


@profile(max_examples=30)
@given(scores, st.booleans(), st.integers(1, 7))
def test_any_experiments_are_in_order_of_what_is_shown(
    per_mille: list[list[int]], reverse: bool, limit: int
) -> None:
    made = study_of(
        one
        for number, values in enumerate(per_mille)
        for one in rows(f"e{number}", [value / 1000 for value in values], batch_size=number + 1)
    )
    entries = [Entry(experiment, {}) for experiment in made.configurations]
    options = ListOptions(Path(), None, reverse, None, None, limit, json=False, csv=False)
    listed = to_tables(entries, options)
    means = [entry.experiment.mean("accuracy") for entry in listed.tables[0]]
    expected = sorted((fmean(values) / 1000 for values in per_mille), reverse=not reverse)
    assert means == pytest.approx(expected[:limit])
