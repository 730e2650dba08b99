"""TensorBoard event files, written and read; the only module that knows tensorboard.

What is written bears mltrainer's own tags, so that the runs of both stand side by side, and
holds the settings for the HParams tab too, because a file of their own would show as a second
run. What is read may come from anyone: it is bounded and never executed, and damage costs
what it hides and no more.

Importing tensorboard takes a third of a second, hence the imports inside functions.
"""

import json
import os
import re
import stat
import struct
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from io import SEEK_CUR, BytesIO
from itertools import count, pairwise, takewhile
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, TypeAlias, TypeGuard

from fmgrid.components import is_plugged_in
from fmgrid.errors import DamagedFileError
from fmgrid.experiment import Experiment, Run
from fmgrid.system import toml
from fmgrid.system.disk import open_regular
from fmgrid.words import first_few, printable

# mltrainer's tags in mltrainer's order, and fmgrid's words for them
_TAGS = {
    "Loss/train": "train_loss",
    "Loss/test": "valid_loss",
    "metric/Accuracy": "accuracy",
    "learning_rate": "learning_rate",
}
# Numbers in some runs and words in others. They are always written as text, because
# TensorBoard makes such a column one of texts and then hides the runs that have a number.
_NUMBER_OR_WORD = {"validation", "train_steps"}
# Arguments of torch's optimizers by the type of their column. An argument of a plugged-in
# optimizer is a column of texts, because it may be a number in one run and a word in another.
_NUMBERS = {
    *("alpha", "beta2_decay", "d", "dampening", "eps", "initial_accumulator_value", "lambd"),
    *("lr_decay", "momentum", "momentum_decay", "ns_steps", "rho", "t0", "weight_decay"),
}
_TRUTHS = {
    *("amsgrad", "capturable", "centered", "decoupled_weight_decay", "differentiable"),
    *("foreach", "fused", "maximize", "nesterov"),
}
_TEXTS = {"adjust_lr_fn", "betas", "etas", "ns_coefficients", "step_sizes"}

_LARGEST_RECORD = 2**16  # bytes; a scalar needs about a hundred, so this one is an image or a graph
_MOST_BYTES = 2**24  # of records looked into: some 200,000 scalars, which take 10 s
_LONGEST_RUN = 1e10  # seconds, or 300 years; a damaged clock may say anything
_MOST_EPOCHS = 2**31  # as many as an Experiment may have
_LARGEST_TOML = 2**18  # bytes; a network of 300 layers takes 30,000
_HEADER = struct.Struct("<QI")  # of a record: its length, and the length's checksum


# An attribute of a network as a name that can be a column
_ATTRIBUTE = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,59}")
_MOST_ATTRIBUTES = 40  # of one network
_LONGEST_ATTRIBUTE = 200  # characters
_ADDRESS = re.compile(r"\bat 0x[0-9a-fA-F]+")  # of an object, which is another one in every run
_MOST_TAGS = 5  # that a warning names
_MOST_OTHERS = 1_000  # tags without scalars that are remembered of a file

Plain: TypeAlias = bool | int | float | str


class Point(NamedTuple):
    """One scalar at one step."""

    step: int  # from 0 for the epochs of mltrainer and fmgrid
    value: float  # in single precision, which is what event files hold
    wall_time: float  # seconds since 1970


@dataclass(frozen=True)
class Scalars:
    """The scalars of one event file, up to the place where it is damaged."""

    points: Mapping[str, list[Point]]  # by tag, in file order
    started: float | None  # wall time of the first record
    damage: str | None = None  # such as "record 12 at byte 840: checksum mismatch"
    others: tuple[str, ...] = ()  # tags of what is no scalar, such as pictures and texts


@dataclass(frozen=True)
class FoundEpoch:
    """What mltrainer logged at the end of one epoch; None throughout a run where it did not.

    Loss and accuracy are means of batch means, unlike those of fmgrid's own runs.
    """

    epoch: int  # from 1
    train_loss: float | None
    valid_loss: float | None
    accuracy: float | None  # fraction
    learning_rate: float | None  # after the schedule's step, so that of the next epoch
    seconds: float | None  # since the event file was opened


@dataclass(frozen=True)
class FoundRun:
    """A run that plain mltrainer left behind, as far as its files can be trusted."""

    settings: dict[str, Any]  # by fmgrid's words; what is not known is absent
    history: tuple[FoundEpoch, ...] = ()
    started: datetime | None = None
    complete: bool | None = None  # None where the files leave it open
    warnings: tuple[str, ...] = ()  # "file: what is wrong with it"
    network: tuple[tuple[str, Plain], ...] = ()  # names and values of its own attributes
    objection: str | None = None  # why this is no run of mltrainer's


def events_file_name(run: Run) -> str:
    """Return the name to store the event file under; TensorBoard looks for "tfevents" in it."""
    return f"events.out.tfevents.{int(run.started.timestamp()):010d}.fmgrid"


def to_events(run: Run) -> bytes:
    """Return the whole event file of *run*: equal runs give equal bytes.

    Scalars have mltrainer's tags and steps (from 0). Those under `hparam/` have one point:
    what a table of runs is sorted by.
    """
    from tensorboard.summary.writer.record_writer import RecordWriter

    stream = BytesIO()
    writer = RecordWriter(stream)
    for message in _to_messages(run):
        writer.write(message.SerializeToString(deterministic=True))
    return stream.getvalue()


def read_scalars(path: Path) -> Scalars:
    """Read the scalars of an event file that anyone's writer wrote.

    Nothing is raised for a file that is damaged, missing or no file at all: what stands
    before the damage is returned together with its description.
    """
    from google.protobuf.message import DecodeError
    from tensorboard.compat.proto.event_pb2 import Event

    points: dict[str, list[Point]] = {}
    others: dict[str, None] = {}
    started = None
    try:
        for where, data in _read_records(path):
            try:
                event = Event.FromString(data)
            except DecodeError:
                raise DamagedFileError(f"{where}: not an event") from None
            started = event.wall_time if started is None else started
            for value in event.summary.value:
                number = _to_number(value)
                if number is not None:
                    point = Point(event.step, number, event.wall_time)
                    points.setdefault(value.tag, []).append(point)
                elif len(others) < _MOST_OTHERS:
                    others[value.tag] = None
    except DamagedFileError as error:
        damage: str | None = str(error)
    except OSError as error:
        damage = error.strerror or str(error)
    else:
        damage = None if started is not None else "empty"
    return Scalars(points, started, damage, tuple(others))


def read_mltrainer_folder(folder: Path) -> FoundRun:
    """Read a folder of mltrainer's: an event file, `settings.toml` and `model.toml`.

    Nothing is raised for what is missing or damaged: it costs a warning and what it held.
    """
    warnings: list[str] = []
    written = _read_model_table(folder / "settings.toml", warnings)
    network = _read_model_table(folder / "model.toml", warnings)
    settings = _to_settings(written, network, warnings)
    scalars, strange = _read_only_scalars(folder, warnings)
    history = _to_history(scalars)
    return FoundRun(
        network=_to_attributes(network, settings, warnings),
        objection=_objection(strange),
        settings=settings,
        history=history,
        started=_to_datetime(scalars.started),
        complete=_is_complete(settings.get("epochs"), _to_patience(written), len(history)),
        warnings=tuple(warnings),
    )


def _to_messages(run: Run) -> Iterator[Any]:
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.plugins.hparams import metadata

    started = run.started.timestamp()
    finished = started + run.seconds
    yield Event(wall_time=started, file_version="brain.Event:2")
    yield Event(
        wall_time=started,
        summary=_to_hparams_summary(
            metadata.SESSION_START_INFO_TAG, session_start_info=_to_session_start(run)
        ),
    )
    for tag, (step, number, wall_time) in _to_scalars(run):
        value = Summary.Value(tag=tag, simple_value=number)
        yield Event(wall_time=wall_time, step=step, summary=Summary(value=[value]))
    yield Event(
        wall_time=finished,
        summary=_to_hparams_summary(
            metadata.SESSION_END_INFO_TAG, session_end_info=_to_session_end(run)
        ),
    )


def _to_scalars(run: Run) -> Iterator[tuple[str, Point]]:
    started = run.started.timestamp()
    for record in run.history:
        for tag, field in _TAGS.items():
            yield tag, Point(record.epoch - 1, getattr(record, field), started + record.seconds)
    if run.best is not None:
        best = Point(run.best.epoch - 1, run.best.accuracy, started + run.best.seconds)
        yield "hparam/best_accuracy", best
    step = run.final.epoch - 1 if run.final else 0
    for field in ("test_accuracy", "test_loss", "weights", "seconds"):
        value = getattr(run, field)
        if value is not None:
            yield f"hparam/{field}", Point(step, value, started + run.seconds)


def _to_hparams_summary(tag: str, **content: Any) -> Any:
    """Wrap one message for the HParams plugin, which finds it in the metadata of *tag*.

    tensorboard.plugins.hparams.summary would do the same, but it imports tensorflow.
    The plugin's third message, which lists all columns, is left out on purpose: TensorBoard
    believes the first run that has one, and other runs' settings would be missing from the
    table. Without any, it gathers the columns from all runs.
    """
    from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
    from tensorboard.plugins.hparams import metadata
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

    data = HParamsPluginData(version=metadata.PLUGIN_DATA_VERSION, **content)
    plugin_data = SummaryMetadata.PluginData(
        plugin_name=metadata.PLUGIN_NAME, content=data.SerializeToString(deterministic=True)
    )
    value = Summary.Value(
        tag=tag, metadata=SummaryMetadata(plugin_data=plugin_data), tensor=metadata.NULL_TENSOR
    )
    return Summary(value=[value])


def _to_session_start(run: Run) -> Any:
    from tensorboard.plugins.hparams.plugin_data_pb2 import SessionStartInfo

    info = SessionStartInfo(start_time_secs=run.started.timestamp())
    for name, value in _to_hparams(run.experiment):
        if isinstance(value, bool):
            info.hparams[name].bool_value = value
        elif isinstance(value, str):
            info.hparams[name].string_value = value
        else:
            info.hparams[name].number_value = value
    return info


def _to_session_end(run: Run) -> Any:
    from tensorboard.plugins.hparams import api_pb2
    from tensorboard.plugins.hparams.plugin_data_pb2 import SessionEndInfo

    success = run.status == "complete"
    return SessionEndInfo(
        status=api_pb2.STATUS_SUCCESS if success else api_pb2.STATUS_FAILURE,
        end_time_secs=run.started.timestamp() + run.seconds,
    )


def _to_hparams(experiment: Experiment) -> Iterator[tuple[str, bool | float | str]]:
    """Yield every setting, and those that follow from them and are worth a column."""
    for name, value in experiment.model_dump(exclude={"optimizer_args"}).items():
        if value is not None:
            yield from _flatten(name, str(value) if name in _NUMBER_OR_WORD else value)
    for argument, value in experiment.optimizer_args.items():
        yield from _to_argument(argument, value, is_plugged_in(experiment.optimizer))
    yield "depth", experiment.depth
    yield "steps_per_epoch", experiment.steps_per_epoch
    for layer, units in enumerate(experiment.hidden_units, 1):
        yield f"units{layer}", units


def _to_argument(
    argument: str, value: Any, is_a_strangers: bool
) -> Iterator[tuple[str, bool | float | str]]:
    """Yield an argument so that no column gets values of two types.

    The type of a column follows from the name of the argument alone, since one run knows nothing
    of the others. A value of another type goes to a column of texts beside it.
    """
    name = f"optimizer_args.{argument}"
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if (argument in _NUMBERS and not is_number) or (
        argument in _TRUTHS and not isinstance(value, bool)
    ):
        yield from _flatten_as_text(f"{name} as text", value)
    elif argument in _TEXTS or (is_a_strangers and argument not in _NUMBERS | _TRUTHS):
        yield from _flatten_as_text(name, value)
    else:
        yield from _flatten(name, value)


def _flatten_as_text(name: str, value: Any) -> Iterator[tuple[str, str]]:
    """Yield what `_flatten` does, every value as text."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _flatten_as_text(f"{name}.{key}", item)
    elif isinstance(value, list | tuple):
        yield name, ", ".join(map(str, value))
    elif value is not None:
        yield name, str(value)


def _flatten(name: str, value: Any) -> Iterator[tuple[str, bool | float | str]]:
    """Yield tables as `table.key` and lists as text; TensorBoard has no cell for inf and nan."""
    match value:
        case Mapping():
            for key, item in value.items():
                yield from _flatten(f"{name}.{key}", item)
        case list() | tuple():
            yield name, ", ".join(map(str, value))
        case bool() | str():
            yield name, value
        case float() | int():
            if _is_finite(value):
                yield name, value
        case None:
            return
        case _:
            yield name, str(value)


def _read_records(path: Path) -> Iterator[tuple[str, bytes]]:
    """Yield place and content of each record that may hold scalars.

    tensorboard's own reader asks for as many bytes as a damaged length field says, hence
    this one. Raises DamagedFileError at the first record that is not intact.
    """
    with _open(path) as file:
        size = os.fstat(file.fileno()).st_size
        looked_into = 0
        for number in count(1):
            start = file.tell()
            where = f"record {number} at byte {start}"
            try:
                data = _read_record(file, size)
            except EOFError:
                return
            except ValueError as error:
                raise DamagedFileError(f"{where}: {error}") from None
            if data is None:
                continue
            looked_into += file.tell() - start
            if looked_into > _MOST_BYTES:
                raise DamagedFileError(f"{where}: more records than {_MOST_BYTES} bytes, not read")
            yield where, data


def _read_record(file: BinaryIO, size: int) -> bytes | None:
    """Read one record, or step over one that is too large to be a scalar and return None.

    Raises EOFError at the end of the file, ValueError if the record is not intact.
    """
    from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import masked_crc32c

    header = file.read(_HEADER.size)
    if not header:
        raise EOFError
    if len(header) < _HEADER.size:
        raise ValueError("truncated")
    length, checksum = _HEADER.unpack(header)
    if checksum != masked_crc32c(header[:8]):
        raise ValueError("checksum mismatch")
    if length + 4 > size - file.tell():
        raise ValueError("truncated")
    if length > _LARGEST_RECORD:
        file.seek(length + 4, SEEK_CUR)
        return None
    data = file.read(length)
    if file.read(4) != struct.pack("<I", masked_crc32c(data)):
        raise ValueError("checksum mismatch")
    return data


def _to_number(value: Any) -> float | None:
    """Return the scalar in a summary value, or None if it holds something else.

    A tensor's shape is compared, never believed: a few bytes can claim 2**60 numbers.
    """
    from tensorboard.compat.proto.types_pb2 import DT_DOUBLE, DT_FLOAT

    kind = value.WhichOneof("value")
    if kind == "simple_value":
        return float(value.simple_value)
    tensor = value.tensor
    if kind != "tensor" or any(dim.size != 1 for dim in tensor.tensor_shape.dim):
        return None
    if tensor.dtype == DT_FLOAT:
        numbers, code = tensor.float_val, "<f"
    elif tensor.dtype == DT_DOUBLE:
        numbers, code = tensor.double_val, "<d"
    else:
        return None
    if len(tensor.tensor_content) == struct.calcsize(code):
        numbers = struct.unpack(code, tensor.tensor_content)
    return float(numbers[0]) if len(numbers) == 1 else None


def _read_model_table(path: Path, warnings: list[str]) -> dict[str, Any]:
    """Read the table under which tomlserializer puts everything, or {} with a warning."""
    try:
        table = _parse_toml(_read_text(path), path, warnings).get("model")
    except FileNotFoundError:
        warnings.append(f"{path.name}: missing")
    except OSError as error:
        warnings.append(f"{path.name}: {error.strerror or error}")
    except DamagedFileError as error:
        warnings.append(f"{path.name}: {error}")
    except (ValueError, RecursionError) as error:
        # tomlserializer escapes nothing, so a quote or a backslash in a text gives this
        warnings.append(f"{path.name}: not valid TOML: {error}")
    else:
        if isinstance(table, dict):
            return table
        warnings.append(f"{path.name}: no [model] table")
    return {}


def _parse_toml(text: str, path: Path, warnings: list[str]) -> dict[str, Any]:
    """Parse what tomlserializer wrote, whose backslashes, as in Windows' paths, are not escaped."""
    try:
        return toml.loads(text)
    except tomllib.TOMLDecodeError:
        if "\\" not in text or not text.lstrip().startswith("[model]"):
            raise
        table = toml.loads(text.replace("\\", "\\\\"))
    told = "its backslashes are not escaped, which is mltrainer's way; they were read as they stand"
    warnings.append(f"{path.name}: {told}")
    return table


def _read_text(path: Path) -> str:
    with _open(path) as file:
        content = file.read(_LARGEST_TOML + 1)
    if len(content) > _LARGEST_TOML:
        raise DamagedFileError(f"larger than {_LARGEST_TOML} bytes, not read")
    return content.decode()


def _open(path: Path) -> BinaryIO:
    """Open a file of unknown origin, but nothing else, such as a named pipe."""
    if not stat.S_ISREG(path.stat().st_mode):
        raise DamagedFileError("not a regular file")
    return open_regular(path)


def _to_settings(
    written: dict[str, Any], network: dict[str, Any], warnings: list[str]
) -> dict[str, Any]:
    """Translate mltrainer's words into fmgrid's; keep what fmgrid itself would accept."""
    settings: dict[str, Any] = {}
    for name in ("epochs", "train_steps"):
        if _is_count(written.get(name)):
            settings[name] = written[name]
        elif name in written:
            warnings.append(f"settings.toml: {name}: not a whole number from 1")
    arguments = written.get("optimizer_kwargs")
    if isinstance(arguments, dict):
        rate = arguments.get("lr")
        if _is_finite(rate) and rate > 0:
            settings["learning_rate"] = float(rate)
        elif rate is not None:
            warnings.append("settings.toml: optimizer_kwargs.lr: not a number greater than 0")
        settings["optimizer_args"] = _to_optimizer_args(
            {name: value for name, value in arguments.items() if name != "lr"}, warnings
        )
    hidden_units = _to_hidden_units(network)
    if hidden_units is not None:
        settings["hidden_units"] = hidden_units
    return settings


def _to_optimizer_args(arguments: dict[str, Any], warnings: list[str]) -> dict[str, Any]:
    kept = {}
    for name, value in arguments.items():
        items = value if isinstance(value, list) else [value]
        if value == "None":  # tomlserializer's None: the optimizer's own default
            continue
        if all(type(item) in (bool, float, str) or _is_finite(item) for item in items):
            kept[name] = value
        else:
            warnings.append(f"settings.toml: optimizer_kwargs.{name}: not a plain value")
    return kept


def _to_hidden_units(network: dict[str, Any]) -> tuple[int, ...] | None:
    """Return the units per hidden layer if *network* shows an MLP and nothing else.

    Fully connected layers that don't fit end to end, or that follow a convolution, are not
    the hidden layers of an MLP. An older tomlserializer wrote no layers, only the
    network's own attributes, of which units1, units2, ... can be told.
    """
    sizes: list[tuple[Any, Any]] = []
    for table in _walk(network):
        ends = (table.get("in_features"), table.get("out_features"))
        if all(map(_is_count, ends)):
            sizes.append(ends)
        elif table.keys() & {"in_channels", "input_size", "embed_dim", "num_embeddings"}:
            return None
    if not sizes:
        units: Iterator[Any] = (network.get(f"units{layer}") for layer in count(1))
        return tuple(takewhile(_is_count, units)) or None
    if any(left[1] != right[0] for left, right in pairwise(sizes)):
        return None
    return tuple(outputs for _, outputs in sizes[:-1])


def _to_attributes(
    network: dict[str, Any], settings: Mapping[str, Any], warnings: list[str]
) -> tuple[tuple[str, Plain], ...]:
    """Return the network's own attributes with plain values, without those that settings tell."""
    layers = settings.get("hidden_units", ())
    told = {f"units{layer}": units for layer, units in enumerate(layers, 1)}
    found: dict[str, Plain] = {}
    for name, value in network.items():
        plain = _to_plain(value)
        is_told = name == "training" or (name in told and told[name] == value)
        if plain is not None and _ATTRIBUTE.fullmatch(name) and not is_told:
            found[name] = plain
    if len(found) > _MOST_ATTRIBUTES:
        warnings.append(f"model.toml: {len(found)} attributes, {_MOST_ATTRIBUTES} of them are read")
    return tuple(found.items())[:_MOST_ATTRIBUTES]


def _to_plain(value: Any) -> Plain | None:
    """Return a value that tells networks apart, None for any other; a list as JSON."""
    if isinstance(value, list):
        items = [_to_plain(item) for item in value if not isinstance(item, list)]
        if None in items or len(items) < len(value):
            return None
        value = json.dumps(items)
    if isinstance(value, str):
        is_plain = value != "None" and len(value) <= _LONGEST_ATTRIBUTE
        return value if is_plain and not _ADDRESS.search(value) else None
    if isinstance(value, int):  # true and false, too
        return value if abs(value) < 2**63 else None
    return value if _is_finite(value) else None


def _objection(strange: Sequence[str]) -> str | None:
    """Return why event files with these tags alone are no run of mltrainer's.

    None for a file without any, which may be that of a run that has just begun.
    """
    if not strange:
        return None
    tags = first_few([printable(tag, 60) for tag in strange], _MOST_TAGS)
    return f"no run of mltrainer's, because its event file has other tags: {tags}"


def _walk(table: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield *table* and those inside it in file order; recursion could be made to overflow."""
    waiting = [table]
    while waiting:
        table = waiting.pop()
        yield table
        waiting.extend(item for item in reversed(table.values()) if isinstance(item, dict))


def _read_only_scalars(folder: Path, warnings: list[str]) -> tuple[Scalars, list[str]]:
    """Read the one event file with mltrainer's scalars; several are a riddle, not a run.

    With it come the tags of event files that have none of mltrainer's.

    Trainers that start in the same second share a folder, and the last one's settings.toml
    stands there for all.
    """
    found = []
    strange: dict[str, None] = {}
    for path in _event_files(folder, warnings):
        scalars = read_scalars(path)
        if scalars.damage:
            warnings.append(f"{path.name}: {scalars.damage}")
        if scalars.points.keys() & _TAGS.keys():
            found.append(scalars)
        else:
            strange |= dict.fromkeys([*scalars.points, *scalars.others])
    if len(found) == 1:
        return found[0], []
    if found:
        warnings.append(f"{len(found)} event files: several runs share this folder, none is read")
        return Scalars({}, None), []
    warnings.append("no event file with scalars")
    return Scalars({}, None), list(strange)


def _event_files(folder: Path, warnings: list[str]) -> list[Path]:
    """Return the event files in a folder, without hidden ones, which hold no events."""
    try:
        paths = sorted(folder.iterdir())
    except FileNotFoundError:
        return []
    except OSError as error:  # Path.glob would find nothing
        warnings.append(f"cannot be listed: {error.strerror or error}")
        return []
    return [path for path in paths if "tfevents" in path.name and not path.name.startswith(".")]


def _to_history(scalars: Scalars) -> tuple[FoundEpoch, ...]:
    """Return the epochs that were logged to the end, in order; the last report of each counts."""
    columns = {
        word: {point.step: point for point in scalars.points[tag] if 0 <= point.step < _MOST_EPOCHS}
        for tag, word in _TAGS.items()
        if tag in scalars.points
    }
    steps = set.intersection(*map(set, columns.values())) if columns else set()
    history = []
    for step in sorted(steps):
        points = {word: column[step] for word, column in columns.items()}
        values = {word: points[word].value if word in points else None for word in _TAGS.values()}
        seconds = max(point.wall_time for point in points.values()) - (scalars.started or 0)
        known = seconds if abs(seconds) <= _LONGEST_RUN else None
        history.append(FoundEpoch(step + 1, seconds=known, **values))
    return tuple(history)


def _to_datetime(wall_time: float | None) -> datetime | None:
    if wall_time is None:
        return None
    try:
        return datetime.fromtimestamp(wall_time, UTC)
    except (OverflowError, ValueError, OSError):  # a damaged file can hold any number
        return None


def _to_patience(written: dict[str, Any]) -> int | None:
    """Return the flat epochs after which mltrainer stops early, None if it never does."""
    arguments = written.get("earlystop_kwargs")
    if not isinstance(arguments, dict):
        return None
    patience = arguments.get("patience", 7)  # mltrainer's default where the table says nothing
    return patience if type(patience) is int else 0


def _is_complete(epochs: int | None, patience: int | None, seen: int) -> bool | None:
    """Say whether all *epochs* were *seen*: None where early stopping may have ended the run.

    No epoch at all is no evidence: mltrainer writes to disk two minutes late.
    """
    if epochs is None or seen == 0:
        return None
    if seen < epochs and patience is not None and seen > patience:
        return None
    return seen >= epochs


def _is_count(value: Any) -> TypeGuard[int]:
    return type(value) is int and 0 < value < 2**31  # what an Experiment takes


def _is_finite(value: Any) -> TypeGuard[int | float]:
    """Say whether *value* is a number that a float can hold, unlike inf, nan and 10**400."""
    return type(value) in (int, float) and abs(value) <= sys.float_info.max
