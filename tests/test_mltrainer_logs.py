"""Folders that plain mltrainer left on real machines, and others beside them."""

import csv
import io
import math
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tomlserializer import TOMLSerializer

from fmgrid.analysis.study import by_experiment, to_study
from fmgrid.results.mltrainer_logs import read_mltrainer_folder
from fmgrid.results.summary import COLUMNS, Contents, read_runs, to_csv, to_rows
from fmgrid.results.tensorboard import to_events
from made_up_runs import make_run
from test_tensorboard import to_record, to_scalar, write_records

SETTINGS = """[model]
epochs = 3
logdir = "logs"
train_steps = 100
[model.optimizer_kwargs]
lr = 0.001

[types]
epochs = "int"
"""


# What a student writes
STUDENT = """
import sys
from pathlib import Path
import torch
from mltrainer import ReportTypes, Trainer, TrainerSettings, metrics
from torch import nn

class NeuralNetwork(nn.Module):
    def __init__(self, num_classes, units1, units2):
        super().__init__()
        self.num_classes = num_classes
        self.units1 = units1
        self.units2 = units2
        self.flatten = nn.Flatten()
        self.linear_relu_stack = nn.Sequential(
            nn.Linear(28 * 28, units1), nn.ReLU(),
            nn.Linear(units1, units2), nn.ReLU(),
            nn.Linear(units2, num_classes),
        )

    def forward(self, x):
        return self.linear_relu_stack(self.flatten(x))

def batches():
    while True:
        yield torch.rand(8, 1, 28, 28), torch.randint(0, 10, (8,))

folder = Path(sys.argv[1])
trainer = Trainer(
    model=NeuralNetwork(10, units1=16, units2=8),
    settings=TrainerSettings(
        epochs=2, metrics=[metrics.Accuracy()], logdir=folder, train_steps=3,
        valid_steps=2, reporttypes=[ReportTypes.TENSORBOARD, ReportTypes.TOML],
        optimizer_kwargs={"lr": 0.01, "weight_decay": 1e-5, "betas": (0.9, 0.99), "fused": None},
    ),
    loss_fn=nn.CrossEntropyLoss(), optimizer=torch.optim.Adam, traindataloader=batches(),
    validdataloader=batches(), scheduler=torch.optim.lr_scheduler.ReduceLROnPlateau,
)
trainer.loop()
trainer.writer.close()
"""


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of mltrainer's.

    Another process writes it, because mltrainer imports mlflow, whose warnings aren't ours.
    """
    folder = tmp_path_factory.mktemp("foreign")
    command = [sys.executable, "-c", STUDENT, str(folder)]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    (stamped,) = folder.iterdir()
    return stamped


class Settings:
    """What mltrainer's serializer gets."""

    def __init__(self, **values: Any) -> None:
        self.__dict__.update(values)


def make_folder(folder: Path, network: str = "", settings: str | bytes = SETTINGS) -> Path:
    """Make a complete run of plain mltrainer's, with these lines in model.toml."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "events.out.tfevents.1.host").write_bytes(to_events(make_run()))
    content = settings if isinstance(settings, bytes) else settings.encode()
    (folder / "settings.toml").write_bytes(content)
    (folder / "model.toml").write_text(f"[model]\ntraining = true\n{network}\n")
    return folder


def make_scalars(folder: Path, *tags: str) -> None:
    """Make an event file of another program's."""
    folder.mkdir(parents=True, exist_ok=True)
    records = [to_record(to_scalar(tag, 1.0)) for tag in tags]
    write_records(folder / "events.out.tfevents.2.other", *records)


def table(root: Path) -> pd.DataFrame:
    return pd.read_csv(io.StringIO(to_csv(to_rows(read_runs(root).runs))))


def names(summary: Contents) -> list[str]:
    return [run.run for run in summary.runs]


def test_a_folder_that_mltrainer_wrote_is_read(written: Path) -> None:
    run = read_mltrainer_folder(written)
    assert run.warnings == ()
    assert run.settings == {
        "epochs": 2,
        "train_steps": 3,
        "learning_rate": 0.01,
        "optimizer_args": {"weight_decay": 1e-5, "betas": [0.9, 0.99]},
        "hidden_units": (16, 8),
        "network.num_classes": 10,
    }
    assert run.complete is True
    assert [record.epoch for record in run.history] == [1, 2]
    for record in run.history:
        assert record.train_loss is not None
        assert 1 < record.train_loss < 10
        assert record.valid_loss is not None
        assert 1 < record.valid_loss < 10
        assert record.accuracy in [correct / 16 for correct in range(17)]
        assert record.learning_rate == 0.01
        assert 0 < record.seconds < 60


def test_a_text_that_mltrainer_spoils_costs_a_warning_not_the_run(tmp_path: Path) -> None:
    make_folder(tmp_path)

    made = Settings(epochs=3, note='the "good" one')
    TOMLSerializer.save(made, tmp_path / "settings.toml")
    run = read_mltrainer_folder(tmp_path)
    assert run.settings == {}
    assert len(run.history) == 3
    assert run.complete is None
    (warning,) = run.warnings
    assert warning.startswith("settings.toml: not valid TOML: ")


def test_what_the_files_name_is_not_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "fmgrid_canary.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    named = 'loss = "<fmgrid_canary.loss>"\n'
    settings = f"[model]\n{named}epochs = 3\n"
    folder = make_folder(tmp_path, f'{named}[types]\nloss = "function"\n', settings)
    run = read_mltrainer_folder(folder)
    assert run.settings["epochs"] == 3
    assert run.warnings == ()
    assert "fmgrid_canary" not in sys.modules


@pytest.mark.parametrize(
    ("settings", "warning"),
    [
        pytest.param(b"\xff", "settings.toml: not valid TOML: .*", id="not UTF-8"),
        pytest.param(
            "a = " + "[" * 10_000, "settings.toml: not valid TOML: .*", id="nested too deeply"
        ),
        pytest.param(
            "a = " + "9" * 10_000, "settings.toml: not valid TOML: .*", id="too many digits"
        ),
        pytest.param(
            "a." * 50_000 + "a = 1", "settings.toml: not valid TOML: a key.*", id="a long key"
        ),
        pytest.param("#" * 300_000, "settings.toml: larger than 262,144 bytes", id="too large"),
        pytest.param("epochs = 3", r"settings.toml: no \[model\] table", id="another's file"),
        pytest.param("model = 3", r"settings.toml: no \[model\] table", id="no table"),
        pytest.param("[model]\nepochs = true", "settings.toml: epochs: Input.*", id="true epochs"),
        pytest.param("[model]\nepochs = 0", "settings.toml: epochs: Input.*", id="no epochs"),
        pytest.param(
            "[model.optimizer_kwargs]\nlr = 1" + "0" * 400,
            "settings.toml: optimizer_kwargs.lr: .*",
            id="a rate beyond floats",
        ),
        pytest.param(
            "[model.optimizer_kwargs]\nlr = nan",
            "settings.toml: optimizer_kwargs.lr: .*",
            id="an undefined rate",
        ),
        pytest.param(
            "[model.optimizer_kwargs]\na = 2026-01-01",
            "settings.toml: optimizer_kwargs.a: input was not .*",
            id="a day for an argument",
        ),
    ],
)
def test_settings_that_cannot_be_trusted_cost_a_warning(
    settings: str | bytes, warning: str, tmp_path: Path
) -> None:
    run = read_mltrainer_folder(make_folder(tmp_path, settings=settings))
    assert len(run.history) == 3
    assert run.settings.get("epochs") is None
    assert run.settings.get("learning_rate") is None
    (found,) = run.warnings
    assert re.fullmatch(warning, found)


@given(content=st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_no_settings_file_is_an_error(
    content: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    run = read_mltrainer_folder(make_folder(tmp_path_factory.mktemp("any"), settings=content))
    assert len(run.history) == 3


def test_an_empty_folder_and_a_missing_one_give_warnings(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "missing"):
        run = read_mltrainer_folder(folder)
        assert (run.settings, run.history, run.complete) == ({}, (), None)
        assert run.warnings == (
            "settings.toml: No such file or directory",
            "model.toml: No such file or directory",
            *([] if folder == tmp_path else ["cannot be listed: No such file or directory"]),
            "no event file with scalars",
        )


def test_the_damage_of_an_event_file_is_a_warning_and_its_last_epoch_is_left_out(
    tmp_path: Path,
) -> None:
    folder = make_folder(tmp_path)
    (path,) = folder.glob("events*")
    content = path.read_bytes()
    cut = content.rindex(b"learning_rate")  # the last that is logged in the last epoch
    path.write_bytes(content[:cut])
    found = read_mltrainer_folder(folder)
    assert [record.epoch for record in found.history] == [1, 2]
    assert found.complete is False
    (warning,) = found.warnings
    assert re.fullmatch(rf"{path.name}: record \d+ at byte \d+: truncated", warning)


def test_two_runs_in_one_folder_are_not_told_apart(tmp_path: Path) -> None:
    folder = make_folder(tmp_path)
    (folder / "events.out.tfevents.1.second").write_bytes(to_events(make_run()))
    run = read_mltrainer_folder(folder)
    assert (run.history, run.complete) == ((), None)
    assert run.warnings == ("2 event files: several runs share this folder, none is read",)


def test_an_event_file_without_scalars_is_no_second_run(tmp_path: Path) -> None:
    folder = make_folder(tmp_path)
    version = Event(file_version="brain.Event:2").SerializeToString()
    write_records(folder / "events.out.tfevents.1.other", version)
    run = read_mltrainer_folder(folder)
    assert (len(run.history), run.warnings) == (3, ())


def test_a_hidden_event_file_is_no_second_run(tmp_path: Path) -> None:
    folder = make_folder(tmp_path)
    (path,) = folder.glob("events*")
    path.with_name(f"._{path.name}").write_bytes(b"\0\5\x16\7")
    run = read_mltrainer_folder(folder)
    assert (len(run.history), run.warnings) == (3, ())


def test_an_epoch_that_no_training_reaches_is_none(tmp_path: Path) -> None:
    records = [to_record(to_scalar("Loss/train", 1), step=step) for step in (0, 2**31, 2**63 - 1)]
    write_records(tmp_path / "events.out.tfevents.1", *records)
    assert [record.epoch for record in read_mltrainer_folder(tmp_path).history] == [1]


@pytest.mark.parametrize("wall_time", [math.nan, math.inf, 1e300])
def test_a_senseless_clock_leaves_the_seconds_unknown(wall_time: float, tmp_path: Path) -> None:
    first = to_record(to_scalar("Loss/train", 1), wall_time=1.0)
    last = to_record(to_scalar("Loss/train", 1), step=1, wall_time=wall_time)
    write_records(tmp_path / "events.out.tfevents.1", first, last)
    history = read_mltrainer_folder(tmp_path).history
    assert [record.seconds for record in history] == [0.0, None]


def test_an_argument_of_5000_digits_is_no_plain_value(tmp_path: Path) -> None:
    digits = "f" * 5_000
    text = f"[model.optimizer_kwargs]\nlr = 0.1\neps = 0x{digits}\nbetas = [0x{digits}]\n"
    run = read_mltrainer_folder(make_folder(tmp_path, settings=text))
    assert run.settings["optimizer_args"] == {}
    assert [warning.rpartition(": ")[0] for warning in run.warnings] == [
        "settings.toml: optimizer_kwargs.eps",
        "settings.toml: optimizer_kwargs.betas",
    ]


def test_a_metric_that_was_never_logged_is_unknown(tmp_path: Path) -> None:
    records = [to_record(to_scalar("Loss/test", 2 - step), step=step) for step in range(2)]
    write_records(tmp_path / "events.out.tfevents.1", *records)
    history = read_mltrainer_folder(tmp_path).history
    assert [(record.valid_loss, record.accuracy) for record in history] == [(2, None), (1, None)]


def test_an_epoch_reported_again_counts_as_reported_last(tmp_path: Path) -> None:
    reports = [(0, 3.0), (1, 2.0), (0, 1.0), (-1, 9.0)]
    records = [to_record(to_scalar("Loss/train", loss), step=step) for step, loss in reports]
    write_records(tmp_path / "events.out.tfevents.1", *records)
    history = read_mltrainer_folder(tmp_path).history
    assert [(record.epoch, record.train_loss) for record in history] == [(1, 1.0), (2, 2.0)]


@pytest.mark.parametrize(
    ("epochs", "stopping", "complete"),
    [
        pytest.param(3, "", True, id="all epochs seen"),
        pytest.param(2, "", True, id="trained further"),
        pytest.param(5, "", False, id="epochs missing"),
        pytest.param(5, "earlystop_kwargs = 'None'", False, id="no early stopping"),
        pytest.param(5, "[model.earlystop_kwargs]\npatience = 10", False, id="too early to stop"),
        pytest.param(5, "[model.earlystop_kwargs]\npatience = 2", None, id="may have stopped"),
        pytest.param(5, "[model.earlystop_kwargs]\nsave = true", False, id="patience of 7"),
        pytest.param(5, "[model.earlystop_kwargs]\npatience = 'x'", None, id="odd patience"),
    ],
)
def test_a_run_is_complete_when_all_epochs_are_there(
    epochs: int, stopping: str, complete: bool | None, tmp_path: Path
) -> None:
    settings = f"[model]\nepochs = {epochs}\n{stopping}\n"
    assert read_mltrainer_folder(make_folder(tmp_path, settings=settings)).complete is complete


@pytest.mark.parametrize(
    ("network", "hidden_units"),
    [
        pytest.param("[model.a]\nin_features = 784\nout_features = 10", (), id="a linear model"),
        pytest.param(
            "[model.b]\nin_features = 784\nout_features = 32\n[model.b.norm]\nnum_features = 32\n"
            "[model.a]\nin_features = 32\nout_features = 10",
            (32,),
            id="layers in file order",
        ),
        pytest.param(
            "[model.conv]\nin_channels = 1\n[model.a]\nin_features = 784\nout_features = 32\n"
            "[model.b]\nin_features = 32\nout_features = 10",
            None,
            id="a convolution first",
        ),
        pytest.param(
            "[model.a]\nin_features = 784\nout_features = 32\n"
            "[model.b]\nin_features = 64\nout_features = 10",
            None,
            id="layers that don't fit",
        ),
        pytest.param("units1 = 64\nunits2 = 32", (64, 32), id="attributes only"),
        pytest.param("units1 = 'x'", None, id="attributes of another kind"),
        pytest.param("units2 = 32", None, id="no first layer"),
        pytest.param("[model" + ".a" * 19 + "]", None, id="tables in tables in tables"),
    ],
)
def test_hidden_units_are_known_when_the_network_is_plainly_an_mlp(
    network: str, hidden_units: tuple[int, ...] | None, tmp_path: Path
) -> None:
    run = read_mltrainer_folder(make_folder(tmp_path, network))
    assert run.settings.get("hidden_units") == hidden_units
    assert run.warnings == ()


WINDOWS = [
    r"C:\Users\user\modellogs",
    r"C:\new\table",
    r"\\server\share\logs",
    r"D:\Übung\logs",
    "C:\\",
    r"C:\Users\x 'y'\logs",
]


@pytest.mark.parametrize("path", WINDOWS)
def test_settings_with_a_path_of_windows_are_read_and_it_is_said(path: str, tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "run")
    made = Settings(epochs=3, logdir=Path(path), optimizer_kwargs={"lr": 0.01, "eps": 1e-7})
    TOMLSerializer.save(made, folder / "settings.toml")
    run = read_mltrainer_folder(folder)
    assert run.settings["epochs"] == 3
    assert run.settings["learning_rate"] == 0.01
    assert run.settings["optimizer_args"] == {"eps": 1e-7}
    assert run.complete is True
    for warning in run.warnings:
        assert warning.startswith("settings.toml: its backslashes are not escaped")
    assert len(run.warnings) == (path != r"C:\new\table")  # which happens to be valid


def test_a_network_with_backslashes_is_read_too(tmp_path: Path) -> None:
    run = read_mltrainer_folder(make_folder(tmp_path / "run", 'source = "C:\\Users"\nunits = 3'))
    assert run.settings["network.source"] == "C:\\Users"
    assert run.settings["network.units"] == 3
    assert [warning.partition(":")[0] for warning in run.warnings] == ["model.toml"]


@pytest.mark.parametrize(
    "text", ['logdir = "C:\\Users"\n', '[other]\nlogdir = "C:\\Users"\n', '[model]\na = "\\U" "\n']
)
def test_only_what_the_known_serializer_wrote_is_repaired(text: str, tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "run")
    (folder / "settings.toml").write_text(text)
    run = read_mltrainer_folder(folder)
    assert run.settings == {}
    assert [warning[:31] for warning in run.warnings] == ["settings.toml: not valid TOML: "]


FOREIGN = {
    "a final figure": ["Accuracy/valid_final"],
    "Ray Tune": ["ray/tune/accuracy", "ray/tune/loss"],
    "Keras": ["epoch_loss", "epoch_accuracy"],
    "many": [f"tag_{n}" for n in range(50)],
    "a cursor that moves": ["\x1b[2J"],
}


@pytest.mark.parametrize("tags", FOREIGN.values(), ids=FOREIGN)
@pytest.mark.parametrize("place", ["", "parent", "beside", "beside/deeper"])
def test_an_event_file_of_another_program_is_no_run_and_named_once(
    tags: list[str], place: str, tmp_path: Path
) -> None:
    make_folder(tmp_path / "parent" / "run")
    make_scalars(tmp_path / place, *tags)
    summary = read_runs(tmp_path, with_history=True)
    assert names(summary) == ["parent/run"]
    (warning,) = summary.warnings
    told = [tag.replace("\x1b", "\\u001b") for tag in tags[:5]]
    assert ", ".join(told) in warning
    assert warning.startswith(str(tmp_path / place))
    assert ("and 45 more" in warning) == (len(tags) == 50)
    assert to_study(summary, []).left_out == (warning,)


def test_an_event_file_of_texts_and_pictures_is_no_run(tmp_path: Path) -> None:
    picture = Summary.Value(tag="a picture", image=Summary.Image(height=1, width=1))
    write_records(tmp_path / "events.out.tfevents.1", to_record(picture))
    summary = read_runs(tmp_path)
    assert summary.runs == []
    (warning,) = summary.warnings
    assert warning.endswith("other tags: a picture")


def test_another_programs_file_in_a_runs_folder_hides_no_run(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "run")
    make_scalars(folder, "Accuracy/valid_final")
    run = read_mltrainer_folder(folder)
    assert (len(run.history), run.warnings) == (3, ())


ATTRIBUTES = {
    "a list": ("units = [32, 64]", {"units": "[32, 64]"}),
    "words and numbers": (
        'activation = "relu"\ndropout = 0.2\nfilters = 64\nbias = true',
        {"activation": "relu", "dropout": 0.2, "filters": 64, "bias": True},
    ),
    "a convolution": (
        "in_channels = 1\nunits1 = 128\nunits2 = 64",
        {"in_channels": 1, "units1": 128, "units2": 64},
    ),
    "layers that are settings": ("units1 = 128\nunits2 = 64", {}),
    "parts of the network": ("[model.dense]\nin_features = 5\nout_features = 2", {}),
    "nothing that is plain": (
        'f = "<function f at 0x7f00>"\nn = "None"\nx = nan\ny = [[1]]\nz = 1979-05-27\n"a b" = 1',
        {},
    ),
}


@pytest.mark.parametrize(("written", "found"), ATTRIBUTES.values(), ids=ATTRIBUTES)
def test_a_networks_own_attributes_are_columns(
    written: str, found: dict[str, Any], tmp_path: Path
) -> None:
    make_folder(tmp_path / "run", written)
    read = table(tmp_path)
    assert tuple(read.columns[: len(COLUMNS)]) == COLUMNS
    row = {column: read[column][0] for column in read.columns[len(COLUMNS) :]}
    assert row == {f"network.{name}": value for name, value in found.items()}


def test_whole_numbers_stay_whole_where_other_runs_have_none(tmp_path: Path) -> None:
    make_folder(tmp_path / "a", "in_channels = 1\nfilters = 64")
    make_folder(tmp_path / "b", "units = [8]")
    text = to_csv(to_rows(read_runs(tmp_path).runs))
    assert [row[len(COLUMNS)] for row in csv.reader(text.splitlines())] == [
        *("network.filters", "64", "")
    ]


def test_a_network_of_a_thousand_attributes_makes_no_thousand_columns(tmp_path: Path) -> None:
    for part in range(4):
        lines = [f"a{part}_{n} = 1" for n in range(1000)]
        make_folder(tmp_path / str(part), "\n".join(lines))
    assert len(table(tmp_path).columns) == len(COLUMNS) + 100
    assert any("1000 attributes" in warning for warning in read_runs(tmp_path).warnings)


def test_networks_that_differ_are_no_repeats_of_one_configuration(tmp_path: Path) -> None:
    make_folder(tmp_path / "a", "units = [8]\ndropout = 0.1")
    make_folder(tmp_path / "b", "units = [8]\ndropout = 0.2")
    study = to_study(read_runs(tmp_path, with_history=True), [])
    one, other = study.experiments.values()
    assert one.configuration != other.configuration
    assert [axis.name for axis in study.groups[0].axes] == ["network.dropout"]
    text = to_csv(by_experiment(study))
    assert text.splitlines()[0].endswith(",network.dropout,network.units")
