import http.client
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
from hypothesis import given
from hypothesis import strategies as st
from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import masked_crc32c
from tensorboard.context import RequestContext
from tensorboard.plugins.base_plugin import TBContext
from tensorboard.plugins.hparams import api_pb2, list_session_groups, metadata
from tensorboard.plugins.hparams.backend_context import Context
from tensorboard.summary.writer.record_writer import RecordWriter
from torch.utils.tensorboard import SummaryWriter

from fmgrid.experiment import EpochRecord, Experiment, Run
from fmgrid.results import tensorboard
from fmgrid.results.tensorboard import Point, read_scalars, to_events

STARTED = datetime(2026, 1, 1, 12, tzinfo=UTC)
MLTRAINER_TAGS = {"Loss/train", "Loss/test", "metric/Accuracy", "learning_rate"}
DAMAGE = re.compile(r"record \d+ at byte \d+: (checksum mismatch|truncated)")


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
    path = folder / "events.out.tfevents.1.fmgrid"
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
    final = {tag: found for tag, found in points.items() if found and tag not in MLTRAINER_TAGS}
    started = STARTED.timestamp()
    assert final == {
        "hparam/best_accuracy": [Point(1, 0.75, started + 2.5)],
        "hparam/best_epoch": [Point(1, 1, started + 2.5)],
        "hparam/best_valid_loss": [Point(1, 0.75, started + 2.5)],
        "hparam/images_seen": [Point(1, 12_800, started + 2.5)],
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
    for tag, expected in ((tag, found) for tag, found in points.items() if found):
        tensors = accumulator.Tensors(tag)
        assert [tensor.step for tensor in tensors] == [point.step for point in expected]
        assert [tensor.wall_time for tensor in tensors] == [point.wall_time for point in expected]
        values = [float(tensor.tensor_proto.float_val[0]) for tensor in tensors]
        assert values == [point.value for point in expected]


def test_equal_runs_give_equal_bytes_in_any_process(tmp_path: Path) -> None:
    run = make_run(optimizer_args={"weight_decay": 0.1, "betas": [0.9, 0.99]})
    code = (
        "import sys; from fmgrid.experiment import Run; "
        "from fmgrid.results.tensorboard import to_events; "
        "run = Run.model_validate_json(sys.argv[1]); sys.stdout.buffer.write(to_events(run))"
    )
    command = [sys.executable, "-c", code, run.model_dump_json()]
    for seed in ("1", "2"):
        env = os.environ | {"PYTHONHASHSEED": seed}
        written = subprocess.run(command, env=env, cwd=tmp_path, capture_output=True, check=True)
        assert written.stdout == to_events(run)


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
    assert [tag for tag, points in scalars.points.items() if points] == ["hparam/seconds"]


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
        "network": "MLP",
        "precision": "float32",
        "layout": "auto",
        "standardize": 0.0,
        "hidden_units": "64, 32, 16",
        "depth": 3,
        "units1": 64,
        "units2": 32,
        "units3": 16,
        "learning_rate": 1e-3,
        "optimizer": "SGD",
        "optimizer_args.momentum": 0.9,
        "optimizer_args.nesterov as text": "True",
        "optimizer_args.betas as text": "0.9, 0.99",
        "optimizer_args.a.b": 1,
        "seed": 3,
    }


def test_what_an_epoch_is_not_counted_in_is_no_hyperparameter(tmp_path: Path) -> None:
    hparams = read_hparams(store(make_run(train_images=6400), tmp_path))
    assert hparams.keys() & {"train_steps", "train_images"} == {"train_images"}
    assert (hparams["train_images"], hparams["steps_per_epoch"]) == (6400, 100)


def test_optimizer_arguments_without_a_cell_of_their_own_cost_no_run(tmp_path: Path) -> None:
    arguments = {"eps": math.inf, "rho": math.nan, "d": 10**400, "x": None}
    hparams = read_hparams(store(make_run(optimizer_args=arguments), tmp_path))
    shown = {name: value for name, value in hparams.items() if name.startswith("optimizer_args")}
    assert shown == {
        "optimizer_args.eps as text": "inf",
        "optimizer_args.rho as text": "nan",
        "optimizer_args.d as text": str(10**400),
    }


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


def test_a_number_is_a_number_whoever_made_the_optimizer(tmp_path: Path) -> None:
    for number, optimizer in enumerate(["Adam", "my:Own"]):
        given = {"weight_decay": 0.1 * number, "maximize": True}
        run = make_run(f"run_{number}", optimizer=optimizer, optimizer_args=given)
        store(run, tmp_path / f"run_{number}")
    columns, shown = rows_in_tensorboard(tmp_path)
    assert columns["optimizer_args.weight_decay"].type == api_pb2.DATA_TYPE_FLOAT64
    assert columns["optimizer_args.maximize as text"].type == api_pb2.DATA_TYPE_STRING
    assert len(shown) == 2


@pytest.mark.parametrize(
    "name", sorted({*Experiment.model_fields} - {"content"})
)  # it needs the data
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
    assert ends == 2 + 2 * 4 + 6  # as many as there are records, the last one aside


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
        pytest.param(Path.mkdir, "Is a directory", id="a directory"),
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


@given(content=st.binary(max_size=100))
def test_intact_records_of_anything_are_no_error(
    content: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    first = to_record(to_scalar("a", 1))
    path = write_records(tmp_path_factory.mktemp("any") / "tfevents", first, content)
    scalars = read_scalars(path)
    assert scalars.points["a"][0] == Point(0, 1.0, 0.0)
    assert scalars.damage in (None, f"record 2 at byte {16 + len(first)}: not an event")


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
    monkeypatch.setattr(tensorboard, "_MOST_BYTES", 10 * size)
    scalars = read_scalars(write_records(tmp_path / "tfevents", *[record] * 20))
    assert len(scalars.points["a"]) == 10
    assert scalars.damage == (
        f"record 11 at byte {10 * size}: not read, because it is beyond {10 * size} bytes"
    )


def test_what_a_summary_writer_wrote_is_read(tmp_path: Path) -> None:
    with SummaryWriter(tmp_path) as writer:
        writer.add_scalar("simple", 1.5, 0)
        writer.add_image("image", torch.rand(3, 200, 200), 0)
        writer.add_text("text", "12", 0)
        writer.add_scalar("tensor", 2.5, 1, new_style=True)
    (path,) = tmp_path.iterdir()
    scalars = read_scalars(path)
    assert scalars.damage is None
    points = {tag: [point[:2] for point in points] for tag, points in scalars.points.items()}
    assert points == {"simple": [(0, 1.5)], "text/text_summary": [], "tensor": []}


def test_importing_the_store_imports_neither_tensorboard_nor_torch(tmp_path: Path) -> None:
    code = "import fmgrid.results.store, sys; print({'tensorboard', 'torch'} & set(sys.modules))"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_writing_and_reading_import_neither_tensorflow_nor_torch(tmp_path: Path) -> None:
    for name in ("tensorflow", "torch"):
        (tmp_path / f"{name}.py").write_text(f"raise SystemExit('{name} imported')")
    code = (
        "import sys; from pathlib import Path; from fmgrid.experiment import Run;"
        "from fmgrid.results.tensorboard import read_scalars, to_events;"
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
