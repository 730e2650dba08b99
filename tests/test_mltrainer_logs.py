"""Folders that plain mltrainer left on real machines, and others beside them."""

import io
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from tensorboard.compat.proto.summary_pb2 import Summary
from tomlserializer import TOMLSerializer

from fmgrid.analysis.study import by_experiment, to_study
from fmgrid.results.events import read_mltrainer_folder, to_events
from fmgrid.results.summary import COLUMNS, summarize, to_csv, to_table
from fmgrid.results.summary import Summary as Rows
from made_up_runs import make_run
from test_events import to_record, to_scalar, write_records

SETTINGS = """[model]
epochs = 3
logdir = {logdir}
train_steps = 100
[model.optimizer_kwargs]
lr = 0.001

[types]
epochs = "int"
"""


class Settings:
    """What mltrainer's serializer gets."""

    def __init__(self, **values: Any) -> None:
        self.__dict__.update(values)


def make_folder(folder: Path, network: str = "", logdir: str = '"logs"') -> Path:
    """Make a complete run of plain mltrainer's, with these lines in model.toml."""
    folder.mkdir(parents=True)
    (folder / "events.out.tfevents.1.host").write_bytes(to_events(make_run()))
    (folder / "settings.toml").write_text(SETTINGS.format(logdir=logdir))
    (folder / "model.toml").write_text(f"[model]\ntraining = true\n{network}\n")
    return folder


def make_scalars(folder: Path, *tags: str) -> None:
    """Make an event file of another program's."""
    folder.mkdir(parents=True, exist_ok=True)
    records = [to_record(to_scalar(tag, 1.0)) for tag in tags]
    write_records(folder / "events.out.tfevents.2.other", *records)


def table(root: Path) -> pd.DataFrame:
    return pd.read_csv(io.StringIO(to_csv(to_table(summarize(root).rows))))


def names(summary: Rows) -> list[str]:
    return [row["run"] for row in summary.rows]


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
    assert dict(run.network) == {"source": "C:\\Users", "units": 3}
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
    summary = summarize(tmp_path, with_history=True)
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
    summary = summarize(tmp_path)
    assert summary.rows == []
    (warning,) = summary.warnings
    assert warning.endswith("other tags: a picture")


def test_another_programs_file_in_a_runs_folder_hides_no_run(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "run")
    make_scalars(folder, "Accuracy/valid_final")
    run = read_mltrainer_folder(folder)
    assert (len(run.history), run.objection, run.warnings) == (3, None, ())


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
    text = to_csv(to_table(summarize(tmp_path).rows))
    assert [line.split(",")[len(COLUMNS)] for line in text.splitlines()] == [
        *("network.filters", "64", "")
    ]


def test_a_network_of_a_thousand_attributes_makes_no_thousand_columns(tmp_path: Path) -> None:
    for part in range(4):
        lines = [f"a{part}_{n} = 1" for n in range(1000)]
        make_folder(tmp_path / str(part), "\n".join(lines))
    assert len(table(tmp_path).columns) == len(COLUMNS) + 100
    assert any("1000 attributes" in warning for warning in summarize(tmp_path).warnings)


def test_networks_that_differ_are_no_repeats_of_one_configuration(tmp_path: Path) -> None:
    make_folder(tmp_path / "a", "units = [8]\ndropout = 0.1")
    make_folder(tmp_path / "b", "units = [8]\ndropout = 0.2")
    study = to_study(summarize(tmp_path, with_history=True), [])
    one, other = study.experiments.values()
    assert one.configuration != other.configuration
    assert [axis.name for axis in study.groups[0].axes] == ["network.dropout"]
    text = to_csv(to_table(by_experiment(study)))
    assert text.splitlines()[0].endswith(",network.dropout,network.units")
