import http.client
import inspect
import json
import math
import os
import re
import struct
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Iterator
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.compat.proto.types_pb2 import DT_DOUBLE, DT_FLOAT, DT_STRING
from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import masked_crc32c
from tensorboard.context import RequestContext
from tensorboard.plugins.base_plugin import TBContext
from tensorboard.plugins.hparams import api_pb2, list_session_groups, metadata
from tensorboard.plugins.hparams.backend_context import Context
from tensorboard.summary.writer.record_writer import RecordWriter
from tomlserializer import TOMLSerializer

from fmgrid.experiment import EpochRecord, Experiment, Run
from fmgrid.results import events
from fmgrid.results.events import (
    Point,
    events_file_name,
    read_mltrainer_folder,
    read_scalars,
    to_events,
)

STARTED = datetime(2026, 1, 1, 12, tzinfo=UTC)
MLTRAINER_TAGS = {"Loss/train", "Loss/test", "metric/Accuracy", "learning_rate"}
DAMAGE = re.compile(r"record \d+ at byte \d+: (checksum mismatch|truncated)")

SETTINGS = """\
[model]
epochs = 3
train_steps = 100
metrics = ["Accuracy"]
[model.optimizer_kwargs]
lr = 0.001
weight_decay = 1e-05
"""

# What a student writes, and what is logged beside it when someone uses SummaryWriter directly.
FOREIGN = """
import sys
from pathlib import Path
import torch
from mltrainer import ReportTypes, Trainer, TrainerSettings, metrics
from torch import nn
from torch.utils.tensorboard import SummaryWriter

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
        epochs=2, metrics=[metrics.Accuracy()], logdir=folder / "mltrainer", train_steps=3,
        valid_steps=2, reporttypes=[ReportTypes.TENSORBOARD, ReportTypes.TOML],
        optimizer_kwargs={"lr": 0.01, "weight_decay": 1e-5, "betas": (0.9, 0.99), "fused": None},
    ),
    loss_fn=nn.CrossEntropyLoss(), optimizer=torch.optim.Adam, traindataloader=batches(),
    validdataloader=batches(), scheduler=torch.optim.lr_scheduler.ReduceLROnPlateau,
)
trainer.loop()
trainer.writer.close()

with SummaryWriter(folder / "writer") as writer:
    writer.add_scalar("simple", 1.5, 0)
    writer.add_image("image", torch.rand(3, 200, 200), 0)
    writer.add_histogram("histogram", torch.rand(100), 0)
    writer.add_text("text", "12", 0)
    writer.add_scalar("tensor", 2.5, 1, new_style=True)
    writer.add_scalar("double", 0.1, 2, new_style=True, double_precision=True)
"""


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with `mltrainer/<time stamp>/` and `writer/`, written by those two.

    Another process writes it, because mltrainer imports mlflow, whose warnings aren't ours.
    """
    folder = tmp_path_factory.mktemp("foreign")
    command = [sys.executable, "-c", FOREIGN, str(folder)]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    return folder


def make_run(name: str = "mlp", epochs: int = 3, status: str = "complete", **settings: Any) -> Run:
    experiment = Experiment(name=name, epochs=epochs, **settings)
    history = tuple(make_record(epoch) for epoch in range(1, epochs + 1))
    return Run(
        experiment=experiment,
        status=status,
        history=history,
        weights=269_322,
        started=STARTED,
        seconds=epochs + 0.5,
    )


def make_record(epoch: int, **measured: float) -> EpochRecord:
    ordinary = {
        "train_loss": 1 / epoch,
        "valid_loss": 1.5 / epoch,
        "accuracy": 0.5 + epoch / 100,
        "learning_rate": 1e-3,
        "images_seen": 6400 * epoch,
        "seconds": float(epoch),
    }
    return EpochRecord(epoch=epoch, **(ordinary | measured))


def store(run: Run, folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / events_file_name(run)
    path.write_bytes(to_events(run))
    return path


def write_records(path: Path, *records: bytes) -> Path:
    stream = BytesIO()
    for record in records:
        RecordWriter(stream).write(record)
    path.write_bytes(stream.getvalue())
    return path


def to_record(*values: Summary.Value, step: int = 0, wall_time: float = 0.0) -> bytes:
    event = Event(step=step, wall_time=wall_time, summary=Summary(value=values))
    return event.SerializeToString()


def to_scalar(tag: str, value: float) -> Summary.Value:
    return Summary.Value(tag=tag, simple_value=value)


def single(value: float) -> float:
    """Round as event files do, to single precision."""
    return struct.unpack("<f", struct.pack("<f", value))[0]


def read_plugin_data(path: Path) -> dict[str, bytes]:
    """Return the HParams plugin's messages by tag, as TensorBoard itself finds them."""
    accumulator = EventAccumulator(str(path))
    accumulator.Reload()
    return accumulator.PluginTagToContent("hparams")


def read_hparams(path: Path) -> dict[str, Any]:
    content = read_plugin_data(path)[metadata.SESSION_START_INFO_TAG]
    hparams = metadata.parse_session_start_info_plugin_data(content).hparams
    return {name: getattr(value, value.WhichOneof("kind")) for name, value in hparams.items()}


def test_what_is_written_is_read_back_with_mltrainers_tags_and_steps(tmp_path: Path) -> None:
    run = make_run()
    scalars = read_scalars(store(run, tmp_path))
    assert scalars.damage is None
    assert scalars.started == STARTED.timestamp()
    for tag, field in (
        ("Loss/train", "train_loss"),
        ("Loss/test", "valid_loss"),
        ("metric/Accuracy", "accuracy"),
        ("learning_rate", "learning_rate"),
    ):
        assert scalars.points[tag] == [
            Point(
                step=record.epoch - 1,
                value=single(getattr(record, field)),
                wall_time=STARTED.timestamp() + record.seconds,
            )
            for record in run.history
        ]


def test_what_a_run_ends_with_has_one_point_each(tmp_path: Path) -> None:
    records = (make_record(1, accuracy=0.75), make_record(2, accuracy=0.5))
    held_out = {"test_accuracy": 0.625, "test_loss": 0.25}
    run = make_run(epochs=2).model_copy(update={"history": records, **held_out})
    points = read_scalars(store(run, tmp_path)).points
    final = {tag: found for tag, found in points.items() if tag not in MLTRAINER_TAGS}
    started = STARTED.timestamp()
    assert final == {
        "hparam/best_accuracy": [Point(0, 0.75, started + 1)],
        "hparam/test_accuracy": [Point(1, 0.625, started + 2.5)],
        "hparam/test_loss": [Point(1, 0.25, started + 2.5)],
        "hparam/weights": [Point(1, 269_322, started + 2.5)],
        "hparam/seconds": [Point(1, 2.5, started + 2.5)],
    }


def test_tensorboards_own_reader_sees_the_same(tmp_path: Path) -> None:
    path = store(make_run(), tmp_path)
    accumulator = EventAccumulator(str(tmp_path))
    accumulator.Reload()
    points = read_scalars(path).points
    assert set(points) >= MLTRAINER_TAGS
    for tag, expected in points.items():
        tensors = accumulator.Tensors(tag)
        assert [tensor.step for tensor in tensors] == [point.step for point in expected]
        assert [tensor.wall_time for tensor in tensors] == [point.wall_time for point in expected]
        values = [float(tensor.tensor_proto.float_val[0]) for tensor in tensors]
        assert values == [point.value for point in expected]


def test_equal_runs_give_equal_bytes_in_any_process(tmp_path: Path) -> None:
    run = make_run(optimizer_args={"weight_decay": 0.1, "betas": [0.9, 0.99]})
    code = (
        "import sys; from fmgrid.experiment import Run; "
        "from fmgrid.results.events import to_events; "
        "run = Run.model_validate_json(sys.argv[1]); sys.stdout.buffer.write(to_events(run))"
    )
    command = [sys.executable, "-c", code, run.model_dump_json()]
    for seed in ("1", "2"):
        env = os.environ | {"PYTHONHASHSEED": seed}
        written = subprocess.run(command, env=env, cwd=tmp_path, capture_output=True, check=True)
        assert written.stdout == to_events(run)


def test_the_file_name_is_one_that_tensorboard_looks_for() -> None:
    assert events_file_name(make_run()) == "events.out.tfevents.1767268800.fmgrid"


def test_infinite_and_undefined_losses_survive(tmp_path: Path) -> None:
    records = (
        make_record(1, train_loss=math.nan, valid_loss=math.inf),
        make_record(2, train_loss=-math.inf, valid_loss=3.45e38),
    )
    run = make_run(epochs=2).model_copy(update={"history": records})
    points = read_scalars(store(run, tmp_path)).points
    first, second = (point.value for point in points["Loss/train"])
    assert math.isnan(first)
    assert second == -math.inf
    # single precision ends at 3.4e38
    assert [point.value for point in points["Loss/test"]] == [math.inf, math.inf]


def test_a_run_that_failed_before_its_first_epoch_has_a_file_too(tmp_path: Path) -> None:
    run = make_run(status="failed").model_copy(update={"history": (), "weights": None})
    scalars = read_scalars(store(run, tmp_path))
    assert scalars.damage is None
    assert set(scalars.points) == {"hparam/seconds"}


def test_every_setting_is_a_hyperparameter(tmp_path: Path) -> None:
    run = make_run(
        hidden_units=(64, 32, 16),
        optimizer="SGD",
        optimizer_args={"momentum": 0.9, "nesterov": True, "betas": [0.9, 0.99], "a": {"b": 1}},
        seed=3,
    )
    assert read_hparams(store(run, tmp_path)) == {
        "name": "mlp",
        "dataset": "fashion-mnist",
        "validation": "test",
        "epochs": 3,
        "train_steps": "100",
        "steps_per_epoch": 100,
        "batch_size": 64,
        "hidden_units": "64, 32, 16",
        "depth": 3,
        "units1": 64,
        "units2": 32,
        "units3": 16,
        "learning_rate": 1e-3,
        "optimizer": "SGD",
        "optimizer_args.momentum": 0.9,
        "optimizer_args.nesterov": True,
        "optimizer_args.betas": "0.9, 0.99",
        "optimizer_args.a.b": 1,
        "seed": 3,
    }


def test_what_an_epoch_is_not_counted_in_is_no_hyperparameter(tmp_path: Path) -> None:
    hparams = read_hparams(store(make_run(train_images=6400), tmp_path))
    assert hparams.keys() & {"train_steps", "train_images"} == {"train_images"}
    assert (hparams["train_images"], hparams["steps_per_epoch"]) == (6400, 100)


def test_optimizer_arguments_without_a_cell_of_their_own_cost_no_run(tmp_path: Path) -> None:
    arguments = {"a": math.inf, "b": math.nan, "c": 10**400, "d": None, "e": STARTED.date()}
    hparams = read_hparams(store(make_run(optimizer_args=arguments), tmp_path))
    shown = {name: value for name, value in hparams.items() if name.startswith("optimizer_args")}
    assert shown == {"optimizer_args.e": "2026-01-01"}


MIXED = {
    "a number and a word": [{"x": "auto"}, {"x": 10}],
    "a number and a truth": [{"x": 1}, {"x": True}],
    "all there is": [{"x": 1}, {"x": 0.5}, {"x": False}, {"x": "y"}, {"x": [1, 2]}, {}],
    "in a table": [{"x": {"y": 1}}, {"x": {"y": "auto"}}],
    "a table and none": [{"x": {"y": 1}}, {"x": 1}, {"x": "z"}],
    "an argument that torch has": [{"momentum": 0.9}, {"momentum": "auto"}, {"momentum": True}],
    "a truth that torch has": [{"nesterov": True}, {"nesterov": 1}, {"nesterov": "yes"}],
    "betas": [{"betas": [0.9, 0.99]}, {"betas": 0.9}],
    "beyond any number": [{"x": 10**400}, {"x": 1}, {"x": math.inf}],
}


def rows_in_tensorboard(logs: Path) -> tuple[dict[str, Any], list[str]]:
    """Return the columns of the HParams tab, and the rows that it shows with every box ticked."""
    multiplexer = EventMultiplexer().AddRunsFromDirectory(str(logs))
    multiplexer.Reload()
    provider = MultiplexerDataProvider(multiplexer, str(logs))
    context = Context(TBContext(data_provider=provider, logdir=str(logs)))
    request = RequestContext()
    found = context.experiment_from_metadata(
        request, "", True, context.hparams_metadata(request, ""), []
    )
    columns = {info.name: info for info in found.hparam_infos}
    asked = api_pb2.ListSessionGroupsRequest(start_index=0, slice_size=100)
    asked.allowed_statuses.extend([api_pb2.STATUS_SUCCESS, api_pb2.STATUS_FAILURE])
    for name, info in columns.items():
        column = asked.col_params.add(hparam=name)
        if info.HasField("domain_discrete"):
            column.filter_discrete.CopyFrom(info.domain_discrete)
        elif info.HasField("domain_interval"):
            column.filter_interval.CopyFrom(info.domain_interval)
    groups = list_session_groups.Handler(request, context, "", asked).run().session_groups
    return columns, [group.name for group in groups]


@pytest.mark.parametrize("arguments", MIXED.values(), ids=MIXED)
@pytest.mark.parametrize("optimizers", [["my:Own"], ["my:Own", "SGD"]], ids=["one", "two"])
def test_arguments_of_several_types_hide_no_run_in_tensorboard(
    arguments: list[dict[str, Any]], optimizers: list[str], tmp_path: Path
) -> None:
    names = []
    for number, taken in enumerate(arguments):
        optimizer = optimizers[number % len(optimizers)]
        if optimizer == "SGD" and "x" in taken:
            taken = {"weight_decay": 0.5}  # noqa: PLW2901 - it has no such argument
        names.append(f"run_{number}")
        run = make_run(names[-1], optimizer=optimizer, optimizer_args=taken)
        store(run, tmp_path / names[-1])
    columns, shown = rows_in_tensorboard(tmp_path)
    assert sorted(shown) == names
    for run in names:
        content = read_plugin_data(next((tmp_path / run).iterdir()))[
            metadata.SESSION_START_INFO_TAG
        ]
        for name, value in metadata.parse_session_start_info_plugin_data(content).hparams.items():
            kind = {"number_value": "FLOAT64", "bool_value": "BOOL", "string_value": "STRING"}
            told = api_pb2.DataType.Name(columns[name].type)
            assert told == f"DATA_TYPE_{kind[value.WhichOneof('kind')]}"


def test_what_is_always_a_number_stays_one_whoever_made_the_optimizer(tmp_path: Path) -> None:
    for number, optimizer in enumerate(["Adam", "my:Own"]):
        given = {"weight_decay": 0.1 * number, "maximize": True}
        run = make_run(f"run_{number}", optimizer=optimizer, optimizer_args=given)
        store(run, tmp_path / f"run_{number}")
    columns, shown = rows_in_tensorboard(tmp_path)
    assert columns["optimizer_args.weight_decay"].type == api_pb2.DATA_TYPE_FLOAT64
    assert columns["optimizer_args.maximize"].type == api_pb2.DATA_TYPE_BOOL
    assert len(shown) == 2


def test_the_types_of_torchs_own_arguments_are_known() -> None:
    for name in ("SGD", "Adam", "AdamW", "RMSprop", "Rprop", "ASGD", "Adadelta", "Adagrad"):
        parameters = inspect.signature(getattr(torch.optim, name)).parameters
        for argument, parameter in parameters.items():
            default = parameter.default
            if argument in ("params", "lr"):
                continue
            if isinstance(default, bool) or default is None:
                assert argument in events._TRUTHS
            elif isinstance(default, int | float):
                assert argument in events._NUMBERS
            else:
                assert argument in events._TEXTS


@pytest.mark.parametrize("name", Experiment.model_fields)
def test_a_setting_of_numbers_and_words_is_always_text(name: str, tmp_path: Path) -> None:
    schema = Experiment.model_json_schema()["properties"][name]
    types = {choice.get("type") for choice in schema.get("anyOf", [schema])}
    run = make_run(train_images=6400) if name == "train_images" else make_run()
    value = read_hparams(store(run, tmp_path)).get(name)
    if "string" in types:
        assert isinstance(value, str)
    elif types & {"integer", "number"}:
        assert isinstance(value, float)


@pytest.mark.parametrize(
    ("status", "shown"),
    [
        ("complete", api_pb2.STATUS_SUCCESS),
        ("failed", api_pb2.STATUS_FAILURE),
        ("timeout", api_pb2.STATUS_FAILURE),
    ],
)
def test_the_session_ends_as_the_run_did(status: str, shown: int, tmp_path: Path) -> None:
    content = read_plugin_data(store(make_run(status=status), tmp_path))
    start = metadata.parse_session_start_info_plugin_data(content[metadata.SESSION_START_INFO_TAG])
    end = metadata.parse_session_end_info_plugin_data(content[metadata.SESSION_END_INFO_TAG])
    assert end.status == shown
    assert (start.start_time_secs, end.end_time_secs) == (1767268800.0, 1767268803.5)


@pytest.mark.parametrize("options", [[], ["--load_fast=false"]], ids=["fast loader", "slow loader"])
def test_tensorboard_shows_one_run_and_one_row_per_run(options: list[str], tmp_path: Path) -> None:
    diverged = make_run("diverged", status="failed", epochs=1).model_copy(
        update={"history": (make_record(1, train_loss=math.nan, valid_loss=math.inf),)}
    )
    runs = [
        diverged,
        make_run("deep", hidden_units=(64, 32, 16)),
        make_run("full", train_steps="full", seed=2),
        make_run("images", train_images=6400),
        make_run("linear", hidden_units=(), optimizer_args={"weight_decay": 0.1}),
    ]
    logs = tmp_path / "logs"
    for run in runs:
        store(run, logs / run.experiment.run_name)
    names = {run.experiment.run_name for run in runs}

    with TensorBoard(logs, options) as board:
        groups = board.wait_for_sessions(len(runs))
        assert set(board.ask("data/runs")) == names
        tags = board.ask("data/plugin/scalars/tags")
        columns = board.ask("data/plugin/hparams/experiment", {"includeMetrics": True})
        # what the tab asks for when the column is filtered, with every box ticked
        train_steps = {"hparam": "train_steps", "filterDiscrete": ["100", "full"]}
        ticked = board.sessions([train_steps | {"order": "ORDER_ASC"}])

    assert set(tags) == names
    assert all(set(tags[name]) >= MLTRAINER_TAGS for name in names)
    shown = {column["name"] for column in columns["hparamInfos"]}
    assert shown >= {"units1", "units3", "depth", "optimizer_args.weight_decay"}
    assert {group["name"] for group in groups} == names
    assert {group["name"] for group in ticked} == names
    metrics = {group["name"]: to_metrics(group) for group in groups}
    assert metrics["deep"]["metric/Accuracy"] == single(0.53)
    assert metrics["deep"]["hparam/best_accuracy"] == single(0.53)
    assert metrics["diverged"]["Loss/train"] == "NaN"
    statuses = {group["name"]: group["sessions"][0]["status"] for group in groups}
    assert statuses["deep"] == "STATUS_SUCCESS"
    assert statuses["diverged"] == "STATUS_FAILURE"


def to_metrics(group: dict[str, Any]) -> dict[str, Any]:
    return {metric["name"]["tag"]: metric["value"] for metric in group["metricValues"]}


class TensorBoard:
    """A real server on a port of its own choice, asked over its HTTP interface."""

    def __init__(self, logs: Path, options: list[str]) -> None:
        self.output = logs.parent / "output.txt"
        self.command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(logs)]
        self.command += ["--host", "127.0.0.1", "--port", "0", *options]

    def __enter__(self) -> "TensorBoard":
        env = os.environ | {"TMPDIR": str(self.output.parent)}  # where it leaves a note of itself
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                self.command, stdout=output, stderr=subprocess.STDOUT, env=env
            )
        try:
            self.port = next(filter(None, self._wait(self._find_port)))
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait(timeout=30)

    def ask(self, path: str, body: dict[str, Any] | None = None) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            content = None if body is None else json.dumps(body)
            headers = {"Content-Type": "application/json"}
            connection.request("POST" if body else "GET", f"/{path}", content, headers)
            return json.loads(connection.getresponse().read())
        finally:
            connection.close()

    def sessions(self, columns: list[dict[str, Any]]) -> list[dict[str, Any]]:
        statuses = ["STATUS_UNKNOWN", "STATUS_SUCCESS", "STATUS_FAILURE", "STATUS_RUNNING"]
        request = {"startIndex": 0, "sliceSize": 100, "allowedStatuses": statuses}
        request |= {"colParams": columns, "aggregationType": "AGGREGATION_AVG"}
        return self.ask("data/plugin/hparams/session_groups", request)["sessionGroups"]

    def wait_for_sessions(self, number: int) -> list[dict[str, Any]]:
        """Return the rows of the tab once all are loaded to the end, which it does meanwhile."""
        for groups in self._wait(lambda: self.sessions([])):
            if len(groups) == number and all(
                "hparam/seconds" in to_metrics(group) and "status" in group["sessions"][0]
                for group in groups
            ):
                return groups
        raise AssertionError

    def _wait(self, look: Any) -> Iterator[Any]:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and self.process.poll() is None:
            yield look()
            time.sleep(0.1)
        pytest.fail(f"TensorBoard is not ready:\n{self.output.read_text()}")

    def _find_port(self) -> int | None:
        found = re.search(r"http://127\.0\.0\.1:(\d+)/", self.output.read_text())
        return int(found[1]) if found else None


def assert_prefix(points: dict[str, list[Point]], whole: dict[str, list[Point]]) -> None:
    for tag, found in points.items():
        assert found == whole[tag][: len(found)]


def test_a_file_cut_anywhere_gives_what_stands_before_the_cut(tmp_path: Path) -> None:
    content = to_events(make_run(epochs=2))
    path = tmp_path / "tfevents"
    path.write_bytes(content)
    whole = read_scalars(path).points
    ends = 0
    for length in range(len(content)):
        path.write_bytes(content[:length])
        scalars = read_scalars(path)
        assert_prefix(scalars.points, whole)
        if scalars.damage is None:  # cut between two records, which no reader can tell
            ends += 1
        else:
            assert re.fullmatch(r"record \d+ at byte \d+: truncated|empty", scalars.damage)
    assert ends == 2 + 2 * 4 + 3  # as many as there are records, the last one aside


def test_a_flipped_byte_anywhere_is_named_and_what_stands_before_it_is_kept(
    tmp_path: Path,
) -> None:
    content = to_events(make_run(epochs=2))
    path = tmp_path / "tfevents"
    path.write_bytes(content)
    whole = read_scalars(path).points
    for position in range(len(content)):
        damaged = bytearray(content)
        damaged[position] ^= 1 << position % 8
        path.write_bytes(damaged)
        scalars = read_scalars(path)
        assert DAMAGE.fullmatch(scalars.damage or "")
        assert_prefix(scalars.points, whole)
        assert int(re.findall(r"\d+", scalars.damage or "")[1]) <= position


def test_damage_is_named_by_record_and_byte(tmp_path: Path) -> None:
    path = write_records(tmp_path / "tfevents", to_record(to_scalar("a", 1)), to_record())
    first = 16 + len(to_record(to_scalar("a", 1)))
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    scalars = read_scalars(path)
    assert scalars.damage == f"record 2 at byte {first}: checksum mismatch"
    assert scalars.points == {"a": [Point(0, 1.0, 0.0)]}


@pytest.mark.parametrize("length", [2**40, 2**63 - 1, 2**64 - 1])
def test_a_huge_length_allocates_nothing(length: int, tmp_path: Path) -> None:
    path = tmp_path / "tfevents"
    header = struct.pack("<Q", length)
    path.write_bytes(header + struct.pack("<I", masked_crc32c(header)) + b"data")
    tracemalloc.start()
    scalars = read_scalars(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert scalars.damage == "record 1 at byte 0: truncated"
    assert peak < 1_000_000


@settings(deadline=None)  # a slow disk is no failure
@given(garbage=st.binary(min_size=1, max_size=200))
def test_garbage_at_the_end_takes_nothing_away(
    garbage: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("garbage") / "tfevents"
    path.write_bytes(to_events(make_run(epochs=1)))
    whole = read_scalars(path).points
    path.write_bytes(path.read_bytes() + garbage)
    scalars = read_scalars(path)
    assert scalars.points == whole
    assert DAMAGE.fullmatch(scalars.damage or "")


def make_empty(path: Path) -> None:
    path.write_bytes(b"")


def make_nothing(path: Path) -> None:
    path.unlink(missing_ok=True)


@pytest.mark.parametrize(
    ("make", "damage"),
    [
        pytest.param(make_empty, "empty", id="an empty file"),
        pytest.param(make_nothing, "No such file or directory", id="no file"),
        pytest.param(Path.mkdir, "not a regular file", id="a directory"),
        pytest.param(os.mkfifo, "not a regular file", id="a pipe nobody writes to"),
        pytest.param(lambda path: path.symlink_to(os.devnull), "not a regular file", id="a device"),
    ],
)
def test_what_is_no_event_file_is_damage_not_an_error(
    make: Any, damage: str, tmp_path: Path
) -> None:
    path = tmp_path / "tfevents"
    make(path)
    scalars = read_scalars(path)
    assert (scalars.points, scalars.started, scalars.damage) == ({}, None, damage)


@settings(deadline=None)  # a slow disk is no failure
@given(content=st.binary(max_size=100))
def test_intact_records_of_anything_are_no_error(
    content: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    first = to_record(to_scalar("a", 1))
    path = write_records(tmp_path_factory.mktemp("any") / "tfevents", first, content)
    scalars = read_scalars(path)
    assert scalars.points["a"][0] == Point(0, 1.0, 0.0)
    assert scalars.damage in (None, f"record 2 at byte {16 + len(first)}: not an event")


def make_tensor(shape: list[int], **content: Any) -> Summary.Value:
    value = Summary.Value(tag="tensor")
    for name, item in content.items():
        field = getattr(value.tensor, name)
        if isinstance(item, list):
            field.extend(item)
        else:
            setattr(value.tensor, name, item)
    for size in shape:
        value.tensor.tensor_shape.dim.add(size=size)
    return value


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param(make_tensor([], dtype=DT_FLOAT, float_val=[1.5]), 1.5, id="single"),
        pytest.param(make_tensor([], dtype=DT_DOUBLE, double_val=[0.1]), 0.1, id="double"),
        pytest.param(make_tensor([1, 1], dtype=DT_FLOAT, float_val=[1.5]), 1.5, id="1x1"),
        pytest.param(
            make_tensor([], dtype=DT_FLOAT, tensor_content=struct.pack("<f", 1.5)), 1.5, id="packed"
        ),
        pytest.param(
            make_tensor([], dtype=DT_FLOAT, tensor_content=b"abc"), None, id="packed, cut"
        ),
        pytest.param(make_tensor([], dtype=DT_FLOAT), None, id="no number"),
        pytest.param(make_tensor([0], dtype=DT_FLOAT), None, id="empty"),
        pytest.param(make_tensor([2], dtype=DT_FLOAT, float_val=[1, 2]), None, id="a vector"),
        pytest.param(
            make_tensor([2**60], dtype=DT_FLOAT, float_val=[1]), None, id="a claim of 2**60 numbers"
        ),
        pytest.param(make_tensor([], dtype=DT_STRING, string_val=[b"12"]), None, id="a text"),
        pytest.param(make_tensor([], dtype=12345, float_val=[1]), None, id="an unknown type"),
    ],
)
def test_a_tensor_of_one_number_is_a_scalar(
    value: Summary.Value, expected: float | None, tmp_path: Path
) -> None:
    points = read_scalars(write_records(tmp_path / "tfevents", to_record(value))).points
    assert points == ({} if expected is None else {"tensor": [Point(0, expected, 0.0)]})


def test_records_too_large_for_a_scalar_are_stepped_over_unread(tmp_path: Path) -> None:
    after = to_record(to_scalar("a", 1))
    path = write_records(tmp_path / "tfevents", bytes(10**6), after)
    tracemalloc.start()
    scalars = read_scalars(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (scalars.points, scalars.damage) == ({"a": [Point(0, 1.0, 0.0)]}, None)
    assert peak < 300_000


def test_a_file_of_endless_records_is_read_up_to_a_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = to_record(to_scalar("a", 1))
    size = 16 + len(record)
    monkeypatch.setattr(events, "_MOST_BYTES", 10 * size)
    scalars = read_scalars(write_records(tmp_path / "tfevents", *[record] * 20))
    assert len(scalars.points["a"]) == 10
    assert scalars.damage == (
        f"record 11 at byte {10 * size}: more records than {10 * size} bytes, not read"
    )


def test_a_folder_that_mltrainer_wrote_is_read(foreign: Path) -> None:
    (folder,) = (foreign / "mltrainer").iterdir()
    run = read_mltrainer_folder(folder)
    assert run.warnings == ()
    assert run.settings == {
        "epochs": 2,
        "train_steps": 3,
        "learning_rate": 0.01,
        "optimizer_args": {"weight_decay": 1e-5, "betas": [0.9, 0.99]},
        "hidden_units": (16, 8),
    }
    assert run.complete is True
    assert run.started is not None
    assert [record.epoch for record in run.history] == [1, 2]
    for record in run.history:
        assert record.train_loss is not None
        assert 1 < record.train_loss < 10
        assert record.valid_loss is not None
        assert 1 < record.valid_loss < 10
        assert record.accuracy in [correct / 16 for correct in range(17)]
        assert record.learning_rate == single(0.01)
        assert 0 < record.seconds < 60


def test_what_a_summary_writer_wrote_is_read(foreign: Path) -> None:
    (path,) = (foreign / "writer").iterdir()
    scalars = read_scalars(path)
    assert scalars.damage is None
    points = {tag: [point[:2] for point in found] for tag, found in scalars.points.items()}
    assert points == {"simple": [(0, 1.5)], "tensor": [(1, 2.5)], "double": [(2, 0.1)]}


def make_folder(folder: Path, settings: str | bytes = SETTINGS, network: str = "[model]") -> Path:
    store(make_run(), folder)
    content = settings if isinstance(settings, bytes) else settings.encode()
    (folder / "settings.toml").write_bytes(content)
    (folder / "model.toml").write_text(network)
    return folder


def test_a_text_that_mltrainer_spoils_costs_a_warning_not_the_run(tmp_path: Path) -> None:
    make_folder(tmp_path)

    class Settings:
        def __init__(self) -> None:
            self.epochs = 3
            self.note = 'the "good" one'

    TOMLSerializer.save(Settings(), tmp_path / "settings.toml")
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
    network = f'[model]\n{named}[types]\nloss = "function"\n'
    folder = make_folder(tmp_path / "run", SETTINGS.replace("epochs", named + "epochs"), network)
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
        pytest.param("#" * 300_000, "settings.toml: larger than 262144 bytes.*", id="too large"),
        pytest.param("epochs = 3", r"settings.toml: no \[model\] table", id="another's file"),
        pytest.param("model = 3", r"settings.toml: no \[model\] table", id="no table"),
        pytest.param(
            "[model]\nepochs = true", "settings.toml: epochs: not a whole.*", id="true epochs"
        ),
        pytest.param("[model]\nepochs = 0", "settings.toml: epochs: not a whole.*", id="no epochs"),
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
            "[model.optimizer_kwargs]\na = [[1]]",
            "settings.toml: optimizer_kwargs.a: not a plain value",
            id="a nested argument",
        ),
    ],
)
def test_settings_that_cannot_be_trusted_cost_a_warning(
    settings: str | bytes, warning: str, tmp_path: Path
) -> None:
    run = read_mltrainer_folder(make_folder(tmp_path, settings))
    assert len(run.history) == 3
    assert run.settings.get("epochs") is None
    assert run.settings.get("learning_rate") is None
    (found,) = run.warnings
    assert re.fullmatch(warning, found)


@settings(deadline=None)  # a slow disk is no failure
@given(content=st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_no_settings_file_is_an_error(
    content: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    run = read_mltrainer_folder(make_folder(tmp_path_factory.mktemp("any"), content))
    assert len(run.history) == 3


def test_an_empty_folder_and_a_missing_one_give_warnings(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "missing"):
        run = read_mltrainer_folder(folder)
        assert (run.settings, run.history, run.started, run.complete) == ({}, (), None, None)
        assert run.warnings == (
            "settings.toml: missing",
            "model.toml: missing",
            "no event file with scalars",
        )


def test_the_damage_of_an_event_file_is_a_warning_and_its_last_epoch_is_left_out(
    tmp_path: Path,
) -> None:
    run = make_run().model_copy(update={"weights": None})
    folder = make_folder(tmp_path)
    path = folder / events_file_name(run)
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
    (folder / "events.out.tfevents.1.second").write_bytes(to_events(make_run(epochs=1)))
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
    run = read_mltrainer_folder(make_folder(tmp_path, text.encode()))
    assert run.settings["optimizer_args"] == {}
    assert [warning.partition(": not")[0] for warning in run.warnings] == [
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


@pytest.mark.parametrize("wall_time", [math.nan, math.inf, 1e300, -1e15])
def test_a_senseless_clock_leaves_the_start_unknown(wall_time: float, tmp_path: Path) -> None:
    record = to_record(to_scalar("Loss/train", 1), wall_time=wall_time)
    write_records(tmp_path / "events.out.tfevents.1", record)
    run = read_mltrainer_folder(tmp_path)
    assert (run.started, len(run.history)) == (None, 1)


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
    assert read_mltrainer_folder(make_folder(tmp_path, settings)).complete is complete


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
        pytest.param("[model]\nunits1 = 64\nunits2 = 32", (64, 32), id="attributes only"),
        pytest.param("[model]\nunits1 = 'x'", None, id="attributes of another kind"),
        pytest.param("[model]\nunits2 = 32", None, id="no first layer"),
        pytest.param("[model" + ".a" * 19 + "]", None, id="tables in tables in tables"),
    ],
)
def test_hidden_units_are_known_when_the_network_is_plainly_an_mlp(
    network: str, hidden_units: tuple[int, ...] | None, tmp_path: Path
) -> None:
    run = read_mltrainer_folder(make_folder(tmp_path, network=network))
    assert run.settings.get("hidden_units") == hidden_units
    assert run.warnings == ()


def test_importing_events_imports_neither_tensorboard_nor_torch(tmp_path: Path) -> None:
    code = "import fmgrid.results.events, sys; print({'tensorboard', 'torch'} & set(sys.modules))"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_writing_and_reading_import_neither_tensorflow_nor_torch(tmp_path: Path) -> None:
    for name in ("tensorflow", "torch"):
        (tmp_path / f"{name}.py").write_text(f"raise SystemExit('{name} imported')")
    code = (
        "import sys; from pathlib import Path; from fmgrid.experiment import Run;"
        "from fmgrid.results.events import read_scalars, to_events;"
        "run = Run.model_validate_json(sys.argv[1]);"
        "path = Path('tfevents'); path.write_bytes(to_events(run));"
        "print(len(read_scalars(path).points['Loss/train']))"
    )
    command = [sys.executable, "-c", code, make_run().model_dump_json()]
    env = os.environ | {"PYTHONPATH": str(tmp_path)}
    done = subprocess.run(
        command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False
    )
    assert (done.stdout.strip(), done.stderr) == ("3", "")
