"""TensorBoard's event files, written and read; the only module that knows tensorboard.

A run's file has the scalars under mltrainer's tags, so that the runs of both stand side by side,
and the settings for the HParams tab, because TensorBoard would show a second file as a second
run. A file that is read may be anyone's: the records before its first damage count.

The import of tensorboard takes a third of a second, hence the imports inside functions.
"""

import os
import struct
import sys
from collections.abc import Iterator, Mapping
from io import SEEK_CUR, BytesIO
from itertools import count
from pathlib import Path
from typing import Any, BinaryIO, Literal, NamedTuple, get_args, get_origin

from fmgrid.components.datasets import workload_of
from fmgrid.experiment import Experiment, Run
from fmgrid.metrics import COLUMNS, METRICS
from fmgrid.settings import SETTINGS, flatten
from fmgrid.system.disk import open_regular

# mltrainer's tags in mltrainer's order, and the names of the same metrics here
TAGS = {
    "Loss/train": "train_loss",
    "Loss/test": "valid_loss",
    "metric/Accuracy": "accuracy",
    "learning_rate": "learning_rate",
}
_LARGEST_RECORD = 2**16  # bytes; a scalar has about a hundred, so this is an image or a graph
_MOST_BYTES = 2**24  # of all records that are read: some 200,000 scalars, which take 10 s
_HEADER = struct.Struct("<QI")  # of a record: its length, and the checksum of that


class Point(NamedTuple):
    """One scalar at one step."""

    step: int  # from 0 for the epochs of mltrainer and fmgrid
    value: float  # in single precision
    wall_time: float  # seconds since 1970


class Scalars(NamedTuple):
    """The scalars of one event file, up to the place where it is damaged."""

    points: Mapping[str, list[Point]]  # by tag, in the order of the file; none for other content
    started: float | None  # wall time of the first record
    damage: str | None = None  # such as "record 12 at byte 840: checksum mismatch"


def is_event_file(name: str) -> bool:
    """Tell whether TensorBoard takes a file of this name for an event file."""
    return "tfevents" in name and not name.startswith(".")


def to_events(run: Run) -> bytes:
    """Return the event file of a run; equal runs give equal bytes.

    The scalars of epochs have mltrainer's tags and steps. Each scalar under `hparam/` has one
    point: a column of the HParams table.
    """
    from tensorboard.summary.writer.record_writer import RecordWriter

    stream = BytesIO()
    writer = RecordWriter(stream)
    for event in _to_messages(run):
        writer.write(event.SerializeToString(deterministic=True))
    return stream.getvalue()


def _to_messages(run: Run) -> Iterator[Any]:
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
    from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2

    def to_hparams_value(tag: str, **content: Any) -> Any:
        """Return a message for the HParams plugin, which finds it in the metadata of *tag*.

        tensorboard.plugins.hparams.summary does the same, but imports tensorflow. There is no
        message with the list of all columns: TensorBoard would believe the first run that has
        one, and show no settings that only other runs have.
        """
        version = metadata.PLUGIN_DATA_VERSION
        data = plugin_data_pb2.HParamsPluginData(version=version, **content)
        plugin_data = SummaryMetadata.PluginData(
            plugin_name=metadata.PLUGIN_NAME, content=data.SerializeToString(deterministic=True)
        )
        about = SummaryMetadata(plugin_data=plugin_data)
        return Summary.Value(tag=tag, metadata=about, tensor=metadata.NULL_TENSOR)

    started = run.started.timestamp()
    finished = started + run.seconds
    yield Event(wall_time=started, file_version="brain.Event:2")
    start = plugin_data_pb2.SessionStartInfo(start_time_secs=started)
    for name, cell in _to_hparams(run.experiment).items():
        if isinstance(cell, str):
            start.hparams[name].string_value = cell
        elif cell is not None:
            start.hparams[name].number_value = cell
    value = to_hparams_value(metadata.SESSION_START_INFO_TAG, session_start_info=start)
    yield Event(wall_time=started, summary=Summary(value=[value]))
    for tag, (step, number, wall_time) in _to_scalars(run):
        value = Summary.Value(tag=tag, simple_value=number)
        yield Event(wall_time=wall_time, step=step, summary=Summary(value=[value]))
    is_complete = run.status == "complete"
    status = api_pb2.STATUS_SUCCESS if is_complete else api_pb2.STATUS_FAILURE
    end = plugin_data_pb2.SessionEndInfo(status=status, end_time_secs=finished)
    value = to_hparams_value(metadata.SESSION_END_INFO_TAG, session_end_info=end)
    yield Event(wall_time=finished, summary=Summary(value=[value]))


def _to_scalars(run: Run) -> Iterator[tuple[str, Point]]:
    started = run.started.timestamp()
    for record in run.history:
        for tag, field in TAGS.items():
            yield tag, Point(record.epoch - 1, getattr(record, field), started + record.seconds)
    step = run.final.epoch - 1 if run.final else 0
    figures = {name: METRICS[name].of(run) for name in COLUMNS if name not in TAGS.values()}
    for name, value in {**figures, "seconds": run.seconds}.items():
        if value is not None:
            yield f"hparam/{name}", Point(step, value, started + run.seconds)


def _to_hparams(experiment: Experiment) -> dict[str, float | str | None]:
    """Return the settings, and what follows from them, as cells of the HParams table.

    TensorBoard hides runs from a column that has values of two types, and a run knows nothing of
    the others. So each name has one type: an argument that is no number is text under another one.
    """
    cells: dict[str, float | str | None] = {
        "name": experiment.name,
        "seed": experiment.seed,
        "depth": experiment.depth,
        "steps_per_epoch": workload_of(experiment).steps_per_epoch,
        **{f"units{layer}": units for layer, units in enumerate(experiment.hidden_units or (), 1)},
    }
    for setting, entry in SETTINGS.items():
        value = getattr(experiment, setting)
        if entry.is_table:
            for name, item in flatten({setting: value}).items():
                is_number = type(item) in (int, float) and abs(item) <= sys.float_info.max
                cells[name if is_number else f"{name} as text"] = (
                    item if is_number else _to_text(item)
                )
        else:
            # Some settings are a number in some experiments and a word in others.
            types = get_args(Experiment.model_fields[setting].annotation)
            may_be_word = any(get_origin(kind) is Literal for kind in types)
            cells[setting] = _to_text(value) if may_be_word or isinstance(value, tuple) else value
    return cells


def _to_text(value: Any) -> str | None:
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return None if value is None else str(value)


def read_scalars(path: Path) -> Scalars:
    """Return the scalars of an event file of any origin.

    A file that is damaged or missing, or is no event file, raises nothing: the scalars before the
    damage are returned with its description.
    """
    from google.protobuf.message import DecodeError
    from tensorboard.compat.proto.event_pb2 import Event

    points: dict[str, list[Point]] = {}
    started = damage = None
    try:
        with open_regular(path) as file:
            for place, data in _read_records(file):
                try:
                    event = Event.FromString(data)
                except DecodeError:
                    raise ValueError(f"{place}: not an event") from None
                started = event.wall_time if started is None else started
                for value in event.summary.value:
                    points_of_tag = points.setdefault(value.tag, [])
                    if value.WhichOneof("value") == "simple_value":
                        points_of_tag.append(Point(event.step, value.simple_value, event.wall_time))
        damage = "empty" if started is None else None
    except ValueError as error:
        damage = str(error)
    except OSError as error:
        damage = error.strerror or str(error)
    return Scalars(points, started, damage)


def _read_records(file: BinaryIO) -> Iterator[tuple[str, bytes]]:
    """Yield the place and the content of each record that is small enough for scalars.

    Raises `ValueError` at the first record that is not intact. tensorboard's own reader would
    reserve whatever length a forged record claims, and take a second to check a picture of 10 MB.
    """
    from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import masked_crc32c

    size = os.fstat(file.fileno()).st_size
    bytes_left = _MOST_BYTES
    for number in count(1):
        place = f"record {number} at byte {file.tell()}"
        header = file.read(_HEADER.size)
        if not header:
            return
        if len(header) < _HEADER.size:
            raise ValueError(f"{place}: truncated")
        length, checksum = _HEADER.unpack(header)
        if checksum != masked_crc32c(header[:8]):
            raise ValueError(f"{place}: checksum mismatch")
        if length + 4 > size - file.tell():
            raise ValueError(f"{place}: truncated")
        if length > _LARGEST_RECORD:
            file.seek(length + 4, SEEK_CUR)
            continue
        bytes_left -= _HEADER.size + length + 4
        if bytes_left < 0:
            raise ValueError(f"{place}: not read, because it is beyond {_MOST_BYTES} bytes")
        data = file.read(length)
        if file.read(4) != struct.pack("<I", masked_crc32c(data)):
            raise ValueError(f"{place}: checksum mismatch")
        yield place, data
