import csv
import errno
import gc
import io
import json
import os
import shutil
import struct
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from datetime import timedelta
from itertools import pairwise
from math import isnan, nan
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from command import ROOT
from fmgrid.analysis.comparisons import compare_published
from fmgrid.analysis.study import COLUMNS as EXPERIMENT_COLUMNS
from fmgrid.analysis.study import by_experiment, is_header_of_table, to_study
from fmgrid.errors import InputError, StoreError
from fmgrid.experiment import Experiment, Failure, Run
from fmgrid.reporting import read_reference
from fmgrid.results.store import Store
from fmgrid.results.summary import (
    COLUMNS,
    HISTORY_COLUMNS,
    Contents,
    as_text,
    natural_order,
    read_runs,
    to_csv,
    to_history_rows,
    to_rows,
)
from made_up_runs import STARTED, make_record, make_run
from made_up_studies import rows as made_up_rows
from made_up_studies import study_of
from unlistable import refuse

HEADER = (
    "dataset,validation,epochs,train_steps,train_images,batch_size,hidden_units,units1,units2,"
    "depth,learning_rate,optimizer,optimizer_args,accuracy,valid_loss,train_loss,best_accuracy,"
    "best_epoch,best_valid_loss,test_accuracy,test_loss,weights,images_seen,seconds,status,"
    "seed,name,run,trained_as,error,group,fingerprint,dataset_args,content,network,network_args,"
    "precision,layout,standardize"
)
HISTORY_HEADER = (
    "run,name,seed,epoch,train_loss,valid_loss,accuracy,learning_rate,images_seen,seconds"
)

# Plain mltrainer, as its documentation has it, in a folder per run
FOREIGN = """
import sys
from pathlib import Path
import torch
from mltrainer import ReportTypes, Trainer, TrainerSettings, metrics
from torch import nn

class NeuralNetwork(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Flatten(), nn.Linear(784, 16), nn.ReLU(), nn.Linear(16, 8), nn.ReLU(),
            nn.Linear(8, 10),
        )

    def forward(self, x):
        return self.layers(x)

def batches():
    while True:
        yield torch.rand(8, 1, 28, 28), torch.randint(0, 10, (8,))

for name in sys.argv[2:]:
    trainer = Trainer(
        model=NeuralNetwork(),
        settings=TrainerSettings(
            epochs=2, metrics=[metrics.Accuracy()], logdir=Path(sys.argv[1], name), train_steps=3,
            valid_steps=2, reporttypes=[ReportTypes.TENSORBOARD, ReportTypes.TOML],
            optimizer_kwargs={"lr": 0.001, "weight_decay": 1e-5}, scheduler_kwargs=None,
            earlystop_kwargs=None,
        ),
        loss_fn=nn.CrossEntropyLoss(), optimizer=torch.optim.Adam, traindataloader=batches(),
        validdataloader=batches(), scheduler=None,
    )
    trainer.loop()
    trainer.writer.close()
"""


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of plain mltrainer's: `first/<time stamp>/` and `deep/second/<time stamp>/`.

    Another process writes it, because mltrainer imports mlflow, whose warnings aren't ours.
    """
    folder = tmp_path_factory.mktemp("foreign")
    command = [sys.executable, "-c", FOREIGN, str(folder), "first", "deep/second"]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    return folder


def save(root: Path, *runs: Run) -> Store:
    store = Store(root)
    for run in runs:
        store.begin(run.experiment.run_name)
        store.save(run)
    return store


def run_of(name: str, **settings: Any) -> Run:
    return make_run(Experiment(name=name, **settings))


def csv_of(root: Path) -> str:
    return to_csv(to_rows(read_runs(root).runs))


def parse(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


def bits(number: float) -> bytes:
    return struct.pack("<d", number)


def names(contents: Contents) -> list[str]:
    return [run.run for run in contents.runs]


def test_the_columns_are_the_documented_ones_in_their_order(tmp_path: Path) -> None:
    save(tmp_path, run_of("mlp"))
    assert csv_of(tmp_path).splitlines()[0] == HEADER == ",".join(COLUMNS)


OF_0_1 = (
    "dataset validation epochs train_steps train_images batch_size hidden_units units1 "
    "units2 depth learning_rate optimizer optimizer_args accuracy valid_loss train_loss "
    "best_accuracy best_epoch best_valid_loss test_accuracy test_loss weights "
    "images_seen seconds status seed name run trained_as error "
)
MEANS_OF_0_1 = (
    "name dataset validation epochs train_steps train_images batch_size hidden_units "
    "units1 units2 depth learning_rate optimizer optimizer_args n failed weights "
    "images_seen accuracy_mean accuracy_sd accuracy_low accuracy_high valid_loss_mean "
    "valid_loss_sd valid_loss_low valid_loss_high train_loss_mean train_loss_sd "
    "train_loss_low train_loss_high best_accuracy_mean best_accuracy_sd "
    "best_accuracy_low best_accuracy_high test_accuracy_mean test_accuracy_sd "
    "test_accuracy_low test_accuracy_high test_loss_mean test_loss_sd test_loss_low "
    "test_loss_high "
)


@pytest.mark.parametrize(
    ("name", "columns", "old"),
    [
        ("experiment_summary.csv", COLUMNS, OF_0_1.split()),
        ("by_experiment.csv", EXPERIMENT_COLUMNS, MEANS_OF_0_1.split()),
    ],
)
def test_tables_begin_with_the_columns_of_version_0_1(
    name: str, columns: tuple[str, ...], old: list[str]
) -> None:
    assert list(columns[: len(old)]) == old
    with (ROOT / "docs" / "replication" / name).open() as table:
        new = table.readline().rstrip().split(",")
    assert new[: len(old)] == old
    assert is_header_of_table(",".join(new))


def test_an_empty_folder_gives_a_table_of_columns(tmp_path: Path) -> None:
    assert csv_of(tmp_path) == HEADER + "\n"
    assert read_runs(tmp_path) == Contents()


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for name in ("nowhere", "file"):
        with pytest.raises(InputError, match=f"{name}: no such folder"):
            read_runs(tmp_path / name)


def test_a_row_holds_what_was_set_and_what_came_of_it(tmp_path: Path) -> None:
    history = (
        make_record(1, accuracy=0.5, valid_loss=0.75),
        make_record(2, accuracy=0.875, valid_loss=0.5),
        make_record(3, accuracy=0.75, valid_loss=0.625, train_loss=0.25),
    )
    experiment = Experiment(
        name="mlp",
        epochs=3,
        hidden_units=(64, 32, 16),
        seed=2,
        validation=1000,
        optimizer_args={"weight_decay": 1e-5, "betas": [0.9, 0.99]},
        train_steps="full",
    )
    outcome = {"test_accuracy": 0.5, "test_loss": 1.5, "trained_as": "other", "history": history}
    save(tmp_path, make_run(experiment, **outcome))
    (row,) = parse(csv_of(tmp_path))
    assert row == {
        "dataset": "fashion-mnist",
        "validation": "1000",
        "epochs": "3",
        "train_steps": "full",
        "train_images": "",
        "batch_size": "64",
        "hidden_units": "64 32 16",
        "units1": "64",
        "units2": "32",
        "depth": "3",
        "learning_rate": "0.001",
        "optimizer": "Adam",
        "optimizer_args": '{"betas": [0.9, 0.99], "weight_decay": 1e-05}',
        "accuracy": "0.75",
        "valid_loss": "0.625",
        "train_loss": "0.25",
        "best_accuracy": "0.875",
        "best_epoch": "2",
        "best_valid_loss": "0.5",
        "test_accuracy": "0.5",
        "test_loss": "1.5",
        "weights": "269322",
        "images_seen": "19200",
        "seconds": "3.25",
        "status": "complete",
        "seed": "2",
        "name": "mlp",
        "run": "mlp_s2",
        "trained_as": "other",
        "error": "",
        "group": "",
        "fingerprint": experiment.fingerprint,
        "network": "MLP",
        "dataset_args": "{}",
        "content": "",
        "network_args": "{}",
        "precision": "float32",
        "layout": "auto",
        "standardize": "False",
        "optimizer_args.betas": "[0.9, 0.99]",
        "optimizer_args.weight_decay": "1e-05",
    }


@pytest.mark.parametrize(
    "lengths",
    [
        pytest.param([{"train_steps": 9}, {"train_images": 64}], id="steps and images"),
        pytest.param([{"train_images": 64}, {"train_images": 640}], id="images alone"),
        pytest.param(
            [{"train_steps": "full"}, {"train_steps": 9}, {"train_images": 64}],
            id="a full pass as well",
        ),
    ],
)
def test_the_length_of_an_epoch_is_written_as_it_was_set(
    lengths: list[dict[str, Any]], tmp_path: Path
) -> None:
    save(tmp_path, *(run_of(f"mlp_{number}", **length) for number, length in enumerate(lengths)))
    columns = ("train_steps", "train_images")
    rows = parse(csv_of(tmp_path))
    assert [[row[column] for column in columns] for row in rows] == [
        [str(length.get(column, "")) for column in columns] for length in lengths
    ]


def test_the_same_folder_gives_the_same_bytes(tmp_path: Path, foreign: Path) -> None:
    save(tmp_path, run_of("b"), run_of("a", seed=1), run_of("a"))
    (tmp_path / "foreign").symlink_to(foreign)
    assert csv_of(tmp_path) == csv_of(tmp_path)
    assert csv_of(foreign) == csv_of(foreign)


def test_the_order_of_writing_leaves_no_trace(tmp_path: Path) -> None:
    runs = [run_of(name) for name in ("b", "a", "c")]
    save(tmp_path / "one", *runs)
    save(tmp_path / "other", *reversed(runs))
    assert csv_of(tmp_path / "one") == csv_of(tmp_path / "other")


def test_rows_are_in_the_order_people_count_in(tmp_path: Path) -> None:
    save(tmp_path, *(run_of(f"epochs_{n}") for n in (10, 3, 100, 5)))
    save(tmp_path, run_of("epochs_5", seed=12), run_of("epochs_5", seed=2))
    expected = ["3", "5", "5_s2", "5_s12", "10", "100"]
    assert names(read_runs(tmp_path)) == [f"epochs_{n}" for n in expected]


@given(st.lists(st.text(st.sampled_from("abe019_.-²٣")), max_size=5, unique=True))
def test_any_names_can_be_put_in_order(names: list[str]) -> None:
    keys = [natural_order(name) for name in sorted(names, key=natural_order)]
    assert all(first < second for first, second in pairwise(keys))


def test_names_with_numbers_stand_in_the_order_of_these() -> None:
    rates = ["1e-05", "0.0001", "0.0005", "0.001", "0.005", "0.01", "1", "1.5", "10"]
    names = [f"lr_{rate}" for rate in rates]
    assert sorted({*names}, key=natural_order) == names
    epochs = [f"a{rate}_{epochs}_x" for rate in rates for epochs in (3, 5, 10)]
    assert sorted({*epochs}, key=natural_order) == epochs


def test_whole_numbers_stay_whole_where_some_are_missing(tmp_path: Path) -> None:
    save(tmp_path, run_of("deep"), run_of("linear", hidden_units=()))
    save(tmp_path, make_run(Experiment(name="failed"), history=(), weights=None, status="failed"))
    deep, failed, linear = parse(csv_of(tmp_path))
    assert (deep["units1"], deep["best_epoch"], deep["weights"]) == ("256", "5", "269322")
    assert (linear["units1"], linear["depth"], linear["hidden_units"]) == ("", "0", "")
    assert (failed["best_epoch"], failed["weights"], failed["images_seen"]) == ("", "", "")


@given(st.lists(st.floats(allow_nan=False), min_size=1, max_size=9))
def test_numbers_are_read_back_to_the_same_bits(numbers: list[float]) -> None:
    text = to_csv([{"run": "mlp", "valid_loss": number} for number in numbers])
    assert [bits(float(row["valid_loss"])) for row in parse(text)] == list(map(bits, numbers))
    table = pd.read_csv(io.StringIO(text), float_precision="round_trip")
    assert [bits(number) for number in table["valid_loss"]] == list(map(bits, numbers))


texts = st.text(st.sampled_from("\",;\n\r\t '=\\é") | st.characters(codec="utf-8"))


@settings(max_examples=50)
@given(st.lists(texts, min_size=1, max_size=3))
def test_any_text_is_read_back_on_one_line(
    tmp_path_factory: pytest.TempPathFactory, messages: list[str]
) -> None:
    root = tmp_path_factory.mktemp("runs")
    for number, message in enumerate(messages):
        failure = Failure(message=message)
        save(root, make_run(Experiment(name=f"{number}"), status="failed", failure=failure))
    text = csv_of(root)
    assert [row["error"] for row in parse(text)] == list(map(as_text, messages))
    assert len(text.splitlines()) == 1 + len(messages)


FORMULAS = [
    *("=1+1", "=cmd|' /C calc'!A0", "+1", "-1", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "\n=1"),
    *(" =1", "\u3000=1", "\uff1d1", "\u2028@x", '=HYPERLINK("http://x","y")'),
]


def seen_by_pandas(text: str, column: str) -> list[str]:
    table = pd.read_csv(io.StringIO(text), dtype=str, keep_default_na=False)
    return list(table[column])


@pytest.mark.parametrize("columns", [COLUMNS, HISTORY_COLUMNS, EXPERIMENT_COLUMNS], ids=len)
@pytest.mark.parametrize("formula", FORMULAS)
def test_a_text_that_begins_like_a_formula_is_none_in_any_table(
    formula: str, columns: tuple[str, ...]
) -> None:
    row: dict[str, Any] = dict.fromkeys(columns)
    texts = {"name", "run", "trained_as", "error", "optimizer", "status"} & set(columns)
    text = to_csv([row | dict.fromkeys(texts, formula)], columns)
    assert len(text.splitlines()) == 2
    for column in texts:
        (found,) = seen_by_pandas(text, column)
        assert found == parse(text)[0][column] == "'" + " ".join(formula.splitlines())


def test_numbers_below_zero_and_harmless_texts_are_written_as_they_are() -> None:
    values = {"valid_loss": -0.5, "name": "a-b=c+d@e", "run": "'", "error": "x: =1"}
    (row,) = parse(to_csv([values]))
    assert {name: row[name] for name in values} == {**values, "valid_loss": "-0.5"}


def test_what_strangers_call_their_folders_and_errors_reaches_no_spreadsheet(
    tmp_path: Path, foreign: Path
) -> None:
    failure = Failure(message="=1+1")
    experiment = Experiment(name="a", optimizer="@b:C", optimizer_args={"=x": "=y"})
    save(tmp_path, make_run(experiment, status="failed", failure=failure))
    for name in ("=1+1", "-x", "@y\r=z"):
        shutil.copytree(foreign / "first", tmp_path / name)
    contents = read_runs(tmp_path, with_history=True)
    experiments = by_experiment(to_study(contents, []))
    for rows, columns in (
        (to_rows(contents.runs), COLUMNS),
        (to_history_rows(contents.runs), HISTORY_COLUMNS),
        (experiments, EXPERIMENT_COLUMNS),
    ):
        text = to_csv(rows, columns)
        assert len(text.splitlines()) == 1 + len(rows)
        for row in parse(text):
            assert not [v for v in row.values() if v[:1] in ("=", "+", "-", "@", "\t", "\r")]


def test_a_table_serves_as_reference_whatever_its_names_begin_with(tmp_path: Path) -> None:
    rows = [{"name": "=1+1", "accuracy": 0.5}, {"name": "b", "accuracy": 0.5}]
    text = to_csv(rows)
    (tmp_path / "table.csv").write_text(text)
    found = read_reference(tmp_path / "table.csv")
    assert list(found.figures) == seen_by_pandas(text, "name") == ["'=1+1", "b"]
    study = study_of([*made_up_rows("=1+1", [0.5]), *made_up_rows("b", [0.5])])
    beside = compare_published(study, found.figures, "accuracy")
    assert [one.name for one in beside] == ["'=1+1", "b"]


def test_a_failed_run_has_a_row_with_its_error(tmp_path: Path) -> None:
    failure = Failure(message='ValueError: no "luck", twice', traceback="Traceback\n...")
    failed = make_run(Experiment(name="b"), status="failed", history=(), failure=failure)
    save(tmp_path, run_of("a"), failed)
    complete, row = parse(csv_of(tmp_path))
    assert (complete["status"], complete["error"]) == ("complete", "")
    assert (row["status"], row["error"]) == ("failed", 'ValueError: no "luck", twice')
    assert row["accuracy"] == ""
    assert row["epochs"] == "5"


def test_what_was_not_a_number_stays_empty(tmp_path: Path) -> None:
    history = (make_record(1, train_loss=nan),)
    save(tmp_path, make_run(Experiment(name="a"), status="failed", history=history))
    table = pd.read_csv(io.StringIO(csv_of(tmp_path)))
    assert isnan(table["train_loss"][0])


def test_runs_that_are_not_finished_are_named_and_have_no_row(tmp_path: Path) -> None:
    save(tmp_path, run_of("a")).begin("b")
    contents = read_runs(tmp_path)
    assert names(contents) == ["a"]
    assert contents.unfinished == ["b"]
    assert contents.warnings == []


def test_damaged_results_cost_a_warning_and_their_row(tmp_path: Path) -> None:
    store = save(tmp_path, run_of("a"), run_of("b"), run_of("c"))
    path = store.results_file("b")
    path.write_bytes(path.read_bytes().replace(b"accuracy = 0.53", b"accuracy = 0.99"))
    contents = read_runs(tmp_path)
    assert names(contents) == ["a", "c"]
    (warning,) = contents.warnings
    assert warning.startswith(f"{path}: was changed or damaged")


def test_folders_within_folders_are_summarized_too(tmp_path: Path) -> None:
    save(tmp_path / "monday", run_of("a"))
    save(tmp_path / "tuesday" / "evening", run_of("b"))
    assert names(read_runs(tmp_path)) == ["a", "b"]


def test_a_single_run_is_summarized_by_its_folder(tmp_path: Path, foreign: Path) -> None:
    save(tmp_path, run_of("a"))
    assert names(read_runs(tmp_path / "a")) == ["a"]
    (folder,) = (foreign / "first").iterdir()
    assert names(read_runs(folder)) == [folder.name]


def test_what_was_set_aside_is_passed_over(tmp_path: Path) -> None:
    store = save(tmp_path, run_of("a"))
    store.set_aside("a")
    save(tmp_path / ".hidden", run_of("b"))
    assert read_runs(tmp_path) == Contents()


def test_links_to_runs_and_log_folders_are_followed(tmp_path: Path) -> None:
    save(tmp_path / "elsewhere", run_of("a"), run_of("b"))
    save(tmp_path / "logs", run_of("c"))
    (tmp_path / "logs" / "called_otherwise").symlink_to(tmp_path / "elsewhere" / "a")
    assert names(read_runs(tmp_path / "logs")) == ["a", "c"]
    (tmp_path / "logs" / "more").symlink_to(tmp_path / "elsewhere")
    assert names(read_runs(tmp_path / "logs")) == ["a", "b", "c"]
    (tmp_path / "linked").symlink_to(tmp_path / "logs" / "c")
    assert names(read_runs(tmp_path / "linked")) == ["c"]


def test_a_run_that_several_links_lead_to_counts_once_and_by_its_own_path(tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    save(logs / "z", run_of("a"))
    for name in ("1", "2"):
        (logs / name).symlink_to(logs / "z" / "a")
    (logs / "all").symlink_to(logs / "z")
    contents = read_runs(logs)
    assert [run.folder for run in contents.runs] == ["z/a"]
    assert contents.warnings == []


@pytest.mark.parametrize("target", [".", "..", "deep/deeper", "deep", "/"])
def test_links_in_a_circle_are_followed_once(target: str, tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    save(logs, run_of("a"))
    save(tmp_path / "beside", run_of("b"))  # which is not below the folder
    save(logs / "deep" / "deeper", run_of("c"))
    (logs / "deep" / "deeper" / "link").symlink_to(logs / target)
    assert names(read_runs(logs)) == ["a", "c"]


def test_a_link_that_cannot_be_followed_is_named(tmp_path: Path) -> None:
    (tmp_path / "gone").symlink_to(tmp_path / "nowhere")
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    (tmp_path / ".#lock").symlink_to("somebody@somewhere")  # as Emacs makes them
    assert read_runs(tmp_path).warnings == [
        f"{tmp_path / name}: is a link that cannot be followed" for name in ("circle", "gone")
    ]


@pytest.fixture
def dig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int], Path]]:
    """Nest folders deeper than Python recurses, and take them away afterwards."""

    def nest(depth: int) -> Path:
        monkeypatch.chdir(tmp_path)
        for _ in range(depth):
            Path("d").mkdir()
            os.chdir("d")
        monkeypatch.undo()
        return Path(tmp_path, *["d"] * depth)

    yield nest
    subprocess.run(["rm", "-r", str(tmp_path / "d")], check=True)


def test_a_run_below_1500_folders_is_read(tmp_path: Path, dig: Callable[[int], Path]) -> None:
    save(dig(1_500), run_of("a"))
    assert names(read_runs(tmp_path)) == ["a"]


def test_folders_too_deep_for_any_path_are_named(
    tmp_path: Path, dig: Callable[[int], Path]
) -> None:
    save(tmp_path, run_of("a"))
    dig(2_100)
    contents = read_runs(tmp_path)
    assert names(contents) == ["a"]
    (warning,) = contents.warnings
    assert warning.endswith("/d: cannot be listed: File name too long; its runs are left out")
    assert len(warning) < 500


# Folders that cannot be listed


@pytest.mark.parametrize("error", [errno.EACCES, errno.EIO])
@pytest.mark.parametrize("where", ["b", "deep", "deep/deeper"])
def test_a_folder_that_cannot_be_listed_is_named(
    where: str, error: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(tmp_path, run_of("a"), run_of("b"))
    save(tmp_path / "deep" / "deeper", run_of("c"))
    refuse(tmp_path / where, error, monkeypatch)
    contents = read_runs(tmp_path)
    assert contents.warnings == [
        f"{tmp_path / where}: cannot be listed: {os.strerror(error)}; its runs are left out"
    ]
    assert names(contents) == (["a", "c"] if where == "b" else ["a", "b"])


def test_runs_set_aside_that_cannot_be_listed_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = save(tmp_path, run_of("a"))
    store.set_aside("a")
    save(tmp_path, run_of("a"))
    refuse(tmp_path / ".replaced", errno.EACCES, monkeypatch)
    (warning,) = read_runs(tmp_path, with_history=True).warnings
    assert warning.startswith(f"{tmp_path}/.replaced: cannot be listed: Permission denied")
    assert read_runs(tmp_path).warnings == []  # nothing is asked of them


def test_a_log_folder_that_cannot_be_listed_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse(tmp_path, errno.EACCES, monkeypatch)
    with pytest.raises(StoreError, match="cannot be listed: Permission denied"):
        read_runs(tmp_path)


def test_when_runs_began_that_were_set_aside_is_known_in_log_folders_below(tmp_path: Path) -> None:
    store = save(tmp_path / "deep", run_of("a"))
    store.set_aside("a")
    later = make_run(Experiment(name="a"), started=STARTED + timedelta(days=1))
    save(tmp_path / "deep", later)
    assert read_runs(tmp_path, with_history=True).begun == {"a": STARTED}


@pytest.mark.parametrize(
    "name",
    ["._events.out.tfevents.1.host", "._mlp_results.toml", ".DS_Store", "Thumbs.db", "desktop.ini"],
)
def test_files_that_systems_leave_are_no_runs(name: str, tmp_path: Path) -> None:
    save(tmp_path, run_of("mlp"))
    for folder in (tmp_path, tmp_path / "mlp", tmp_path / "empty"):
        folder.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"\0\5\x16\7")
    contents = read_runs(tmp_path, with_history=True)
    assert (names(contents), contents.warnings, contents.unfinished) == (["mlp"], [], [])


def test_other_files_and_folders_are_no_runs(tmp_path: Path) -> None:
    save(tmp_path, run_of("a"))
    (tmp_path / "README.md").write_text("# Runs")
    (tmp_path / "other_results.toml").write_text("x = 1")
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "settings.toml").write_text("[model]")
    contents = read_runs(tmp_path)
    assert (names(contents), contents.warnings, contents.unfinished) == (["a"], [], [])


def test_plain_mltrainers_runs_have_rows_of_what_can_be_known(foreign: Path) -> None:
    contents = read_runs(foreign, with_history=True)
    stamps = [path.parent for path in foreign.rglob("settings.toml")]
    assert sorted(names(contents)) == sorted(p.relative_to(foreign).as_posix() for p in stamps)
    assert names(contents)[0].startswith("deep/second/")
    assert contents.warnings == []
    rows = parse(to_csv(to_rows(contents.runs)))
    for row in rows:
        known = ["epochs", "train_steps", "hidden_units", "learning_rate", "best_epoch", "depth"]
        assert [row[name] for name in known[:4]] == ["2", "3", "16 8", "0.001"]
        assert row["best_epoch"] in ("1", "2")
        assert row["status"] == "complete"
        assert row["optimizer_args"] == '{"weight_decay": 1e-05}'
        assert 0 <= float(row["accuracy"]) <= float(row["best_accuracy"]) <= 1
        assert float(row["seconds"]) >= 0
        unknown = ("dataset", "batch_size", "optimizer", "seed", "weights", "trained_as", "error")
        assert {row[name] for name in unknown} == {""}


def test_numbers_of_single_precision_are_as_short_as_they_were_written(foreign: Path) -> None:
    contents = read_runs(foreign, with_history=True)
    history = to_history_rows(contents.runs)
    assert {epoch["learning_rate"] for epoch in history} == {0.001}
    measured = ("accuracy", "valid_loss", "train_loss", "best_accuracy", "best_valid_loss")
    for row in to_rows(contents.runs):
        assert all(row[name] == float(f"{row[name]:.7g}") for name in measured)
    for epoch in history:
        assert all(epoch[name] == float(f"{epoch[name]:.7g}") for name in measured[:3])


def test_runs_of_both_kinds_share_a_table(tmp_path: Path, foreign: Path) -> None:
    save(tmp_path, run_of("a"))
    (stamped,) = (foreign / "first").iterdir()
    copy = tmp_path / "by_hand" / stamped.name
    copy.mkdir(parents=True)
    for path in stamped.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    ours, theirs = parse(csv_of(tmp_path))
    assert (ours["run"], theirs["run"]) == ("a", f"by_hand/{stamped.name}")
    assert (ours["epochs"], theirs["epochs"]) == ("5", "2")


def test_damage_to_a_file_of_mltrainers_costs_a_warning_that_names_it(
    tmp_path: Path, foreign: Path
) -> None:
    (stamped,) = (foreign / "first").iterdir()
    for path in stamped.iterdir():
        content = path.read_bytes()
        (tmp_path / path.name).write_bytes(content[:-5] if "tfevents" in path.name else content)
    (tmp_path / "model.toml").unlink()
    contents = read_runs(tmp_path)
    assert len(contents.runs) == 1
    assert len(contents.warnings) == 2
    assert contents.warnings[0].startswith(f"{tmp_path}/model.toml: ")
    assert contents.warnings[1].startswith(f"{tmp_path}/events.out.tfevents.")


def test_the_history_has_a_row_per_epoch_in_the_order_of_the_runs(tmp_path: Path) -> None:
    save(tmp_path, run_of("mlp_10", epochs=2), run_of("mlp_2", epochs=1, seed=0))
    contents = read_runs(tmp_path, with_history=True)
    text = to_csv(to_history_rows(contents.runs), HISTORY_COLUMNS)
    assert text.splitlines() == [
        HISTORY_HEADER,
        "mlp_2,mlp_2,0,1,1.0,1.5,0.51,0.001,6400,1.0",
        "mlp_10,mlp_10,0,1,1.0,1.5,0.51,0.001,6400,1.0",
        "mlp_10,mlp_10,0,2,0.5,0.75,0.52,0.001,12800,2.0",
    ]


def test_the_history_of_a_failed_run_goes_as_far_as_it_came(tmp_path: Path) -> None:
    failed = make_run(Experiment(name="a", epochs=5), status="failed", history=(make_record(1),))
    save(tmp_path, failed)
    assert len(read_runs(tmp_path, with_history=True).runs[0].history) == 1


def test_an_empty_history_is_a_table_of_columns() -> None:
    assert to_csv([], HISTORY_COLUMNS) == HISTORY_HEADER + "\n"


def test_histories_that_nobody_asked_for_take_no_memory(tmp_path: Path) -> None:
    def kept(epochs: int) -> int:
        history = tuple(make_record(epoch) for epoch in range(1, epochs + 1))
        root = tmp_path / str(epochs)
        experiments = (Experiment(name=name, epochs=200) for name in "abcdefgh")
        save(root, *(make_run(one, history=history) for one in experiments))
        read_runs(root)  # for whatever is cached the first time
        tracemalloc.start()
        contents = read_runs(root)
        gc.collect()
        size = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        assert len(contents.runs) == 8
        return size

    assert kept(epochs=200) < 1.2 * kept(epochs=100)


def test_arguments_are_written_as_json(tmp_path: Path) -> None:
    arguments = {"b": [1, 2.5], "a": {"x": True}, "é": "\n"}
    save(tmp_path, run_of("a", optimizer_args=arguments))
    (row,) = parse(csv_of(tmp_path))
    assert json.loads(row["optimizer_args"]) == arguments
